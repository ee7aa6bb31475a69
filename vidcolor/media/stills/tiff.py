"""TIFF: pages of any depth and packing, read and written in bands, with all tags."""

import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from vidcolor.color import Floats
from vidcolor.errors import SourceError
from vidcolor.media.stills import ifd, profiles, splice
from vidcolor.media.stills.bands import Bands
from vidcolor.media.stills.jpeg import quality_of
from vidcolor.media.stills.raster import Raster, grey_of, of_array, of_image, too_large
from vidcolor.media.stills.still import SMALL, Page, StillSettings, judged, page_of
from vidcolor.scaling import shrunk

SIGNATURES = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
HELD_PIXELS = 64_000_000  # of a page that is kept in memory; a larger one is read once for the network, once for paint
BAND_PIXELS = 4_000_000  # of a larger one, read and painted at once
_SEGMENT_BYTES = 1 << 20  # of a strip, where the source has its whole page in one
_CLASSIC_LIMIT = 4_000_000_000  # bytes; beyond, offsets need BigTIFF
_ICC, _SOFTWARE, _SUBIFDS, _IRB, _LAYERS, _EXTRA = 34675, 305, 330, 34377, 37724, 338
# Tags that describe the grey pixels' packing and do not fit the coloured ones'.
_OF_THE_PIXELS = {
    258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 284, 290, 291, 292, 293, 317, 320, 322, 323, 324, 325, 326, 327,
    328, _EXTRA, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532,
    _ICC, _SUBIFDS, _LAYERS,
}  # fmt: skip
_TILE_WIDTH, _TILE_LENGTH, _ROWS_PER_STRIP = 322, 323, 278
_OFFSETS, _TILE_OFFSETS = (273, 279), (324, 325)
_ENCODERS = {5: "lzw_encode", 8: "zlib_encode", 32946: "zlib_encode", 32773: "packbits_encode", 50000: "zstd_encode"}
_NONE, _JPEG, _DEFLATE, _PACKBITS = 1, 7, 8, 32773


