"""Steadying with a view of the shot: the network's opinions are averaged along the motion in both directions.

Blocks of frames come out together, when the AHEAD frames after them, or their shot's end, are known: the average
backward in time is made once for each block. Blocks end at frame numbers that are multiples of palette.KEY_INTERVAL, so
that the result depends on nothing but the film.
Shapes: h w of a*b*; K p q of a likeness, see networks.likeness.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.steady.averaging import Average, Memory, colorfulness, variety
from vidcolor.steady.cuts import CutDetector, CutState
from vidcolor.steady.links import Link, find_link
from vidcolor.steady.matching import Match
from vidcolor.steady.motion import FlowFinder, Gray, gray_of
from vidcolor.steady.palette import KEY_INTERVAL, PaletteKey, agree
from vidcolor.steady.references import CorrectorState, ReferenceCorrector

AHEAD = 12  # frames after its block that a block waits for; 24 steady hardly better, and cost memory
MEMORY = Memory(max_weight=60, unexplained=0.99, deviations=3.0)
AMOUNT_STEP = 1 / 50  # by which the measured variety of colors follows each frame
ASKED_EVERY = 6  # frames, where little changes; even, and divides KEY_INTERVAL
LIKE_EXPOSURE = 2.0  # L*: difference of the means to the frame before, above which exposure changes
LIKE = 12.0  # L*: mean difference to the frame before, below which a frame is like it
MORE_VARIETY = 1.15  # by which variety may ask for more color than the mean square does
VIVIDNESS_LIMIT = 1.4  # largest factor, up or down, that restores a shot's variety of colors


@dataclass(frozen=True)
class Waiting:
    """A frame that no shot is known for yet. Saved by `to_arrays`: field names are part of the format."""

    gray: Gray
    ab_2hw: Floats | None
    lightness_hw: Floats | None = None  # where the network was not asked
    match: Match | None = None
    likeness_Kpq: Floats | None = None


@dataclass(frozen=True)
class Held:
    """A frame of the newest shot. Saved by `to_arrays`: field names are part of the format."""

    gray: Gray
    ab_2hw: Floats  # the network's, corrected by what is known
    before: Link | None = None  # to the frame before; None: it begins the shot
    after: Link | None = None  # to the frame after, once that is known
    is_own: bool = False  # its colors are known
    weight_hw: Floats | None = None  # opinions that its colors rest on; None: one


@dataclass(frozen=True)
class Amounts:
    """How much color a shot has: means over its frames. Saved by `to_arrays`: field names are part of the format."""

    wanted_variety: float  # of the colors that were predicted
    found_variety: float  # of what became of them
    wanted_color: float
    found_color: float

    @classmethod
    def measure(cls, predicted_2hw: Floats, ab_2hw: Floats) -> "Amounts":
        """Those of one frame."""
        return cls(variety(predicted_2hw), variety(ab_2hw), colorfulness(predicted_2hw), colorfulness(ab_2hw))

    def follow(self, new: "Amounts") -> "Amounts":
        """The means with one more frame."""
        pairs = zip(astuple(self), astuple(new), strict=True)
        return Amounts(*(old + AMOUNT_STEP * (value - old) for old, value in pairs))

    @property
    def factor(self) -> float:
        """The factor on a*b* that brings back what averaging took: differences of colors, but no noise.

        Opinions that contradict each other make colors more alike. What varies from pixel to pixel alone adds little to
        the mean square, by which it is told from that.
        """
        kept = self.wanted_color / max(self.found_color, 1e-3)
        factor = min(self.wanted_variety / max(self.found_variety, 1e-3), MORE_VARIETY * kept)
        return min(max(factor, 1 / VIVIDNESS_LIMIT), VIVIDNESS_LIMIT)


@dataclass(frozen=True)
class ShotState:
    """Everything that later frames depend on. Saved by `to_arrays`: field names are part of the format."""

    cuts: CutState = field(default_factory=CutState)
    waiting: tuple[Waiting, ...] = ()  # undecided frames, two at most: a flash or a new shot
    held: tuple[Held, ...] = ()  # frames of the newest shot that have no colors yet
    front: Average | None = None  # over the frames of the shot that came out; None: none did
    keys: tuple[PaletteKey, ...] = ()  # of the newest shot
    amounts: Amounts | None = None  # of the newest shot
    number: int = 0  # of the next frame to come out
    guide: CorrectorState = field(default_factory=CorrectorState)


class ShotSteadier:
    """Averages the network's a*b* over a shot, and lets key frames agree on a palette."""

    def __init__(
        self, state: ShotState | None = None, corrector: ReferenceCorrector | None = None,
        ask: Callable[[Floats], Floats] | None = None,
    ) -> None:  # fmt: skip
        """state: where another one stopped.  corrector: applies references; takes over its part of the state.  ask: the
        network, L* to a*b*, about a shot's first frame that was pushed without its colors.
        """
        self._ask = ask
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
        self, lightness_hw: Floats, ab_2hw: Floats | None, match: Match | None = None,
        likeness_Kpq: Floats | None = None,
    ) -> list[Floats]:  # fmt: skip
        """Push the next frame; get the a*b* that are ready, in order.

        lightness: L* 0..100 as the network saw it.  ab: the network's a*b*; None: it was not asked, see `is_needless`.
        match: what is known of the frame; for
        every frame of the film or for none.  likeness: see networks.likeness, of frames whose number is a multiple of
        KEY_INTERVAL.
        """
        gray = gray_of(lightness_hw)
        new = Waiting(gray, ab_2hw, lightness_hw if ab_2hw is None else None, match, likeness_Kpq)
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
        if frame.ab_2hw is not None:
            opinion = frame.ab_2hw
        elif last is not None and not is_start:
            opinion = last.ab_2hw
        else:
            assert self._ask is not None
            assert frame.lightness_hw is not None
            opinion = self._ask(frame.lightness_hw)
        if is_start or last is None or last.ab_2hw.shape != opinion.shape:
            ready = self._end_shot()
            last = None
        state = replace(self._state, waiting=self._state.waiting[1:])
        number, size = state.number + len(state.held), opinion.shape[1:]
        if last is None:
            before = None
            ab, is_own = self._corrector.start_shot(frame.gray, opinion, number, frame.match)
        else:
            before = find_link(last.gray, frame.gray, self._flow(frame.gray, last.gray), size)
            after = find_link(frame.gray, last.gray, self._flow(last.gray, frame.gray), size)
            if frame.ab_2hw is None:
                opinion = before.warp_ab(opinion)
            ab, is_own = self._corrector.continue_shot(before, frame.gray, opinion, number, frame.match)
            state = replace(state, held=(*state.held[:-1], replace(last, after=after)))
        new = Held(frame.gray, ab, before, is_own=is_own)
        if frame.likeness_Kpq is not None and not self._corrector.state.is_matched:
            agreed = agree(state.keys, frame.likeness_Kpq, ab)
            new = replace(new, ab_2hw=agreed.ab_2hw, weight_hw=agreed.weight_hw)
            state = replace(state, keys=agreed.keys)
        self._state = replace(state, held=(*state.held, new))
        count = self._block_length
        return ready + (self._color_block(count) if len(self._state.held) >= count + AHEAD else [])

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
        self._state = replace(self._state, front=None, keys=(), amounts=None)
        return ready

    def _color_block(self, count: int) -> list[Floats]:
        """Color the first `count` held frames."""
        backward = self._average_backward(count)
        ready = []
        for place in range(count):
            ready.append(self._color_next(backward[place], self._state.held[place]))
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

    def _color_next(self, backward: Average, frame: Held) -> Floats:
        state = self._state
        front = _add(state.front, frame, frame.before)
        ab = frame.ab_2hw if frame.is_own else _join(front, backward, frame)
        measured = Amounts.measure(frame.ab_2hw, ab)
        amounts = measured if state.amounts is None else state.amounts.follow(measured)
        self._state = replace(state, front=front, amounts=amounts, number=state.number + 1)
        return ab if frame.is_own else ab * np.float32(amounts.factor)


