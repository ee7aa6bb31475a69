"""Planes of code values: looked up in tables, and shrunk to the sizes that networks see."""

from typing import Any

import cv2
import numpy as np

_LUT_16_BITS_SINCE = (4, 13)  # before, OpenCV's LUT takes only 8-bit codes
_HAS_LUT_16 = tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= _LUT_16_BITS_SINCE
GRID = 32  # network sizes are multiples of this; that stretches by 6 % at most
LONGEST = 4  # longest side of the input, in short sides; longer panoramas are squeezed


def look_up(codes: Any, table: Any) -> Any:
    """table[codes], of the shape of `codes`; codes beyond the table take its last entry.

    codes: (H, W) uint8 or uint16.  table: (256,) for uint8; (N,) for uint16, where N is 65536 or 2**bits.
    """
    if codes.dtype == np.uint8 or (_HAS_LUT_16 and len(table) == 1 << 16):
        return cv2.LUT(codes, table)
    return np.take(table, codes, mode="clip")


def network_size(height: float, width: float, short_side: int) -> tuple[int, int]:
    """Rows and columns, multiples of GRID, of a picture as displayed, for a network's `short_side` in pixels."""
    scale = short_side / min(height, width)
    rows, columns = (
        max(GRID, round(min(side * scale, LONGEST * short_side) / GRID) * GRID) for side in (height, width)
    )
    return rows, columns


def shrink(plane: Any, size: tuple[int, ...]) -> Any:
    """Resize code values (H, W) or (H, W, C) to (rows, columns) by area average; halved first, 40 times faster."""
    rows, columns = size
    while plane.shape[0] >= 2 * rows and plane.shape[1] >= 2 * columns and min(plane.shape[:2]) > 1:
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = cv2.resize(plane[: half[1] * 2, : half[0] * 2], half, interpolation=cv2.INTER_AREA)
    if plane.shape[:2] == (rows, columns):
        return plane
    return cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_LINEAR)
