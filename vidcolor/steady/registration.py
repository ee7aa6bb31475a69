"""Registration of stills: where an edited still's pixels lie in the film's frame that it shows.

Editors and generative tools move, zoom and crop pictures by a little. The still is laid on the film's own frame by an
affine map, found from its edges, so that repainted lightness hardly counts (Evangelidis and Psarakis 2008, "Parametric
Image Alignment Using Enhanced Correlation Coefficient Maximization").
Shapes: h w of the film's frame; H W of the still.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vidcolor.color import Floats

SIDE = 192  # pixels, short side at which pictures are compared
BLUR = 1.5  # pixels
EDGE_BLUR = 5  # pixels: window of the search, which smooths edges
STEPS, PRECISION = 60, 1e-4  # of the search
LEAST_CORRELATION = 0.5  # of the edges: below it the still shows something else
LEAST_GAIN = 0.02  # of correlation: less is no reason to move a still
MAX_SHIFT, MAX_ZOOM = 0.15, 1.25  # in short sides; more is another framing, not an editor's
MAX_TURN = 0.1  # shear and rotation


@dataclass(frozen=True)
class Registration:
    """Where a still lies in the film's frame."""

    map_23: Floats  # from places in the frame to places in the still, both in shares of their width and height
    correlation: float  # of the edges, -1..1

    @property
    def shows_the_frame(self) -> bool:
        """Whether the still shows what the frame shows."""
        return self.correlation >= LEAST_CORRELATION

    def apply(self, planes_CHW: Floats, size: tuple[int, ...]) -> Floats:
        """Planes of the still, (C, H, W), laid on the frame at (h, w); the edge is repeated beyond it."""
        return self._warp(planes_CHW, size, cv2.BORDER_REPLICATE)

    def coverage(self, shape: tuple[int, ...], size: tuple[int, ...]) -> Floats:
        """Where a still of (H, W) covers the frame: (h, w), 0..1."""
        covered: Floats = self._warp(np.ones((1, *shape), np.float32), size, cv2.BORDER_CONSTANT)[0]
        return covered

    def _warp(self, planes_CHW: Floats, size: tuple[int, ...], border: int) -> Floats:
        (rows, columns), (height, width) = size, planes_CHW.shape[1:]
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        across, down = (x + 0.5) / columns, (y + 0.5) / rows
        found_x, found_y = (each[0] * across + each[1] * down + each[2] for each in self.map_23)
        map_x, map_y = (found_x * width - 0.5).astype(np.float32), (found_y * height - 0.5).astype(np.float32)
        warped = [cv2.remap(plane, map_x, map_y, cv2.INTER_LINEAR, borderMode=border) for plane in planes_CHW]
        return np.stack(warped).astype(np.float32, copy=False)


IDENTITY = np.eye(2, 3, dtype=np.float32)


def register(still_HW: Floats, frame_hw: Floats) -> Registration:
    """Find where a still lies in a frame, both L* 0..100; as it is where nothing better is found."""
    scale = SIDE / min(frame_hw.shape)
    size = round(frame_hw.shape[1] * scale), round(frame_hw.shape[0] * scale)
    still, frame = (_edges(picture, size) for picture in (still_HW, frame_hw))
    unmoved = _correlate(still, frame)
    (across, down), _ = cv2.phaseCorrelate(frame, still, cv2.createHanningWindow(size, cv2.CV_32F))
    best = Registration(IDENTITY, unmoved)
    for start in ((0.0, 0.0), (across, down)):
        matrix = np.array([[1, 0, start[0]], [0, 1, start[1]]], np.float32)
        try:
            criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, STEPS, PRECISION)
            search: Any = cv2.findTransformECC
            _, matrix = search(frame, still, matrix, cv2.MOTION_AFFINE, criteria, None, EDGE_BLUR)
        except cv2.error:  # no transform was found
            continue
        moved: Any = cv2.warpAffine(still, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        found = Registration(_in_shares(np.asarray(matrix, np.float32), size), _correlate(moved, frame))
        if found.correlation > best.correlation + LEAST_GAIN and _is_small(found.map_23):
            best = found
    return best


def _edges(lightness: Floats, size: tuple[int, int]) -> Floats:
    """The strength of a picture's edges at (width, height), of length 1 at most: repainting keeps it."""
    how = cv2.INTER_AREA if lightness.shape[1] >= size[0] else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(lightness, np.float32), size, interpolation=how)
    small = cv2.GaussianBlur(small, (0, 0), BLUR)
    strength = np.hypot(cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1))
    return np.asarray(np.sqrt(strength), np.float32)


def _correlate(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / max(1e-6, float(np.sqrt(np.square(one).sum() * np.square(other).sum()))))


def _in_shares(matrix_23: Floats, size: tuple[int, int]) -> Floats:
    """An affine map of pixels as one of shares of width and height, with pixel centers at halves."""
    side = np.array(size, np.float32)
    linear = matrix_23[:, :2] * side[None, :] / side[:, None]
    offset = (matrix_23[:, 2] + 0.5 - matrix_23[:, :2] @ np.array([0.5, 0.5], np.float32)) / side
    return np.concatenate([linear, offset[:, None]], axis=1).astype(np.float32)


def _is_small(map_23: Floats) -> bool:
    """Whether a map moves, zooms and turns by no more than an editor does."""
    center = map_23 @ np.array([0.5, 0.5, 1], np.float32) - 0.5
    zooms, turned = np.diag(map_23[:, :2]), max(abs(map_23[0, 1]), abs(map_23[1, 0]))
    is_zoomed_little = bool(((zooms <= MAX_ZOOM) & (zooms >= 1 / MAX_ZOOM)).all())
    return is_zoomed_little and bool(np.abs(center).max() <= MAX_SHIFT) and bool(turned <= MAX_TURN)
