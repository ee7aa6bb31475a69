"""Pixel formats: luma and chroma planes of decoded frames, and writing planes into frames to encode."""

import re
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from vidcolor.frames import PictureFormat, Plane

_CHROMA_SHIFTS = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}
_SHIFT_NAMES = {shift: name for name, shift in _CHROMA_SHIFTS.items()}
_PLANAR = re.compile(r"yuv(?P<kind>[ja]?)(?P<chroma>4\d\d)p(?P<bits>\d*)(?P<endian>le|be)?$")
_GRAY = re.compile(r"gray(?P<bits>\d*)(?P<endian>le|be)?$")
_SEMIPLANAR = re.compile(
    r"(nv(?P<nv>12|21|16|24|42)|nv20(?P<nv20>le|be)|p(?P<chroma>[024])(?P<bits>10|12|16)(?P<end>le|be))$"
)
_NV_CHROMA = {"12": "420", "21": "420", "16": "422", "24": "444", "42": "444"}

COLORSPACE_OF_MATRIX = {"bt601": 6, "bt709": 1, "bt2020": 9}  # AVCOL_SPC_SMPTE170M, _BT709, _BT2020_NCL
_SWS_NAME = {"bt601": "itu601", "bt709": "itu709", "bt2020": "bt2020"}


@dataclass(frozen=True)
class Layout:
    """How a pixel format stores luma; `readable` is False where FFmpeg must first convert to `planar`."""

    bits: int
    chroma_shift: tuple[int, int]
    readable: bool
    big_endian: bool = False
    msb_shift: int = 0  # p010 and similar keep the sample in the high bits
    is_rgb: bool = False
    is_gray: bool = False
    has_alpha: bool = False

    @property
    def planar(self) -> str:
        """The planar YCbCr format of this depth and subsampling."""
        return planar_name(self.bits, self.chroma_shift)


def planar_name(bits: int, chroma_shift: tuple[int, int]) -> str:
    """FFmpeg's name of planar YCbCr, little-endian above 8 bits."""
    return f"yuv{_SHIFT_NAMES[chroma_shift]}p" + ("" if bits == 8 else f"{bits}le")


def layout_of(name: str) -> Layout:
    """The layout of FFmpeg's pixel format of this name. Gray and RGB get the subsampling of their colored output."""
    if found := _PLANAR.match(name):
        shift, bits = _CHROMA_SHIFTS[found["chroma"]], int(found["bits"] or 8)
        return Layout(bits, shift, True, found["endian"] == "be", has_alpha=found["kind"] == "a")
    if found := _GRAY.match(name):
        bits = int(found["bits"] or 8)
        # Few encoders take 9 or 14 bits in 4:2:0; what they cannot take is said when the output is planned.
        return Layout(bits, (1, 1), bits <= 16, found["endian"] == "be", is_gray=True)
    if found := _SEMIPLANAR.match(name):
        if found["nv"]:
            return Layout(8, _CHROMA_SHIFTS[_NV_CHROMA[found["nv"]]], True)
        if found["nv20"]:
            return Layout(10, (1, 0), True, found["nv20"] == "be")
        bits = int(found["bits"])
        shift = {"0": (1, 1), "2": (1, 0), "4": (0, 0)}[found["chroma"]]
        return Layout(bits, shift, True, found["end"] == "be", msb_shift=16 - bits)
    return _layout_by_description(VideoFormat(name, 64, 64))


