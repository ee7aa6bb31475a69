"""Films of the `colorize` command on a cluster: taken into parts, so that no machine is idle."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vidcolor.cli.films import unfinished
from vidcolor.cli.progress import Observer
from vidcolor.errors import UsageError, VidcolorError

if TYPE_CHECKING:
    from vidcolor.archives import Entry
    from vidcolor.batch.options import BatchOptions
    from vidcolor.films.naming import Job


def colorize_films_on_cluster(
    inputs: tuple[Path, ...], output: str, options: "BatchOptions", report: Observer, *, dry_run: bool
) -> int:
    """Color every film; the exit code. Raises VidcolorError where nothing can be done at all."""
    from vidcolor.batch.rules import rules_for
    from vidcolor.cluster import cluster_workers
    from vidcolor.films.naming import plan
    from vidcolor.media.plan import check_output
    from vidcolor.media.probe import probe

    if options.films.start is not None or options.films.end is not None or dry_run:
        raise UsageError("--cluster colors whole films: it goes with no --start, --end, --dry-run.")
    jobs, finished = unfinished(plan(inputs, output), output, options, report)
    if not jobs:
        return 0
    failed = 0
    for job in jobs:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        check_output(job.source, job.target, overwrite=options.overwrite)
    with ExitStack() as stack:
        open_workers = stack.enter_context(cluster_workers([job.source for job in jobs], options))
        rules = rules_for(options, jobs[0].target, software="vidcolor")
        workers = stack.enter_context(open_workers(rules))
        began = time.monotonic()
        for job in jobs:
            info = probe(job.source)
            report.film_started(
                input=str(job.source), output=str(job.target), frames=info.frame_count, devices=workers.devices
            )
        futures = [workers.film(_entry(job), job.source, job.target) for job in jobs]
        for job, future in zip(jobs, futures, strict=True):
            try:
                done = future.result()
                if done.content is None:  # it is in color
                    _copy(job, overwrite=options.overwrite)
            except VidcolorError as error:
                failed += 1
                report.film_failed(str(error))
                continue
            if finished is not None:
                finished.add(job, done.outcome)
            for note in done.notes:
                report.warning(f"{job.source.name}: {note}.")
            seconds, frames = time.monotonic() - began, probe(job.target).frame_count or 0
            report.film_finished(
                input=str(job.source), output=str(job.target), frames=frames, seconds=round(seconds, 2),
                fps=round(frames / seconds, 2), done_before=0, devices=workers.devices,
                outcome=done.outcome,
            )  # fmt: skip
        for note in workers.notes:
            report.warning(f"{note}.")
    return 1 if failed else 0


def _copy(job: "Job", *, overwrite: bool) -> None:
    """Copy the film as it is. Raises SinkError."""
    from vidcolor import outputs

    with outputs.replacing(job.target, overwrite=overwrite) as partial:
        outputs.copy(job.source, partial)


def _entry(job: "Job") -> "Entry":
    from vidcolor.archives import Entry

    status, name = job.source.stat(), job.source.name
    return Entry(name, name.encode(errors="surrogateescape"), "film", status.st_size, status.st_mtime_ns)
