"""Colors that are known of a picture, from a still or from a shot seen before, brought to the shots that show it.

What is carried is how far the network's opinion is off from them: that changes slowly, so that following motion does
not blur it, and where something new comes into the picture the network's opinion stands.

Shapes: h w of a*b*. An opinion is the a*b* (2, h, w) that the network gives a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.steady.cuts import DOUBTFUL, FLAT, PATCH, contrast, correlation
from vidcolor.steady.links import Link, find_link, lightness_at
from vidcolor.steady.motion import FlowFinder, Gray, gray_of, seen_from

REMEMBERED_SHOTS = 32  # the last ones
ALIKE = 0.6  # likeness from which two pictures show the same place: cuts reach 0.18, a shot that goes on has 0.7
CERTAIN = 0.5  # trust from which a color is carried whole
ALIKE_AB, ALIKE_LIGHTNESS = 8.0, 8.0  # a*b* of the opinion, L*: by how much what is alike may differ
REACH, REACH_STEP = 4, 2  # pixels of a*b*: how far off it is looked for in one frame


@dataclass(frozen=True)
class Known:
    """A picture and its colors."""

    gray: Gray
    ab_2hw: Floats


@dataclass(frozen=True)
class Reference:
    """A still in color. number: the film's frame that it is of, from 0; None: to be found by its likeness."""

    number: int | None
    known: Known

    @classmethod
    def of(cls, number: int | None, lightness_hw: Floats, ab_2hw: Floats) -> "Reference":
        """From L* 0..100 and a*b*, both of the whole picture, upright, at any sizes."""
        return cls(number, Known(gray_of(lightness_hw), ab_2hw))


@dataclass(frozen=True)
class GuideState:
    """All that later frames depend on."""

    correction_2hw: Floats | None = None  # known color less the network's opinion
    sure_hw: Floats | None = None  # 0 (the network knows better) to 1
    found: int = -1  # the still without a number that guides this shot
    seen: tuple[Known, ...] = ()  # shots that ended, the last one last


