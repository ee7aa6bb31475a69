"""Opening of still image files, and writing of their colored copies in the same format."""

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from vidcolor import outputs
from vidcolor.color import Floats
from vidcolor.errors import ShapeError, SourceError
from vidcolor.stills import exif, header, metadata, netpbm, pillow, tiff
from vidcolor.stills.budget import PIXEL_BUDGET
from vidcolor.stills.decode import decode_frame, depth_losses, icc_of
from vidcolor.stills.encode import encode_animation, encode_still
from vidcolor.stills.page import Page, Pages, StillSettings, make_page
from vidcolor.stills.raster import LARGEST_PIXELS, refusing_damage
from vidcolor.stills.still import Still
from vidcolor.stills.trailers import trailing_losses

Source = Path | bytes | BinaryIO  # where a file lies, its content, or a seekable file


def open_still(source: Source, name: str | None = None, *, largest_pixels: int = LARGEST_PIXELS) -> Still:
    """Open a still image file, and decode its first page.

    name: for messages.  largest_pixels: of all pages together; a larger file is refused before anything is decoded.
    Pages are decoded on access, one at a time; a TIFF page above tiff.HELD_PIXELS is read in strips, twice.
    Raises SourceError for a file that is empty, damaged, cut off, too large, of an unknown kind, or whose pages form a
    loop. So does access to a damaged page.
    """
    name = display_name(source, name)
    with refusing_damage(name), ExitStack() as on_failure:
        file = open_file(source, on_failure)
        found = header.read(file, name)
        if found.format == "TIFF":
            reader = tiff.TiffPages(file, name, largest_pixels)
            still = Still(name, "TIFF", _refuse_damaged_pages(reader.pages, name), reader.pixels, reader=reader)
            still.pages[0]
            on_failure.pop_all()
            return still
        _check(file, found, name, largest_pixels)
        still = _open_content(file.read(), found, name, largest_pixels)
        still.pages[0]
        return still


@contextmanager
def open_in_turn(source: Source, name: str | None = None, *, largest_pixels: int = LARGEST_PIXELS) -> Iterator[Still]:
    """`open_still` within PIXEL_BUDGET: waits until other threads leave room for the file.

    A thread that has a file open must not open another one.
    """
    wanted = held_pixels(source, name, largest_pixels)
    with PIXEL_BUDGET.reserve(wanted), open_still(source, name, largest_pixels=largest_pixels) as still:
        yield still


def held_pixels(source: Source, name: str | None = None, largest_pixels: int = LARGEST_PIXELS) -> int:
    """Pixels that coloring a file page by page holds in memory at once; its bytes, where those are more.

    Nothing is decoded. Raises SourceError where open_still refuses the file by its header.
    """
    name = display_name(source, name)
    with refusing_damage(name), ExitStack() as stack:
        file = open_file(source, stack)
        found = header.read(file, name)
        if found.format == "TIFF":
            return tiff.TiffPages(file, name, largest_pixels).held_pixels
        _check(file, found, name, largest_pixels)
        return max(file.seek(0, 2), *(width * height for width, height in found.sizes))


def display_name(source: Source, name: str | None) -> str:
    """The name of a source in messages."""
    return name or (str(source) if isinstance(source, Path) else "picture")


def open_file(source: Source, stack: ExitStack) -> BinaryIO:
    """Open a source as a file at its start; the stack closes it, if it was opened here."""
    if isinstance(source, Path):
        return stack.enter_context(source.open("rb"))
    file = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
    file.seek(0)
    return file


def _check(file: BinaryIO, found: header.Header, name: str, largest: int) -> None:
    """Refuse a file by its header: too large, or of an unsupported kind."""
    length = file.seek(0, 2)
    file.seek(0)
    if found.format == "PNG" and len(found.sizes) > 1:
        raise SourceError(f"{name}: an animated PNG, which is not supported. Save it as WebP, GIF or film.")
    header.check(name, found.sizes, largest, length)
    pillow.check_frames(found, name)


