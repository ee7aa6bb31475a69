"""Asks a published colorizer as its own program does: pictures in at the size that it looks at, a*b* out.

Shapes: B batch, C channels, h w pixels of the picture that is shown.
"""

from collections.abc import Callable

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.errors import ModelError
from vidcolor.inference.published.files import STRIDE, Published
from vidcolor.planes import shrink
from vidcolor.system.limits import count_processors, free_memory

# Memory of a network on the CPU, measured on DDColor-tiny and doubled for larger ones.
BYTES_A_PIXEL = 6_000  # for each pixel that it looks at, in each frame at once
COPIES_OF_WEIGHTS = 3
MAX_JOBS = 16


class PublishedBackend:
    """A published colorizer on one device. See devices.Backend."""

    def __init__(self, found: Published, run: Callable[[list[Floats]], Floats], name: str, preferred_batch: int):
        """run: the network, from its inputs, each (B, C, h, w), to its output; raises OutOfMemoryError."""
        self.name, self.preferred_batch = name, preferred_batch
        self.found, self._run = found, run

    def __call__(self, lightness_B1hw: Floats) -> Floats:
        """See Backend; a*b* have half the picture's size."""
        ab_B2hw = self.found.kind.answer(self.ask(lightness_B1hw))
        rows, columns = (-(-side // STRIDE) for side in lightness_B1hw.shape[2:])
        return np.stack([resize(ab, rows, columns) for ab in ab_B2hw])

    def ask(self, lightness_B1hw: Floats) -> Floats:
        """The network's own output for pictures of L* 0..100. Raises ModelError for one of another shape."""
        output = np.asarray(self._run(make_inputs(self.found, lightness_B1hw)), np.float32)
        if output.ndim != 4 or output.shape[:2] != (len(lightness_B1hw), self.found.kind.outputs):
            raise ModelError(
                f"{self.found.path}: gives {output.shape} for {len(lightness_B1hw)} pictures; needed"
                f" {self.found.kind.outputs} channels for each."
            )
        return output


def make_inputs(found: Published, lightness_B1hw: Floats) -> list[Floats]:
    """The network's inputs for pictures of L* 0..100."""
    if found.kind.is_square or found.facts.fixed_side:
        side = found.side_for(min(lightness_B1hw.shape[2:]))
        lightness_B1hw = np.stack([resize(picture, side, side) for picture in lightness_B1hw])
    asked = found.kind.ask(np.ascontiguousarray(lightness_B1hw, np.float32))
    ends = np.cumsum(found.facts.inputs)[:-1]
    return [np.ascontiguousarray(part, np.float32) for part in np.split(asked, ends, axis=1)]


def resize(planes: Floats, rows: int, columns: int) -> Floats:
    """Resize (C, h, w), by area average where it gets smaller."""
    return np.stack([_resize_plane(np.ascontiguousarray(plane), rows, columns) for plane in planes])


def _resize_plane(plane: Floats, rows: int, columns: int) -> Floats:
    if plane.shape[0] >= rows and plane.shape[1] >= columns:
        return np.asarray(shrink(plane, (rows, columns)), np.float32)
    return np.asarray(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def count_jobs(found: Published) -> int:
    """How many frames to work on at once on the CPU: as many as fit in half of the free memory, one at least."""
    free = free_memory()
    if free is None:
        return 1
    room = free // 2 - COPIES_OF_WEIGHTS * found.path.stat().st_size
    return max(1, min(count_processors(), MAX_JOBS, room // (BYTES_A_PIXEL * found.size**2)))
