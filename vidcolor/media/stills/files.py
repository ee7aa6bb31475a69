"""Still image files read and written: which kind a file is, its pages, and the coloured copy in the same format."""

import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin

from vidcolor import outputs
from vidcolor.color import Floats
from vidcolor.errors import ShapeError, SourceError
from vidcolor.media.stills import exif, netpbm, splice, tiff
from vidcolor.media.stills.encode import encoded
from vidcolor.media.stills.raster import LARGEST_PIXELS, Raster, of_array, of_image, refusing_damage, too_large
from vidcolor.media.stills.still import Page, StillSettings, page_of

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000", "BMP", "PPM", "GIF")
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".btf", ".webp", ".avif", ".heic", ".heif", ".hif",
    ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".bmp", ".dib", ".pgm", ".ppm", ".pbm", ".pnm", ".gif",
}  # fmt: skip
_HEIF_BRANDS = {b"heic", b"heix", b"mif1", b"msf1", b"heim", b"heis"}


@dataclass(frozen=True)
class Still:
    """An open still image file. format: one of FORMATS.  losses: what reading could not keep, one sentence each."""

    name: str
    format: str
    pages: tuple[Page, ...]
    losses: tuple[str, ...] = ()
    content: bytes = field(repr=False, default=b"")
    reader: "tiff.TiffPages | None" = field(repr=False, default=None)
    profiles: tuple[tuple[bytes | None, bytes | None], ...] = field(repr=False, default=())  # ICC before, after

    def recolored(self) -> "Still":
        """The same, of whose pages none keeps colours in parts."""
        pages = tuple(replace(page, own=None, colors=None) for page in self.pages)
        if self.reader is not None:
            self.reader.pages = pages
        return replace(self, pages=pages)

    def close(self) -> None:
        """Let the file go, where it is still read from."""
        if self.reader is not None:
            self.reader.close()

    def __enter__(self) -> "Still":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_still(
    source: Path | bytes | BinaryIO, name: str | None = None, *, largest_pixels: int = LARGEST_PIXELS
) -> Still:
    """Read a still image file and judge its pages.

    source: a path, the file's content, or a seekable file.  name: for messages.  largest_pixels: of one page; more is
    refused before anything is decoded.  A TIFF page above tiff.HELD_PIXELS is read in strips, twice; every other page
    is decoded once and held. Raises SourceError: empty, damaged, cut off, of no known kind, or too large.
    """
    name = name or (str(source) if isinstance(source, Path) else "picture")
    with refusing_damage(name), ExitStack() as on_failure:
        file: BinaryIO = source.open("rb") if isinstance(source, Path) else _file(source)
        if isinstance(source, Path):
            on_failure.callback(file.close)
        start = file.read(32)
        file.seek(0)
        if not start:
            raise SourceError(f"{name}: the file is empty. Copy it again.")
        if start[:4] in tiff.SIGNATURES:
            reader = tiff.TiffPages(file, name, largest_pixels)
            on_failure.pop_all()
            return Still(name, "TIFF", reader.pages, reader.losses, reader=reader)
        return _of_content(file.read(), name, largest_pixels)


def _file(source: bytes | BinaryIO) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source


def _of_content(content: bytes, name: str, largest: int) -> Still:
    kind = _kind(content, name)
    if kind == "PPM":
        size = netpbm.size(content)
        _check(size, largest, name)
        raster = netpbm.decoded(content)
        return Still(name, kind, (page_of(raster, 1),), raster.losses, content, profiles=((None, None),))
    if kind == "HEIF":
        _register_heif(name)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is checked instead, and can be set
    try:
        image = Image.open(io.BytesIO(content))
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    _check(image.size, largest, name)
    frames = getattr(image, "n_frames", 1)
    losses: tuple[str, ...] = ()
    if kind == "PNG" and frames > 1:
        raise SourceError(f"{name}: an animated PNG, which is not supported. Save it as WebP, GIF or film.")
    if kind in ("JPEG", "HEIF") and frames > 1:
        frames, losses = 1, ("Only the first picture of the file is coloured; the others are not carried over.",)
    if kind in ("AVIF", "HEIF") and _is_deep(content):
        losses += (f"The picture has more than 8 bits; {kind} is read and written with 8.",)
    pages, profiles = [], []
    orientation = exif.orientation(splice.exif_of(image.info.get("exif"), content, kind))
    for number in range(frames):
        if frames > 1:
            image.seek(number)
        raster = _decoded(image, content, kind)
        pages.append(page_of(raster, orientation))
        profiles.append((_profile_of(image, content, kind), raster.profile.embedded))
        losses += raster.losses
    return Still(name, kind, tuple(pages), losses, content, profiles=tuple(profiles))


