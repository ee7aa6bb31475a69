"""What is known of a film's colors, stills and hints, made known colors of each of its frames, which guide the network.

A still is matched with every frame by likeness; how alike a place is says how sure its color is there. A hint first
spreads in its own frame to what looks alike, and is a still from then on.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.listening import Known, Look, enlarge, resize
from vidcolor.steady.matching import Finding, KnownPicture, Match, Matcher, shrink_ab
from vidcolor.steady.references import Reference

KEPT_MATCHERS = 4  # a film goes from shot to shot, each with the references that speak of it


@dataclass(frozen=True)
class _Task:
    """A frame, ready to be guided."""

    finding: Finding
    own: list[Reference]  # stills and hints of this very frame
    known: Known


class KnownColors:
    """Predicts frames' colors, as the network alone and by what is known."""

    def __init__(
        self, references: Sequence[Reference], colorizer: Colorizer, *, key_interval: int | None = None
    ) -> None:
        """key_interval: every how many frames `predict` gives a likeness. Raises ModelError, DeviceError."""
        self._colorizer = colorizer
        self._key_interval = key_interval if colorizer.can_listen else None
        self._references = tuple(references)
        self._learned: dict[int, KnownPicture] = {}
        self._matchers: dict[tuple[int, ...], Matcher] = {}  # by the references that speak

    def predict(
        self, lightness_Bhw: Sequence[Floats], numbers: Sequence[int], needless: Collection[int] = ()
    ) -> tuple[Sequence[Floats | None], Sequence[Match | None], Sequence[Floats | None]]:
        """The network's a*b* of L* pictures, their colors by what is known (None without references), and likenesses.

        numbers: of the film's frames that they are; those that are multiples of key_interval get a likeness.
        needless: places of pictures about which the network is not asked, unless something is known.
        """
        every, count = self._key_interval, len(lightness_Bhw)
        keys = {place for place, number in enumerate(numbers) if every is not None and number % every == 0}
        speaking = [self._speaking(number) for number in numbers]
        colors: list[Floats | None] = [None] * count
        matches: list[Match | None] = [None] * count
        likeness: list[Floats | None] = [None] * count
        free = [place for place in range(count) if not speaking[place]]
        if not self._colorizer.can_listen:  # colors are carried, of which each frame's prediction is a part
            asked = [place for place in range(count) if self._references or place not in needless]
            for place, ab in zip(asked, self._colorizer.predict([lightness_Bhw[at] for at in asked]), strict=True):
                colors[place] = ab
            return colors, matches, likeness
        asked = [place for place in free if place in keys or place not in needless]
        found, liked = self._predict_free([lightness_Bhw[place] for place in asked], [place in keys for place in asked])
        for index, place in enumerate(asked):
            colors[place], likeness[place] = found[index], liked.get(index)
        if self._references:
            for place in free:
                matches[place] = _say_nothing(colors[place])
        told = [place for place in range(count) if speaking[place]]
        if told:
            predicted, looks = self._colorizer.predict_and_look([lightness_Bhw[place] for place in told])
            tasks = [
                self._prepare(speaking[place], look, numbers[place]) for place, look in zip(told, looks, strict=True)
            ]
            guided = self._colorizer.listener.guide(looks, predicted, [task.known for task in tasks])
            for place, ab, look, task, guide in zip(told, predicted, looks, tasks, guided, strict=True):
                colors[place], matches[place] = ab, _finish(task, guide)
                likeness[place] = look.likeness_Kpq if place in keys else None
        return colors, matches, likeness

    def predict_freely(self, lightness_hw: Floats) -> Floats:
        """The network's a*b* of a picture of which nothing is known, as `predict` gives them."""
        (ab,), _ = self._predict_free([lightness_hw], [False])
        return ab

    def _predict_free(self, lightness_Bhw: Sequence[Floats], are_keys: Sequence[bool]) -> tuple[
        Sequence[Floats], dict[int, Floats]
    ]:  # fmt: skip
        """The network's a*b* of pictures, and the likenesses of keys, by place."""
        if self._key_interval is None:
            return self._colorizer.predict(lightness_Bhw), {}
        return self._colorizer.predict_and_liken(lightness_Bhw, [at for at, is_key in enumerate(are_keys) if is_key])

    def _speaking(self, number: int) -> tuple[int, ...]:
        """The places of the references that speak of a frame. Its colors depend on no others."""
        return tuple(place for place, still in enumerate(self._references) if still.speaks_of(number))

    def _find_matcher(self, places: tuple[int, ...]) -> Matcher:
        for place in places:
            if place not in self._learned:
                self._learned[place] = _learn(self._references[place], self._colorizer)
        if places not in self._matchers:
            if len(self._matchers) == KEPT_MATCHERS:
                del self._matchers[next(iter(self._matchers))]
            self._matchers[places] = Matcher([self._learned[place] for place in places])
        return self._matchers[places]

    def _prepare(self, places: tuple[int, ...], look: Look, number: int) -> _Task:
        found = self._find_matcher(places)(look.described_Chw, number)
        finding, told = replace(found, still=places[found.still]), [self._references[place] for place in places]
        # What a still leaves transparent is not spoken of, so what it says elsewhere must not spread there.
        spreads = all(still.known_hw is None or still.spreads for still in told)
        own = [still for still in told if still.number == number]
        known = Known(finding.ab_2hw, finding.sure_hw) if spreads else Known.nothing()
        for still in own:
            if still.spreads or spreads:
                known = _lay_over(known.resize(*look.detail.shape[1:]), still)
        return _Task(finding, own, known)


