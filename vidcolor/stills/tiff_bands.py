"""Reading of rows of a TIFF page from its strips or tiles."""

import io
from typing import Any

import numpy as np

from vidcolor.errors import SourceError
from vidcolor.stills import header
from vidcolor.stills.damage import DAMAGED

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG = (6, 7)
_IMAGE_COMPRESSIONS = {
    *_JPEG,
    33003,
    33004,
    33005,
    33007,
    34712,
    34892,
    34927,
    34933,
    50001,
}  # each segment is an image file of its own
_MARGIN_PIXELS = 1 << 20  # that such a file may have beyond its segment


class Bands:
    """Reads any rows of one page as gray or RGB codes at full scale, 8 or 16 bit, with alpha where it has some.

    is_plain: whether that is possible; it is not for CMYK, Lab and the like.  unread_channels: beyond colors and alpha.
    """

    def __init__(self, page: Any, name: str) -> None:
        self._page, self._name = page, name
        self._bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
        kind, self._photometric = page.dtype, int(page.photometric)
        is_number = kind is not None and kind.kind in "bu" and kind.itemsize <= 2 and int(page.sampleformat) == 1
        if not is_number:
            found = f"{self._bits}-bit samples of kind {page.sampleformat}"
            raise SourceError(f"{name}: {found}; 1 to 16 bit whole numbers are needed. Save it with 16 bit.")
        is_known = self._photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE)
        is_rgb_in_jpeg = self._photometric == _YCBCR and int(page.compression) == _JPEG[1]
        self.is_plain = is_known or is_rgb_in_jpeg
        self._colors = 3 if self._photometric in (_RGB, _YCBCR) else 1
        self._alpha = self._colors if page.samplesperpixel > self._colors and any(page.extrasamples) else None
        self.unread_channels = page.samplesperpixel - self._colors - (self._alpha is not None)
        self._last: tuple[int, Any] = (-1, None)
        self._scale_table = self._make_scale_table()
        self._color_table = self._make_color_table()

    def read_rows(self, top: int, bottom: int) -> Any:
        """Read rows: (r, W) gray, or (r, W, 2..4) with alpha or RGB, uint8 or uint16. Raises SourceError."""
        page = self._page
        if page.is_contiguous and self._bits in (8, 16) and int(page.planarconfig) == 1:
            raw = self._read_contiguous(top, bottom)
        else:
            length = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
            parts = []
            for number in range(top // length, -(-bottom // length)):
                part = self._read_segment_row(number, length)
                parts.append(part[max(0, top - number * length) : bottom - number * length])
            raw = parts[0] if len(parts) == 1 else np.concatenate(parts)
        colors = raw[..., : self._colors]
        if self._color_table is not None:
            colors = self._color_table[colors if self._colors == 3 else colors[..., 0]]
        if self._alpha is not None:
            alpha = raw[..., self._alpha : self._alpha + 1]
            alpha = alpha if self._scale_table is None else self._scale_table[alpha]
            return np.dstack([colors, alpha])
        return colors[..., 0] if colors.ndim == 3 and colors.shape[2] == 1 else colors

    def _make_scale_table(self) -> Any:
        """A table from stored to full-scale codes; None where they are the same."""
        if self._bits in (8, 16):
            return None
        full, kind = (255, np.uint8) if self._bits < 8 else (65535, np.uint16)
        return np.rint(np.arange(1 << self._bits) * (full / ((1 << self._bits) - 1))).astype(kind)

    def _make_color_table(self) -> Any:
        """A table from stored codes to gray or RGB at full scale, by palette or white-is-zero; None if not needed."""
        if self._photometric == _PALETTE:
            colors = np.asarray(self._page.colormap).T  # 16 bit; some writers store 8
            return (colors >> 8 if colors.max() > 255 else colors).astype(np.uint8)
        if self._photometric != _WHITE_IS_ZERO:
            return self._scale_table
        codes = np.arange(1 << self._bits, dtype=self._page.dtype) if self._scale_table is None else self._scale_table
        return codes[::-1]

    def _read_contiguous(self, top: int, bottom: int) -> Any:
        page = self._page
        samples = page.imagewidth * page.samplesperpixel
        kind = page.dtype.newbyteorder(page.parent.byteorder)
        file = page.parent.filehandle
        file.seek(page.dataoffsets[0] + top * samples * kind.itemsize)
        data = file.read((bottom - top) * samples * kind.itemsize)
        if len(data) < (bottom - top) * samples * kind.itemsize:
            raise SourceError(f"{self._name}: the file breaks off in row {top + len(data) // samples}. Copy it again.")
        values = np.frombuffer(data, kind).reshape(bottom - top, page.imagewidth, page.samplesperpixel)
        return values.astype(page.dtype)

    def _read_segment_row(self, number: int, length: int) -> Any:
        """Read a row of segments: (rows, W, samples). The last one is cached, as segments rarely end with bands."""
        if self._last[0] == number:
            return self._last[1]
        page = self._page
        across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
        down = -(-page.imagelength // length)
        planes = page.samplesperpixel if int(page.planarconfig) == 2 else 1
        rows = min(length, page.imagelength - number * length)
        out = np.zeros(
            (rows, page.imagewidth, page.samplesperpixel), np.uint8 if page.dtype.itemsize == 1 else page.dtype
        )
        for plane in range(planes):
            for column in range(across):
                index = (plane * down + number) * across + column
                values = self._decode_segment(index)
                left = column * (page.tilewidth if page.is_tiled else 0)
                values = values[0, :rows, : page.imagewidth - left]
                which = slice(plane, plane + 1) if planes > 1 else slice(None)
                out[: len(values), left : left + values.shape[1], which] = values
        self._last = (number, out)
        return out

    def _decode_segment(self, index: int) -> Any:
        page, file = self._page, self._page.parent.filehandle
        size = page.databytecounts[index]
        file.seek(page.dataoffsets[index])
        data = file.read(size)
        if not size or len(data) < size:
            raise SourceError(f"{self._name}: the file breaks off in strip {index}. Copy it again.")
        if int(page.compression) in _IMAGE_COMPRESSIONS:
            self._check_segment_size(data, index)
        values, _, shape = page.decode(data, index, jpegtables=page.jpegtables)
        if values is None or values.shape[1] < shape[1]:
            raise SourceError(f"{self._name}: strip {index} is damaged. Copy it again.")
        return values

    def _check_segment_size(self, data: bytes, index: int) -> None:
        """Refuse a segment whose own header states a size far larger than its place in the page."""
        page = self._page
        room = page.tilewidth * page.tilelength if page.is_tiled else page.imagewidth * page.rowsperstrip
        try:
            sizes = header.read(io.BytesIO(data), self._name).sizes
        except (SourceError, *DAMAGED):  # no header, or a broken one: decoding reports it
            return
        if header.counted_pixels(sizes) > 4 * room + _MARGIN_PIXELS:
            raise SourceError(f"{self._name}: strip {index} claims to be larger than the page. Copy it again.")
