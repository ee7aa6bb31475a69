"""`vidcolor colorize`, the default command."""

import re
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidcolor import __version__
from vidcolor.cli.terminal import Reporter, reporter
from vidcolor.errors import UsageError, VidcolorError
from vidcolor.jobs import FALLBACK_SUFFIX

if TYPE_CHECKING:
    from vidcolor.colorizer import Colorizer
    from vidcolor.frames import FilmInfo
    from vidcolor.jobs import Job
    from vidcolor.media.encoders import OutputSettings
    from vidcolor.media.source import FilmSource

Span = tuple[float | None, float | None]  # start and end in seconds
SAMPLE_SECONDS = 4.0  # how long a dry run works on the film's first frames to estimate the rest


class Timecode(click.ParamType[float]):
    """Seconds, or [H:]MM:SS[.fff]."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Text -> seconds."""
        match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)", str(value))
        if match is None:
            self.fail(f"{value!r} is no time; write seconds (90.5) or H:MM:SS (0:01:30.5).", param, ctx)
        hours, minutes, seconds = match.groups()
        return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


@click.command("colorize")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, help="File to write, or a folder for several films.")
@click.option("--model", default="default", show_default=True, help="A packaged model's name or a model file.")
@click.option("--size", type=click.IntRange(32, 4096), help="Short side, in pixels, that the network looks at.")
@click.option("--batch-size", default="auto", show_default=True, help="Frames a device works at once, or auto.")
@click.option("--device", default="auto", show_default=True, help="auto, all, cpu, or a list: cuda:0,cuda:1.")
@click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True,
    help="Arithmetic of the network; auto takes the fastest that the device has natively.",
)  # fmt: skip
@click.option("--saturation", type=click.FloatRange(0, 4), default=1.0, show_default=True, help="Factor on colour.")
@click.option(
    "--codec", type=click.Choice(["h264", "hevc", "av1", "vp9", "prores", "ffv1"]),
    help="Video codec. [default: h264; in WebM vp9]",
)  # fmt: skip
@click.option("--crf", type=click.IntRange(0, 63), default=18, show_default=True, help="Quality; lower is better.")
@click.option("--preset", default="veryfast", show_default=True, help="Speed of the encoder, ultrafast to veryslow.")
@click.option("--pix-fmt", help="Pixel format to write. [default: the film's depth and subsampling]")
@click.option("--start", type=Timecode(), help="Where in the film to begin: seconds or H:MM:SS.")
@click.option("--end", type=Timecode(), help="Where in the film to end.")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and how long it would take.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout, nothing else there.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and failures.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    inputs: tuple[Path, ...],
    output: str,
    as_json: bool,
    quiet: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Put colour on films; the picture, sound, subtitles and timing stay as they are.

    \b
    Examples:
      vidcolor film.mp4 -o out.mp4
      vidcolor reel1.mkv reel2.mkv -o coloured/ --codec ffv1
    """
    from vidcolor.jobs import plan
    from vidcolor.media.encoders import OutputSettings

    jobs = plan(inputs, output)
    settings = OutputSettings(
        options["codec"], options["crf"], options["preset"], options["pix_fmt"], options["overwrite"]
    )
    load = cache(partial(_load, options))
    work = _describe if dry_run else partial(_colorize, model=options["model"])
    failures: list[VidcolorError] = []
    with reporter(as_json=as_json, quiet=quiet) as report:
        for job in jobs:
            try:
                work(job, load, settings, (options["start"], options["end"]), report)
            except VidcolorError as error:
                failures.append(error)
                report.fail(str(error))
    if failures:
        ctx.exit(2 if len(jobs) == 1 and isinstance(failures[0], UsageError) else 1)


def _load(options: dict[str, Any]) -> "Colorizer":
    from vidcolor.colorizer import Colorizer

    batch_size = None if options["batch_size"] == "auto" else _whole(options["batch_size"])
    return Colorizer.load(
        options["model"],
        device=options["device"],
        precision=options["precision"],
        size=options["size"],
        batch_size=batch_size,
        saturation=options["saturation"],
    )


def _whole(text: str) -> int:
    if not text.isdigit():
        raise UsageError(f"batch size {text!r}: needs a whole number or auto.")
    return int(text)


def _colorize(
    job: "Job", load: Callable[[], "Colorizer"], settings: "OutputSettings", span: Span, report: Reporter, *, model: str
) -> None:
    """Colour one film."""
    from vidcolor.media.sink import FilmSink
    from vidcolor.media.source import FilmSource
    from vidcolor.pipeline import colorize_film

    began = time.monotonic()
    job.target.parent.mkdir(parents=True, exist_ok=True)
    with FilmSource(job.source, start=span[0], end=span[1]) as source:
        sink = FilmSink(job.target, source, settings, comment=_comment(model))  # refuses before the network is loaded
        colorizer = load()
        frames = _expected_frames(source.info, span)
        report.start(input=str(job.source), output=str(job.target), frames=frames, devices=colorizer.devices)
        for warning in sink.warnings:
            report.warn(f"{job.source.name}: {warning}.")
        known = len(sink.warnings)
        with sink:
            count = colorize_film(source, sink, colorizer, report.advance)
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
    job: "Job", load: Callable[[], "Colorizer"], settings: "OutputSettings", span: Span, report: Reporter
) -> None:
    """Say what colouring one film would do; time its first frames to tell how long it would take."""
    from vidcolor.media.plan import plan
    from vidcolor.media.source import FilmSource

    with FilmSource(job.source, start=span[0], end=span[1]) as source:
        decided = plan(source.info, job.target, settings)
        colorizer = load()
        frames, fps = _expected_frames(source.info, span), _measured_fps(source, colorizer, settings)
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


def _measured_fps(source: "FilmSource", colorizer: "Colorizer", settings: "OutputSettings") -> float:
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
            colorize_film(source, sink, colorizer, tick)
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
