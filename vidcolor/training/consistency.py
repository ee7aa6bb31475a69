"""Temporal consistency: two slightly different views of one picture must get the same colors, or films flicker.

Shapes: N pictures with a second view, H W pixels, h w positions of the prediction (H/stride, W/stride).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_SHIFT = 6  # by which a second view is shifted at most, in each direction
EXPOSURE = 0.06  # greatest change of brightness, on L* + 16, where exposure is a factor
FLARE = 16.0
GRAIN = 3.0  # L*, greatest standard deviation


@dataclass(frozen=True)
class SecondViews:
    """Second views of a batch's first N pictures, which take the place of its last N."""

    shift_N2: Tensor  # pixels to the right and down, whole numbers

    @classmethod
    def sample(cls, count: int, random: torch.Generator, device: torch.device) -> "SecondViews":
        """Draw random shifts for `count` pictures."""
        shift = torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, (count, 2), generator=random)
        return cls(shift.to(device).float())

    @property
    def count(self) -> int:
        """N."""
        return len(self.shift_N2)

    def shift(self, pictures_BCHW: Tensor, stride: int = 1) -> Tensor:
        """Shift the first N, repeating the edges. stride: pixels of each position."""
        first = pictures_BCHW[: self.count]
        height, width = first.shape[2:]
        # affine_grid's coordinates go from -1 to 1 over the picture, so a step is 2 / size.
        size = torch.tensor([width, height], device=first.device)
        transform = torch.eye(2, 3, device=first.device).repeat(self.count, 1, 1)
        transform[:, :, 2] = -2 * self.shift_N2 / stride / size
        grid = F.affine_grid(transform, list(first.shape), align_corners=False)
        return F.grid_sample(first, grid, padding_mode="border", align_corners=False)

    def make_views(self, lightness_B1HW: Tensor, random: torch.Generator) -> Tensor:
        """Make second views: the first N shifted, brighter or darker, under different grain."""
        shifted = self.shift(lightness_B1HW)
        gain = 1 + EXPOSURE * (2 * torch.rand(self.count, 1, 1, 1, generator=random) - 1)
        grain = GRAIN * torch.rand(self.count, 1, 1, 1, generator=random) * torch.randn(shifted.shape, generator=random)
        lit = (shifted + FLARE) * gain.to(shifted.device) - FLARE
        return (lit + grain.to(shifted.device)).clamp(0, 100)

    def replace_last(self, pictures_BCHW: Tensor, second_NCHW: Tensor) -> Tensor:
        """Replace the last N pictures by second views of the first N."""
        return torch.cat([pictures_BCHW[: -self.count], second_NCHW])

    def loss(self, ab_B2hw: Tensor, stride: int) -> Tensor:
        """Mean |a*b* of the second view - shifted a*b* of the first|, away from the edges."""
        margin = -(-MAX_SHIFT // stride)
        difference = (ab_B2hw[-self.count :] - self.shift(ab_B2hw, stride)).abs()
        return difference[:, :, margin:-margin, margin:-margin].mean()
