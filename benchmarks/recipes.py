"""Train every recipe from its own start under one budget, then measure the models on the same photos.

`python benchmarks/recipes.py PHOTOS... --validation VALIDATION -o FOLDER` makes FOLDER/recipes.csv and prints the
table. A recipe whose model is in FOLDER already is not trained again.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

RECIPES = ("pix2pix", "cgan-lab", "wgan-gp", "eccv16", "dcgan", "fcn-l2", "default")
U_NETS = {"pix2pix": {}, "cgan-lab": {}, "dcgan": {"outputs": 3}, "fcn-l2": {"outputs": 3}}  # halve down to one pixel


def main() -> None:
    options = _options()
    options.output.mkdir(parents=True, exist_ok=True)
    models = {name: options.output / f"{name}.safetensors" for name in options.recipes}
    for name, model in models.items():
        if not model.is_file():
            _vidcolor("train", *options.photos, "-o", model, "--recipe", name, *_settings(name, options))
    scores = options.output / "scores.csv"
    chosen = [part for model in [*models.values(), *options.also] for part in ("--model", model)]
    _vidcolor("evaluate", options.validation, *chosen, "--csv", scores, "--overwrite")
    rows = [_with_budget(row) for row in csv.DictReader(scores.open(encoding="utf-8"))]
    with (options.output / "recipes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path, help="color photos to learn from")
    parser.add_argument("--validation", required=True, type=Path, help="color photos to measure on")
    parser.add_argument("-o", "--output", required=True, type=Path, help="folder for models, logs and recipes.csv")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, choices=RECIPES)
    parser.add_argument("--also", nargs="*", default=["default"], help="trained models to measure beside them")
    parser.add_argument("--minutes", type=float, default=12.0, help="for each recipe")
    parser.add_argument("--crop", type=int, default=64, help="side of the training crops, but for the default recipe")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def _settings(name: str, options: argparse.Namespace) -> list[str]:
    """The common budget; the recipe's own settings otherwise."""
    changes = {"precision": options.precision}
    if name != "default":
        changes |= {"stages": json.dumps([{"crop": options.crop}]), "size": str(2 * options.crop)}
    if name in U_NETS:
        depth = options.crop.bit_length() - 1
        changes["generator_config"] = json.dumps({"depth": depth} | U_NETS[name])
    if name == "eccv16":
        changes["features"] = "lite0"  # VGG19's weights are a download
    told = ["--minutes", options.minutes, "--threads", options.threads, "--device", options.device]
    told += ["--run-folder", options.output / name]
    return [*map(str, told), *(part for field, value in changes.items() for part in ("--set", f"{field}={value}"))]


def _with_budget(row: dict[str, str]) -> dict[str, object]:
    """A row of scores, and what its model has seen."""
    from vidcolor.inference import weights

    model = Path(row["name"])
    notes = weights.read_header(model).notes if model.is_file() else {}
    return {"recipe": model.stem} | row | {key: notes.get(key, "") for key in ("images", "steps", "minutes")}


def _vidcolor(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "vidcolor", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
