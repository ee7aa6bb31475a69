"""`vidcolor colorize`, the default command."""

import shlex
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vidcolor import choices
from vidcolor.cli import log
from vidcolor.cli.cluster_films import colorize_films_on_cluster
from vidcolor.cli.films import colorize_films
from vidcolor.cli.next_command import suggest_output
from vidcolor.cli.number_types import Number, OrAuto, Rate, Whole
from vidcolor.cli.param_types import DEVICE, FILE, Choice, Existing, ModelName, WithCompletion
from vidcolor.cli.progress import make_observer
from vidcolor.cli.scans import ScanJob, are_photos, are_scans, colorize_scans, describe_scans
from vidcolor.cli.text import say
from vidcolor.cli.timecode import Timecode, check_range
from vidcolor.errors import UsageError

if TYPE_CHECKING:
    from vidcolor.batch.options import BatchOptions


PRESET = WithCompletion(click.STRING, choices.PRESETS)


FOR_FILMS = (
    "steady", "every", "shot_memory", "references", "stills_by", "codec", "crf", "preset", "pix_fmt",
    "encoder", "hwaccel", "convert_audio", "drop_audio",
)  # fmt: skip
FOR_PHOTOS = ("quality", "subsampling", "largest_photo")


class FrameInterval(OrAuto):
    """Parameter type: a number of frames; auto becomes None."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Convert text to a number of frames."""
        every = super().convert(value, param, ctx)
        if every is not None and every > 1:
            from vidcolor.steady.key_frames import check_every  # loads what films need

            check_every(every)
        return every


