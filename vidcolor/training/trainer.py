"""A training run of a recipe: stages, steps, and checkpoints to resume from.

A resumed run equals an uninterrupted one on the same machine: batches and random choices depend on the step's number
alone.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidcolor import __version__
from vidcolor.color import rgb_to_lab
from vidcolor.counts import counted
from vidcolor.errors import ModelError, TrainingError, UsageError
from vidcolor.inference import weights
from vidcolor.stills.rgb import Rgb
from vidcolor.training import checkpoint as checkpoints
from vidcolor.training.bins import Bins
from vidcolor.training.gan import Gan, check_recipe
from vidcolor.training.objective import Objective
from vidcolor.training.packed import remove_packs
from vidcolor.training.photos import LoadReport, Photos
from vidcolor.training.processes import Processes
from vidcolor.training.recipes import FREE_TO_CHANGE, OPTIONS, Recipe, Stage, rename_fields
from vidcolor.training.step import TrainingStep
from vidcolor.training.validation import Validator

BIN_SAMPLE_BATCHES, BIN_SAMPLE_CROPS = 48, 64
REPORT_STEPS = 50
EARLY_REPORTS = 1, 2, 5, 10, 20  # steps; so that a short run has curves, too
SAVE_MINUTES = 4.0
VALIDATION_MINUTES = 10.0  # between looks at the validation photos within an epoch
COLLAPSE_LOSS = 0.01  # loss_D below which no generated picture fools the discriminator any more


class Events:
    """Callbacks of a run; override those you need."""

    def resumed(self, facts: dict[str, Any]) -> None:
        """An earlier run goes on.  facts: the position it had reached."""

    def photos_read(self, report: LoadReport) -> None:
        """Photos were read: how many were loaded and how many were skipped."""

    def began(self, facts: dict[str, Any]) -> None:
        """No step is done yet.  facts: position in the budget and validation losses, or `seen_psnr`."""

    def ended(self, facts: dict[str, Any]) -> None:
        """The budget is spent.  facts: as of `began`."""

    def step_finished(self, facts: dict[str, Any]) -> None:
        """A step is done.  facts: position in the budget."""

    def losses_measured(self, facts: dict[str, Any]) -> None:
        """Some steps are done.  facts: position in the budget and mean losses."""

    def epoch_finished(self, facts: dict[str, Any], grid: Rgb) -> None:
        """An epoch or the run is done.  facts: mean and validation losses.  grid: fixed pictures."""

    def validated(self, facts: dict[str, Any], grid: Rgb) -> None:
        """Ten minutes have gone since the last look.  facts: as of `began`.  grid: fixed pictures."""

    def keep_model(self, name: str) -> None:
        """The recipe asks to keep a model file of this step."""


class Trainer:
    """A run: its networks and its position in the budget."""

    def __init__(
        self,
        sources: list[Path],
        recipe: Recipe,
        device: str = "cpu",
        *,
        init: Path | None = None,
        vgg19: Path | None = None,
        events: Events | None = None,
        cache: Path | None = None,
    ):
        """device: cpu or cuda:N.  init: model file to start from (fine-tuning).

        vgg19: weights for recipes with VGG19 features.  events: callbacks, called in the first process only.
        cache: folder of decoded photos, which are mapped from there; None: they are held in memory.
        Raises UsageError for a recipe that cannot be followed.
        """
        check_recipe(recipe)
        self.processes = Processes(device)
        self.sources, self.recipe, self.device = sources, recipe, self.processes.device
        self.init, self._vgg19, self._cache = init, vgg19, cache
        self.events = events if events is not None and self.processes.is_first else Events()
        self.elapsed, self.step, self.images = 0.0, 0, 0
        self.is_stopping = False  # set from outside: save after the current step and stop
        self.is_stepping = False  # takes one step after the other, so that it would stop soon
        self.before: dict[str, Any] | None = None  # position and validation losses before the first step
        self.after: dict[str, Any] = {}  # and at the end
        self.photos: Photos | None = None
        self.gan: Gan | None = None
        self._collapsed_steps = 0
        self._epoch_losses: dict[str, tuple[float, int]] = {}  # sum and count of each loss since the epoch began

    @property
    def generator(self) -> Any:
        """The network in training."""
        return self._networks.generator

    @property
    def _networks(self) -> Gan:
        assert self.gan is not None
        return self.gan

    @property
    def progress(self) -> float:
        """Share of the budget spent, 0..1: of the steps, else the minutes, else the epochs."""
        recipe = self.recipe
        if recipe.steps is not None:
            return min(1.0, self.step / recipe.steps)
        if recipe.minutes is not None:
            return min(1.0, self.elapsed / (recipe.minutes * 60))
        return min(1.0, self.epochs / recipe.epochs) if recipe.epochs else 0.0

    @property
    def epochs(self) -> float:
        """How often every photo has been seen, on average."""
        return self.images / len(self.photos.names) if self.photos else 0.0

    def run(self, checkpoint: Path, *, resumes: bool = True) -> None:
        """Train until the budget is spent. Raises TrainingError.

        checkpoint: where the state is saved.  resumes: go on from it if it exists.
        """
        if resumes and checkpoint.exists():
            self._restore(checkpoint)
        most, least = self.processes.maximum(self.step, -self.step)
        if most != -least:
            raise TrainingError(
                f"{checkpoint}: is not the same for all processes. The run folder must be on a disk that all machines"
                " share; or pass --no-resume to begin again."
            )
        with _flushed_denormals():
            self._run(checkpoint)

    def _run(self, checkpoint: Path) -> None:
        borders = np.cumsum([stage.share for stage in self.recipe.stages])
        borders /= borders[-1]
        batches: Iterator[NDArray[np.uint8]] | None = None
        entered, saved, looked = -1, self.elapsed, self.elapsed
        recent: list[dict[str, float]] = []
        while self.progress < 1:
            index = min(int(np.searchsorted(borders, self.progress, side="right")), len(borders) - 1)
            if batches is None or index != entered:
                if batches is not None:  # reading the next stage's photos takes long, and may be interrupted
                    self._save(checkpoint)
                is_first_stage, self.is_stepping = batches is None, False
                batches, entered = self._enter_stage(self.recipe.stages[index]), index
                if is_first_stage and self.processes.is_first:
                    self._begin()
                self.is_stepping = True
            started, epoch = time.monotonic(), int(self.epochs)
            recent.append(self._train_step(next(batches)))
            elapsed, stopping = self.processes.maximum(self.elapsed + time.monotonic() - started, self.is_stopping)
            self.elapsed = elapsed
            self.events.step_finished(self._position())
            self._keep_gan_step()
            if self.step % REPORT_STEPS == 0 or self.step in EARLY_REPORTS or self.progress >= 1:
                self.events.losses_measured(self._position() | self.processes.mean(_mean_losses(recent)))
                recent = [] if self.step % REPORT_STEPS == 0 else recent
            if int(self.epochs) > epoch or self.progress >= 1:
                self._end_epoch()
                looked = self.elapsed
            elif self.elapsed - looked > VALIDATION_MINUTES * 60:
                self._look()
                looked = self.elapsed
            if self.elapsed - saved > SAVE_MINUTES * 60 or stopping:
                self._save(checkpoint)
                saved = self.elapsed
            if stopping:  # all of them know; one that is told since then stops with the others after the next step
                self.is_stopping = True
                raise TrainingError(f"stopped at step {self.step}; the same command resumes there.")
        self._save(checkpoint)
        self.is_stepping = False
        if self.processes.is_first and self.photos is not None:
            self.after = self._position() | self._validate()
            self.events.ended(self.after)

    def _begin(self) -> None:
        """Report where the run begins, or goes on."""
        if self.step:
            self.events.resumed(self._position())
        else:
            self.before = self._position() | self._validate()
            self.events.began(self.before)

    def _train_step(self, rgb_BHW3: NDArray[np.uint8]) -> dict[str, float]:
        losses = self._step.take(rgb_BHW3, self.step, self.progress)
        self.step += 1
        self.images += len(rgb_BHW3) * self.processes.count
        self._networks.update_average(self.step)
        for name, value in losses.items():
            total, count = self._epoch_losses.get(name, (0.0, 0))
            self._epoch_losses[name] = (total + value, count + 1)
        self._check_losses(losses)
        return losses

    def _check_losses(self, losses: dict[str, float]) -> None:
        """Raise TrainingError for a run that has diverged or collapsed."""
        if not all(math.isfinite(value) for value in losses.values()):
            raise TrainingError(
                f"step {self.step}: a loss is no longer a number ({_format_losses(losses)}). Try a lower learning_rate"
                " or gan_weight; the last checkpoint is sound."
            )
        recipe = self.recipe
        if recipe.gan_loss in ("none", "wasserstein") or not recipe.collapse_steps or "loss_D" not in losses:
            return
        self._collapsed_steps = self._collapsed_steps + 1 if losses["loss_D"] < COLLAPSE_LOSS else 0
        if self._collapsed_steps >= recipe.collapse_steps:
            raise TrainingError(
                f"step {self.step}: the discriminator has won for {self._collapsed_steps} steps (loss_D under"
                f" {COLLAPSE_LOSS}) and teaches nothing any more. Try a lower discriminator_learning_rate,"
                ' discriminator_config {"norm": "spectral"} or gan_loss=hinge; collapse_steps=0 lets it go on.'
            )

    def _position(self) -> dict[str, Any]:
        crop = self.photos.crop if self.photos else 0
        return {
            "step": self.step, "progress": round(self.progress, 5), "epoch": round(self.epochs, 3),
            "images": self.images, "minutes": self.elapsed / 60, "crop": crop,
        }  # fmt: skip

    def _end_epoch(self) -> None:
        """Report the epoch's mean losses, validation losses and grid; keep a model if one is due."""
        means = {name: total / count for name, (total, count) in sorted(self._epoch_losses.items())}
        means = self.processes.mean(means)
        self._epoch_losses.clear()
        validator, network = self._make_validator(), self._networks.result
        if self.processes.is_first:
            self.events.epoch_finished(
                self._position() | means | validator.measure(network), validator.make_grid(network)
            )
        if self.recipe.keep_epochs and self.progress < 1 and int(self.epochs) % self.recipe.keep_epochs == 0:
            self.events.keep_model(f"epoch-{int(self.epochs):04}")

    def _look(self) -> None:
        """Report the validation losses and the grid within an epoch."""
        if self.processes.is_first:
            validator, network = self._make_validator(), self._networks.result
            self.events.validated(self._position() | validator.measure_any(network), validator.make_grid(network))

    def _validate(self) -> dict[str, float]:
        """The validation losses; without validation photos the PSNR of some that are learned from."""
        return self._make_validator().measure_any(self._networks.result)

    def _make_validator(self) -> Validator:
        return Validator(self._loaded_photos, self.objective, self.recipe, self.device)

    def _keep_gan_step(self) -> None:
        recipe, every = self.recipe, self.recipe.gan_keep_steps
        if every and recipe.gan_loss != "none" and self.progress >= recipe.gan_start and self.step % every == 0:
            self.events.keep_model(f"step-{self.step:07}")

    @property
    def _loaded_photos(self) -> Photos:
        assert self.photos is not None
        return self.photos

    def _enter_stage(self, stage: Stage) -> Iterator[NDArray[np.uint8]]:
        """Load the stage's photos, freeze its blocks, and return batches from the current step on."""
        recipe, processes = self.recipe, self.processes
        batch = recipe.batch * processes.count
        if self.photos is None or self.photos.crop != stage.crop:
            self.photos = None  # free memory first: two stages' photos may not fit
            self.photos = Photos(
                self.sources, crop=stage.crop, hold_back=recipe.hold_back, threads=torch.get_num_threads(),
                validation_share=recipe.validation_share, seed=recipe.seed, zoom=recipe.zoom,
                pack_folder=self._cache, packs=processes.is_first_here,
            )  # fmt: skip
            self.events.photos_read(self.photos.report)
            if len(self.photos.names) < batch:
                raise UsageError(
                    f"{counted(len(self.photos.names), 'usable photo')} ({self.photos.report.describe()}), but a batch"
                    f" needs {batch}; add photos or lower --batch-size."
                )
        if self.gan is None:
            self._start_networks(self.photos)
        self._networks.freeze(stage.frozen_blocks)
        for each in recipe.stages:
            self._networks.check_crop(each.crop)
        favor = np.ones(len(self.photos.names))
        for pattern, factor in recipe.favor:
            favor[[fnmatch(name, pattern) for name in self.photos.names]] *= factor
        part = (processes.rank, processes.count)
        return self.photos.batches(
            batch, recipe.seed, favor, start=self.step, part=part, title_cards=recipe.cards, cutmix=recipe.cutmix
        )

    def _start_networks(self, photos: Photos) -> None:
        """Build the networks, with the weights of the --init file, or ImageNet's in an encoder."""
        recipe, config, bins = self.recipe, dict(self.recipe.generator_config), None
        source = weights.load(self.init) if self.init is not None else None
        if source is not None:
            if source[1].generator != recipe.generator:
                raise UsageError(
                    f"{self.init}: is a {source[1].generator!r}, but recipe {recipe.name!r} trains a"
                    f" {recipe.generator!r}."
                )
            config = source[1].config | config
            self.recipe = recipe = replace(recipe, size=recipe.size or source[1].size)
        elif recipe.part is not None:
            raise UsageError(
                f"recipe {recipe.name!r}: trains the {recipe.part} of a trained model; name it with --init."
            )
        if recipe.content == "bins":
            fixed = source[0].get_buffer("bins_2K") if source is not None else None
            bins = Bins.from_samples(_sample_colors(photos, recipe.seed), recipe.uniform_share, fixed)
            config |= {"bins": bins.bins_2K.shape[1]}
            chosen = {name: getattr(recipe, name) for name in weights.READ_OUT}
            config |= {name: value for name, value in chosen.items() if value is not None}
        self._build(config, bins)
        self._networks.start_from(source[0] if source is not None else None)
        if bins is not None:
            self.generator.bins_2K.copy_(bins.bins_2K)
        self._networks.average.load_state_dict(self.generator.state_dict())

    def _build(self, config: dict[str, Any], bins: Bins | None) -> None:
        torch.manual_seed(self.recipe.seed)
        self.bins = Bins(*(tensor.to(self.device) for tensor in vars(bins).values())) if bins is not None else None
        self.gan = Gan(self.recipe, config, self.device)
        self.objective = Objective(self.recipe, self.bins, self.device, self._vgg19)
        self._step = TrainingStep(self.recipe, self.gan, self.objective, self.processes)

    def _save(self, checkpoint: Path) -> None:
        if not self.processes.is_first:
            return
        bins = vars(self.bins) if self.bins is not None else None
        state: dict[str, Any] = {"players": self._networks.state(), "config": self._networks.config, "bins": bins}
        state |= {"recipe": asdict(self.recipe), "won_steps": self._collapsed_steps, "epoch": dict(self._epoch_losses)}
        state |= {"elapsed": self.elapsed, "step": self.step, "images": self.images, "before": self.before}
        checkpoints.write(checkpoint, state)

    def _restore(self, checkpoint: Path) -> None:
        state = checkpoints.read(checkpoint)
        self.recipe = _match_checkpoint(self.recipe, state.get("recipe"), checkpoint)
        try:
            checkpoints.check_generator(state, self.recipe.generator)
            self._build(state["config"], Bins(**state["bins"]) if state["bins"] is not None else None)
            self._networks.restore(state["players"])
            self._epoch_losses = {name: (float(total), int(count)) for name, (total, count) in state["epoch"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, ModelError) as error:
            raise checkpoints.damage_error(checkpoint, str(error)) from error
        self.elapsed, self.step, self.images = state["elapsed"], state["step"], state["images"]
        self._collapsed_steps = state["won_steps"]
        self.before = state.get("before")  # version 1.0.0 kept none

    def close(self, *, keeps_cache: bool) -> None:
        """Let go of the photos. keeps_cache: their files stay; else those of every stage are removed."""
        self.photos = None
        if self._cache is not None and not keeps_cache and self.processes.is_first_here:
            remove_packs(self._cache)

    def export(self, path: Path, name: str, *, overwrite: bool = True) -> None:
        """Write the weights, averaged where the recipe averages, as a model file. Raises SinkError."""
        notes = {
            "images": self.images, "steps": self.step, "minutes": round(self.elapsed / 60, 1),
            "init": str(self.init) if self.init else None, "recipe": asdict(self.recipe),
            "data": self.photos.report.describe() if self.photos else None,
        }  # fmt: skip
        network = self._networks.result
        multiple = int(network.multiple)  # type: ignore[arg-type]  # every generator states it
        header = weights.ModelHeader(
            self.recipe.generator, self._networks.config, name, __version__, self.recipe.size or 256, multiple, notes
        )
        weights.save(path, network, header, overwrite=overwrite)


@contextmanager
def _flushed_denormals() -> Iterator[None]:
    """Take numbers under 1e-38 for 0, here and in threads that begin from here.

    The averages of gradients that have become 0 decay into them, and processors are a hundred times slower with them:
    Muon's step took 380 ms in place of 58 after 3,800 steps.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _match_checkpoint(recipe: Recipe, before: Any, checkpoint: Path) -> Recipe:
    """Check that a recipe is the run's own; only a budget may differ. Raises UsageError."""
    then = before if isinstance(before, dict) else {}
    if then:  # a field newer than the checkpoint had its default
        then = {field.name: field.default for field in fields(Recipe)} | rename_fields(then)
    if then.get("size") and recipe.size is None:
        recipe = replace(recipe, size=then["size"])
    now = asdict(recipe)
    changed = [OPTIONS.get(name, name) for name in now if name not in FREE_TO_CHANGE and then.get(name) != now[name]]
    if changed:
        raise UsageError(
            f"{checkpoint}: was made with other settings ({', '.join(changed[:4])}); choose another --run-folder, or"
            " --no-resume to begin again."
        )
    return recipe


def _sample_colors(photos: Photos, seed: int) -> Tensor:
    """Sample a*b* at stride 4 from some crops: (N, 2)."""
    samples = []
    for rgb, _ in zip(photos.batches(BIN_SAMPLE_CROPS, seed), range(BIN_SAMPLE_BATCHES), strict=False):
        small = nn.functional.avg_pool2d(torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255, 4)
        _, a, b = rgb_to_lab(*small.unbind(1))
        samples.append(torch.stack([a, b], dim=-1).view(-1, 2))
    return torch.cat(samples)


def _mean_losses(reports: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for losses in reports for name in losses})
    return {name: float(np.mean([losses[name] for losses in reports if name in losses])) for name in names}


def _format_losses(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
