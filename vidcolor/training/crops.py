"""How crops are cut from pictures: at one scale for each picture, or anew each time at a random scale and stretch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from vidcolor.stills.rgb import Rgb, crop_square, resize

SCALE_RANGE = (1.0, 1.5)  # short side of a stored photo in crops: how much of the scene a crop may miss
STRETCH = 1.25  # width over height of what a zooming crop takes in, at most, or its inverse
CUTMIX_SIDES = (0.3, 0.8)  # sides of a part that shows another picture, in sides of the crop

Box = tuple[float, float, float, float]  # left, top, right and bottom in pixels


@dataclass(frozen=True)
class CropRegion:
    """What a crop shows of a picture."""

    rgb: Rgb
    box: Box
    is_mirrored: bool


class Cropper(ABC):
    """Crops of `side` pixels each way, and how large the pictures have to be that they are cut from."""

    def __init__(self, side: int) -> None:
        self.side = side

    @property
    @abstractmethod
    def max_short_side(self) -> int:
        """Short side in pixels that no stored picture needs to exceed."""

    @abstractmethod
    def stored_side(self, short_side: int, share: float) -> int:
        """Short side at which a picture of that short side is stored. share: a number of its own, 0..1."""

    def choose_region(self, rgb: Rgb, random: np.random.Generator) -> CropRegion:
        """What the next crop of a stored picture shows."""
        height, width = rgb.shape[:2]
        return CropRegion(rgb, self._choose_box(height, width, random), is_mirrored=random.random() < 0.5)

    def cut(self, section: CropRegion) -> Rgb:
        """The crop: (side, side, 3)."""
        crop = self._cut_box(section.rgb, section.box)
        return crop[:, ::-1] if section.is_mirrored else crop

    def center_crop(self, rgb: Rgb) -> Rgb:
        """The crop that shows the middle of a stored picture: (side, side, 3)."""
        whole = self._scale_whole(rgb)
        top, left = (whole.shape[0] - self.side) // 2, (whole.shape[1] - self.side) // 2
        return whole[top : top + self.side, left : left + self.side]

    @abstractmethod
    def _choose_box(self, height: int, width: int, random: np.random.Generator) -> Box: ...

    @abstractmethod
    def _cut_box(self, rgb: Rgb, box: Box) -> Rgb: ...

    @abstractmethod
    def _scale_whole(self, rgb: Rgb) -> Rgb:
        """A stored picture at the scale at which its middle is looked at."""


class FixedCropper(Cropper):
    """Each picture is stored at a scale of its own, and every crop of it is cut pixel for pixel."""

    @property
    def max_short_side(self) -> int:
        """See Crops."""
        return round(self.side * SCALE_RANGE[1])

    def stored_side(self, short_side: int, share: float) -> int:  # noqa: ARG002 - see Crops
        """So that a crop shows most of the scene."""
        low, high = SCALE_RANGE
        return round(self.side * (low + (high - low) * share**2))

    def _choose_box(self, height: int, width: int, random: np.random.Generator) -> Box:
        top, left = int(random.integers(height - self.side + 1)), int(random.integers(width - self.side + 1))
        return left, top, left + self.side, top + self.side

    def _cut_box(self, rgb: Rgb, box: Box) -> Rgb:
        left, top, right, bottom = map(int, box)
        return rgb[top:bottom, left:right]

    def _scale_whole(self, rgb: Rgb) -> Rgb:
        return rgb


class ZoomingCropper(Cropper):
    """Every crop is cut anew at a random scale and stretch, up to `zoom` times as close as the whole short side."""

    def __init__(self, side: int, zoom: float) -> None:
        super().__init__(side)
        self._zoom = zoom

    @property
    def max_short_side(self) -> int:
        """See Crops."""
        return round(self.side * self._zoom)

    def stored_side(self, short_side: int, share: float) -> int:  # noqa: ARG002 - see Crops
        """As large as crops can show, and none enlarged beyond what a crop needs."""
        return max(self.side, min(short_side, self.max_short_side))

    def _choose_box(self, height: int, width: int, random: np.random.Generator) -> Box:
        short = min(height, width) / self._zoom ** random.random() ** 2  # the whole is likelier than a small part
        stretch = STRETCH ** random.uniform(-0.5, 0.5)
        tall, wide = min(short / stretch, height), min(short * stretch, width)
        top, left = random.uniform(0, height - tall), random.uniform(0, width - wide)
        return left, top, left + wide, top + tall

    def _cut_box(self, rgb: Rgb, box: Box) -> Rgb:
        return crop_square(rgb, box, self.side)

    def _scale_whole(self, rgb: Rgb) -> Rgb:
        return resize(rgb, short_side=self.side, least=self.side)


def make_cropper(side: int, zoom: float) -> Cropper:
    """Crops of that side in pixels.

    zoom: how much closer than the whole short side they may come; 1: each picture has one scale for good.
    """
    return ZoomingCropper(side, zoom) if zoom > 1 else FixedCropper(side)


def choose_cutmix_box(side: int, random: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a crop that another picture may lie in: CutMix (Yun et al. 2019).

    It is meant to tie what is learned to the things in a picture, not to which picture it is.
    """
    lengths = [round(side * random.uniform(*CUTMIX_SIDES)) for _ in range(2)]
    starts = [int(random.integers(side - length + 1)) for length in lengths]
    rows, columns = (slice(start, start + length) for start, length in zip(starts, lengths, strict=True))
    return rows, columns
