"""Pictures that the generator is shown twice, a little different, and has to color alike: what makes films flicker.

Shapes: N pictures shown twice, H W pixels, h w positions of the prediction (H/stride, W/stride).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_SHIFT = 6  # that the second look is moved by, to each side
EXPOSURE = 0.06  # by which it is brighter or darker at most, on L* + 16, where exposure is a factor
FLARE = 16.0
GRAIN = 3.0  # L*, the greatest standard deviation


@dataclass(frozen=True)
class SecondViews:
    """How the last N pictures of a batch follow from its first N."""

    shift_N2: Tensor  # pixels to the right and down, whole numbers

    @classmethod
    def sample(cls, count: int, random: torch.Generator, device: torch.device) -> "SecondViews":
        """As many, moved by chance."""
        shift = torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, (count, 2), generator=random)
        return cls(shift.to(device).float())

    @property
    def count(self) -> int:
        """N."""
        return len(self.shift_N2)

    def shift(self, pictures_BCHW: Tensor, stride: int = 1) -> Tensor:
        """The first N, moved; what comes in at an edge is the edge's own. stride: pixels for each position."""
        first = pictures_BCHW[: self.count]
        height, width = first.shape[2:]
        # affine_grid's coordinates go from -1 to 1 over the picture, so a step is 2 / size.
        size = torch.tensor([width, height], device=first.device)
        places = torch.eye(2, 3, device=first.device).repeat(self.count, 1, 1)
        places[:, :, 2] = -2 * self.shift_N2 / stride / size
        grid = F.affine_grid(places, list(first.shape), align_corners=False)
        return F.grid_sample(first, grid, padding_mode="border", align_corners=False)

    def make_views(self, lightness_B1HW: Tensor, random: torch.Generator) -> Tensor:
        """The first N moved, a little brighter or darker, under other grain."""
        moved = self.shift(lightness_B1HW)
        gain = 1 + EXPOSURE * (2 * torch.rand(self.count, 1, 1, 1, generator=random) - 1)
        grain = GRAIN * torch.rand(self.count, 1, 1, 1, generator=random) * torch.randn(moved.shape, generator=random)
        lit = (moved + FLARE) * gain.to(moved.device) - FLARE
        return (lit + grain.to(moved.device)).clamp(0, 100)

    def replace_last(self, pictures_BCHW: Tensor, second_NCHW: Tensor) -> Tensor:
        """The batch with its last N pictures replaced by second looks at the first N."""
        return torch.cat([pictures_BCHW[: -self.count], second_NCHW])

    def loss(self, ab_B2hw: Tensor, stride: int) -> Tensor:
        """Mean |a*b* of the second look - those of the first, moved|, away from the edges."""
        margin = -(-MAX_SHIFT // stride)
        difference = (ab_B2hw[-self.count :] - self.shift(ab_B2hw, stride)).abs()
        return difference[:, :, margin:-margin, margin:-margin].mean()
