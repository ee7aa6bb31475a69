"""Films of the `colorize` command: one after another, into files under their own names."""

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcolor import __version__
from vidcolor.cli.terminal import Reporter
from vidcolor.errors import UsageError, VidcolorError
from vidcolor.jobs import FALLBACK_SUFFIX

if TYPE_CHECKING:
    from vidcolor.colorizer import Colorizer
    from vidcolor.frames import FilmInfo
    from vidcolor.jobs import Job
    from vidcolor.media.encoders import OutputSettings
    from vidcolor.media.source import FilmSource
    from vidcolor.steady import Steadiness

Span = tuple[float | None, float | None]  # start and end in seconds
SAMPLE_SECONDS = 4.0  # how long a dry run works on the film's first frames to estimate the rest


def colorize_films(
    inputs: tuple[Path, ...], output: str, options: dict[str, Any], load: Callable[[], "Colorizer"], report: Reporter
) -> int:
    """Colour every film, or say what would be done; the exit code."""
    from vidcolor.jobs import plan

    jobs = plan(inputs, output)
    work = _describe if options["dry_run"] else partial(_colorize, model=options["model"])
    steady = partial(steadiness, options)
    failures: list[VidcolorError] = []
    for job in jobs:
        try:
            work(job, load, film_settings(options), steady, (options["start"], options["end"]), report)
        except VidcolorError as error:
            failures.append(error)
            report.fail(str(error))
    if not failures:
        return 0
    return 2 if len(jobs) == 1 and isinstance(failures[0], UsageError) else 1


def film_settings(options: dict[str, Any]) -> "OutputSettings":
    """How films are written."""
    from vidcolor.media.encoders import OutputSettings

    return OutputSettings(options["codec"], options["crf"], options["preset"], options["pix_fmt"], options["overwrite"])


def steadiness(options: dict[str, Any], info: "FilmInfo") -> "Steadiness":
    """How colours are held still. Raises UsageError, and SourceError for a still that cannot be read."""
    from vidcolor.media.references import load_references
    from vidcolor.steady import Steadiness

    first = round((options["start"] or 0) * (info.frame_rate or 0))
    references = load_references(options["references"], info)
    return Steadiness(options["steady"], options["every"], options["shot_memory"], references, first)


def color_film(
    source_path: Path,
    target: Path,
    *,
    colorizer: "Colorizer",
    settings: "OutputSettings",
    steady: "Callable[[FilmInfo], Steadiness]",
    model: str,
) -> tuple[str, ...]:
    """Colour a film that lies among other files; what there is to say of it."""
    from vidcolor.media.sink import FilmSink
    from vidcolor.media.source import FilmSource
    from vidcolor.pipeline import colorize_film

    with FilmSource(source_path) as source:
        sink = FilmSink(target, source, replace(settings, overwrite=True), comment=_comment(model))
        with sink:
            colorize_film(source, sink, colorizer, steady(source.info), lambda _: None)
        damage = (f"damaged: {source.damage.describe()}",) if source.damage else ()
        return (*sink.warnings, *damage)


def _colorize(
    job: "Job",
    load: Callable[[], "Colorizer"],
    settings: "OutputSettings",
    steady: "Callable[[FilmInfo], Steadiness]",
    span: Span,
    report: Reporter,
    *,
    model: str,
) -> None:
    """Colour one film."""
    from vidcolor.media.sink import FilmSink
    from vidcolor.media.source import FilmSource
    from vidcolor.pipeline import colorize_film

    began = time.monotonic()
    job.target.parent.mkdir(parents=True, exist_ok=True)
    with FilmSource(job.source, start=span[0], end=span[1]) as source:
        sink = FilmSink(job.target, source, settings, comment=_comment(model))  # refuses before the network is loaded
        held = steady(source.info)
        colorizer = load()
        frames = _expected_frames(source.info, span)
        report.start(input=str(job.source), output=str(job.target), frames=frames, devices=colorizer.devices)
        for warning in sink.warnings:
            report.warn(f"{job.source.name}: {warning}.")
        known = len(sink.warnings)
        with sink:
            count = colorize_film(source, sink, colorizer, held, report.advance)
        for warning in sink.warnings[known:]:
            report.warn(f"{job.source.name}: {warning}.")
        if source.damage:
            report.warn(f"{job.source.name} is damaged: {source.damage.describe()}; coloured as far as it decodes.")
    seconds = time.monotonic() - began
    report.done(
        input=str(job.source), output=str(job.target), frames=count, seconds=round(seconds, 2),
        fps=round(count / seconds, 2), damage=vars(source.damage), model=colorizer.header.name,
    )  # fmt: skip


def _describe(
    job: "Job",
    load: Callable[[], "Colorizer"],
    settings: "OutputSettings",
    steady: "Callable[[FilmInfo], Steadiness]",
    span: Span,
    report: Reporter,
) -> None:
    """Say what colouring one film would do; time its first frames to tell how long it would take."""
    from vidcolor.media.plan import plan
    from vidcolor.media.source import FilmSource

    with FilmSource(job.source, start=span[0], end=span[1]) as source:
        decided, held = plan(source.info, job.target, settings), steady(source.info)
        colorizer = load()
        frames, fps = _expected_frames(source.info, span), _measured_fps(source, colorizer, settings, held)
    encoding = decided.encoding
    report.plan(
        input=str(job.source), output=str(job.target), container=decided.container, codec=encoding.codec,
        pixel_format=encoding.pixel_format, frames=frames, fps=round(fps, 1),
        seconds=frames and round(frames / fps), model=colorizer.header.name, devices=colorizer.devices,
        streams=[
            {key: getattr(entry, key) for key in ("index", "kind", "codec", "name")} | {"action": entry.describe()}
            for entry in decided.streams
        ],
        warnings=list(decided.warnings),
    )  # fmt: skip


def _measured_fps(
    source: "FilmSource", colorizer: "Colorizer", settings: "OutputSettings", held: "Steadiness"
) -> float:
    """Frames a second of the real pipeline on the film's first seconds, into a file that is thrown away."""
    from vidcolor.media.sink import FilmSink
    from vidcolor.pipeline import colorize_film

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


def _comment(model: str) -> str:
    """What the film's tags will say. Raises ModelError."""
    from vidcolor import weights

    header = weights.read_header(weights.find(model))
    return f"Colour by vidcolor {__version__}, model {header.name} {header.version}; the luma is the original's."


def _expected_frames(info: "FilmInfo", span: Span) -> int | None:
    """How many frames the range holds, as far as the container tells."""
    if span == (None, None) or not info.frame_rate or info.duration_seconds is None:
        return info.frame_count if span == (None, None) else None
    start, end = span[0] or 0.0, min(span[1] or info.duration_seconds, info.duration_seconds)
    return max(0, round((end - start) * info.frame_rate))
