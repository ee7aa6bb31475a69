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
from vidcolor.steady.cuts import MIN_CONTRAST, PATCH, STILL_SIMILARITY, contrast, correlation
from vidcolor.steady.links import Link, find_link, lightness_at
from vidcolor.steady.motion import FlowFinder, Gray, gray_of, warp

REMEMBERED_SHOTS = 32  # the last ones
SAME_PLACE_SIMILARITY = (
    0.6  # likeness from which two pictures show the same place: cuts reach 0.18, a shot that goes on has 0.7
)
FULL_TRUST = 0.5  # trust from which a color is carried whole
AB_DEVIATION, LIGHTNESS_DEVIATION = 8.0, 8.0  # a*b* of the opinion, L*: by how much what is alike may differ
FILTER_RADIUS, FILTER_STEP = 4, 2  # pixels of a*b*: how far off it is looked for in one frame


@dataclass(frozen=True)
class ColoredPicture:
    """A picture and its colors."""

    gray: Gray
    ab_2hw: Floats


@dataclass(frozen=True)
class Reference:
    """A still in color. number: the film's frame that it is of, from 0; None: to be found by its likeness."""

    number: int | None
    picture: ColoredPicture

    @classmethod
    def from_lab(cls, number: int | None, lightness_hw: Floats, ab_2hw: Floats) -> "Reference":
        """From L* 0..100 and a*b*, both of the whole picture, upright, at any sizes."""
        return cls(number, ColoredPicture(gray_of(lightness_hw), ab_2hw))


@dataclass(frozen=True)
class CorrectorState:
    """All that later frames depend on."""

    correction_2hw: Floats | None = None  # known color less the network's opinion
    sure_hw: Floats | None = None  # 0 (the network knows better) to 1
    found: int = -1  # the still without a number that guides this shot
    seen: tuple[ColoredPicture, ...] = ()  # shots that ended, the last one last


