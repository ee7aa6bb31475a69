"""A film's frames in order, luma untouched, as far as the file decodes."""

from __future__ import annotations  # Packet[...] is for type checkers only

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from av.codec.context import ThreadType
from av.container import Flags, InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.errors import ReadError, SourceError, UsageError
from vidcolor.frames import TOLERANCE_SECONDS, Crop, FilmInfo, Frame, PictureFormat, Plane, ResumePoint, checksum_of
from vidcolor.media.first_frames import shape_text
from vidcolor.media.hw_decoders import HardwareError, choose_device, is_twin, open_on
from vidcolor.media.input_file import packets as packets_of
from vidcolor.media.input_file import require_read
from vidcolor.media.pixels import chroma_of, layout_of, luma_of, reformat, to_planar
from vidcolor.media.probe import choose_video, cropped, examine, open_container
from vidcolor.media.pyav import fraction_of

_WITHOUT_PTS = {"avi", "h264", "hevc", "m4v", "mpegvideo", "vc1"}
_TIMES_SOME = {"mpeg"}  # program streams need no time for every frame, and FFmpeg's guesses may be a frame off
_SEEK_BACK_SECONDS = (0, 1, 2, 4, 8, 16)  # before a time, until a key frame is met
_LEADING_FRAMES = 32  # H.264 reorders at most 16
_CUT_OFF_SECONDS = 1.0  # a picture that ends this much before its stated duration was cut off


@dataclass
class Damage:
    """What was wrong with the film, counted while it was read."""

    corrupt_packets: int = 0  # flagged by the demuxer
    undecodable_packets: int = 0  # the decoder gave an error instead of a frame
    corrupt_frames: int = 0  # decoded with errors, yielded all the same
    repaired_timestamps: int = 0  # absent or not later than the frame before
    resized_frames: int = 0  # the picture changed size or format mid-stream and was converted
    ends_early_seconds: float = 0.0

    def excuse_joins(self, count: int) -> None:
        """The last packet before a join of recordings is flagged, as the count of packets breaks off there."""
        if not self.corrupt_frames and not self.undecodable_packets:
            self.corrupt_packets -= min(self.corrupt_packets, count)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def describe(self) -> str:
        """One line for the report; empty for a sound film."""
        parts = [f"{count} {name.replace('_', ' ')}" for name, count in vars(self).items() if count and name[0] != "e"]
        if self.ends_early_seconds:
            parts.append(f"ends {self.ends_early_seconds:.1f} s early")
        return ", ".join(parts)


