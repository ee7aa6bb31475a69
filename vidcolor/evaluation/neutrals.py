"""How much color a way gives to what has none in truth: walls, stone, snow, dark cloth that should stay gray."""

import math
from collections import defaultdict

import numpy as np

from vidcolor.color import Floats, picture_to_lab
from vidcolor.stills.rgb import Rgb

COLORLESS = 5.0  # a*b* chroma; about what lossy pictures and white balance leave on a gray card
DARK = 15.0  # L* under which color is hardly seen


class Neutrals:
    """Mean a*b* chroma over what has none in truth and is not dark; gray has 0, and the truth some 2.

    It is a mean over the pixels of all photos together, so that a photo counts by how much of it is gray.
    """

    name = "neutrals"

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def update(self, method: str, picture: Rgb, truth: Rgb) -> None:
        """See photos.Metric."""
        lightness, true_chroma = _lightness_and_chroma(truth)
        is_neutral = (true_chroma < COLORLESS) & (lightness > DARK)
        _, chroma = _lightness_and_chroma(picture)
        self._sums[method] += float(chroma[is_neutral].sum(dtype=np.float64))
        self._counts[method] += int(is_neutral.sum())

    def compute(self, method: str) -> float:
        """Units of a*b*; NaN where no photo has such a place."""
        return self._sums[method] / self._counts[method] if self._counts[method] else math.nan


def _lightness_and_chroma(picture: Rgb) -> tuple[Floats, Floats]:
    """L* 0..100 and a*b* chroma, each (H, W)."""
    lightness, a, b = picture_to_lab(picture)
    return lightness, np.hypot(a, b)