def _refuse_damaged_pages(pages: Pages, name: str) -> Pages:
    """Pages whose access turns what decoders raise into SourceError."""

    def page(number: int) -> Page:
        with refusing_damage(name):
            return pages[number]

    return Pages(len(pages), page)


def _open_content(content: bytes, found: header.Header, name: str, largest: int) -> Still:
    kind, pixels = found.format, sum(width * height for width, height in found.sizes)
    if kind == "PPM":
        pages = Pages(1, lambda _: make_page(netpbm.decode(content), 1))
        return Still(name, kind, _refuse_damaged_pages(pages, name), pixels, (), content)
    image = pillow.open_image(pillow.as_file(content), kind, name)
    frames = getattr(image, "n_frames", 1)
    header.check(name, (image.size,) * frames, largest, len(content))  # AVIF's frames are not in its header
    losses: tuple[str, ...] = ()
    if kind == "HEIF" and frames > 1:
        frames, losses = 1, ("Only the first picture of the file is colored; the others are not carried over.",)
    losses += depth_losses(content, kind)
    orientation = exif.read_orientation(metadata.exif_of(image.info.get("exif"), content, kind))

    def page(number: int) -> Page:
        if frames > 1:
            image.seek(number)
        return make_page(decode_frame(image, content, kind), orientation, icc_of(image, content, kind))

    pixels = max(pixels, frames * image.width * image.height)
    return Still(name, kind, _refuse_damaged_pages(Pages(frames, page), name), pixels, losses, content)


def write_still(
    still: Still,
    ab_per_page: Iterable[Floats | None],
    target: Path | BinaryIO,
    settings: StillSettings | None = None,
) -> tuple[str, ...]:
    """Write the file with color under every page that has a*b*; a page with None stays as it is.

    ab_per_page: (2, h, w) each, upright, as for Page.lightness; pulled page by page, so that one page is in memory at a
    time.  target: a path or a seekable file, which the caller renames. Where no page has a*b*, the file is copied byte
    for byte.
    Returns what could not be kept, one sentence each.
    Raises ShapeError, SourceError (a page is damaged), SinkError.
    """
    settings, colors = settings or StillSettings(), _check_count(still, ab_per_page)
    still = still.discard_colors() if settings.is_recoloring else still
    with refusing_damage(still.name):
        if isinstance(target, Path):
            with outputs.open_output(target) as file:
                return _write(still, colors, file, settings)
        return _write(still, colors, target, settings)


def _check_count(still: Still, ab_per_page: Iterable[Floats | None]) -> Iterator[Floats | None]:
    """Pass on a*b*, one for each page. Raises ShapeError for another number of them."""
    count = 0
    for count, ab in enumerate(ab_per_page, start=1):
        if count <= len(still.pages):
            yield ab
    if count != len(still.pages):
        raise ShapeError(f"{still.name}: a*b* for {count} pages, the file has {len(still.pages)}.")


def _write(still: Still, colors: Iterator[Floats | None], file: BinaryIO, settings: StillSettings) -> tuple[str, ...]:
    if still.reader is not None:
        return tuple(dict.fromkeys(still.reader.write(file, colors, settings)))
    losses: tuple[str, ...] | None
    if still.format == "GIF" or len(still.pages) > 1:
        losses = encode_animation(still, colors, file, settings)
    else:
        (ab,) = colors
        losses = _write_one(still, ab, file, settings) if ab is not None else None
    if losses is None:
        file.write(still.content)
        return ()
    return tuple(dict.fromkeys(still.losses + losses + trailing_losses(still.content, still.format)))


def _write_one(still: Still, ab: Floats, file: BinaryIO, settings: StillSettings) -> tuple[str, ...]:
    if still.format == "PPM":
        content = netpbm.encode(still.content, still.pages[0], ab, settings.software)
        losses = still.pages[0].losses
    else:
        content, losses = encode_still(still, ab, settings)
    file.write(content)
    return losses
