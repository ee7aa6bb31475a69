"""TIFF files: pages of any depth and compression, read and written in bands, with all tags."""

import logging
import struct
from collections.abc import Iterable
from functools import cached_property, partial
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np

from vidcolor.color import Floats
from vidcolor.errors import SourceError
from vidcolor.planes import shrink
from vidcolor.stills import header, metadata, pillow, profiles, tiff_tags
from vidcolor.stills.jpeg import estimate_quality
from vidcolor.stills.page import SMALL, Page, Pages, StillSettings, classify_color, make_page
from vidcolor.stills.raster import Raster, gray_of, raster_from_array, raster_from_image
from vidcolor.stills.tiff_bands import Bands
from vidcolor.stills.tiff_segments import ENCODERS, Segments

HELD_PIXELS = (
    64_000_000  # of a page that is kept in memory; a larger one is read twice, for the network and to be painted
)
BAND_PIXELS = 4_000_000  # of a larger page, read and painted at once
_CLASSIC_LIMIT = 4_000_000_000  # bytes; beyond, offsets need BigTIFF
_ICC, _SOFTWARE, _SUBIFDS, _IRB, _LAYERS, _EXTRA = 34675, 305, 330, 34377, 37724, 338
# Tags that describe how the gray pixels are stored, and do not fit the colored ones.
_PIXEL_TAGS = {
    258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 284, 290, 291, 292, 293, 317, 320, 322, 323, 324, 325, 326, 327,
    328, _EXTRA, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532,
    _ICC, _SUBIFDS, _LAYERS,
}  # fmt: skip
_TILE_WIDTH, _TILE_LENGTH, _ROWS_PER_STRIP = 322, 323, 278
_USUAL_TILE = 1 << 24  # pixels; a larger tile counts, even where its page is smaller
_CHANNELS = 4  # of a pixel, usually at most
_OFFSETS, _TILE_OFFSETS = (273, 279), (324, 325)
_WIDTH, _LENGTH, _SAMPLES, _DEPTH, _ORIENTATION, _PHOTOMETRIC = 256, 257, 277, 32997, 274, 262
_PALETTE = 3
_TAG_SLACK = 1 << 28  # bytes of tags that pages may share, beyond twice the file
_NONE, _JPEG, _DEFLATE, _PACKBITS = 1, 7, 8, 32773