def _kind(content: bytes, name: str) -> str:
    start = content[:16]
    signs = {
        b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP", b"GIF8": "GIF",
        b"\0\0\0\x0cjP  ": "JPEG2000", b"\xff\x4f\xff\x51": "JPEG2000",
        **{b"P%d" % number: "PPM" for number in range(1, 7)},
    }  # fmt: skip
    found = next((kind for sign, kind in signs.items() if start.startswith(sign)), None)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        found = "WEBP"
    if start[4:8] == b"ftyp":
        found = "AVIF" if b"avif" in content[8:40] or b"avis" in content[8:40] else None
        found = found or ("HEIF" if start[8:12] in _HEIF_BRANDS else None)
    if found is None:
        raise SourceError(f"{name}: not a picture of a known kind. Known are {', '.join(FORMATS)}.")
    return found


def _register_heif(name: str) -> None:
    try:
        import_module("pillow_heif").register_heif_opener()
    except ImportError as error:
        raise SourceError(f"{name}: HEIC needs the package pillow-heif: pip install 'vidcolor[heic]'.") from error


def _check(size: tuple[int, int], largest: int, name: str) -> None:
    if not size[0] or not size[1]:
        raise SourceError(f"{name}: the picture has no pixels.")
    if size[0] * size[1] > largest:
        raise too_large(name, *size, largest)


def _decoded(image: Image.Image, content: bytes, kind: str) -> Raster:
    if kind == "PNG" and content[24] == 16 and content[25] != 0:
        return of_array(import_module("imagecodecs").png_decode(content), image.info.get("icc_profile"))
    if kind == "JPEG2000":
        icc = splice.jp2_profile(content)
        if image.mode in ("I;16", "RGB", "RGBA", "LA") and _jp2_depth(content) > 8:
            values = import_module("imagecodecs").jpeg2k_decode(content)
            return of_array(_full_scale(values, _jp2_depth(content)), icc)
        return of_image(image, icc=icc)
    if kind == "JPEG" and image.mode == "RGB" and _is_grey_within(content):
        image.draft("L", None)
    return of_image(image)


def _is_grey_within(content: bytes) -> bool:
    """Whether a JPEG file of three components has no chroma at all, by an eighth of the picture.

    Then its luma is all there is, and decodes in little more than half the time of RGB.
    """
    small = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
    small.draft("YCbCr", (small.width // 8, small.height // 8))
    try:
        return small.mode == "YCbCr" and small.getextrema()[1:] == ((128, 128), (128, 128))
    except OSError:  # stored as RGB, or damaged, which decoding will tell
        return False


def _full_scale(values: Any, bits: int) -> Any:
    return (
        values
        if bits == 16
        else ((values.astype("u4") * 65535 + ((1 << bits) - 1) // 2) // ((1 << bits) - 1)).astype("u2")
    )


def _jp2_depth(content: bytes) -> int:
    """Bits of the first component (SIZ marker, ISO/IEC 15444-1 A.5.1)."""
    at = content.find(b"\xff\x51")
    return (content[at + 40] & 0x7F) + 1


def _is_deep(content: bytes) -> bool:
    """Whether the pixi property says more than 8 bits (ISO/IEC 23008-12, 6.5.6)."""
    at = content.find(b"pixi", 0, 1 << 16)
    return at >= 0 and any(depth > 8 for depth in content[at + 9 : at + 9 + content[at + 8]])


def _profile_of(image: Image.Image, content: bytes, kind: str) -> bytes | None:
    return splice.jp2_profile(content) if kind == "JPEG2000" else image.info.get("icc_profile")


def write_still(
    still: Still,
    ab_per_page: Sequence[Floats | None],
    target: Path | BinaryIO,
    settings: StillSettings | None = None,
) -> tuple[str, ...]:
    """Write the file with colour under every page that has a*b*; a page with None stays as it is.

    ab_per_page: (2, h, w) each, upright, as for Page.lightness.  target: a path or a seekable file; the caller renames.
    Where no page has a*b*, the file is copied byte for byte. Returns what could not be kept, one sentence each.
    Raises ShapeError, SourceError (a page that is read again and fails), SinkError.
    """
    if len(ab_per_page) != len(still.pages):
        raise ShapeError(f"{still.name}: a*b* for {len(ab_per_page)} pages, the file has {len(still.pages)}.")
    settings = settings or StillSettings()
    still = still.recolored() if settings.is_recoloring else still
    with refusing_damage(still.name):
        if isinstance(target, Path):
            with outputs.opened(target) as file:
                return _write(still, ab_per_page, file, settings)
        return _write(still, ab_per_page, target, settings)


def _write(
    still: Still, ab_per_page: Sequence[Floats | None], file: BinaryIO, settings: StillSettings
) -> tuple[str, ...]:
    if still.reader is not None:
        return tuple(dict.fromkeys(still.losses + still.reader.write(file, ab_per_page, settings)))
    if all(ab is None for ab in ab_per_page):
        file.write(still.content)
        return ()
    if still.format == "PPM":
        losses: tuple[str, ...]
        content, losses = netpbm.encoded(still.content, still.pages[0], ab_per_page[0], settings.software), ()
    else:
        content, losses = encoded(still, ab_per_page, settings)
    file.write(content)
    return tuple(dict.fromkeys(still.losses + losses))
