"""Two views of each photo, as two frames of a shot show one thing: turned, zoomed, bent, and aged differently.

Shapes: B batch, H W pixels, p q positions at a stride.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidcolor.color import gray_to_lightness, rgb_to_lab
from vidcolor.training.aging import Aging, age

ZOOM = 0.55, 0.95  # share of the photo's side that a view shows
TURN = 0.15  # radians, at most to either side
STRETCH = 1.1  # of a side
BENT, BEND = 0.6, 0.06  # share of views that are bent; by so much at most, in halves of the side
EXPOSURE = 0.8, 1.15
SAME = 0.12  # halves of the side: positions of two views that are so near in the photo show the same


@dataclass(frozen=True)
class View:
    """One view of a batch of photos."""

    lightness_B1HW: Tensor  # aged, 0..100
    ab_B2pq: Tensor  # true colors
    place_B2pq: Tensor  # where each position lies in its photo, -1..1, x then y

    def shows(self, other: "View") -> Tensor:
        """Where it shows something that `other` shows, too: (B, 1, p, q), 0 or 1."""
        mine, theirs = (view.place_B2pq.flatten(2).transpose(1, 2) for view in (self, other))
        near = torch.cdist(mine, theirs).amin(dim=2) < SAME
        return near.view(len(mine), 1, *self.place_B2pq.shape[2:]).float()


def make_view(rgb_B3HW: Tensor, stride: int, aging: Aging, random: torch.Generator) -> View:
    """Make a view of photos of sRGB 0..1, of their size.  stride: of its positions, in pixels."""
    grid = _draw_grid(rgb_B3HW.shape[0], rgb_B3HW.shape[2:], random).to(rgb_B3HW.device)
    shown = F.grid_sample(rgb_B3HW, grid, padding_mode="reflection", align_corners=False)
    _, a, b = rgb_to_lab(*F.avg_pool2d(shown, stride).unbind(1))
    gray, ab = age(shown, torch.stack([a, b], dim=1), aging, random)
    exposure = EXPOSURE[0] + (EXPOSURE[1] - EXPOSURE[0]) * torch.rand(len(gray), 1, 1, 1, generator=random)
    lightness = gray_to_lightness((gray * exposure.to(gray.device)).clamp(0, 1))
    return View(lightness, ab, F.avg_pool2d(grid.permute(0, 3, 1, 2), stride))


def _draw_grid(count: int, size: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Where each pixel of `count` views lies in its photo: (B, H, W, 2), -1..1."""

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=random)

    zoom, turn, stretch = draw(*ZOOM), draw(-TURN, TURN), draw(1 / STRETCH, STRETCH)
    across, down = draw(-1, 1) * (1 - zoom), draw(-1, 1) * (1 - zoom)
    row1 = torch.stack([zoom * stretch * turn.cos(), -zoom * turn.sin(), across], dim=1)
    row2 = torch.stack([zoom * turn.sin(), zoom / stretch * turn.cos(), down], dim=1)
    grid = F.affine_grid(torch.stack([row1, row2], dim=1), [count, 3, *size], align_corners=False)
    bend = draw(0, BEND) * (draw(0, 1) < BENT)
    coarse = torch.randn(count, 2, 5, 5, generator=random) * bend.view(-1, 1, 1, 1)
    return grid + F.interpolate(coarse, size, mode="bicubic").permute(0, 2, 3, 1)
