"""Known colors, of a reference still or of a shot seen before, applied to the shots that show the same place.

A correction, the known colors less the network's prediction, follows the shot's motion. It varies slowly over the
picture, so warping does not blur it, and where something new enters the picture, the prediction stands.

Shapes: h w of a*b*. A prediction is the a*b* (2, h, w) that the network gives a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.steady.cuts import MIN_CONTRAST, PATCH, STILL_SIMILARITY, contrast, correlation
from vidcolor.steady.links import Link, find_link, lightness_at
from vidcolor.steady.matching import COHERENT, Match
from vidcolor.steady.motion import FlowFinder, Gray, gray_of, warp

REMEMBERED_SHOTS = 32  # the newest; older ones are forgotten
SAME_PLACE_SIMILARITY = (
    0.6  # from which two pictures show the same place: cuts reach 0.18, a shot that continues has 0.7
)
FULL_TRUST = 0.5  # trust from which a correction counts in full
AB_DEVIATION, LIGHTNESS_DEVIATION = 8.0, 8.0  # a*b* of the prediction, L*: standard deviations of the filter below
FILTER_RADIUS, FILTER_STEP = 4, 2  # pixels of a*b*: how far the filter below looks in one frame


@dataclass(frozen=True)
class ColoredPicture:
    """A picture and its colors. Saved by `to_arrays`: field names are part of the format."""

    gray: Gray
    ab_2hw: Floats


@dataclass(frozen=True)
class Reference:
    """A still in color. number: of the film's frame that it shows, from 0; None: found by similarity."""

    number: int | None
    picture: ColoredPicture
    lightness_hw: Floats  # L* 0..100 of the picture
    name: str = ""  # for people
    known_hw: Floats | None = None  # 1 where it says a color, 0 where it is transparent; None: everywhere
    spreads: bool = False  # to what looks alike in its own frame, as a point or a stroke does
    remarks: tuple[str, ...] = ()  # on it, for people
    frames: tuple[int, int] | None = None  # first and last of the film that it speaks of; None: all that look alike

    def speaks_of(self, number: int) -> bool:
        """Whether a frame of the film may take colors from it."""
        return self.frames is None or number == self.number or self.frames[0] <= number <= self.frames[1]

    @classmethod
    def from_lab(
        cls, number: int | None, lightness_hw: Floats, ab_2hw: Floats, name: str = "", known_hw: Floats | None = None
    ) -> "Reference":
        """A reference from L* 0..100 and a*b*, both of the whole picture, upright, at any sizes."""
        return cls(number, ColoredPicture(gray_of(lightness_hw), ab_2hw), lightness_hw, name, known_hw)


@dataclass(frozen=True)
class CorrectorState:
    """Everything that later frames depend on. Saved by `to_arrays`: field names are part of the format."""

    correction_2hw: Floats | None = None  # known color less the network's prediction
    sure_hw: Floats | None = None  # 0 (the prediction stands) to 1 (fully corrected)
    found: int = -1  # index of the reference without a number that was applied last; -1: none
    is_matched: bool = False  # whether the shot shows what a still shows, so that its colors are the still's
    frames: tuple[int, ...] = ()  # that each reference gave colors
    followed: tuple[float, ...] = ()  # and the share of the picture in them, summed
    seen: tuple[ColoredPicture, ...] = ()  # last pictures of shots that ended, newest last


