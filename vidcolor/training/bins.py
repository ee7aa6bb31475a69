"""Colors as classes: bins of the a*b* plane, soft targets over them, and their cross-entropy loss.

Zhang, Isola, Efros, "Colorful Image Colorization" (2016): targets spread over the nearest bins, rare colors weighted up
(weakly: full rebalancing tints everything gray red).
Shapes: B batch, h w positions, K bins, N samples.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

BIN_WIDTH = 10  # a*b* units between bins
NEAREST = 4  # bins of a soft target
TARGET_SIGMA = 5.0  # a*b* units


@dataclass
class Bins:
    """The color classes, and lookup tables from a rounded a*b* to its soft target."""

    bins_2K: Tensor
    nearest: Tensor  # (256 * 256, NEAREST) bin numbers of a*b* rounded to whole units, offset 128
    shares: Tensor  # (256 * 256, NEAREST), sums to 1
    class_weights_K: Tensor

    @classmethod
    def from_samples(cls, ab_N2: Tensor, uniform_share: float, fixed_2K: Tensor | None = None) -> "Bins":
        """Make the bins that samples occupy, or take a trained model's `fixed_2K`; rare ones weigh more."""
        cells, counts = (ab_N2 / BIN_WIDTH).round().to(torch.int64).unique(dim=0, return_counts=True)
        cells = cells[counts > max(2, 2e-6 * len(ab_N2))]
        bins_K2 = cells.float() * BIN_WIDTH if fixed_2K is None else fixed_2K.T.contiguous()
        axis = torch.arange(-128, 128, dtype=torch.float32)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).view(-1, 2)
        distance, nearest = torch.cdist(grid, bins_K2).topk(min(NEAREST, len(bins_K2)), largest=False)
        shares = torch.softmax(-(distance**2) / (2 * TARGET_SIGMA**2), dim=1)
        codes = table_index(ab_N2[:, 0], ab_N2[:, 1])
        prior = torch.zeros(len(bins_K2)).index_add_(0, nearest[codes].flatten(), shares[codes].flatten())
        prior = (prior / prior.sum()).clamp(min=1e-7)
        weight = 1 / ((1 - uniform_share) * prior + uniform_share / len(prior))
        return cls(bins_K2.T.contiguous(), nearest, shares, weight / (prior * weight).sum())


def table_index(a: Tensor, b: Tensor) -> Tensor:
    """Row of the lookup tables for a*, b*."""
    return ((a.round() + 128).clamp(0, 255) * 256 + (b.round() + 128).clamp(0, 255)).long()


def bin_loss(logits_BKhw: Tensor, ab_B2hw: Tensor, bins: Bins) -> Tensor:
    """Cross-entropy with soft targets, rare colors weighted up."""
    codes = table_index(ab_B2hw[:, 0], ab_B2hw[:, 1])
    nearest, shares = bins.nearest[codes], bins.shares[codes]  # (B, h, w, NEAREST)
    log_probability = logits_BKhw.log_softmax(dim=1).permute(0, 2, 3, 1)
    each = -(log_probability.gather(3, nearest) * shares).sum(dim=3)
    weight = (bins.class_weights_K[nearest] * shares).sum(dim=3)
    return (each * weight).mean()
