"""Which frames the network is asked about, decided while the film streams by, from small lightness alone."""

from dataclasses import dataclass, field, replace

import numpy as np

from vidcolor.color import Floats
from vidcolor.errors import UsageError
from vidcolor.steady.cuts import CutDetector, CutState
from vidcolor.steady.links import find_link
from vidcolor.steady.motion import FlowFinder, Gray, compose_flows, gray_of

MIN_INTERVAL = 4  # frames between two keys of a shot at least, where they are chosen by error
MAX_INTERVAL = 12  # and at most: so many frames are held
MAX_EVERY = 120  # frames from key to key that may be asked for: all of them are held, 370 MB of them at 1080p
MAX_UNEXPLAINED = 0.2  # share of the picture that the last key does not explain, from which a new one is due


@dataclass(frozen=True)
class PlannedFrame:
    """A frame, and where its color comes from."""

    gray: Gray  # the frame as motion is looked for in it
    is_key: bool  # ask the network
    is_start: bool  # it begins a shot: nothing is carried to it
    flow_HW2: Floats | None  # from a frame that begins no shot to the key before, in pixels of `gray`
    number: int = 0  # of the film's frames


@dataclass(frozen=True)
class PlanState:
    """All that later decisions depend on."""

    cuts: CutState = field(default_factory=CutState)
    waiting: tuple[Gray, ...] = ()  # frames, two at most, that are not yet told from a flash
    key: Gray | None = None  # the last key
    last: Gray | None = None  # the last frame that was decided on
    flow_HW2: Floats | None = None  # from that to the key
    steps: int = 0  # frames from the key to that
    number: int = 0  # of the next frame to be decided on


def check_every(every: int | None) -> None:
    """Raise UsageError for a distance of keys that is none, or that more frames would have to be held for than may."""
    if every is not None and not 1 <= every <= MAX_EVERY:
        raise UsageError(
            f"every {every}: needs 1 (every frame), 4 (one in four) and so on, {MAX_EVERY} at most, or auto."
        )


class KeyPlanner:
    """Chooses key frames: every first frame of a shot, and then one of N, or as few as the measured error allows.

    The error is the share of the picture whose luma differs from that of the last key, carried along optical flow.
    At most two frames (cuts.DELAY_FRAMES) wait.
    """

    def __init__(
        self, every: int | None = None, state: PlanState | None = None, *, keys: frozenset[int] = frozenset()
    ) -> None:
        """every: ask the network about one frame of so many; None: by error, one of 4 to 12.  keys: frames that are
        asked about in any case.

        Raises UsageError for less than 1 and more than MOST_EVERY.
        """
        check_every(every)
        self._every, self._keys = every, keys
        self._state = state or PlanState()
        self._detector = CutDetector(self._state.cuts)
        self._flow = FlowFinder()

    @property
    def state(self) -> PlanState:
        """What another planner of the same `every` needs to go on with the next frame."""
        return replace(self._state, cuts=self._detector.state)

    @property
    def waiting(self) -> int:
        """Frames pushed that are not decided on: 0 to 2."""
        return len(self._state.waiting)

    def push(self, lightness_hw: Floats) -> list[PlannedFrame]:
        """The next frame, L* 0..100 as the network would see it -> the frames now decided, none to three, in order."""
        gray = gray_of(lightness_hw)
        self._state = replace(self._state, waiting=(*self._state.waiting, gray))
        decided = self._detector.push_gray(gray)
        flashes = 0 if any(decided) else len(decided) - 1  # whoever waited for nothing was one
        return [self._plan_next(is_start, number < flashes) for number, is_start in enumerate(decided)]

    def finish(self) -> list[PlannedFrame]:
        """The film has ended: the frames that still wait."""
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
    """Share of `gray` that shows something else than `key` does along the flow: 0..1."""
    cells = gray.shape[0] // 2, gray.shape[1] // 2
    return float(np.mean(find_link(key, gray, flow_HW2, cells).trust_hw < 0.5))
