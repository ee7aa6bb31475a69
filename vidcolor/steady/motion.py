"""Optical flow and change of exposure between two small lightness pictures, robust to grain and flicker.

Shapes: h w of the network's pictures; H W of the pictures that flow is computed on, with the short side `SIDE`.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.color import Floats
from vidcolor.planes import look_up

SIDE = 96  # pixels: optical flow takes 0.3 ms there, and 1.4 ms at 192
GRAIN = 1.0  # pixels: standard deviation of the blur that removes grain and fine dirt
CODES = 2.55  # 8-bit codes for each step of L*
FLARE = 16  # with it exposure is a factor: L* + 16 = 116 Y^(1/3) (CIE 15:2004, 8.2.1.1)
CLIPPED = (2.0, 98.0)  # L* outside is clipped: a change of exposure does not show there

Gray = NDArray[np.uint8]  # (H, W), L* times 2.55


def gray_of(lightness_hw: Floats) -> Gray:
    """L* 0..100 (h, w) of any size -> blurred 8-bit codes (H, W), the short side 96 pixels."""
    h, w = lightness_hw.shape
    scale = SIDE / min(h, w)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(lightness_hw.astype(np.float32, copy=False), size, interpolation=how)
    return cv2.convertScaleAbs(cv2.GaussianBlur(small, (0, 0), GRAIN), alpha=CODES).astype(np.uint8, copy=False)


class FlowFinder:
    """Dense optical flow by DIS (Kroeger et al. 2016), OpenCV's "ultrafast" preset. One for each thread."""

    def __init__(self) -> None:
        self._dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def __call__(self, start: Gray, end: Gray) -> Floats:
        """(H, W, 2): where each pixel of `start` is found in `end`, relative, x and y in pixels."""
        if np.array_equal(start, end):  # a repeated frame; in flat places the flow would be rounding noise
            return np.zeros((*start.shape, 2), np.float32)
        flow: Floats = self._dis.calc(start, end, None)
        return flow


@lru_cache(maxsize=16)
def pixel_grid(rows: int, columns: int) -> Floats:
    """The identity map, (H, W, 2): x and y of every pixel. Shared: do not write to it."""
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    return np.stack([x, y], axis=2)


def warp(picture: Any, flow_HW2: Floats) -> Any:
    """Warp a picture (H, W) or (H, W, C) along a flow, bilinear; the edge is repeated beyond it."""
    rows, columns = flow_HW2.shape[:2]
    x, y = cv2.split(pixel_grid(rows, columns) + flow_HW2)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def compose_flows(near_HW2: Floats, far_HW2: Floats) -> Floats:
    """The flow from a first picture to a third, by way of a second: first to second, second to third."""
    flow: Floats = near_HW2 + warp(far_HW2, near_HW2)
    return flow


def exposure_gain(before: Gray, now: Gray) -> float:
    """By how much exposure changed between two pictures, as a factor on L* + 16: the median over cells.

    Moving objects, dirt and scratches change few cells, so they hardly count.
    """
    old, new = (cv2.resize(picture, (32, 18), interpolation=cv2.INTER_AREA) / CODES for picture in (before, now))
    low, high = CLIPPED
    is_unclipped = (old > low) & (old < high) & (new > low) & (new < high)
    if np.count_nonzero(is_unclipped) < is_unclipped.size // 8:
        return 1.0
    return float(np.median((new[is_unclipped] + FLARE) / (old[is_unclipped] + FLARE)))


def apply_exposure(picture: Gray, gain: float) -> Gray:
    """Apply an exposure that multiplies L* + 16 by `gain` to a picture (H, W)."""
    table = np.arange(256) * gain + CODES * FLARE * (gain - 1)
    return np.asarray(look_up(picture, np.clip(np.rint(table), 0, 255).astype(np.uint8)), np.uint8)
