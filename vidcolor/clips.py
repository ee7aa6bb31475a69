"""VapourSynth clips, for those who restore films in scripts. The only home of vapoursynth, an optional package."""

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidcolor.errors import UsageError
from vidcolor.frames import PictureFormat

Planes: TypeAlias = tuple[NDArray[Any], NDArray[Any]]  # Cb and Cr
ColorLumas: TypeAlias = Callable[[Iterator[NDArray[Any]], PictureFormat], Iterator[Planes]]

# Frame properties by number, as in ITU-T H.273; what is not here is a film's usual matrix, by its size.
_MATRICES = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}
_NUMBERS = {"bt601": 6, "bt709": 1, "bt2020": 9}
_TRANSFERS = {16: "pq", 18: "hlg"}
_SD_HEIGHT = 576  # rows; above it a clip without a matrix is BT.709
_KEPT = 64  # frames whose colors wait for requests that come late, and how far a request may run ahead


def color_clip(clip: Any, color_lumas: ColorLumas) -> Any:
    """A clip with the colors of `color_lumas` in place of its chroma; its luma planes are shared, not copied.

    clip: a VideoNode, gray or YUV, 8 to 16 bits a sample. Gray becomes 4:4:4.  color_lumas: gives the chroma of frames
    in order. Frames are asked for in order; a request that leaps begins anew, with the colors of a new film.
    Raises UsageError.
    """
    try:
        import vapoursynth
    except ImportError as error:
        raise UsageError(f"clips are VapourSynth's, which cannot be imported ({error}).") from error
    if not isinstance(clip, vapoursynth.VideoNode):
        raise UsageError(f"{clip!r:.60} is no VapourSynth clip of pictures; for arrays there is rgb_frames.")
    found = clip.format
    if found is None or found.color_family == vapoursynth.UNDEFINED or not clip.width:
        raise UsageError("the clip's format or size varies; convert it to one, by core.resize.")
    is_yuv = found.color_family == vapoursynth.YUV
    if not (is_yuv or found.color_family == vapoursynth.GRAY) or found.sample_type != vapoursynth.INTEGER:
        raise UsageError(
            f"the clip is {found.name}; needed gray or YUV of 8 to 16 bits, such as core.resize.Bicubic(clip, "
            'format=vs.YUV444P16, matrix_s="709") gives.'
        )
    if found.bits_per_sample > 16:
        raise UsageError(f"the clip has {found.bits_per_sample} bits a sample; 8 to 16 can be colored.")
    with clip.get_frame(0) as first:
        picture = _read_picture(clip, dict(first.props))
    colors = _ClipColors(clip, picture, color_lumas)
    base = clip if is_yuv else _with_chroma(clip, picture)

    def color(n: int, f: Any) -> Any:
        out = f.copy()
        for plane, values in zip((1, 2), colors.read(n), strict=True):
            np.copyto(np.asarray(out[plane]), values)
        return out

    return base.std.ModifyFrame(base, color)


def _read_picture(clip: Any, props: dict[str, Any]) -> PictureFormat:
    """What the clip's code values mean, by the properties of its first frame."""
    usual = "bt709" if clip.height > _SD_HEIGHT else "bt601"
    # _Range says 1 for full; the older _ColorRange says 0.
    full_range = props["_Range"] == 1 if "_Range" in props else props.get("_ColorRange", 1) == 0
    return PictureFormat(
        clip.width,
        clip.height,
        clip.format.bits_per_sample,
        (clip.format.subsampling_w, clip.format.subsampling_h),
        full_range,
        _MATRICES.get(int(props.get("_Matrix", 2)), usual),
        _TRANSFERS.get(int(props.get("_Transfer", 2)), "sdr"),
    )


def _with_chroma(clip: Any, picture: PictureFormat) -> Any:
    """The clip as 4:4:4, with chroma planes to be filled."""
    import vapoursynth

    core = vapoursynth.core
    format_ = core.query_video_format(vapoursynth.YUV, vapoursynth.INTEGER, picture.bits, 0, 0)
    blank = core.std.BlankClip(clip, format=format_.id, keep=True)
    joined = core.std.ShufflePlanes([clip, blank, blank], [0, 1, 2], vapoursynth.YUV)
    return joined.std.SetFrameProps(_Matrix=_NUMBERS[picture.matrix])


class _ClipColors:
    """Chroma of a clip's frames by their number, made in order, for requests that come in nearly any."""

    def __init__(self, clip: Any, picture: PictureFormat, color_lumas: ColorLumas):
        self._clip, self._picture, self._color_lumas = clip, picture, color_lumas
        self._lock = threading.Lock()
        self._made: dict[int, Planes] = {}  # the last _KEPT
        self._next, self._chroma = 0, self._start(0)

    def read(self, number: int) -> Planes:
        """Chroma of a frame. Raises what coloring raises."""
        with self._lock:
            if number not in self._made:
                if not self._next <= number < self._next + _KEPT:
                    self._made.clear()
                    self._next, self._chroma = number, self._start(number)
                try:
                    for planes in islice(self._chroma, number - self._next + 1):
                        self._made[self._next] = planes
                        self._next += 1
                        self._made.pop(self._next - 1 - _KEPT, None)
                except BaseException:  # nothing comes behind it; the next request begins anew
                    self._next = self._clip.num_frames
                    raise
            return self._made[number]

    def _start(self, first: int) -> Iterator[Planes]:
        return self._color_lumas(self._lumas(first), self._picture)

    def _lumas(self, first: int) -> Iterator[NDArray[Any]]:
        for number in range(first, self._clip.num_frames):
            with self._clip.get_frame(number) as frame:
                yield np.array(frame[0])
