"""Compare models on color photos: every score, by category, by film stock, and differences with their errors.

`python benchmarks/models.py PHOTOS --model OLD --model NEW` prints Markdown tables; the folders in PHOTOS are the
categories. Differences are paired: those of each photo to the first model, at the first one's amount of color, with the
standard error of their mean. What is within twice the error is no difference. `--stock newsreel` takes them on photos
as that film would have recorded them, with the colors on plain luma.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidcolor.errors import UsageError, VidcolorError
from vidcolor.evaluation.photo_metrics import colorfulness, de00, psnr
from vidcolor.evaluation.photos import paint_photo, photo_format
from vidcolor.evaluation.sources import count_photos, read_photos
from vidcolor.evaluation.stocks import STOCKS, render_panchromatic
from vidcolor.inference import weights
from vidcolor.inference.colorizer import Colorizer
from vidcolor.stills.rgb import Rgb, is_gray

STOCK_PHOTOS = 150
ROUNDS = 5  # of adjusting the amount of color

Row = dict[str, Any]


class Colors(NamedTuple):
    """A photo, and what a model says of it."""

    truth: Rgb
    ab_2hw: Any


def measure(photos: list[Path], models: Sequence[str], *options: str) -> list[Row]:
    """The rows of `vidcolor evaluate`."""
    chosen = [part for model in models for part in ("--model", model)]
    command = [sys.executable, "-m", "vidcolor", "evaluate", *map(str, photos), *chosen, *options, "--json"]
    return [json.loads(line) for line in subprocess.check_output(command, text=True).splitlines()]


def named(row: Row) -> str:
    """A row's name without a model's folder and suffix."""
    return " ".join(Path(part).stem if part.endswith(".safetensors") else part for part in row["name"].split(" "))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"\n| {' | '.join(head)} |\n| --- {'| ---: ' * (len(head) - 1)}|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def print_scores(rows: list[Row]) -> None:
    further = "neutrals", "wobble", "hints_10"
    print_table(
        ["", "PSNR", "dE00", "SSIM", "colorfulness", "gap", "closed", "neutrals", "wobble", "10 hints"],
        [
            [
                named(row), f"{row['psnr'] or float('inf'):.2f}", f"{row['de00']:.2f}", f"{row['ssim']:.4f}",
                f"{row['colorfulness']:.1f}", f"{row['colorfulness_gap']:.1f}", f"{row['distance_closed']:.1%}",
                *("-" if row.get(name) is None else f"{row[name]:.2f}" for name in further),
            ]
            for row in rows
        ],
    )  # fmt: skip


def print_categories(rows: list[Row]) -> None:
    gray, *others = [row for row in rows if row["name"] != "truth"]
    print("\nPSNR in dB by category: of gray, and how much more:")
    print_table(
        ["", "gray", *map(named, others)],
        [
            [name, f"{least:.2f}", *(f"{row['psnr_by_category'][name] - least:+.2f}" for row in others)]
            for name, least in gray["psnr_by_category"].items()
        ],
    )


def print_stocks(photos: list[Path], models: Sequence[str]) -> None:
    stocks = [part for stock in STOCKS for part in ("--stock", stock)]
    rows = [row for row in measure(photos, models, *stocks, "--limit", str(STOCK_PHOTOS)) if row["name"] != "truth"]
    numbers = "psnr", "de00", "colorfulness"
    print(f"\nOn {rows[0]['photos']} of them, as other film stocks would have recorded them:")
    print_table(
        ["", "PSNR", "dE00", "colorfulness", "closed"],
        [[named(row), *(f"{row[name]:.2f}" for name in numbers), f"{row['distance_closed']:.0%}"] for row in rows],
    )


def predict(model: str, photos: list[Path], stock: str) -> tuple[list[Colors], list[str]]:
    """What a model says of each photo as a film stock would have recorded it, and their categories."""
    found: list[Colors] = []
    names: list[str] = []
    with Colorizer.load(model, precision="fp32") as colorizer:
        for _, name, truth in read_photos(tuple(photos), set(range(count_photos(tuple(photos))))):
            if truth is not None and not is_gray(truth):
                luma = STOCKS[stock](truth)
                (ab_2hw,) = colorizer.predict([colorizer.lightness(luma, photo_format(luma))])
                found.append(Colors(truth, ab_2hw))
                names.append(name.split("/")[0] if "/" in name else "")
    return found, names


def score(colors: Sequence[Colors], factor: float) -> Any:
    """PSNR, dE00 and colorfulness of each photo at a factor on color: (N, 3)."""

    def one(each: Colors) -> tuple[float, float, float]:
        picture = paint_photo(render_panchromatic(each.truth), (each.ab_2hw * factor).astype(np.float32))
        return psnr(picture, each.truth), de00(picture, each.truth), colorfulness(picture)

    with ThreadPoolExecutor() as pool:
        return np.array(list(pool.map(one, colors)))


def at_color(colors: Sequence[Colors], wanted: float) -> Any:
    """The scores where the mean colorfulness is the wanted one."""
    factor = 1.0
    for _ in range(ROUNDS):
        scores = score(colors, factor)
        if not scores[:, 2].any():
            raise UsageError("a model without any color cannot be compared at equal color.")
        if abs(scores[:, 2].mean() / wanted - 1) < 0.002:
            break
        factor *= wanted / scores[:, 2].mean()
    return scores


def mean_and_error(values: Any) -> str:
    if len(values) < 2:
        return f"{values.mean():+.3f}"
    return f"{values.mean():+.3f} ({values.std(ddof=1) / len(values) ** 0.5:.3f})"


def print_differences(photos: list[Path], models: Sequence[str], stock: str) -> None:
    first, names = predict(models[0], photos, stock)
    if not first:
        raise UsageError("no color photo is among them.")
    before = score(first, 1.0)
    color = before[:, 2].mean()
    places = np.array(names)
    title = f"Differences to {Path(models[0]).stem} on {stock} photos, one by one, all at a colorfulness of {color:.1f}"
    print(f"\n{title} (in brackets: the standard error):")
    for model in models[1:]:
        change = at_color(predict(model, photos, stock)[0], color) - before
        rows = [["all", mean_and_error(change[:, 0]), mean_and_error(change[:, 1])]]
        for place in sorted({*names} - {""}):
            of_place = change[places == place]
            rows.append([place, mean_and_error(of_place[:, 0]), mean_and_error(of_place[:, 1])])
        print_table([Path(model).stem, "PSNR, dB", "dE00"], rows)


def print_all_scores(photos: list[Path], models: Sequence[str]) -> None:
    rows = measure(photos, models, "--metric", "neutrals", "--metric", "wobble", "--metric", "hints")
    print_scores(rows)
    print_categories(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", dest="models", action="append", required=True, help="the first is the measure")
    parser.add_argument("--only", choices=("scores", "stocks", "differences"), help="one of the parts alone")
    parser.add_argument("--stock", choices=STOCKS, default="panchromatic", help="of the differences")
    asked = parser.parse_args()
    if asked.only == "differences" and len(asked.models) < 2:
        parser.error("differences need two models.")
    parts: dict[str, Callable[[], None]] = {
        "scores": lambda: print_all_scores(asked.photos, asked.models),
        "stocks": lambda: print_stocks(asked.photos, asked.models),
        "differences": lambda: print_differences(asked.photos, asked.models, asked.stock),
    }
    try:
        for model in asked.models:
            weights.find(model)
        for name, part in parts.items():
            if asked.only in (None, name):
                part()
    except VidcolorError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except subprocess.CalledProcessError as error:  # evaluate has said why
        parser.exit(error.returncode)


if __name__ == "__main__":
    main()
