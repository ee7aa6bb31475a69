"""A list of films on a cluster, long ones in parts, so that no machine is idle."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vidcolor.archives import Entry
from vidcolor.archives.journal import Outcome
from vidcolor.batch.options import BatchOptions
from vidcolor.batch.worker_options import make_worker_options
from vidcolor.cluster.batches import cluster_workers
from vidcolor.errors import VidcolorError
from vidcolor.films.job import copy_unchanged
from vidcolor.films.naming import FilmJob
from vidcolor.media.plan import check_output
from vidcolor.media.probe import probe


@dataclass(frozen=True)
class ClusterFilmResult:
    """The result for one film of the list."""

    outcome: Outcome  # "colored", or "kept": it was in color and was copied as it is
    frames: int  # of the output; 0 where the container does not tell
    seconds: float  # from the start of the list until this film was done
    devices: list[str]  # names for people
    notes: tuple[str, ...] = ()  # remarks, one line each


def colorize_films(
    jobs: Sequence[FilmJob],
    options: BatchOptions,
    *,
    on_start: Callable[[FilmJob, int | None, list[str]], None],
    on_result: Callable[[FilmJob, ClusterFilmResult], None],
    on_failure: Callable[[FilmJob, VidcolorError], None],
    on_warning: Callable[[str], None],
) -> None:
    """Color whole films on the cluster options.cluster, one file each; one bad film never stops the others.

    Callbacks are called in the order of the jobs.  on_start: gets the number of frames, None where the container does
    not tell, and the devices.  on_warning: gets remarks on the run as a whole.  Raises VidcolorError where nothing can
    be done at all.
    """
    for job in jobs:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        check_output(job.source, job.target, overwrite=options.overwrite)
    with ExitStack() as stack:
        open_workers = stack.enter_context(cluster_workers([job.source for job in jobs], options))
        worker_options = make_worker_options(options, jobs[0].target, options.read_said(), software="vidcolor")
        workers = stack.enter_context(open_workers(worker_options))
        began = time.monotonic()
        for job in jobs:
            on_start(job, probe(job.source).frame_count, workers.devices)
        futures = [workers.color_film(_make_entry(job.source), job.source, job.target) for job in jobs]
        for job, future in zip(jobs, futures, strict=True):
            try:
                done = future.result()
                if done.content is None:  # it is in color
                    copy_unchanged(job.source, job.target, overwrite=options.overwrite)
            except VidcolorError as error:
                on_failure(job, error)
                continue
            seconds, frames = time.monotonic() - began, probe(job.target).frame_count or 0
            on_result(job, ClusterFilmResult(done.outcome, frames, seconds, workers.devices, done.notes))
        for note in workers.notes:
            on_warning(note)


def _make_entry(source: Path) -> Entry:
    status, name = source.stat(), source.name
    return Entry(name, name.encode(errors="surrogateescape"), "film", status.st_size, status.st_mtime_ns)
