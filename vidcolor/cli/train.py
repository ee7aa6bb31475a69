"""`vidcolor train`."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vidcolor.cli import log, signals
from vidcolor.cli.next_command import quoted, tell_next
from vidcolor.cli.number_types import Number, Whole, parse_number, parse_whole, shorten
from vidcolor.cli.param_types import DEVICE, Existing, ModelName, Output, RecipeName
from vidcolor.cli.progress import Observer, make_observer, validation_summary
from vidcolor.cli.signals import Terminated
from vidcolor.cli.text import answer, note, say
from vidcolor.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from vidcolor.stills.rgb import Rgb
    from vidcolor.training.photos import LoadReport
    from vidcolor.training.recipes import Recipe
    from vidcolor.training.record import Record
    from vidcolor.training.trainer import Trainer

T = TypeVar("T", int, float)
MEASURED_STEPS = 3  # after the first, which is slow, that tell how long an epoch takes


@click.command("train")
@click.argument("data", metavar="DATA...", nargs=-1, type=Existing())
@click.option("-o", "--output", type=Output(path_type=Path), help="Model file to write.")
@click.option(
    "--recipe", type=RecipeName(), help="How to train; see --show-recipe. [default: default; with --init fine-tune]"
)
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change a field of the recipe.")
@click.option("--init", type=ModelName(), help="Model to start from: a packaged name or a file.")
@click.option("--minutes", type=Number(min=0.01), help="Budget in minutes.")
@click.option("--epochs", type=Number(min=0.001), help="Budget in rounds of all photos.")
@click.option("--steps", type=Whole(min=1), help="Budget in steps.")
@click.option("--batch-size", type=Whole(min=1), help="Photos in each step and process.")
@click.option("--device", type=DEVICE, default="auto", show_default=True, help="auto, cpu or cuda:0.")
@click.option("--threads", type=Whole(1, 1024), help="CPU threads. [default: all cores]")
@click.option("--hold-back", metavar="PATTERN:COUNT", help="Photos to leave out, such as 'period/*:100'.")
@click.option(
    "--favor",
    "--favour",
    "favor",
    multiple=True,
    metavar="PATTERN:FACTOR",
    help="Photos to show more often: 'period/*:2'.",
)
@click.option("--seed", type=Whole(0, 2**63 - 1), help="Seed of all random choices.")
@click.option("--vgg19", type=click.Path(path_type=Path), help="VGG19 weights, for recipes with its features.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Resume from the state in the run folder.")
@click.option("--run-folder", type=Output(path_type=Path), help="Folder for state, log and grids. [default: runs/NAME]")
@click.option("--cache", type=Output(path_type=Path), help="Folder for decoded photos, kept for later runs.")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON lines to stdout, and nothing else there.")
@click.option("-q", "--quiet", is_flag=True, help="Show only skipped photos and failures.")
@log.option
@click.option("--show-recipe", is_flag=True, help="Print the recipe, with the changes asked for, and stop.")
def command(
    *, data: tuple[Path, ...], output: Path | None, init: str | None, device: str, threads: int | None,
    vgg19: Path | None, resume: bool, run_folder: Path | None, cache: Path | None, overwrite: bool, as_json: bool,
    quiet: bool, show_recipe: bool, **recipe_options: Any,
) -> None:  # fmt: skip
    """Train a model on color photos and films, in folders, archives or single files, by a named recipe.

    A stopped run resumes when the same command is given again. On several GPUs or machines,
    put `torchrun --nproc-per-node GPUS -m` before the command.

    \b
    Examples:
      vidcolor train photos/ -o mine.safetensors --minutes 120
      vidcolor train photos.tar -o p2p.safetensors --recipe pix2pix --set gan_loss=hinge --epochs 20
      vidcolor train westerns/ --init default -o western.safetensors --minutes 30
    """
    recipe = _build_recipe(recipe_options, is_fine_tuning=init is not None)
    if show_recipe:
        from vidcolor.training.recipes import format_recipe

        answer(*format_recipe(recipe).split("\n"))
        return
    if not data or output is None:
        raise click.UsageError("needs DATA and -o MODEL.safetensors.")
    from vidcolor.inference import weights

    start = weights.find(init) if init else None
    weights.check_output(output, overwrite=overwrite, inputs=[*data, *([start] if start else [])])
    import torch

    from vidcolor.inference.devices import parse_devices
    from vidcolor.training.record import Record
    from vidcolor.training.trainer import Trainer

    if threads:
        torch.set_num_threads(threads)
    folder = run_folder or Path("runs") / output.stem
    state = folder / "state.pt"
    trainer = Trainer(
        list(data), recipe, parse_devices(device)[0], init=start, vgg19=vgg19, cache=cache or folder / "cache"
    )
    if not trainer.processes.is_first:
        with _saving_when_stopped(trainer):
            trainer.run(state, resumes=resume)
        trainer.processes.leave()
        trainer.close(keeps_cache=cache is not None)
        return
    if not resume:
        for name in ("state.pt", "log.jsonl"):
            (folder / name).unlink(missing_ok=True)
    # FORCE_COLOR can make a file look like a terminal; a live table would fill the file.
    told = make_observer(as_json=as_json, quiet=quiet, is_terminal=sys.stderr.isatty())
    with Record(folder) as record, told as shown, _saving_when_stopped(trainer):
        shown.training_started()
        trainer.events = _make_events(record, shown, trainer, folder / "models")
        trainer.run(state, resumes=resume)
        trainer.processes.leave()
        trainer.export(output, output.stem, overwrite=overwrite)
        trainer.close(keeps_cache=cache is not None)
        shown.model_written(output=str(output), images=trainer.images, minutes=trainer.elapsed / 60)
    if not (as_json or quiet):
        if trainer.before is not None:  # else version 1.0.0 began the run
            note(validation_summary(trainer.before, trainer.after))
        note(f"{folder}: log.jsonl, curves.png, grids/ (input, prediction, truth), and the state to resume from")
        models = ",".join([init or "default", str(output)])
        tell_next(quoted(["preview", "film.mp4", "-o", "sheet.png", "--models", models]))


def _make_events(record: "Record", shown: Observer, trainer: "Trainer", kept: Path) -> Any:
    """Make callbacks that write the run's log and show its progress."""
    from vidcolor.training.trainer import Events

    class RunEvents(Events):
        """Callbacks that write the run's log and show its progress."""

        def __init__(self, record: "Record", shown: Observer, trainer: "Trainer", kept: Path) -> None:
            self._record, self._shown, self._trainer, self._kept = record, shown, trainer, kept
            self._first: dict[str, Any] | None = None  # where this run's first step ended
            self._is_measured = False

        def resumed(self, facts: dict[str, Any]) -> None:
            self._record.write_resumption(facts)
            self._shown.run_resumed(facts)

        def photos_read(self, report: "LoadReport") -> None:
            self._record.write_report(report)
            self._shown.photos_read(report)

        def began(self, facts: dict[str, Any]) -> None:
            self._record.write_beginning(facts)

        def ended(self, facts: dict[str, Any]) -> None:
            self._record.write_end(facts)

        def step_finished(self, facts: dict[str, Any]) -> None:
            self._shown.step_finished(facts)
            self._first = self._first or facts  # the first step is slow
            if not self._is_measured and (done := facts["step"] - self._first["step"]) >= MEASURED_STEPS:
                self._is_measured = True
                seconds = (facts["minutes"] - self._first["minutes"]) * 60 / done
                steps = max(1, round(facts["step"] / facts["epoch"])) if facts["epoch"] else 1
                self._shown.epoch_measured(seconds * steps, steps)

        def losses_measured(self, facts: dict[str, Any]) -> None:
            self._record.write_losses(facts)
            self._shown.losses_measured(facts)

        def epoch_finished(self, facts: dict[str, Any], grid: "Rgb") -> None:
            self._record.write_epoch(facts, grid)
            self._shown.epoch_finished(facts)

        def validated(self, facts: dict[str, Any], grid: "Rgb") -> None:
            self._record.write_validation(facts, grid)
            self._shown.validated(facts)

        def keep_model(self, name: str) -> None:
            self._trainer.export(self._kept / f"{name}.safetensors", name)

    return RunEvents(record, shown, trainer, kept)


