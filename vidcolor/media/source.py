"""A film's frames in order, luma untouched, as far as the file decodes: all of them, or a range."""

import math
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.counts import counted
from vidcolor.errors import ReadError, Remark, SourceError, UsageError
from vidcolor.frames import TOLERANCE_SECONDS, FilmInfo, Frame, ResumePoint, checksum_of
from vidcolor.media.damage import Damage
from vidcolor.media.decoder_frames import FrameConverter
from vidcolor.media.frame_reader import FrameReader
from vidcolor.media.frame_sampling import aspect_ratio_text
from vidcolor.media.hw_decoders import HardwareError, choose_device
from vidcolor.media.probe import crop_to_shown, examine, states_duration
from vidcolor.media.pyav import fraction_of

# A picture that ends this much before its stated duration was cut off: a short one where that is a share of it, too.
_CUT_OFF_SECONDS, _CUT_OFF_SHARE, _SHORTEST_CUT = 1.0, 0.1, 0.2
_GUESSED_FRAMES = 2  # by which a length may be off, where frames are slow


class FilmSource:
    """Decodes the picture of a film. `start` and `end` are seconds as a player shows them.

    is_cropping: give only the part of the picture that players show, where the file says that.
    hwaccel: one of choices.HWACCELS, to decode on a graphics chip. Where none can, and from where it fails or meets
    damage, the film is decoded in software: frames are the same, each comes once, and `warnings` says why.
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
        coded = examine(self.path)
        crop = coded.info.crop if is_cropping else None
        self.examined = crop_to_shown(coded) if crop else coded
        self.info: FilmInfo = self.examined.info
        self.start, self.end = start, end
        self.warnings: list[str] = []
        self._reader = FrameReader(self.path, coded)
        self._converter = FrameConverter(coded, crop)
        self._hwaccel = hwaccel

    def __enter__(self) -> Self:
        if self._hwaccel != "off":
            try:
                self._reader.device = choose_device(self.path, self.examined, self._hwaccel)
            except HardwareError as failure:
                self.warnings.append(f"decoded in software, as no hardware decoder serves: {failure}")
        self._reader.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    @property
    def damage(self) -> Damage:
        """What was wrong with the frames read since reading began."""
        return self._reader.damage

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

    def frame_at(self, seconds: Fraction, *, is_from_other_film: bool = False) -> Frame | None:
        """The frame on screen at a time, as players count it; the first for times before it, None after the end.

        is_from_other_film: the time is that of a frame in another film, whose clock may be finer than this one's; it
        may be off by a quarter of a tick.
        """
        slack = max(TOLERANCE_SECONDS, self.info.time_base / 4) if is_from_other_film else TOLERANCE_SECONDS
        shown: Frame | None = None
        earliest = max(Fraction(0), seconds - slack) + self.examined.start_seconds
        for frame in self._read_range(math.floor(earliest / self.info.time_base)):
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
        if self._reader.device is None:
            yield from self._read_after(after)
            return
        last: Frame | None = None
        count = after.count if after else 0
        try:
            for last in self._read_after(after):
                yield last
                count += 1
        except HardwareError as failure:
            change = f"decoded by {self._reader.device} up to frame {count}, from there in software: {failure}"
            self.warnings.append(Remark(change))
            self._reader.device = None
            if last is not None and last.pts is not None:
                after = ResumePoint(count, last.pts, checksum_of(last.luma))
            yield from self._read_after(after)

    def _read_after(self, after: ResumePoint | None) -> Iterator[Frame]:
        """Frames of the range behind a resume point, as the device or the software decodes them.

        Raises HardwareError.
        """
        start, _ = self.range_pts()
        if after is None:
            yield from self._read_range(start)
            return
        if self._reader.can_seek and self._reader.has_stored_times:
            following = self._read_range(after.pts)
            if _reach(following, after):
                yield from following
                return
        yield from islice(self._read_range(start), after.count, None)

    def _read_range(self, seek_pts: int | None) -> Iterator[Frame]:
        """Frames of the range, from the key frame at or before a time."""
        if not self._reader.is_open:
            raise UsageError("FilmSource is used as a context manager: with FilmSource(path) as source.")
        start, end = self.range_pts()
        last: VideoFrame | None = None
        shapes = Counter[Fraction]()
        frames, stream = self._reader.read_from(seek_pts)
        for frame in frames:
            assert frame.pts is not None
            if end is not None and frame.pts >= end:
                break
            if start is None or frame.pts >= start:
                shapes[fraction_of(stream.codec_context.sample_aspect_ratio) or Fraction(1)] += 1
                is_from_device = self._reader.device is not None
                yield self._converter.convert(frame, self.damage, is_from_device=is_from_device)
                last = frame
        if last is None:
            raise SourceError(
                f"{self.path}: no frame decodes in the range asked for; the film is {_length_text(self.info)}."
            )
        self._note_early_end(stream, last, end)
        self._note_other_shapes(shapes)

    def _note_other_shapes(self, shapes: Counter[Fraction]) -> None:
        """Warn of frames whose pixels have another shape than the film's."""
        own = self.info.sample_aspect_ratio or Fraction(1)
        others = {shape: count for shape, count in shapes.items() if shape != own}
        if others and len(shapes) > 1:
            listed = ", ".join(
                f"{counted(count, 'frame has', 'frames have')} {aspect_ratio_text(shape)}"
                for shape, count in others.items()
            )
            self.warnings.append(f"the pixel shape is {aspect_ratio_text(own)} throughout; of the film's own, {listed}")

    def _note_early_end(self, stream: VideoStream, last: VideoFrame, range_end: int | None) -> None:
        if stream.time_base is None or self.info.duration_seconds is None:
            return
        # Where only the container states a length, it counts from its own start, and may be that of longer sound.
        assert isinstance(stream.container, InputContainer)
        if states_duration(stream):
            begin = float((stream.start_time or 0) * stream.time_base)
        else:
            begin = (stream.container.start_time or 0) / av.time_base
        stated_end = begin + self.info.duration_seconds
        wanted = stated_end if range_end is None else min(stated_end, float(range_end * stream.time_base))
        assert last.pts is not None
        lasting = float(self._reader.duration_of(last, stream) * stream.time_base)
        missing = wanted - float(last.pts * stream.time_base) - lasting
        is_own = states_duration(stream) or len(stream.container.streams) == 1
        share = max(_SHORTEST_CUT, _CUT_OFF_SHARE * self.info.duration_seconds) if is_own else _CUT_OFF_SECONDS
        # Lengths that FFmpeg guesses from the order of decoding are off by the frames that wait for others.
        if missing > max(min(_CUT_OFF_SECONDS, share), _GUESSED_FRAMES * lasting):
            self.damage.ends_early_seconds = missing


def _reach(frames: Iterator[Frame], point: ResumePoint) -> bool:
    """Take frames up to a resume point; whether its very frame is among them. It is then the last one taken."""
    try:
        for frame in frames:
            if frame.pts is None or frame.pts >= point.pts:
                return frame.pts == point.pts and checksum_of(frame.luma) == point.checksum
    except ReadError:
        raise
    except (SourceError, FFmpegError):  # seeking led nowhere; decoding from the start will say what is wrong
        pass
    return False


def _length_text(info: FilmInfo) -> str:
    return "of unknown length" if info.duration_seconds is None else f"{info.duration_seconds:.1f} s long"