class ReferenceCorrector:
    """Corrects the network's opinions on a film's frames, in order."""

    def __init__(self, references: Sequence[Reference] = (), *, has_shot_memory: bool = False) -> None:
        """references: stills in color.  has_memory: when a shot that ended is cut back to, its colors return."""
        self.state = CorrectorState()  # of who asks it, who may set it
        self._numbered = {still.number: still.picture for still in references if still.number is not None}
        self._stills = [still.picture for still in references]
        self._unnumbered = [place for place, still in enumerate(references) if still.number is None]
        self._has_shot_memory = has_shot_memory
        self._flow = FlowFinder()

    @property
    def numbers(self) -> frozenset[int]:
        """The frames that have a still of their own."""
        return frozenset(self._numbered)

    def start_shot(self, gray: Gray, predicted_2hw: Floats, number: int) -> tuple[Floats, bool]:
        """The corrected opinion on the first frame of a shot, and whether it is the still's own."""
        self.state = replace(self.state, correction_2hw=None, sure_hw=None, found=-1)
        if number not in self._numbered and (recalled := self._recall(gray)) is not None:
            self._learn(recalled, gray, predicted_2hw)
        return self._correct(gray, predicted_2hw, number)

    def continue_shot(self, link: Link, gray: Gray, predicted_2hw: Floats, number: int) -> tuple[Floats, bool]:
        """The same of a later frame, to which `link` leads from the one before."""
        state = self.state
        if state.correction_2hw is not None and state.sure_hw is not None:
            sure = link.warp(state.sure_hw) * np.minimum(link.trust_hw / np.float32(FULL_TRUST), 1)
            features = np.stack(
                [*predicted_2hw / np.float32(AB_DEVIATION), lightness_at(gray, sure.shape) / LIGHTNESS_DEVIATION]
            )
            correction, sure = _fill_unsure(link.warp_ab(state.correction_2hw), sure, features)
            self.state = replace(state, correction_2hw=correction, sure_hw=sure)
        return self._correct(gray, predicted_2hw, number)

    def end_shot(self, gray: Gray, ab_2hw: Floats) -> None:
        """A shot is over: its last picture, and the colors that it came to."""
        if self._has_shot_memory and contrast(gray) >= MIN_CONTRAST:
            seen = (*self.state.seen, ColoredPicture(gray, ab_2hw))[-REMEMBERED_SHOTS:]
            self.state = replace(self.state, seen=seen)

    def _correct(self, gray: Gray, predicted_2hw: Floats, number: int) -> tuple[Floats, bool]:
        still = self._numbered.get(number) or self._find_still(gray)
        if still is not None:
            self._learn(still, gray, predicted_2hw)
        correction, sure = self.state.correction_2hw, self.state.sure_hw
        if correction is None or sure is None or correction.shape != predicted_2hw.shape:
            return predicted_2hw, False
        return predicted_2hw + sure * correction, still is not None

    def _find_still(self, gray: Gray) -> ColoredPicture | None:
        """The still without a number that is likest, where it is not the one found last."""
        similarity = {
            place: correlation(_resize_to(self._stills[place].gray, gray), gray) for place in self._unnumbered
        }
        best = max(similarity, key=similarity.__getitem__, default=-1)
        if best in (-1, self.state.found) or similarity[best] < STILL_SIMILARITY:
            return None
        self.state = replace(self.state, found=best)
        return self._stills[best]

    def _recall(self, gray: Gray) -> ColoredPicture | None:
        """The likeliest of what is known, if it is of the same place; stills before shots."""
        if contrast(gray) < MIN_CONTRAST:
            return None
        for pictures in (self._stills, self.state.seen[::-1]):
            similarities = [self._similarity(_resize_to(picture.gray, gray), gray) for picture in pictures]
            if similarities and max(similarities) >= SAME_PLACE_SIMILARITY:
                return pictures[int(np.argmax(similarities))]
        return None

    def _similarity(self, before: Gray, now: Gray) -> float:
        unmoved = correlation(before, now)
        return max(unmoved, correlation(warp(before, self._flow(now, before)), now))

    def _learn(self, picture: ColoredPicture, gray: Gray, predicted_2hw: Floats) -> None:
        """Take what is known for the colors of this picture, as far as it shows the same."""
        size = predicted_2hw.shape[1:]
        before = _resize_to(picture.gray, gray)
        link = find_link(before, gray, self._flow(gray, before), size)
        colors = np.stack([cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA) for plane in picture.ab_2hw])
        # Single pixels are alike by chance; where the same thing is to be seen, most of those about them are, too.
        neighborhood = np.asarray(cv2.blur(link.trust_hw, (PATCH, PATCH)), np.float32)
        sure = np.clip((neighborhood - FULL_TRUST) / (1 - FULL_TRUST) * 2, 0, 1).astype(np.float32)
        correction = link.warp_ab(colors.astype(np.float32, copy=False)) - predicted_2hw
        old, old_sure = self.state.correction_2hw, self.state.sure_hw
        if old is not None and old_sure is not None and old.shape == correction.shape:
            correction = correction * sure + old * (1 - sure)
            sure = np.maximum(sure, old_sure * (1 - sure))
        self.state = replace(self.state, correction_2hw=correction, sure_hw=sure)


def _fill_unsure(correction_2hw: Floats, sure_hw: Floats, features_3hw: Floats) -> tuple[Floats, Floats]:
    """Corrections where they are not sure, taken from near by, from what looks the same: a joint bilateral filter.

    looks: what is compared, in standard deviations.
    """
    h, w = sure_hw.shape
    layers = np.concatenate([correction_2hw * sure_hw, (sure_hw * sure_hw)[None], sure_hw[None], features_3hw])
    padded = np.pad(layers, ((0, 0), (FILTER_RADIUS, FILTER_RADIUS), (FILTER_RADIUS, FILTER_RADIUS)))
    sums = np.zeros((4, h, w), np.float32)
    for down in range(0, 2 * FILTER_RADIUS + 1, FILTER_STEP):
        for right in range(0, 2 * FILTER_RADIUS + 1, FILTER_STEP):
            shifted = padded[:, down : down + h, right : right + w]
            weights = cv2.exp(-np.square(shifted[4:] - features_3hw).sum(axis=0))
            sums += weights * shifted[:4]
    support = np.maximum(sums[3], np.float32(1e-6))
    filled_sure = sums[2] / support * np.minimum(sums[3], 1)  # that of those who know, if they are enough
    filled = sums[:2] / support
    own_share, filled_share = sure_hw, (1 - sure_hw) * filled_sure
    total = np.maximum(own_share + filled_share, np.float32(1e-6))
    correction: Floats = (own_share * correction_2hw + filled_share * filled) / total
    return correction, own_share + filled_share


def _resize_to(gray: Gray, like: Gray) -> Gray:
    """A still need not be of the very proportions of the film."""
    if gray.shape == like.shape:
        return gray
    return np.asarray(cv2.resize(gray, like.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
