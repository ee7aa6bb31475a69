"""The run of a recipe: stages of photos, one step after another, a checkpoint to go on from.

A step can be read on one screen: `_train_step` updates the discriminator, then the generator. A run that is stopped and
resumed equals one that was not, on the same machine: batches are a function of the step's number alone.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidcolor import __version__, weights
from vidcolor.color import rgb_to_lab
from vidcolor.errors import TrainingError, UsageError
from vidcolor.networks import build
from vidcolor.networks.discriminators import DISCRIMINATORS
from vidcolor.networks.efficientnet import imagenet_checkpoint
from vidcolor.training.bins import Bins
from vidcolor.training.losses import GAMES, gradient_penalty, over_scales
from vidcolor.training.objective import Batch, Objective, Prediction, judged, prepare
from vidcolor.training.photos import Intake, Photos
from vidcolor.training.recipes import Recipe, Stage

AVERAGE_EVERY = 8  # steps between updates of the weight average, which would cost a tenth of a step each time
BIN_SAMPLE_BATCHES, BIN_SAMPLE_CROPS = 48, 64
REPORT_STEPS = 50
SAVE_MINUTES = 4.0
GRADIENT_LIMIT = 1.0  # norm, for generators that classify; a game's gradients are left alone


class Trainer:
    """State of a run: networks, the generator's average, optimisers, place in the budget."""

    def __init__(
        self,
        sources: list[Path],
        recipe: Recipe,
        device: str = "cpu",
        *,
        init: Path | None = None,
        vgg19: Path | None = None,
        on_intake: Callable[[Intake], None] = lambda _: None,
    ):
        """init: a model file to go on from (fine-tuning).  vgg19: weights for recipes with VGG19 features.
        on_intake: told what was read and what was passed over, whenever photos are read.
        """
        self.sources, self.recipe, self.device = sources, recipe, torch.device(device)
        self.init, self._vgg19, self.on_intake = init, vgg19, on_intake
        self.elapsed, self.step, self.images = 0.0, 0, 0
        self.is_stopping = False  # set from outside: save after the step in hand and end
        self.photos: Photos | None = None
        self.generator: Any = None
        self.discriminator: nn.Module | None = None
        self.random = torch.Generator().manual_seed(recipe.seed)
        torch.manual_seed(recipe.seed)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0..1: of the steps, else the minutes, else the epochs."""
        recipe = self.recipe
        if recipe.steps is not None:
            return min(1.0, self.step / recipe.steps)
        if recipe.minutes is not None:
            return min(1.0, self.elapsed / (recipe.minutes * 60))
        photos = len(self.photos.names) if self.photos else 0
        return min(1.0, self.images / (photos * recipe.epochs)) if photos and recipe.epochs else 0.0

    def run(self, checkpoint: Path, report: Callable[[dict[str, Any]], None]) -> None:
        """Train until the budget is spent; goes on from `checkpoint` where it exists. Raises TrainingError."""
        if checkpoint.exists():
            self._restore(checkpoint)
        borders = np.cumsum([stage.share for stage in self.recipe.stages])
        borders /= borders[-1]
        batches: Iterator[NDArray[np.uint8]] | None = None
        entered, saved = -1, self.elapsed
        recent: list[dict[str, float]] = []
        while self.progress < 1:
            index = min(int(np.searchsorted(borders, self.progress, side="right")), len(borders) - 1)
            if batches is None or index != entered:
                batches, entered = self._enter(self.recipe.stages[index]), index
            started = time.monotonic()
            recent.append(self._train_step(next(batches)))
            self.elapsed += time.monotonic() - started
            if self.step % REPORT_STEPS == 0 or self.progress >= 1:
                report(self._facts(recent, self.recipe.stages[index].crop))
                recent = []
            if self.elapsed - saved > SAVE_MINUTES * 60 or self.is_stopping:
                self._save(checkpoint)
                saved = self.elapsed
            if self.is_stopping:
                raise TrainingError(f"stopped at step {self.step}; the same command goes on from there.")
        self._save(checkpoint)

    def _train_step(self, rgb_BHW3: NDArray[np.uint8]) -> dict[str, float]:
        """One batch: the discriminator learns, then (every `critic_steps`) the generator."""
        self._set_learning_rates()
        self._set_modes()
        batch = prepare(rgb_BHW3, self.recipe, self.generator.stride, self.device, self.random)
        prediction = self.objective.predict(self.generator, batch.lightness_B1HW)
        is_playing = self.recipe.game != "none" and self.progress >= self.recipe.game_start
        losses = self._discriminator_step(batch, prediction) if is_playing else {}
        if not is_playing or self.step % self.recipe.critic_steps == 0:
            losses |= self._generator_step(batch, prediction, is_playing)
        self.step += 1
        self.images += len(rgb_BHW3)
        if self.recipe.average_decay and self.step % AVERAGE_EVERY == 0:
            self._update_average()
        if not all(math.isfinite(value) for value in losses.values()):
            raise TrainingError(
                f"step {self.step}: a loss is no longer a number ({_listed(losses)}). Try a lower learning_rate or"
                " game_weight; the last checkpoint is sound."
            )
        return losses

    def _generator_step(self, batch: Batch, prediction: Prediction, is_playing: bool) -> dict[str, float]:
        terms = self.objective.terms(prediction, batch)
        if is_playing:
            terms["loss_G_GAN"] = self.recipe.game_weight * self._fooled(batch, prediction)
        total = torch.stack(list(terms.values())).sum()
        self.generator_optimizer.zero_grad()
        total.backward()
        if prediction.logits_BKhw is not None:
            nn.utils.clip_grad_norm_(self.generator.parameters(), GRADIENT_LIMIT)
        self.generator_optimizer.step()
        return {name: float(term.detach()) for name, term in terms.items()} | {"loss_G": float(total.detach())}

    def _discriminator_step(self, batch: Batch, prediction: Prediction) -> dict[str, float]:
        judge, game = self._judge(), GAMES[self.recipe.game]
        real = judged(batch.true_lightness_B1HW, batch.ab_B2hw)
        fake = self._painted(batch, prediction).detach()
        on_real, on_fake = over_scales(game.real, judge(real)), over_scales(game.fake, judge(fake))
        total = on_real + on_fake
        losses = {"loss_D_real": on_real, "loss_D_fake": on_fake}
        if self.recipe.gradient_penalty:
            mix = torch.rand(len(real), 1, 1, 1, generator=self.random).to(self.device)
            losses["loss_D_penalty"] = self.recipe.gradient_penalty * gradient_penalty(judge, real, fake, mix)
            total = total + losses["loss_D_penalty"]
        self.discriminator_optimizer.zero_grad()
        total.backward()
        self.discriminator_optimizer.step()
        return {name: float(loss.detach()) for name, loss in losses.items()} | {"loss_D": float(total.detach())}

    def _fooled(self, batch: Batch, prediction: Prediction) -> Tensor:
        judge = self._judge()
        judge.requires_grad_(False)
        loss = over_scales(GAMES[self.recipe.game].generator, judge(self._painted(batch, prediction)))
        judge.requires_grad_(True)
        return loss

    def _painted(self, batch: Batch, prediction: Prediction) -> Tensor:
        lightness = prediction.lightness_B1hw if prediction.lightness_B1hw is not None else batch.true_lightness_B1HW
        return judged(lightness, prediction.ab_B2hw)

    def _judge(self) -> nn.Module:
        assert self.discriminator is not None
        return self.discriminator

    def _facts(self, recent: list[dict[str, float]], crop: int) -> dict[str, Any]:
        names = sorted({name for losses in recent for name in losses})
        means = {name: float(np.mean([losses[name] for losses in recent if name in losses])) for name in names}
        photos = len(self.photos.names) if self.photos else 1
        return {
            "step": self.step, "progress": round(self.progress, 5), "epoch": round(self.images / photos, 3),
            "images": self.images, "minutes": self.elapsed / 60, "crop": crop, **means,
        }  # fmt: skip

    def _enter(self, stage: Stage) -> Iterator[NDArray[np.uint8]]:
        """Load the stage's photos, freeze its blocks, and go on with the batches of the present step."""
        recipe = self.recipe
        if self.photos is None or self.photos.crop != stage.crop:
            self.photos = None  # make room first: two stages' photos may not fit
            threads = torch.get_num_threads()
            self.photos = Photos(
                self.sources, crop=stage.crop, hold_back=recipe.hold_back, threads=threads,
                validation_share=recipe.validation_share, seed=recipe.seed,
            )  # fmt: skip
            self.on_intake(self.photos.intake)
            if len(self.photos.names) < recipe.batch:
                raise UsageError(
                    f"{len(self.photos.names)} usable photos ({self.photos.intake.describe()}), but a batch needs"
                    f" {recipe.batch}; add photos or lower --batch-size."
                )
        if self.generator is None:
            self._begin(self.photos)
        self._freeze(stage.frozen_blocks)
        favour = np.ones(len(self.photos.names))
        for pattern, factor in recipe.favour:
            favour[[fnmatch(name, pattern) for name in self.photos.names]] *= factor
        return self.photos.batches(recipe.batch, recipe.seed, favour, start=self.step)

    def _freeze(self, blocks: int) -> None:
        encoder = getattr(self.generator, "encoder", None)
        if encoder is None:
            return
        encoder.requires_grad_(True)
        for module in [encoder._conv_stem, encoder._bn0, *encoder._blocks[:blocks]] if blocks else []:
            module.requires_grad_(False)

    def _begin(self, photos: Photos) -> None:
        """Fresh networks, from the file to go on from or from ImageNet's weights where the generator has an encoder."""
        recipe, config, bins = self.recipe, dict(self.recipe.generator_config), None
        source = weights.load(self.init) if self.init is not None else None
        if source is not None:
            if source[1].generator != recipe.generator:
                raise UsageError(
                    f"{self.init}: is a {source[1].generator!r}, but recipe {recipe.name!r} trains a"
                    f" {recipe.generator!r}."
                )
            config = source[1].config | config
        if recipe.content == "bins":
            fixed = source[0].get_buffer("bins_2K") if source is not None else None
            bins = Bins.of(_samples(photos, recipe.seed), recipe.uniform_share, fixed)
            config |= {"bins": bins.bins_2K.shape[1]}
            config |= {"temperature": recipe.temperature, "saturation": recipe.saturation}
        self._make(config, bins)
        if source is not None:
            self.generator.load_state_dict(source[0].state_dict())
        elif hasattr(self.generator, "encoder"):
            self.generator.encoder.load_imagenet(imagenet_checkpoint(config.get("encoder", "lite0")))
        if bins is not None:
            self.generator.bins_2K.copy_(bins.bins_2K)
        self.average.load_state_dict(self.generator.state_dict())

    def _make(self, config: dict[str, Any], bins: Bins | None) -> None:
        recipe = self.recipe
        self.config = config
        self.bins = Bins(*(tensor.to(self.device) for tensor in vars(bins).values())) if bins is not None else None
        self.objective = Objective(recipe, self.bins, self.device, self._vgg19)
        self.generator = build(recipe.generator, config).to(self.device).to(memory_format=torch.channels_last)
        self.average: nn.Module = build(recipe.generator, config).to(self.device)
        encoder = list(self.generator.encoder.parameters()) if hasattr(self.generator, "encoder") else []
        known = {id(parameter) for parameter in encoder}
        rest = [parameter for parameter in self.generator.parameters() if id(parameter) not in known]
        groups = [{"params": rest, "base": recipe.learning_rate}]
        if encoder:
            groups.append({"params": encoder, "base": recipe.encoder_learning_rate or recipe.learning_rate})
        self.generator_optimizer = self._optimizer(groups)
        if recipe.game != "none":
            if recipe.game not in GAMES or recipe.discriminator not in DISCRIMINATORS:
                raise UsageError(
                    f"game {recipe.game!r} with discriminator {recipe.discriminator!r}: there is {', '.join(GAMES)}"
                    f" and {', '.join(DISCRIMINATORS)}."
                )
            judge = DISCRIMINATORS[recipe.discriminator](**recipe.discriminator_config)
            self.discriminator = judge.to(self.device)
            self.discriminator_optimizer = self._optimizer(
                [{"params": list(judge.parameters()), "base": recipe.discriminator_learning_rate}]
            )

    def _optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        if self.recipe.optimizer not in kinds:
            raise UsageError(f"optimizer {self.recipe.optimizer!r} is unknown; there is {', '.join(kinds)}.")
        kind = kinds[self.recipe.optimizer]
        rates = {"lr": self.recipe.learning_rate, "betas": self.recipe.betas, "weight_decay": self.recipe.weight_decay}
        optimizer: torch.optim.Optimizer = kind(groups, **rates)
        for group in optimizer.param_groups:
            group["lr"] = group["base"]
        return optimizer

    def _set_learning_rates(self) -> None:
        recipe = self.recipe
        warm = min(1.0, self.progress / recipe.warmup) if recipe.warmup else 1.0
        factor = warm * (0.5 * (1 + math.cos(math.pi * self.progress)) if recipe.schedule == "cosine" else 1.0)
        for group in self.generator_optimizer.param_groups:
            group["lr"] = group["base"] * factor

    def _set_modes(self) -> None:
        self.generator.train()
        encoder = getattr(self.generator, "encoder", None)
        for module in encoder.modules() if encoder is not None else ():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()  # batches are small; ImageNet's statistics are better than theirs

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.average_decay**AVERAGE_EVERY, 1 - 1 / (1 + self.step / AVERAGE_EVERY))
        for mine, theirs in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for average, current in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            average.copy_(current)

    def _modules(self) -> dict[str, Any]:
        """Everything with a state_dict that a run goes on from."""
        parts = {"generator": self.generator, "average": self.average, "generator_optimizer": self.generator_optimizer}
        if self.discriminator is not None:
            parts |= {"discriminator": self.discriminator, "discriminator_optimizer": self.discriminator_optimizer}
        return parts

    def _save(self, checkpoint: Path) -> None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state = {name: part.state_dict() for name, part in self._modules().items()}
        state |= {"config": self.config, "recipe": self.recipe.name, "random": self.random.get_state()}
        state |= {"torch_random": torch.get_rng_state(), "bins": vars(self.bins) if self.bins is not None else None}
        state |= {"elapsed": self.elapsed, "step": self.step, "images": self.images}
        partial = checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(checkpoint)

    def _restore(self, checkpoint: Path) -> None:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if state.get("recipe") != self.recipe.name:
            raise UsageError(
                f"{checkpoint}: was made by recipe {state.get('recipe')!r}, not {self.recipe.name!r}; choose another"
                " --run or --no-resume."
            )
        self._make(state["config"], Bins(**state["bins"]) if state["bins"] is not None else None)
        for name, part in self._modules().items():
            part.load_state_dict(state[name])
        self.elapsed, self.step, self.images = state["elapsed"], state["step"], state["images"]
        self.random.set_state(state["random"])
        torch.set_rng_state(state["torch_random"])

    def export(self, path: Path, name: str) -> None:
        """Write the weights, averaged where the recipe averages, as a model file."""
        notes = {
            "images": self.images, "steps": self.step, "minutes": round(self.elapsed / 60, 1),
            "init": str(self.init) if self.init else None, "recipe": asdict(self.recipe),
            "data": self.photos.intake.describe() if self.photos else None,
        }  # fmt: skip
        network: nn.Module = self.average if self.recipe.average_decay else self.generator
        multiple = int(network.multiple)  # type: ignore[arg-type]  # every generator states it
        header = weights.ModelHeader(
            self.recipe.generator, self.config, name, __version__, self.recipe.size, multiple, notes
        )
        weights.save(path, network, header)


def _samples(photos: Photos, seed: int) -> Tensor:
    """a*b* at stride 4 of some crops: (N, 2)."""
    samples = []
    for rgb, _ in zip(photos.batches(BIN_SAMPLE_CROPS, seed), range(BIN_SAMPLE_BATCHES), strict=False):
        small = nn.functional.avg_pool2d(torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255, 4)
        _, a, b = rgb_to_lab(*small.unbind(1))
        samples.append(torch.stack([a, b], dim=-1).view(-1, 2))
    return torch.cat(samples)


def _listed(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
