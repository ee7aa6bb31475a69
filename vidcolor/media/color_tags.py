"""What a film's code values mean: its color tags, and what players assume where it states none."""

from dataclasses import dataclass

from av.video.frame import VideoFrame

from vidcolor.frames import PictureFormat
from vidcolor.media.pixels import Layout

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_MATRIX_OF_COLORSPACE = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}
_NEAREST_MATRIX = {4: "bt601", 7: "bt709", 8: "bt709", 10: "bt2020", 14: "bt2020"}
_TRANSFER = {16: "pq", 18: "hlg"}
# Their standards say that luma without a flag is limited range (H.264 E.2.1, H.265 E.3.1, AV1 6.4.2), also without
# chroma. Elsewhere FFmpeg, like PNG and JPEG, takes unflagged gray as full range (swscale's handle_jpeg).
_LIMITED_UNLESS_FLAGGED = {"h264", "hevc", "av1", "vp8", "vp9", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "prores"}


@dataclass(frozen=True)
class ColorTags:
    """FFmpeg's numbers for range, matrix, primaries and transfer."""

    color_range: int
    colorspace: int
    color_primaries: int
    color_trc: int


def interpret_picture(
    frame: VideoFrame, layout: Layout, codec: str, warnings: list[str]
) -> tuple[PictureFormat, ColorTags]:
    """What the planes mean, by the first frame. warnings: of what is changed or assumed; added to.

    A matrix that is not stated is BT.601 up to 576 lines, else BT.709, as players assume.
    """
    matrix = _MATRIX_OF_COLORSPACE.get(frame.colorspace)
    if matrix is None and frame.colorspace in _NEAREST_MATRIX and not layout.is_rgb:
        matrix = _NEAREST_MATRIX[frame.colorspace]
        warnings.append(f"color matrix number {frame.colorspace} is not supported; treated and tagged as {matrix}")
    if matrix is None:
        matrix = "bt601" if frame.height <= 576 else "bt709"
    full_range = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    if layout.is_gray and frame.color_range == 0 and codec not in _LIMITED_UNLESS_FLAGGED:
        full_range = True
    if layout.is_rgb:
        full_range = False  # converted to limited-range YCbCr, which every player expects
        warnings.append(f"{frame.format.name} has no luma plane; converted to {layout.planar} ({matrix}) once")
    if layout.has_alpha:
        warnings.append(f"{frame.format.name} has transparency, which the colored film will not have")
    transfer = _TRANSFER.get(frame.color_trc, "sdr")
    if transfer != "sdr":
        warnings.append(f"HDR film ({transfer.upper()}): colored as it is, tags kept; the model was trained on SDR")
    same_matrix = _MATRIX_OF_COLORSPACE.get(frame.colorspace) == matrix
    colorspace = frame.colorspace if same_matrix else {"bt601": 6, "bt709": 1, "bt2020": 9}[matrix]
    tags = ColorTags(2 if full_range else 1, colorspace, frame.color_primaries, frame.color_trc)
    picture = PictureFormat(frame.width, frame.height, layout.bits, layout.chroma_shift, full_range, matrix, transfer)
    return picture, tags
