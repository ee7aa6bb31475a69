"""What is known of a film's colors, stills and hints, made known colors of each of its frames, which guide the network.

A still is matched with every frame by likeness; how alike a place is says how sure its color is there. A hint first
spreads in its own frame to what looks alike, and is a still from then on.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.listening import Known, Look, enlarge, resize
from vidcolor.steady.matching import Finding, KnownPicture, Match, Matcher, shrink_ab
from vidcolor.steady.references import Reference


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
        self._colorizer, self._matcher = colorizer, None
        self._key_interval = key_interval if colorizer.can_listen else None
        self._own: dict[int, list[Reference]] = {}
        # What a still leaves transparent is not spoken of, so what it says elsewhere must not spread there.
        self._spreads = all(still.known_hw is None or still.spreads for still in references)
        if references and colorizer.can_listen:
            self._matcher = Matcher([_learn(still, colorizer) for still in references])
            for still in references:
                if still.number is not None:
                    self._own.setdefault(still.number, []).append(still)

    def predict(
        self, lightness_Bhw: Sequence[Floats], numbers: Sequence[int], needless: Collection[int] = ()
    ) -> tuple[Sequence[Floats | None], Sequence[Match | None], Sequence[Floats | None]]:
        """The network's a*b* of L* pictures, their colors by what is known (None where nothing is), and likenesses.

        numbers: of the film's frames that they are; those that are multiples of key_interval get a likeness.
        needless: places of pictures about which the network is not asked, unless something is known.
        """
        every = self._key_interval
        keys = {place for place, number in enumerate(numbers) if every is not None and number % every == 0}
        if self._matcher is None:
            nothing: list[Match | None] = [None] * len(lightness_Bhw)
            asked = [place for place in range(len(nothing)) if place in keys or place not in needless]
            shown = [lightness_Bhw[place] for place in asked]
            if every is None:
                found, likeness = self._colorizer.predict(shown), dict[int, Floats]()
            else:
                found, likeness = self._colorizer.predict_and_liken(shown, [asked.index(place) for place in keys])
            colors = dict(zip(asked, found, strict=True))
            alike = {asked[place]: each for place, each in likeness.items()}
            return (
                [colors.get(place) for place in range(len(nothing))],
                nothing,
                [alike.get(place) for place in range(len(nothing))],
            )
        predicted, looks = self._colorizer.predict_and_look(lightness_Bhw)
        tasks = [self._prepare(self._matcher, look, number) for look, number in zip(looks, numbers, strict=True)]
        guided = self._colorizer.listener.guide(looks, predicted, [task.known for task in tasks])
        matches = [_finish(*pair) for pair in zip(tasks, guided, strict=True)]
        return predicted, matches, [look.likeness_Kpq if place in keys else None for place, look in enumerate(looks)]

    def _prepare(self, matcher: Matcher, look: Look, number: int) -> _Task:
        finding, own = matcher(look.described_Chw, number), self._own.get(number, [])
        known = Known(finding.ab_2hw, finding.sure_hw) if self._spreads else Known.nothing()
        for still in own:
            if still.spreads or self._spreads:
                known = _lay_over(known.resize(*look.detail.shape[1:]), still)
        return _Task(finding, own, known)


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
