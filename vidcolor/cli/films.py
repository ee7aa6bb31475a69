"""Films of the `colorize` command: one after another, into files under their own names."""

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidcolor.cli.progress import Observer
from vidcolor.errors import UsageError, VidcolorError
from vidcolor.formats import FALLBACK_CONTAINER

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.batch.options import BatchOptions
    from vidcolor.films.finished import FinishedFilms
    from vidcolor.films.job import FilmStart
    from vidcolor.films.naming import Job
    from vidcolor.inference.colorizer import Colorizer
    from vidcolor.media.encoders import OutputSettings
    from vidcolor.media.source import FilmSource
    from vidcolor.steady import Steadiness

SAMPLE_SECONDS = 4.0  # how long a dry run works on the film's first frames to estimate the rest


def colorize_films(
    inputs: tuple[Path, ...], output: str, options: "BatchOptions", report: Observer, *, dry_run: bool
) -> int:
    """Color every film, or say what would be done; the exit code."""
    from vidcolor.films.naming import plan

    jobs = plan(inputs, output)
    finished: FinishedFilms | None = None
    load = cache(options.model.load)
    if not dry_run:
        jobs, finished = unfinished(jobs, output, options, report)
    work: Callable[..., Outcome | None] = _describe if dry_run else _colorize
    failures: list[VidcolorError] = []
    for job in jobs:
        if finished is not None and options.resume and finished.has(job):  # by a run beside this one
            report.film_done_before(input=str(job.source), output=str(job.target))
            continue
        try:
            outcome = work(job, load, options, report)
            if outcome is not None and finished is not None:
                finished.add(job, outcome)
        except VidcolorError as error:
            failures.append(error)
            report.film_failed(str(error))
    if not failures:
        return 0
    return 2 if len(jobs) == 1 and isinstance(failures[0], UsageError) else 1


def unfinished(
    jobs: "list[Job]", output: str, options: "BatchOptions", report: Observer
) -> "tuple[list[Job], FinishedFilms | None]":
    """The films that an earlier run of a list has not finished; and where to note what is. A single file is no list."""
    from vidcolor.films.finished import FinishedFilms

    folder = Path(output)
    if jobs[0].target == folder:
        return jobs, None
    finished = FinishedFilms(folder, options.run())
    if not options.resume:
        return jobs, finished
    left = []
    for job in jobs:
        if finished.has(job):
            report.film_done_before(input=str(job.source), output=str(job.target))
        else:
            left.append(job)
    return left, finished


def _colorize(job: "Job", load: Callable[[], "Colorizer"], options: "BatchOptions", report: Observer) -> "Outcome":
    """Color one film; what became of it."""
    from vidcolor.films.job import color_film

    began = time.monotonic()

    def started(start: "FilmStart") -> None:
        report.film_started(input=str(job.source), output=str(job.target), **vars(start))

    done = color_film(
        job.source, job.target, options.films, load, may_begin_anew=report.confirm, on_start=started,
        on_frame=report.film_advanced, on_warning=lambda warning: report.warning(f"{job.source.name}: {warning}."),
    )  # fmt: skip
    if done.damage:
        report.warning(f"{job.source.name} is damaged: {done.damage.describe()}; colored as far as it decodes.")
    seconds = time.monotonic() - began
    report.film_finished(
        input=str(job.source), output=str(job.target), frames=done.frames, seconds=round(seconds, 2),
        fps=round((done.frames - done.done_before) / seconds, 2), done_before=done.done_before,
        damage=vars(done.damage), model=done.model, outcome=done.outcome,
    )  # fmt: skip
    return done.outcome


def _describe(job: "Job", load: Callable[[], "Colorizer"], options: "BatchOptions", report: Observer) -> None:
    """Say what coloring one film would do; time its first frames to tell how long it would take."""
    from vidcolor.films.tone import film_tone
    from vidcolor.media.encoder_trial import choose_encoder
    from vidcolor.media.plan import plan_output
    from vidcolor.painting.tone import IN_COLOR

    asked = options.films
    kept = (IN_COLOR,) if asked.may_copy(job.source, job.target) and film_tone(job.source) == "color" else ()
    with asked.source(job.source, job.target) as source:
        settled = choose_encoder(source.examined, job.target, asked.output)
        settings = settled.settings
        decided, held = plan_output(source.info, job.target, settings), asked.steadiness(source.info)
        colorizer = load()
        frames, fps = asked.expected_frames(source.info), _measured_fps(source, colorizer, settings, held)
    encoding = decided.encoding
    report.film_planned(
        input=str(job.source), output=str(job.target), container=decided.container, codec=encoding.codec,
        pixel_format=encoding.pixel_format, frames=frames, fps=round(fps, 1),
        seconds=frames and round(frames / fps), model=colorizer.header.name, devices=colorizer.devices,
        streams=[
            {key: getattr(entry, key) for key in ("index", "kind", "codec", "name")} | {"action": entry.describe()}
            for entry in decided.streams
        ],
        warnings=[*kept, *settled.warnings, *source.warnings, *decided.warnings],
    )  # fmt: skip


def _measured_fps(
    source: "FilmSource", colorizer: "Colorizer", settings: "OutputSettings", held: "Steadiness"
) -> float:
    """Frames a second of the real pipeline on the film's first seconds, into a file that is thrown away."""
    from vidcolor.films.pipeline import colorize_film
    from vidcolor.media.sink import FilmSink

    class Enough(Exception):  # noqa: N818 - not an error
        pass

    clock = {"first": 0.0, "last": 0.0, "frames": 0.0}

    def tick(count: int) -> None:
        now = time.monotonic()
        if count == 1:  # the first frame waits for the network to be made ready
            clock["first"] = now
        clock["last"], clock["frames"] = now, count
        if now - clock["first"] > SAMPLE_SECONDS:
            raise Enough

    with tempfile.TemporaryDirectory(prefix="vidcolor-") as folder, suppress(Enough):
        trial = Path(folder) / f"trial{FALLBACK_CONTAINER}"
        with FilmSink(trial, source, settings, comment="trial") as sink:
            colorize_film(source, sink, colorizer, held, tick)
    return max(clock["frames"] - 1, 1) / max(clock["last"] - clock["first"], 0.04)
