"""Known colors found in other pictures by likeness: what a still shows is looked for in each frame.

It needs no unbroken motion, so it survives occlusion, fast motion and cuts back to the same place. Places are described
by networks.binnet.BinNet.describe; colors are a mean of the stills' places, by likeness (an attention over them).

Shapes: C numbers of a description, h w places at stride 8, N places of all stills, K numbers that are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidcolor.color import Floats

COMPARED = 64  # numbers: principal components of the stills' descriptions
SHARP, SOFT = 20.0, 5.0  # of the softmax where a place is alike, and where nothing is
COHERENT = 0.42  # of pictures of one place: six clips have 0.42 to 0.8 for seconds, other places 0.19 to 0.35
ALIKE = 2.0  # squared distance at which a place is as unlike as like


@dataclass(frozen=True)
class Match:
    """What stills say of a picture. Saved by `to_arrays`: field names are part of the format."""

    ab_2hw: Floats
    coherence: float  # share of neighbors that are neighbors in a still, too: of the same place mostly above COHERENT


class Matcher:
    """Finds the colors of stills in other pictures."""

    def __init__(self, stills: Sequence[tuple[Floats, Floats]]) -> None:
        """stills: descriptions (C, h, w) and a*b* (2, h, w) of each, at any sizes."""
        self._positions_N2 = np.concatenate([_positions(ab, 1000 * number) for number, (_, ab) in enumerate(stills)])
        described = np.concatenate([places.reshape(len(places), -1).T for places, _ in stills]).astype(np.float32)
        self._ab_N2 = np.concatenate([ab.reshape(2, -1).T for _, ab in stills]).astype(np.float32)
        self._mean = described.mean(axis=0)
        centered = described - self._mean
        _, vectors = np.linalg.eigh((centered.T @ centered).astype(np.float64))
        self._basis = np.ascontiguousarray(vectors[:, ::-1][:, :COMPARED], np.float32)
        self._places_NK = centered @ self._basis
        self._squares_N = np.square(self._places_NK).sum(axis=1)

    def __call__(self, described_Chw: Floats) -> Match:
        """Match a picture by its description."""
        channels, h, w = described_Chw.shape
        places = (described_Chw.reshape(channels, -1).T - self._mean) @ self._basis
        squared = self._squares_N - 2 * places @ self._places_NK.T  # less the place's own square
        nearest = squared.argmin(axis=1)
        least = np.take_along_axis(squared, nearest[:, None], axis=1)
        squared -= least
        sharp, soft = self._mean_color(squared, SHARP), self._mean_color(squared, SOFT)
        distance = np.maximum(least[:, 0] + np.square(places).sum(axis=1), 0)
        alike = np.exp(-np.square(distance * np.float32(1 / ALIKE)))[:, None]
        ab = np.ascontiguousarray((soft + alike * (sharp - soft)).T.reshape(2, h, w))
        return Match(ab, _coherence(self._positions_N2[nearest].reshape(h, w, 2)))

    def _mean_color(self, squared: Floats, sharpness: float) -> Floats:
        """The mean of all places' colors for each place, weighted by softmax(-sharpness * squared distance)."""
        share = cv2.exp(squared * np.float32(-sharpness))
        return np.asarray(share @ self._ab_N2 / share.sum(axis=1, keepdims=True), np.float32)


def shrink_ab(ab_2hw: Floats, described_Chw: Floats) -> Floats:
    """Average a*b* to the places of a description."""
    size = described_Chw.shape[:0:-1]
    return np.stack([np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32) for plane in ab_2hw])


def _positions(ab_2hw: Floats, offset: int) -> Floats:
    """Row and column of each place (N, 2); offset: keeps the stills apart."""
    rows, columns = np.mgrid[: ab_2hw.shape[1], : ab_2hw.shape[2]].astype(np.float32)
    return np.stack([rows.ravel() + offset, columns.ravel()], axis=1)


def _coherence(found_hw2: Floats) -> float:
    """Share of neighboring places that were found as neighbors, within a place. found: row and column."""
    across = np.abs(np.diff(found_hw2, axis=1) - (0, 1)).max(axis=2) <= 1
    down = np.abs(np.diff(found_hw2, axis=0) - (1, 0)).max(axis=2) <= 1
    return float((across.mean() + down.mean()) / 2)
