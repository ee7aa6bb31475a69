"""Films of the `colorize` command: one after another, into files under their own names."""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcolor.cli.log import film_progress
from vidcolor.cli.terminal import Reporter
from vidcolor.errors import UsageError, VidcolorError
from vidcolor.films.naming import FALLBACK_SUFFIX

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome, Run
    from vidcolor.films.finished import FinishedFilms
    from vidcolor.films.job import FilmOptions, FilmStart
    from vidcolor.films.naming import Job
    from vidcolor.inference.colorizer import Colorizer
    from vidcolor.media.encoders import OutputSettings
    from vidcolor.media.source import FilmSource
    from vidcolor.steady import Steadiness

SAMPLE_SECONDS = 4.0  # how long a dry run works on the film's first frames to estimate the rest


def colorize_films(
    inputs: tuple[Path, ...], output: str, options: dict[str, Any], load: Callable[[], "Colorizer"], report: Reporter
) -> int:
    """Color every film, or say what would be done; the exit code."""
    from vidcolor.films.naming import plan

    jobs = plan(inputs, output)
    finished: FinishedFilms | None = None
    if not options["dry_run"]:
        jobs, finished = unfinished(jobs, output, options, report)
    work: Callable[..., Outcome | None] = _describe if options["dry_run"] else _colorize
    failures: list[VidcolorError] = []
    for job in jobs:
        if finished is not None and options["resume"] and finished.has(job):  # by a run beside this one
            report.passed(input=str(job.source), output=str(job.target))
            continue
        try:
            outcome = work(job, load, options, report)
            if outcome is not None and finished is not None:
                finished.add(job, outcome)
        except VidcolorError as error:
            failures.append(error)
            report.fail(str(error))
    if not failures:
        return 0
    return 2 if len(jobs) == 1 and isinstance(failures[0], UsageError) else 1


def unfinished(
    jobs: "list[Job]", output: str, options: dict[str, Any], report: Reporter
) -> "tuple[list[Job], FinishedFilms | None]":
    """The films that an earlier run of a list has not finished; and where to note what is. A single file is no list."""
    from vidcolor.films.finished import FinishedFilms

    folder = Path(output)
    if jobs[0].target == folder:
        return jobs, None
    finished = FinishedFilms(folder, run_of(options))
    if not options["resume"]:
        return jobs, finished
    left = []
    for job in jobs:
        if finished.has(job):
            report.passed(input=str(job.source), output=str(job.target))
        else:
            left.append(job)
    return left, finished


def run_of(options: dict[str, Any]) -> "Run":
    """What decides the bytes of photos and films. Raises ModelError."""
    from vidcolor import __version__
    from vidcolor.archives.journal import Run
    from vidcolor.films.naming import DECIDING
    from vidcolor.inference import weights

    deciding = {name: options[name] for name in (*DECIDING, "quality", "subsampling", "recolor", "others")}
    settings = json.dumps(deciding | {"vidcolor": __version__}, sort_keys=True, default=str)
    return Run(weights.sha256(weights.find(options["model"])), hashlib.sha256(settings.encode()).hexdigest())


def film_options(options: dict[str, Any]) -> "FilmOptions":
    """Those of the command's options that films know."""
    from vidcolor.films.job import FilmOptions

    return FilmOptions(**{entry.name: options[entry.name] for entry in fields(FilmOptions) if entry.name in options})


def film_watched(name: str, start: "FilmStart") -> Callable[[int], None]:
    """Tells the log file how far a film among other files has come."""
    return film_progress(name, start.frames, start.done_before)


def _colorize(job: "Job", load: Callable[[], "Colorizer"], options: dict[str, Any], report: Reporter) -> "Outcome":
    """Color one film; what became of it."""
    from vidcolor.films.job import color_film

    began = time.monotonic()

    def started(start: "FilmStart") -> None:
        report.start(input=str(job.source), output=str(job.target), **vars(start))

    done = color_film(
        job.source, job.target, film_options(options), load, may_begin_anew=report.confirm, on_start=started,
        on_frame=report.advance, on_warning=lambda warning: report.warn(f"{job.source.name}: {warning}."),
    )  # fmt: skip
    if done.damage:
        report.warn(f"{job.source.name} is damaged: {done.damage.describe()}; colored as far as it decodes.")
    seconds = time.monotonic() - began
    report.done(
        input=str(job.source), output=str(job.target), frames=done.frames, seconds=round(seconds, 2),
        fps=round((done.frames - done.done_before) / seconds, 2), done_before=done.done_before,
        damage=vars(done.damage), model=done.model, outcome=done.outcome,
    )  # fmt: skip
    return done.outcome


def _describe(job: "Job", load: Callable[[], "Colorizer"], options: dict[str, Any], report: Reporter) -> None:
    """Say what coloring one film would do; time its first frames to tell how long it would take."""
    from vidcolor.films.tone import film_tone
    from vidcolor.media.encoder_trial import choose_encoder
    from vidcolor.media.plan import plan_output
    from vidcolor.painting.tone import IN_COLOR

    asked = film_options(options)
    kept = (IN_COLOR,) if asked.may_copy(job.source, job.target) and film_tone(job.source) == "color" else ()
    with asked.source(job.source, job.target) as source:
        settled = choose_encoder(source.examined, job.target, asked.output)
        settings = settled.settings
        decided, held = plan_output(source.info, job.target, settings), asked.steadiness(source.info)
        colorizer = load()
        frames, fps = asked.expected_frames(source.info), _measured_fps(source, colorizer, settings, held)
    encoding = decided.encoding
    report.plan(
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
        trial = Path(folder) / f"trial{FALLBACK_SUFFIX}"
        with FilmSink(trial, source, settings, comment="trial") as sink:
            colorize_film(source, sink, colorizer, held, tick)
    return max(clock["frames"] - 1, 1) / max(clock["last"] - clock["first"], 0.04)
