"""One palette a shot: key frames agree on the colors of what looks alike in them.

What the network says of a key is moved toward the colors that alike places have in the shot's earlier keys, and counts
for as many opinions as it rests on when colors are averaged along the motion.
Shapes: h w of a*b*; p q places at stride 16 of the network's picture, N of them, K numbers of a likeness.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vidcolor.color import Floats

KEY_INTERVAL = 12  # frames of the film from key to key
MEMORY = 8  # keys of the shot that are remembered: the first, the newest, and some between them
SHARPNESS = 20.0  # of the softmax over a key's places, as likeness was learned with
ALIKE = 4.0  # squared distance at which a place counts little
OWN_WEIGHT = 0.25  # of a key's own colors, where each other key counts 1
EVIDENCE = 6.0  # opinions that a place of another key counts for, where it is the same


@dataclass(frozen=True)
class PaletteKey:
    """A key frame as others are compared with it. Saved by `to_arrays`: field names are part of the format."""

    likeness_Kpq: Floats
    ab_2pq: Floats


@dataclass(frozen=True)
class Agreement:
    """A key frame's colors as its shot's other keys have them."""

    ab_2hw: Floats
    weight_hw: Floats  # opinions that they rest on, 1 or more
    keys: tuple[PaletteKey, ...]  # to compare the next key with


def agree(keys: tuple[PaletteKey, ...], likeness_Kpq: Floats, ab_2hw: Floats) -> Agreement:
    """Agree on a key's colors with the shot's earlier keys.

    likeness: see networks.likeness.  ab: the network's.
    """
    rows, columns = ab_2hw.shape[1:]
    key = _make_key(likeness_Kpq, ab_2hw)
    moved, alike = _compare(key, keys)
    enlarged = [cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_LINEAR) for plane in (*moved, alike)]
    *shift, evidence = np.stack(enlarged).astype(np.float32, copy=False)
    ab = ab_2hw + np.stack(shift)
    weight = 1 + np.float32(EVIDENCE) * evidence
    return Agreement(ab, weight, _remember((*keys, _make_key(likeness_Kpq, ab))))


def _make_key(likeness_Kpq: Floats, ab_2hw: Floats) -> PaletteKey:
    size = likeness_Kpq.shape[:0:-1]
    small = [cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA) for plane in ab_2hw]
    return PaletteKey(likeness_Kpq, np.stack(small).astype(np.float32, copy=False))


def _compare(key: PaletteKey, others: tuple[PaletteKey, ...]) -> tuple[Floats, Floats]:
    """How far a key's colors are from what all keys together say, (2, p, q); and how many others are alike, (p, q)."""
    places, own = _flatten(key.likeness_Kpq), _flatten(key.ab_2pq)
    squares = np.square(places).sum(axis=1)[:, None]
    said, alike = np.float32(OWN_WEIGHT) * own, np.zeros((len(own), 1), np.float32)
    for other in others:
        theirs = _flatten(other.likeness_Kpq)
        distance = np.square(theirs).sum(axis=1) - 2 * _multiply(places, theirs.T)  # less the place's own square
        least = distance.min(axis=1, keepdims=True)
        share = cv2.exp((least - distance) * np.float32(SHARPNESS))
        counts = np.exp(-np.square(np.maximum(squares + least, 0) / np.float32(ALIKE)))
        said = said + counts * _multiply(share, _flatten(other.ab_2pq)) / share.sum(axis=1, keepdims=True)
        alike = alike + counts
    size = key.ab_2pq.shape[1:]
    moved = np.ascontiguousarray((said / (OWN_WEIGHT + alike) - own).T.reshape(2, *size), np.float32)
    return moved, np.ascontiguousarray(alike.reshape(size), np.float32)


def _multiply(one: Any, other: Any) -> Any:
    """Multiply two matrices on one processor: NumPy would wake all of them, which the network needs."""
    gemm: Any = cv2.gemm
    return gemm(one, np.ascontiguousarray(other), 1, None, 0)


def _remember(keys: tuple[PaletteKey, ...]) -> tuple[PaletteKey, ...]:
    """The keys to remember: the first stays, and every other one of the rest is forgotten when they are too many."""
    if len(keys) <= MEMORY:
        return keys
    return (keys[0], *keys[2:-1:2], keys[-1])


def _flatten(planes: Floats) -> Floats:
    """Planes (C, p, q) as places (N, C)."""
    return np.ascontiguousarray(planes.reshape(len(planes), -1).T, np.float32)
