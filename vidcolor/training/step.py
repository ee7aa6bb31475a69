"""A training step: the discriminator learns from a batch, then the generator."""

from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidcolor.training.gan import Gan
from vidcolor.training.losses import GAN_LOSSES, gradient_penalty, mean_over_scales
from vidcolor.training.objective import Batch, Objective, Prediction, discriminator_input, prepare_batch
from vidcolor.training.processes import Processes
from vidcolor.training.recipes import Recipe

GRADIENT_LIMIT = 1.0  # greatest norm, for generators that classify; other gradients are not clipped


class TrainingStep:
    """Trains a recipe's networks on one batch at a time."""

    def __init__(self, recipe: Recipe, gan: Gan, objective: Objective, processes: Processes):
        self._recipe, self._gan, self._objective, self._processes = recipe, gan, objective, processes

    def take(self, rgb_BHW3: NDArray[np.uint8], number: int, progress: float) -> dict[str, float]:
        """Learn from sRGB crops; returns the losses by name.

        number: of the step; it seeds every random choice.  progress: share of the budget spent, 0..1.
        """
        recipe, gan = self._recipe, self._gan
        random = _seed_everything(recipe.seed, number, self._processes.rank)
        gan.prepare_step(progress)
        parts = [
            prepare_batch(part, recipe, gan.generator.stride, self._processes.device, random)
            for part in np.split(rgb_BHW3, recipe.accumulate)
        ]
        # One forward pass serves both networks, unless a batch is split to save memory.
        shared = self._predict(parts[0]) if len(parts) == 1 else None
        is_playing = recipe.gan_loss != "none" and progress >= recipe.gan_start
        losses = self._discriminator_step(parts, shared) if is_playing else {}
        if not is_playing or number % recipe.critic_steps == 0:
            losses |= self._generator_step(parts, shared, progress, is_playing)
        gan.scaler.update()
        return losses

    def _discriminator_step(self, parts: list[Batch], shared: Prediction | None) -> dict[str, float]:
        gan, losses = self._gan, defaultdict[str, float](float)
        gan.discriminator_optimizer.zero_grad()
        for batch in parts:
            with torch.no_grad():
                prediction = shared or self._predict(batch)
            _backward(self._discriminator_losses(batch, prediction), len(parts), gan.scaler, losses)
        self._processes.average_gradients(self._discriminator)
        gan.optimizer_step(self._discriminator, gan.discriminator_optimizer)
        return dict(losses) | {"loss_D": sum(losses.values())}

    def _generator_step(
        self, parts: list[Batch], shared: Prediction | None, progress: float, is_playing: bool
    ) -> dict[str, float]:
        gan, losses = self._gan, defaultdict[str, float](float)
        gan.generator_optimizer.zero_grad()
        for batch in parts:
            prediction = shared or self._predict(batch)
            with gan.autocast():
                terms = self._objective.terms(prediction, batch, progress)
                if is_playing:
                    terms["loss_G_GAN"] = self._recipe.gan_weight * self._adversarial_loss(batch, prediction)
            _backward(terms, len(parts), gan.scaler, losses)
        self._processes.average_gradients(gan.generator)
        limit = GRADIENT_LIMIT if self._recipe.content == "bins" else None
        gan.optimizer_step(gan.generator, gan.generator_optimizer, limit)
        return dict(losses) | {"loss_G": sum(losses.values())}

    def _predict(self, batch: Batch) -> Prediction:
        with self._gan.autocast():
            return self._objective.predict(self._gan.generator, batch)

    def _discriminator_losses(self, batch: Batch, prediction: Prediction) -> dict[str, Tensor]:
        """The discriminator's losses on real and on generated pictures."""
        gan_loss, discriminator = GAN_LOSSES[self._recipe.gan_loss], self._discriminator
        weight = self._recipe.gradient_penalty
        with self._gan.autocast():
            real = self._discriminator_input(batch, Prediction(batch.ab_B2hw))
            fake = self._discriminator_input(batch, prediction)
            fake = [maps.detach() for maps in fake] if isinstance(fake, list) else fake.detach()
            on_real, on_fake = discriminator(real), discriminator(fake)
        losses = {
            "loss_D_real": mean_over_scales(gan_loss.real, on_real),
            "loss_D_fake": mean_over_scales(gan_loss.fake, on_fake),
        }
        if weight and isinstance(real, Tensor) and isinstance(fake, Tensor):
            # in fp32, as it is a second derivative
            mix = torch.rand(len(real), 1, 1, 1).to(real.device)
            losses["loss_D_penalty"] = weight * gradient_penalty(discriminator, real, fake, mix)
        return losses

    def _adversarial_loss(self, batch: Batch, prediction: Prediction) -> Tensor:
        self._discriminator.requires_grad_(False)
        loss = mean_over_scales(
            GAN_LOSSES[self._recipe.gan_loss].generator,
            self._discriminator(self._discriminator_input(batch, prediction)),
        )
        self._discriminator.requires_grad_(True)
        return loss

    def _discriminator_input(self, batch: Batch, prediction: Prediction) -> Tensor | list[Tensor]:
        """The discriminator's input for a prediction."""
        if self._recipe.discriminates_features:
            return self._objective.features(batch, prediction.ab_B2hw)
        lightness = prediction.lightness_B1hw if prediction.lightness_B1hw is not None else batch.true_lightness_B1HW
        return discriminator_input(lightness, prediction.ab_B2hw)

    @property
    def _discriminator(self) -> nn.Module:
        discriminator = self._gan.discriminator
        assert discriminator is not None
        return discriminator


def _backward(terms: dict[str, Tensor], parts: int, scaler: torch.amp.GradScaler, losses: dict[str, float]) -> None:
    """Accumulate the gradients of one part's terms, and add their values to `losses`."""
    total = torch.stack([term / parts for term in terms.values()]).sum()
    scaler.scale(total).backward()
    for name, term in terms.items():
        losses[name] += float(term.detach()) / parts


def _seed_everything(*numbers: int) -> torch.Generator:
    """Seed every random generator, so that a resumed run draws the same numbers."""
    seed = hash(numbers) % 2**63
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
