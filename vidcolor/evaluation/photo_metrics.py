"""How good a coloured photo is, as the field measures it.

Pictures are sRGB, (H, W, 3), uint8. Read PSNR never alone: it rewards grey.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn
from torch.nn import functional as F

from vidcolor.media.photos import Rgb
from vidcolor.networks.efficientnet import EfficientNetLite, imagenet_checkpoint

FEATURE_SIDE = 260  # what EfficientNet-Lite2 was trained on
RIDGE = 1e-6  # on the covariances' diagonal, so that few pictures do not make them singular


def psnr(picture: Rgb, truth: Rgb) -> float:
    """Peak signal-to-noise ratio over all three channels, in dB; infinite for equal pictures."""
    if np.array_equal(picture, truth):
        return float("inf")
    return float(peak_signal_noise_ratio(truth, picture, data_range=255))


def ssim(picture: Rgb, truth: Rgb) -> float:
    """Structural similarity, mean over the channels (Wang et al. 2004)."""
    return float(structural_similarity(truth, picture, channel_axis=2, data_range=255))


def colorfulness(picture: Rgb) -> float:
    """Hasler and Süsstrunk 2003, with the absolute opponent values that colourization papers use."""
    red, green, blue = np.moveaxis(picture.astype(np.float64), 2, 0)
    rg, yb = np.abs(red - green), np.abs((red + green) / 2 - blue)
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


class Features(nn.Module):
    """The 1280 averages of EfficientNet-Lite2's last convolution."""

    def __init__(self) -> None:
        super().__init__()
        checkpoint = imagenet_checkpoint("lite2")
        self.body = EfficientNetLite("lite2", inputs=3)
        self.body.load_imagenet(checkpoint)
        self.head = nn.Conv2d(self.body.channels[-1], 1280, 1, bias=False)
        self.norm = nn.BatchNorm2d(1280, eps=1e-3)
        self.head.weight.data.copy_(checkpoint["_conv_head.weight"])
        self.norm.load_state_dict({name[5:]: value for name, value in checkpoint.items() if name.startswith("_bn1.")})
        self.eval()

    @torch.inference_mode()
    def of(self, picture: Rgb) -> NDArray[np.float64]:
        """One picture -> (1280,)."""
        rgb = torch.tensor(picture).permute(2, 0, 1)[None].float()
        small = F.interpolate(rgb, (FEATURE_SIDE, FEATURE_SIDE), mode="bicubic", antialias=True)
        last = self.body((small - 127) / 128)[-1]
        pooled = F.relu6(self.norm(self.head(last))).mean(dim=(2, 3))
        features: NDArray[np.float64] = pooled[0].double().numpy()
        return features


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set's features."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, features: Iterable[NDArray[np.float64]]) -> "Gaussian":
        """Fit to (N, C) features."""
        stacked = np.stack(list(features))
        return cls(stacked.mean(axis=0), np.cov(stacked, rowvar=False) + RIDGE * np.eye(stacked.shape[1]))


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Distance of two Gaussians (Dowson and Landau 1982). Not FID: that needs Inception's features."""
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ other.covariance @ root), 0, None)).sum()
    apart = ((one.mean - other.mean) ** 2).sum()
    return float(apart + np.trace(one.covariance) + np.trace(other.covariance) - 2 * cross)
