"""Photos as sRGB arrays, for training, evaluation and display."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidcolor import outputs
from vidcolor.color import rgb_to_lab
from vidcolor.errors import ReadError, SourceError

# Mean distance in a*b* of a picture's colors from their own mean. Sepia and tinted stock count as gray, too: a network
# would learn one tint for everything from them. Of 2 473 web photos the least has 1.76; 35 of 39 black-and-white scans
# have 0.0 to 0.2, toned ones 0.55 to 2.5, a black-and-white commercial with color noise 0.2 to 1.47.
GRAY_SPREAD = 1.5

Rgb = NDArray[np.uint8]  # (H, W, 3), sRGB


def read_size(content: bytes | Path) -> tuple[int, int] | None:
    """Read the width and height in pixels that a photo file states; None where it cannot be read."""
    from vidcolor.stills import upright  # all that paints, which few who import this need

    try:
        return upright.read_size(content)
    except SourceError:
        return None


def decode(content: bytes | Path, *, short_side: int | None = None, least: int = 1) -> Rgb | None:
    """Decode a photo file's first picture, upright, as sRGB; None where it cannot be read.

    Waits for room in stills.budget.PIXEL_BUDGET. Raises ReadError where the system cannot read the file.
    short_side: pixels to resize the short side to.  least: the least length of either side after that.
    """
    from vidcolor.stills import upright  # all that paints, which few who import this need

    try:
        rgb = upright.read_upright_in_turn(content, min_short_side=None if short_side is None else short_side * 2)
    except ReadError:
        raise  # a failing drive must not silently shrink a training set
    except SourceError:
        return None
    return rgb if short_side is None else resize(rgb, short_side=short_side, least=least)


def resize(rgb: Rgb, *, short_side: int, least: int = 1) -> Rgb:
    """Resize a picture to a short side of `short_side` pixels, and no side under `least`."""
    return np.array(_resize_image(Image.fromarray(rgb), short_side, least))


def crop_square(rgb: Rgb, box: tuple[float, float, float, float], side: int) -> Rgb:
    """Crop left, top, right, bottom (pixels, fractions too) and resize it to a square of `side` pixels."""
    return np.array(Image.fromarray(rgb).resize((side, side), Image.Resampling.BICUBIC, box=box))


def thumbnail_jpeg(content: bytes | Path, side: int = 224) -> bytes | None:
    """A photo at no more than `side` pixels, upright, as a small JPEG file; None where it cannot be read."""
    from vidcolor.stills import upright  # all that paints, which few who import this need

    try:
        small = Image.fromarray(upright.read_upright(content, min_short_side=side * 2))
    except SourceError:
        return None
    small.thumbnail((side, side), reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return file.getvalue()


def write_png(path: Path, rgb: Rgb) -> None:
    """Write a picture as a PNG file; its folder is made where it is missing. Raises SinkError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    outputs.write(path, file.getvalue(), overwrite=True)


def thumbnail(rgb: Rgb, width: int, height: int) -> Rgb:
    """Average a picture over a grid of width x height cells."""
    return np.array(Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX))


def is_gray(rgb: Rgb) -> bool:
    """Whether a picture is gray or of one tint; see GRAY_SPREAD."""
    red, green, blue = np.moveaxis(thumbnail(rgb, 32, 32).astype(np.float32) / 255, 2, 0)  # averages color noise away
    _, a, b = rgb_to_lab(red, green, blue)
    return float(np.hypot(a - a.mean(), b - b.mean()).mean()) < GRAY_SPREAD


def _resize_image(image: Image.Image, short_side: int, least: int) -> Image.Image:
    scale = short_side / min(image.size)
    size = (max(least, round(image.width * scale)), max(least, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