def _build_recipe(options: dict[str, Any], *, is_fine_tuning: bool) -> "Recipe":
    """Build the recipe: the named one with the command line's changes."""
    from vidcolor.training.recipes import find_recipe, override

    recipe = find_recipe(options["recipe"] or ("fine-tune" if is_fine_tuning else "default"))
    pairs = [change.partition("=") for change in options.get("changes") or ()]
    recipe = override(recipe, {name: value for name, _, value in pairs})
    budgets = {name: options[name] for name in ("minutes", "epochs", "steps") if options.get(name) is not None}
    if len(budgets) > 1:
        raise UsageError(f"{' and '.join(budgets)} are budgets; give one.")
    if budgets:
        recipe = replace(recipe, **{"minutes": None, "epochs": None, "steps": None, **budgets})
    named = {"batch": options.get("batch_size"), "seed": options.get("seed")}
    recipe = replace(recipe, **{name: value for name, value in named.items() if value is not None})
    if options.get("hold_back"):
        recipe = replace(recipe, hold_back=_parse_rule(options["hold_back"], parse_whole))
    if favor := options.get("favor"):
        recipe = replace(recipe, favor=tuple(_parse_rule(rule, parse_number) for rule in favor))
    return recipe


def _parse_rule(text: str, read: Callable[[str], T]) -> tuple[str, T]:
    pattern, _, count = text.rpartition(":")
    try:
        found = read(count)
    except ValueError as error:
        raise UsageError(f"{shorten(text)}: needs PATTERN:NUMBER, such as 'period/*:2'.") from error
    if found < 0:
        raise UsageError(f"{shorten(text)}: needs a number from 0 on.")
    return pattern or "*", found


@contextmanager
def _saving_when_stopped(trainer: "Trainer") -> Iterator[None]:
    """Save the state after the current step at Ctrl-C or SIGTERM."""

    def stop() -> bool:
        trainer.is_stopping = trainer.is_stepping
        return trainer.is_stepping

    with signals.stopping_by(stop) as told:
        try:
            yield
        except TrainingError as error:
            if not trainer.is_stopping:
                raise
            if trainer.processes.is_first:
                say(f"vidcolor: {error}")
            number = told[0] if told else signal.SIGTERM  # another process was told
            kind = Terminated if number == signal.SIGTERM else SystemExit
            raise kind(signals.CODES[number]) from error
