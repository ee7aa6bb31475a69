"""Photos for tests, and their files."""

import io

import numpy as np
from PIL import Image

from vidcolor.stills.rgb import Rgb


def picture(seed: int, width: int = 96, height: int = 72) -> Rgb:
    """Soft patches of color, others for every seed."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC))


def gray(seed: int) -> Rgb:
    return np.repeat(picture(seed).mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)


def file_of(rgb: Rgb, kind: str = "png") -> bytes:
    content = io.BytesIO()
    Image.fromarray(rgb).save(content, kind)
    return content.getvalue()
