"""Frames and short clips as browsers show them: sRGB, upright, square pixels, H.264.

Shapes: H W of the picture as shown.
"""

import io
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from vidcolor.frames import FilmInfo
from vidcolor.media.pixels import reformat
from vidcolor.media.pyav import open_output
from vidcolor.stills.rgb import Rgb

_CLOCK = 90_000  # ticks a second, in which every usual frame rate is whole
_BT709 = 1  # AVCOL_SPC_BT709, AVCOL_PRI_BT709, AVCOL_TRC_BT709
_MATRICES = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709, "bt2020": Colorspace.BT2020}


def frame_to_rgb(native: VideoFrame, info: FilmInfo, longest: int) -> Rgb:
    """A decoded frame of a film as sRGB (H, W, 3), upright, its long side at most `longest` pixels."""
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


def encode_clip(pictures: Iterable[tuple[Fraction, Rgb]], seconds: float, most_bytes: int) -> bytes:
    """Encode a film without sound, H.264 in MP4, that every browser plays.

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
