"""A recipe's objective: batches, predictions, and the terms of the generator's loss.

Shapes: B batch, H W pixels of a crop, h w positions of the prediction (H/stride, W/stride), K bins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidcolor.color import gray_to_lightness, lab_to_rgb, rgb_to_lab
from vidcolor.errors import UsageError
from vidcolor.networks.discriminators import normalize_lab
from vidcolor.networks.likeness import STRIDE as LIKENESS_STRIDE
from vidcolor.networks.likeness import find_colors
from vidcolor.training.aging import age
from vidcolor.training.bins import Bins, bin_loss
from vidcolor.training.consistency import SecondViews
from vidcolor.training.features import load_feature_network
from vidcolor.training.knowledge import simulate_knowledge
from vidcolor.training.losses import chroma_gap, content_loss, de94, false_chroma, log_error
from vidcolor.training.recipes import PARTS, Recipe
from vidcolor.training.views import View, make_view


@dataclass(frozen=True)
class Batch:
    """One batch of training data."""

    lightness_B1HW: Tensor  # L* of the aged picture, the generator's input
    ab_B2hw: Tensor  # true colors at the generator's stride
    true_lightness_B1HW: Tensor  # L* of the photo itself
    second_views: SecondViews | None = None  # for recipes with a consistency term
    known_B3hw: Tensor | None = None  # known a*b* and how sure they are, for recipes that train guidance
    other: View | None = None  # of the same photos, whose colors are found again, for recipes that train likeness
    found_B1hw: Tensor | None = None  # 1 where `other` shows the same


@dataclass(frozen=True)
class Prediction:
    """The generator's output."""

    ab_B2hw: Tensor
    logits_BKhw: Tensor | None = None
    lightness_B1hw: Tensor | None = None  # of generators that predict L* too


def prepare_batch(
    rgb_BHW3: NDArray[np.uint8], recipe: Recipe, stride: int, device: torch.device, random: torch.Generator
) -> Batch:
    """Prepare a batch of sRGB crops: aged input and true colors."""
    rgb = torch.from_numpy(rgb_BHW3).to(device).permute(0, 3, 1, 2).float() / 255
    if recipe.part == "likeness":
        return _prepare_views(rgb, recipe, random)
    small = F.avg_pool2d(rgb, stride) if stride > 1 else rgb
    _, a, b = rgb_to_lab(*small.unbind(1))
    gray, ab = age(rgb, torch.stack([a, b], dim=1), recipe.aging, random)
    true_lightness, _, _ = rgb_to_lab(*rgb.unbind(1))
    lightness, true_lightness = gray_to_lightness(gray), true_lightness[:, None]
    second_views = None
    if count := round(recipe.consistency * len(rgb)):
        second_views = SecondViews.sample(count, random, device)
        lightness = second_views.replace_last(lightness, second_views.make_views(lightness, random))
        true_lightness = second_views.replace_last(true_lightness, second_views.shift(true_lightness))
        ab = second_views.replace_last(ab, second_views.shift(ab, stride))
    known = None
    if recipe.part == "guidance":
        ab, known = simulate_knowledge(ab, F.avg_pool2d(true_lightness, stride), random)
    return Batch(lightness.contiguous(memory_format=torch.channels_last), ab, true_lightness, second_views, known)


def _prepare_views(rgb_B3HW: Tensor, recipe: Recipe, random: torch.Generator) -> Batch:
    """Prepare two views of each crop."""
    view, other = (make_view(rgb_B3HW, LIKENESS_STRIDE, recipe.aging, random) for _ in range(2))
    return Batch(view.lightness_B1HW, view.ab_B2pq, view.lightness_B1HW, other=other, found_B1hw=view.shows(other))


def discriminator_input(lightness_B1HW: Tensor, ab_B2hw: Tensor) -> Tensor:
    """A discriminator's input: normalized Lab at the size of a*b*."""
    stride = lightness_B1HW.shape[2] // ab_B2hw.shape[2]
    return normalize_lab(F.avg_pool2d(lightness_B1HW, stride) if stride > 1 else lightness_B1HW, ab_B2hw)


