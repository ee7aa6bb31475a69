"""Links between pictures: where each pixel lies in another picture, and how sure that is. Color follows them.

Shapes: H W of the pictures that flow is computed on (motion.Gray); h w of a*b*.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.color import Floats
from vidcolor.steady.motion import CODES, Gray, apply_exposure, exposure_gain, pixel_grid, warp

RESIDUAL_STEPS = 3.0  # times the median residual, which is grain: still the same object
RESIDUAL_RANGE = 2.0, 6.0  # L*, limits of that: below is coding noise, above are other objects


@dataclass(frozen=True)
class Link:
    """The flow from a picture to another one and the trust in it, at the size of a*b*."""

    flow_hw2: Floats  # to the place in the other picture, relative, x and y in pixels
    trust_hw: Floats  # 0 (another object was there) to 1 (the same object)

    def warp(self, values_hw: Floats) -> Floats:
        """The other picture's values (h, w), aligned to this picture."""
        return np.asarray(warp(values_hw, self.flow_hw2), np.float32)

    def warp_ab(self, ab_2hw: Floats) -> Floats:
        """The other picture's a*b* (2, h, w), aligned to this picture."""
        return np.stack([self.warp(plane) for plane in ab_2hw])


def find_link(other: Gray, now: Gray, flow_HW2: Floats, size: tuple[int, ...]) -> Link:
    """The link from `now` to `other`.

    flow_HW2: to the place in `other` of each pixel of `now`, in pixels.  size: (h, w) of a*b*. Trust is a Gaussian of
    the difference in lightness that is left after motion and change of exposure are removed.
    """
    flow = resize_flow(flow_HW2, size)
    warped = warp(apply_exposure(other, exposure_gain(other, now)), flow_HW2)
    residual = resize_area(cv2.blur(cv2.absdiff(warped, now), (3, 3)), size) * np.float32(1 / CODES)
    scale = np.clip(RESIDUAL_STEPS * np.median(residual), *RESIDUAL_RANGE)
    trust = cv2.exp(-np.square(residual * np.float32(1 / scale)))
    trust[is_outside(flow)] = 0
    return Link(flow, trust)


def is_outside(flow_hw2: Floats) -> NDArray[np.bool_]:
    """Whether the flow leads out of the picture: (h, w)."""
    h, w = flow_hw2.shape[:2]
    x, y = np.moveaxis(pixel_grid(h, w) + flow_hw2, 2, 0)
    outside: NDArray[np.bool_] = (np.abs(x - (w - 1) / 2) > w / 2) | (np.abs(y - (h - 1) / 2) > h / 2)
    return outside


def resize_flow(flow_HW2: Floats, size: tuple[int, ...]) -> Floats:
    """Scale a flow between pictures of (H, W), in pixels, to pictures of (h, w)."""
    (rows, columns), (h, w) = flow_HW2.shape[:2], size
    small: Floats = resize_area(flow_HW2, size) * np.array([w / columns, h / rows], np.float32)
    return small


def resize_area(values: NDArray[Any], size: tuple[int, ...]) -> Floats:
    """Average values (H, W) or (H, W, C) to (h, w), as float32."""
    return np.asarray(cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.float32)


def lightness_at(picture: Gray, size: tuple[int, ...]) -> Floats:
    """L* 0..100 of a picture, averaged to (h, w)."""
    return resize_area(picture, size) * np.float32(1 / CODES)
