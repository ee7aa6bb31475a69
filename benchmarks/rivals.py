"""DeOldify's network for films, as far as its work goes: random weights, and no training.

Written from its description: a U-Net on ResNet-101 whose decoder is 1,024 wide (Antic, DeOldify; fastai's dynamic
U-Net), with sub-pixel convolutions under a blur, one self-attention, and a residual block at full size.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet101

WIDTH = 1024


class DeOldify(nn.Module):
    """RGB (B, 3, h, w), normalized, to RGB likewise. h, w: multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        encoder = resnet101()
        self.first = nn.Sequential(encoder.conv1, encoder.bn1, encoder.relu)
        self.pool = encoder.maxpool
        self.blocks = nn.ModuleList([encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4])
        self.middle = nn.Sequential(nn.BatchNorm2d(2048), nn.ReLU(), _conv(2048, 4096), _conv(4096, 2048))
        skips, out = [1024, 512, 256, 64], [WIDTH // 2] * 3 + [WIDTH // 4]
        self.ups = nn.ModuleList(
            _Up(before, skip, after, has_attention=number == 1)
            for number, ((before, after), skip) in enumerate(zip(pairwise([2048, *out]), skips, strict=True))
        )
        self.last_up = nn.Sequential(nn.Conv2d(out[-1], 4 * out[-1], 1), nn.ReLU(), nn.PixelShuffle(2))
        full = out[-1] + 3
        self.residual = nn.Sequential(_conv(full, full), _conv(full, full))
        self.to_rgb = nn.Conv2d(full, 3, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        skips = [self.first(rgb)]
        x = self.pool(skips[0])
        for block in self.blocks:
            x = block(x)
            skips.append(x)
        x = self.middle(x)
        for up, skip in zip(self.ups, reversed(skips[:-1]), strict=True):
            x = up(x, skip)
        x = torch.cat([self.last_up(x), rgb], 1)
        found: Tensor = self.to_rgb(x + self.residual(x))
        return 6 * torch.sigmoid(found) - 3


class _Up(nn.Module):
    """Twice the size by a sub-pixel convolution, joined with what the encoder saw at that size."""

    def __init__(self, before: int, skip: int, after: int, *, has_attention: bool) -> None:
        super().__init__()
        self.enlarge = nn.Sequential(
            nn.Conv2d(before, 4 * after, 1, bias=False), nn.BatchNorm2d(4 * after), nn.PixelShuffle(2), nn.ReLU(),
            nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1),
        )  # fmt: skip
        self.normalize = nn.BatchNorm2d(skip)
        self.join = _conv(after + skip, after)
        self.attention = _Attention(after) if has_attention else nn.Identity()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        large = self.enlarge(x)
        if large.shape[-2:] != skip.shape[-2:]:
            large = functional.interpolate(large, skip.shape[-2:], mode="nearest")
        found: Tensor = self.attention(self.join(functional.relu(torch.cat([large, self.normalize(skip)], 1))))
        return found


class _Attention(nn.Module):
    """Self-attention of all places (Zhang et al. 2018, SAGAN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = (nn.Conv1d(channels, channels // 8, 1, bias=False) for _ in range(2))
        self.value = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        share = functional.softmax(self.query(flat).transpose(1, 2) @ self.key(flat), dim=1)
        return (self.value(flat) @ share).view_as(x) + x


def _conv(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.ReLU(), nn.BatchNorm2d(after))
