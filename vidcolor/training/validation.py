"""Validation of a run: losses on the validation photos, and a grid of fixed pictures."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidcolor.color import lab_to_rgb
from vidcolor.stills.rgb import Rgb
from vidcolor.training.objective import Batch, Objective, prepare_batch, render_rgb
from vidcolor.training.photos import Photos
from vidcolor.training.recipes import NO_AGING, Recipe

GRID_PICTURES = 8
GAP = 4  # pixels between pictures of the grid
MAX_VALIDATION_CROPS = 256  # more would make an epoch's end slow
BATCH = 16


class Validator:
    """Runs a generator on the same pictures each time."""

    def __init__(self, photos: Photos, objective: Objective, recipe: Recipe, device: torch.device):
        self._objective, self._recipe, self._device = (
            objective,
            replace(recipe, aging=NO_AGING, consistency=0.0),
            device,
        )
        self._validation_crops = _pick_evenly(photos.validation_crops(), MAX_VALIDATION_CROPS)
        self._grid_crops = (
            _pick_evenly(self._validation_crops, GRID_PICTURES)
            if len(self._validation_crops)
            else photos.fixed_crops(GRID_PICTURES)
        )

    def measure(self, network: Any) -> dict[str, float]:
        """Content terms and PSNR (dB) on the unaged validation photos, named `validation_...`; {} without photos."""
        totals = defaultdict[str, float](float)
        for start in range(0, len(self._validation_crops), BATCH):
            crops = self._validation_crops[start : start + BATCH]
            batch, prediction_rgb, terms = self._predict(network, crops)
            truth = render_rgb(batch, batch.ab_B2hw)
            errors = ((prediction_rgb - truth) ** 2).mean(dim=(1, 2, 3)).clamp(min=1e-10)
            for name, value in terms.items():
                totals[f"validation_{name}"] += float(value) * len(crops)
            totals["validation_psnr"] += float((-10 * torch.log10(errors)).sum())
        return {name: total / len(self._validation_crops) for name, total in totals.items()}

    def measure_any(self, network: Any) -> dict[str, float]:
        """The losses of `measure`, or without validation photos those of `measure_seen`."""
        return self.measure(network) or self.measure_seen(network)

    def measure_seen(self, network: Any) -> dict[str, float]:
        """PSNR (dB) on the pictures of the grid, named `seen_psnr`: without validation photos they are learned from."""
        batch, prediction_rgb, _ = self._predict(network, self._grid_crops)
        errors = ((prediction_rgb - render_rgb(batch, batch.ab_B2hw)) ** 2).mean(dim=(1, 2, 3)).clamp(min=1e-10)
        return {"seen_psnr": float((-10 * torch.log10(errors)).mean())}

    def make_grid(self, network: Any) -> Rgb:
        """Make a grid of the fixed pictures: rows of input, prediction and truth."""
        batch, predicted, _ = self._predict(network, self._grid_crops)
        lightness = batch.lightness_B1HW[:, 0]
        zeros = torch.zeros_like(lightness)
        gray = torch.stack(lab_to_rgb(lightness, zeros, zeros), dim=1)
        return np.concatenate([_join_row(gray), _join_row(predicted), _join_row(render_rgb(batch, batch.ab_B2hw))])

    @torch.no_grad()
    def _predict(self, network: nn.Module, crops: NDArray[np.uint8]) -> tuple[Batch, Tensor, dict[str, Tensor]]:
        was_training = network.training
        network.eval()
        batch = prepare_batch(crops, self._recipe, int(network.stride), self._device, torch.Generator())  # type: ignore[arg-type]
        prediction = self._objective.predict(network, batch)
        terms = self._objective.terms(prediction, batch)
        network.train(was_training)
        return batch, render_rgb(batch, prediction.ab_B2hw), terms


def _pick_evenly(crops: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Pick at most `count` crops, evenly spread."""
    if len(crops) <= count:
        return crops
    chosen: NDArray[np.uint8] = crops[np.linspace(0, len(crops) - 1, count).round().astype(int)]
    return chosen


def _join_row(rgb_B3HW: Tensor) -> Rgb:
    """Join pictures 0..1 side by side, with a gap after each and below."""
    pictures = (rgb_B3HW.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    padded = np.pad(pictures, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), axis=1)
