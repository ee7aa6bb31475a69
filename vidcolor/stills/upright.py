"""The first picture of a still file as people see it: upright, in sRGB, 8 bit. For all that learns, measures or shows.

Shapes: H W of the picture upright.
"""

from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidcolor.errors import SourceError
from vidcolor.stills import exif, header, metadata, netpbm, pillow, profiles, tiff
from vidcolor.stills.budget import ROOM
from vidcolor.stills.decode import decoded
from vidcolor.stills.files import Source, name_of, opened_file
from vidcolor.stills.page import TURNS
from vidcolor.stills.raster import LARGEST_PIXELS, Raster, of_image, refusing_damage, to_srgb

Rgb = NDArray[np.uint8]  # (H, W, 3), sRGB


def size_of(source: Source, name: str | None = None, *, largest_pixels: int = LARGEST_PIXELS) -> header.Size:
    """Width and height as stored, in pixels, of the first picture. Raises SourceError."""
    name = name_of(source, name)
    with refusing_damage(name), ExitStack() as stack:
        file = opened_file(source, stack)
        found = header.read(file, name)
        if found.format == "TIFF":
            return tiff.TiffPages(file, name, largest_pixels, most_pages=1).sizes[0]
        length = file.seek(0, 2)
        header.check(name, found.sizes[:1], largest_pixels, length)
        return found.sizes[0]


def shown(
    source: Source, name: str | None = None, *, enough: int | None = None, largest_pixels: int = LARGEST_PIXELS
) -> Rgb:
    """The picture, (H, W, 3).

    enough: pixels of its short side: a larger one may come smaller, but not smaller than that. Raises SourceError.
    """
    name = name_of(source, name)
    with refusing_damage(name), ExitStack() as stack:
        file = opened_file(source, stack)
        found = header.read(file, name)
        if found.format == "TIFF":
            reader = tiff.TiffPages(file, name, largest_pixels, most_pages=1)
            raster, orientation = reader.raster(0, enough)
        else:
            header.check(name, found.sizes[:1], largest_pixels, file.seek(0, 2))
            file.seek(0)
            raster, orientation = _of_content(file.read(), found.format, name, enough)
        picture: Rgb = upright(_in_srgb(raster), orientation)
        return picture


def shown_in_turn(source: Source, name: str | None = None, *, enough: int | None = None) -> Rgb:
    """The same, as soon as what this process holds decoded leaves room for it. Raises SourceError."""
    width, height = size_of(source, name)
    with ROOM.of(width * height):
        return shown(source, name, enough=enough)


def upright(values: Any, orientation: int) -> Any:
    """A picture (H, W) or (H, W, C) turned as EXIF's 1..8 says."""
    is_mirrored, turns = TURNS[orientation]
    return np.ascontiguousarray(np.rot90(values[:, ::-1] if is_mirrored else values, turns))


def _of_content(content: bytes, kind: str, name: str, enough: int | None) -> tuple[Raster, int]:
    if kind == "PPM":
        return netpbm.decoded(content), 1
    image = pillow.opened(pillow.file_of(content), kind, name)
    if image.size[0] * image.size[1] > LARGEST_PIXELS:
        raise SourceError(f"{name}: larger than its head says. Copy it again.")
    orientation = exif.orientation(metadata.exif_of(image.info.get("exif"), content, kind))
    if kind == "JPEG" and enough is not None:
        image.draft("RGB", (enough, enough))
        return of_image(image), orientation
    return decoded(image, content, kind), orientation


def _in_srgb(raster: Raster) -> Rgb:
    values = raster.values
    if values.dtype == np.uint16:
        values = cv2.convertScaleAbs(values, alpha=255 / 65535)
    if values.ndim == 2:
        values = cv2.cvtColor(values, cv2.COLOR_GRAY2RGB)
    profile = raster.profile
    if profile.embedded is None or profiles.is_srgb(profile.space):
        return np.asarray(values, np.uint8)
    return np.asarray(to_srgb(Image.fromarray(values), profile.embedded))
