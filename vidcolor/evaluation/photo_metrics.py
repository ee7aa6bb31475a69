"""Photo metrics: PSNR, dE00, SSIM, colorfulness and feature distance.

Pictures are sRGB, (H, W, 3), uint8. Never read PSNR alone: it rewards gray.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vidcolor.errors import ShapeError
from vidcolor.networks.efficientnet import EfficientNetLite, fuse_batch_norms, load_imagenet_checkpoint
from vidcolor.stills.rgb import Rgb

SSIM_WINDOW = 7  # pixels
FEATURE_SIDE = 260  # what EfficientNet-Lite2 was trained on
FEATURE_BATCH = 4  # larger batches are slower on a CPU, as the allocator reuses less memory
RIDGE = 1e-6  # added to the covariances' diagonal, which few pictures would leave singular


def psnr(picture: Rgb, truth: Rgb) -> float:
    """Peak signal-to-noise ratio over all three channels, in dB; infinite for equal pictures."""
    if picture.shape != truth.shape:
        raise ShapeError(f"the picture is {picture.shape}, the truth {truth.shape}.")
    squared = float(cv2.norm(picture, truth, cv2.NORM_L2SQR))
    return float("inf") if squared == 0 else float(10 * np.log10(255**2 * truth.size / squared))


def ssim(picture: Rgb, truth: Rgb) -> float:
    """Structural similarity (Wang et al. 2004) by scikit-image, mean over the channels, with a flat 7x7 window.

    Raises ShapeError where a side is under 7 pixels.
    """
    if min(truth.shape[:2]) < SSIM_WINDOW:
        raise ShapeError(f"SSIM looks through {SSIM_WINDOW} pixels; the picture is {truth.shape[1]}x{truth.shape[0]}.")
    from skimage.metrics import structural_similarity  # brings SciPy, for those who measure alone

    found = structural_similarity(picture, truth, win_size=SSIM_WINDOW, channel_axis=2, data_range=255)
    return float(found)


def de00(picture: Rgb, truth: Rgb) -> float:
    """CIEDE2000 of the picture's a*b* at the truth's L*, mean over pixels: how far the colors alone are off.

    About 1 is just seen. Grays given color count more than vivid colors that differ by as much (CIE 142-2001).
    """
    return de00_in_lab(picture, to_lab(truth))


def to_lab(picture: Rgb) -> NDArray[np.float64]:
    """L* 0..100, a*, b*, (H, W, 3), by scikit-image."""
    from skimage.color import rgb2lab  # brings SciPy, for those who measure alone

    lab: NDArray[np.float64] = rgb2lab(picture)
    return lab


def de00_in_lab(picture: Rgb, truth_HW3: NDArray[np.float64]) -> float:
    """See `de00`. truth: L*a*b*."""
    from skimage.color import deltaE_ciede2000

    lab = to_lab(picture)
    lab[..., 0] = truth_HW3[..., 0]
    return float(deltaE_ciede2000(lab, truth_HW3).mean())


def colorfulness(picture: Rgb) -> float:
    """Hasler and Süsstrunk 2003, with the absolute opponent values that colorization papers use."""
    red, green, blue = np.moveaxis(picture.astype(np.float64), 2, 0)
    rg, yb = np.abs(red - green), np.abs((red + green) / 2 - blue)
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


class Features(nn.Module):
    """The 1280 averages of EfficientNet-Lite2's last convolution."""

    def __init__(self, device: str = "cpu") -> None:
        """device: a PyTorch device."""
        super().__init__()
        checkpoint = load_imagenet_checkpoint("lite2")
        body = EfficientNetLite("lite2", inputs=3)
        body.load_imagenet(checkpoint)
        head, norm = nn.Conv2d(body.channels[-1], 1280, 1, bias=False), nn.BatchNorm2d(1280, eps=1e-3)
        head.weight.data.copy_(checkpoint["_conv_head.weight"])
        norm.load_state_dict({name[5:]: value for name, value in checkpoint.items() if name.startswith("_bn1.")})
        self.device = torch.device(device)
        self.head = fuse_conv_bn_eval(head.eval(), norm.eval())
        self.body = fuse_batch_norms(body.eval())
        self.to(self.device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def extract(self, pictures: Sequence[Rgb]) -> NDArray[np.float64]:
        """Extract features of N pictures of any sizes: (N, 1280)."""
        batches = [pictures[start : start + FEATURE_BATCH] for start in range(0, len(pictures), FEATURE_BATCH)]
        found = [self._extract_batch(batch).double().cpu().numpy() for batch in batches]
        return np.concatenate(found) if found else np.empty((0, 1280))

    def _extract_batch(self, pictures: Sequence[Rgb]) -> torch.Tensor:
        small_B3HW = torch.cat([self._resize(picture) for picture in pictures])
        x = ((small_B3HW - 127) / 128).contiguous(memory_format=torch.channels_last)
        return F.relu6(self.head(self.body(x)[-1])).mean(dim=(2, 3))

    def _resize(self, picture: Rgb) -> torch.Tensor:
        rgb = torch.tensor(picture, device=self.device).permute(2, 0, 1)[None].float()
        return F.interpolate(rgb, (FEATURE_SIDE, FEATURE_SIDE), mode="bicubic", antialias=True)


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian fitted to a set of features."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def fit(cls, features: Iterable[NDArray[np.float64]]) -> "Gaussian":
        """Fit to (N, C) features."""
        stacked = np.stack(list(features))
        return cls(stacked.mean(axis=0), np.cov(stacked, rowvar=False) + RIDGE * np.eye(stacked.shape[1]))

    @cached_property
    def covariance_root(self) -> NDArray[np.float64]:
        """The symmetric square root of the covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        root: NDArray[np.float64] = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        return root


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Fréchet distance of two Gaussians (Dowson and Landau 1982). Not FID: that needs Inception's features."""
    cross = np.sqrt(
        np.clip(np.linalg.eigvalsh(one.covariance_root @ other.covariance @ one.covariance_root), 0, None)
    ).sum()
    apart = ((one.mean - other.mean) ** 2).sum()
    return float(apart + np.trace(one.covariance) + np.trace(other.covariance) - 2 * cross)
