"""Decoding of one frame of a file that Pillow has opened, at the file's own depth. TIFF is in tiff.py."""

import io
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from vidcolor.stills import metadata
from vidcolor.stills.raster import Raster, raster_from_array, raster_from_image


def decode_frame(image: Image.Image, content: bytes, kind: str) -> Raster:
    """Decode the current frame of `image`, whose file has this content. Raises what decoders raise."""
    if kind == "PNG" and content[24] == 16 and content[25] != 0:
        return raster_from_array(import_module("imagecodecs").png_decode(content), image.info.get("icc_profile"))
    if kind == "JPEG2000":
        icc, depths = metadata.jp2_profile(content), _jp2_depths(content)
        if image.mode in ("L", "I;16", "RGB", "RGBA", "LA") and set(depths) != {8}:
            values = import_module("imagecodecs").jpeg2k_decode(content)
            return raster_from_array(_scale_to_full(values, depths), icc)
        return raster_from_image(image, icc=icc)
    if kind == "JPEG" and image.mode == "RGB" and _has_neutral_chroma(content):
        image.draft("L", None)
    if kind == "JPEG" and image.mode == "L" and (luma := _decode_luma(content, image)) is not None:
        return raster_from_array(luma, image.info.get("icc_profile"))
    return raster_from_image(image)


@cache
def has_simplejpeg() -> bool:
    """Whether the fast decoder and encoder of JPEG's planes is installed: not on Macs with Intel processors."""
    return find_spec("simplejpeg") is not None


def icc_of(image: Image.Image, content: bytes, kind: str) -> bytes | None:
    """The ICC profile that a file carries."""
    return metadata.jp2_profile(content) if kind == "JPEG2000" else image.info.get("icc_profile")


def depth_losses(content: bytes, kind: str) -> tuple[str, ...]:
    """What reading with 8 bits loses, one sentence each."""
    if kind in ("AVIF", "HEIF") and _is_deep(content):
        return (f"The picture has more than 8 bits; {kind} is read and written with 8.",)
    return ()


def _has_neutral_chroma(content: bytes) -> bool:
    """Whether a JPEG file of three components has no chroma, measured at an eighth of its size.

    Decoding luma alone takes little more than half the time of RGB.
    """
    small = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
    small.draft("YCbCr", (max(1, small.width // 8), max(1, small.height // 8)))
    try:
        return small.mode == "YCbCr" and small.getextrema()[1:] == ((128, 128), (128, 128))
    except OSError:  # stored as RGB, or damaged, which decoding will tell
        return False


def _decode_luma(content: bytes, image: Image.Image) -> Any | None:
    """The luma of a JPEG file's only picture (H, W), the same as Pillow's in two thirds of the time.

    None where the file has more pictures, or anything is odd about it: Pillow tells what.
    """
    if getattr(image, "n_frames", 1) > 1 or not has_simplejpeg():
        return None
    try:
        luma = import_module("simplejpeg").decode_jpeg(content, colorspace="GRAY", fastdct=False)[..., 0]
    except ValueError:
        return None
    return luma if luma.shape == image.size[::-1] else None


def _scale_to_full(values: Any, depths: list[int]) -> Any:
    """Scale code values (H, W) or (H, W, C) of any depths to 8 bit, or to 16 where one has more than 8."""
    kind, full = (np.uint16, 65535) if max(depths) > 8 else (np.uint8, 255)
    planes = values[..., None] if values.ndim == 2 else values
    whole = np.empty(planes.shape, kind)
    for channel, bits in zip(range(planes.shape[2]), depths, strict=False):
        most = (1 << bits) - 1
        whole[..., channel] = (planes[..., channel].astype(np.uint32) * full + most // 2) // most
    return whole.reshape(values.shape)


def _jp2_depths(content: bytes) -> list[int]:
    """Bits of every component (SIZ marker, ISO/IEC 15444-1 A.5.1)."""
    at = content.find(b"\xff\x4f\xff\x51") + 2
    count = int.from_bytes(content[at + 38 : at + 40])
    return [(depth & 0x7F) + 1 for depth in content[at + 40 : at + 40 + 3 * count : 3]]


def _is_deep(content: bytes) -> bool:
    """Whether the pixi property says more than 8 bits (ISO/IEC 23008-12, 6.5.6)."""
    at = content.find(b"pixi", 0, 1 << 16)
    return at >= 0 and any(depth > 8 for depth in content[at + 9 : at + 9 + content[at + 8]])
