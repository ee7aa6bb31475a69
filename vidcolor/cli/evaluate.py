"""`vidcolor evaluate`."""

import json
import math
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from vidcolor.evaluation.photos import Score


@click.command("evaluate")
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, default=["default"], help="Model to measure; may be repeated.")
@click.option("--size", type=click.IntRange(32, 4096), help="Short side, in pixels, that the network looks at.")
@click.option("--saturation", type=click.FloatRange(0, 4), default=1.0, show_default=True, help="Factor on colour.")
@click.option("--device", default="auto", show_default=True, help="auto, all, cpu, or a list: cuda:0,cuda:1.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row on stdout, with PSNR by category.")
def command(
    data: tuple[Path, ...], models: tuple[str, ...], size: int | None, saturation: float, device: str, as_json: bool
) -> None:
    """Measure models on colour photos, in folders or tar files: take the colour away, put it back, compare.

    The grey and truth rows stand beside every model, because PSNR flatters grey.

    \b
    Example:
      vidcolor evaluate photos/ --model default --model mine.safetensors
    """
    from contextlib import ExitStack

    from rich.console import Console
    from rich.progress import Progress

    from vidcolor.colorizer import Colorizer
    from vidcolor.evaluation.photos import evaluate, recolor

    console = Console(stderr=True)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(console=console, disable=not console.is_terminal))
        task = progress.add_task("photos", total=None)
        ways = {}
        for model in models:
            colorizer = stack.enter_context(Colorizer.load(model, device=device, size=size, saturation=saturation))
            ways[model] = partial(recolor, colorizer=colorizer)
        scores = evaluate(list(data), ways, lambda count: progress.update(task, completed=count))
    if as_json:
        for score in scores:
            click.echo(json.dumps(_finite(asdict(score))))
    else:
        _print(scores)


def _finite(value: Any) -> Any:
    """JSON has no infinity (the truth's PSNR): null instead."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(scores: "list[Score]") -> None:
    from rich.console import Console
    from rich.table import Table

    from vidcolor.evaluation.photos import rows

    heading, *body = rows(scores)
    table: Any = Table(title=f"{scores[0].photos} photos")
    for column, title in enumerate(heading):
        table.add_column(title, justify="left" if column == 0 else "right")
    for row in body:
        table.add_row(*row)
    Console().print(table)
