"""Reading of a file's first picture upright, in sRGB, 8 bit: for training, evaluation and display.

Shapes: H W of the picture upright.
"""

from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidcolor.color import Floats
from vidcolor.errors import SourceError
from vidcolor.stills import exif, header, metadata, netpbm, pillow, profiles, tiff
from vidcolor.stills.budget import PIXEL_BUDGET
from vidcolor.stills.decode import decode_frame
from vidcolor.stills.files import Source, display_name, open_file
from vidcolor.stills.page import TURNS
from vidcolor.stills.raster import LARGEST_PIXELS, Raster, convert_to_srgb, raster_from_image, refusing_damage

Rgb = NDArray[np.uint8]  # (H, W, 3), sRGB


def read_size(source: Source, name: str | None = None, *, largest_pixels: int = LARGEST_PIXELS) -> header.Size:
    """Read the width and height, as stored, of the first picture, in pixels. Raises SourceError."""
    name = display_name(source, name)
    with refusing_damage(name), ExitStack() as stack:
        file = open_file(source, stack)
        found = header.read(file, name)
        if found.format == "TIFF":
            return tiff.TiffPages(file, name, largest_pixels, most_pages=1).sizes[0]
        length = file.seek(0, 2)
        header.check(name, found.sizes[:1], largest_pixels, length)
        return found.sizes[0]


def read_upright(
    source: Source, name: str | None = None, *, min_short_side: int | None = None, largest_pixels: int = LARGEST_PIXELS
) -> Rgb:
    """Read the picture, (H, W, 3).

    min_short_side: pixels: a larger picture may be shrunk, but not below this short side. Raises SourceError.
    """
    raster, orientation = _read_raster(source, name, min_short_side, largest_pixels)
    picture: Rgb = turn_upright(_to_srgb8(raster), orientation)
    return picture


def read_opacity(source: Source, name: str | None = None) -> Floats | None:
    """Read how opaque the picture is, (H, W), 0..1; None for one without transparency. Raises SourceError."""
    raster, orientation = _read_raster(source, name, None, LARGEST_PIXELS)
    if raster.alpha is None:
        return None
    values = np.asarray(raster.alpha)
    opacity: Floats = turn_upright(values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max), orientation)
    return opacity


def _read_raster(
    source: Source, name: str | None, min_short_side: int | None, largest_pixels: int
) -> tuple[Raster, int]:
    """Decode the first picture; also EXIF's orientation."""
    name = display_name(source, name)
    with refusing_damage(name), ExitStack() as stack:
        file = open_file(source, stack)
        found = header.read(file, name)
        if found.format == "TIFF":
            reader = tiff.TiffPages(file, name, largest_pixels, most_pages=1)
            raster, orientation = reader.read_raster(0, min_short_side)
        else:
            header.check(name, found.sizes[:1], largest_pixels, file.seek(0, 2))
            file.seek(0)
            raster, orientation = _decode_content(file.read(), found.format, name, min_short_side)
        return raster, orientation


def read_upright_in_turn(source: Source, name: str | None = None, *, min_short_side: int | None = None) -> Rgb:
    """`read_upright` within PIXEL_BUDGET: waits until other threads leave room. Raises SourceError."""
    width, height = read_size(source, name)
    with PIXEL_BUDGET.reserve(width * height):
        return read_upright(source, name, min_short_side=min_short_side)


def turn_upright(values: Any, orientation: int) -> Any:
    """Turn a picture (H, W) or (H, W, C) by EXIF's orientation 1..8."""
    is_mirrored, turns = TURNS[orientation]
    return np.ascontiguousarray(np.rot90(values[:, ::-1] if is_mirrored else values, turns))


def _decode_content(content: bytes, kind: str, name: str, min_short_side: int | None) -> tuple[Raster, int]:
    if kind == "PPM":
        return netpbm.decode(content), 1
    image = pillow.open_image(pillow.as_file(content), kind, name)
    if image.size[0] * image.size[1] > LARGEST_PIXELS:
        raise SourceError(f"{name}: larger than its header states. Copy it again.")
    orientation = exif.read_orientation(metadata.exif_of(image.info.get("exif"), content, kind))
    if kind == "JPEG" and min_short_side is not None:
        image.draft("RGB", (min_short_side, min_short_side))
        return raster_from_image(image), orientation
    return decode_frame(image, content, kind), orientation


def _to_srgb8(raster: Raster) -> Rgb:
    values = raster.values
    if values.dtype == np.uint16:
        values = cv2.convertScaleAbs(values, alpha=255 / 65535)
    if values.ndim == 2:
        values = cv2.cvtColor(values, cv2.COLOR_GRAY2RGB)
    profile = raster.profile
    if profile.embedded is None or profiles.is_srgb(profile.space):
        return np.asarray(values, np.uint8)
    return np.asarray(convert_to_srgb(Image.fromarray(values), profile.embedded))
