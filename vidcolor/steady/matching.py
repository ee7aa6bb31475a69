"""Known colors found in other pictures by likeness: what a still shows is looked for in each frame.

It needs no unbroken motion, so it survives occlusion, fast motion and cuts back to the same place. Places are described
by networks.binnet.BinNet.look; colors are a mean of the stills' places, by likeness (an attention over them).

Shapes: C numbers of a description, h w places at stride 8, N places of a still, K numbers that are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidcolor.color import Floats

COMPARED = 64  # numbers: principal components of the stills' descriptions
SHARP, SOFT = 20.0, 5.0  # of the softmax where a place is alike, and where nothing is
COHERENT = 0.42  # of pictures of one place: six clips have 0.42 to 0.8 for seconds, other places 0.19 to 0.35
RELATED = 0.6  # of the most coherent still's coherence, from which another still counts beside it
SAID_LITTLE, SAID_MUCH = 0.2, 0.7  # shares of the like places that say a color: nothing is taken, all is
ALIKE = 2.0  # squared distance at which a place is as unlike as like
MAX_WITHOUT_NUMBER = 3  # stills without a number that a frame is compared with: the likest at a glance
GLANCE = 3, 4  # rows and columns of that comparison


@dataclass(frozen=True)
class KnownPicture:
    """A still as it is matched. number: of the film's frame that it shows; None: unknown."""

    number: int | None
    described_Chw: Floats
    ab_2hw: Floats  # at the description's places
    known_hw: Floats | None = None  # 1 where the still says a color, 0 where it says nothing; None: everywhere
    frames: tuple[int, int] | None = None  # first and last of the film that it speaks of; None: all


@dataclass(frozen=True)
class Finding:
    """What stills say of a picture, at the places of its description."""

    ab_2hw: Floats
    sure_hw: Floats  # 0 (nothing like it in the stills, or they say nothing) to 1 (the same)
    coherence: float  # share of neighbors that are neighbors in a still, too: of the same place mostly above COHERENT
    still: int  # index of the still that is the most coherent
    likeness: float  # mean of `sure_hw`: 1, everything is in the stills; 0, nothing


@dataclass(frozen=True)
class Match:
    """A frame's colors by what stills say. Saved by `to_arrays`: field names are part of the format."""

    ab_2hw: Floats  # the network's, corrected
    coherence: float  # see Finding
    still: int = 0  # -1: none speaks of the frame
    likeness: float = 1.0
    is_own: bool = False  # a still belongs to this very frame


@dataclass(frozen=True)
class _Still:
    """A still, ready to be compared with."""

    index: int
    places_NK: Floats
    squares_N: Floats
    known_N3: Floats  # a*b* where they are known, and how far
    width: int  # places in a row
    frames: tuple[int, int] | None
    glance: Floats

    def speaks_of(self, number: int) -> bool:
        """Whether it speaks of a frame of the film."""
        return self.frames is None or self.frames[0] <= number <= self.frames[1]


@dataclass(frozen=True)
class _Found:
    """A picture compared with one still."""

    still: _Still
    squared: Floats  # distances of the picture's places to the still's, less the place's own square
    coherence: float