def _layout_by_description(description: VideoFormat) -> Layout:
    """The layout of packed YCbCr, RGB, palette, one-bit and float formats, which FFmpeg converts."""
    alpha = any(component.is_alpha for component in description.components)
    deepest = max((component.bits for component in description.components), default=8)
    bits = next(depth for depth in (8, 10, 12, 16, 64) if depth >= deepest)
    bits = min(bits, 16)
    if description.name in ("monob", "monow", "ya8", "ya16le", "ya16be"):
        return Layout(bits, (1, 1), False, is_gray=True, has_alpha=alpha)
    rgb = description.is_rgb or description.has_palette or description.is_bayer or description.name.startswith("xyz")
    if rgb:
        return Layout(bits, (0, 0), False, is_rgb=True, has_alpha=alpha)
    shift = (
        (64 // description.chroma_width(64)).bit_length() - 1,
        (64 // description.chroma_height(64)).bit_length() - 1,
    )
    return Layout(bits, shift, False, has_alpha=alpha)


def plane_view(
    frame: VideoFrame, plane: int, rows: int, columns: int, bits: int, *, big_endian: bool = False
) -> NDArray[Any]:
    """A writable view of one plane, (rows, columns), without the padding at the end of each line.

    For semi-planar formats ask for plane 0 only.
    """
    dtype = np.dtype(np.uint8 if bits == 8 else (">u2" if big_endian else "<u2"))
    video_plane = frame.planes[plane]
    stride = abs(video_plane.line_size) // dtype.itemsize
    # The last line need not be padded in full, so a plain reshape could run over the end of the buffer.
    flat = np.frombuffer(memoryview(cast(Any, video_plane)), dtype=dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (stride * dtype.itemsize, dtype.itemsize))


def luma_of(frame: VideoFrame, layout: Layout) -> Plane:
    """The Y plane as stored: a view of the frame where possible, never rescaled. (H, W), native byte order."""
    luma = plane_view(frame, 0, frame.height, frame.width, layout.bits, big_endian=layout.big_endian)
    if layout.msb_shift:
        luma = luma >> layout.msb_shift
    return luma.astype(np.uint16, copy=False) if layout.bits > 8 else luma


def chroma_of(frame: VideoFrame, layout: Layout, picture: PictureFormat) -> tuple[Plane, Plane]:
    """Cb and Cr as stored, (rows, columns) of the planar format each; views of the frame where possible."""
    if not layout.readable:
        frame = to_planar(frame, layout, picture)
    elif not _PLANAR.match(frame.format.name):
        frame = reformat(frame, format=layout.planar)  # semi-planar: the same samples in another order
    found = layout_of(frame.format.name)
    across, down = found.chroma_shift
    rows, columns = -(-frame.height >> down), -(-frame.width >> across)
    planes = [plane_view(frame, plane, rows, columns, found.bits, big_endian=found.big_endian) for plane in (1, 2)]
    cb, cr = (plane.astype(np.uint16, copy=False) if found.bits > 8 else plane for plane in planes)
    return cb, cr


def reformat(frame: VideoFrame, **to: Any) -> VideoFrame:
    """VideoFrame.reformat, by one thread: the same samples every time.

    FFmpeg gives each thread a slice of the picture, and the vector code of one writes over the first samples of the
    next wherever a row is no multiple of 32 bytes long; which of the two wins is chance.
    """
    return frame.reformat(threads=1, **to)


def to_planar(frame: VideoFrame, layout: Layout, picture: PictureFormat) -> VideoFrame:
    """Convert a frame without a readable Y plane to planar YCbCr of the picture's matrix and range."""
    target = f"gray{'' if layout.bits == 8 else '16le'}" if layout.is_gray else layout.planar
    wanted_range = ColorRange.JPEG if picture.full_range else ColorRange.MPEG
    matrix = _SWS_NAME[picture.matrix]
    if not layout.is_rgb:
        return reformat(frame, format=target, src_color_range=wanted_range, dst_color_range=wanted_range)
    return reformat(
        frame,
        format=target,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=wanted_range,
        interpolation="BICUBIC",
    )


def write_plane(frame: VideoFrame, plane: int, values: Plane, bits: int) -> None:
    """Copy code values into a plane of a planar frame."""
    rows, columns = values.shape
    target = plane_view(frame, plane, rows, columns, bits)
    if not target.flags.writeable:
        raise ValueError("the frame's memory is read-only")
    np.copyto(target, values)