class ReferenceCorrector:
    """Corrects the network's predictions for a film's frames, in order, by references and by earlier shots."""

    def __init__(self, references: Sequence[Reference] = (), *, has_shot_memory: bool = False) -> None:
        """references: stills in color.  has_shot_memory: a shot's colors return when the film cuts back to it."""
        self.state = CorrectorState()  # the caller saves it and may set it
        self._numbered = {still.number: still.picture for still in references if still.number is not None}
        self._places_of = {
            still.number: [place for place, other in enumerate(references) if other.number == still.number]
            for still in references
        }
        self._stills = [still.picture for still in references]
        self._unnumbered = [place for place, still in enumerate(references) if still.number is None]
        self._has_shot_memory = has_shot_memory
        self._flow = FlowFinder()

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the frames that have a reference of their own."""
        return frozenset(self._numbered)

    def start_shot(
        self, gray: Gray, predicted_2hw: Floats, number: int, match: Match | None = None
    ) -> tuple[Floats, bool]:
        """Correct the prediction for the first frame of a shot; also whether a reference was applied to it.

        match: what the stills say of the frame; None where nothing describes pictures: then colors are carried.
        """
        self.state = replace(self.state, correction_2hw=None, sure_hw=None, found=-1, is_matched=False)
        if number not in self._numbered and (recalled := self._recall(gray, match)) is not None:
            self._learn(recalled, gray, predicted_2hw)
        return self._correct(gray, predicted_2hw, number, match)

    def continue_shot(
        self, link: Link, gray: Gray, predicted_2hw: Floats, number: int, match: Match | None = None
    ) -> tuple[Floats, bool]:
        """Correct the prediction for a later frame, which `link` connects to the one before; see `start_shot`."""
        state = self.state
        if state.correction_2hw is not None and state.sure_hw is not None:
            sure = link.warp(state.sure_hw) * np.minimum(link.trust_hw / np.float32(FULL_TRUST), 1)
            features = np.stack(
                [*predicted_2hw / np.float32(AB_DEVIATION), lightness_at(gray, sure.shape) / LIGHTNESS_DEVIATION]
            )
            correction, sure = _fill_unsure(link.warp_ab(state.correction_2hw), sure, features)
            self.state = replace(state, correction_2hw=correction, sure_hw=sure)
        return self._correct(gray, predicted_2hw, number, match)

    def end_shot(self, gray: Gray, ab_2hw: Floats) -> None:
        """Remember the last picture of a shot that ended, and its colors."""
        if self._has_shot_memory and contrast(gray) >= MIN_CONTRAST:
            seen = (*self.state.seen, ColoredPicture(gray, ab_2hw))[-REMEMBERED_SHOTS:]
            self.state = replace(self.state, seen=seen)

    def _correct(self, gray: Gray, predicted_2hw: Floats, number: int, match: Match | None) -> tuple[Floats, bool]:
        if match is not None:
            is_matched = self.state.is_matched or match.is_own or match.coherence >= COHERENT
            self.state = replace(self.state, is_matched=is_matched)
            if is_matched and match.still >= 0:
                for place in self._places_of[number] if match.is_own else [match.still]:
                    self._count(place, 1.0 if match.is_own else match.likeness)
                return match.ab_2hw, match.is_own
        still = self._numbered.get(number) or self._find_still(gray) if match is None else None
        if still is not None:
            self._count(self._places_of[number][0] if number in self._numbered else self.state.found, 1.0)
            self._learn(still, gray, predicted_2hw)
        correction, sure = self.state.correction_2hw, self.state.sure_hw
        if correction is None or sure is None or correction.shape != predicted_2hw.shape:
            return predicted_2hw, False
        return predicted_2hw + sure * correction, still is not None

    def _count(self, place: int, share: float) -> None:
        """Note that a reference gave a frame colors. share: of the picture that followed it."""
        frames = [*self.state.frames, *[0] * (len(self._stills) - len(self.state.frames))]
        followed = [*self.state.followed, *[0.0] * (len(self._stills) - len(self.state.followed))]
        frames[place] += 1
        followed[place] += share
        self.state = replace(self.state, frames=tuple(frames), followed=tuple(followed))

    def _find_still(self, gray: Gray) -> ColoredPicture | None:
        """The most similar reference without a number, unless it is the one applied last."""
        similarity = {
            place: correlation(_resize_to(self._stills[place].gray, gray), gray) for place in self._unnumbered
        }
        best = max(similarity, key=similarity.__getitem__, default=-1)
        if best in (-1, self.state.found) or similarity[best] < STILL_SIMILARITY:
            return None
        self.state = replace(self.state, found=best)
        return self._stills[best]

    def _recall(self, gray: Gray, match: Match | None) -> ColoredPicture | None:
        """The known picture of the same place, if there is one: of references first, then of earlier shots."""
        if contrast(gray) < MIN_CONTRAST:
            return None
        for pictures in (self._stills if match is None else [], self.state.seen[::-1]):
            similarities = [self._similarity(_resize_to(picture.gray, gray), gray) for picture in pictures]
            if similarities and max(similarities) >= SAME_PLACE_SIMILARITY:
                return pictures[int(np.argmax(similarities))]
        return None

    def _similarity(self, before: Gray, now: Gray) -> float:
        unmoved = correlation(before, now)
        return max(unmoved, correlation(warp(before, self._flow(now, before)), now))

    def _learn(self, picture: ColoredPicture, gray: Gray, predicted_2hw: Floats) -> None:
        """Take the colors of a known picture for this one, as far as both show the same."""
        size = predicted_2hw.shape[1:]
        before = _resize_to(picture.gray, gray)
        link = find_link(before, gray, self._flow(gray, before), size)
        colors = np.stack([cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA) for plane in picture.ab_2hw])
        # Single pixels agree by chance; where both show the same object, most of their neighbors agree, too.
        neighborhood = np.asarray(cv2.blur(link.trust_hw, (PATCH, PATCH)), np.float32)
        sure = np.clip((neighborhood - FULL_TRUST) / (1 - FULL_TRUST) * 2, 0, 1).astype(np.float32)
        correction = link.warp_ab(colors.astype(np.float32, copy=False)) - predicted_2hw
        old, old_sure = self.state.correction_2hw, self.state.sure_hw
        if old is not None and old_sure is not None and old.shape == correction.shape:
            correction = correction * sure + old * (1 - sure)
            sure = np.maximum(sure, old_sure * (1 - sure))
        self.state = replace(self.state, correction_2hw=correction, sure_hw=sure)


def _fill_unsure(correction_2hw: Floats, sure_hw: Floats, features_3hw: Floats) -> tuple[Floats, Floats]:
    """Fill corrections where they are unsure from similar pixels near by, with a joint bilateral filter.

    features: what is compared, in standard deviations.
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
    filled_sure = (
        sums[2] / support * np.minimum(sums[3], 1)
    )  # the mean sureness of similar pixels, less where few are near
    filled = sums[:2] / support
    own_share, filled_share = sure_hw, (1 - sure_hw) * filled_sure
    total = np.maximum(own_share + filled_share, np.float32(1e-6))
    correction: Floats = (own_share * correction_2hw + filled_share * filled) / total
    return correction, own_share + filled_share


def _resize_to(gray: Gray, like: Gray) -> Gray:
    """Resize a picture to another's size; a reference may differ from the film in its proportions."""
    if gray.shape == like.shape:
        return gray
    return np.asarray(cv2.resize(gray, like.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
