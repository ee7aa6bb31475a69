"""Look-up tables indexed by code values, by OpenCV where it can (it is vectorized), else by NumPy."""

from typing import Any

import cv2
import numpy as np

_LUT_16_BITS_SINCE = (4, 13)  # before, OpenCV's LUT takes only 8-bit codes
_HAS_LUT_16 = tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= _LUT_16_BITS_SINCE


def look_up(codes: Any, table: Any) -> Any:
    """table[codes], of the shape of `codes`; codes beyond the table take its last entry.

    codes: (H, W) uint8 or uint16.  table: (256,) for uint8; (N,) for uint16, where N is 65536 or 2**bits.
    """
    if codes.dtype == np.uint8 or (_HAS_LUT_16 and len(table) == 1 << 16):
        return cv2.LUT(codes, table)
    return np.take(table, codes, mode="clip")
