"""A residual U-Net: ResNet-style blocks down and up with skip connections (as in WGAN-GP colorizers).

Shapes: B batch, H W pixels.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidcolor.networks.pix2pix import AB_SCALE


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut, self._stride = nn.Conv2d(inputs, outputs, 1), stride

    def forward(self, x: Tensor) -> Tensor:
        # Sampled before, not by the convolution's stride: oneDNN's gradient of that writes past its end if there are
        # few channels (torch 2.14 and 2.15).
        return F.relu(self.body(x) + self.shortcut(x[:, :, :: self._stride, :: self._stride]))


class ResUNet(nn.Module):
    """U-Net of residual blocks with `depth` halvings, from L* to a*b* at full size."""

    stride = 1

    def __init__(self, *, width: int = 64, depth: int = 4):
        super().__init__()
        self.multiple = 2**depth
        widths = [width * min(8, 2**level) for level in range(depth + 1)]
        self.head = ResidualBlock(1, widths[0])
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(ResidualBlock(above, below, 2) for above, below in steps)
        self.up = nn.ModuleList(ResidualBlock(below + above, above) for above, below in reversed(steps))
        self.tail = nn.Conv2d(widths[0], 2, 1)

    def forward(self, lightness_B1HW: Tensor) -> Tensor:
        """lightness: (B, 1, H, W), L* in 0..100 -> a*b* (B, 2, H, W)."""
        skips = [self.head(lightness_B1HW / 50.0 - 1.0)]
        for layer in self.down:
            skips.append(layer(skips[-1]))
        x = skips.pop()
        for layer in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = layer(torch.cat([x, skips.pop()], dim=1))
        return AB_SCALE * F.tanh(self.tail(x))
