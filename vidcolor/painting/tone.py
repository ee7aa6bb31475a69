"""Classification of pictures as gray, toned (sepia, selenium, cyanotype, yellowed paper) or in color.

A toned picture has one color for each lightness: a*b* follow a curve over L*. Colors do not. Thresholds are from
1,048 color photos (598 modern, 450 of the 1930s to 1970s) and 612 toned versions of some of them, JPEG at quality
60 to 95: 1.0 % of the color photos lie under the curve's threshold, and 6.9 % of the toned ones, mostly strong
two-tone ones, above.
"""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor import color
from vidcolor.color import Floats

Tone = Literal["gray", "toned", "mixed", "color"]  # mixed: gray or toned in one part; see regions.py

IN_COLOR = "in color already; --recolor colors it anew"  # the reason why a file is kept
SHORT_SIDE = 128  # pixels to classify at: averages JPEG's chroma noise away, keeps things of 1/100 of the picture
GRAY_CHROMA = 2.5  # of the 95th percentile; noise and faint casts stay under it
FEW_CHROMA = 12.0  # of the 98th: hand-tinted cheeks are few, but strong
OFF_CURVE = (4.0, 0.04)  # chroma beside the curve, 95th percentile: fixed, and per chroma of the picture
FEW_OFF_CURVE = (8.0, 0.1)  # the same, 98th percentile
_BINS = 24


def tone_of(rgb: NDArray[np.uint8] | NDArray[np.uint16]) -> Tone:
    """The tone of sRGB code values (h, w, 3), already shrunk to about SHORT_SIDE pixels."""
    levels = np.asarray(rgb, np.float32) / np.float32(np.iinfo(rgb.dtype).max)
    lab = [cv2.GaussianBlur(plane, (0, 0), 0.8) for plane in color.rgb_to_lab(*np.moveaxis(levels, 2, 0))]
    lightness, a, b = (np.asarray(plane, np.float32).reshape(-1) for plane in lab)
    most, few = np.percentile(np.hypot(a, b), [95, 98])
    if most < GRAY_CHROMA and few < FEW_CHROMA:
        return "gray"
    most_off, few_off = np.percentile(_distance_from_curve(lightness, a, b), [95, 98])
    is_curve = most_off < OFF_CURVE[0] + OFF_CURVE[1] * most and few_off < FEW_OFF_CURVE[0] + FEW_OFF_CURVE[1] * few
    return "toned" if is_curve else "color"


def tone_curve(lightness: Floats, a: Floats, b: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """The median a*b* of pixels, (n,) each, as a function of L* of any shape."""
    places = np.clip((lightness * (_BINS / 100)).astype(int), 0, _BINS - 1)
    least = max(8, len(lightness) // 1000)
    knots = [
        [np.median(plane[places == place]) for plane in (lightness, a, b)]
        for place in range(_BINS)
        if np.count_nonzero(places == place) >= least
    ] or [[50.0, np.median(a), np.median(b)]]
    centers, *curves = np.array(knots, np.float32).T
    smooth = [np.convolve(np.pad(curve, 1, mode="edge"), [0.25, 0.5, 0.25], "valid") for curve in curves]

    def usual(lightness: Floats) -> tuple[Floats, Floats]:
        a, b = (np.asarray(np.interp(lightness, centers, curve), np.float32) for curve in smooth)
        return a, b

    return usual


def _distance_from_curve(lightness: Floats, a: Floats, b: Floats) -> Floats:
    """Distance in a*b* of every pixel from the tone curve."""
    usual_a, usual_b = tone_curve(lightness, a, b)(lightness)
    return np.asarray(np.hypot(a - usual_a, b - usual_b), np.float32)
