"""Temporal smoothing of a*b* that were predicted for every frame."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from vidcolor.choices import AveragingMode
from vidcolor.color import Floats
from vidcolor.steady.averaging import Average
from vidcolor.steady.cuts import CutDetector, CutState
from vidcolor.steady.links import Link, find_link
from vidcolor.steady.matching import Match
from vidcolor.steady.motion import FlowFinder, Gray, gray_of
from vidcolor.steady.references import CorrectorState, ReferenceCorrector


@dataclass(frozen=True)
class SmoothingState:
    """Everything that later frames depend on. Saved by `to_arrays`: field names are part of the format."""

    cuts: CutState = field(default_factory=CutState)
    waiting_gray: tuple[Gray, ...] = ()  # undecided frames, two at most: a flash or a new shot
    waiting_ab: tuple[Floats, ...] = ()  # and the network's predictions for them
    waiting_match: tuple[Match, ...] = ()  # and what stills say of them; none without stills
    last: Gray | None = None  # the newest picture in the average
    average: Average | None = None
    number: int = 0  # of the next frame to come out
    guide: CorrectorState = field(default_factory=CorrectorState)


class ColorSmoother:
    """Averages the network's a*b* over a shot, without mixing colors of different objects.

    "smooth" compares each pixel with the same place in the frame before; "flow" with the place that it came from,
    by optical flow. Where luma differs, the warped color is clipped to the range of the new prediction. Each shot
    starts a new average. At most two frames (cuts.DELAY_FRAMES) wait.
    """

    def __init__(
        self,
        mode: AveragingMode = "smooth",
        state: SmoothingState | None = None,
        corrector: ReferenceCorrector | None = None,
    ) -> None:
        """state: where another smoother stopped.  corrector: applies references; takes over its part of the state."""
        self.mode = mode
        self._state = state or SmoothingState()
        self._corrector = corrector or ReferenceCorrector()
        self._corrector.state = self._state.guide
        self._detector = CutDetector(self._state.cuts)
        self._flow = FlowFinder()

    @property
    def state(self) -> SmoothingState:
        """What another smoother needs to continue with the next frame."""
        return replace(self._state, cuts=self._detector.state, guide=self._corrector.state)

    @property
    def waiting(self) -> int:
        """Frames that were pushed and have no colors yet: 0 to 2."""
        return len(self._state.waiting_gray)

    def push(
        self, lightness_hw: Floats, ab_2hw: Floats | None, match: Match | None = None,
        likeness_Kpq: Floats | None = None,
    ) -> list[Floats]:  # fmt: skip
        """Push the next frame; get the a*b* that are ready, none to three, in order and of their own shapes.

        lightness: L* 0..100 as the network saw it.  ab: the network's a*b*, of any size.  match: what stills say of the
        frame; for every frame of the film or for none.  likeness: not used here.
        """
        assert ab_2hw is not None, "every frame needs a prediction"
        del likeness_Kpq
        state, gray = self._state, gray_of(lightness_hw)
        self._state = replace(
            state, waiting_gray=(*state.waiting_gray, gray), waiting_ab=(*state.waiting_ab, ab_2hw),
            waiting_match=() if match is None else (*state.waiting_match, match),
        )  # fmt: skip
        return [self._smooth_next(is_start) for is_start in self._detector.push_gray(gray)]

    def finish(self) -> list[Floats]:
        """End the film: the a*b* of frames that still wait."""
        return [self._smooth_next(is_start) for is_start in self._detector.finish()]

    def _smooth_next(self, is_start: bool) -> Floats:
        state, corrector = self._state, self._corrector
        gray, predicted = state.waiting_gray[0], state.waiting_ab[0]
        match = state.waiting_match[0] if state.waiting_match else None
        last, before = state.last, state.average
        if is_start or last is None or before is None or before.ab_2hw.shape != predicted.shape:
            if last is not None and before is not None:
                corrector.end_shot(last, before.vivid_2hw)
            average = Average.start(corrector.start_shot(gray, predicted, state.number, match)[0])
        else:
            link = self._find_link(last, gray, predicted.shape[1:])
            predicted, is_known = corrector.continue_shot(link, gray, predicted, state.number, match)
            average = Average.start(predicted) if is_known else before.update(predicted, link, gray)
        self._state = SmoothingState(
            state.cuts,
            state.waiting_gray[1:],
            state.waiting_ab[1:],
            state.waiting_match[1:],
            gray,
            average,
            state.number + 1,
        )
        return average.vivid_2hw

    def _find_link(self, before: Gray, now: Gray, size: tuple[int, ...]) -> Link:
        flow = self._flow(now, before) if self.mode == "flow" else np.zeros((*now.shape, 2), np.float32)
        return find_link(before, now, flow, size)


def smooth(pairs: Iterable[tuple[Floats, Floats]], mode: AveragingMode = "smooth") -> Iterator[Floats]:
    """(L* (h, w), a*b* (2, h', w')) of every frame of a film -> smoothed a*b* of every frame."""
    smoother = ColorSmoother(mode)
    for lightness_hw, ab_2hw in pairs:
        yield from smoother.push(lightness_hw, ab_2hw)
    yield from smoother.finish()
