"""Encoding of painted pages as JPEG, with the source's quantization, subsampling and progression."""

import io
import struct
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin

from vidcolor.choices import SUBSAMPLINGS
from vidcolor.color import Floats
from vidcolor.painting.jpeg_planes import YccPainter
from vidcolor.stills.decode import has_simplejpeg
from vidcolor.stills.page import Page, StillSettings

# Chroma quantization at quality 50 (ITU-T T.81, table K.2) and luma's (table K.1), row by row.
# fmt: off
_LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)
_CHROMA_TABLE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *[99] * 32,
)
# fmt: on
_START_OF_FRAME = 0xC0  # baseline (T.81, table B.1); precision, height and width follow (B.2.2)
_OTHER_QUALITY = 90  # where the source states none


def encode_page(page: Page, ab: Floats, source: Any, settings: StillSettings) -> bytes:
    """Encode a painted page: pixels and tables, no profile, no EXIF. source: the gray file, opened by Pillow."""
    sampling = JpegImagePlugin.get_sampling(source)
    subsampling = settings.subsampling or (*SUBSAMPLINGS, "4:2:0")[sampling]  # -1: another
    tables = _source_tables(source) if settings.quality is None else _standard_tables(settings.quality)
    quality = settings.quality or _exact_quality(*tables)
    is_progressive = bool(source.info.get("progressive"))
    luma = page.rows(0, page.size[0])
    if (
        has_simplejpeg()
        and quality
        and subsampling == "4:2:0"
        and not is_progressive
        and page.bits == 8
        and luma.dtype == np.uint8
        and page.colored_regions is None
    ):
        return _encode_planes(page, ab, luma, quality)
    pixels = np.empty((*page.size, 4), np.uint8)
    page.fill(ab, pixels)
    image = Image.frombuffer("RGBX", page.size[::-1], pixels, "raw", "RGBX", 0, 1)
    file = io.BytesIO()
    image.save(file, "JPEG", qtables=tables, subsampling=subsampling, progressive=is_progressive)
    return file.getvalue()


def _encode_planes(page: Page, ab: Floats, luma: Any, quality: int) -> bytes:
    """Encode Y', Cb and Cr without RGB in between. The encoder has only libjpeg's own tables."""
    height, width = page.size
    if height % 2 or width % 2:
        luma = cv2.copyMakeBorder(luma, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    y, size = np.empty_like(luma), (len(luma) // 2, luma.shape[1] // 2)
    cb, cr = np.empty(size, np.uint8), np.empty(size, np.uint8)
    YccPainter(page.make_painter(ab, size), page.space).fill(luma, y, cb, cr)
    content = bytes(import_module("simplejpeg").encode_jpeg_yuv_planes(y, cb, cr, quality))
    return content if luma.shape == page.size else _set_size(content, page.size)


def _set_size(content: bytes, size: tuple[int, int]) -> bytes:
    """Set the size (H, W) in a file's header, smaller by less than a block: the encoder needs even sides."""
    at = 2
    while content[at + 1] != _START_OF_FRAME:
        at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    return content[: at + 5] + struct.pack(">HH", *size) + content[at + 9 :]


def _source_tables(source: Any) -> list[list[int]]:
    """Quantization of luma and chroma: the source's, where it has its own."""
    found = source.quantization
    if source.mode == "CMYK" or not found:
        return _standard_tables(_OTHER_QUALITY)
    luma = list(found[min(found)])
    chroma = [table for number, table in sorted(found.items()) if number != min(found)]
    quality = _exact_quality(luma)
    return [luma, list(chroma[0]) if chroma else _standard_tables(quality)[1] if quality else chroma_table(luma)]


def _standard_tables(quality: int) -> list[list[int]]:
    """Libjpeg's tables at a quality."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return [
        [min(255, max(1, (value * scale + 50) // 100)) for value in table] for table in (_LUMA_TABLE, _CHROMA_TABLE)
    ]


def _exact_quality(*tables: Sequence[int]) -> int | None:
    """The quality at which libjpeg makes exactly these tables; None where there is none."""
    about = estimate_quality(list(tables[0]))
    for quality in range(max(1, about - 2), min(100, about + 2) + 1):
        if _standard_tables(quality)[: len(tables)] == [list(table) for table in tables]:
            return quality
    return None


def estimate_quality(luma: list[int]) -> int:
    """The quality 1..100 at which libjpeg makes about this luma table."""
    ratio = float(np.median(np.array(luma) / np.array(_LUMA_TABLE)))
    return min(100, max(1, round(100 - 50 * ratio if ratio < 1 else 50 / ratio)))


def chroma_table(luma: list[int]) -> list[int]:
    """A chroma table for a luma table: T.81's K.2 scaled as the luma table is scaled from K.1."""
    ratio = float(np.median(np.array(luma) / np.array(_LUMA_TABLE)))
    return [min(255, max(1, round(value * ratio))) for value in _CHROMA_TABLE]
