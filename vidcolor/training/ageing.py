"""What film stock and time do to a picture, imitated on batches of colour photos to make training inputs.

Shapes: B batch, H W pixels. Grey values are gamma-coded, 0..1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidcolor.color import REC601_LUMA


@dataclass(frozen=True)
class Ageing:
    """Shares of pictures that get each treatment, and its strongest form."""

    stock: float = 0.4  # random spectral sensitivity: orthochromatic film hardly sees red
    tone: float = 0.4  # faded blacks, burnt whites, gamma
    gamma: tuple[float, float] = (0.65, 1.5)
    grain: float = 0.3
    grain_sigma: float = 0.07
    blur: float = 0.2
    scratches: float = 0.05
    borders: float = 0.06  # black bars and film edges, which must stay grey


def age(rgb_B3HW: Tensor, ab_B2hw: Tensor, ageing: Ageing, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Grey pictures (B, 1, H, W) as old film would show the scene, and the colours to expect (B, 2, h, w)."""
    batch, _, height, width = rgb_B3HW.shape
    device = rgb_B3HW.device

    def chosen(share: float) -> Tensor:
        return (torch.rand(batch, generator=random) < share).to(device).view(batch, 1, 1, 1)

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(batch, generator=random)).to(device).view(batch, 1, 1, 1)

    panchromatic = torch.tensor(REC601_LUMA, device=device).view(1, 3, 1, 1)
    share = torch.rand(batch, 3, generator=random).to(device).view(batch, 3, 1, 1) ** 1.5 + 0.02
    share = share * torch.tensor([0.8, 1.2, 0.7], device=device).view(1, 3, 1, 1)
    mixture = torch.where(chosen(ageing.stock), share / share.sum(dim=1, keepdim=True), panchromatic)
    grey = (rgb_B3HW * mixture).sum(dim=1, keepdim=True)

    is_toned = chosen(ageing.tone)
    toned = grey.clamp(min=1e-4) ** torch.exp(uniform(*(torch.tensor(ageing.gamma).log().tolist())))
    black, white = uniform(-0.08, 0.15), uniform(0.8, 1.1)
    grey = torch.where(is_toned, black + (white - black) * toned, grey)

    if (blurred := chosen(ageing.blur)).any():
        soft = F.avg_pool2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        amount = uniform(0.3, 1.0)
        grey = torch.where(blurred, grey + amount * (soft - grey), grey)
    if (grainy := chosen(ageing.grain)).any():
        noise = torch.randn(batch, 1, height, width, generator=random).to(device)
        coarse = F.avg_pool2d(F.pad(noise, (0, 1, 0, 1), mode="replicate"), 2, stride=1) * 2
        noise = torch.where(uniform(0, 1) < 0.5, noise, coarse)
        grey = torch.where(grainy, grey + noise * uniform(0.01, ageing.grain_sigma), grey)
    if (scratched := chosen(ageing.scratches)).any():
        column = torch.arange(width, device=device).view(1, 1, 1, width)
        line = (column - (uniform(0, 1) * width)).abs() < uniform(0.5, 1.5)
        grey = torch.where(scratched & line, uniform(0, 1), grey)

    bordered = chosen(ageing.borders)
    margin_x, margin_y = uniform(-0.1, 0.25), uniform(-0.1, 0.2)
    outside = _margins(height, width, margin_x, margin_y, device) & bordered
    grey = torch.where(outside, uniform(0, 0.08), grey)
    small = _margins(ab_B2hw.shape[2], ab_B2hw.shape[3], margin_x, margin_y, device) & bordered
    return grey.clamp(0, 1), torch.where(small, torch.zeros_like(ab_B2hw), ab_B2hw)


def _margins(height: int, width: int, margin_x: Tensor, margin_y: Tensor, device: torch.device) -> Tensor:
    """True in the bars left, right, top and bottom; margins are shares of the size, (B, 1, 1, 1)."""
    x = (torch.arange(width, device=device).view(1, 1, 1, width) + 0.5) / width
    y = (torch.arange(height, device=device).view(1, 1, height, 1) + 0.5) / height
    return (torch.minimum(x, 1 - x) < margin_x) | (torch.minimum(y, 1 - y) < margin_y)