def is_needless(index: int, before_hw: Floats | None, lightness_hw: Floats) -> bool:
    """Whether the network need not be asked about a frame: all but every ASKED_EVERY-th, if like the frame before it.

    Its color is that of the frame before it, along the motion; averages become no worse by that, see benchmarks. Where
    exposure changes, the network sees another picture, and is asked about every second frame.
    index: of the frame, from the film's first one on.  before, lightness: L* of the frame before and of this one.
    """
    if index % ASKED_EVERY == 0 or before_hw is None or before_hw.shape != lightness_hw.shape:
        return False
    if index % 2 == 0 and abs(cv2.mean(lightness_hw)[0] - cv2.mean(before_hw)[0]) > LIKE_EXPOSURE:
        return False
    return bool(cv2.norm(before_hw, lightness_hw, cv2.NORM_L1) < LIKE * lightness_hw.size)


def _add(average: Average | None, frame: Held, link: Link | None) -> Average:
    """An average with one more frame, to which `link` leads; one whose colors are known begins anew."""
    if average is not None and link is not None and not frame.is_own:
        return average.update(frame.ab_2hw, link, frame.gray, memory=MEMORY, weight_hw=frame.weight_hw)
    begun = Average.start(frame.ab_2hw)
    return begun if frame.weight_hw is None else replace(begun, weight_hw=frame.weight_hw)


def _join(front: Average, back: Average, frame: Held) -> Floats:
    """The mean of what two averages rest on; both hold the frame's own colors."""
    own = np.float32(1) if frame.weight_hw is None else frame.weight_hw
    own = np.minimum(own, np.minimum(front.weight_hw, back.weight_hw))
    weight = front.weight_hw + back.weight_hw - own
    joined: Floats = (front.weight_hw * front.ab_2hw + back.weight_hw * back.ab_2hw - own * frame.ab_2hw) / weight
    return joined
