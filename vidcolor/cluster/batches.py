"""Starts a batch's workers on a cluster, for `batch.files.colorize_files`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from vidcolor.batch.options import BatchOptions
from vidcolor.batch.worker import WorkerOptions
from vidcolor.cluster.actor import Work
from vidcolor.cluster.session import connect
from vidcolor.cluster.workers import ClusterWorkers


@contextmanager
def cluster_workers(
    inputs: Sequence[Path], options: BatchOptions
) -> Iterator[Callable[[WorkerOptions], AbstractContextManager[ClusterWorkers]]]:
    """Connect to the cluster options.cluster; gives a function that starts workers by WorkerOptions.

    options: with paths as every machine sees them, see BatchOptions.for_other_machines.
    Raises DeviceError, UsageError; starting workers raises ModelError, too.
    """
    paths = tuple(path.absolute() for path in inputs if path.exists())

    def open_workers(worker_options: WorkerOptions) -> ClusterWorkers:
        worker_options = replace(worker_options, scratch=worker_options.scratch.absolute())
        return ClusterWorkers(
            Work(options.model.load, worker_options, options.run_identity, paths, options.model.device)
        )

    with connect(options.cluster or "auto"):
        yield open_workers
