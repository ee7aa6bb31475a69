"""`vidcolor preview`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidcolor.cli.terminal import Timecode, counting
from vidcolor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vidcolor.preview import Shot


@click.command("preview")
@click.argument("film", metavar="FILM", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Contact sheet to write: a PNG file.")
@click.option(
    "--export-references", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="Folder for each shot's first frame in colour, to be corrected and given back as colorize --reference.",
)  # fmt: skip
@click.option("--shots", "most", type=click.IntRange(min=1), default=24, show_default=True, help="Shots on the sheet.")
@click.option("--model", default="default", show_default=True, help="A packaged model's name or a model file.")
@click.option("--size", type=click.IntRange(32, 4096), help="Short side, in pixels, that the network looks at.")
@click.option("--saturation", type=click.FloatRange(0, 4), default=1.0, show_default=True, help="Factor on colour.")
@click.option("--device", default="auto", show_default=True, help="auto, all, cpu, or a list: cuda:0,cuda:1.")
@click.option("--start", type=Timecode(), help="Where in the film to begin: seconds or H:MM:SS.")
@click.option("--end", type=Timecode(), help="Where in the film to end.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def command(
    *, film: Path, output: Path | None, folder: Path | None, most: int, model: str, size: int | None,
    saturation: float, device: str, start: float | None, end: float | None, overwrite: bool,
) -> None:  # fmt: skip
    """Look at a film's colours before it is worked: every shot's first frame, before and after.

    \b
    Examples:
      vidcolor preview film.mp4 -o sheet.png
      vidcolor preview film.mp4 --export-references stills/
      vidcolor film.mp4 -o out.mp4 --reference stills/
    """
    from vidcolor.colorizer import Colorizer
    from vidcolor.evaluation import report
    from vidcolor.evaluation.sheet import Sheet
    from vidcolor.media.photos import write_png
    from vidcolor.media.references import reference_name
    from vidcolor.media.source import FilmSource
    from vidcolor.pipeline import view_of
    from vidcolor.preview import before_and_after, evenly, shots

    if output is None and folder is None:
        raise UsageError("preview: say what to write: -o sheet.png, --export-references stills/, or both.")
    if output is not None:
        report.check_target(output, overwrite=overwrite)
    if folder is not None and folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise UsageError(f"{folder}: has files already. Choose another folder or pass --overwrite.")
    sheet = Sheet()
    with (
        FilmSource(film, start=start, end=end) as source,
        Colorizer.load(model, device=device, size=size, saturation=saturation) as colorizer,
        counting("shots") as tell,
    ):
        info, count = source.info, 0
        seen = partial(colorizer.lightness, picture=info.picture, view=view_of(info))
        first = round((start or 0) * (info.frame_rate or 0))

        def exported() -> "Iterator[Shot]":
            nonlocal count
            for count, shot in enumerate(shots(source, seen), start=1):
                if folder is not None:
                    _, after = before_and_after(shot, info, colorizer)
                    write_png(folder / reference_name(first + shot.number), after)
                tell(count, None)
                yield shot

        for shot in evenly(exported(), most):
            number = first + shot.number
            label = f"frame {number}" + (f", {number / float(info.frame_rate):.1f} s" if info.frame_rate else "")
            if output is not None:
                before, after = before_and_after(shot, info, colorizer)
                sheet.add((0, number), label, {"before": before, "after": after})
    if output is not None:
        report.write(output, sheet.png())
        click.echo(f"{output}: {len(sheet)} of {count} shots", err=True)
    if folder is not None:
        click.echo(f"{folder}: {count} stills; correct those that need it, delete the others", err=True)
