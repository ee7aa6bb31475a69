"""The choice of key frames, the frames that the network predicts, on a stream of small lightness pictures."""

from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import numpy as np

from vidcolor.color import Floats
from vidcolor.errors import UsageError
from vidcolor.steady.cuts import CutDetector, CutState
from vidcolor.steady.links import find_link
from vidcolor.steady.motion import FlowFinder, Gray, compose_flows, gray_of

MIN_INTERVAL = 4  # frames from key to key at least, where keys are chosen by error
MAX_INTERVAL = 12  # and at most: so many frames are in memory
MAX_EVERY = 120  # frames from key to key that a user may ask for: all are in memory, 370 MB at 1080p
MAX_UNEXPLAINED = 0.2  # share of the picture; from there a new key is due


@dataclass(frozen=True)
class PlannedFrame:
    """A frame and where its colors come from. Saved by `to_arrays`: field names are part of the format."""

    gray: Gray  # as motion.gray_of makes it
    is_key: bool  # predicted by the network
    is_start: bool  # begins a shot: nothing is warped to it
    flow_HW2: Floats | None  # to the key before, in pixels of `gray`; None where a shot begins
    number: int = 0  # of the frame in the film


@dataclass(frozen=True)
class PlanState:
    """Everything that later decisions depend on. Saved by `to_arrays`: field names are part of the format."""

    cuts: CutState = field(default_factory=CutState)
    waiting: tuple[Gray, ...] = ()  # undecided frames, two at most
    key: Gray | None = None  # the last key
    last: Gray | None = None  # the last decided frame
    flow_HW2: Floats | None = None  # from the last decided frame to the key
    steps: int = 0  # frames from the key to the last decided frame
    number: int = 0  # of the next frame to decide


def check_every(every: Any) -> None:
    """Raise UsageError for a distance of keys that is not a whole number from 1 to MAX_EVERY. None: auto."""
    if every is not None and not (isinstance(every, Integral) and 1 <= int(every) <= MAX_EVERY):
        raise UsageError(
            f"every {every}: needs 1 (every frame), 4 (one in four) and so on, {MAX_EVERY} at most, or auto."
        )


class KeyPlanner:
    """Chooses key frames: the first of every shot, and then one of N, or as few as the measured error allows.

    The error is the share of the picture whose luma differs from the last key's, warped along optical flow.
    At most two frames (cuts.DELAY_FRAMES) wait.
    """

    def __init__(
        self, every: int | None = None, state: PlanState | None = None, *, keys: frozenset[int] = frozenset()
    ) -> None:
        """every: one frame of so many is a key; None: by error, one of 4 to 12.  keys: numbers of frames that are keys
        in any case.

        Raises UsageError for less than 1 and more than MOST_EVERY.
        """
        check_every(every)
        self._every, self._keys = every, keys
        self._state = state or PlanState()
        self._detector = CutDetector(self._state.cuts)
        self._flow = FlowFinder()

    @property
    def state(self) -> PlanState:
        """What another planner of the same `every` needs to continue with the next frame."""
        return replace(self._state, cuts=self._detector.state)

    @property
    def waiting(self) -> int:
        """Frames that were pushed and are undecided: 0 to 2."""
        return len(self._state.waiting)

    def push(self, lightness_hw: Floats) -> list[PlannedFrame]:
        """Push the next frame, L* 0..100 at the network's size; get the decided frames, none to three, in order."""
        gray = gray_of(lightness_hw)
        self._state = replace(self._state, waiting=(*self._state.waiting, gray))
        decided = self._detector.push_gray(gray)
        flashes = 0 if any(decided) else len(decided) - 1  # frames that waited and began no shot
        return [self._plan_next(is_start, number < flashes) for number, is_start in enumerate(decided)]

    def finish(self) -> list[PlannedFrame]:
        """End the film: the frames that still wait."""
        return [self._plan_next(is_start, is_flash=False) for is_start in self._detector.finish()]

    def _plan_next(self, is_start: bool, is_flash: bool) -> PlannedFrame:
        state = self._state
        gray, number = state.waiting[0], state.number
        after = replace(state, waiting=state.waiting[1:], last=gray, number=number + 1)
        as_key = replace(after, key=gray, flow_HW2=None, steps=0)
        if is_start or state.last is None or state.key is None:
            self._state = as_key
            return PlannedFrame(gray, is_key=True, is_start=True, flow_HW2=None, number=number)
        step = self._flow(gray, state.last)
        flow = step if state.flow_HW2 is None else compose_flows(step, state.flow_HW2)
        steps = state.steps + 1
        is_key = number in self._keys or (
            self._is_due(state.key, gray, flow, steps) and not (is_flash and steps < MAX_INTERVAL)
        )
        self._state = as_key if is_key else replace(after, flow_HW2=flow, steps=steps)
        return PlannedFrame(gray, is_key=is_key, is_start=False, flow_HW2=flow, number=number)

    def _is_due(self, key: Gray, gray: Gray, flow_HW2: Floats, steps: int) -> bool:
        if self._every is not None:
            return steps >= self._every
        return steps >= MAX_INTERVAL or (
            steps >= MIN_INTERVAL and unexplained_share(key, gray, flow_HW2) > MAX_UNEXPLAINED
        )


def unexplained_share(key: Gray, gray: Gray, flow_HW2: Floats) -> float:
    """Share of `gray` that differs from `key` warped along the flow: 0..1."""
    cells = gray.shape[0] // 2, gray.shape[1] // 2
    return float(np.mean(find_link(key, gray, flow_HW2, cells).trust_hw < 0.5))
