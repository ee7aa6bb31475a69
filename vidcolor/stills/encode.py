"""Encoding of painted pages in the format of their source, with the source's metadata spliced in."""

import io
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import chain
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image

from vidcolor.color import Floats
from vidcolor.stills import animation as animations
from vidcolor.stills import exif, jpeg, metadata, pillow
from vidcolor.stills.page import Page, StillSettings
from vidcolor.stills.still import Still

THUMBNAIL = (160, 120)  # pixels (CIPA DC-008, 4.5.3)
_LOSSY_QUALITY = {"WEBP": 90, "AVIF": 85, "HEIF": 90}  # these files do not state their quality


def encode_still(still: Still, ab: Floats, settings: StillSettings) -> tuple[bytes, tuple[str, ...]]:
    """Encode the colored file of a single picture; also what it could not keep, one sentence each."""
    content, losses = _encode(still, still.pages[0], ab, settings)
    return content, still.pages[0].losses + losses


def _encode(still: Still, page: Page, ab: Floats, settings: StillSettings) -> tuple[bytes, tuple[str, ...]]:
    source = pillow.open_image(pillow.as_file(still.content), still.format, still.name)
    before, after = page.profiles
    block = metadata.exif_of(source.info.get("exif"), still.content, still.format)
    small = thumbnail(page, ab) if exif.has_thumbnail(block) else None
    changes = metadata.Changes(settings.software, small, before, after)
    if still.format == "JPEG":
        return metadata.splice_jpeg(still.content, jpeg.encode_page(page, ab, source, settings), changes)
    pixels = paint_page(page, ab)
    match still.format:
        case "PNG":
            return metadata.splice_png(still.content, _encode_png(pixels, page), changes)
        case "JPEG2000":
            return metadata.splice_jp2(still.content, _encode_jp2(pixels, page, still.content, settings), changes)
        case "BMP":
            lost = "BMP has no room for the tag of the software."
            return _save(to_image(pixels, page), "BMP", dpi=source.info.get("dpi", (96, 96))), (lost,)
    edited = exif.edit(block, settings.software, small)
    options: dict[str, Any] = {"exif": exif.PREFIX + edited if still.format != "AVIF" else edited}
    options |= {name: value for name, value in (("icc_profile", after), ("xmp", source.info.get("xmp"))) if value}
    return _save(to_image(pixels, page), still.format, **options, **_lossy_options(still, settings)), ()


def paint_page(page: Page, ab: Floats) -> Any:
    """Paint the whole page: (H, W, 4), the last channel alpha or padding, the layout that Pillow takes."""
    pixels = np.empty((*page.size, 4), np.uint8 if page.bits == 8 else np.uint16)
    if page.bits == 8 and page.alpha is None:
        page.fill(ab, pixels)
        return pixels
    for top, strip in page.paint_strips(ab):
        rows = pixels[top : top + len(strip)]
        if strip.shape[2] == 4:
            rows[:] = strip
        else:
            cv2.cvtColor(strip, cv2.COLOR_RGB2RGBA, dst=rows)
    return pixels


def to_image(pixels: Any, page: Page) -> Image.Image:
    """An 8-bit page as a Pillow image."""
    size = (pixels.shape[1], pixels.shape[0])
    if page.alpha is not None:
        return Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1)
    return Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1).convert("RGB")


def thumbnail(page: Page, ab: Floats) -> bytes:
    """A small JPEG of a painted page."""
    return encode_jpeg(page.preview(ab, (THUMBNAIL[1], THUMBNAIL[0])))


def encode_jpeg(small: Any) -> bytes:
    """Encode a small picture, gray or RGB, as a plain JPEG file."""
    small = small if small.dtype == np.uint8 else (small >> 8).astype(np.uint8)
    return _save(Image.fromarray(np.ascontiguousarray(small)), "JPEG", quality=80)


