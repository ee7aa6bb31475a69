"""Films of the `colorize` command: one after another, into files under their own names."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
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
    from vidcolor.media.segments import FilmRun
    from vidcolor.media.sink import FilmSink
    from vidcolor.media.source import FilmSource
    from vidcolor.steady import Steadiness

SAMPLE_SECONDS = 4.0  # how long a dry run works on the film's first frames to estimate the rest


def colorize_films(
    inputs: tuple[Path, ...], output: str, options: dict[str, Any], load: Callable[[], "Colorizer"], report: Reporter
) -> int:
    """Colour every film, or say what would be done; the exit code."""
    from vidcolor.jobs import plan

    jobs = plan(inputs, output)
    work = _describe if options["dry_run"] else _colorize
    failures: list[VidcolorError] = []
    for job in jobs:
        try:
            work(job, load, options, report)
        except VidcolorError as error:
            failures.append(error)
            report.fail(str(error))
    if not failures:
        return 0
    return 2 if len(jobs) == 1 and isinstance(failures[0], UsageError) else 1


def film_settings(options: dict[str, Any]) -> "OutputSettings":
    """How films are written."""
    from vidcolor.media.encoders import OutputSettings

    names = ("codec", "crf", "preset", "pix_fmt", "overwrite", "encoder")
    return OutputSettings(**{name: options[name] for name in names})


def film_source(path: Path, options: dict[str, Any]) -> "FilmSource":
    """The film, or the part of it that is asked for. Raises UsageError, SourceError."""
    from vidcolor.media.source import FilmSource

    return FilmSource(path, start=options["start"], end=options["end"], hwaccel=options["hwaccel"])


def steadiness(options: dict[str, Any], info: "FilmInfo") -> "Steadiness":
    """How colours are held still. Raises UsageError, and SourceError for a still that cannot be read."""
    from vidcolor.media.references import load_references
    from vidcolor.steady import Steadiness

    first = round((options["start"] or 0) * (info.frame_rate or 0))
    references = load_references(options["references"], info)
    return Steadiness(options["steady"], options["every"], options["shot_memory"], references, first)


def color_film(source_path: Path, target: Path, *, options: dict[str, Any], colorizer: "Colorizer") -> tuple[str, ...]:
    """Colour a film that lies among other files; what there is to say of it."""
    from vidcolor.pipeline import colorize_film

    settings = replace(film_settings(options), overwrite=True)
    with film_source(source_path, options | {"start": None, "end": None}) as source, ExitStack() as stack:
        held = steadiness(options, source.info)
        sink = _entered(stack, target, source, settings, options, may_begin_anew=lambda _: True)
        colorize_film(source, sink, colorizer, held, lambda _: None)
    damage = (f"damaged: {source.damage.describe()}",) if source.damage else ()
    return (*source.warnings, *sink.warnings, *damage)


def _colorize(job: "Job", load: Callable[[], "Colorizer"], options: dict[str, Any], report: Reporter) -> None:
    """Colour one film."""
    from vidcolor.pipeline import colorize_film

    began = time.monotonic()
    job.target.parent.mkdir(parents=True, exist_ok=True)
    with film_source(job.source, options) as source:
        with ExitStack() as stack:
            held = steadiness(options, source.info)
            # Refuses what cannot be done before the network is loaded.
            sink = _entered(stack, job.target, source, film_settings(options), options, may_begin_anew=report.confirm)
            colorizer, done_before = load(), sink.frames_written
            report.start(
                input=str(job.source), output=str(job.target), frames=_expected_frames(source.info, options),
                devices=colorizer.devices, done_before=done_before,
            )  # fmt: skip
            for warning in (*source.warnings, *sink.warnings):
                report.warn(f"{job.source.name}: {warning}.")
            known, known_of_source = len(sink.warnings), len(source.warnings)
            count = colorize_film(source, sink, colorizer, held, report.advance)
        for warning in (*source.warnings[known_of_source:], *sink.warnings[known:]):
            report.warn(f"{job.source.name}: {warning}.")
        if source.damage:
            report.warn(f"{job.source.name} is damaged: {source.damage.describe()}; coloured as far as it decodes.")
    seconds = time.monotonic() - began
    report.done(
        input=str(job.source), output=str(job.target), frames=count, seconds=round(seconds, 2),
        fps=round((count - done_before) / seconds, 2), done_before=done_before, damage=vars(source.damage),
        model=colorizer.header.name,
    )  # fmt: skip


def _entered(
    stack: ExitStack,
    target: Path,
    source: "FilmSource",
    settings: "OutputSettings",
    options: dict[str, Any],
    *,
    may_begin_anew: Callable[[str], bool],
) -> "FilmSink":
    """The sink, open, with what an earlier run of the same command finished. may_begin_anew: asked when that differs.

    Raises ChangedError where it was answered no.
    """
    from vidcolor.media.segments import ChangedError
    from vidcolor.media.sink import FilmSink
    from vidcolor.media.trial import settle

    settled = settle(source.examined, target, settings)

    def sink(*, resume: bool) -> FilmSink:
        comment, run = _comment(options["model"]), film_run(source, options, settled.identity)
        made = FilmSink(target, source, settled.settings, comment=comment, run=run, resume=resume)
        made.warnings += settled.warnings
        return stack.enter_context(made)

    try:
        return sink(resume=options["resume"])
    except ChangedError as error:
        if not may_begin_anew(str(error)):
            raise
        return sink(resume=False)


# Options that change a film's output.
DECIDING = (
    "size", "precision", "saturation", "steady", "every", "shot_memory", "references", "codec", "crf", "preset",
    "pix_fmt", "encoder", "start", "end",
)  # fmt: skip


def film_run(source: "FilmSource", options: dict[str, Any], encoder: str = "software") -> "FilmRun":
    """What decides the output. encoder: the identity of what encodes; see trial.Settled.  Raises ModelError."""
    from vidcolor import weights
    from vidcolor.media.segments import FilmRun, identity_of

    settings = {f"--{name.replace('_', '-')}": str(options[name]) for name in DECIDING}
    settings["--references"] = " ".join(
        str(identity_of(file)) for path in options["references"] for file in _files(path)
    )
    settings["--encoder"] = encoder  # on another machine `hardware` is another one, or none
    settings["vidcolor"] = __version__
    return FilmRun(identity_of(source.path), weights.sha256(weights.find(options["model"])), settings)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _describe(job: "Job", load: Callable[[], "Colorizer"], options: dict[str, Any], report: Reporter) -> None:
    """Say what colouring one film would do; time its first frames to tell how long it would take."""
    from vidcolor.media.plan import plan
    from vidcolor.media.trial import settle

    with film_source(job.source, options) as source:
        settled = settle(source.examined, job.target, film_settings(options))
        settings = settled.settings
        decided, held = plan(source.info, job.target, settings), steadiness(options, source.info)
        colorizer = load()
        frames, fps = _expected_frames(source.info, options), _measured_fps(source, colorizer, settings, held)
    encoding = decided.encoding
    report.plan(
        input=str(job.source), output=str(job.target), container=decided.container, codec=encoding.codec,
        pixel_format=encoding.pixel_format, frames=frames, fps=round(fps, 1),
        seconds=frames and round(frames / fps), model=colorizer.header.name, devices=colorizer.devices,
        streams=[
            {key: getattr(entry, key) for key in ("index", "kind", "codec", "name")} | {"action": entry.describe()}
            for entry in decided.streams
        ],
        warnings=[*settled.warnings, *source.warnings, *decided.warnings],
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


def _expected_frames(info: "FilmInfo", options: dict[str, Any]) -> int | None:
    """How many frames the range holds, as far as the container tells."""
    start, end = options["start"], options["end"]
    if (start is None and end is None) or not info.frame_rate or info.duration_seconds is None:
        return info.frame_count if start is None and end is None else None
    return max(0, round((min(end or info.duration_seconds, info.duration_seconds) - (start or 0.0)) * info.frame_rate))
