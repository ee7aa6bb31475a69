"""Discriminators by name: each tells true colors from generated ones for a given luma.

The input is normalized Lab (B, 3, H, W): L* in -1..1 and a*b* / AB_SCALE; for one it is a frozen network's features.
Shapes: B batch, H W pixels, h w patches.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from vidcolor.networks.efficientnet import EfficientNetLite
from vidcolor.networks.pix2pix import AB_SCALE


def normalize_lab(lightness_B1HW: Tensor, ab_B2HW: Tensor) -> Tensor:
    """Normalize L* and a*b* of one size for the discriminators."""
    return torch.cat([lightness_B1HW / 50.0 - 1.0, ab_B2HW / AB_SCALE], dim=1)


def _norm(kind: str, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels) if kind == "instance" else nn.Identity()


class PatchDiscriminator(nn.Module):
    """One logit for each 70x70 patch (Isola et al. 2017, appendix 6.1.2)."""

    def __init__(self, *, inputs: int = 3, width: int = 64, layers: int = 3, norm: str = "batch"):
        """layers: strided convolutions; 3 see 70x70.  norm: batch, instance, spectral or none."""
        super().__init__()
        wrap: Callable[[nn.Module], nn.Module] = spectral_norm if norm == "spectral" else lambda layer: layer
        body: list[nn.Module] = [wrap(nn.Conv2d(inputs, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
        channels = width
        for number in range(1, layers + 1):
            outputs = width * min(8, 2**number)
            body += [
                wrap(nn.Conv2d(channels, outputs, 4, 2 if number < layers else 1, 1)),
                _norm(norm, outputs),
                nn.LeakyReLU(0.2),
            ]
            channels = outputs
        self.body = nn.Sequential(*body, wrap(nn.Conv2d(channels, 1, 4, 1, 1)))

    def forward(self, lab_B3HW: Tensor) -> list[Tensor]:
        """One map of logits, in a list as from several scales."""
        return [self.body(lab_B3HW)]


class MultiScaleDiscriminator(nn.Module):
    """Patch discriminators at several sizes of the picture: local detail and global agreement (Wang et al. 2018)."""

    def __init__(self, *, scales: int = 2, width: int = 64, layers: int = 3, norm: str = "batch"):
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(width=width, layers=layers, norm=norm) for _ in range(scales))

    def forward(self, lab_B3HW: Tensor) -> list[Tensor]:
        """A map of logits for each scale, finest first."""
        verdicts: list[Tensor] = []
        for discriminator in self.scales:
            verdicts += discriminator(lab_B3HW)
            lab_B3HW = F.avg_pool2d(lab_B3HW, 3, 2, 1, count_include_pad=False)
        return verdicts


class ImageDiscriminator(nn.Module):
    """Convolutions and pooling down to one logit for the picture."""

    def __init__(self, *, width: int = 64, layers: int = 4, norm: str = "batch"):
        super().__init__()
        body: list[nn.Module] = []
        channels = 3
        for number in range(layers):
            outputs = width * min(8, 2**number)
            body += [nn.Conv2d(channels, outputs, 3, 1, 1), _norm(norm, outputs), nn.LeakyReLU(0.2), nn.MaxPool2d(2)]
            channels = outputs
        self.body = nn.Sequential(*body)
        self.verdict = nn.Linear(channels, 1)

    def forward(self, lab_B3HW: Tensor) -> list[Tensor]:
        """One logit a picture, (B, 1), in a list as from several scales."""
        return [self.verdict(self.body(lab_B3HW).mean(dim=(2, 3)))]


class FeatureDiscriminator(nn.Module):
    """A small discriminator at each stride of a frozen ImageNet network's features.

    Sauer et al. 2021, "Projected GANs Converge Faster": fixed random mixing of channels, then of strides from the
    coarsest down, keeps them from relying on a few features; a short game gets further than with a discriminator
    that must learn features first.
    """

    def __init__(self, *, features: str = "lite0", width: int = 64):
        """features: the EfficientNet-Lite whose maps are the input.  width: channels for each map."""
        super().__init__()
        channels = EfficientNetLite(features).channels
        self.mixers = nn.ModuleList(_freeze(nn.Conv2d(count, width, 1, bias=False)) for count in channels)
        self.blends = nn.ModuleList(_freeze(nn.Conv2d(width, width, 3, 1, 1, bias=False)) for _ in channels)
        self.scales = nn.ModuleList(_small_discriminator(width) for _ in channels)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        """pyramid: maps (B, C, h, w), finest first -> a map of logits for each, finest first."""
        mixed: Tensor | None = None
        verdicts: list[Tensor] = []
        for number in reversed(range(len(pyramid))):
            own = self.mixers[number](pyramid[number])
            mixed = own if mixed is None else own + F.interpolate(mixed, size=own.shape[2:], mode="bilinear")
            mixed = self.blends[number](mixed)
            verdicts.append(self.scales[number](mixed))
        return verdicts[::-1]


def _small_discriminator(width: int) -> nn.Module:
    body, verdict = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, 1, 1)
    return nn.Sequential(spectral_norm(body), nn.LeakyReLU(0.2), spectral_norm(verdict))


def _freeze(layer: nn.Conv2d) -> nn.Conv2d:
    """Make a layer random and untrainable: variance-preserving weights in a buffer."""
    weight = torch.empty_like(layer.weight)
    nn.init.kaiming_normal_(weight, nonlinearity="linear")
    del layer.weight
    layer.register_buffer("weight", weight)
    return layer


DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "patch": PatchDiscriminator,
    "multiscale": MultiScaleDiscriminator,
    "image": ImageDiscriminator,
    "features": FeatureDiscriminator,
}
