"""Which frame of a film is shown at a time: frames as FilmSource counts them, whatever rate and clock they have."""

from bisect import bisect_left, bisect_right
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from vidcolor.errors import ReadError
from vidcolor.frames import TOLERANCE_SECONDS
from vidcolor.media.input_file import demux
from vidcolor.media.opening import open_film
from vidcolor.media.probe import examine
from vidcolor.media.source import FilmSource
from vidcolor.media.streams import choose_video

MAX_PACKETS = 1.5  # for each frame that is expected; with more of them a packet is a field


class FrameClock:
    """Counts a film's frames by the clock. The film is read through once, when it is first needed.

    Where its packets are its frames it is not decoded; else, as where a recording begins in the middle of a group of
    pictures, or its clock jumps, it is.
    """

    def __init__(self, path: Path):
        self._path = path
        self._examined = examine(path)
        self._info = self._examined.info

    @property
    def has_times(self) -> bool:
        """Whether it can tell frames by times: the film states a rate."""
        return bool(self._info.frame_rate)

    @property
    def is_seekable(self) -> bool:
        """Whether `pts` are those of the file, by which a frame can be sought."""
        return self._packets is not None

    @cached_property
    def pts(self) -> tuple[int, ...]:
        """The pts of all frames in the order in which they are shown, as FilmSource gives them."""
        if self._packets is not None:
            return self._packets
        with FilmSource(self._path) as source:
            return tuple(frame.pts or 0 for frame in source.frames())

    @cached_property
    def _packets(self) -> tuple[int, ...] | None:
        """The pts of all packets, if each is a frame that decodes; as far as that shows."""
        if not self.has_times or self._examined.timeline.jumps:
            return None
        found: list[int] = []
        try:
            with open_film(self._path) as container:
                stream, _ = choose_video(container, self._path)
                for packet in demux(container, stream):
                    if not packet.size:
                        continue
                    is_whole = packet.pts is not None and not (packet.is_corrupt or packet.is_discard)
                    if not is_whole or packet.pts is None or not (found or packet.is_keyframe):
                        return None
                    found.append(packet.pts)
        except (OSError, ReadError):
            return None
        found.sort()
        is_rising = all(one < other for one, other in pairwise(found))
        is_of_frames = len(found) <= MAX_PACKETS * (self._info.frame_count or len(found))
        return tuple(found) if is_rising and is_of_frames and found and found[0] >= 0 else None

    def number_at(self, seconds: float | Fraction | None) -> int:
        """Number of the first frame at or after a time, as players count it; 0 where no rate is known."""
        if not seconds or not self.has_times:
            return 0
        return bisect_left(self.pts, self._ticks(Fraction(seconds) - TOLERANCE_SECONDS))

    def number_shown_at(self, seconds: float | Fraction) -> int:
        """Number of the frame that is on screen at a time, as players count it; 0 where no rate is known.

        For times after the end it is that of no frame: the number of frames.
        """
        if not self.has_times or not self.pts:
            return 0
        last = Fraction(self.pts[-1] - self.pts[-2]) if len(self.pts) > 1 else Fraction(0)
        if self._ticks(Fraction(seconds)) > self.pts[-1] + max(last, self._step):
            return len(self.pts)
        return max(0, bisect_right(self.pts, self._ticks(Fraction(seconds) + TOLERANCE_SECONDS)) - 1)

    def time_of(self, number: int) -> float:
        """When a frame is shown, in seconds, as players count them; 0 where no rate is known."""
        if not self.has_times or not self.pts:
            return 0.0
        pts = self.pts[min(number, len(self.pts) - 1)]
        return float(pts * self._info.time_base - self._examined.start_seconds)

    @property
    def _step(self) -> Fraction:
        """Ticks of a frame at the stated rate."""
        return 1 / (self._info.frame_rate or Fraction(1)) / self._info.time_base

    def _ticks(self, seconds: Fraction) -> Fraction:
        return (seconds + self._examined.start_seconds) / self._info.time_base
