"""The metric `hints`: PSNR when a person says some of a photo's true colors at random places.

The protocol of Zhang et al. 2017 ("Real-Time User-Guided Image Colorization with Learned Deep Priors"): points at
random, each with the true mean color of a small square, here one position of a*b* of what the network looks at.
Shapes: H W pixels.
"""

import hashlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from vidcolor.color import picture_to_lab
from vidcolor.evaluation.photo_metrics import psnr
from vidcolor.evaluation.stocks import Luma
from vidcolor.inference.listening import Known, known_size
from vidcolor.stills.rgb import Rgb

COUNTS = (1, 10, 100)  # points; 0 is the PSNR that is always measured
ColorByHints = Callable[[Sequence[Luma], Sequence[Known]], Sequence[Rgb]]


def measure_hinted(
    color: ColorByHints, names: Sequence[str], lumas: Sequence[Luma], truths: Sequence[Rgb]
) -> dict[str, list[float]]:
    """PSNR of each photo, by metric, with so many random points of its true colors.

    names: of the photos, which decide the places.
    """
    found = {}
    for count in COUNTS:
        known = [pick_points(truth, count, name) for truth, name in zip(truths, names, strict=True)]
        made = color(lumas, known)
        found[f"hints_{count}"] = [psnr(*pair) for pair in zip(made, truths, strict=True)]
    return found


def pick_points(truth: Rgb, count: int, name: str) -> Known:
    """`count` random points of a photo (H, W, 3) with their true colors; the same ones each time."""
    rows, columns = known_size(truth.shape[:2])
    small = cv2.resize(truth, (columns, rows), interpolation=cv2.INTER_AREA)
    _, a, b = picture_to_lab(np.asarray(small, np.uint8))
    seed = hashlib.sha1(f"{count} {name}".encode(errors="backslashreplace")).digest()
    chosen = np.random.default_rng(list(seed)).choice(rows * columns, min(count, rows * columns), replace=False)
    sure = np.zeros(rows * columns, np.float32)
    sure[chosen] = 1
    return Known(np.stack([a, b]).astype(np.float32), sure.reshape(rows, columns))
