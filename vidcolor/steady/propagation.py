"""Colors of the frames between two key frames, propagated from both along optical flow.

Shapes: h w of a*b*.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vidcolor.color import Floats
from vidcolor.errors import ShapeError
from vidcolor.steady.averaging import Average, Memory, clip_variance
from vidcolor.steady.key_frames import KeyPlanner, PlannedFrame
from vidcolor.steady.links import Link, find_link, lightness_at
from vidcolor.steady.matching import Match
from vidcolor.steady.motion import FlowFinder, Gray, compose_flows
from vidcolor.steady.references import CorrectorState, ReferenceCorrector

KEY_MEMORY = Memory(max_weight=6)  # keys that a shot's average remembers at most
DOUBTFUL_DEVIATIONS = 0.5  # standard deviations from its neighborhood that a color may have where no key explains it
MIN_TRUST = 0.02  # added to trust: where neither key explains a pixel, both count


@dataclass(frozen=True)
class PropagationState:
    """Everything that later frames depend on. Saved by `to_arrays`: field names are part of the format."""

    key: Gray | None = None
    average: Average | None = None  # at the key
    between: tuple[PlannedFrame, ...] = ()  # frames since the key, whose colors wait for the next key
    guide: CorrectorState = field(default_factory=CorrectorState)


class ColorPropagator:
    """Gives colors to planned frames, of which only the keys were predicted by the network.

    A key's prediction is averaged with the colors warped from the key before; frames between are mixed from the keys
    on both sides by nearness and trust. All frames between two keys wait: MAX_INTERVAL or `every` at most.
    """

    def __init__(self, state: PropagationState | None = None, corrector: ReferenceCorrector | None = None) -> None:
        """state: where another propagator stopped.  corrector: applies references; takes over its part of the state."""
        self._state = state or PropagationState()
        self._flow = FlowFinder()
        self._corrector = corrector or ReferenceCorrector()
        self._corrector.state = self._state.guide

    @property
    def state(self) -> PropagationState:
        """What another propagator needs to continue with the next frame."""
        return replace(self._state, guide=self._corrector.state)

    @property
    def waiting(self) -> int:
        """Frames that were pushed and have no colors yet."""
        return len(self._state.between)

    def push(self, planned: PlannedFrame, ab_2hw: Floats | None = None, match: Match | None = None) -> list[Floats]:
        """Push the next frame, a key with the network's a*b* (2, h, w); get the a*b* that are ready, in order.

        match: what stills say of a key.
        Raises ShapeError for a key without a*b*, and for a frame between keys with a*b*.
        """
        if planned.is_key != (ab_2hw is not None):
            raise ShapeError("a*b* belongs to key frames, and to each of them.")
        state, corrector = self._state, self._corrector
        if ab_2hw is None:
            self._state = replace(state, between=(*state.between, planned))
            return []
        key, before, flow = state.key, state.average, planned.flow_HW2
        if flow is None or key is None or before is None or before.ab_2hw.shape != ab_2hw.shape:
            ready = self.finish()
            if key is not None and before is not None:
                corrector.end_shot(key, before.vivid_2hw)
            average = Average.start(corrector.start_shot(planned.gray, ab_2hw, planned.number, match)[0])
        else:
            link = find_link(key, planned.gray, flow, ab_2hw.shape[1:])
            predicted, is_known = corrector.continue_shot(link, planned.gray, ab_2hw, planned.number, match)
            average = (
                Average.start(predicted)
                if is_known
                else before.update(predicted, link, planned.gray, memory=KEY_MEMORY)
            )
            ready = self._mix_between(before.vivid_2hw, average.vivid_2hw, planned.gray)
        self._state = PropagationState(planned.gray, average)
        return [*ready, average.vivid_2hw]

    def finish(self) -> list[Floats]:
        """End the film or the shot: the waiting frames, with colors of the last key alone."""
        state, self._state = self._state, replace(self._state, between=())
        if state.average is None:
            return []
        colors = state.average.vivid_2hw
        return [_clip_doubtful(*self._warp_from_key(frame, colors), frame.gray) for frame in state.between]

    def _mix_between(self, before_2hw: Floats, after_2hw: Floats, after: Gray) -> list[Floats]:
        """Colors of the frames between two keys, from the colors of the key before and the key after."""
        frames = self._state.between
        links = self._find_links_to(after, after_2hw.shape[1:])
        nearness = (np.float32(number / (len(frames) + 1)) for number in range(1, len(frames) + 1))
        return [
            self._mix(frame, before_2hw, link, after_2hw, near)
            for frame, link, near in zip(frames, links, nearness, strict=True)
        ]

    def _find_links_to(self, after: Gray, size: tuple[int, ...]) -> list[Link]:
        """How each frame between came out of the key after them, in their order.

        Flow is found between neighbors and composed, from the key back to the first frame.
        """
        links, later, flow = list[Link](), after, None
        for frame in reversed(self._state.between):
            step = self._flow(frame.gray, later)
            flow = step if flow is None else compose_flows(step, flow)
            later = frame.gray
            links.append(find_link(after, frame.gray, flow, size))
        return links[::-1]

    def _mix(
        self, frame: PlannedFrame, before_2hw: Floats, link: Link, after_2hw: Floats, nearness: np.float32
    ) -> Floats:
        """One frame's colors, warped from both keys and weighted by nearness and trust.

        before + (after - before) * a / (b + a),  b = (trust of before + MIN_TRUST) * (1 - nearness),
        a = (trust of after + MIN_TRUST) * nearness.  nearness: to the key after, 0..1.  link: from the key after.
        """
        before, before_trust = self._warp_from_key(frame, before_2hw)
        before_share = (before_trust + MIN_TRUST) * (1 - nearness)
        after_share = (link.trust_hw + MIN_TRUST) * nearness
        ab = before + after_share / (before_share + after_share) * (link.warp_ab(after_2hw) - before)
        return _clip_doubtful(ab, np.maximum(before_trust, link.trust_hw), frame.gray)

    def _warp_from_key(self, frame: PlannedFrame, colors_2hw: Floats) -> tuple[Floats, Floats]:
        """The colors of the key before, warped to a frame, and their trust."""
        key, flow = self._state.key, frame.flow_HW2
        if key is None or flow is None:
            raise ShapeError("a frame between keys came before any key.")
        link = find_link(key, frame.gray, flow, colors_2hw.shape[1:])
        return link.warp_ab(colors_2hw), link.trust_hw


def _clip_doubtful(ab_2hw: Floats, trust_hw: Floats, gray: Gray) -> Floats:
    """Clip colors that no key explains (trust below 1/2) to those of explained neighbors of the same lightness."""
    doubt = np.clip(1 - 2 * trust_hw, 0, 1)
    if doubt.max() <= 0:
        return ab_2hw
    lightness, weight = lightness_at(gray, trust_hw.shape), trust_hw + np.float32(MIN_TRUST)
    clipped = clip_variance(ab_2hw, ab_2hw, lightness, deviations=DOUBTFUL_DEVIATIONS, weight_hw=weight)
    result: Floats = ab_2hw + doubt * (clipped - ab_2hw)
    return result


def propagate(
    lightness: Iterable[Floats], predict: Callable[[Sequence[Floats]], list[Floats]], every: int | None = None
) -> Iterator[Floats]:
    """L* (h, w) of every frame -> a*b* (2, h', w') of every frame; `predict` is called for the keys alone."""
    planner, propagator, waiting = KeyPlanner(every), ColorPropagator(), list[Floats]()

    def colored(decided: list[PlannedFrame]) -> Iterator[Floats]:
        for planned in decided:
            frame = waiting.pop(0)
            yield from propagator.push(planned, predict([frame])[0] if planned.is_key else None)

    for frame in lightness:
        waiting.append(frame)
        yield from colored(planner.push(frame))
    yield from colored(planner.finish())
    yield from propagator.finish()
