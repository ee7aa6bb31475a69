"""The SIGGRAPH17 network (Zhang et al. 2017, figure 3): colors by a U-Net that also takes hints.

Module names are those of the published weights, siggraph17-df00044c.pth. Shapes: B batch, H W pixels.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

CLASSES = 529  # bins of a*b* of a second head, which trains the network and is not asked
_AB = 110.0  # what 1 stands for in hints and answer


def _block(*channels: int, dilation: int = 1, begins_with_relu: bool = False) -> nn.Sequential:
    """Convolutions of 3x3 with ReLU, then batch norm."""
    layers: list[nn.Module] = [nn.ReLU()] if begins_with_relu else []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]))


def _up(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(before, after, 4, 2, 1))


def _short(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1))


class Siggraph17(nn.Module):
    """L* and hints -> a*b* at full size."""

    stride = 1
    multiple = 8

    def __init__(self) -> None:
        super().__init__()
        self.model1 = _block(4, 64, 64)
        self.model2 = _block(64, 128, 128)
        self.model3 = _block(128, 256, 256, 256)
        self.model4 = _block(256, 512, 512, 512)
        self.model5 = _block(512, 512, 512, 512, dilation=2)
        self.model6 = _block(512, 512, 512, 512, dilation=2)
        self.model7 = _block(512, 512, 512, 512)
        self.model8up, self.model3short8 = _up(512, 256), _short(256, 256)
        self.model8 = _block(256, 256, 256, begins_with_relu=True)
        self.model9up, self.model2short9 = _up(256, 128), _short(128, 128)
        self.model9 = _block(128, 128, begins_with_relu=True)
        self.model10up, self.model1short10 = _up(128, 128), _short(64, 128)
        self.model10 = nn.Sequential(nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1), nn.LeakyReLU(0.2))
        self.model_class = nn.Sequential(nn.Conv2d(256, CLASSES, 1))
        self.model_out = nn.Sequential(nn.Conv2d(128, 2, 1), nn.Tanh())

    def forward(self, hinted_B4HW: Tensor) -> Tensor:
        """hinted: L* 0..100, hinted a*b*, and 1 where there is a hint; H and W multiples of 8 -> a*b* (B, 2, H, W)."""
        lightness, ab, mask = hinted_B4HW.split((1, 2, 1), dim=1)
        first = self.model1(torch.cat(((lightness - 50) / 100, ab / _AB, mask), dim=1))
        second = self.model2(first[:, :, ::2, ::2])
        third = self.model3(second[:, :, ::2, ::2])
        coarse = self.model7(self.model6(self.model5(self.model4(third[:, :, ::2, ::2]))))
        eighth = self.model8(self.model8up(coarse) + self.model3short8(third))
        ninth = self.model9(self.model9up(eighth) + self.model2short9(second))
        tenth = self.model10(self.model10up(ninth) + self.model1short10(first))
        answer: Tensor = self.model_out(tenth) * _AB
        return answer
