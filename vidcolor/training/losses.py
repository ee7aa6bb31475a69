"""Losses. Logits are lists with one map for each scale; every loss is a mean, independent of sizes.

Shapes: B batch, H W pixels of the pictures compared, h w patches.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Logits = list[Tensor]
LEAST_ERROR = 2.0  # a*b* squared
NEUTRAL = 6.0  # chroma below which a true color counts as gray


@dataclass(frozen=True)
class GanLoss:
    """An adversarial loss: the discriminator's loss on real and on fake pictures, the generator's on fake ones."""

    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


GAN_LOSSES = {
    # Goodfellow et al. 2014, with the non-saturating generator; softplus(-x) is binary cross-entropy from a logit.
    "bce": GanLoss(lambda x: F.softplus(-x).mean(), lambda x: F.softplus(x).mean(), lambda x: F.softplus(-x).mean()),
    # Lim and Ye 2017, "Geometric GAN".
    "hinge": GanLoss(lambda x: F.relu(1 - x).mean(), lambda x: F.relu(1 + x).mean(), lambda x: -x.mean()),
    # Arjovsky et al. 2017; needs gradient_penalty.
    "wasserstein": GanLoss(lambda x: -x.mean(), lambda x: x.mean(), lambda x: -x.mean()),
}


def mean_over_scales(loss: Callable[[Tensor], Tensor], logits: Logits) -> Tensor:
    """Mean of a loss over the scales of a discriminator."""
    return torch.stack([loss(each) for each in logits]).mean()


def gradient_penalty(
    critic: Callable[[Tensor], Logits], real_BCHW: Tensor, fake_BCHW: Tensor, mix_B111: Tensor
) -> Tensor:
    """Squared distance of the critic's gradient norm from 1 (Gulrajani et al. 2017, equation 3).

    mix: (B, 1, 1, 1) in 0..1, the point between each real and fake picture.
    """
    between = (mix_B111 * real_BCHW + (1 - mix_B111) * fake_BCHW).detach().requires_grad_(True)
    total = torch.stack([logits.flatten(1).mean(dim=1) for logits in critic(between)]).mean(dim=0).sum()
    (slope,) = torch.autograd.grad(total, between, create_graph=True)
    penalty: Tensor = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return penalty


def chroma_gap(ab_B2HW: Tensor, true_ab_B2HW: Tensor) -> Tensor:
    """Mean |colorfulness - true colorfulness| over the pictures, in a*b* units.

    Colorfulness as Hasler and Suesstrunk define it, on a*b*. The gap is penalized instead of color being rewarded:
    a reward without limit ends in red blotches.
    """

    def colorfulness(ab: Tensor) -> Tensor:
        spread = ab.var(dim=(2, 3)).sum(dim=1).clamp(min=1e-6).sqrt()
        total: Tensor = spread + 0.3 * ab.mean(dim=(2, 3)).norm(dim=1)
        return total

    return (colorfulness(ab_B2HW) - colorfulness(true_ab_B2HW)).abs().mean()


def log_error(ab_B2HW: Tensor, true_ab_B2HW: Tensor) -> Tensor:
    """Mean over the pictures of the logarithm of the mean squared distance in a*b*: what PSNR measures.

    LEAST_ERROR is added, below which no eye sees a difference.
    """
    return ((ab_B2HW - true_ab_B2HW).square().sum(dim=1).mean(dim=(1, 2)) + LEAST_ERROR).log().mean()


def de94(ab_B2HW: Tensor, true_ab_B2HW: Tensor) -> Tensor:
    """Mean CIE94 difference of colors at equal lightness: a difference counts less where the true color is strong."""
    chroma, true_chroma = ((ab.square().sum(dim=1) + 1e-4).sqrt() for ab in (ab_B2HW, true_ab_B2HW))
    apart = (ab_B2HW - true_ab_B2HW).square().sum(dim=1)
    by_chroma = (chroma - true_chroma).square()
    by_hue = (apart - by_chroma).clamp(min=0)
    scaled = by_chroma / (1 + 0.045 * true_chroma) ** 2 + by_hue / (1 + 0.015 * true_chroma) ** 2
    return (scaled + 1e-4).sqrt().mean()


def false_chroma(ab_B2HW: Tensor, true_ab_B2HW: Tensor) -> Tensor:
    """Chroma given to what is gray in truth, as a mean over all pixels; other pixels count as zero."""
    neutral = true_ab_B2HW.square().sum(dim=1) < NEUTRAL**2
    chroma = (ab_B2HW.square().sum(dim=1) + 1e-4).sqrt()
    return (chroma * neutral).mean()


def content_loss(kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss called l1, mse or rmse, between two tensors of one shape."""
    kinds: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "l1": F.l1_loss,
        "mse": F.mse_loss,
        "rmse": lambda x, y: (F.mse_loss(x, y) + 1e-8).sqrt(),
    }
    return kinds[kind]
