"""Random crops: at one fixed scale for each picture, or at a new random scale and aspect ratio each time."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from vidcolor.stills.rgb import Rgb, crop_square, resize

SCALE_RANGE = (1.0, 1.5)  # short side of a stored photo, in crops
STRETCH = 1.25  # greatest aspect ratio of what a zooming crop takes in, and its inverse
CUTMIX_SIDES = (0.3, 0.8)  # sides of the pasted box, in sides of the crop

Box = tuple[float, float, float, float]  # left, top, right and bottom in pixels


@dataclass(frozen=True)
class CropRegion:
    """The part of a picture that a crop shows."""

    rgb: Rgb
    box: Box
    is_mirrored: bool


class Cropper(ABC):
    """Cuts square crops, and says at which size their pictures are stored.  side: in pixels."""

    def __init__(self, side: int) -> None:
        self.side = side

    @property
    @abstractmethod
    def max_short_side(self) -> int:
        """Greatest useful short side of a stored picture, in pixels."""

    @abstractmethod
    def stored_side(self, short_side: int, share: float) -> int:
        """Short side at which a picture is stored.  short_side: its own.  share: its own fixed number, 0..1."""

    def choose_region(self, rgb: Rgb, random: np.random.Generator) -> CropRegion:
        """Choose a random region of a stored picture."""
        height, width = rgb.shape[:2]
        return CropRegion(rgb, self._choose_box(height, width, random), is_mirrored=random.random() < 0.5)

    def cut(self, section: CropRegion) -> Rgb:
        """Cut a region: (side, side, 3)."""
        crop = self._cut_box(section.rgb, section.box)
        return crop[:, ::-1] if section.is_mirrored else crop

    def center_crop(self, rgb: Rgb) -> Rgb:
        """Cut the center of a stored picture: (side, side, 3)."""
        whole = self._scale_whole(rgb)
        top, left = (whole.shape[0] - self.side) // 2, (whole.shape[1] - self.side) // 2
        return whole[top : top + self.side, left : left + self.side]

    @abstractmethod
    def _choose_box(self, height: int, width: int, random: np.random.Generator) -> Box: ...

    @abstractmethod
    def _cut_box(self, rgb: Rgb, box: Box) -> Rgb: ...

    @abstractmethod
    def _scale_whole(self, rgb: Rgb) -> Rgb:
        """Scale a stored picture for its center crop."""


class FixedCropper(Cropper):
    """Stores each picture at a fixed random scale; crops are cut pixel for pixel."""

    @property
    def max_short_side(self) -> int:
        """See Cropper."""
        return round(self.side * SCALE_RANGE[1])

    def stored_side(self, short_side: int, share: float) -> int:  # noqa: ARG002 - see Cropper
        """See Cropper. A crop shows most of the scene."""
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
    """Cuts every crop at a new random scale and aspect ratio, up to `zoom` times closer than the whole short side."""

    def __init__(self, side: int, zoom: float) -> None:
        super().__init__(side)
        self._zoom = zoom

    @property
    def max_short_side(self) -> int:
        """See Cropper."""
        return round(self.side * self._zoom)

    def stored_side(self, short_side: int, share: float) -> int:  # noqa: ARG002 - see Cropper
        """See Cropper. Never enlarged beyond what a crop needs."""
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
    """The cropper for a side in pixels.

    zoom: how much closer than the whole short side crops may come; 1: each picture has one fixed scale.
    """
    return ZoomingCropper(side, zoom) if zoom > 1 else FixedCropper(side)


def choose_cutmix_box(side: int, random: np.random.Generator) -> tuple[slice, slice]:
    """Choose the rows and columns that another picture is pasted into: CutMix (Yun et al. 2019).

    It ties what is learned to the things in a picture rather than to the picture as a whole.
    """
    lengths = [round(side * random.uniform(*CUTMIX_SIDES)) for _ in range(2)]
    starts = [int(random.integers(side - length + 1)) for length in lengths]
    rows, columns = (slice(start, start + length) for start, length in zip(starts, lengths, strict=True))
    return rows, columns