class TiffPages:
    """An open TIFF file: its pages, and the writer of their colored copies."""

    def __init__(self, file: BinaryIO, name: str, largest_pixels: int, most_pages: int | None = None) -> None:
        """Read the directories of all pages, and decode none. Raises SourceError.

        largest_pixels: of all pages together.  most_pages: pages that are listed; the rest is ignored.
        """
        self._name, self._file = name, file
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # its complaints become SourceErrors
        self._bytes = file.seek(0, 2)
        file.seek(0)
        self._layout = tiff_tags.layout_of(file.read(4))
        self._directories, is_cut_off = tiff_tags.read_chain(file, self._layout, name, most_pages)
        if not self._directories:
            raise SourceError(f"{name}: a TIFF file without pages. Copy it again.")
        self.losses: tuple[str, ...] = self._omitted_parts()
        if is_cut_off:
            self.losses += (f"The list of pages breaks off after page {len(self._directories)}.",)
        self.sizes = self._check_sizes(largest_pixels)
        self._tag_bytes = 2 * self._bytes + _TAG_SLACK
        self._current_page: tuple[int, Any] = (-1, None)
        self.pages = Pages(len(self._directories), self._read_page)

    def _omitted_parts(self) -> tuple[str, ...]:
        held = {code for directory in self._directories for code in directory.values}
        losses: tuple[str, ...] = ()
        if _SUBIFDS in held:
            losses += ("Further sizes of a page (SubIFDs) are not carried over.",)
        if _LAYERS in held:
            losses += ("Photoshop's layers are not carried over: they would show the gray picture.",)
        return losses

    def _check_sizes(self, largest: int) -> tuple[header.Size, ...]:
        """Width and height of every page. Raises SourceError for what is too large, before anything is decoded."""
        pages, sizes = [], []
        for directory in self._directories:
            page = directory.values.get(_WIDTH, 0), directory.values.get(_LENGTH, 0)
            if not page[0] or not page[1]:
                raise SourceError(f"{self._name}: a page without pixels.")
            if directory.values.get(_DEPTH, 1) > 1:
                raise SourceError(f"{self._name}: a volume of {directory.values[_DEPTH]} layers, which is no picture.")
            pages.append(page)
            sizes.append(_decoded_size(directory.values))
        header.check(self._name, tuple(sizes), largest, self._bytes)
        for (width, height), directory in zip(sizes, self._directories, strict=True):
            samples = directory.values.get(_SAMPLES, 1)
            if width * height * samples > _CHANNELS * largest:
                raise SourceError(
                    f"{self._name}: {width} x {height} pixels of {samples} channels, more than the limit of "
                    f"{_CHANNELS * largest / 1e6:.6g} million values. Save its picture alone."
                )
        return tuple(pages)

    @cached_property
    def _tiff(self) -> Any:
        self._file.seek(0)
        return import_module("tifffile").TiffFile(self._file)

    @property
    def pixels(self) -> int:
        """Number of pixels of all pages."""
        return sum(width * height for width, height in self.sizes)

    @property
    def held_pixels(self) -> int:
        """Pixels that the largest page holds in memory at once."""
        return max(_held_pixels(directory.values) for directory in self._directories)

    def _open_page(self, number: int) -> Any:
        """Open a page with tifffile."""
        if self._current_page[0] != number:
            self._tiff.filehandle.seek(self._directories[number].place)
            self._current_page = number, import_module("tifffile").TiffPage(self._tiff, number)
        return self._current_page[1]

    def _read_tags(self, number: int) -> dict[int, tiff_tags.Entry]:
        return tiff_tags.read(self._file, self._directories[number].place, self._layout, self._bytes)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read_raster(self, number: int, min_short_side: int | None = None) -> tuple[Raster, int]:
        """Decode a page; also its orientation, 1..8.

        min_short_side: pixels: a page above HELD_PIXELS is shrunk band by band, but not below this short side.
        """
        bands, icc, orientation = self._read_description(number)
        if bands is None:
            return self._read_by_pillow(number, icc), orientation
        height, width = self._open_page(number).imagelength, self._open_page(number).imagewidth
        if min_short_side is None or height * width <= HELD_PIXELS:
            return raster_from_array(bands.read_rows(0, height), icc), orientation
        factor = max(1, min(height, width) // min_short_side)
        step = max(1, BAND_PIXELS // width // factor) * factor
        parts = []
        for top in range(0, height - height % factor, step):
            rows = bands.read_rows(top, min(top + step, height - height % factor))
            parts.append(shrink(rows, (len(rows) // factor, width // factor)))
        return raster_from_array(np.concatenate(parts), icc), orientation

    def _read_description(self, number: int) -> tuple[Bands | None, bytes | None, int]:
        """A page's bands, or None where only Pillow can read it; its ICC profile; its orientation."""
        tags, bands = self._read_tags(number), Bands(self._open_page(number), self._name)
        orientation = 1
        if _ORIENTATION in tags:
            (orientation,) = struct.unpack(self._layout.order + "H", tags[_ORIENTATION].data[:2].ljust(2, b"\0"))
        icc = tags[_ICC].data if _ICC in tags else None
        return bands if bands.is_plain else None, icc, orientation if 1 <= orientation <= 8 else 1

    def _read_by_pillow(self, number: int, icc: bytes | None) -> Raster:
        with pillow.open_image(self._tiff.filehandle, "TIFF", self._name) as image:
            image.seek(number)
            return raster_from_image(image, icc=icc)

    def _read_page(self, number: int) -> Page:
        bands, icc, orientation = self._read_description(number)
        if bands is None:
            return make_page(self._read_by_pillow(number, icc), orientation, icc)
        if bands.unread_channels > 0:
            self.losses += (f"Page {number + 1} has channels beside its picture, which are not carried over.",)
        height, width = self._open_page(number).imagelength, self._open_page(number).imagewidth
        if height * width <= HELD_PIXELS:
            return make_page(raster_from_array(bands.read_rows(0, height), icc), orientation, icc)
        return self._read_large_page(bands, icc, orientation, (height, width))

    def _read_large_page(self, bands: Bands, icc: bytes | None, orientation: int, size: tuple[int, int]) -> Page:
        height, width = size
        factor = max(1, min(size) // SMALL)
        step = max(1, BAND_PIXELS // width // factor) * factor
        smalls, colors, raster = [], [], None
        for top in range(0, height - height % factor, step):
            raster = raster_from_array(bands.read_rows(top, min(top + step, height - height % factor)), icc)
            small = (len(raster.values) // factor, width // factor)
            smalls.append(_to_uint16(shrink(gray_of(raster), small), raster))
            colors.append(shrink(raster.values, small))
        assert raster is not None

        def band(top: int, bottom: int) -> Raster:
            return raster_from_array(bands.read_rows(top, bottom), icc)

        tone, own = classify_color(np.concatenate(colors))
        return Page(
            size, raster.bits, tone, orientation, raster.profile.space,
            np.concatenate(smalls), lambda top, bottom: gray_of(band(top, bottom)),
            (lambda top, bottom: band(top, bottom).alpha) if raster.alpha is not None else None, raster.losses,
            (icc, raster.profile.embedded), own,
            (lambda top, bottom: band(top, bottom).values) if own is not None else None,
        )  # fmt: skip

    def write(self, file: BinaryIO, ab_per_page: Iterable[Floats | None], settings: StillSettings) -> tuple[str, ...]:
        """Write all pages to a seekable file, pulling a*b* page by page; what could not be kept."""
        writer: tiff_tags.Writer | None = None
        losses: tuple[str, ...] = ()
        for number, ab in enumerate(ab_per_page):
            if writer is None and ab is not None:
                writer = tiff_tags.Writer(file, self._new_layout())
                for earlier in range(number):
                    writer.add(self._copy_page(file, earlier, writer.layout))
            if writer is not None and ab is None:
                writer.add(self._copy_page(file, number, writer.layout))
            elif writer is not None and ab is not None:
                tags, lost = self._write_painted_page(file, number, ab, writer.layout, settings)
                writer.add(tags)
                losses += lost
        if writer is None:
            self._file.seek(0)
            while block := self._file.read(1 << 20):
                file.write(block)
            return ()
        if writer.layout.big > self._layout.big:
            losses += ("The colored file is larger than TIFF allows: it is BigTIFF.",)
        return self.losses + losses

    def _new_layout(self) -> tiff_tags.Layout:
        size = 0
        for values in (directory.values for directory in self._directories):
            has_alpha = values.get(_SAMPLES, 1) not in (1, 3)
            depth = 2 if values.get(tiff_tags.BITS, 1) > 8 else 1
            size += values[_WIDTH] * values[_LENGTH] * (3 + has_alpha) * depth
        return tiff_tags.Layout(self._layout.order, self._layout.big or size > _CLASSIC_LIMIT)

    def _copy_page(self, file: BinaryIO, number: int, layout: tiff_tags.Layout) -> dict[int, tiff_tags.Entry]:
        """Copy a page's compressed strips or tiles to the file; its tags."""
        source, tags = self._open_page(number), self._read_tags_to_copy(number)
        places = []
        for offset, count in zip(source.dataoffsets, source.databytecounts, strict=True):
            self._file.seek(offset)
            places.append(tiff_tags.append(file, self._file.read(count)) if count else 0)
        names = _TILE_OFFSETS if _TILE_OFFSETS[0] in tags else _OFFSETS
        tags.pop(_SUBIFDS, None)
        tags[names[0]] = tiff_tags.number_entry(tiff_tags.LONG8 if layout.big else tiff_tags.LONG, places, layout)
        return tags

    def _read_tags_to_copy(self, number: int) -> dict[int, tiff_tags.Entry]:
        """Read a page's tags to copy them. Raises SourceError where pages share so many that the copy would explode."""
        tags = self._read_tags(number)
        self._tag_bytes -= sum(len(entry.data) for entry in tags.values())
        if self._tag_bytes < 0:
            raise SourceError(f"{self._name}: its pages share more tags than {self._bytes} bytes can hold.")
        return tags

    def _write_painted_page(
        self, file: BinaryIO, number: int, ab: Floats, layout: tiff_tags.Layout, settings: StillSettings
    ) -> tuple[dict[int, tiff_tags.Entry], tuple[str, ...]]:
        source, page, old_tags = self._open_page(number), self.pages[number], self._read_tags_to_copy(number)
        losses = page.losses
        compression = int(source.compression)
        is_jpeg = compression == _JPEG and page.bits == 8 and not page.alpha
        if compression not in (*ENCODERS, _NONE) and not is_jpeg:
            losses += (
                f"The page was packed by {source.compression.name}; in color it is packed by Deflate, without loss.",
            )
            compression = _DEFLATE
        # A predictor halves what Deflate writes; for LZW and the rest the source's choice is kept.
        has_predictor = compression not in (_NONE, _PACKBITS, _JPEG) and (
            int(source.predictor) == 2 or compression != int(source.compression)
        )  # fmt: skip
        quality = (settings.quality or self._jpeg_quality(source)) if is_jpeg else None
        segments = Segments(page, ab, source, has_predictor, compression, quality)
        places, counts = [], []
        for data in segments:
            places.append(tiff_tags.append(file, data))
            counts.append(len(data))
        tags = {code: entry for code, entry in old_tags.items() if code not in _PIXEL_TAGS}
        tags |= self._new_tags(old_tags, page, segments, places, counts, layout)
        tags[259] = tiff_tags.number_entry(tiff_tags.SHORT, [compression], layout)
        if is_jpeg:
            tags[262], tags[530] = (tiff_tags.number_entry(tiff_tags.SHORT, values, layout) for values in ([6], [2, 2]))
        if has_predictor:
            tags[317] = tiff_tags.number_entry(tiff_tags.SHORT, [2], layout)
        if _IRB in tags:
            tags[_IRB] = _bytes_entry(metadata.remove_thumbnails(tags[_IRB].data), tags[_IRB].kind)
        name = settings.software.encode("ascii", "replace")
        old = tags[_SOFTWARE].data.rstrip(b"\0 ") if _SOFTWARE in tags else b""
        tags[_SOFTWARE] = tiff_tags.text_entry(old + b"; " + name if old else name)
        return tags, losses

    def _jpeg_quality(self, source: Any) -> int:
        tables = source.jpegtables
        if not tables:
            self._file.seek(source.dataoffsets[0])
            tables = self._file.read(4096)
        luma = next(
            (data[1:65] for marker, data in metadata.jpeg_segments(tables) if marker == 0xDB and data[0] < 16), None
        )
        return estimate_quality(list(luma)) if luma else 90

    def _new_tags(
        self,
        old: dict[int, tiff_tags.Entry],
        page: Page,
        segments: "Segments",
        places: list[int],
        counts: list[int],
        layout: tiff_tags.Layout,
    ) -> dict[int, tiff_tags.Entry]:
        """The tags that describe how the colored pixels are stored."""
        short, wide = (
            partial(tiff_tags.number_entry, tiff_tags.SHORT, layout=layout),
            tiff_tags.LONG8 if layout.big else tiff_tags.LONG,
        )
        samples = 4 if page.alpha else 3
        tags = {258: short([page.bits] * samples), 262: short([2]), 277: short([samples]), 284: short([1])}
        if page.alpha:
            kind = old.get(_EXTRA)
            tags[_EXTRA] = tiff_tags.Entry(tiff_tags.SHORT, 1, kind.data[:2]) if kind else short([2])
        offsets, sizes = _TILE_OFFSETS if segments.tile else _OFFSETS
        tags[offsets] = tiff_tags.number_entry(wide, places, layout)
        tags[sizes] = tiff_tags.number_entry(wide, counts, layout)
        if segments.tile:
            tags[_TILE_LENGTH], tags[_TILE_WIDTH] = (
                tiff_tags.number_entry(tiff_tags.LONG, [side], layout) for side in segments.tile
            )
        else:
            tags[_ROWS_PER_STRIP] = tiff_tags.number_entry(tiff_tags.LONG, [segments.rows], layout)
        embedded = profiles.read_profile(old[_ICC].data).embedded if _ICC in old else None
        if embedded:
            tags[_ICC] = _bytes_entry(embedded, tiff_tags.UNDEFINED)
        return tags


def _decoded_size(values: dict[int, int]) -> header.Size:
    """Width and height of a page, or of its tiles where those are far larger."""
    page = values[_WIDTH], values[_LENGTH]
    tile = values.get(_TILE_WIDTH, 0), values.get(_TILE_LENGTH, 0)
    return tile if tile[0] * tile[1] > max(page[0] * page[1], _USUAL_TILE) else page


def _held_pixels(values: dict[int, int]) -> int:
    """Pixels of a page that are in memory at once: all of them, or a band or row of segments of a large page."""
    width, height = _decoded_size(values)
    channels = -(-values.get(_SAMPLES, 1) // _CHANNELS)
    if width * height <= HELD_PIXELS or values.get(_PHOTOMETRIC, 1) > _PALETTE:  # Pillow reads such a page whole
        return width * height * channels
    rows = values.get(_TILE_LENGTH) or values.get(_ROWS_PER_STRIP) or height
    return width * max(min(rows, height), BAND_PIXELS // width) * channels


def _bytes_entry(data: bytes, kind: int) -> tiff_tags.Entry:
    return tiff_tags.Entry(kind if kind in (1, tiff_tags.UNDEFINED) else tiff_tags.UNDEFINED, len(data), data)


def _to_uint16(gray: Any, raster: Raster) -> Any:
    """Convert what gray_of gave to uint16 codes."""
    if gray.dtype == np.float32:
        return np.rint(raster.profile.space.codes(gray) * 65535).astype(np.uint16)
    return gray.astype(np.uint16) * 257 if gray.dtype == np.uint8 else gray
