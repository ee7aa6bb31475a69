"""`vidcolor preview`."""

from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from vidcolor import __version__, outputs
from vidcolor.cli.next_command import color_command, tell_next
from vidcolor.cli.number_types import Number, Whole
from vidcolor.cli.param_types import DEVICE, Existing, ModelName, Output, ParamType
from vidcolor.cli.progress import show_count
from vidcolor.cli.text import say
from vidcolor.cli.timecode import Timecode, check_range
from vidcolor.counts import counted
from vidcolor.errors import Remark, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vidcolor.films.preview import Sample
    from vidcolor.inference.colorizer import Colorizer


class CommaSeparated(ParamType[tuple[Any, ...]]):
    """A list of values with commas between them."""

    def __init__(self, one: ParamType[Any]) -> None:
        self._one, self.name = one, f"{one.name},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Text -> the values, each once."""
        texts = value if isinstance(value, tuple) else str(value).split(",")
        return tuple(dict.fromkeys(self._one.convert(text.strip(), param, ctx) for text in texts))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the last value."""
        before, comma, last = incomplete.rpartition(",")
        found = self._one.shell_complete(ctx, param, last)
        return [CompletionItem(before + comma + item.value, type=item.type) for item in found]


@click.command("preview")
@click.argument("film", metavar="FILM|FOLDER", type=Existing())
@click.option(
    "-o", "--output", type=Output(path_type=Path), help="Contact sheet to write, a PNG file; or the clip, a film."
)
@click.option(
    "--export-references", "folder", type=Output(path_type=Path, file_okay=False),
    help="Folder for each shot's first frame in color, to be corrected and given back as colorize --reference.",
)  # fmt: skip
@click.option("--shots", "most", type=Whole(min=1), default=24, show_default=True, help="Pictures on the sheet.")
@click.option(
    "--models", "--model", "models", type=CommaSeparated(ModelName()), default="default", show_default=True,
    help="Models' names, files or mixtures, commas between them: a column for each.",
)  # fmt: skip
@click.option(
    "--size", "sizes", type=CommaSeparated(Whole(32, 4096)),
    help="Short side of the network's input, in pixels; may be a list.",
)  # fmt: skip
@click.option(
    "--saturation", "saturations", type=CommaSeparated(Number(0, 4)), default="1", show_default=True,
    help="Factor on color; may be a list.",
)  # fmt: skip
@click.option(
    "--palette", "palettes", type=Existing(), multiple=True,
    help="Photo whose range of colors is taken: a column more. May be repeated.",
)  # fmt: skip
@click.option(
    "--clip", type=Timecode(), help="Write a clip of this length instead of a sheet, its left half unchanged."
)
@click.option("--at", type=Timecode(), help="Where in the film the clip begins; else where --start says.")
@click.option(
    "--device", type=DEVICE, default="auto", show_default=True, help="auto, all, cpu, or a list: cuda:0,cuda:1."
)
@click.option("--start", type=Timecode(), help="Where in the film to begin: seconds or H:MM:SS.")
@click.option("--end", type=Timecode(), help="Where in the film to end.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def command(
    *, film: Path, output: Path | None, folder: Path | None, most: int, models: tuple[str, ...],
    sizes: tuple[int, ...] | None, saturations: tuple[float, ...], palettes: tuple[Path, ...],
    clip: float | None, at: float | None, device: str, start: float | None, end: float | None, overwrite: bool,
) -> None:  # fmt: skip
    """Preview the colors of a film, shot by shot, or of a folder's photos: before and after.

    A long shot is shown by several frames, none of them black. Lists of models, sizes and saturations give a column
    for each combination, and each palette one more. A clip has the film's sound, its left half unchanged and its right
    half in color.

    \b
    Examples:
      vidcolor preview film.mp4 -o sheet.png
      vidcolor preview scans/ -o sheet.png
      vidcolor preview film.mp4 -o sheet.png --models default,mine.safetensors --saturation 0.7,1,1.3
      vidcolor preview film.mp4 -o clip.mp4 --clip 10s --at 1:00
      vidcolor preview film.mp4 --export-references stills/
      vidcolor film.mp4 -o out.mp4 --reference stills/
    """
    check_range(start, end)
    is_sheet = clip is None and folder is None
    shown = (None, *palettes) if is_sheet or not palettes else palettes
    combinations = list(product(models, sizes or (None,), saturations, shown))
    if output is None and folder is None:
        raise UsageError("preview: say what to write: -o sheet.png, --export-references stills/, or both.")
    if len(combinations) > 1 and (clip is not None or folder is not None):
        what = "a clip shows" if clip is not None else "stills are exported with"
        raise UsageError(f"{what} one choice of colors: name one model, one size, one saturation and one palette.")
    if film.is_dir() and (folder is not None or (clip, at, start, end) != (None,) * 4):
        raise UsageError(f"{film}: is a folder of photos, which has a sheet alone: -o sheet.png.")
    with ExitStack() as stack:
        if clip is not None:
            if output is None or folder is not None or not clip:
                raise UsageError("--clip takes more than 0 seconds and is written to -o clip.mp4, without stills.")
            begin = at if at is not None else start or 0.0
            last = begin + clip if end is None else min(end, begin + clip)
            check_range(begin, last)
            load = partial(_load_colorizers, stack, combinations, device)
            _write_clip(film, output, load, begin=begin, end=last, overwrite=overwrite)
            tell_next(color_command(film, _options(*combinations[0])))
            return
        if at is not None:
            raise UsageError("--at says where a clip begins: pass --clip 10s too, or --start for the sheet.")
        _check_outputs(output, folder, overwrite=overwrite, inputs=[film, *map(Path, models), *palettes])
        colorizers = _load_colorizers(stack, combinations, device)
        if film.is_dir() and output is not None:
            _write_photos(film, output, most, colorizers, overwrite=overwrite)
        else:
            _write_shots(film, output, folder, most, colorizers, start=start, end=end, overwrite=overwrite)
        _tell_next(film, folder, dict(zip(colorizers, combinations, strict=True)))


def _options(model: str, size: int | None, saturation: float, palette: Path | None) -> list[tuple[str, object]]:
    """A combination as options of `colorize`; defaults are left out."""
    return [
        ("--model", None if model == "default" else model), ("--size", size),
        ("--saturation", None if saturation == 1 else f"{saturation:g}"), ("--palette", palette),
    ]  # fmt: skip


def _tell_next(
    film: Path, folder: Path | None, combinations: dict[str, tuple[str, int | None, float, Path | None]]
) -> None:
    """Tell the command that colors the film as it was shown: one for each column."""
    stills = [("--reference", folder)]
    for name, combination in combinations.items():
        command = color_command(film, [*stills, *_options(*combination)])
        tell_next(command, name if len(combinations) > 1 else "")


def _check_outputs(output: Path | None, folder: Path | None, *, overwrite: bool, inputs: list[Path]) -> None:
    if output is not None:
        if output.suffix.lower() != ".png":
            raise UsageError(f"{output}: the sheet is a PNG file, such as sheet.png. For a clip pass --clip 10s.")
        outputs.check(output, overwrite=overwrite, inputs=inputs)
    if folder is not None and folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise UsageError(f"{folder}: has files already. Choose another folder or pass --overwrite.")


def _load_colorizers(
    stack: ExitStack, combinations: list[tuple[str, int | None, float, Path | None]], device: str
) -> "dict[str, Colorizer]":
    """Load a colorizer for each combination, named by what differs; every model is loaded once."""
    from vidcolor.inference import mixing
    from vidcolor.inference.colorizer import Colorizer

    loaded: dict[str, Colorizer] = {}
    found: dict[str, Colorizer] = {}
    varies = [len(set(values)) > 1 for values in zip(*combinations, strict=True)]
    for model, size, saturation, palette in combinations:
        if model not in loaded:
            loaded[model] = stack.enter_context(Colorizer.load(model, device=device))
        said = (
            mixing.label(model), f"size {size or loaded[model].size}", f"saturation {saturation:g}",
            "no palette" if palette is None else palette.name,
        )  # fmt: skip
        name = ", ".join(text for text, is_said in zip(said, varies, strict=True) if is_said) or "after"
        found[name if name not in found else f"{name} ({model})"] = stack.enter_context(
            loaded[model].with_palette(palette).with_settings(size=size, saturation=saturation)
        )
    return found


def _write_shots(
    film: Path, output: Path | None, folder: Path | None, most: int, colorizers: "dict[str, Colorizer]", *,
    start: float | None, end: float | None, overwrite: bool,
) -> None:  # fmt: skip
    """Write the sheet, the stills, or both."""
    from vidcolor.evaluation.contact_sheet import LARGE_CELL, ContactSheet
    from vidcolor.films.pipeline import view_of
    from vidcolor.films.preview import (
        SAMPLE_SIDE,
        choose_evenly,
        render_color,
        render_gray,
        sample_shots,
        share_out,
    )
    from vidcolor.films.references import reference_name
    from vidcolor.media.frame_clock import FrameClock
    from vidcolor.media.source import FilmSource
    from vidcolor.stills.rgb import write_png

    sheet, first_one = ContactSheet(LARGE_CELL), next(iter(colorizers.values()))
    side = max(SAMPLE_SIDE, *(colorizer.size for colorizer in colorizers.values()))
    with FilmSource(film, start=start, end=end) as source, show_count("shots") as tell:
        info, count = source.info, 0
        seen = partial(first_one.lightness, picture=info.picture, view=view_of(info))
        clock = FrameClock(film)
        first = clock.number_at(start)

        def exported() -> "Iterator[list[Sample]]":
            nonlocal count
            for count, (shot, samples) in enumerate(sample_shots(source, seen, side), start=1):
                if folder is not None:
                    write_png(folder / reference_name(first + shot.number), render_color(shot, info, first_one))
                tell(count, None)
                yield samples

        chosen = choose_evenly(exported(), most)
        for sample in (sample for samples in share_out(chosen, most) for sample in samples if output is not None):
            number = first + sample.number
            label = f"frame {number}" + (f", {clock.time_of(number):.1f} s" if clock.has_times else "")
            columns = {name: render_color(sample, info, colorizer) for name, colorizer in colorizers.items()}
            sheet.add((0, number), label, {"before": render_gray(sample, info), **columns})
    if output is not None:
        outputs.write(output, sheet.to_png(), overwrite=overwrite)
        pictures = f" by {counted(len(sheet), 'frame')}" if len(sheet) > len(chosen) else ""
        say(f"{output}: {len(chosen)} of {counted(count, 'shot')}{pictures}")
    if folder is not None:
        say(f"{folder}: {counted(count, 'still')}; correct those that need it, delete the others")


def _write_photos(
    folder: Path, output: Path, most: int, colorizers: "dict[str, Colorizer]", *, overwrite: bool
) -> None:
    """Write the sheet of a folder's photos, evenly chosen."""
    from vidcolor.evaluation.contact_sheet import LARGE_CELL, ContactSheet
    from vidcolor.films.preview import pick_evenly
    from vidcolor.studio.sheet import color_photos, photos_of

    sheet, photos, problems = ContactSheet(LARGE_CELL), photos_of(folder), list[str]()
    chosen = pick_evenly(photos, most)
    with show_count("photos") as tell:
        for count, (name, found) in enumerate(color_photos(chosen, colorizers), start=1):
            if isinstance(found, str):
                problems.append(found)
            else:
                sheet.add((0, count), name, found)
            tell(count, len(chosen))
    for problem in problems:
        say(f"vidcolor: warning: {problem}")
    if not len(sheet):
        raise SourceError(f"{folder}: none of its photos can be read.")
    outputs.write(output, sheet.to_png(), overwrite=overwrite)
    say(f"{output}: {len(sheet)} of {counted(len(photos), 'photo')}")


def _write_clip(
    film: Path, output: Path, load: "partial[dict[str, Colorizer]]", *, begin: float, end: float, overwrite: bool
) -> None:
    """Write a part of the film with all its streams, the left half of its picture unchanged."""
    from vidcolor.films.preview import split_frames
    from vidcolor.media.encoders import OutputSettings
    from vidcolor.media.sink import FilmSink
    from vidcolor.media.source import FilmSource

    with FilmSource(film, start=begin, end=end) as source:
        sink = FilmSink(
            output, source, OutputSettings(overwrite=overwrite), comment=f"Preview by vidcolor {__version__}"
        )
        (colorizer,) = load().values()
        with sink, show_count("frames") as tell:
            for count, frame in enumerate(split_frames(source, colorizer), start=1):
                sink.write(frame)
                tell(count, None)
    for warning in (warning for warning in sink.warnings if not isinstance(warning, Remark)):
        say(f"vidcolor: warning: {film.name}: {warning}.")
    say(f"{output}: {counted(sink.frames_written, 'frame')}, left as it was, right in color")
