"""Compression of a painted TIFF page to strips or tiles."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

from vidcolor.color import Floats
from vidcolor.stills.page import Page

ENCODERS = {5: "lzw_encode", 8: "zlib_encode", 32946: "zlib_encode", 32773: "packbits_encode", 50000: "zstd_encode"}
_SEGMENT_BYTES = 1 << 20  # of a strip at most, unless the source's are smaller


class Segments:
    """Compressed strips or tiles of a painted page, in file order. tile: (rows, columns) or None.  rows: of a strip."""

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
        packer = ENCODERS.get(compression)
        self._encode: Callable[[Any], bytes] = getattr(import_module("imagecodecs"), packer) if packer else bytes

    def __iter__(self) -> Iterator[bytes]:
        painter, height = self._page.make_painter(self._ab), self._page.size[0]
        step = -(-painter.strip_rows // self.rows) * self.rows
        for top in range(0, height, step):
            bottom = min(top + step, height)
            painted: Any = self._page.paint(painter, top, bottom)
            if self._page.alpha:
                painted = np.dstack([painted, self._page.alpha(top, bottom)])
            for row in range(0, len(painted), self.rows):
                for values in self._cut(painted[row : row + self.rows]):
                    yield self._compress(values)

    def _cut(self, rows: Any) -> Iterator[Any]:
        if self.tile is None:
            yield rows
            return
        length, width = self.tile
        margin = ((0, length - len(rows)), (0, -rows.shape[1] % width), (0, 0))
        rows = np.pad(rows, margin, mode="edge")
        for left in range(0, rows.shape[1], width):
            yield rows[:, left : left + width]

    def _compress(self, values: Any) -> bytes:
        if self._quality is not None:
            options = {"level": self._quality, "colorspace": "RGB", "outcolorspace": "YCBCR", "subsampling": "420"}
            return bytes(import_module("imagecodecs").jpeg8_encode(np.ascontiguousarray(values), **options))
        if self._has_predictor:
            values = values.copy()
            values[:, 1:] -= values[:, :-1].copy()
        if values.dtype.itemsize > 1:
            values = values.astype(values.dtype.newbyteorder(self._order))
        return bytes(self._encode(np.ascontiguousarray(values).tobytes()))