class FilmSource:
    """Decodes the picture of a film. `start` and `end` are seconds as a player shows them.

    is_cropping: give only the part of the picture that players show, where the file says that.
    hwaccel: off, auto or one of devices.DEVICES, to decode on a graphics chip. Where none can, and from where it fails
    or meets damage, the film is decoded in software: frames are the same, each comes once, and `warnings` says why.
    """

    def __init__(
        self,
        path: Path,
        *,
        start: float | None = None,
        end: float | None = None,
        hwaccel: str = "off",
        is_cropping: bool = False,
    ) -> None:
        if (start is not None and start < 0) or (end is not None and end <= (start or 0)):
            raise UsageError(f"the range {start or 0} s to {end} s is empty or negative; give start < end in seconds.")
        self.path = Path(path)
        self.examined = examine(self.path)
        self._crop: Crop | None = None
        self._coded: PictureFormat = self.examined.info.picture
        if is_cropping and self.examined.info.crop:
            self._crop = self.examined.info.crop
            self.examined = cropped(self.examined)
        self.info: FilmInfo = self.examined.info
        self.start, self.end = start, end
        self.damage = Damage()
        self.warnings: list[str] = []
        self._container: InputContainer | None = None
        self._begun = False
        self._hwaccel = hwaccel
        self._device: str | None = None  # what decodes; None: software

    def __enter__(self) -> Self:
        if self._hwaccel != "off":
            try:
                self._device = choose_device(self.path, self.examined, self._hwaccel)
            except HardwareError as failure:
                self.warnings.append(f"decoded in software, as no hardware decoder serves: {failure}")
        self._container = open_container(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def range_pts(self) -> tuple[int | None, int | None]:
        """First pts of the range and the pts it ends before, in the film's time_base."""
        start = None if self.start is None else self._pts_from(Fraction(self.start))
        end = None if self.end is None else self._pts_from(Fraction(self.end))
        return start, end

    def _pts_from(self, seconds: Fraction) -> int:
        """The least pts of frames that begin at a time, as players count it, or later."""
        ticks = (seconds + self.examined.start_seconds) / self.info.time_base
        return math.ceil(ticks - min(TOLERANCE_SECONDS / self.info.time_base, Fraction(1, 2)))

    def time_of(self, frame: Frame) -> Fraction:
        """When a frame is shown: seconds, as players count them."""
        return (frame.pts or 0) * self.info.time_base - self.examined.start_seconds

    def frame_at(self, seconds: Fraction, *, is_of_another: bool = False) -> Frame | None:
        """The frame on screen at a time, as players count it; the first for times before it, None after the end.

        is_of_another: the time is that of a frame in another film, which this one's clock need not be able to tell: it
        may be off by a quarter of a tick.
        """
        slack = max(TOLERANCE_SECONDS, self.info.time_base / 4) if is_of_another else TOLERANCE_SECONDS
        shown: Frame | None = None
        begun = max(Fraction(0), seconds - slack) + self.examined.start_seconds
        for frame in self._frames(math.floor(begun / self.info.time_base)):
            if shown is not None and self.time_of(frame) > seconds + slack:
                return shown
            shown = frame
        if shown is None:
            return None
        rate = self.info.frame_rate or Fraction(25)
        lasting = shown.native.duration * self.info.time_base if shown.native.duration else 1 / rate
        return shown if seconds < self.time_of(shown) + lasting + slack else None

    def frames(self, after: ResumePoint | None = None) -> Iterator[Frame]:
        """Every frame once, in the order shown, pts strictly rising. `damage` is complete when the iterator ends.

        after: leave out the frames up to this one. They are jumped over where that leads to the very same frame, else
        decoded; damage in frames that were jumped over is not counted again.
        """
        if self._device is None:
            yield from self._after(after)
            return
        last: Frame | None = None
        count = after.count if after else 0
        try:
            for last in self._after(after):
                yield last
                count += 1
        except HardwareError as failure:
            self.warnings.append(f"decoded by {self._device} up to frame {count}, from there in software: {failure}")
            self._device = None
            if last is not None and last.pts is not None:
                after = ResumePoint(count, last.pts, checksum_of(last.luma))
            yield from self._after(after)

    @property
    def _can_seek(self) -> bool:
        """FFmpeg looks for a time by halving the file, which needs a clock that only rises.

        Frames that are timed by their order, if only in part, need all that come before: behind a key frame B-frames
        are lost.
        """
        kind = self.info.container.split(",")[0]
        by_order_alone = kind in _TIMES_SOME or (kind in _WITHOUT_PTS and (kind != "avi" or self.examined.has_b_frames))
        return not self.examined.timeline.jumps and not by_order_alone

    def _after(self, after: ResumePoint | None) -> Iterator[Frame]:
        """Frames without those up to a place, by what decodes now. Raises HardwareError."""
        start, _ = self.range_pts()
        if after is None:
            yield from self._frames(start)
            return
        if self._can_seek and self.info.container.split(",")[0] not in _WITHOUT_PTS:
            following = self._frames(after.pts)
            if _leads_to(after, following):
                yield from following
                return
        yield from islice(self._frames(start), after.count, None)

    def _frames(self, seek_pts: int | None) -> Iterator[Frame]:
        """Those of the range, from the key frame at or before a time."""
        if self._container is None:
            raise UsageError("FilmSource is used as a context manager: with FilmSource(path) as source.")
        start, end = self.range_pts()
        last: VideoFrame | None = None
        shapes = Counter[Fraction]()
        frames, stream = self._sought(seek_pts)
        for frame in frames:
            assert frame.pts is not None
            if end is not None and frame.pts >= end:
                break
            if start is None or frame.pts >= start:
                shapes[fraction_of(stream.codec_context.sample_aspect_ratio) or Fraction(1)] += 1
                yield self._as_frame(frame)
                last = frame
        if last is None:
            raise SourceError(
                f"{self.path}: no frame decodes in the range asked for; the film is {_length(self.info)}."
            )
        self._note_early_end(stream, last, end)
        own = self.info.sample_aspect_ratio or Fraction(1)
        others = {shape: count for shape, count in shapes.items() if shape != own}
        if others and len(shapes) > 1:
            said = ", ".join(f"{count} frames have {shape_text(shape)}" for shape, count in others.items())
            self.warnings.append(f"the pixel shape is {shape_text(own)} throughout; of the film's own, {said}")

    def _sought(self, seek_pts: int | None) -> tuple[Iterator[VideoFrame], VideoStream]:
        """Decoded frames from a key frame at or before a time on; from the start where seeking leads to none.

        In formats without an index FFmpeg lands somewhere, and what follows need not decode to the film's own frames.
        """
        if seek_pts is not None and self._can_seek:
            for seconds in _SEEK_BACK_SECONDS:
                frames, stream = self._opened_at(seek_pts - math.ceil(seconds / self.info.time_base))
                first = next(frames, None)
                if first is not None and first.pts is not None and first.pts <= seek_pts and first.key_frame:
                    self.damage = Damage()  # what lies before a key frame does not decode without the one before
                    return chain([first], frames), stream
        return self._opened_at(None)

    def _opened_at(self, seek_pts: int | None) -> tuple[Iterator[VideoFrame], VideoStream]:
        container, stream = self._reopened() if self._begun or self._device else self._prepared()
        self._begun = True
        self.damage = Damage()
        if seek_pts is not None:
            try:
                container.seek(seek_pts, stream=stream)
            except FFmpegError as error:
                require_read(container, error)
                return iter(()), stream
        decoded = self._decoded(container, stream)
        return self._timed(self._alike(decoded) if self._device else decoded, stream), stream

    def _reopened(self) -> tuple[InputContainer, VideoStream]:
        assert self._container is not None
        self._container.close()
        self._container = open_on(self.path, self._device) if self._device else open_container(self.path)
        return self._prepared()

    def _prepared(self) -> tuple[InputContainer, VideoStream]:
        assert self._container is not None
        stream, _ = choose_video(self._container, self.path)
        stream.thread_type = ThreadType.AUTO  # slice threads alone decode at 0.6-0.7 of the speed
        return self._container, stream

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Frames as the decoder gives them; a packet that fails is counted and passed over."""
        by_order = container.format.name in _WITHOUT_PTS
        if by_order:
            # FFmpeg would guess pts, wrongly with B-frames. The k-th frame shown is at the k-th dts. In program streams
            # it guesses rightly: there not every frame need have a time, and none is damage.
            container.flags &= ~cast(int, Flags.gen_pts.value)
        dts_in_order: deque[int] = deque()
        packets = self.examined.timeline.straightened(packets_of(container, stream))
        while True:
            try:
                packet: Packet[VideoStream] | None = next(packets, None)
            except FFmpegError:
                self.damage.corrupt_packets += 1
                return
            if packet is None:
                self.damage.excuse_joins(self.examined.timeline.jumps)
                return
            if not packet.size and packet.dts is not None:
                continue  # AVI's "as before"; to the decoder an empty packet would mean the end
            self.damage.corrupt_packets += packet.is_corrupt
            if by_order and packet.dts is not None:
                dts_in_order.append(packet.dts)
            try:
                frames = packet.decode()
            except FFmpegError:
                self.damage.undecodable_packets += 1
                if dts_in_order:
                    dts_in_order.pop()
                continue
            for frame in frames:
                self.damage.corrupt_frames += frame.is_corrupt
                if by_order:
                    frame.pts = dts_in_order.popleft() if dts_in_order else None
                yield frame

    def _alike(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """A device's frames up to where the software might give others. Raises HardwareError there."""
        for frame in frames:
            self._require_no_damage()
            if (frame.width, frame.height) != (self._coded.width, self._coded.height):
                raise HardwareError("the picture changes its size")
            if not is_twin(frame, self.examined.layout):
                raise HardwareError("the picture changes its format")
            yield frame
        self._require_no_damage()

    def _require_no_damage(self) -> None:
        """Devices hide damage each in its own way, or stop. Raises HardwareError."""
        if self.damage.corrupt_packets or self.damage.undecodable_packets or self.damage.corrupt_frames:
            raise HardwareError(f"it met {self.damage.describe()}")

    def _timed(self, frames: Iterator[VideoFrame], stream: VideoStream) -> Iterator[VideoFrame]:
        """Give every frame a pts later than the one before: its own, else from dts, else from the frame rate."""
        previous: VideoFrame | None = None
        may_lack = self.info.container.split(",")[0] in _TIMES_SOME
        for frame in self._with_known_start(frames, stream):
            pts = frame.pts if frame.pts is not None else frame.dts
            if previous is None:
                pts = pts if pts is not None else (stream.start_time or 0)
            else:
                assert previous.pts is not None
                if pts is None or pts <= previous.pts:
                    pts = previous.pts + self._duration(previous, stream)
            if pts != frame.pts:
                self.damage.repaired_timestamps += not may_lack
                frame.pts = pts
            frame.time_base = stream.time_base
            yield frame
            previous = frame

    def _with_known_start(self, frames: Iterator[VideoFrame], stream: VideoStream) -> Iterator[VideoFrame]:
        """Frames before the first that has a pts are timed back from it, by the frame rate."""
        leading = []
        for frame in frames:
            leading.append(frame)
            if frame.pts is not None or len(leading) > _LEADING_FRAMES:
                break
        known = leading[-1].pts if leading else None
        for index, frame in enumerate(leading[:-1]):
            if known is not None:
                frame.pts = known - (len(leading) - 1 - index) * self._duration(frame, stream)
                self.damage.repaired_timestamps += 1
            yield frame
        yield from leading[-1:]
        yield from frames

    def _duration(self, frame: VideoFrame, stream: VideoStream) -> int:
        if frame.duration:
            return frame.duration
        if self.info.frame_rate and stream.time_base:
            return max(1, round(1 / (self.info.frame_rate * stream.time_base)))
        return 1

    def _as_frame(self, native: VideoFrame) -> Frame:
        whole = self._as_whole_frame(native)
        if self._crop is None:
            return whole
        chroma = whole.chroma and partial(self._cropped_chroma, whole.chroma)
        return replace(whole, luma=self._crop.apply(whole.luma), chroma=chroma)

    def _cropped_chroma(self, chroma: Callable[[], tuple[Plane, Plane]]) -> tuple[Plane, Plane]:
        """Its samples where the picture begins, or those that the first pixel shares."""
        assert self._crop is not None
        across, down = self._coded.chroma_shift
        top, left = self._crop.top >> down, self._crop.left >> across
        rows, columns = self.info.picture.chroma_size
        cb, cr = (plane[top : top + rows, left : left + columns] for plane in chroma())
        return cb, cr

    def _as_whole_frame(self, native: VideoFrame) -> Frame:
        picture, first = self._coded, self.info.pixel_format
        if (native.width, native.height) != (picture.width, picture.height):
            # One output stream has one size. The frame is scaled rather than the film refused, and it is counted.
            self.damage.resized_frames += 1
            native = _scaled(native, picture.width, picture.height, first)
        elif self._device and native.format.name != first:
            # The conversion moves chroma alone, and keeps times, flags and side data, which the sink asks for.
            luma = luma_of(native, layout_of(native.format.name))
            planar = reformat(native, format=self.examined.layout.planar)
            return Frame(luma, native.pts, planar, self._chroma(planar))
        elif native.format.name != first:
            self.damage.resized_frames += 1
            native = reformat(native, format=first)
        layout = layout_of(native.format.name)
        if not layout.readable:
            converted = to_planar(native, layout, picture)
            luma = luma_of(converted, layout_of(converted.format.name))
            return Frame(luma, native.pts, native, self._chroma(converted))
        return Frame(luma_of(native, layout), native.pts, native, self._chroma(native))

    def _chroma(self, native: VideoFrame) -> Callable[[], tuple[Plane, Plane]] | None:
        layout = layout_of(native.format.name)
        return None if layout.is_gray else partial(chroma_of, native, layout, self._coded)

    def _note_early_end(self, stream: VideoStream, last: VideoFrame, range_end: int | None) -> None:
        if stream.time_base is None or self.info.duration_seconds is None:
            return
        stated_end = float((stream.start_time or 0) * stream.time_base) + self.info.duration_seconds
        wanted = stated_end if range_end is None else min(stated_end, float(range_end * stream.time_base))
        assert last.pts is not None
        missing = wanted - float((last.pts + self._duration(last, stream)) * stream.time_base)
        if missing > _CUT_OFF_SECONDS:
            self.damage.ends_early_seconds = missing


def _leads_to(place: ResumePoint, frames: Iterator[Frame]) -> bool:
    """Whether these frames reach that one, all alike; it is then the last one taken."""
    try:
        for frame in frames:
            if frame.pts is None or frame.pts >= place.pts:
                return frame.pts == place.pts and checksum_of(frame.luma) == place.checksum
    except ReadError:
        raise
    except (SourceError, FFmpegError):  # seeking led nowhere; decoding from the start will say what is wrong
        pass
    return False


def _scaled(native: VideoFrame, width: int, height: int, pixel_format: str) -> VideoFrame:
    scaled = reformat(native, width=width, height=height, format=pixel_format, interpolation="BICUBIC")
    scaled.pts, scaled.time_base = native.pts, native.time_base
    return scaled


def _length(info: FilmInfo) -> str:
    return "of unknown length" if info.duration_seconds is None else f"{info.duration_seconds:.1f} s long"
