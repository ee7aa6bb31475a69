"""Steadying with a view of the shot: the network's opinions are averaged along the motion in both directions.

A frame waits until AHEAD later frames, or its shot's end, are known. Blocks of frames come out together: the average
backward in time is made once for each block. Blocks end at frame numbers that are multiples of palette.KEY_INTERVAL, so
that the result depends on nothing but the film.
Shapes: h w of a*b*; K p q of a likeness, see networks.likeness.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from vidcolor.color import Floats
from vidcolor.steady import palette
from vidcolor.steady.averaging import VIVIDNESS_LIMIT, Average, colorfulness
from vidcolor.steady.cuts import CutDetector, CutState
from vidcolor.steady.links import Link, find_link
from vidcolor.steady.matching import Match
from vidcolor.steady.motion import FlowFinder, Gray, gray_of
from vidcolor.steady.palette import KEY_INTERVAL, PaletteState
from vidcolor.steady.references import CorrectorState, ReferenceCorrector

AHEAD = 24  # frames that a frame waits for; more steadies hardly better
MAX_WEIGHT = 60  # predictions that the averages remember at most
AMOUNT_STEP = 1 / 20  # by which the measured amount of color follows each frame


@dataclass(frozen=True)
class Waiting:
    """A frame that no shot is known for yet. Saved by `to_arrays`: field names are part of the format."""

    gray: Gray
    ab_2hw: Floats
    match: Match | None = None
    likeness_Kpq: Floats | None = None


@dataclass(frozen=True)
class Held:
    """A frame of the newest shot. Saved by `to_arrays`: field names are part of the format."""

    gray: Gray
    ab_2hw: Floats  # the network's, corrected by what is known
    before: Link | None = None  # to the frame before; None: it begins the shot
    after: Link | None = None  # to the frame after, once that is known
    likeness_Kpq: Floats | None = None
    is_own: bool = False  # its colors are known


@dataclass(frozen=True)
class ShotState:
    """Everything that later frames depend on. Saved by `to_arrays`: field names are part of the format."""

    cuts: CutState = field(default_factory=CutState)
    waiting: tuple[Waiting, ...] = ()  # undecided frames, two at most: a flash or a new shot
    held: tuple[Held, ...] = ()  # frames of the newest shot that have no colors yet
    front: Average | None = None  # over the frames of the shot that came out; None: none did
    palette: PaletteState = field(default_factory=PaletteState)
    wanted_color: float = 0.0  # mean colorfulness of predictions
    found_color: float = 0.0  # and of what became of them
    number: int = 0  # of the next frame to come out
    guide: CorrectorState = field(default_factory=CorrectorState)


class ShotSteadier:
    """Averages the network's a*b* over a shot, and lets key frames agree on a palette."""

    def __init__(self, state: ShotState | None = None, corrector: ReferenceCorrector | None = None) -> None:
        """state: where another one stopped.  corrector: applies references; takes over its part of the state."""
        self._state = state or ShotState()
        self._corrector = corrector or ReferenceCorrector()
        self._corrector.state = self._state.guide
        self._detector = CutDetector(self._state.cuts)
        self._flow = FlowFinder()

    @property
    def state(self) -> ShotState:
        """What another steadier needs to continue with the next frame."""
        return replace(self._state, cuts=self._detector.state, guide=self._corrector.state)

    @property
    def waiting(self) -> int:
        """Frames that were pushed and have no colors yet."""
        return len(self._state.waiting) + len(self._state.held)

    def push(
        self, lightness_hw: Floats, ab_2hw: Floats, match: Match | None = None, likeness_Kpq: Floats | None = None
    ) -> list[Floats]:
        """Push the next frame; get the a*b* that are ready, in order.

        lightness: L* 0..100 as the network saw it.  ab: the network's a*b*.  match: what is known of the frame; for
        every frame of the film or for none.  likeness: see networks.likeness, of frames whose number is a multiple of
        KEY_INTERVAL.
        """
        gray = gray_of(lightness_hw)
        new = Waiting(gray, ab_2hw, match, likeness_Kpq)
        self._state = replace(self._state, waiting=(*self._state.waiting, new))
        return [ab for is_start in self._detector.push_gray(gray) for ab in self._decide(is_start)]

    def finish(self) -> list[Floats]:
        """End the film: the a*b* of frames that still wait."""
        ready = [ab for is_start in self._detector.finish() for ab in self._decide(is_start)]
        return ready + self._end_shot()

    def _decide(self, is_start: bool) -> list[Floats]:
        """Take the oldest undecided frame into its shot; gives the a*b* that are ready then."""
        frame, ready = self._state.waiting[0], list[Floats]()
        last = self._state.held[-1] if self._state.held else None
        if is_start or last is None or last.ab_2hw.shape != frame.ab_2hw.shape:
            ready = self._end_shot()
            last = None
        state = replace(self._state, waiting=self._state.waiting[1:])
        number, size = state.number + len(state.held), frame.ab_2hw.shape[1:]
        if last is None:
            ab, is_own = self._corrector.start_shot(frame.gray, frame.ab_2hw, number, frame.match)
            held = [Held(frame.gray, ab, None, None, frame.likeness_Kpq, is_own)]
        else:
            before = find_link(last.gray, frame.gray, self._flow(frame.gray, last.gray), size)
            after = find_link(frame.gray, last.gray, self._flow(last.gray, frame.gray), size)
            ab, is_own = self._corrector.continue_shot(before, frame.gray, frame.ab_2hw, number, frame.match)
            held = [replace(last, after=after), Held(frame.gray, ab, before, None, frame.likeness_Kpq, is_own)]
        kept = () if last is None else state.held[:-1]
        self._state = replace(state, held=(*kept, *held))
        count = self._block_length
        return ready + (self._color_block(count) if len(self._state.held) == count + AHEAD else [])

    @property
    def _block_length(self) -> int:
        """Frames from the next one to come out to the end of its block."""
        return KEY_INTERVAL - self._state.number % KEY_INTERVAL

    def _end_shot(self) -> list[Floats]:
        """Color all held frames, and forget their shot."""
        ready: list[Floats] = []
        while self._state.held:
            last = self._state.held[-1]
            ready += self._color_block(min(self._block_length, len(self._state.held)))
            if not self._state.held:
                self._corrector.end_shot(last.gray, ready[-1])
        self._state = replace(self._state, front=None, palette=PaletteState())
        return ready

    def _color_block(self, count: int) -> list[Floats]:
        """Color the first `count` held frames."""
        backward = self._average_backward(count)
        ready = []
        for place in range(count):
            ready.append(self._color_next(backward[place], self._state.held[place:]))
        self._state = replace(self._state, held=self._state.held[count:])
        return ready

    def _average_backward(self, count: int) -> list[Average]:
        """For the first `count` held frames: the average over themselves and the AHEAD frames after the block."""
        found: list[Average] = []
        average: Average | None = None
        for frame in reversed(self._state.held[: count + AHEAD]):
            average = _add(average, frame, frame.after)
            found.append(average)
        return found[::-1][:count]

    def _color_next(self, backward: Average, rest: tuple[Held, ...]) -> Floats:
        """Color the first frame of `rest`, the held frames from it on."""
        state, frame = self._state, rest[0]
        front = _add(state.front, frame, frame.before)
        ab = frame.ab_2hw if frame.is_own else _join(front, backward, frame.ab_2hw)
        shifts, progress = state.palette, state.number % KEY_INTERVAL / KEY_INTERVAL
        if frame.before is not None:
            shifts = palette.follow(shifts, frame.before)
        if progress == 0 and frame.likeness_Kpq is not None and not self._corrector.state.is_matched:
            ahead = [
                palette.make_key(later.likeness_Kpq, later.ab_2hw)
                for later in rest[KEY_INTERVAL::KEY_INTERVAL]
                if later.likeness_Kpq is not None
            ]
            is_start = frame.before is None
            shifts = palette.agree(shifts, frame.likeness_Kpq, ab, ahead, is_start=is_start)
        shifted = ab if frame.is_own else palette.shift(shifts, ab, progress)
        amounts = (colorfulness(frame.ab_2hw), colorfulness(shifted))
        if state.front is None:
            wanted, found = amounts
        else:
            wanted, found = (
                old + AMOUNT_STEP * (new - old)
                for old, new in zip((state.wanted_color, state.found_color), amounts, strict=True)
            )
        ratio = 1.0 if frame.is_own else wanted / max(found, 1e-3)
        self._state = replace(
            state, front=front, palette=shifts, wanted_color=wanted, found_color=found, number=state.number + 1
        )
        vivid: Floats = shifted * np.float32(np.clip(ratio, 1 / VIVIDNESS_LIMIT, VIVIDNESS_LIMIT))
        return vivid


def _add(average: Average | None, frame: Held, link: Link | None) -> Average:
    """An average with one more frame, to which `link` leads; one whose colors are known begins anew."""
    if average is None or link is None or frame.is_own:
        return Average.start(frame.ab_2hw)
    return average.update(frame.ab_2hw, link, frame.gray, max_weight=MAX_WEIGHT)


def _join(front: Average, back: Average, predicted_2hw: Floats) -> Floats:
    """The mean of what two averages rest on; both hold the frame's own prediction."""
    weight = front.weight_hw + back.weight_hw - 1
    joined: Floats = (front.weight_hw * front.ab_2hw + back.weight_hw * back.ab_2hw - predicted_2hw) / weight
    return joined
