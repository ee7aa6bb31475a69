"""`vidcolor evaluate`."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidcolor import choices, outputs
from vidcolor.cli.number_types import Number, Whole
from vidcolor.cli.param_types import DEVICE, Existing, ModelName
from vidcolor.cli.progress import counting
from vidcolor.cli.text import answer, as_json, check_answered, say
from vidcolor.errors import SourceError
from vidcolor.printable import printable

if TYPE_CHECKING:
    from vidcolor.evaluation.film_ways import FilmWay
    from vidcolor.evaluation.films import FilmReport
    from vidcolor.evaluation.photos import Metric, PhotoReport
    from vidcolor.evaluation.report import Table
    from vidcolor.evaluation.sheet import Sheet
    from vidcolor.inference.colorizer import Colorizer

SHEET_PHOTOS = 12
SHEET_FRAMES = 4  # of each film
WIDE = 160
MOST_NAMED = 5  # photos left out that are named one by one


@click.command("evaluate")
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=Existing())
@click.option(
    "--model", "models", type=ModelName(), multiple=True, default=["default"], help="Model to measure; may be repeated."
)
@click.option("--size", type=Whole(32, 4096), help="Short side, in pixels, that the network looks at.")
@click.option(
    "--precision", type=click.Choice(choices.PRECISIONS), default="auto", show_default=True,
    help="Arithmetic of the network, as in colorize.",
)  # fmt: skip
@click.option("--saturation", type=Number(0, 4), default=1.0, show_default=True, help="Factor on color.")
@click.option(
    "--steady", "steadying", multiple=True, type=click.Choice(choices.EVALUATED_STEADY_MODES),
    default=["flow"], show_default=True,
    help="How films' colors are held still; auto: --every auto. May be repeated.",
)  # fmt: skip
@click.option(
    "--device", type=DEVICE, default="auto", show_default=True, help="auto, all, cpu, or a list: cuda:0,cuda:1."
)
@click.option(
    "--metric", "metrics", multiple=True, type=click.Choice(choices.METRICS),
    help="One more metric of photos; may be repeated.",
)  # fmt: skip
@click.option(
    "--stock", "stocks", multiple=True, default=["panchromatic"], show_default=True,
    type=click.Choice(choices.STOCKS),
    help="What photos look like to the model; may be repeated.",
)  # fmt: skip
@click.option("--limit", type=Whole(min=1), help="Measure only so many photos, evenly spread.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Contact sheet to write: a PNG file.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="File to write the rows to.")
@click.option("--overwrite", is_flag=True, help="Replace an existing sheet or CSV file.")
@click.option("--json", "is_json", is_flag=True, help="One JSON object a row on stdout, with PSNR by category.")
def command(
    *, data: tuple[Path, ...], models: tuple[str, ...], size: int | None, precision: str,
    saturation: float, steadying: tuple[str, ...], device: str, metrics: tuple[str, ...], stocks: tuple[str, ...],
    limit: int | None,
    sheet: Path | None, csv_file: Path | None, overwrite: bool, is_json: bool,
) -> None:  # fmt: skip
    """Measure models on color photos and films: take the color away, put it back, compare.

    DATA is any mixture of folders, zip and tar archives, photos and films. The gray and truth rows stand beside every
    model, because most metrics flatter gray.

    \b
    Examples:
      vidcolor evaluate photos/ --model default --model mine.safetensors
      vidcolor evaluate film.mp4 --steady off --steady flow --steady auto
      vidcolor evaluate photos.tar film.mp4 --limit 100 --sheet sheet.png --csv rows.csv
    """
    from vidcolor.evaluation import report, sources
    from vidcolor.evaluation.sheet import Sheet
    from vidcolor.inference.backends import parse_devices
    from vidcolor.inference.colorizer import Colorizer

    for target in filter(None, (sheet, csv_file)):
        outputs.check(target, overwrite=overwrite, inputs=[*data, *map(Path, models)])
    found = sources.split(list(data))
    torch_device = parse_devices(device)[0]
    further = _metrics(metrics, torch_device)
    pictures = Sheet() if sheet else None
    problems: list[str] = []
    with ExitStack() as stack:
        colorizers = {
            model: stack.enter_context(
                Colorizer.load(model, device=device, precision=precision, size=size, saturation=saturation)
            )
            for model in models
        }
        photos = _measure_photos(
            found.photos, colorizers, stocks, limit, torch_device, further, pictures, problems,
            is_wobbling="wobble" in metrics,
        )  # fmt: skip
        films = _measure_films(found.films, colorizers, steadying, pictures, problems)
    if photos is None and not films:
        raise SourceError(" ".join(problems) or f"{', '.join(map(str, data))}: no photo and no film found.")
    for problem in problems:
        say(f"vidcolor: warning: {problem} Left out.")
    rows = report.rows(photos, films)
    if csv_file:
        outputs.write(csv_file, report.as_csv(rows).encode(), overwrite=overwrite)
    if sheet and pictures:
        outputs.write(sheet, pictures.png(), overwrite=overwrite)
    if is_json:
        for row in rows:
            answer(as_json(row))
        return
    if photos:
        _print(report.photo_title(photos), report.photo_table(photos.scores))
    if films:
        _print(report.film_title(films), report.film_table(films), caption=report.FILM_CAPTION)


def _metrics(names: tuple[str, ...], device: str) -> "list[Metric]":
    """The metrics that look at one picture at a time."""
    from vidcolor.evaluation.learned_metrics import load_metrics
    from vidcolor.evaluation.neutrals import Neutrals

    plain: list[Metric] = [Neutrals()] if "neutrals" in names else []
    return plain + load_metrics([name for name in names if name in choices.LEARNED_METRICS], device)


def _measure_photos(
    photos: tuple[Path, ...], colorizers: "dict[str, Colorizer]", stocks: tuple[str, ...], limit: int | None,
    device: str, metrics: "list[Metric]", sheet: "Sheet | None", problems: list[str], *, is_wobbling: bool,
) -> "PhotoReport | None":  # fmt: skip
    """What the photos give; None where there are none, or where not one of them can be read."""
    from vidcolor.evaluation.photos import evaluate, recolor
    from vidcolor.evaluation.sources import count_photos, spread
    from vidcolor.evaluation.stocks import STOCKS

    count = count_photos(photos)
    if not count:
        return None
    ways, shown_as = {}, {}
    for model, colorizer in colorizers.items():
        for stock in stocks:
            way = model if len(stocks) == 1 else f"{model} {stock}"
            ways[way], shown_as[way] = partial(recolor, colorizer=colorizer), STOCKS[stock]
    measured = spread(count, limit or count)
    shown = {measured[index] for index in spread(len(measured), SHEET_PHOTOS)}

    def keep(number: int, name: str, pictures: Any) -> None:
        if sheet is not None and number in shown:
            sheet.add((0, number), name, pictures)

    try:
        with counting("photos") as tell:
            found = evaluate(
                list(photos), ways, limit=limit, device=device, metrics=metrics, is_wobbling=is_wobbling,
                stocks=shown_as, on_pictures=keep, on_photo=tell,
            )  # fmt: skip
    except SourceError as error:
        problems.append(str(error))
        return None
    for names, why in ((found.unreadable, "cannot be read, or is under 7 pixels"), (found.gray, "has no color")):
        problems += [f"{name}: {why}." for name in names[:MOST_NAMED]]
        if (more := len(names) - MOST_NAMED) > 0:
            problems.append(f"{more} more photos: the same.")
    return found


def _measure_films(
    films: tuple[Path, ...], colorizers: "dict[str, Colorizer]", steadying: tuple[str, ...], sheet: "Sheet | None",
    problems: list[str],
) -> "list[FilmReport]":  # fmt: skip
    """What each film gives; one that cannot be measured is left out."""
    from vidcolor.evaluation.films import evaluate_film

    ways = {
        model if len(steadying) == 1 else f"{model} {how}": _film_way(colorizer, how)
        for model, colorizer in colorizers.items()
        for how in steadying
    }
    reports = []
    for number, film in enumerate(films, start=1):
        try:
            with counting(film.name) as tell:
                found = evaluate_film(film, ways, on_pictures=_keep_frames(sheet, film, number), on_frame=tell)
        except SourceError as error:
            problems.append(str(error))
            continue
        if found.damage:
            say(f"vidcolor: warning: {film.name} is damaged: {found.damage}; measured as it decodes.")
        reports.append(found)
    return reports


def _film_way(colorizer: "Colorizer", how: str) -> "FilmWay":
    from vidcolor.evaluation.film_ways import ema_way, model_way
    from vidcolor.steady import Steadiness

    if how == "ema":
        return ema_way(colorizer)
    mode: choices.SteadyMode = next((mode for mode in choices.STEADY_MODES if mode == how), "flow")
    return model_way(colorizer, Steadiness(mode, every=None if how == "auto" else 1))


def _keep_frames(sheet: "Sheet | None", film: Path, order: int) -> Callable[[int, str, Any], None]:
    """Puts frames from all over the film on the sheet."""
    from vidcolor.evaluation.sources import spread
    from vidcolor.media.probe import probe

    shown = set(spread(probe(film).frame_count or 1, SHEET_FRAMES)) if sheet is not None else set()

    def keep(number: int, name: str, pictures: Any) -> None:
        if sheet is not None and number in shown:
            sheet.add((order, number), f"{name}, frame {number}", pictures)

    return keep


def _print(title: str, rows: "Table", *, caption: str | None = None) -> None:
    from rich.table import Table

    from vidcolor.cli.console import Terminal

    heading, *body = [[printable(cell) for cell in row] for row in rows]
    table: Any = Table(title=printable(title), title_justify="left", caption=caption, caption_justify="left")
    for column, name in enumerate(heading):
        table.add_column(name, justify="right" if column else "left", overflow="fold")
    for row in body:
        table.add_row(*row)
    console = Terminal()
    if console.is_terminal and sum(max(map(len, column)) + 3 for column in zip(*rows, strict=True)) >= console.width:
        _print_one_by_one(title, rows, caption)
        return
    # In a file or a pipe nothing need be folded to eighty columns.
    Terminal(width=None if console.is_terminal else WIDE, soft_wrap=True).print(table)
    check_answered()


def _print_one_by_one(title: str, rows: "Table", caption: str | None) -> None:
    """For a terminal that is too narrow for a table."""
    (_, *names), *body = rows
    answer(title)
    for name, *values in body:
        answer(name)
        for label, value in zip(names, values, strict=True):
            answer(f"  {label:<{max(map(len, names))}}  {value}")
    if caption:
        answer(caption)
