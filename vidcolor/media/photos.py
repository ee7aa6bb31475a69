"""Colour photos for learning and measuring: out of folders and tar files, as sRGB arrays."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vidcolor.errors import SourceError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}

Rgb = NDArray[np.uint8]  # (H, W, 3), sRGB


def encoded(sources: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Name and file content of every photo in folders, tar files and single files, in sorted order.

    Raises SourceError for a source that is none of these.
    """
    for source in sources:
        if source.is_dir():
            for file in sorted(source.rglob("*")):
                if file.suffix.lower() in SUFFIXES and file.is_file():
                    yield file.relative_to(source).as_posix(), file.read_bytes()
        elif not source.is_file():
            raise SourceError(f"{source}: no such file or folder.")
        elif source.suffix.lower() in SUFFIXES:
            yield source.name, source.read_bytes()
        elif tarfile.is_tarfile(source):
            with tarfile.open(source) as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isfile() else None
                    if content is not None and Path(member.name).suffix.lower() in SUFFIXES:
                        yield member.name, content.read()
        else:
            raise SourceError(f"{source}: not a folder, a tar file or a photo.")


def decode(content: bytes, *, short_side: int | None = None, least: int = 1) -> Rgb | None:
    """A photo file as sRGB, or None where it cannot be read.

    short_side: pixels to resize the short side to.  least: the least length of either side after that.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if short_side is not None:
                image.draft("RGB", (short_side * 2, short_side * 2))
            rgb = image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError):
        return None
    if short_side is not None:
        scale = short_side / min(rgb.size)
        size = (max(least, round(rgb.width * scale)), max(least, round(rgb.height * scale)))
        rgb = rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.array(rgb)
