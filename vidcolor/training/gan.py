"""A recipe's networks and optimizers: generator, its weight average, discriminator."""

import math
from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import nn

from vidcolor.choices import describe_unknown
from vidcolor.errors import UsageError
from vidcolor.inference.model_file import MAX_SIZE, MIN_SIZE
from vidcolor.networks import build
from vidcolor.networks.discriminators import DISCRIMINATORS
from vidcolor.networks.efficientnet import SCALINGS, load_imagenet_checkpoint
from vidcolor.training.aging import Aging
from vidcolor.training.losses import GAN_LOSSES
from vidcolor.training.muon import Muon
from vidcolor.training.recipes import Recipe

AVERAGE_EVERY = 8  # steps between updates of the weight average; each would cost a tenth of a step
AVERAGED_EACH = 64  # first steps that are averaged one by one, so that a short run has an average, too
NOT_NEGATIVE = (
    "content_weight", "perceptual_weight", "perceptual_finer", "readout_weight", "decibel_weight", "de94_weight",
    "chroma_gap_weight", "neutral_weight", "consistency_weight", "gan_weight", "gradient_penalty", "learning_rate",
    "encoder_learning_rate", "discriminator_learning_rate", "weight_decay",
)  # fmt: skip
SHARES = (
    "perceptual_start", "gan_start", "warmup", "average_decay", "validation_share", "cutmix", "cards", "uniform_share",
)  # fmt: skip
AGED_SHARES = (
    "sensitivity", "tone", "grain", "blur", "softness", "halation", "contrast", "crushed", "burnt", "scratches",
    "flicker", "borders", "compression",
)  # fmt: skip
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Gan:
    """The networks and optimizers of a run: all that a checkpoint holds beside its position in the budget."""

    def __init__(self, recipe: Recipe, config: dict[str, Any], device: torch.device):
        """config: keyword arguments of the recipe's generator. Raises UsageError for unknown names."""
        self._recipe, self.config, self._device = recipe, config, device
        self.generator: Any = build(recipe.generator, config).to(device).to(memory_format=torch.channels_last)
        self.average: nn.Module = build(recipe.generator, config).to(device)
        self.discriminator: nn.Module | None = None
        self._encoder: Any = getattr(self.generator, "encoder", None)
        if self._encoder is not None:
            self._encoder.set_drop_path(recipe.drop_path)
        elif recipe.drop_path:
            raise UsageError(f"drop_path {recipe.drop_path}: {recipe.generator} has no encoder to leave blocks out of.")
        if recipe.part is not None:
            self.generator.requires_grad_(False)
            getattr(self.generator, recipe.part).requires_grad_(True)
        encoder = list(self._encoder.parameters()) if self._encoder is not None else []
        known = {id(parameter) for parameter in encoder}
        rest = [parameter for parameter in self.generator.parameters() if id(parameter) not in known]
        groups = [{"params": rest, "base": recipe.learning_rate}]
        if encoder:
            groups.append({"params": encoder, "base": recipe.encoder_learning_rate or recipe.learning_rate})
        self.generator_optimizer = self._make_optimizer(groups)
        if recipe.gan_loss != "none":
            self.discriminator = _build_discriminator(recipe).to(device)
            self.discriminator_optimizer = self._make_optimizer(
                [{"params": list(self.discriminator.parameters()), "base": recipe.discriminator_learning_rate}]
            )
        # Half precision loses small gradients unless they are scaled; other precisions pass unchanged.
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")

    def autocast(self) -> torch.autocast:
        """The context in which networks run, in mixed precision where the recipe asks for it."""
        dtype = PRECISIONS[self._recipe.precision]
        return torch.autocast(self._device.type, dtype, enabled=dtype != torch.float32)

    def start_from(self, source: nn.Module | None) -> None:
        """Load a trained generator's weights; without a source, ImageNet's into an encoder."""
        if source is not None:
            own = self.generator.state_dict()  # a source may lack the part that is trained
            self.generator.load_state_dict(own | source.state_dict())
        elif self._encoder is not None:
            self._encoder.load_imagenet(load_imagenet_checkpoint(self.config.get("encoder", "lite0")))

    def freeze(self, blocks: int) -> None:
        """Freeze the encoder's stem and its first blocks; 0 unfreezes all."""
        encoder = self._encoder
        if encoder is None or self._recipe.part is not None:
            return
        encoder.requires_grad_(True)
        for module in [encoder._conv_stem, encoder._bn0, *encoder._blocks[:blocks]] if blocks else []:
            module.requires_grad_(False)

    def prepare_step(self, progress: float) -> None:
        """Set learning rates and modes for a step at that share of the budget."""
        recipe = self._recipe
        warm = min(1.0, progress / recipe.warmup) if recipe.warmup else 1.0
        factor = warm * (0.5 * (1 + math.cos(math.pi * progress)) if recipe.schedule == "cosine" else 1.0)
        for group in self.generator_optimizer.param_groups:
            group["lr"] = group["base"] * factor
        self.generator.train()
        if recipe.part is not None:  # all else stays as it is, its statistics too
            self.generator.eval()
        for module in self._encoder.modules() if self._encoder is not None else ():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()  # batches are small; ImageNet's statistics are better than theirs

    def check_crop(self, crop: int) -> None:
        """Raise UsageError for a crop side that the generator or the discriminator cannot take."""
        if crop % (multiple := int(self.generator.multiple)):
            raise UsageError(f"crops of {crop} pixels: this generator takes multiples of {multiple}.")
        if self.discriminator is None or self._recipe.discriminates_features:
            return
        side = crop // int(self.generator.stride)
        self.discriminator.eval()  # this pass must not change its running statistics
        try:
            with torch.no_grad():
                self.discriminator(torch.zeros(2, 3, side, side, device=self._device))
        except (RuntimeError, ValueError) as error:
            raise UsageError(
                f"crops of {crop} pixels show the discriminator {side} pixels of color, too few for it. Take larger"
                " crops or fewer of its layers (discriminator_config)."
            ) from error
        finally:
            self.discriminator.train()

    def optimizer_step(self, network: nn.Module, optimizer: torch.optim.Optimizer, limit: float | None = None) -> None:
        """Take a step of an optimizer.  limit: greatest norm of the gradient."""
        if limit is not None:
            self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(network.parameters(), limit)
        self.scaler.step(optimizer)

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        """Move the weight average toward the generator, every few steps."""
        every = 1 if step <= AVERAGED_EACH else AVERAGE_EVERY
        if not self._recipe.average_decay or step % every:
            return
        decay = min(self._recipe.average_decay**every, 1 - every / (AVERAGE_EVERY + step))
        for mine, theirs in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for average, current in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            average.copy_(current)

    @property
    def result(self) -> nn.Module:
        """The generator to export: its weight average where the recipe averages."""
        if self._recipe.average_decay:
            return self.average
        network: nn.Module = self.generator
        return network

    def _parts(self) -> dict[str, Any]:
        parts = {"generator": self.generator, "average": self.average, "generator_optimizer": self.generator_optimizer}
        if self.discriminator is not None:
            parts |= {"discriminator": self.discriminator, "discriminator_optimizer": self.discriminator_optimizer}
        return parts | {"scaler": self.scaler}

    def state(self) -> dict[str, Any]:
        """The state dicts that a run resumes from."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Load `state()`. Raises KeyError, TypeError, ValueError or AttributeError where it does not fit."""
        for name, part in self._parts().items():
            try:
                part.load_state_dict(state[name])
            except RuntimeError as error:
                raise ValueError(f"{name} does not fit") from error

    def _make_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        recipe = self._recipe
        rates = {"lr": recipe.learning_rate, "betas": recipe.betas, "weight_decay": recipe.weight_decay}
        optimizer: torch.optim.Optimizer = OPTIMIZERS[recipe.optimizer](groups, **rates)
        for group in optimizer.param_groups:
            group["lr"] = group["base"]
        return optimizer


