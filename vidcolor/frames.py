"""Types that all stages share: picture formats, frames, film information."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE_SECONDS = Fraction(1, 1000)  # times that differ by less are equal: Matroska rounds to milliseconds
Plane = NDArray[np.uint8] | NDArray[np.uint16]  # (H, W) code values; uint16 above 8 bits, in the low bits


@dataclass(frozen=True)
class PictureFormat:
    """Size and sample format of a picture, and the meaning of its code values."""

    width: int  # pixels
    height: int  # pixels
    bits: int  # 8..16 per sample
    chroma_shift: tuple[int, int]  # log2 subsampling across, down: (1, 1) is 4:2:0, (0, 0) is 4:4:4
    full_range: bool  # False: black 16, white 235 (times 2**(bits-8)); True: 0 and 2**bits - 1
    matrix: str  # "bt601", "bt709" or "bt2020": how Y', Cb, Cr are made of R', G', B'
    transfer: str = "sdr"  # "sdr", "pq" or "hlg"

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """NumPy type of samples."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def chroma_size(self) -> tuple[int, int]:
        """Rows and columns of a chroma plane (rounded up, as FFmpeg does)."""
        across, down = self.chroma_shift
        return -(-self.height >> down), -(-self.width >> across)


@dataclass(frozen=True)
class Crop:
    """Pixels of the coded picture that are hidden, on each side."""

    left: int  # pixels
    top: int  # pixels
    right: int  # pixels
    bottom: int  # pixels

    def is_valid_for(self, width: int, height: int) -> bool:
        """Whether it hides something of a picture of this size, and leaves something visible."""
        sides = (self.left, self.top, self.right, self.bottom)
        leaves = self.left + self.right < width and self.top + self.bottom < height
        return min(sides) >= 0 and any(sides) and leaves

    def apply(self, plane: Plane) -> Plane:
        """The visible part of a plane (H, W), as a view."""
        height, width = plane.shape
        return plane[self.top : height - self.bottom, self.left : width - self.right]


@dataclass(frozen=True)
class Frame:
    """One decoded picture with its time; luma is as decoded."""

    luma: Plane
    pts: int | None  # in the film's time_base
    native: Any = None  # the decoder's frame, from which the sink copies field order, side data and the like
    chroma: Callable[[], tuple[Plane, Plane]] | None = None  # decoded Cb and Cr, of chroma_size; None: it has none
    keeps_chroma: bool = False  # the frame is in color and stays as it is
    starts_shot: bool = False  # another shot ends before it; known where shots are noted


@dataclass(frozen=True)
class ResumePoint:
    """The last frame of an earlier run, identified by its time and luma."""

    count: int  # frames up to and including it
    pts: int  # in the film's time_base; may be negative
    checksum: int  # CRC-32 of the luma plane; see `checksum_of`


@dataclass(frozen=True)
class Part:
    """Frames `first` to `end` - 1 of a film.

    after: the last frame before coloring starts; None: it starts with the film.
    """

    first: int
    end: int
    first_pts: int  # of the film's first frame
    after: ResumePoint | None = None

    @property
    def first_colored(self) -> int:
        """The first frame that has to be colored."""
        return self.after.count if self.after else 0


def checksum_of(luma: Plane) -> int:
    """CRC-32 of a plane's code values."""
    return zlib.crc32(np.ascontiguousarray(luma).data)


@dataclass(frozen=True)
class ColoredFrame:
    """A frame and its new chroma planes, each of PictureFormat.chroma_size."""

    frame: Frame
    cb: Plane
    cr: Plane


@dataclass(frozen=True)
class StreamInfo:
    """One stream beside the video track."""

    index: int  # in the file
    kind: str  # "audio", "subtitle", "data", "attachment", "video" (cover art, further tracks)
    codec: str  # FFmpeg's name
    language: str | None = None  # as the file states it: "deu"
    title: str | None = None  # as the file states it


@dataclass(frozen=True)
class FilmInfo:
    """What a film file contains."""

    path: str  # of the file
    container: str  # FFmpeg's name of the format
    codec: str  # FFmpeg's name of the video codec
    pixel_format: str  # FFmpeg's name
    picture: PictureFormat  # size and samples, uncropped
    time_base: Fraction  # seconds: unit of its pts
    frame_rate: Fraction | None  # frames a second, average; None when unknown
    frame_count: int | None  # stated by the container or estimated from duration and rate; None when unknown
    duration_seconds: float | None  # None when unknown
    sample_aspect_ratio: Fraction | None  # width of a pixel over its height; None when unknown
    rotation_degrees: int  # -180..180: that players turn it by, counterclockwise
    field_order: str  # "progressive", "tff", "bff" or "unknown"
    streams: tuple[StreamInfo, ...]  # all but the video track
    chapters: int  # how many
    metadata: dict[str, str]  # its tags
    warnings: tuple[str, ...] = ()  # what is odd about it, one line each
    crop: Crop | None = None  # what players hide of the coded picture; `picture` describes it uncropped
