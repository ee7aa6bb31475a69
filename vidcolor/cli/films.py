"""Films of the `colorize` command: one after another, into files under their own names."""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidcolor.cli.progress import Observer, events
from vidcolor.errors import Remark, UsageError, VidcolorError

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.batch.options import BatchOptions
    from vidcolor.films.finished import FinishedFilms
    from vidcolor.films.job import FilmStart
    from vidcolor.films.naming import FilmJob
    from vidcolor.inference.colorizer import Colorizer


def colorize_films(
    inputs: tuple[Path, ...], output: str, options: "BatchOptions", report: Observer, *, dry_run: bool
) -> int:
    """Color every film, or report what would be done; gives the exit code."""
    from vidcolor.films.naming import plan_jobs

    jobs = plan_jobs(inputs, output)
    if len(jobs) > 1:
        options.read_said()  # each must name its film
    finished: FinishedFilms | None = None
    load = cache(options.model.load)
    if not dry_run:
        jobs, finished = skip_finished(jobs, output, options, report)
    work: Callable[..., Outcome | None] = _report_estimate if dry_run else _colorize
    failures: list[VidcolorError] = []
    for job in jobs:
        if finished is not None and options.resume and finished.has(job):  # by another run, meanwhile
            report.film_done_before(input=str(job.source), output=str(job.target))
            continue
        try:
            outcome = work(job, load, options, report)
            if outcome is not None and finished is not None:
                finished.add(job, outcome)
        except VidcolorError as error:
            failures.append(error)
            why = finished.why_outdated(job) if finished is not None and job.target.exists() else ""
            message = f"{error} It was {why}." if why else str(error)
            report.film_failed(input=str(job.source), output=str(job.target), message=message)
    if not failures:
        return 0
    return 2 if len(jobs) == 1 and isinstance(failures[0], UsageError) else 1


def skip_finished(
    jobs: "list[FilmJob]", output: str, options: "BatchOptions", report: Observer
) -> "tuple[list[FilmJob], FinishedFilms | None]":
    """Report the films of a list that an earlier run has finished; gives the others, and the list's journal."""
    from vidcolor.films.finished import FinishedFilms

    finished = FinishedFilms.of_list(jobs, Path(output), options.run_identity)
    if finished is None or not options.resume:
        return jobs, finished
    left = []
    for job in jobs:
        if finished.has(job):
            report.film_done_before(input=str(job.source), output=str(job.target))
        else:
            left.append(job)
    return left, finished


def _colorize(job: "FilmJob", load: Callable[[], "Colorizer"], options: "BatchOptions", report: Observer) -> "Outcome":
    """Color one film and report it; gives its outcome."""
    from vidcolor.films.job import colorize_film_file

    began, devices = time.monotonic(), list[str]()

    def started(start: "FilmStart") -> None:
        devices.extend(start.devices)
        report.film_started(input=str(job.source), output=str(job.target), **vars(start))

    result = colorize_film_file(
        job.source, job.target, options.films, load, may_restart=report.confirm, on_start=started,
        on_frame=report.film_advanced, on_still=report.still_made,
        on_warning=lambda warning: tell_warning(job, warning, report),
    )  # fmt: skip
    if result.damage:
        report.warning(f"{job.source.name} is damaged: {result.damage.describe()}; colored as far as it decodes.")
    seconds = time.monotonic() - began
    report.film_finished(
        input=str(job.source), output=str(job.target), frames=result.frames, seconds=round(seconds, 2),
        fps=round((result.frames - result.done_before) / seconds, 2), done_before=result.done_before,
        damage=result.damage, model=result.model, devices=devices, outcome=result.outcome, stills=result.stills,
    )  # fmt: skip
    return result.outcome


def tell_warning(job: "FilmJob", warning: str, report: Observer) -> None:
    """Report a warning on a film, or a remark."""
    tell = report.remark if isinstance(warning, Remark) else report.warning
    tell(f"{job.source.name}: {warning}.")


def _report_estimate(
    job: "FilmJob", load: Callable[[], "Colorizer"], options: "BatchOptions", report: Observer
) -> None:
    """Report what coloring one film would do, and how long it would take."""
    from vidcolor.films.estimate import estimate_film

    found = estimate_film(job, options.films, load)
    report.film_planned(
        input=str(job.source), output=str(job.target), container=found.container, codec=found.codec,
        pixel_format=found.pixel_format, frames=found.frames, fps=round(found.fps, 1),
        seconds=found.frames and round(found.frames / found.fps), model=found.model, devices=found.devices,
        streams=[
            events.PlannedStream(
                index=entry.index, kind=entry.kind, codec=entry.codec, name=entry.name, action=entry.describe()
            )
            for entry in found.streams
        ],
        warnings=list(found.warnings),
    )  # fmt: skip
