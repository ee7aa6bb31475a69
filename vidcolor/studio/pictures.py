"""Pictures as the studio shows them: small, in sRGB, in gray and in color.

Shapes: H W of a picture as it is shown, h w of a*b*.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from vidcolor.color import Floats, lab_to_rgb, picture_to_lab
from vidcolor.inference.listening import enlarge
from vidcolor.painting.tone import Tone
from vidcolor.stills.display import fit
from vidcolor.stills.files import open_in_turn
from vidcolor.stills.page import Page
from vidcolor.stills.rgb import Rgb
from vidcolor.stills.upright import read_upright_in_turn, turn_upright

SIDE = 1280  # longest side of a picture, in pixels
THUMBNAIL = 240  # and of a thumbnail

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """A picture as it is shown before it gets color."""

    rgb_HW3: Rgb  # in gray, with the colors that parts of it keep
    lightness_HW: Floats
    kept_HW1: Floats | None = None  # 1 where it keeps its colors, 0 where it gets others; None: nowhere

    @classmethod
    def of_gray(cls, rgb_HW3: Rgb) -> "Shown":
        """A picture of which only the lightness counts."""
        lightness = np.asarray(picture_to_lab(rgb_HW3)[0], np.float32)
        return cls(paint(lightness, None), lightness)

    def paint(self, ab_2hw: Floats) -> Rgb:
        """The picture in these colors, (H, W, 3)."""
        painted = paint(self.lightness_HW, ab_2hw)
        return painted if self.kept_HW1 is None else mix(painted, self.rgb_HW3, self.kept_HW1)

    def lightness_at(self, x: float, y: float) -> float:
        """L* of a place; x, y: shares of width and height, 0..1."""
        height, width = self.lightness_HW.shape
        return float(self.lightness_HW[min(height - 1, int(y * height)), min(width - 1, int(x * width))])


@dataclass(frozen=True)
class ShownPhoto:
    """A photo as it is shown."""

    picture: Shown
    size: tuple[int, int]  # width and height in pixels, upright
    tone: Tone


def read_photo(path: Path) -> ShownPhoto:
    """The first page of a photo file. Raises SourceError."""
    with open_in_turn(path) as still:
        page = still.pages[0]
        gray = page.preview(None, (SIDE, SIDE))
        lightness = np.asarray(turn_upright(page.space.lightness_of(gray), page.orientation), np.float32)
        picture = Shown(paint(lightness, None), lightness)
        if page.tone == "mixed" and page.colored_regions is not None:
            picture = _keep_colors(picture, page)
    if page.tone == "color":
        rgb = fit(read_upright_in_turn(path, min_short_side=SIDE), SIDE)
        size = rgb.shape[1], rgb.shape[0]
        picture = Shown(rgb, resize(lightness, size), np.ones((*rgb.shape[:2], 1), np.float32))
    height, width = page.size
    return ShownPhoto(picture, (height, width) if page.orientation > 4 else (width, height), page.tone)


def _keep_colors(picture: Shown, page: Page) -> Shown:
    """A picture with the colors that parts of a page keep."""
    assert page.colored_regions is not None
    size = picture.lightness_HW.shape[1], picture.lightness_HW.shape[0]
    own, mask = (
        resize(turn_upright(plane, page.orientation), size)
        for plane in (page.colored_regions.rgb_hw3, page.colored_regions.mask_hw)
    )
    own = own if own.dtype == np.uint8 else np.asarray(own >> 8, np.uint8)
    kept = np.asarray(mask, np.float32)[..., None]
    return Shown(mix(picture.rgb_HW3, own, kept), picture.lightness_HW, kept)


def mix(one: Rgb, other: Rgb, share_HW1: Floats) -> Rgb:
    """A picture with a share, 0..1, of another."""
    first = one.astype(np.float32)
    return np.asarray(np.rint(first + share_HW1 * (other.astype(np.float32) - first)), np.uint8)


def paint(lightness_HW: Floats, ab_2hw: Floats | None) -> Rgb:
    """A picture in sRGB; without a*b* in gray."""
    a, b = enlarge(ab_2hw, *lightness_HW.shape) if ab_2hw is not None else (0 * lightness_HW, 0 * lightness_HW)
    rgb = np.stack(lab_to_rgb(lightness_HW, a, b), axis=2)
    return np.asarray(np.rint(np.clip(rgb, 0, 1) * 255), np.uint8)


def css_color(lightness: float, ab: Sequence[float] | Floats) -> str:
    """A color as CSS takes it.  lightness: L* 0..100."""
    rgb = np.clip(np.stack(lab_to_rgb(np.float32(lightness), np.float32(ab[0]), np.float32(ab[1]))), 0, 1)
    return "#" + "".join(f"{round(float(part) * 255):02x}" for part in rgb)


def resize(picture: Any, size: tuple[int, int]) -> Any:
    """A picture, of any type, of another (width, height)."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def keep(where: "OrderedDict[Any, T]", key: Any, value: T, most: int) -> T:
    """Remember a value, and forget the oldest where there are too many."""
    where[key] = value
    while len(where) > most:
        where.popitem(last=False)
    return value