class Objective:
    """The weighted content terms of a recipe."""

    def __init__(self, recipe: Recipe, bins: Bins | None, device: torch.device, vgg19: Path | None = None):
        """bins: for recipes that classify.  vgg19: weights file for feature losses on VGG19.

        Raises UsageError for an unknown content loss, or one whose weights are missing.
        """
        self.recipe, self.bins = recipe, bins
        self._content: Callable[[Tensor, Tensor], Tensor] | None = None
        if recipe.content not in ("bins", *PARTS):
            kind = recipe.content.removeprefix("lab-").removeprefix("features-")
            if kind not in ("l1", "mse", "rmse"):
                raise UsageError(
                    f"content loss {recipe.content!r} is unknown; there is bins, {', '.join(PARTS)}, l1, mse, rmse,"
                    " lab-*, features-*."
                )
            self._content = content_loss(kind)
        self._feature_network: Callable[[Tensor], list[Tensor]] | None = None
        if recipe.perceptual_finer and recipe.features == "vgg19":
            raise UsageError("perceptual_finer compares several maps of features, and vgg19 gives one; take lite0.")
        if recipe.uses_features:
            self._feature_network = load_feature_network(recipe.features, vgg19, device)
        self._recent_features: list[tuple[Batch, Tensor, list[Tensor]]] = []

    def predict(self, network: Any, batch: Batch) -> Prediction:
        """Run the generator with the head that the content loss needs; the output is fp32 at any precision."""
        lightness_B1HW = batch.lightness_B1HW
        if batch.known_B3hw is not None:
            return Prediction(network.guide(lightness_B1HW, batch.known_B3hw).float()[:, :2])
        if batch.other is not None:
            return _find_again(network, batch, batch.other)
        if self.recipe.content == "bins":
            logits = network.logits(lightness_B1HW).float()
            with torch.autocast(logits.device.type, enabled=False):
                return Prediction(network.read_out(logits), logits)
        if self.recipe.content.startswith("lab-"):
            lab = network.lab(lightness_B1HW).float()
            return Prediction(lab[:, 1:], lightness_B1hw=lab[:, :1])
        return Prediction(network(lightness_B1HW).float())

    def features(self, batch: Batch, ab_B2hw: Tensor) -> list[Tensor]:
        """Feature maps of a batch's lightness with these colors, finest first.

        The last two results are kept, so that content terms and discriminator share one forward pass.
        """
        for known_batch, known_ab, maps in self._recent_features:
            if known_batch is batch and known_ab is ab_B2hw:
                return maps
        assert self._feature_network is not None
        maps = self._feature_network(render_rgb(batch, ab_B2hw))
        self._recent_features = [*self._recent_features[-1:], (batch, ab_B2hw, maps)]
        return maps

    def _feature_pairs(self, batch: Batch, ab_B2hw: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Features of prediction and truth, finest first; gradients flow to the prediction only."""
        seen, true = self.features(batch, ab_B2hw), self.features(batch, batch.ab_B2hw)
        return [(mine, theirs.detach()) for mine, theirs in zip(seen, true, strict=True)]

    def _perceptual_terms(self, batch: Batch, ab_B2hw: Tensor) -> dict[str, Tensor]:
        """Feature distances: the coarsest maps know what things are, the finer ones where colors end."""
        recipe, terms = self.recipe, dict[str, Tensor]()
        if not (recipe.perceptual_weight or recipe.perceptual_finer):
            return terms
        *finer, coarsest = self._feature_pairs(batch, ab_B2hw)
        if recipe.perceptual_weight:
            terms["loss_G_perceptual"] = recipe.perceptual_weight * F.mse_loss(*coarsest)
        if recipe.perceptual_finer:
            apart = [F.mse_loss(mine, true) / true.square().mean() for mine, true in finer]
            terms["loss_G_perceptual_finer"] = recipe.perceptual_finer * torch.stack(apart).mean()
        return terms

    def terms(self, prediction: Prediction, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Weighted terms of the generator's loss by name.  progress: share of the budget spent."""
        weight, ab, truth = self.recipe.content_weight, prediction.ab_B2hw, batch.ab_B2hw
        terms: dict[str, Tensor] = {}
        if batch.known_B3hw is not None:
            terms["loss_G_guided"] = weight * log_error(ab, truth)
        elif batch.found_B1hw is not None:
            terms["loss_G_likeness"] = weight * log_error(ab * batch.found_B1hw, truth * batch.found_B1hw)
        elif prediction.logits_BKhw is not None and self.bins is not None:
            terms["loss_G_bins"] = weight * bin_loss(prediction.logits_BKhw, truth, self.bins)
        elif self._content is not None and self.recipe.content.startswith("features-"):
            terms["loss_G_features"] = weight * self._content(*self._feature_pairs(batch, ab)[-1])
        elif self._content is not None:
            terms["loss_G_L1"] = weight * self._content(
                _predicted_lab(batch, prediction), discriminator_input(batch.true_lightness_B1HW, truth)
            )
        if progress >= self.recipe.perceptual_start:
            terms |= self._perceptual_terms(batch, ab)
        if self.recipe.readout_weight:
            terms["loss_G_readout"] = self.recipe.readout_weight * F.mse_loss(ab, truth)
        if self.recipe.decibel_weight:
            terms["loss_G_decibel"] = self.recipe.decibel_weight * log_error(ab, truth)
        if self.recipe.de94_weight:
            terms["loss_G_de94"] = self.recipe.de94_weight * de94(ab, truth)
        if self.recipe.chroma_gap_weight:
            terms["loss_G_chroma_gap"] = self.recipe.chroma_gap_weight * chroma_gap(ab, truth)
        if self.recipe.neutral_weight:
            terms["loss_G_neutral"] = self.recipe.neutral_weight * false_chroma(ab, truth)
        if batch.second_views is not None:
            stride = batch.lightness_B1HW.shape[2] // ab.shape[2]
            terms["loss_G_consistency"] = self.recipe.consistency_weight * batch.second_views.loss(ab, stride)
        return terms


def _find_again(network: Any, batch: Batch, other: View) -> Prediction:
    """The colors of a batch's pictures as they are found in other views, among which lie those of another photo."""
    wanted = network.liken(batch.lightness_B1HW).float()
    known = torch.cat([network.liken(other.lightness_B1HW).float(), other.ab_B2pq], dim=1).flatten(2)
    known = torch.cat([known, known.roll(1, dims=0)], dim=2)
    return Prediction(find_colors(wanted, known[:, :-2], known[:, -2:]))


def _predicted_lab(batch: Batch, prediction: Prediction) -> Tensor:
    """The prediction as normalized Lab; generators that keep L* are compared on color only."""
    if prediction.lightness_B1hw is not None:
        return normalize_lab(prediction.lightness_B1hw, prediction.ab_B2hw)
    return discriminator_input(batch.true_lightness_B1HW, prediction.ab_B2hw)


def render_rgb(batch: Batch, ab_B2hw: Tensor) -> Tensor:
    """Combine colors with the photo's own L*: RGB in 0..1."""
    lightness = batch.true_lightness_B1HW
    ab = F.interpolate(ab_B2hw, size=lightness.shape[2:], mode="bicubic", align_corners=False)
    return torch.stack(lab_to_rgb(lightness[:, 0], ab[:, 0], ab[:, 1]), dim=1).clamp(0, 1)