def _save(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _encode_png(pixels: Any, page: Page) -> bytes:
    if page.bits == 8:
        return _save(to_image(pixels, page), "PNG")
    values = pixels if page.alpha is not None else np.ascontiguousarray(pixels[..., :3])
    return bytes(import_module("imagecodecs").png_encode(values, level=6))


def _encode_jp2(pixels: Any, page: Page, source: bytes, settings: StillSettings) -> bytes:
    """Lossless where the source was (reversible wavelet), else at 60 dB."""
    values = pixels if page.alpha is not None else np.ascontiguousarray(pixels[..., :3])
    at = source.find(b"\xff\x52")
    is_lossless = source[at + 13] == 1  # COD marker: transformation (ISO/IEC 15444-1, A.6.1)
    form = "jp2" if source[4:8] == b"jP  " else "j2k"
    encode = import_module("imagecodecs").jpeg2k_encode
    if is_lossless and settings.quality is None:
        return bytes(encode(values, level=0, reversible=True, codecformat=form))
    level = 60 if settings.quality is None else 20 + settings.quality * 0.4  # decibels
    return bytes(encode(values, level=level, reversible=False, codecformat=form))


def _lossy_options(still: Still, settings: StillSettings) -> dict[str, Any]:
    if still.format == "WEBP" and settings.quality is None and b"VP8L" in metadata.webp_chunks(still.content):
        return {"lossless": True, "exact": True}
    options: dict[str, Any] = {"quality": settings.quality or _LOSSY_QUALITY[still.format]}
    return options | ({"subsampling": settings.subsampling} if settings.subsampling and still.format == "AVIF" else {})


def encode_animation(
    still: Still, colors: Iterator[Floats | None], file: BinaryIO, settings: StillSettings
) -> tuple[str, ...] | None:
    """Write a GIF or an animation with each frame's own duration; what was lost, or None where no frame has color.

    colors: a*b* of each page, pulled frame by frame.
    """
    gray, first = 0, None
    for first in colors:
        if first is not None:
            break
        gray += 1
    if first is None:
        return None
    losses: dict[str, None] = {}
    source = pillow.open_image(pillow.as_file(still.content), still.format, still.name)
    after = still.pages[0].profiles[1] if gray else still.pages[gray].profiles[1]
    frames = _paint_frames(still, source, chain([None] * gray, [first], colors), losses)
    losses |= dict.fromkeys(_write_animation(still, source, frames, after, file, settings))
    return tuple(losses)


def _paint_frames(
    still: Still, source: Any, colors: Iterable[Floats | None], losses: dict[str, None]
) -> Iterator[animations.Frame]:
    mode = None
    for number, ab in enumerate(colors):
        source.seek(number)
        if ab is None:
            source.load()
            picture = source.convert("RGBA")
        else:
            page = still.pages[number]
            picture = to_image(paint_page(page, ab), page)
            losses |= dict.fromkeys(page.losses)
            source.load()  # WebP states a frame's duration only then
        mode = mode or picture.mode
        is_fixed = still.format != "GIF"
        yield picture.convert(mode) if is_fixed else picture, source.info.get("duration", 0)


def _write_animation(
    still: Still, source: Any, frames: Iterator[animations.Frame], icc: bytes | None, file: BinaryIO,
    settings: StillSettings,
) -> tuple[str, ...]:  # fmt: skip
    loop = source.info.get("loop")
    if still.format == "GIF":
        old = source.info.get("comment", b"")
        said = old + (b"\n" if old else b"") + b"Color: " + settings.software.encode("ascii", "replace")
        animations.write_gif(file, frames, loop, said)
        lost: tuple[str, ...] = ("GIF holds 256 colors a frame: lightness is kept only as far as they go.",)
        return lost + (("XMP in a GIF is not carried over.",) if source.info.get("xmp") else ())
    block = exif.edit(metadata.exif_of(source.info.get("exif"), still.content, still.format), settings.software, None)
    options: dict[str, Any] = {"loop": loop} if loop is not None else {}
    options |= {"exif": exif.PREFIX + block, "xmp": source.info.get("xmp") or b"", "icc_profile": icc or b""}
    made = animations.LazyAnimation(frames, len(still.pages))
    file.write(animations.save_animation(made, still.format, **options, **_lossy_options(still, settings)))
    return ()
