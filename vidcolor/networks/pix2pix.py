"""The pix2pix U-Net (Isola, Zhu, Zhou, Efros 2017, appendix 6.1.1), from L* to a*b* at full size.

Encoder and decoder are 4x4 convolutions of stride 2 with skip connections. Shapes: B batch, H W pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

AB_SCALE = 110.0  # tanh reaches +-1; sRGB reaches |b*| = 107.9, so nothing clips


class Pix2PixUNet(nn.Module):
    """U-Net of `depth` halvings; H and W must be multiples of 2**depth (256 gives the paper's U-Net-256)."""

    stride = 1

    def __init__(self, *, width: int = 64, depth: int = 8, dropout: float = 0.5, outputs: int = 2):
        """outputs: 2 for a*b*, 3 to predict L* too (by a 1x1 convolution at the end)."""
        super().__init__()
        self.multiple = 2**depth
        widths = [width * min(8, 2**level) for level in range(depth)]
        self.down = nn.ModuleList()
        channels = 1
        for level, wider in enumerate(widths):
            layers: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
            is_plain = level in (0, depth - 1)  # no normalization on the first, nor on a 1x1 bottleneck
            layers.append(nn.Conv2d(channels, wider, 4, 2, 1, bias=is_plain))
            if not is_plain:
                layers.append(nn.BatchNorm2d(wider))
            self.down.append(nn.Sequential(*layers))
            channels = wider
        self.up = nn.ModuleList()
        for level in reversed(range(depth)):
            inputs = widths[level] * (1 if level == depth - 1 else 2)
            channels = widths[level - 1] if level else (2 if outputs == 2 else width)
            layers = [nn.ReLU(), nn.ConvTranspose2d(inputs, channels, 4, 2, 1, bias=level == 0)]
            if level:
                layers.append(nn.BatchNorm2d(channels))
            if depth - 4 <= level < depth - 1:
                layers.append(nn.Dropout(dropout))
            self.up.append(nn.Sequential(*layers))
        self.mix: nn.Module = nn.Identity() if outputs == 2 else nn.Sequential(nn.ReLU(), nn.Conv2d(width, 3, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, lightness_B1HW: Tensor) -> Tensor:
        """lightness: (B, 1, H, W), L* in 0..100 -> a*b* (B, 2, H, W)."""
        return AB_SCALE * self._normalized_lab(lightness_B1HW)[:, -2:]

    def lab(self, lightness_B1HW: Tensor) -> Tensor:
        """L*a*b* (B, 3, H, W) of a generator with three outputs."""
        scaled = self._normalized_lab(lightness_B1HW)
        return torch.cat([50 * (scaled[:, :1] + 1), AB_SCALE * scaled[:, 1:]], dim=1)

    def _normalized_lab(self, lightness_B1HW: Tensor) -> Tensor:
        x = lightness_B1HW / 50.0 - 1.0
        skips: list[Tensor] = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        x = self.up[0](skips[-1])
        for layer, skip in zip(list(self.up)[1:], reversed(skips[:-1]), strict=True):
            # Functional ReLU at the head of each stage must not touch the skip: concatenation copies it.
            x = layer(torch.cat([x, skip], dim=1))
        return F.tanh(self.mix(x))