class Guide:
    """Corrects the network's opinions on a film's frames, in order."""

    def __init__(self, references: Sequence[Reference] = (), *, has_memory: bool = False) -> None:
        """references: stills in color.  has_memory: when a shot that ended is cut back to, its colors return."""
        self.state = GuideState()  # of who asks it, who may set it
        self._numbered = {still.number: still.known for still in references if still.number is not None}
        self._stills = [still.known for still in references]
        self._loose = [place for place, still in enumerate(references) if still.number is None]
        self._has_memory = has_memory
        self._flow = FlowFinder()

    @property
    def numbers(self) -> frozenset[int]:
        """The frames that have a still of their own."""
        return frozenset(self._numbered)

    def begun(self, gray: Gray, opinion_2hw: Floats, number: int) -> tuple[Floats, bool]:
        """The corrected opinion on the first frame of a shot, and whether it is the still's own."""
        self.state = replace(self.state, correction_2hw=None, sure_hw=None, found=-1)
        if number not in self._numbered and (known := self._recalled(gray)) is not None:
            self._learn(known, gray, opinion_2hw)
        return self._corrected(gray, opinion_2hw, number)

    def joined(self, link: Link, gray: Gray, opinion_2hw: Floats, number: int) -> tuple[Floats, bool]:
        """The same of a later frame, to which `link` leads from the one before."""
        state = self.state
        if state.correction_2hw is not None and state.sure_hw is not None:
            sure = link.moved(state.sure_hw) * np.minimum(link.trust_hw / np.float32(CERTAIN), 1)
            looks = np.stack([*opinion_2hw / np.float32(ALIKE_AB), lightness_at(gray, sure.shape) / ALIKE_LIGHTNESS])
            correction, sure = _spread(link.carried(state.correction_2hw), sure, looks)
            self.state = replace(state, correction_2hw=correction, sure_hw=sure)
        return self._corrected(gray, opinion_2hw, number)

    def ended(self, gray: Gray, ab_2hw: Floats) -> None:
        """A shot is over: its last picture, and the colors that it came to."""
        if self._has_memory and contrast(gray) >= FLAT:
            seen = (*self.state.seen, Known(gray, ab_2hw))[-REMEMBERED_SHOTS:]
            self.state = replace(self.state, seen=seen)

    def _corrected(self, gray: Gray, opinion_2hw: Floats, number: int) -> tuple[Floats, bool]:
        own = self._numbered.get(number) or self._found(gray)
        if own is not None:
            self._learn(own, gray, opinion_2hw)
        correction, sure = self.state.correction_2hw, self.state.sure_hw
        if correction is None or sure is None or correction.shape != opinion_2hw.shape:
            return opinion_2hw, False
        return opinion_2hw + sure * correction, own is not None

    def _found(self, gray: Gray) -> Known | None:
        """The still without a number that is likest, where it is not the one found last."""
        likeness = {place: correlation(_sized(self._stills[place].gray, gray), gray) for place in self._loose}
        place = max(likeness, key=likeness.__getitem__, default=-1)
        if place in (-1, self.state.found) or likeness[place] < DOUBTFUL:
            return None
        self.state = replace(self.state, found=place)
        return self._stills[place]

    def _recalled(self, gray: Gray) -> Known | None:
        """The likeliest of what is known, if it is of the same place; stills before shots."""
        if contrast(gray) < FLAT:
            return None
        for known in (self._stills, self.state.seen[::-1]):
            likeness = [self._likeness(_sized(picture.gray, gray), gray) for picture in known]
            if likeness and max(likeness) >= ALIKE:
                return known[int(np.argmax(likeness))]
        return None

    def _likeness(self, before: Gray, now: Gray) -> float:
        unmoved = correlation(before, now)
        return max(unmoved, correlation(seen_from(before, self._flow(now, before)), now))

    def _learn(self, known: Known, gray: Gray, opinion_2hw: Floats) -> None:
        """Take what is known for the colors of this picture, as far as it shows the same."""
        size = opinion_2hw.shape[1:]
        before = _sized(known.gray, gray)
        link = find_link(before, gray, self._flow(gray, before), size)
        colors = np.stack([cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA) for plane in known.ab_2hw])
        # Single pixels are alike by chance; where the same thing is to be seen, most of those about them are, too.
        around = np.asarray(cv2.blur(link.trust_hw, (PATCH, PATCH)), np.float32)
        sure = np.clip((around - CERTAIN) / (1 - CERTAIN) * 2, 0, 1).astype(np.float32)
        correction = link.carried(colors.astype(np.float32, copy=False)) - opinion_2hw
        old, old_sure = self.state.correction_2hw, self.state.sure_hw
        if old is not None and old_sure is not None and old.shape == correction.shape:
            correction = correction * sure + old * (1 - sure)
            sure = np.maximum(sure, old_sure * (1 - sure))
        self.state = replace(self.state, correction_2hw=correction, sure_hw=sure)


def _spread(correction_2hw: Floats, sure_hw: Floats, looks_3hw: Floats) -> tuple[Floats, Floats]:
    """Corrections where they are not sure, taken from near by, from what looks the same: a joint bilateral filter.

    looks: what is compared, in standard deviations.
    """
    h, w = sure_hw.shape
    layers = np.concatenate([correction_2hw * sure_hw, (sure_hw * sure_hw)[None], sure_hw[None], looks_3hw])
    padded = np.pad(layers, ((0, 0), (REACH, REACH), (REACH, REACH)))
    sums = np.zeros((4, h, w), np.float32)
    for down in range(0, 2 * REACH + 1, REACH_STEP):
        for right in range(0, 2 * REACH + 1, REACH_STEP):
            near = padded[:, down : down + h, right : right + w]
            likeness = cv2.exp(-np.square(near[4:] - looks_3hw).sum(axis=0))
            sums += likeness * near[:4]
    support = np.maximum(sums[3], np.float32(1e-6))
    found_sure = sums[2] / support * np.minimum(sums[3], 1)  # that of those who know, if they are enough
    found = sums[:2] / support
    own, other = sure_hw, (1 - sure_hw) * found_sure
    total = np.maximum(own + other, np.float32(1e-6))
    correction: Floats = (own * correction_2hw + other * found) / total
    return correction, own + other


def _sized(gray: Gray, like: Gray) -> Gray:
    """A still need not be of the very proportions of the film."""
    if gray.shape == like.shape:
        return gray
    return np.asarray(cv2.resize(gray, like.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
