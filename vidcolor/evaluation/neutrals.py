"""Color given to neutral areas, such as walls, stone, snow and cloth, which should stay gray."""

import math
from collections import defaultdict

import numpy as np

from vidcolor.color import Floats, picture_to_lab
from vidcolor.stills.rgb import Rgb

COLORLESS = 5.0  # a*b* chroma of a gray card after lossy compression and white balance
DARK = 15.0  # L* below which color is hardly visible


class Neutrals:
    """Mean a*b* chroma over pixels that are neutral in the truth and not dark; gray has 0, the truth about 2.

    The mean is over the pixels of all photos, so a photo counts by its neutral area.
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
        """Mean in a*b* units; NaN where no photo has a neutral area."""
        return self._sums[method] / self._counts[method] if self._counts[method] else math.nan


def _lightness_and_chroma(picture: Rgb) -> tuple[Floats, Floats]:
    """L* 0..100 and a*b* chroma, each (H, W)."""
    lightness, a, b = picture_to_lab(picture)
    return lightness, np.hypot(a, b)
