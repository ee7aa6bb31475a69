"""How a run is watched: fixed pictures painted again each epoch, and the losses on the photos kept apart."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidcolor.color import lab_to_rgb
from vidcolor.stills.rgb import Rgb
from vidcolor.training.objective import Batch, Objective, painted_rgb, prepare
from vidcolor.training.photos import Photos
from vidcolor.training.recipes import UNAGED, Recipe

GRID_PICTURES = 8
GAP = 4  # pixels between pictures of the grid
MOST_VALIDATED = 256  # photos; more would make an epoch's end a pause
AT_ONCE = 16


class Watch:
    """Looks at a generator with the same pictures each time."""

    def __init__(self, photos: Photos, objective: Objective, recipe: Recipe, device: torch.device):
        self._objective, self._recipe, self._device = objective, replace(recipe, aging=UNAGED, consistency=0.0), device
        self._apart = _spread(photos.validation_crops(), MOST_VALIDATED)
        self._shown = _spread(self._apart, GRID_PICTURES) if len(self._apart) else photos.fixed_crops(GRID_PICTURES)

    def measure(self, network: Any) -> dict[str, float]:
        """Content terms and PSNR (dB) on the photos kept apart, unaged: names with `validation_`; {} without any."""
        totals = defaultdict[str, float](float)
        for start in range(0, len(self._apart), AT_ONCE):
            crops = self._apart[start : start + AT_ONCE]
            batch, prediction_rgb, terms = self._painted(network, crops)
            truth = painted_rgb(batch, batch.ab_B2hw)
            errors = ((prediction_rgb - truth) ** 2).mean(dim=(1, 2, 3)).clamp(min=1e-10)
            for name, value in terms.items():
                totals[f"validation_{name}"] += float(value) * len(crops)
            totals["validation_psnr"] += float((-10 * torch.log10(errors)).sum())
        return {name: total / len(self._apart) for name, total in totals.items()}

    def grid(self, network: Any) -> Rgb:
        """Input, prediction and truth, one below the other, of the fixed pictures."""
        batch, predicted, _ = self._painted(network, self._shown)
        lightness = batch.lightness_B1HW[:, 0]
        nothing = torch.zeros_like(lightness)
        gray = torch.stack(lab_to_rgb(lightness, nothing, nothing), dim=1)
        return np.concatenate([_row(gray), _row(predicted), _row(painted_rgb(batch, batch.ab_B2hw))])

    @torch.no_grad()
    def _painted(self, network: nn.Module, crops: NDArray[np.uint8]) -> tuple[Batch, Tensor, dict[str, Tensor]]:
        was_training = network.training
        network.eval()
        batch = prepare(crops, self._recipe, int(network.stride), self._device, torch.Generator())  # type: ignore[arg-type]
        prediction = self._objective.predict(network, batch.lightness_B1HW)
        terms = self._objective.terms(prediction, batch)
        network.train(was_training)
        return batch, painted_rgb(batch, prediction.ab_B2hw), terms


def _spread(crops: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """At most `count` of them, evenly spread."""
    if len(crops) <= count:
        return crops
    chosen: NDArray[np.uint8] = crops[np.linspace(0, len(crops) - 1, count).round().astype(int)]
    return chosen


def _row(rgb_B3HW: Tensor) -> Rgb:
    """Pictures 0..1 side by side, a gap after each and below."""
    pictures = (rgb_B3HW.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    padded = np.pad(pictures, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), axis=1)
