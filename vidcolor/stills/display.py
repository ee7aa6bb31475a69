"""Photos for display in browsers: sRGB, upright, no larger than asked, JPEG.

Shapes: H W of the picture as shown.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from vidcolor.errors import SourceError
from vidcolor.stills.rgb import Rgb
from vidcolor.stills.upright import read_upright_in_turn


def read_photo(path: Path, longest: int) -> Rgb:
    """Read a photo's first page, its long side at most `longest` pixels. Raises SourceError."""
    if not path.is_file():
        raise SourceError(f"{path}: no such file.")
    return fit(read_upright_in_turn(path, min_short_side=longest), longest)


def fit(rgb: Rgb, longest: int) -> Rgb:
    """Shrink a picture whose long side is longer than `longest`; return others as they are."""
    scale = longest / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    return resize_to(rgb, size)


def resize_to(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """Resize a picture to (width, height)."""
    if (rgb.shape[1], rgb.shape[0]) == size:
        return rgb
    how = cv2.INTER_AREA if size[0] < rgb.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8)


def encode_jpeg(rgb: Rgb, quality: int) -> bytes:
    """Encode a JPEG file, in gray where the picture is gray."""
    is_gray = np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2])
    file = io.BytesIO()
    Image.fromarray(rgb[..., 0] if is_gray else rgb).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()
