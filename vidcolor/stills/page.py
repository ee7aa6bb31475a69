"""Pages of a still image file: their gray, which is painted, and the colors that they have already.

Shapes: H W of a page as stored; h w of the network's picture, upright; r rows of the page.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import cv2
import numpy as np

from vidcolor.choices import SUBSAMPLINGS, check_choice
from vidcolor.color import Floats
from vidcolor.errors import ShapeError
from vidcolor.painting.painter import Painter, Rgb, RgbSpace
from vidcolor.painting.regions import SHORT_SIDE as REGIONS_SIDE
from vidcolor.painting.regions import ColoredRegions, find_colored_regions
from vidcolor.painting.tone import SHORT_SIDE, Tone, tone_of
from vidcolor.planes import network_size, shrink
from vidcolor.stills.raster import Raster, gray_of

SMALL = 1024  # short side, in pixels, of the copy for the network; painting reads full-size strips
# EXIF orientation -> (mirrored left to right first, then quarter turns anticlockwise), from stored to upright.
TURNS = {
    1: (False, 0),
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}


@dataclass(frozen=True)
class StillSettings:
    """How colored stills are written.

    software: for the tag of the software, with model and version.  quality: 1..100 for lossy formats; None: as the
    source's.  subsampling: one of choices.SUBSAMPLINGS; None: as the source's (4:2:0 for gray JPEG).
    is_recoloring: also paint the colored parts of mixed pages.
    """

    software: str = "vidcolor"
    quality: int | None = None
    subsampling: str | None = None
    is_recoloring: bool = False

    def __post_init__(self) -> None:
        check_choice("subsampling", self.subsampling, SUBSAMPLINGS)


@dataclass(frozen=True, eq=False)
class Page:
    """One picture of a file.

    size: (H, W) as stored.  bits: 8 or 16, of the colored page.  tone: gray, toned, mixed or color.
    orientation: EXIF's 1..8.  rows: (top, bottom) -> gray rows for a Painter.  alpha: (top, bottom) -> alpha rows.
    own: the parts of a mixed page that keep their colors.  colors: (top, bottom) -> RGB rows of a mixed page.
    """

    size: tuple[int, int]
    bits: int
    tone: Tone
    orientation: int
    space: RgbSpace
    small: Any = field(repr=False)  # the gray, with a short side of SMALL or less
    rows: Callable[[int, int], Any] = field(repr=False)
    alpha: Callable[[int, int], Any] | None = field(repr=False, default=None)
    losses: tuple[str, ...] = ()
    profiles: tuple[bytes | None, bytes | None] = (None, None)  # ICC, of the source and of the colored page
    colored_regions: ColoredRegions | None = None
    original_rgb: Callable[[int, int], Rgb] | None = field(repr=False, default=None)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.size[0] * self.size[1]

    def lightness(self, short_side: int) -> Floats:
        """The network's input: L* 0..100, (h, w), upright, sides in steps of 32."""
        seen = shrink(self.small, network_size(*self.size, short_side))
        return np.ascontiguousarray(self._to_upright(self.space.lightness_of(seen)))

    def make_painter(self, ab_2hw: Floats, size: tuple[int, int] | None = None) -> Painter:
        """Make a painter of the page with this color, or of a copy of another size.

        ab_2hw: upright, as for `lightness`. Raises ShapeError.
        """
        if ab_2hw.ndim != 3 or ab_2hw.shape[0] != 2:
            raise ShapeError(f"a*b* is {ab_2hw.shape}; a still needs (2, rows, columns).")
        stored = np.stack([self._to_stored(plane) for plane in ab_2hw])
        return Painter(stored, self.small, size or self.size, bits=self.bits, space=self.space)

    def paint_strips(self, ab_2hw: Floats) -> Iterator[tuple[int, Any]]:
        """Paint the page strip by strip: (first row, RGB (r, W, 3)), or (r, W, 4) where it has alpha."""
        painter, step = self.make_painter(ab_2hw), None
        step = painter.strip_rows
        for top in range(0, self.size[0], step):
            bottom = min(top + step, self.size[0])
            strip = self.paint(painter, top, bottom)
            yield top, np.dstack([strip, self.alpha(top, bottom)]) if self.alpha else strip

    def paint(self, painter: Painter, top: int, bottom: int) -> Rgb:
        """Paint rows of the page, (r, W, 3); colored regions keep their colors."""
        return self._restore_colored_regions(painter.paint(self.rows(top, bottom), top), top)

    def fill(self, ab_2hw: Floats, out_HW4: Any) -> None:
        """Paint the whole page, of 8 bits, into the first three of four channels."""
        painter = self.make_painter(ab_2hw)
        painter.fill(self.rows(0, self.size[0]), 0, out_HW4)
        if self.colored_regions is not None:
            for top in range(0, self.size[0], painter.strip_rows):
                strip = out_HW4[top : top + painter.strip_rows, :, :3]
                strip[:] = self._restore_colored_regions(strip, top)

    def _restore_colored_regions(self, painted: Rgb, top: int) -> Rgb:
        if self.colored_regions is None or self.original_rgb is None:
            return painted
        return self.colored_regions.overlay(painted, self.original_rgb(top, top + len(painted)), top, self.size)

    def preview(self, ab_2hw: Floats | None, size: tuple[int, int]) -> Any:
        """A copy within (rows, columns), as stored: RGB (h, w, 3) of its depth; without a*b*, its gray (h, w)."""
        scale = min(1, size[0] / self.size[0], size[1] / self.size[1])
        rows, columns = (max(1, round(side * scale)) for side in self.size)
        gray = shrink(self.small, (rows, columns))
        if ab_2hw is None:
            return gray
        painted = self.make_painter(ab_2hw, (rows, columns)).paint(gray, 0)
        return (
            self.colored_regions.overlay(painted, self.colored_regions.resized(rows, columns), 0, (rows, columns))
            if self.colored_regions
            else painted
        )

    def _to_upright(self, plane: Any) -> Any:
        mirrored, turns = TURNS[self.orientation]
        return np.rot90(plane[:, ::-1] if mirrored else plane, turns)

    def _to_stored(self, plane: Any) -> Any:
        mirrored, turns = TURNS[self.orientation]
        turned = np.rot90(plane, -turns)
        return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