def _build_discriminator(recipe: Recipe) -> nn.Module:
    """Build the recipe's discriminator. Raises UsageError for a config that does not fit it."""
    config, shown = recipe.discriminator_config, {"features": recipe.features} if recipe.discriminates_features else {}
    try:
        return DISCRIMINATORS[recipe.discriminator](**shown, **config)
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(f"discriminator_config {config} does not fit {recipe.discriminator}: {error}.") from error


def check_recipe(recipe: Recipe) -> None:
    """Raise UsageError for an unknown name or a number out of range."""
    known: dict[str, Collection[str]] = {
        "optimizer": OPTIMIZERS,
        "precision": PRECISIONS,
        "gan_loss": {"none": None, **GAN_LOSSES},
    }
    if recipe.gan_loss != "none":
        known["discriminator"] = DISCRIMINATORS
    for field, names in known.items():
        if getattr(recipe, field) not in names:
            raise UsageError(f"{field} {describe_unknown(getattr(recipe, field), names)}")
    if recipe.batch % recipe.accumulate:
        raise UsageError(f"batch {recipe.batch} cannot be split into {recipe.accumulate} equal parts (accumulate).")
    if recipe.part and (recipe.generator != "binnet" or not recipe.generator_config.get(recipe.part)):
        raise UsageError(f"content {recipe.content}: needs generator binnet with {recipe.part} in its config.")
    if recipe.discriminates_features:
        if recipe.features not in SCALINGS:
            raise UsageError(f"discriminator features looks at EfficientNet-Lite's, not at {recipe.features}'s maps.")
        if recipe.gradient_penalty or recipe.content.startswith("lab-"):
            raise UsageError("discriminator features takes no gradient_penalty, and only generators of a*b*.")
    _check_numbers(recipe, NOT_NEGATIVE, math.inf)
    _check_numbers(recipe, SHARES, 1)
    _check_numbers(recipe.aging, AGED_SHARES, 1, "aging.")
    _check_numbers(recipe.aging, [field.name for field in fields(Aging) if field.name != "gamma"], math.inf, "aging.")
    for name in ("validation_share", "average_decay"):
        if getattr(recipe, name) == 1:
            raise UsageError(f"{name} 1.0: must be below 1, since nothing would be learned.")
    if not 0 <= recipe.consistency <= 0.5:
        raise UsageError(f"consistency {recipe.consistency}: is the share of a batch with a second view; 0 to 0.5.")
    if not 0 <= recipe.drop_path < 1:
        raise UsageError(f"drop_path {recipe.drop_path}: is a share of pictures; 0 (none) to below 1.")
    if recipe.size is not None and not MIN_SIZE <= recipe.size <= MAX_SIZE:
        raise UsageError(f"size {recipe.size}: a model looks at {MIN_SIZE} to {MAX_SIZE} pixels.")
    if not 1 <= recipe.zoom <= 4:
        raise UsageError(f"zoom {recipe.zoom}: is how much closer crops may come; 1 (never) to 4.")


def _check_numbers(settings: object, names: Sequence[str], most: float, prefix: str = "") -> None:
    """Raise UsageError for a number below 0 or above the most it may be."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not 0 <= value <= most:
            wanted = "at least 0" if most == math.inf else f"0 to {most}"
            raise UsageError(f"{prefix}{name} {value}: must be {wanted}.")
