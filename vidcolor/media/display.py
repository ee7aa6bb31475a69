"""Photos, frames and short clips as browsers show them: sRGB, upright, square pixels, JPEG and H.264.

Shapes: H W of the picture as shown.
"""

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from vidcolor.errors import SourceError
from vidcolor.frames import FilmInfo
from vidcolor.media.photos import Rgb
from vidcolor.media.pixels import reformat
from vidcolor.media.pyav import open_output
from vidcolor.media.stills.shown import shown_in_turn

_CLOCK = 90_000  # ticks a second, in which every usual frame rate is whole
_BT709 = 1  # AVCOL_SPC_BT709, AVCOL_PRI_BT709, AVCOL_TRC_BT709
_MATRICES = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709, "bt2020": Colorspace.BT2020}


def read_photo(path: Path, longest: int) -> Rgb:
    """A photo's first page, its long side at most `longest` pixels. Raises SourceError where it cannot be read."""
    if not path.is_file():
        raise SourceError(f"{path}: no such file.")
    return fitted(shown_in_turn(path, enough=longest), longest)


def read_frame(native: VideoFrame, info: FilmInfo, longest: int) -> Rgb:
    """A decoded frame of a film, its long side at most `longest` pixels as shown."""
    turns = info.rotation_degrees // 90 % 4
    width = native.width * float(info.sample_aspect_ratio or 1)
    scale = min(1.0, longest / max(width, native.height))
    size = max(1, round(width * scale)), max(1, round(native.height * scale))
    is_rgb = native.format.is_rgb
    rgb = reformat(
        native, width=size[0], height=size[1], format="rgb24",
        src_colorspace=None if is_rgb else _MATRICES[info.picture.matrix],
        src_color_range=None if is_rgb else ColorRange.JPEG if info.picture.full_range else ColorRange.MPEG,
        interpolation="AREA" if scale < 1 else "BICUBIC",
    )  # fmt: skip
    return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), turns))


def fitted(rgb: Rgb, longest: int) -> Rgb:
    """The picture itself, or, where a side is longer, a smaller copy."""
    scale = longest / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    return resized_to(rgb, size)


def resized_to(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """The picture at (width, height)."""
    if (rgb.shape[1], rgb.shape[0]) == size:
        return rgb
    how = cv2.INTER_AREA if size[0] < rgb.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8)


def jpeg(rgb: Rgb, quality: int) -> bytes:
    """A JPEG file, grey where the picture is."""
    is_grey = np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2])
    file = io.BytesIO()
    Image.fromarray(rgb[..., 0] if is_grey else rgb).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def clip(pictures: Iterable[tuple[Fraction, Rgb]], seconds: float, most_bytes: int) -> bytes:
    """A film without sound, H.264 in MP4, that every browser plays.

    pictures: seconds from 0, rising, and pictures of one size with even sides.  seconds: how long they last in all.
    most_bytes: the encoder stays below it, about.
    """
    file, last = io.BytesIO(), -1
    kilobits = max(50, round(most_bytes * 8 * 0.9 / max(seconds, 0.5) / 1000))
    options = {"crf": "21", "preset": "medium", "maxrate": f"{kilobits}k", "bufsize": f"{kilobits}k"}
    with open_output(file, format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        context: Any = stream.codec_context
        context.time_base, context.pix_fmt = Fraction(1, _CLOCK), "yuv420p"
        context.color_range, context.colorspace = int(ColorRange.MPEG), _BT709
        context.color_primaries = context.color_trc = _BT709
        for time, rgb in pictures:
            if last < 0:
                stream.height, stream.width = rgb.shape[:2]
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
            frame = reformat(frame, format="yuv420p", dst_colorspace=Colorspace.ITU709, interpolation="BICUBIC")
            last = max(last + 1, round(time * _CLOCK))
            frame.pts, frame.time_base = last, Fraction(1, _CLOCK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
