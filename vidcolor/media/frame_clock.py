"""Which frame of a film is shown at a time, also where frames come at a variable rate."""

import math
from bisect import bisect_left, bisect_right
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from vidcolor.frames import TOLERANCE_SECONDS
from vidcolor.media.input_file import demux
from vidcolor.media.opening import open_film
from vidcolor.media.probe import examine
from vidcolor.media.streams import choose_video

MAX_PACKETS = 1.5  # for each frame that is expected; with more of them a packet is a field


class FrameClock:
    """Counts a film's frames by the clock. The film is read through once, when it is first needed; not decoded."""

    def __init__(self, path: Path):
        self._path = path
        examined = examine(path)
        self._info, self._start_seconds = examined.info, examined.start_seconds

    @property
    def has_times(self) -> bool:
        """Whether it can tell frames by times: the film states a rate."""
        return bool(self._info.frame_rate)

    @cached_property
    def pts(self) -> tuple[int, ...] | None:
        """The pts of all frames in the order in which they are shown; None: they come at one rate."""
        rate = self._info.frame_rate
        if not rate:
            return None
        with open_film(self._path) as container:
            stream, _ = choose_video(container, self._path)
            found = [packet.pts for packet in demux(container, stream) if packet.size and not packet.is_discard]
        known = sorted(pts for pts in found if pts is not None)
        if len(known) < len(found) or len(known) > MAX_PACKETS * (self._info.frame_count or len(known)):
            return None
        step = 1 / (rate * self._info.time_base)
        is_even = all(abs(pts - known[0] - number * step) < step / 2 for number, pts in enumerate(known))
        return None if is_even else tuple(known)

    def number_at(self, seconds: float | Fraction | None) -> int:
        """Number of the first frame at or after a time, as players count it; 0 where no rate is known."""
        if not seconds or not self._info.frame_rate:
            return 0
        if self.pts is None:
            return math.ceil((Fraction(seconds) - TOLERANCE_SECONDS) * self._info.frame_rate)
        return bisect_left(self.pts, self._ticks(Fraction(seconds) - TOLERANCE_SECONDS))

    def number_shown_at(self, seconds: float | Fraction) -> int:
        """Number of the frame that is on screen at a time, as players count it; 0 where no rate is known."""
        if self.pts is None:
            return math.floor((Fraction(seconds) + TOLERANCE_SECONDS) * (self._info.frame_rate or 0))
        return max(0, bisect_right(self.pts, self._ticks(Fraction(seconds) + TOLERANCE_SECONDS)) - 1)

    def time_of(self, number: int) -> float:
        """When a frame is shown, in seconds, as players count them; 0 where no rate is known."""
        if self.pts is None:
            return float(number / self._info.frame_rate) if self._info.frame_rate else 0.0
        return float(self.pts[min(number, len(self.pts) - 1)] * self._info.time_base - self._start_seconds)

    def _ticks(self, seconds: Fraction) -> Fraction:
        return (seconds + self._start_seconds) / self._info.time_base
