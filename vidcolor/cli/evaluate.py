"""`vidcolor evaluate`."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidcolor import choices, outputs
from vidcolor.cli.number_types import Number, Whole
from vidcolor.cli.param_types import DEVICE, Choice, Existing, ModelName, Output
from vidcolor.cli.progress import show_count
from vidcolor.cli.text import answer, check_answered, say, to_json
from vidcolor.counts import counted
from vidcolor.errors import SourceError
from vidcolor.printable import printable

if TYPE_CHECKING:
    from vidcolor.evaluation.contact_sheet import ContactSheet
    from vidcolor.evaluation.film_methods import FilmMethod
    from vidcolor.evaluation.films import FilmReport
    from vidcolor.evaluation.photos import Metric, PhotoReport
    from vidcolor.evaluation.report import Table
    from vidcolor.inference.colorizer import Colorizer

SHEET_PHOTOS = 12
SHEET_FRAMES = 4  # of each film
WIDE = 160
MAX_NAMED = 5  # skipped photos named in warnings


@click.command("evaluate")
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=Existing())
@click.option(
    "--model", "models", type=ModelName(), multiple=True, default=["default"], help="Model to measure; may be repeated."
)
@click.option("--size", type=Whole(32, 4096), help="Short side of the network's input, in pixels.")
@click.option(
    "--precision", type=Choice(choices.PRECISIONS), default="auto", show_default=True,
    help="Arithmetic of the network, as in colorize.",
)  # fmt: skip
@click.option("--saturation", type=Number(0, 4), default=1.0, show_default=True, help="Factor on color.")
@click.option("--palette", type=Existing(), help="Photo whose range of colors is taken, where the network is unsure.")
@click.option(
    "--steady", "steadying", multiple=True, type=Choice(choices.EVALUATED_STEADY_MODES),
    default=["shot"], show_default=True,
    help="How films' colors are steadied; auto: --every auto. May be repeated.",
)  # fmt: skip
@click.option(
    "--reference", "references", multiple=True, type=Choice(choices.TRUE_STILLS),
    default=["none"], show_default=True,
    help="Frames that films follow in true colors, like stills. May be repeated.",
)  # fmt: skip
@click.option(
    "--device", type=DEVICE, default="auto", show_default=True, help="auto, all, cpu, or a list: cuda:0,cuda:1."
)
@click.option(
    "--metric", "metrics", multiple=True, type=Choice(choices.METRICS),
    help="One more metric of photos; may be repeated.",
)  # fmt: skip
@click.option(
    "--stock", "stocks", multiple=True, default=["panchromatic"], show_default=True,
    type=Choice(choices.STOCKS),
    help="Film stock that photos imitate for the model; may be repeated.",
)  # fmt: skip
@click.option("--limit", type=Whole(min=1), help="Number of photos to measure, evenly spread.")
@click.option("--sheet", type=Output(path_type=Path), help="Contact sheet to write: a PNG file.")
@click.option("--csv", "csv_file", type=Output(path_type=Path), help="File to write the rows to.")
@click.option("--overwrite", is_flag=True, help="Replace an existing sheet or CSV file.")
@click.option(
    "--json", "is_json", is_flag=True, help="Write each row as a JSON object to stdout, with PSNR by category."
)
def command(
    *, data: tuple[Path, ...], models: tuple[str, ...], size: int | None, precision: str,
    saturation: float, palette: Path | None, steadying: tuple[str, ...],
    references: tuple[choices.TrueStills, ...], device: str, metrics: tuple[str, ...], stocks: tuple[str, ...],
    limit: int | None,
    sheet: Path | None, csv_file: Path | None, overwrite: bool, is_json: bool,
) -> None:  # fmt: skip
    """Measure models on color photos and films: remove the color, predict it, compare.

    DATA is any mixture of folders, zip and tar archives, photos and films. A gray row and a truth row are added,
    because most metrics flatter gray.

    \b
    Examples:
      vidcolor evaluate photos/ --model default --model mine.safetensors
      vidcolor evaluate film.mp4 --steady off --steady flow --steady shot
      vidcolor evaluate photos.tar film.mp4 --limit 100 --sheet sheet.png --csv rows.csv
    """
    from vidcolor.evaluation import report, sources
    from vidcolor.evaluation.contact_sheet import ContactSheet
    from vidcolor.inference.colorizer import Colorizer
    from vidcolor.inference.devices import parse_devices

    for target in filter(None, (sheet, csv_file)):
        outputs.check(target, overwrite=overwrite, inputs=[*data, *map(Path, models)])
    found = sources.split_sources(list(data))
    torch_device = parse_devices(device)[0]
    further = _load_metrics(metrics, torch_device)
    pictures = ContactSheet() if sheet else None
    problems: list[str] = []
    with ExitStack() as stack:
        colorizers = {
            model: stack.enter_context(
                Colorizer.load(
                    model, device=device, precision=precision, size=size, saturation=saturation, palette=palette
                )
            )
            for model in models
        }
        photos = _measure_photos(
            found.photos, colorizers, stocks, limit, torch_device, further, pictures, problems,
            with_stability="wobble" in metrics, with_hints="hints" in metrics,
        )  # fmt: skip
        films = _measure_films(found.films, colorizers, steadying, references, pictures, problems)
    if photos is None and not films:
        raise SourceError(" ".join(problems) or f"{', '.join(map(str, data))}: no photo and no film found.")
    for problem in problems:
        say(f"vidcolor: warning: {problem} Left out.")
    rows = report.rows(photos, films)
    if csv_file:
        outputs.write(csv_file, report.to_csv(rows).encode(), overwrite=overwrite)
    if sheet and pictures:
        outputs.write(sheet, pictures.to_png(), overwrite=overwrite)
    if is_json:
        for row in rows:
            answer(to_json(row))
        return
    if photos:
        _print(report.photo_title(photos), report.photo_table(photos.scores))
    if films:
        _print(report.film_title(films), report.film_table(films), caption=report.FILM_CAPTION)


def _load_metrics(names: tuple[str, ...], device: str) -> "list[Metric]":
    """Load the metrics that measure one picture at a time."""
    from vidcolor.evaluation.learned_metrics import load_metrics
    from vidcolor.evaluation.neutrals import Neutrals

    plain: list[Metric] = [Neutrals()] if "neutrals" in names else []
    return plain + load_metrics([name for name in names if name in choices.LEARNED_METRICS], device)


def _measure_photos(
    photos: tuple[Path, ...], colorizers: "dict[str, Colorizer]", stocks: tuple[str, ...], limit: int | None,
    device: str, metrics: "list[Metric]", sheet: "ContactSheet | None", problems: list[str], *, with_stability: bool,
    with_hints: bool,
) -> "PhotoReport | None":  # fmt: skip
    """Measure the photos; None where there are none, or none can be read."""
    import numpy as np

    from vidcolor.evaluation.photos import evaluate, recolor
    from vidcolor.evaluation.sources import count_photos, spread_evenly
    from vidcolor.evaluation.stocks import STOCKS

    count = count_photos(photos)
    if not count:
        return None
    methods, shown_as, hinted = {}, {}, {}
    for model, colorizer in colorizers.items():
        for stock in stocks:
            name = model if len(stocks) == 1 else f"{model} {stock}"
            methods[name], shown_as[name] = partial(recolor, colorizer=colorizer), STOCKS[stock]
            if with_hints:
                hinted[name] = partial(_color_by_hints, colorizer)
    measured = spread_evenly(count, limit or count)
    shown = {measured[index] for index in spread_evenly(len(measured), SHEET_PHOTOS)}

    def keep(number: int, name: str, pictures: Any) -> None:
        if sheet is not None and number in shown:
            aged = {
                f"input ({stock})": np.repeat(STOCKS[stock](pictures["truth"])[..., None], 3, axis=2)
                for stock in stocks
                if stock != "panchromatic"
            }
            sheet.add((0, number), name, {"gray": pictures["gray"]} | aged | pictures)

    try:
        with show_count("photos") as tell:
            found = evaluate(
                list(photos), methods, limit=limit, device=device, metrics=metrics,
                with_stability=with_stability, hinted=hinted, stocks=shown_as, on_pictures=keep, on_photo=tell,
            )  # fmt: skip
    except SourceError as error:
        problems.append(str(error))
        return None
    for names, why in ((found.unreadable, "cannot be read, or is under 7 pixels"), (found.gray, "has no color")):
        problems += [f"{name}: {why}." for name in names[:MAX_NAMED]]
        if (more := len(names) - MAX_NAMED) > 0:
            problems.append(f"{counted(more, 'more photo')}: the same.")
    return found


def _color_by_hints(colorizer: "Colorizer", lumas: Any, known: Any) -> Any:
    from vidcolor.evaluation.photos import recolor

    return recolor(lumas, colorizer, known=known)


def _measure_films(
    films: tuple[Path, ...], colorizers: "dict[str, Colorizer]", steadying: tuple[str, ...],
    references: tuple[choices.TrueStills, ...], sheet: "ContactSheet | None", problems: list[str],
) -> "list[FilmReport]":  # fmt: skip
    """Measure each film; a film that cannot be measured is left out."""
    from vidcolor.evaluation.films import evaluate_film

    methods = {}
    for (model, colorizer), how, stills in product(colorizers.items(), steadying, references):
        said = (model, how if len(steadying) > 1 else "", stills if len(references) > 1 else "")
        methods[" ".join(filter(None, said))] = _make_film_method(colorizer, how, stills)
    reports = []
    for number, film in enumerate(films, start=1):
        try:
            with show_count(film.name) as tell:
                found = evaluate_film(film, methods, on_pictures=_make_frame_keeper(sheet, film, number), on_frame=tell)
        except SourceError as error:
            problems.append(str(error))
            continue
        if found.damage:
            say(f"vidcolor: warning: {film.name} is damaged: {found.damage}; measured as it decodes.")
        reports.append(found)
    return reports


def _make_film_method(colorizer: "Colorizer", how: str, stills: choices.TrueStills) -> "FilmMethod":
    from vidcolor.evaluation.film_methods import make_ema_method, make_model_method
    from vidcolor.steady import Steadiness

    if how == "ema":
        return make_ema_method(colorizer)
    mode: choices.SteadyMode = next((mode for mode in choices.STEADY_MODES if mode == how), "shot")
    return make_model_method(colorizer, Steadiness(mode, every=None if how == "auto" else 1), stills)


def _make_frame_keeper(sheet: "ContactSheet | None", film: Path, order: int) -> Callable[[int, str, Any], None]:
    """Make a callback that adds frames spread over the film to the sheet."""
    from vidcolor.evaluation.sources import spread_evenly
    from vidcolor.media.probe import probe

    shown = set(spread_evenly(probe(film).frame_count or 1, SHEET_FRAMES)) if sheet is not None else set()

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
    # In a file or a pipe, lines are not folded to 80 columns.
    Terminal(width=None if console.is_terminal else WIDE, soft_wrap=True).print(table)
    check_answered()


def _print_one_by_one(title: str, rows: "Table", caption: str | None) -> None:
    """Print the rows one by one, for a terminal too narrow for a table."""
    (_, *names), *body = rows
    answer(title)
    for name, *values in body:
        answer(name)
        for label, value in zip(names, values, strict=True):
            answer(f"  {label:<{max(map(len, names))}}  {value}")
    if caption:
        answer(caption)
