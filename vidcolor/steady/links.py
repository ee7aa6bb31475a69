"""What in a picture was to be seen in another one, where, and how surely: the ties along which color is carried.

Shapes: H W of the pictures that motion is looked for in (motion.Gray); h w of a*b*.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.color import Floats
from vidcolor.steady.motion import CODES, Gray, apply_exposure, exposure_gain, pixel_grid, warp

RESIDUAL_STEPS = 3.0  # times the median residual, which is grain, that still count as the same thing
RESIDUAL_RANGE = 2.0, 6.0  # L*, within which that is kept: coding noise, and things that differ by more are others


@dataclass(frozen=True)
class Link:
    """How a picture came out of another one, at the size of a*b*."""

    flow_hw2: Floats  # to where in the other picture each pixel's thing is, relative, x and y in pixels
    trust_hw: Floats  # 0 (something else was there) to 1 (the same thing)

    def warp(self, values_hw: Floats) -> Floats:
        """The other picture's values (h, w), moved to where things are now."""
        return np.asarray(warp(values_hw, self.flow_hw2), np.float32)

    def warp_ab(self, ab_2hw: Floats) -> Floats:
        """The other picture's a*b* (2, h, w), moved to where things are now."""
        return np.stack([self.warp(plane) for plane in ab_2hw])


def find_link(other: Gray, now: Gray, flow_HW2: Floats, size: tuple[int, ...]) -> Link:
    """flow_HW2: to where in `other` each pixel of `now` is found, in pixels.  size: (h, w) of a*b*.

    Trust is a Gaussian of the difference in lightness that is left after motion and change of exposure are taken away.
    """
    flow = resize_flow(flow_HW2, size)
    warped = warp(apply_exposure(other, exposure_gain(other, now)), flow_HW2)
    residual = resize_area(cv2.blur(cv2.absdiff(warped, now), (3, 3)), size) * np.float32(1 / CODES)
    scale = np.clip(RESIDUAL_STEPS * np.median(residual), *RESIDUAL_RANGE)
    trust = cv2.exp(-np.square(residual * np.float32(1 / scale)))
    trust[is_outside(flow)] = 0
    return Link(flow, trust)


def is_outside(flow_hw2: Floats) -> NDArray[np.bool_]:
    """(h, w), whether the flow leads out of the picture."""
    h, w = flow_hw2.shape[:2]
    x, y = np.moveaxis(pixel_grid(h, w) + flow_hw2, 2, 0)
    outside: NDArray[np.bool_] = (np.abs(x - (w - 1) / 2) > w / 2) | (np.abs(y - (h - 1) / 2) > h / 2)
    return outside


def resize_flow(flow_HW2: Floats, size: tuple[int, ...]) -> Floats:
    """A flow between pictures of (H, W), in pixels -> the same between pictures of (h, w)."""
    (rows, columns), (h, w) = flow_HW2.shape[:2], size
    small: Floats = resize_area(flow_HW2, size) * np.array([w / columns, h / rows], np.float32)
    return small


def resize_area(values: NDArray[Any], size: tuple[int, ...]) -> Floats:
    """Values (H, W) or (H, W, C) averaged to (h, w), as float32."""
    return np.asarray(cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.float32)


def lightness_at(picture: Gray, size: tuple[int, ...]) -> Floats:
    """L* 0..100 of a picture, averaged to (h, w)."""
    return resize_area(picture, size) * np.float32(1 / CODES)