class TiffPages:
    """An open TIFF file: its pages, and the writer of their coloured copies."""

    def __init__(self, file: BinaryIO, name: str, largest_pixels: int) -> None:
        """Reads and judges every page. Raises SourceError."""
        self._name, self._file = name, file
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it complains of ends in a SourceError
        self._tiff = import_module("tifffile").TiffFile(file)
        self._layout = ifd.Layout(self._tiff.byteorder, self._tiff.is_bigtiff)
        self._sources = [page.aspage() for page in self._tiff.pages]
        if not self._sources:
            raise SourceError(f"{name}: a TIFF file without pages. Copy it again.")
        self._tags = [ifd.read(file, page.offset, self._layout) for page in self._sources]
        self.losses: tuple[str, ...] = ()
        if any(_SUBIFDS in tags for tags in self._tags):
            self.losses += ("Further sizes of a page (SubIFDs) are not carried over.",)
        if any(_LAYERS in tags for tags in self._tags):
            self.losses += ("Photoshop's layers are not carried over: they would show the grey picture.",)
        for page in self._sources:
            if page.imagewidth * page.imagelength > largest_pixels:
                raise too_large(name, page.imagewidth, page.imagelength, largest_pixels)
        self.pages = tuple(self._page(number) for number in range(len(self._sources)))

    def close(self) -> None:
        """Let the file go."""
        self._tiff.close()
        self._file.close()

    def _page(self, number: int) -> Page:
        source, tags = self._sources[number], self._tags[number]
        orientation = (
            int.from_bytes(tags[274].data[:2], "little" if self._layout.order == "<" else "big") if 274 in tags else 1
        )
        orientation = orientation if 1 <= orientation <= 8 else 1
        height, width = source.imagelength, source.imagewidth
        if not height or not width:
            raise SourceError(f"{self._name}: a page without pixels.")
        bands = Bands(source, self._name)
        icc = tags[_ICC].data if _ICC in tags else None
        if bands.is_plain and bands.unread_channels > 0:
            self.losses += (f"Page {number + 1} has channels beside its picture, which are not carried over.",)
        if not bands.is_plain:
            self._tiff.filehandle.seek(0)
            with Image.open(self._tiff.filehandle, formats=["TIFF"]) as image:
                image.seek(number)
                return page_of(of_image(image, icc=icc), orientation)
        if height * width <= HELD_PIXELS:
            return page_of(of_array(bands.rows(0, height), icc), orientation)
        return self._large_page(bands, icc, orientation, (height, width))

    def _large_page(self, bands: Bands, icc: bytes | None, orientation: int, size: tuple[int, int]) -> Page:
        height, width = size
        factor = max(1, min(size) // SMALL)
        step = max(1, BAND_PIXELS // width // factor) * factor
        smalls, colours, raster = [], [], None
        for top in range(0, height - height % factor, step):
            raster = of_array(bands.rows(top, min(top + step, height - height % factor)), icc)
            small = (len(raster.values) // factor, width // factor)
            smalls.append(_codes16(shrunk(grey_of(raster), small), raster))
            colours.append(shrunk(raster.values, small))
        assert raster is not None

        def band(top: int, bottom: int) -> Raster:
            return of_array(bands.rows(top, bottom), icc)

        tone, own = judged(np.concatenate(colours))
        return Page(
            size, raster.bits, tone, orientation, raster.profile.space,
            np.concatenate(smalls), lambda top, bottom: grey_of(band(top, bottom)),
            (lambda top, bottom: band(top, bottom).alpha) if raster.alpha is not None else None, raster.losses,
            own, (lambda top, bottom: band(top, bottom).values) if own is not None else None,
        )  # fmt: skip

    def write(self, file: BinaryIO, ab_per_page: Sequence[Floats | None], settings: StillSettings) -> tuple[str, ...]:
        """Write all pages to a seekable file; what could not be kept."""
        if all(ab is None for ab in ab_per_page):
            self._file.seek(0)
            while block := self._file.read(1 << 20):
                file.write(block)
            return ()
        size = sum(page.pixels * (4 if page.alpha else 3) * page.bits // 8 for page in self.pages)
        layout = ifd.Layout(self._layout.order, self._layout.big or size > _CLASSIC_LIMIT)
        losses: tuple[str, ...] = (
            ("The coloured file is larger than TIFF allows: it is BigTIFF.",) if layout.big > self._layout.big else ()
        )
        file.write(layout.header(0))
        link = 8 if layout.big else 4
        for number, ab in enumerate(ab_per_page):
            tags, lost = (
                self._copied(file, number, layout) if ab is None else self._painted(file, number, ab, layout, settings)
            )
            place, following = ifd.write(file, tags, layout)
            file.seek(link)
            file.write(struct.pack(layout.offset, place))
            link = following
            losses += lost
        return losses

    def _copied(self, file: BinaryIO, number: int, layout: ifd.Layout) -> tuple[dict[int, ifd.Entry], tuple[str, ...]]:
        """A page as it is: its packed strips or tiles, and its tags."""
        source, tags = self._sources[number], dict(self._tags[number])
        places = []
        for offset, count in zip(source.dataoffsets, source.databytecounts, strict=True):
            self._file.seek(offset)
            places.append(ifd.append(file, self._file.read(count)) if count else 0)
        names = _TILE_OFFSETS if _TILE_OFFSETS[0] in tags else _OFFSETS
        tags.pop(_SUBIFDS, None)
        tags[names[0]] = ifd.numbers(ifd.LONG8 if layout.big else ifd.LONG, places, layout)
        return tags, ()

    def _painted(
        self, file: BinaryIO, number: int, ab: Floats, layout: ifd.Layout, settings: StillSettings
    ) -> tuple[dict[int, ifd.Entry], tuple[str, ...]]:
        source, page = self._sources[number], self.pages[number]
        losses = page.losses
        compression = int(source.compression)
        is_jpeg = compression == _JPEG and page.bits == 8 and not page.alpha
        if compression not in (*_ENCODERS, _NONE) and not is_jpeg:
            losses += (
                f"The page was packed by {source.compression.name}; in colour it is packed by Deflate, without loss.",
            )
            compression = _DEFLATE
        # A predictor halves what Deflate writes; for LZW and the rest the source's choice is kept.
        has_predictor = compression not in (_NONE, _PACKBITS, _JPEG) and (
            int(source.predictor) == 2 or compression != int(source.compression)
        )  # fmt: skip
        quality = (settings.quality or self._jpeg_quality(source)) if is_jpeg else None
        segments = _Segments(page, ab, source, has_predictor, compression, quality)
        places, counts = [], []
        for data in segments:
            places.append(ifd.append(file, data))
            counts.append(len(data))
        tags = {code: entry for code, entry in self._tags[number].items() if code not in _OF_THE_PIXELS}
        tags |= self._new_tags(number, page, segments, places, counts, layout)
        tags[259] = ifd.numbers(ifd.SHORT, [compression], layout)
        if is_jpeg:
            tags[262], tags[530] = (ifd.numbers(ifd.SHORT, values, layout) for values in ([6], [2, 2]))
        if has_predictor:
            tags[317] = ifd.numbers(ifd.SHORT, [2], layout)
        if _IRB in tags:
            tags[_IRB] = _bytes(splice.without_thumbnails(tags[_IRB].data), tags[_IRB].kind)
        name = settings.software.encode("ascii", "replace")
        old = tags[_SOFTWARE].data.rstrip(b"\0 ") if _SOFTWARE in tags else b""
        tags[_SOFTWARE] = ifd.text(old + b"; " + name if old else name)
        return tags, losses

    def _jpeg_quality(self, source: Any) -> int:
        tables = source.jpegtables
        if not tables:
            self._file.seek(source.dataoffsets[0])
            tables = self._file.read(4096)
        luma = next(
            (data[1:65] for marker, data in splice.jpeg_segments(tables) if marker == 0xDB and data[0] < 16), None
        )
        return quality_of(list(luma)) if luma else 90

    def _new_tags(
        self, number: int, page: Page, segments: "_Segments", places: list[int], counts: list[int], layout: ifd.Layout
    ) -> dict[int, ifd.Entry]:
        """Tags of the coloured pixels' packing."""
        short, wide = partial(ifd.numbers, ifd.SHORT, layout=layout), ifd.LONG8 if layout.big else ifd.LONG
        samples = 4 if page.alpha else 3
        tags = {258: short([page.bits] * samples), 262: short([2]), 277: short([samples]), 284: short([1])}
        if page.alpha:
            kind = self._tags[number].get(_EXTRA)
            tags[_EXTRA] = ifd.Entry(ifd.SHORT, 1, kind.data[:2]) if kind else short([2])
        offsets, sizes = _TILE_OFFSETS if segments.tile else _OFFSETS
        tags[offsets] = ifd.numbers(wide, places, layout)
        tags[sizes] = ifd.numbers(wide, counts, layout)
        if segments.tile:
            tags[_TILE_LENGTH], tags[_TILE_WIDTH] = (ifd.numbers(ifd.LONG, [side], layout) for side in segments.tile)
        else:
            tags[_ROWS_PER_STRIP] = ifd.numbers(ifd.LONG, [segments.rows], layout)
        icc = self._tags[number].get(_ICC)
        embedded = profiles.read(icc.data).embedded if icc else None
        if embedded:
            tags[_ICC] = _bytes(embedded, ifd.UNDEFINED)
        return tags


def _bytes(data: bytes, kind: int) -> ifd.Entry:
    return ifd.Entry(kind if kind in (1, ifd.UNDEFINED) else ifd.UNDEFINED, len(data), data)


def _codes16(grey: Any, raster: Raster) -> Any:
    """Grey as uint16 codes, whatever grey_of gave."""
    if grey.dtype == np.float32:
        return np.rint(raster.profile.space.codes(grey) * 65535).astype(np.uint16)
    return grey.astype(np.uint16) * 257 if grey.dtype == np.uint8 else grey


class _Segments:
    """The packed strips or tiles of a painted page, in file order. tile: (rows, columns) or None.  rows: of a strip."""

    def __init__(
        self, page: Page, ab: Floats, source: Any, has_predictor: bool, compression: int, quality: int | None
    ) -> None:
        self._page, self._ab = page, ab
        self.tile = (source.tilelength, source.tilewidth) if source.is_tiled else None
        most = max(1, _SEGMENT_BYTES // (page.size[1] * 3 * page.bits // 8))
        self.rows = self.tile[0] if self.tile else min(source.rowsperstrip, page.size[0], max(most, 8))
        if quality is not None:
            self.rows = max(16, self.rows // 16 * 16)  # strips of whole 4:2:0 blocks
        self._order, self._quality = source.parent.byteorder, quality
        self._has_predictor = has_predictor
        packer = _ENCODERS.get(compression)
        self._pack: Callable[[Any], bytes] = getattr(import_module("imagecodecs"), packer) if packer else bytes

    def __iter__(self) -> Iterator[bytes]:
        painter, height = self._page.painter(self._ab), self._page.size[0]
        step = -(-painter.strip_rows // self.rows) * self.rows
        for top in range(0, height, step):
            bottom = min(top + step, height)
            painted: Any = self._page.paint(painter, top, bottom)
            if self._page.alpha:
                painted = np.dstack([painted, self._page.alpha(top, bottom)])
            for row in range(0, len(painted), self.rows):
                for values in self._cut(painted[row : row + self.rows]):
                    yield self._packed(values)

    def _cut(self, rows: Any) -> Iterator[Any]:
        if self.tile is None:
            yield rows
            return
        length, width = self.tile
        margin = ((0, length - len(rows)), (0, -rows.shape[1] % width), (0, 0))
        rows = np.pad(rows, margin, mode="edge")
        for left in range(0, rows.shape[1], width):
            yield rows[:, left : left + width]

    def _packed(self, values: Any) -> bytes:
        if self._quality is not None:
            options = {"level": self._quality, "colorspace": "RGB", "outcolorspace": "YCBCR", "subsampling": "420"}
            return bytes(import_module("imagecodecs").jpeg8_encode(np.ascontiguousarray(values), **options))
        if self._has_predictor:
            values = values.copy()
            values[:, 1:] -= values[:, :-1].copy()
        if values.dtype.itemsize > 1:
            values = values.astype(values.dtype.newbyteorder(self._order))
        return bytes(self._pack(np.ascontiguousarray(values).tobytes()))
