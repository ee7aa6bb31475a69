"""Opening of files by Pillow's format plugins directly.

Image.open checks sizes against the global Image.MAX_IMAGE_PIXELS, which belongs to the program that imports us. It is
left alone: files have passed our own limit, so their plugin is called without that check.
"""

import io
from importlib import import_module
from typing import Any, BinaryIO

from PIL import Image

from vidcolor.errors import SourceError
from vidcolor.stills import metadata
from vidcolor.stills.header import Header

_READERS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"), "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"), "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"), "JPEG2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"), "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
}  # fmt: skip


def open_image(file: BinaryIO, kind: str, name: str) -> Any:
    """Open a picture with Pillow, without decoding it; the first of several in a JPEG file.

    file: seekable. kind: one of header.FORMATS but PPM. Raises SourceError, and what Pillow does.
    """
    file.seek(0)
    if kind == "HEIF":
        return _open_heif(file, name)
    if kind == "WEBP":
        return _open_webp(file, name)
    module, reader = _READERS[kind]
    return getattr(import_module(module), reader)(file, "")


def as_file(content: bytes) -> BinaryIO:
    """A file's content as a file in memory."""
    return io.BytesIO(content)


def _open_heif(file: BinaryIO, name: str) -> Any:
    try:
        module = import_module("pillow_heif")
    except ImportError as error:
        raise SourceError(f"{name}: HEIC needs the package pillow-heif: pip install 'vidcolor[heic]'.") from error
    module.register_heif_opener()  # for saving HEIF
    return import_module("pillow_heif.as_plugin").HeifImageFile(file, "")


def _open_webp(file: BinaryIO, name: str) -> Any:
    try:
        return import_module("PIL.WebPImagePlugin").WebPImageFile(file, "")
    except Image.DecompressionBombError:  # this plugin checks the limit by itself
        pass
    file.seek(0)
    content = file.read()
    chunks = metadata.webp_chunks(content)
    if b"ANMF" in chunks:
        raise frames_too_large(name)
    image = Image.fromarray(import_module("imagecodecs").webp_decode(content))
    names = {"icc_profile": b"ICCP", "exif": b"EXIF", "xmp": b"XMP "}
    image.info |= {key: chunks[chunk] for key, chunk in names.items() if chunk in chunks}
    return image


def check_frames(head: Header, name: str) -> None:
    """Refuse an animated GIF with frames above MAX_IMAGE_PIXELS: Pillow checks those by itself, and may only warn."""
    limit = Image.MAX_IMAGE_PIXELS
    is_animated = head.format == "GIF" and len(head.sizes) > 1
    if is_animated and limit is not None and max(width * height for width, height in head.sizes) > limit:
        raise frames_too_large(name)


def frames_too_large(name: str) -> SourceError:
    """The error for an animation that Pillow refuses to read."""
    return SourceError(
        f"{name}: an animation of larger frames than Pillow reads ({Image.MAX_IMAGE_PIXELS} pixels, "
        "Image.MAX_IMAGE_PIXELS). Save its frames as single pictures."
    )
