"""Single frames of a film, reached by seeking: to train on and to look at, not to copy the film.

Positions are frame numbers counted at the film's average rate; where frames come at a variable rate they are times,
unless a frame clock tells each frame's (see media.frame_clock).
The shape of a pixel (SAR) is ignored, rotation is applied.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from av.codec.context import ThreadType
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from vidcolor.media.input_file import check_read, demux
from vidcolor.media.keyframes import decode_keyframe, find_keyframe, time_of
from vidcolor.media.opening import open_film
from vidcolor.media.pixels import reformat
from vidcolor.media.probe import examine
from vidcolor.media.streams import choose_video
from vidcolor.stills.rgb import Rgb

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED


@dataclass(frozen=True)
class VideoProperties:
    """What reading single frames of a film needs."""

    width: int  # as shown, after rotation
    height: int
    frame_count: int  # as stated, else counted in packets
    frame_rate: Fraction
    container: str
    bits: int
    matrix: str  # "bt601", "bt709" or "bt2020"
    is_matrix_stated: bool
    is_hdr: bool


def read_properties(path: Path) -> VideoProperties:
    """Probe a film, and count its frames where it does not state them. Raises SourceError for what is no film."""
    examined = examine(path)
    info, picture = examined.info, examined.info.picture
    with open_film(path) as container:
        stream, _ = choose_video(container, path)
        is_stated = stream.codec_context.colorspace != _UNSPECIFIED
        count = info.frame_count or sum(1 for packet in demux(container, stream) if packet.size)
    turned = info.rotation_degrees % 180 == 90
    width, height = (picture.height, picture.width) if turned else (picture.width, picture.height)
    return VideoProperties(
        width, height, count, info.frame_rate or Fraction(25), info.container, picture.bits, picture.matrix,
        is_stated, picture.transfer != "sdr",
    )  # fmt: skip


def frames_at(
    path: Path,
    wanted: Sequence[tuple[int, int]],
    film: VideoProperties,
    size: tuple[int, int],
    *,
    pts: Sequence[int] | None = None,
) -> Iterator[tuple[int, Rgb] | None]:
    """A frame of each range, in order: its number, and its picture as sRGB; None where it does not decode.

    wanted: ascending ranges (first, last) of frame numbers. A keyframe in the range is preferred, as it decodes without
    others; else the last frame is read.  size: width and height as shown.  pts: of all frames, of a variable rate.
    """
    with open_film(path) as finder, open_film(path) as container:
        reader = _FrameReader(path, finder, container, film, pts)
        for first, last in wanted:
            found = reader.read(first, last)
            yield None if found is None else (found[0], _to_rgb(found[1], film, size))


def sample_frames(path: Path, film: VideoProperties, count: int, size: tuple[int, int]) -> Iterator[Rgb]:
    """Up to `count` frames evenly spaced over a film, as sRGB of (width, height); without frames that do not decode."""
    wanted = sorted({(number, number) for number in (film.frame_count * step // count for step in range(count))})
    return (found[1] for found in frames_at(path, wanted, film, size) if found is not None)


def sample_keyframes(path: Path, film: VideoProperties, count: int, size: tuple[int, int]) -> Iterator[tuple[int, Rgb]]:
    """As `sample_frames`, but at most one keyframe of each of `count` equal parts, where it has one: much faster.

    Each with its number.
    """
    edges = sorted({film.frame_count * step // count for step in range(count + 1)})
    with open_film(path) as finder, open_film(path) as container:
        reader = _FrameReader(path, finder, container, film, None)
        found = (reader.read_key(first, after - 1) for first, after in pairwise(edges))
        yield from ((each[0], _to_rgb(each[1], film, size)) for each in found if each is not None)


class _FrameReader:
    """Decodes forward, and seeks when a keyframe lies between here and there.

    A second handle on the file looks for that keyframe, as seeking with the first would lose the decoder's place.
    """

    def __init__(
        self, path: Path, finder: InputContainer, container: InputContainer, film: VideoProperties,
        pts: Sequence[int] | None,
    ):  # fmt: skip
        self._finder, self._container = finder, container
        self._finder_stream, _ = choose_video(finder, path)
        self._stream, _ = choose_video(container, path)
        self._stream.thread_type = ThreadType.AUTO
        # A bare stream has no times to seek by: its frames are counted from the start.
        self._is_seekable = self._stream.duration is not None or container.duration is not None
        self._step = 1 / (film.frame_rate * (self._stream.time_base or Fraction(1, 1000)))  # pts a frame
        self._start = self._stream.start_time or 0
        self._pts = pts
        self._frames = _decode(container, self._stream)
        self._counted = 0
        self._position: int | None = None  # number of the last frame decoded

    def read(self, first: int, last: int) -> tuple[int, VideoFrame] | None:
        key = self._keyframe_before(last) if self._is_seekable else None
        if key is not None and (self._position is None or key > self._position):
            self._container.seek(self._pts_of(key), stream=self._stream)
            self._frames = _decode(self._container, self._stream)
        stop = last if key is None or key < first else key
        for frame in self._frames:
            self._position = self._number(frame)
            self._counted += 1
            if self._position >= stop and not frame.is_corrupt:
                return self._position, frame
        return None

    def read_key(self, first: int, last: int) -> tuple[int, VideoFrame] | None:
        """The last keyframe of a range, after its number; None where there is none. Not to be mixed with `read`."""
        key = self._keyframe_before(last) if self._is_seekable else None
        if key is None or key < first:
            return None
        self._container.seek(self._pts_of(key), stream=self._stream)
        packet = find_keyframe(self._container, self._stream)
        frame = None if packet is None else decode_keyframe(self._stream, packet)
        return None if frame is None or frame.is_corrupt else (key, frame)

    def _number(self, frame: VideoFrame) -> int:
        pts = frame.pts if frame.pts is not None else frame.dts
        return self._counted if pts is None or not self._is_seekable else self._number_of(pts)

    def _number_of(self, pts: int) -> int:
        return round((pts - self._start) / self._step) if self._pts is None else bisect_left(self._pts, pts)

    def _pts_of(self, number: int) -> int:
        if self._pts is None:
            return self._start + round(number * self._step)
        return self._pts[min(number, len(self._pts) - 1)]

    def _keyframe_before(self, number: int) -> int | None:
        try:
            self._finder.seek(self._pts_of(number), stream=self._finder_stream)
        except FFmpegError as error:
            check_read(self._finder, error)  # else there is no seeking in this file: it is decoded through
            return None
        packet = find_keyframe(self._finder, self._finder_stream)
        pts = None if packet is None else time_of(packet)
        key = None if pts is None else self._number_of(pts)
        return None if key is None or key > number else key


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Frames from the container's position on; packets that do not decode are skipped."""
    packets = demux(container, stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except FFmpegError:
            continue


def _to_rgb(frame: VideoFrame, film: VideoProperties, size: tuple[int, int]) -> Rgb:
    turns = frame.rotation // 90 % 4
    width, height = size[::-1] if turns % 2 else size
    # swscale takes a matrix that is not stated for BT.601 at every size; players and `read_properties` do not.
    matrix = Colorspace.ITU709 if film.matrix == "bt709" and not film.is_matrix_stated else None
    # Bilinear is what decord does, so that frames are equal whoever reads them; swscale averages when it shrinks.
    scaled = reformat(
        frame, width=width, height=height, format="rgb24", src_colorspace=matrix, interpolation="BILINEAR"
    )
    return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), turns))
