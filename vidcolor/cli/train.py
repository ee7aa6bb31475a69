"""`vidcolor train`."""

import json
import time
from pathlib import Path
from typing import Any

import click


@click.command("train")
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Model file to write.")
@click.option("--minutes", type=click.FloatRange(min=0.01), default=60.0, show_default=True, help="Time to train.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps to train, instead of a time.")
@click.option("--batch-size", type=click.IntRange(min=2), default=32, show_default=True, help="Photos a step.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:0.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads. [default: all cores]")
@click.option("--hold-back", default="", metavar="PATTERN:COUNT", help="Photos to leave out, such as 'period/*:100'.")
@click.option("--favour", multiple=True, metavar="PATTERN:FACTOR", help="Photos to show more often: 'period/*:2'.")
@click.option(
    "--temperature", type=click.FloatRange(0.05, 2), default=0.45, show_default=True,
    help="Of the read-out: 1 averages all likely colours, less takes the likeliest.",
)  # fmt: skip
@click.option("--saturation", type=click.FloatRange(0, 4), default=1.0, show_default=True, help="Of the read-out.")
@click.option(
    "--size", type=click.IntRange(32, 4096), default=256, show_default=True, help="Default --size of the model."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Start of every random choice.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on from RUN/state.pt if it is there.")
@click.option("--run", type=click.Path(path_type=Path), help="Folder for state and log. [default: runs/NAME]")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
def command(
    *, data: tuple[Path, ...], output: Path, minutes: float, steps: int | None, batch_size: int, device: str,
    threads: int | None, hold_back: str, favour: tuple[str, ...], temperature: float, saturation: float, size: int,
    seed: int, resume: bool, run: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Train a model on colour photos, in folders or tar files.

    A run that is stopped goes on from where it was when the same command is given again.

    \b
    Example:
      vidcolor train photos/ -o mine.safetensors --minutes 120
    """
    from vidcolor.errors import UsageError

    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: a model file needs the suffix .safetensors.")
    if output.exists() and not overwrite:
        raise UsageError(f"{output}: exists already. Choose another name or pass --overwrite.")
    import torch

    from vidcolor.backends import parse_devices
    from vidcolor.training.trainer import Trainer, TrainingSettings

    settings = TrainingSettings(
        minutes=minutes, steps=steps, batch=batch_size, temperature=temperature,
        saturation=saturation, size=size, seed=seed,
        hold_back=_rule(hold_back, int) if hold_back else None,
        favour=tuple(_rule(rule, float) for rule in favour),
    )  # fmt: skip
    if threads:
        torch.set_num_threads(threads)
    folder = run or Path("runs") / output.stem
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state.pt"
    if not resume:
        state.unlink(missing_ok=True)
    trainer = Trainer(list(data), settings, parse_devices(device)[0])
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        trainer.run(state, _Report(log))
    trainer.export(output, output.stem)
    click.echo(f"{output}: {trainer.images} crops in {trainer.elapsed / 60:.1f} minutes.")


def _rule(text: str, number: type) -> tuple[str, Any]:
    from vidcolor.errors import UsageError

    pattern, _, count = text.rpartition(":")
    try:
        return pattern or "*", number(count)
    except ValueError as error:
        raise UsageError(f"{text!r}: needs PATTERN:NUMBER, such as 'period/*:2'.") from error


class _Report:
    """Each report as a JSON line in the log and a line on stderr."""

    def __init__(self, log: Any):
        self._log = log

    def __call__(self, facts: dict[str, Any]) -> None:
        self._log.write(json.dumps(facts | {"time": round(time.time(), 1)}) + "\n")
        self._log.flush()
        click.echo(
            f"step {facts['step']}  {facts['progress']:.1%} in {facts['minutes']:.1f} min  crop {facts['crop']} px"
            f"  loss {facts['loss']:.3f}  {facts['images'] / facts['minutes'] / 60:.1f} images/s",
            err=True,
        )