class Pages(Sequence[Page]):
    """A file's pages, decoded on access. Only the last one stays in memory."""

    def __init__(self, count: int, decode: Callable[[int], Page]) -> None:
        self._count, self._decode = count, decode
        self._last: tuple[int, Page] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int) -> Page: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Page]: ...
    def __getitem__(self, number: int | slice) -> Page | Sequence[Page]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(self._count))]
        number = range(self._count)[number]
        if self._last is None or self._last[0] != number:
            self._last = None  # before the next one takes its place
            self._last = number, self._decode(number)
        return self._last[1]


def make_page(raster: Raster, orientation: int, icc: bytes | None = None) -> Page:
    """Make a page of a raster in memory. icc: the source's profile."""
    gray, alpha = gray_of(raster), raster.alpha
    height, width = gray.shape
    values, (tone, own) = raster.values, classify_color(raster.values)
    return Page(
        (height, width), raster.bits, tone, orientation, raster.profile.space, shrink_to_small(gray),
        lambda top, bottom: gray[top:bottom],
        (lambda top, bottom: alpha[top:bottom]) if alpha is not None else None,
        raster.losses, (icc, raster.profile.embedded), own,
        (lambda top, bottom: values[top:bottom]) if own is not None else None,
    )  # fmt: skip


def shrink_to_small(gray: Any) -> Any:
    """Shrink a plane to a short side of SMALL to twice that; a smaller one is returned as it is."""
    factor = min(gray.shape) // SMALL
    small = shrink(gray, (gray.shape[0] // factor, gray.shape[1] // factor)) if factor > 1 else gray
    return small


def classify_color(values: Any) -> tuple[Tone, ColoredRegions | None]:
    """The tone of code values (H, W) or (H, W, 3), and the colored regions of a mixed scan."""
    if values.ndim == 2:
        return "gray", None
    tone, small = tone_of(_shrink_to(values, SHORT_SIDE)), _shrink_to(values, REGIONS_SIDE)
    own = find_colored_regions(small) if small.max(2).astype(int).sum() != small.min(2).astype(int).sum() else None
    return ("mixed" if own is not None else tone), own


def _shrink_to(values: Any, short_side: int) -> Any:
    """Shrink a picture to a short side of `short_side` to twice that; a smaller one stays."""
    height, width = values.shape[:2]
    factor = max(1, min(height, width) // short_side)
    if factor >= 4:  # thin out rows first: averages of a few are enough
        values = values[:: factor // 4]
    return cv2.resize(values, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)
