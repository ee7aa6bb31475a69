"""Still image files read and written: which kind a file is, its pages, and the colored copy in the same format."""

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from vidcolor import outputs
from vidcolor.color import Floats
from vidcolor.errors import ShapeError, SourceError
from vidcolor.stills import exif, header, metadata, netpbm, pillow, tiff
from vidcolor.stills.budget import ROOM
from vidcolor.stills.decode import bits_lost, decoded, icc_of
from vidcolor.stills.encode import animation, encoded
from vidcolor.stills.page import Page, Pages, StillSettings, page_of
from vidcolor.stills.raster import LARGEST_PIXELS, refusing_damage
from vidcolor.stills.still import Still
from vidcolor.stills.trailers import lost_behind

Source = Path | bytes | BinaryIO  # where a file lies, its content, or a seekable file


def open_still(source: Source, name: str | None = None, *, largest_pixels: int = LARGEST_PIXELS) -> Still:
    """Open a still image file, and decode its first page.

    name: for messages.  largest_pixels: of all pages together; more is refused before anything is decoded. Pages are
    decoded one after another, when they are asked for; a TIFF page above tiff.HELD_PIXELS is read in strips, twice.
    Raises SourceError: empty, damaged, cut off, of no known kind, too large, or pages that form a loop. So does a page
    that is asked for later.
    """
    name = name_of(source, name)
    with refusing_damage(name), ExitStack() as on_failure:
        file = opened_file(source, on_failure)
        found = header.read(file, name)
        if found.format == "TIFF":
            reader = tiff.TiffPages(file, name, largest_pixels)
            still = Still(name, "TIFF", _guarded(reader.pages, name), reader.pixels, reader=reader)
            still.pages[0]
            on_failure.pop_all()
            return still
        _check(file, found, name, largest_pixels)
        still = _of_content(file.read(), found, name, largest_pixels)
        still.pages[0]
        return still


@contextmanager
def open_in_turn(source: Source, name: str | None = None, *, largest_pixels: int = LARGEST_PIXELS) -> Iterator[Still]:
    """`open_still`, as soon as what this process holds decoded leaves room for it: see budget.py.

    Who has one open must not wait for another one.
    """
    wanted = held_pixels(source, name, largest_pixels)
    with ROOM.of(wanted), open_still(source, name, largest_pixels=largest_pixels) as still:
        yield still


def held_pixels(source: Source, name: str | None = None, largest_pixels: int = LARGEST_PIXELS) -> int:
    """What working a file page by page holds in memory at once: in pixels, or in bytes of a file that is that long.

    Nothing is decoded. Raises SourceError for what open_still refuses unseen.
    """
    name = name_of(source, name)
    with refusing_damage(name), ExitStack() as stack:
        file = opened_file(source, stack)
        found = header.read(file, name)
        if found.format == "TIFF":
            return tiff.TiffPages(file, name, largest_pixels).held_pixels
        _check(file, found, name, largest_pixels)
        return max(file.seek(0, 2), *(width * height for width, height in found.sizes))


def name_of(source: Source, name: str | None) -> str:
    """What a source is called in messages."""
    return name or (str(source) if isinstance(source, Path) else "picture")


def opened_file(source: Source, stack: ExitStack) -> BinaryIO:
    """A source as a file, at its start; the stack closes one that is opened here."""
    if isinstance(source, Path):
        return stack.enter_context(source.open("rb"))
    file = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
    file.seek(0)
    return file


def _check(file: BinaryIO, found: header.Head, name: str, largest: int) -> None:
    """Refuse what is too large, or no picture to be colored, while nothing but its head was read."""
    length = file.seek(0, 2)
    file.seek(0)
    if found.format == "PNG" and len(found.sizes) > 1:
        raise SourceError(f"{name}: an animated PNG, which is not supported. Save it as WebP, GIF or film.")
    header.check(name, found.sizes, largest, length)
    pillow.check_frames(found, name)


def _guarded(pages: Pages, name: str) -> Pages:
    """The same, with what decoders raise turned into SourceError."""

    def page(number: int) -> Page:
        with refusing_damage(name):
            return pages[number]

    return Pages(len(pages), page)


def _of_content(content: bytes, found: header.Head, name: str, largest: int) -> Still:
    kind, pixels = found.format, sum(width * height for width, height in found.sizes)
    if kind == "PPM":
        pages = Pages(1, lambda _: page_of(netpbm.decoded(content), 1))
        return Still(name, kind, _guarded(pages, name), pixels, (), content)
    image = pillow.opened(pillow.file_of(content), kind, name)
    frames = getattr(image, "n_frames", 1)
    header.check(name, (image.size,) * frames, largest, len(content))  # AVIF's frames are not in its head
    losses: tuple[str, ...] = ()
    if kind == "HEIF" and frames > 1:
        frames, losses = 1, ("Only the first picture of the file is colored; the others are not carried over.",)
    losses += bits_lost(content, kind)
    orientation = exif.orientation(metadata.exif_of(image.info.get("exif"), content, kind))

    def page(number: int) -> Page:
        if frames > 1:
            image.seek(number)
        return page_of(decoded(image, content, kind), orientation, icc_of(image, content, kind))

    pixels = max(pixels, frames * image.width * image.height)
    return Still(name, kind, _guarded(Pages(frames, page), name), pixels, losses, content)


def write_still(
    still: Still,
    ab_per_page: Iterable[Floats | None],
    target: Path | BinaryIO,
    settings: StillSettings | None = None,
) -> tuple[str, ...]:
    """Write the file with color under every page that has a*b*; a page with None stays as it is.

    ab_per_page: (2, h, w) each, upright, as for Page.lightness; each is asked for when its page's turn comes, so that
    one that is made from the page then needs no other in memory.  target: a path or a seekable file; the caller
    renames. Where no page has a*b*, the file is copied byte for byte.
    Returns what could not be kept, one sentence each.
    Raises ShapeError, SourceError (a page that is decoded only now, and fails), SinkError.
    """
    settings, colors = settings or StillSettings(), _one_each(still, ab_per_page)
    still = still.recolored() if settings.is_recoloring else still
    with refusing_damage(still.name):
        if isinstance(target, Path):
            with outputs.opened(target) as file:
                return _write(still, colors, file, settings)
        return _write(still, colors, target, settings)


def _one_each(still: Still, ab_per_page: Iterable[Floats | None]) -> Iterator[Floats | None]:
    """The same, but as many as there are pages. Raises ShapeError."""
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
        losses = animation(still, colors, file, settings)
    else:
        (ab,) = colors
        losses = _write_one(still, ab, file, settings) if ab is not None else None
    if losses is None:
        file.write(still.content)
        return ()
    return tuple(dict.fromkeys(still.losses + losses + lost_behind(still.content, still.format)))


def _write_one(still: Still, ab: Floats, file: BinaryIO, settings: StillSettings) -> tuple[str, ...]:
    if still.format == "PPM":
        content = netpbm.encoded(still.content, still.pages[0], ab, settings.software)
        losses = still.pages[0].losses
    else:
        content, losses = encoded(still, ab, settings)
    file.write(content)
    return losses