def _say_nothing(predicted_2hw: Floats | None) -> Match:
    """What stills say of a frame of which none speaks: nothing, so that its prediction stands."""
    ab = np.zeros((2, 1, 1), np.float32) if predicted_2hw is None else predicted_2hw
    return Match(ab, coherence=0.0, still=-1, likeness=0.0)


def _learn(still: Reference, colorizer: Colorizer) -> KnownPicture:
    """Describe a still, and let its hints spread over their own frame."""
    (predicted,), (look,) = colorizer.predict_and_look([still.lightness_hw])
    ab, known = still.picture.ab_2hw, still.known_hw
    if still.spreads and known is not None:
        (spread,) = colorizer.listener.guide([look], [predicted], [Known(ab, known)])
        ab, known = spread.ab_2hw, spread.sure_hw
    places = look.described_Chw
    said = None if known is None else shrink_ab(known[None], places)[0]
    return KnownPicture(still.number, places, shrink_ab(ab, places), said, still.frames)


def _lay_over(known: Known, still: Reference) -> Known:
    """Known colors with those of a still of the same frame over them."""
    rows, columns = known.sure_hw.shape
    told = _known_of(still).resize(rows, columns)
    ab = known.ab_2hw + told.sure_hw * (told.ab_2hw - known.ab_2hw)
    return Known(ab, np.maximum(known.sure_hw, told.sure_hw))


def _known_of(still: Reference) -> Known:
    said = np.ones(still.picture.ab_2hw.shape[1:], np.float32) if still.known_hw is None else still.known_hw
    ab = still.picture.ab_2hw
    if said.shape != ab.shape[1:]:
        said = np.asarray(cv2.resize(said, ab.shape[:0:-1], interpolation=cv2.INTER_AREA), np.float32)
    return Known(ab, said)


def _finish(task: _Task, guided: Known) -> Match:
    """A guided frame: as far as a place was found in the stills it has their very colors, and its own stills' first.

    Guidance smooths, and is for what is not found: there it spreads what is.
    """
    ab, finding = guided.ab_2hw, task.finding
    rows, columns = ab.shape[1:]
    sure = resize(finding.sure_hw[None], rows, columns)
    ab = ab + sure * (enlarge(finding.ab_2hw, rows, columns) - ab)
    for still in task.own:
        told = _known_of(still).resize(rows, columns)
        ab = ab + told.sure_hw * (told.ab_2hw - ab)
    return Match(ab, finding.coherence, finding.still, finding.likeness, bool(task.own))
