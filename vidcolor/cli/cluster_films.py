"""Films of the `colorize` command on a cluster: taken into parts, so that no machine is idle."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcolor.cli.films import film_options, unfinished
from vidcolor.cli.terminal import Reporter
from vidcolor.errors import UsageError, VidcolorError

if TYPE_CHECKING:
    from vidcolor.archives import Entry
    from vidcolor.cluster import Work
    from vidcolor.films.naming import Job
    from vidcolor.inference.colorizer import Colorizer


def colorize_films_on_cluster(
    inputs: tuple[Path, ...], output: str, options: dict[str, Any], load: Callable[[], "Colorizer"], report: Reporter
) -> int:
    """Color every film; the exit code. load: pickles.  Raises VidcolorError where nothing can be done at all."""
    from vidcolor.cluster import ClusterWorkers, connect
    from vidcolor.films.naming import plan
    from vidcolor.media.plan import check_output
    from vidcolor.media.probe import probe

    if options["start"] is not None or options["end"] is not None or options["dry_run"]:
        raise UsageError("--cluster colors whole films: it goes with no --start, --end, --dry-run.")
    jobs, finished = unfinished(plan(inputs, output), output, options, report)
    if not jobs:
        return 0
    failed = 0
    for job in jobs:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        check_output(job.source, job.target, overwrite=options["overwrite"])
    with connect(options["cluster"]), ClusterWorkers(_work(jobs, options, load)) as workers:
        began = time.monotonic()
        for job in jobs:
            info = probe(job.source)
            report.start(
                input=str(job.source), output=str(job.target), frames=info.frame_count, devices=workers.devices
            )
        futures = [workers.film(_entry(job), job.source, job.target) for job in jobs]
        for job, future in zip(jobs, futures, strict=True):
            try:
                done = future.result()
                if done.content is None:  # it is in color
                    _copy(job, overwrite=options["overwrite"])
            except VidcolorError as error:
                failed += 1
                report.fail(str(error))
                continue
            if finished is not None:
                finished.add(job, done.outcome)
            for note in done.notes:
                report.warn(f"{job.source.name}: {note}.")
            seconds, frames = time.monotonic() - began, probe(job.target).frame_count or 0
            report.done(
                input=str(job.source), output=str(job.target), frames=frames, seconds=round(seconds, 2),
                fps=round(frames / seconds, 2), done_before=0, devices=workers.devices,
                outcome=done.outcome,
            )  # fmt: skip
        for note in workers.notes:
            report.warn(f"{note}.")
    return 1 if failed else 0


def _copy(job: "Job", *, overwrite: bool) -> None:
    """The film as it is. Raises SinkError."""
    from vidcolor import outputs

    with outputs.replacing(job.target, overwrite=overwrite) as partial:
        outputs.copy(job.source, partial)


def _work(jobs: "list[Job]", options: dict[str, Any], load: Callable[[], "Colorizer"]) -> "Work":
    from vidcolor.batch.films import ArchivedFilms
    from vidcolor.batch.worker import Rules
    from vidcolor.cluster import Work
    from vidcolor.stills import StillSettings

    rules = Rules(
        StillSettings(software="vidcolor"), is_recoloring=options["recolor"], scratch=jobs[0].target.parent.absolute(),
        films=ArchivedFilms(film_options(options)),
    )  # fmt: skip
    return Work(
        load, rules, partial(_identity, options), tuple(job.source.absolute() for job in jobs), options["device"]
    )


def _identity(options: dict[str, Any]) -> object:
    """Equal wherever the version, the model and the options are. Raises ModelError."""
    from vidcolor import __version__
    from vidcolor.inference import weights

    return __version__, weights.sha256(weights.find(options["model"])), film_options(options)


def _entry(job: "Job") -> "Entry":
    from vidcolor.archives import Entry

    status, name = job.source.stat(), job.source.name
    return Entry(name, name.encode(errors="surrogateescape"), "film", status.st_size, status.st_mtime_ns)
