"""The metric `wobble`: change of a photo's colors under small shifts, brightness and grain, which make films flicker.

Shapes: H W pixels.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vidcolor.color import Floats, picture_to_lab
from vidcolor.evaluation.stocks import Luma, to_codes
from vidcolor.stills.rgb import Rgb

RIGHT, DOWN = 3, 2  # pixels
BRIGHTER = 1.05
GRAIN = 4.0  # code values of 255, standard deviation
MARGIN = 8  # pixels at the edges that do not count in large photos


def perturb(luma: Luma, seed: int) -> Iterator[tuple[Luma, tuple[int, int]]]:
    """Yield the photo (H, W) shifted, brighter and grainier, each with its shift down and right in pixels."""
    shifted = np.pad(luma, ((DOWN, 0), (RIGHT, 0)), mode="edge")[:-DOWN, :-RIGHT]
    yield shifted, (DOWN, RIGHT)
    yield to_codes(luma * BRIGHTER), (0, 0)
    yield to_codes(luma + np.random.default_rng(seed).normal(0, GRAIN, luma.shape)), (0, 0)


def measure_instability(
    color: Callable[[Sequence[Luma]], Sequence[Rgb]], lumas: Sequence[Luma], made: Sequence[Rgb]
) -> list[float]:
    """Mean a*b* distance, for each photo, between its colors and those of its perturbed versions."""
    views = [list(perturb(luma, seed)) for seed, luma in enumerate(lumas)]
    again = iter(color([view for each in views for view, _ in each]))
    distances = []
    for number, picture in enumerate(made):
        first, margin = _ab(picture), min(MARGIN, *(side // 4 for side in picture.shape[:2]))
        each = []
        for _, (down, right) in views[number]:
            second = _ab(next(again))
            rows, columns = picture.shape[0] - down, picture.shape[1] - right
            difference = (second[down:, right:] - first[:rows, :columns])[margin:-margin, margin:-margin]
            each.append(float(np.sqrt((difference**2).sum(axis=2)).mean()))
        distances.append(float(np.mean(each)))
    return distances


def _ab(picture: Rgb) -> Floats:
    _, a, b = picture_to_lab(picture)
    return np.stack([a, b], axis=2)
