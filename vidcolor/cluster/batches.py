"""A batch's workers on a cluster, as `batch.files.colorize_files` opens them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from vidcolor.batch.options import BatchOptions
from vidcolor.batch.worker import Rules
from vidcolor.cluster.actor import Work
from vidcolor.cluster.session import connect
from vidcolor.cluster.workers import ClusterWorkers


@contextmanager
def cluster_workers(
    inputs: Sequence[Path], options: BatchOptions
) -> Iterator[Callable[[Rules], AbstractContextManager[ClusterWorkers]]]:
    """Be part of the cluster options.cluster; gives what opens workers that go by some rules.

    options: their paths as every machine sees them; see BatchOptions.for_other_machines.
    Raises DeviceError, UsageError; opening raises ModelError, too.
    """
    seen = tuple(path.absolute() for path in inputs if path.exists())

    def open_workers(rules: Rules) -> ClusterWorkers:
        rules = replace(rules, scratch=rules.scratch.absolute())
        return ClusterWorkers(Work(options.model.load, rules, options.run, seen, options.model.device))

    with connect(options.cluster or "auto"):
        yield open_workers
