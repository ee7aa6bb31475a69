"""Simulated film stock and aging: color photos become training inputs that look like old film.

Random in kind and strength, so that a network meets every stock; evaluation/stocks.py has fixed ones to measure by.

Shapes: B batch, H W pixels. Gray values are gamma-coded, 0..1.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidcolor.color import REC601_LUMA

BLOCK = 8  # pixels; side of the blocks that JPEG, MPEG and H.264 transform


@dataclass(frozen=True)
class Aging:
    """Share of pictures that get each treatment, and its greatest strength."""

    sensitivity: float = 0.4  # random spectral sensitivity; orthochromatic film hardly sees red
    tone: float = 0.4  # faded blacks, burnt whites, gamma
    gamma: tuple[float, float] = (0.65, 1.5)
    grain: float = 0.3
    grain_sigma: float = 0.07
    blur: float = 0.2
    softness: float = 0.15  # blur of old lenses and copies of copies
    softness_sigma: float = 1.6  # pixels; leaves 96 of 192 lines or so
    halation: float = 0.1  # bright things glow
    halation_gain: float = 0.6
    contrast: float = 0.15  # hard prints: crushed blacks, burnt skies
    crushed: float = 0.25  # gray values, up to which all may become black
    burnt: float = 0.35  # gray values below white, from which all may become white
    scratches: float = 0.05
    flicker: float = 0.1  # exposure that varies from frame to frame, and light that falls off to one side
    flicker_gain: float = 0.25
    borders: float = 0.06  # black bars and film edges, which must stay gray
    compression: float = 0.15  # blocks of a lossy codec
    compression_step: float = 0.03  # of a block's mean, in gray values: JPEG at a quality of about 10


class _Draws:
    """Random numbers from one generator, one for each picture of a batch."""

    def __init__(self, batch: int, random: torch.Generator, device: torch.device):
        self._batch, self._random, self._device = batch, random, device

    def bernoulli(self, share: float) -> Tensor:
        """True for that share of the pictures, (B, 1, 1, 1)."""
        return self.uniform(0, 1) < share

    def uniform(self, low: float, high: float) -> Tensor:
        """Uniform numbers from low to high, (B, 1, 1, 1)."""
        return (low + (high - low) * self.rand()).view(self._batch, 1, 1, 1)

    def rand(self, *shape: int) -> Tensor:
        """Uniform numbers 0..1, (B, *shape)."""
        return torch.rand(self._batch, *shape, generator=self._random).to(self._device)

    def randn(self, height: int, width: int) -> Tensor:
        """Normal numbers, (B, 1, H, W)."""
        return torch.randn(self._batch, 1, height, width, generator=self._random).to(self._device)


def age(rgb_B3HW: Tensor, ab_B2hw: Tensor, aging: Aging, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Age pictures: gray (B, 1, H, W) as old film would show the scene, and its true a*b* (B, 2, h, w)."""
    batch, _, height, width = rgb_B3HW.shape
    device = rgb_B3HW.device
    draws = _Draws(batch, random, device)

    gray = _expose(rgb_B3HW, aging.sensitivity, draws)
    if (glowing := draws.bernoulli(aging.halation)).any():
        gray = torch.where(glowing, gray + draws.uniform(0.1, aging.halation_gain) * _glow(gray), gray)
    gray = _change_tone(gray, aging, draws)
    if (hard := draws.bernoulli(aging.contrast)).any():
        black, white = draws.uniform(0, aging.crushed), 1 - draws.uniform(0, aging.burnt)
        gray = torch.where(hard, ((gray - black) / (white - black)).clamp(0, 1), gray)
    if (soft := draws.bernoulli(aging.softness)).any():
        gray = torch.where(soft, blur(gray, draws.uniform(0.5, aging.softness_sigma)), gray)
    if (blurred := draws.bernoulli(aging.blur)).any():
        soft = F.avg_pool2d(F.pad(gray, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        amount = draws.uniform(0.3, 1.0)
        gray = torch.where(blurred, gray + amount * (soft - gray), gray)
    if (grainy := draws.bernoulli(aging.grain)).any():
        noise = draws.randn(height, width)
        coarse = F.avg_pool2d(F.pad(noise, (0, 1, 0, 1), mode="replicate"), 2, stride=1) * 2
        noise = torch.where(draws.bernoulli(0.5), noise, coarse)
        gray = torch.where(grainy, gray + noise * draws.uniform(0.01, aging.grain_sigma), gray)
    column = torch.arange(width, device=device).view(1, 1, 1, width)
    if (scratched := draws.bernoulli(aging.scratches)).any():
        line = (column - (draws.uniform(0, 1) * width)).abs() < draws.uniform(0.5, 1.5)
        gray = torch.where(scratched & line, draws.uniform(0, 1), gray)
    if (flickering := draws.bernoulli(aging.flicker)).any():
        sideways = (column / width - 0.5) * draws.uniform(-1, 1)
        gain = 1 + aging.flicker_gain * (draws.uniform(-1, 1) + sideways)
        gray = torch.where(flickering, gray * gain, gray)

    bordered = draws.bernoulli(aging.borders)
    margin_x, margin_y = draws.uniform(-0.1, 0.25), draws.uniform(-0.1, 0.2)
    outside = _border_mask(height, width, margin_x, margin_y, device) & bordered
    gray = torch.where(outside, draws.uniform(0, 0.08), gray).clamp(0, 1)
    small = _border_mask(ab_B2hw.shape[2], ab_B2hw.shape[3], margin_x, margin_y, device) & bordered
    if (packed := draws.bernoulli(aging.compression)).any():
        gray = torch.where(packed, compress(gray, draws.uniform(0.003, aging.compression_step)), gray)
    return gray.clamp(0, 1), torch.where(small, torch.zeros_like(ab_B2hw), ab_B2hw)


def _expose(rgb_B3HW: Tensor, share: float, draws: _Draws) -> Tensor:
    """Convert to gray by Rec. 601, or by a random spectral sensitivity."""
    panchromatic = torch.tensor(REC601_LUMA, device=rgb_B3HW.device).view(1, 3, 1, 1)
    sensitivity = draws.rand(3).view(-1, 3, 1, 1) ** 1.5 + 0.02
    sensitivity = sensitivity * torch.tensor([0.8, 1.2, 0.7], device=rgb_B3HW.device).view(1, 3, 1, 1)
    mixture = torch.where(draws.bernoulli(share), sensitivity / sensitivity.sum(dim=1, keepdim=True), panchromatic)
    return (rgb_B3HW * mixture).sum(dim=1, keepdim=True)


def _change_tone(gray_B1HW: Tensor, aging: Aging, draws: _Draws) -> Tensor:
    """Change the gamma, fade the blacks, dull or burn the whites."""
    is_toned = draws.bernoulli(aging.tone)
    low, high = map(math.log, aging.gamma)
    curved = gray_B1HW.clamp(min=1e-4) ** torch.exp(draws.uniform(low, high))
    black, white = draws.uniform(-0.08, 0.15), draws.uniform(0.8, 1.1)
    return torch.where(is_toned, black + (white - black) * curved, gray_B1HW)


def _glow(gray_B1HW: Tensor) -> Tensor:
    """The light of bright places, spread over an eighth of the height or so; in few pixels, as it is so soft."""
    size = gray_B1HW.shape[2:]
    light = F.interpolate((gray_B1HW - 0.65).clamp(min=0), (16, 16), mode="bilinear", antialias=True)
    return F.interpolate(F.avg_pool2d(light, 3, stride=1, padding=1), size, mode="bilinear")


def blur(gray_B1HW: Tensor, sigma_B111: Tensor) -> Tensor:
    """Blur each picture by a Gaussian of its own.  sigma: pixels, at most 2."""
    reach = 5
    distance = torch.arange(-reach, reach + 1, dtype=torch.float32, device=gray_B1HW.device)
    kernel = torch.exp(-0.5 * (distance / sigma_B111) ** 2)  # (B, 1, 1, 11)
    kernel = kernel / kernel.sum(dim=3, keepdim=True)
    batch = len(gray_B1HW)
    padded = F.pad(gray_B1HW, (reach,) * 4, mode="replicate").transpose(0, 1)  # (1, B, H, W): one group each
    rows = F.conv2d(padded, kernel, groups=batch)
    return F.conv2d(rows, kernel.transpose(2, 3), groups=batch).transpose(0, 1)


def compress(gray_B1HW: Tensor, step_B111: Tensor) -> Tensor:
    """Quantize the DCT of 8x8 blocks as lossy codecs do, finer coefficients more coarsely.

    step: quantizer of the mean, in gray values 0..1; seven times as coarse for the finest detail, as in JPEG. Rows and
    columns beyond the last whole block stay unchanged.
    """
    _, _, height, width = gray_B1HW.shape
    rows, columns = height // BLOCK, width // BLOCK
    if not rows or not columns:
        return gray_B1HW
    index = torch.arange(BLOCK, dtype=torch.float32, device=gray_B1HW.device)
    basis = torch.cos(math.pi / BLOCK * (index[None] + 0.5) * index[:, None]) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)  # orthonormal DCT-II
    kept = gray_B1HW[..., : rows * BLOCK, : columns * BLOCK]
    blocks = kept.reshape(-1, 1, rows, BLOCK, columns, BLOCK).transpose(3, 4)
    coarseness = step_B111[:, :, None, None] * BLOCK * (1 + 6 * (index[:, None] + index[None]) / (2 * BLOCK - 2))
    coefficients = basis @ blocks @ basis.T
    rounded = (coefficients / coarseness).round() * coarseness
    packed = gray_B1HW.clone()
    restored = (basis.T @ rounded @ basis).transpose(3, 4).reshape(kept.shape)
    packed[..., : rows * BLOCK, : columns * BLOCK] = restored
    return packed


def _border_mask(height: int, width: int, margin_x: Tensor, margin_y: Tensor, device: torch.device) -> Tensor:
    """Mask of the bars left, right, top and bottom; margins are shares of the size, (B, 1, 1, 1)."""
    x = (torch.arange(width, device=device).view(1, 1, 1, width) + 0.5) / width
    y = (torch.arange(height, device=device).view(1, 1, height, 1) + 0.5) / height
    return (torch.minimum(x, 1 - x) < margin_x) | (torch.minimum(y, 1 - y) < margin_y)