class Matcher:
    """Finds the colors of stills in other pictures."""

    def __init__(self, known: Sequence[KnownPicture]) -> None:
        described = [_flatten(picture.described_Chw) for picture in known]
        self._mean = np.concatenate(described).mean(axis=0)
        spread = sum((places - self._mean).T @ (places - self._mean) for places in described)
        _, vectors = np.linalg.eigh(np.asarray(spread, np.float64))
        self._basis = np.ascontiguousarray(vectors[:, ::-1][:, :COMPARED], np.float32)
        stills = [(picture.number, self._prepare(index, picture)) for index, picture in enumerate(known)]
        numbered = ((number, still) for number, still in stills if number is not None)
        self._numbered = sorted(numbered, key=lambda pair: pair[0])
        self._says_all = all(picture.known_hw is None for picture in known)
        self._unnumbered = [still for number, still in stills if number is None]

    def _prepare(self, index: int, picture: KnownPicture) -> _Still:
        shape, places = picture.described_Chw.shape[1:], self._project(picture.described_Chw)
        said = np.ones(shape, np.float32) if picture.known_hw is None else picture.known_hw
        known = _flatten(np.stack([*picture.ab_2hw * said, said]))
        return _Still(
            index, places, np.square(places).sum(axis=1), known, shape[1], picture.frames, _glance(places, shape)
        )

    def _project(self, described_Chw: Floats) -> Floats:
        places: Floats = (_flatten(described_Chw) - self._mean) @ self._basis
        return places

    def __call__(self, described_Chw: Floats, number: int) -> Finding:
        """Match a picture by its description. number: of the film's frame that it is.

        It is compared with the numbered stills before and after it, and with the likest of the others.
        """
        shape, places = described_Chw.shape[1:], self._project(described_Chw)
        found = [_compare(places, shape, still) for still in self._candidates(number, _glance(places, shape))]
        if not found:
            return Finding(np.zeros((2, *shape), np.float32), np.zeros(shape, np.float32), 0.0, 0, 0.0)
        best = max(found, key=lambda one: one.coherence)
        related = [one for one in found if one.coherence >= RELATED * best.coherence]
        squared = np.concatenate([one.squared for one in related], axis=1)
        known = np.concatenate([one.still.known_N3 for one in related])
        least = squared.min(axis=1, keepdims=True)
        squared -= least
        sharp, soft = _mean(squared, known, SHARP), _mean(squared, known, SOFT)
        distance = np.maximum(least[:, 0] + np.square(places).sum(axis=1), 0)
        alike = np.exp(-np.square(distance * np.float32(1 / ALIKE)))[:, None]
        *color, said = np.ascontiguousarray((soft + alike * (sharp - soft)).T.reshape(3, *shape))
        ab = np.stack(color) / np.maximum(said, np.float32(1e-3))
        sure = alike.reshape(shape)
        if not self._says_all:
            sure = sure * np.clip((said - SAID_LITTLE) / (SAID_MUCH - SAID_LITTLE), 0, 1)
        return Finding(ab, sure, best.coherence, best.still.index, float(sure.mean()))

    def _candidates(self, number: int, glance: Floats) -> list[_Still]:
        numbered = [(at, still) for at, still in self._numbered if still.speaks_of(number)]
        nearest = {max((at for at, _ in numbered if at <= number), default=None)}
        nearest.add(min((at for at, _ in numbered if at > number), default=None))
        around = [still for at, still in numbered if at in nearest]
        others = sorted(self._unnumbered, key=lambda still: float(np.square(still.glance - glance).sum()))
        return [*around, *others[:MAX_WITHOUT_NUMBER]]


def shrink_ab(ab_2hw: Floats, described_Chw: Floats) -> Floats:
    """Average a*b* to the places of a description."""
    size = described_Chw.shape[:0:-1]
    return np.stack([np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32) for plane in ab_2hw])


def _flatten(planes: Floats) -> Floats:
    """Planes (C, h, w) as places (h * w, C)."""
    return np.ascontiguousarray(planes.reshape(len(planes), -1).T, np.float32)


def _glance(places_NK: Floats, shape: tuple[int, ...]) -> Floats:
    """A picture at a glance: its description at a few places."""
    planes = places_NK.T.reshape(-1, *shape)
    small = [cv2.resize(np.ascontiguousarray(plane), GLANCE[::-1], interpolation=cv2.INTER_AREA) for plane in planes]
    return np.stack(small).astype(np.float32)


def _compare(places_NK: Floats, shape: tuple[int, ...], still: _Still) -> _Found:
    squared = still.squares_N - 2 * places_NK @ still.places_NK.T
    rows, columns = np.divmod(squared.argmin(axis=1).reshape(shape), still.width)
    return _Found(still, squared, _coherence(rows, columns))


def _coherence(rows_hw: Floats, columns_hw: Floats) -> float:
    """Share of neighboring places that were found as neighbors, within a place."""
    shares = []
    for axis in (0, 1):  # down, across
        down, across = np.abs(np.diff(rows_hw, axis=axis) - (axis == 0)), np.abs(np.diff(columns_hw, axis=axis) - axis)
        if down.size:
            shares.append(float((np.maximum(down, across) <= 1).mean()))
    return float(np.mean(shares)) if shares else 1.0


def _mean(squared: Floats, known_N3: Floats, sharpness: float) -> Floats:
    """The mean of what all places say, for each place, weighted by softmax(-sharpness * squared distance)."""
    share = cv2.exp(squared * np.float32(-sharpness))
    return np.asarray(share @ known_N3 / share.sum(axis=1, keepdims=True), np.float32)
