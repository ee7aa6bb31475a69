"""The numbers by which places of different pictures are compared: near where the same thing is seen, from wherever.

A projection of a generator's features, learned on pairs of views of one photo: the colors of one view, found in the
other by these numbers, must be right.

Shapes: B batch, C numbers of a description, K of a likeness, p q positions at stride 16, N M places.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 16  # pixels
SHARPNESS = 20.0  # of the softmax over places: what one unit of squared distance counts


class Likeness(nn.Module):
    """Projects the description of a picture's places; see BinNet.describe."""

    def __init__(self, described: int, numbers: int):
        """described: C.  numbers: K."""
        super().__init__()
        self.project = nn.Conv2d(described, numbers, 1)
        nn.init.orthogonal_(self.project.weight, gain=(described / numbers) ** 0.5)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, described_BCpq: Tensor) -> Tensor:
        """A likeness, (B, K, p, q)."""
        likeness: Tensor = self.project(described_BCpq)
        return likeness


def find_colors(wanted_BKpq: Tensor, known_BKM: Tensor, ab_B2M: Tensor) -> Tensor:
    """Find the colors of places, (B, 2, p, q), among places whose colors are known: a mean weighted by likeness."""
    wanted = wanted_BKpq.flatten(2).transpose(1, 2)  # (B, N, K)
    squares = wanted.square().sum(dim=2, keepdim=True) + known_BKM.square().sum(dim=1, keepdim=True)
    distance = (squares - 2 * wanted @ known_BKM).clamp(min=0)
    found = F.softmax(-SHARPNESS * distance, dim=2) @ ab_B2M.transpose(1, 2)
    return torch.unflatten(found.transpose(1, 2), 2, wanted_BKpq.shape[2:])
