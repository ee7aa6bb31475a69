"""The part of a generator that listens: known colors spread over a picture to what looks alike.

Each place asks all places that know a color how like it they are, in learned numbers and by distance, and takes the
difference between what they know and what the network says there. Colors spread by their differences, so that a whole
object follows one point, keeps its shades, and where nothing is known the prediction stays as it is, to the bit.

Shapes: B batch, h w positions at stride 4, N positions at stride 8, D numbers of a likeness, S ways of spreading.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUMBERS = 16  # that a likeness has, in each way
WIDTH, DETAIL = 96, 48  # channels inside
COLOR_SCALE = 50.0  # a*b*
REACHES = 1.5, 4.0  # at first, natural logarithms of the inverse of how far the ways reach, in short sides
DOUBT = -3.0  # at first, natural logarithm of the weight of knowing nothing


class Guidance(nn.Module):
    """Corrects predicted a*b* by known ones."""

    def __init__(self, coarse: int, fine: int, ways: int = 4):
        """coarse, fine: channels of the decoder's features at strides 8 and 4.  ways: of spreading (heads)."""
        super().__init__()
        self.ways = ways
        self.liken = nn.Sequential(
            nn.Conv2d(coarse + fine + 3, WIDTH, 1), nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH), nn.ReLU(), nn.Conv2d(WIDTH, ways * NUMBERS, 1),
        )  # fmt: skip
        self.nearness = nn.Parameter(torch.linspace(*REACHES, ways))
        self.doubt = nn.Parameter(torch.full((ways,), DOUBT))
        self.detail = nn.Conv2d(fine, DETAIL, 1)
        self.known = nn.Conv2d(2 * ways + 1, DETAIL, 1)
        self.weigh = nn.Sequential(
            nn.ReLU(), nn.Conv2d(DETAIL, DETAIL, 3, padding=1, groups=DETAIL), nn.ReLU(), nn.Conv2d(DETAIL, ways + 1, 1)
        )

    def look(self, coarse: Tensor, fine: Tensor, lightness_B1HW: Tensor, ab_B2hw: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` needs of a picture: its likeness (B, S * D, h/2, w/2) and details (B, DETAIL, h, w).

        coarse, fine: the decoder's features.  lightness: L* 0..100.  ab: the network's prediction.
        """
        seen = [coarse, F.avg_pool2d(fine, 2), F.avg_pool2d(lightness_B1HW, 8) / 100]
        return self.liken(torch.cat([*seen, F.avg_pool2d(ab_B2hw, 2) / COLOR_SCALE], dim=1)), self.detail(fine)

    def forward(self, likeness: Tensor, detail: Tensor, ab_B2hw: Tensor, known_B3hw: Tensor) -> Tensor:
        """Correct a prediction: a*b* and how far they come from known ones, 0..1: (B, 3, h, w).

        likeness, detail: see `look`.  known: a*b* and how sure they are, 0 (nothing is known) to 1.
        """
        known_ab, sure = known_B3hw[:, :2], known_B3hw[:, 2:]
        sure_8 = 4 * F.avg_pool2d(sure, 2)  # one sure place of four counts in full
        gap_8 = 4 * F.avg_pool2d((known_ab - ab_B2hw) * sure, 2) / sure_8.clamp(min=1e-4)
        spread, reached = self._spread(likeness, gap_8, sure_8.clamp(max=1))
        size = ab_B2hw.shape[2:]
        spread = F.interpolate(spread, size, mode="bilinear", align_corners=False)
        reached = F.interpolate(reached, size, mode="bilinear", align_corners=False)
        # Small differences are often a whole picture's tint, large ones one object's: they spread in other ways.
        apart = (spread[:, 0::2].square() + spread[:, 1::2].square() + 1).sqrt() / COLOR_SCALE
        weights = self.weigh(detail + self.known(torch.cat([reached, apart, sure], dim=1)))
        shares = weights[:, :-1].softmax(dim=1)
        belief = sure * torch.maximum(weights[:, -1:].sigmoid(), sure**4)  # what is fully sure holds exactly
        ways = torch.stack([shares * spread[:, 0::2], shares * spread[:, 1::2]], dim=1)  # (B, 2, S, h, w)
        ab = ab_B2hw + ways.sum(dim=2)
        reach = torch.maximum((shares * reached).sum(dim=1, keepdim=True), sure)
        return torch.cat([ab + belief * (known_ab - ab), reach], dim=1)

    def _spread(self, likeness: Tensor, gap_B2hw: Tensor, sure_B1hw: Tensor) -> tuple[Tensor, Tensor]:
        """What each way brings to each place, (B, S * 2, h, w), and how far it is known, 0..1: (B, S, h, w)."""
        b, _, h, w = likeness.shape
        rows, columns = (torch.arange(side, device=likeness.device, dtype=likeness.dtype) for side in (h, w))
        short = (h + w - abs(h - w)) // 2  # min(h, w), but for the tracer, which would keep one of the two
        grid = torch.stack([rows[:, None].expand(h, w), columns[None].expand(h, w)]).reshape(1, 1, 2, h * w) / short
        places = (grid * self.nearness.exp().view(1, -1, 1, 1)).expand(b, -1, -1, -1)
        what = torch.cat([likeness.view(b, self.ways, NUMBERS, h * w), places], dim=2)  # (B, S, D + 2, N)
        squares = what.square().sum(dim=2)
        distance = squares[..., :, None] + squares[..., None, :] - 2 * what.transpose(2, 3) @ what
        alike = (-distance.clamp(min=0)).exp()  # (B, S, N, N)
        said = torch.cat([gap_B2hw * sure_B1hw, sure_B1hw], dim=1).view(b, 1, 3, h * w).transpose(2, 3)
        found = alike @ said  # (B, S, N, 3)
        total = found[..., 2:]
        share = 1 / (total + self.doubt.exp().view(1, -1, 1, 1))
        spread = (found[..., :2] * share).transpose(2, 3).reshape(b, 2 * self.ways, h, w)
        return spread, (total * share).view(b, self.ways, h, w)