@click.command("colorize")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=Existing())
@click.option("-o", "--output", type=FILE, help="File to write, or a folder for several films.  [required]")
@click.option(
    "--model",
    type=ModelName(),
    default="default",
    show_default=True,
    help="A model's name, a model file, or a mixture of them: a+b, a:0.6+b:0.4.",
)
@click.option("--size", type=Whole(32, 4096), help="Short side, in pixels, that the network looks at.")
@click.option(
    "--batch-size", type=OrAuto("is not a batch size; write 1, 8 or auto"), default="auto", show_default=True,
    help="Frames a device works on at once, or auto.",
)  # fmt: skip
@click.option(
    "--device", type=DEVICE, default="auto", show_default=True, help="auto, all, cpu, or a list: cuda:0,cuda:1."
)
@click.option(
    "--precision", type=Choice(choices.PRECISIONS), default="auto", show_default=True,
    help="Arithmetic of the network; auto takes the faster of fp32 and bf16, int8 suits CPUs without bf16.",
)  # fmt: skip
@click.option("--saturation", type=Number(0, 4), default=1.0, show_default=True, help="Factor on color.")
@click.option("--palette", type=Existing(), help="Photo whose range of colors is taken, where the network is unsure.")
@click.option(
    "--steady", type=Choice(choices.STEADY_MODES), default="shot", show_default=True,
    help="Hold colors still: not, where pixels stay alike, along the motion, also for a shot.",
)  # fmt: skip
@click.option(
    "--every", type=FrameInterval("is not a frame interval; write 1 (every frame), 4 (one in four) or auto"),
    help="Let the network look at one frame in N, or at as few as will do (auto); motion carries its colors on."
    " [default: 1; auto for a published model slower than a film]",
)  # fmt: skip
@click.option("--shot-memory", is_flag=True, help="When the film cuts back to a shot, its colors return.")
@click.option(
    "--reference", "references", multiple=True, type=Existing(),
    help="Still in color that its shot follows; a folder of them, or a list of times and stills. May be repeated.",
)  # fmt: skip
@click.option(
    "--hints", type=Existing(),
    help="JSON file of colors that you say of points, strokes and regions.",
)  # fmt: skip
@click.option("--project", type=Existing(), help="JSON file of what was decided of a film, or of photos.")
@click.option(
    "--stills-by", metavar="COMMAND",
    help="Program that colors each shot's first frame, {in} to {out}; the shot follows.",
)  # fmt: skip
@click.option(
    "--codec", type=Choice(choices.CODECS),
    help="Video codec. [default: h264; in WebM av1]",
)  # fmt: skip
@click.option("--crf", type=Whole(0, 63), default=18, show_default=True, help="Quality; lower is better.")
@click.option(
    "--preset", type=PRESET, default="veryfast", show_default=True, help="Speed of the encoder, ultrafast to veryslow."
)
@click.option("--pix-fmt", help="Pixel format to write. [default: the film's depth and subsampling]")
@click.option(
    "--encoder", type=Choice(choices.ENCODERS), default="software", show_default=True,
    help="What encodes: the processor, or a graphics chip, of this maker or any (hardware).",
)  # fmt: skip
@click.option(
    "--hwaccel", type=Choice(choices.HWACCELS), default="off", show_default=True,
    help="Decode on a graphics chip, where it gives the very same luma.",
)  # fmt: skip
@click.option(
    "--convert-audio", type=Choice(choices.LOSSY_AUDIO),
    help="Lossy codec for sound that the container can hold in no other way; without it such a film is refused.",
)  # fmt: skip
@click.option("--drop-audio", is_flag=True, help="Leave all sound out.")
@click.option("--start", type=Timecode(), help="Where in the film to begin: seconds or H:MM:SS.")
@click.option("--end", type=Timecode(), help="Where in the film to end.")
@click.option(
    "--recolor/--keep-color",
    default=False,
    show_default=True,
    help="Photos, films and shots that have colors: color them anew, or keep them.",
)
@click.option(
    "--others", type=Choice(choices.OTHERS), default="copy", show_default=True,
    help="Files that are neither photos nor films.",
)  # fmt: skip
@click.option(
    "--nested/--no-nested", default=True, show_default=True,
    help="Zip and tar archives in a folder: color what is in them, or copy them as they are.",
)  # fmt: skip
@click.option("--quality", type=Whole(1, 100), help="Of lossy photo formats. [default: the source's]")
@click.option("--subsampling", type=Choice(choices.SUBSAMPLINGS), help="Of JPEG photos. [default: the source's]")
@click.option(
    "--largest-photo", type=Number(min=1), default=1000.0, show_default=True,
    help="Megapixels; larger pages are refused, as is what unpacks like a bomb.",
)  # fmt: skip
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on from what an earlier run did.")
@click.option(
    "--keep-segments/--no-keep-segments", default=False, show_default=True,
    help="Keep what is encoded, so that a film's changed project makes only changed shots anew.",
)  # fmt: skip
@click.option("--watch", is_flag=True, help="Keep looking for new files in the folder.")
@click.option(
    "--cluster", metavar="ADDRESS|auto",
    help="Work on all machines of a Ray cluster; auto: of the one this machine is in, else its own cores and GPUs.",
)  # fmt: skip
@click.option("--fps", type=Rate(), help="INPUT is numbered pictures of a film: 24, or 24000/1001 a second.")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and how long it would take.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout, nothing else there.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and failures.")
@log.option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    inputs: tuple[Path, ...],
    output: str | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Put color on films and photos; picture, sound, subtitles, timing and metadata stay as they are.

    Folders, zip and tar archives keep their tree and names. Work that an earlier run finished is not repeated.

    \b
    Examples:
      vidcolor film.mp4 -o out.mp4
      vidcolor reel1.mkv reel2.mkv -o colored/ --codec ffv1
      vidcolor scans/ -o color/
      vidcolor box.zip -o box-color.zip
      vidcolor film.mp4 -o out.mp4 --every auto --reference stills/
    """
    if output is None:
        raise UsageError(f"-o is missing: {_suggest_output(inputs)}")
    if output == "-":
        raise UsageError("-o -: a film is put together in a file. Name one, such as -o out.mkv.")
    check_range(options["start"], options["end"])
    fps, dry_run = options["fps"], options["dry_run"]
    is_every_given = ctx.get_parameter_source("every") is not ParameterSource.DEFAULT
    asked = _batch_options(options | {"is_every_given": is_every_given, "is_silent": quiet or as_json})
    if asked.films.keep_segments and (asked.cluster or (fps is None and are_scans(inputs, Path(output)))):
        raise UsageError("--keep-segments is for films that this machine colors one by one; leave it out.")
    if asked.cluster:
        if fps is not None:
            raise UsageError("--cluster takes no --fps: color numbered pictures on one machine, or make them a film.")
        asked = asked.for_other_machines()
    if fps is not None:
        inputs = (_open_sequence(inputs, fps),)
    elif are_scans(inputs, Path(output)):
        if are_photos(inputs):
            is_of_photos = (project := asked.read_project()) is not None and project.is_of_folder
            _warn_of_idle(ctx, FOR_FILMS if is_of_photos else (*FOR_FILMS, "project"), "photos")
        scans = ScanJob(inputs, Path(output), asked, as_json, quiet, options["watch"])
        ctx.exit(0 if (describe_scans if dry_run else colorize_scans)(scans) else 1)
    else:
        _warn_of_idle(ctx, FOR_PHOTOS, "films")
    with make_observer(as_json=as_json, quiet=quiet) as report:
        report.films_started()
        colorize = colorize_films_on_cluster if asked.cluster else colorize_films
        code = colorize(inputs, output, asked, report, dry_run=dry_run)
    ctx.exit(code)


def _warn_of_idle(ctx: click.Context, names: tuple[str, ...], what: str) -> None:
    """Warn of options that do nothing for the inputs."""
    given = [
        max(option.opts, key=len)
        for option in ctx.command.params
        if option.name in names and ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        say(f"vidcolor: warning: {', '.join(given)}: no effect on {what}.")


def _suggest_output(inputs: tuple[Path, ...]) -> str:
    """The advice where the output should go."""
    first = inputs[0]
    if len(inputs) > 1 or first.is_dir():
        return "say into which folder the colored files go, such as -o colored/."
    return f"say which file to write, such as -o {shlex.quote(suggest_output(first))}."


def _open_sequence(inputs: tuple[Path, ...], rate: Fraction) -> Path:
    """The address of one folder or pattern of numbered pictures as a film. Raises UsageError for several inputs."""
    from vidcolor.media.sequences import sequence_address

    if len(inputs) != 1:
        raise UsageError("--fps takes one folder of numbered pictures, or one pattern such as frame_%06d.png.")
    return sequence_address(inputs[0], rate)


def _batch_options(options: dict[str, Any]) -> "BatchOptions":
    """The command line's options as the library takes them. Raises UsageError."""
    from vidcolor.batch.options import BatchOptions
    from vidcolor.batch.photos import PhotoOptions
    from vidcolor.films.job import FilmOptions
    from vidcolor.inference import trial
    from vidcolor.inference.settings import ModelSettings

    def chosen(kind: type) -> dict[str, Any]:
        return {entry.name: options[entry.name] for entry in fields(kind) if entry.name in options}

    model = ModelSettings(**chosen(ModelSettings))
    if not options["is_every_given"]:
        tell = (lambda _: None) if options["is_silent"] else lambda line: say(f"vidcolor: {line}")
        options = options | {"every": trial.default_interval(model, is_here=options["cluster"] is None, tell=tell)}
    films = FilmOptions(**chosen(FilmOptions) | {"model": model})
    photos = PhotoOptions(**chosen(PhotoOptions))
    return BatchOptions(films, photos, others=options["others"], nested=options["nested"], cluster=options["cluster"])
