"""Every frame's a*b* in, steadier a*b* out: the per-frame way, frame by frame, with the film's own state."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from vidcolor.color import Floats
from vidcolor.cuts import CutDetector, CutState
from vidcolor.motion import FlowFinder, Gray, gray_of
from vidcolor.steady.average import Average
from vidcolor.steady.links import Link, link

Mode = Literal["smooth", "flow"]


@dataclass(frozen=True)
class SteadyState:
    """All that later frames depend on. stored.arrays_of makes plain arrays of it and stored.restored the way back."""

    cuts: CutState = field(default_factory=CutState)
    waiting_gray: tuple[Gray, ...] = ()  # frames, two at most, that are not yet told from a flash
    waiting_ab: tuple[Floats, ...] = ()  # and the network's opinions on them
    last: Gray | None = None  # the newest picture in the average
    average: Average | None = None


class Steadier:
    """Averages the network's a*b* over a shot, so that still things hold their colour and moving things keep theirs.

    "smooth" compares each pixel with the same place in the frame before; "flow" with the place that it came from,
    by optical flow. Where luma differs, the carried colour is held to what the network now sees there. The first frame
    of a shot begins afresh. At most two frames (cuts.DELAY_FRAMES) wait.
    """

    def __init__(self, mode: Mode = "smooth", state: SteadyState | None = None) -> None:
        self.mode = mode
        self._state = state or SteadyState()
        self._detector = CutDetector(self._state.cuts)
        self._flow = FlowFinder()

    @property
    def state(self) -> SteadyState:
        """What another Steadier needs to go on with the next frame, as if nothing had happened."""
        return replace(self._state, cuts=self._detector.state)

    @property
    def waiting(self) -> int:
        """Frames pushed whose colour has not come out: 0 to 2."""
        return len(self._state.waiting_gray)

    def push(self, lightness_hw: Floats, ab_2hw: Floats) -> list[Floats]:
        """The next frame: L* 0..100 as the network saw it, a*b* as it said, of any size -> the a*b* that are ready.

        None to three, in the frames' order and of their shapes.
        """
        gray = gray_of(lightness_hw)
        waiting = (*self._state.waiting_gray, gray), (*self._state.waiting_ab, ab_2hw)
        self._state = replace(self._state, waiting_gray=waiting[0], waiting_ab=waiting[1])
        return [self._next(is_start) for is_start in self._detector.push_gray(gray)]

    def finish(self) -> list[Floats]:
        """The film has ended: the frames that still wait."""
        return [self._next(is_start) for is_start in self._detector.finish()]

    def _next(self, is_start: bool) -> Floats:
        state = self._state
        gray, opinion = state.waiting_gray[0], state.waiting_ab[0]
        if is_start or state.last is None or state.average is None or state.average.ab_2hw.shape != opinion.shape:
            average = Average.begun(opinion)
        else:
            average = state.average.joined(opinion, self._link(state.last, gray, opinion.shape[1:]), gray)
        self._state = SteadyState(state.cuts, state.waiting_gray[1:], state.waiting_ab[1:], gray, average)
        return average.vivid_2hw

    def _link(self, before: Gray, now: Gray, size: tuple[int, ...]) -> Link:
        flow = self._flow(now, before) if self.mode == "flow" else np.zeros((*now.shape, 2), np.float32)
        return link(before, now, flow, size)


def steady(pairs: Iterable[tuple[Floats, Floats]], mode: Mode = "smooth") -> Iterator[Floats]:
    """(L* (h, w), a*b* (2, h', w')) of every frame of a film -> steady a*b* of every frame, at most two frames late."""
    steadier = Steadier(mode)
    for lightness_hw, ab_2hw in pairs:
        yield from steadier.push(lightness_hw, ab_2hw)
    yield from steadier.finish()
