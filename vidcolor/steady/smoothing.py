"""Every frame's a*b* in, steadier a*b* out: the per-frame way, frame by frame, with the film's own state."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from vidcolor.color import Floats
from vidcolor.steady.averaging import Average
from vidcolor.steady.cuts import CutDetector, CutState
from vidcolor.steady.links import Link, find_link
from vidcolor.steady.motion import FlowFinder, Gray, gray_of
from vidcolor.steady.references import CorrectorState, ReferenceCorrector

Mode = Literal["smooth", "flow"]


@dataclass(frozen=True)
class SmoothingState:
    """All that later frames depend on. stored.arrays_of makes plain arrays of it and stored.restored the way back."""

    cuts: CutState = field(default_factory=CutState)
    waiting_gray: tuple[Gray, ...] = ()  # frames, two at most, that are not yet told from a flash
    waiting_ab: tuple[Floats, ...] = ()  # and the network's opinions on them
    last: Gray | None = None  # the newest picture in the average
    average: Average | None = None
    number: int = 0  # of the next frame to come out
    guide: CorrectorState = field(default_factory=CorrectorState)


class ColorSmoother:
    """Averages the network's a*b* over a shot, so that still things hold their color and moving things keep theirs.

    "smooth" compares each pixel with the same place in the frame before; "flow" with the place that it came from,
    by optical flow. Where luma differs, the carried color is held to what the network now sees there. The first frame
    of a shot begins afresh. At most two frames (cuts.DELAY_FRAMES) wait.
    """

    def __init__(
        self, mode: Mode = "smooth", state: SmoothingState | None = None, corrector: ReferenceCorrector | None = None
    ) -> None:
        """state: where another one left off.  guide: what is known of the film's colors; it takes over its state."""
        self.mode = mode
        self._state = state or SmoothingState()
        self._corrector = corrector or ReferenceCorrector()
        self._corrector.state = self._state.guide
        self._detector = CutDetector(self._state.cuts)
        self._flow = FlowFinder()

    @property
    def state(self) -> SmoothingState:
        """What another Steadier needs to go on with the next frame, as if nothing had happened."""
        return replace(self._state, cuts=self._detector.state, guide=self._corrector.state)

    @property
    def waiting(self) -> int:
        """Frames pushed whose color has not come out: 0 to 2."""
        return len(self._state.waiting_gray)

    def push(self, lightness_hw: Floats, ab_2hw: Floats) -> list[Floats]:
        """The next frame: L* 0..100 as the network saw it, a*b* as it said, of any size -> the a*b* that are ready.

        None to three, in the frames' order and of their shapes.
        """
        gray = gray_of(lightness_hw)
        waiting = (*self._state.waiting_gray, gray), (*self._state.waiting_ab, ab_2hw)
        self._state = replace(self._state, waiting_gray=waiting[0], waiting_ab=waiting[1])
        return [self._smooth_next(is_start) for is_start in self._detector.push_gray(gray)]

    def finish(self) -> list[Floats]:
        """The film has ended: the frames that still wait."""
        return [self._smooth_next(is_start) for is_start in self._detector.finish()]

    def _smooth_next(self, is_start: bool) -> Floats:
        state, corrector = self._state, self._corrector
        gray, predicted = state.waiting_gray[0], state.waiting_ab[0]
        last, before = state.last, state.average
        if is_start or last is None or before is None or before.ab_2hw.shape != predicted.shape:
            if last is not None and before is not None:
                corrector.end_shot(last, before.vivid_2hw)
            average = Average.start(corrector.start_shot(gray, predicted, state.number)[0])
        else:
            link = self._find_link(last, gray, predicted.shape[1:])
            predicted, is_known = corrector.continue_shot(link, gray, predicted, state.number)
            average = Average.start(predicted) if is_known else before.update(predicted, link, gray)
        self._state = SmoothingState(
            state.cuts, state.waiting_gray[1:], state.waiting_ab[1:], gray, average, state.number + 1
        )
        return average.vivid_2hw

    def _find_link(self, before: Gray, now: Gray, size: tuple[int, ...]) -> Link:
        flow = self._flow(now, before) if self.mode == "flow" else np.zeros((*now.shape, 2), np.float32)
        return find_link(before, now, flow, size)


def smooth(pairs: Iterable[tuple[Floats, Floats]], mode: Mode = "smooth") -> Iterator[Floats]:
    """(L* (h, w), a*b* (2, h', w')) of every frame of a film -> steady a*b* of every frame, at most two frames late."""
    smoother = ColorSmoother(mode)
    for lightness_hw, ab_2hw in pairs:
        yield from smoother.push(lightness_hw, ab_2hw)
    yield from smoother.finish()
