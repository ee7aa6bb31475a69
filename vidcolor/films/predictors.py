"""Who predicts each frame of a film: its colorizer, or another one that was chosen for some frames.

Shapes: h w of the network's picture.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from threading import Lock

from vidcolor.color import Floats
from vidcolor.films.known_colors import KnownColors
from vidcolor.films.project import Project
from vidcolor.frames import Frame, PictureFormat
from vidcolor.inference.chosen import LoadedColorizers
from vidcolor.inference.colorizer import Colorizer, View
from vidcolor.steady import Steadiness
from vidcolor.steady.matching import Match

LightFrame = tuple[Frame, Floats]  # a frame and its L*
Choose = Callable[[int], Colorizer]  # the colorizer of a frame, by its number in the film
Prediction = tuple[Floats | None, Match | None, Floats | None]  # a*b*, colors by what is known, likeness


@dataclass
class ChosenColorizers:
    """The colorizers that a film's project names; called with a frame's number."""

    project: Project
    loaded: LoadedColorizers

    def __call__(self, number: int) -> Colorizer:
        """The colorizer of a frame. Raises ModelError, DeviceError, UsageError, SourceError."""
        return self.loaded.load(self.project.settings_of(number, self.loaded.settings))


class Predictors:
    """Predicts a film's frames. For several threads."""

    def __init__(
        self, colorizer: Colorizer, steadiness: Steadiness, picture: PictureFormat, view: View,
        choose: Choose | None = None,
    ) -> None:  # fmt: skip
        """choose: the colorizer of a frame; None: `colorizer` for all."""
        self._colorizer, self._steadiness, self._choose = colorizer, steadiness, choose
        self._picture, self._view = picture, view
        self._known = [(colorizer, self._make_known(colorizer))]
        self._lock = Lock()  # of the networks, which stages of a film in different threads ask

    def predict(
        self, frames: Sequence[LightFrame], numbers: Sequence[int], needless: Collection[int] = ()
    ) -> Iterator[Prediction]:
        """Predict frames; see KnownColors.predict."""
        with self._lock:
            chosen = [self._choose(number) if self._choose else self._colorizer for number in numbers]
            answers: list[Prediction] = []
            for _, group in groupby(range(len(frames)), key=lambda place: id(chosen[place])):
                places = list(group)
                known = self._find_known(chosen[places[0]])
                shown = [self._lightness(frames[place], chosen[place]) for place in places]
                skipped = [i for i, place in enumerate(places) if place in needless and self._is_free(numbers[place])]
                found = known.predict(shown, [numbers[place] for place in places], skipped)
                answers += zip(*found, strict=True)
        return iter(answers)

    @property
    def may_skip(self) -> bool:
        """Whether `predict` may be told of frames that need no prediction."""
        return self._steadiness.may_skip

    def _is_free(self, number: int) -> bool:
        """Whether nothing was chosen for a frame and for the one before it, whose colors it could take."""
        return self._choose is None or self._choose(number) is self._choose(number - 1) is self._colorizer

    def ask(self, lightness_hw: Floats) -> Floats:
        """Predict a frame after all that needed no prediction: L* to a*b*."""
        with self._lock:
            return self._known[0][1].predict_freely(lightness_hw)

    def _lightness(self, frame: LightFrame, colorizer: Colorizer) -> Floats:
        if colorizer.size == self._colorizer.size:
            return frame[1]
        return colorizer.lightness(frame[0].luma, self._picture, self._view)

    def _find_known(self, colorizer: Colorizer) -> KnownColors:
        for each, known in self._known:
            if each is colorizer:
                return known
        self._known.append((colorizer, self._make_known(colorizer)))
        return self._known[-1][1]

    def _make_known(self, colorizer: Colorizer) -> KnownColors:
        return KnownColors(self._steadiness.references, colorizer, key_interval=self._steadiness.key_interval)
