"""One palette a shot: key frames agree on the colors of what looks alike in them.

A key's colors are drawn toward those that alike places have in the shot's other keys, before and soon after it. What is
drawn is a shift of colors, smooth over the picture, which follows the motion and sets in slowly.
Shapes: h w of a*b*; p q places at stride 16 of the network's picture, N of them, K numbers of a likeness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.steady.links import Link

KEY_INTERVAL = 12  # frames of the film from key to key
MEMORY = 4  # keys of the shot that are remembered: the first, the newest, and some between them; 6 do no better
SHARPNESS = 20.0  # of the softmax over a key's places
ALIKE = 1.0  # squared distance at which a place counts little
OWN_WEIGHT = 0.5  # of a key's own colors, where each other key counts 1
RATE = 0.5  # share of a new shift that is taken at once: keys differ by chance, too


@dataclass(frozen=True)
class PaletteKey:
    """A key frame as others are compared with it. Saved by `to_arrays`: field names are part of the format."""

    likeness_Kpq: Floats
    ab_2pq: Floats


@dataclass(frozen=True)
class PaletteState:
    """Everything that later frames depend on. Saved by `to_arrays`: field names are part of the format."""

    keys: tuple[PaletteKey, ...] = ()
    before_2hw: Floats | None = None  # the shift before the newest key, aligned to the newest frame
    after_2hw: Floats | None = None  # the shift since then, toward which frames move


def make_key(likeness_Kpq: Floats, ab_2hw: Floats) -> PaletteKey:
    """A key frame of these colors.  likeness: see networks.likeness."""
    size = likeness_Kpq.shape[:0:-1]
    small = [cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA) for plane in ab_2hw]
    return PaletteKey(likeness_Kpq, np.stack(small).astype(np.float32, copy=False))


def follow(state: PaletteState, link: Link) -> PaletteState:
    """Carry the shifts to the next frame, which `link` connects to the one before."""
    if state.before_2hw is None or state.after_2hw is None:
        return state
    return replace(state, before_2hw=link.warp_ab(state.before_2hw), after_2hw=link.warp_ab(state.after_2hw))


def agree(
    state: PaletteState, likeness_Kpq: Floats, ab_2hw: Floats, ahead: Sequence[PaletteKey], *, is_start: bool
) -> PaletteState:
    """Agree on a key's colors with the shot's other keys.

    ab: the key's own.  ahead: the next keys, with the network's colors.  is_start: whether the key begins its shot.
    """
    key = make_key(likeness_Kpq, ab_2hw)
    wanted = _shift_of(key, [*state.keys, *ahead], ab_2hw.shape[1:])
    before = state.after_2hw
    if before is None:
        before = wanted if is_start else np.zeros_like(ab_2hw)
        after = wanted
    else:
        after = before + np.float32(RATE) * (wanted - before)
    kept = make_key(likeness_Kpq, ab_2hw + after)
    return PaletteState(_remember((*state.keys, kept)), before, after)


def shift(state: PaletteState, ab_2hw: Floats, progress: float) -> Floats:
    """Shift a frame's colors.  progress: from the newest key to the next one, 0 to 1."""
    if state.before_2hw is None or state.after_2hw is None:
        return ab_2hw
    shifted: Floats = ab_2hw + state.before_2hw + np.float32(progress) * (state.after_2hw - state.before_2hw)
    return shifted


def _shift_of(key: PaletteKey, others: Sequence[PaletteKey], size: tuple[int, ...]) -> Floats:
    """How far a key's colors are from what all keys together say: (2, h, w)."""
    places, own = _flatten(key.likeness_Kpq), _flatten(key.ab_2pq)
    squares = np.square(places).sum(axis=1)[:, None]
    said, weight = np.float32(OWN_WEIGHT) * own, np.full((len(own), 1), OWN_WEIGHT, np.float32)
    for other in others:
        theirs = _flatten(other.likeness_Kpq)
        distance = np.square(theirs).sum(axis=1) - 2 * _multiply(places, theirs.T)  # less the place's own square
        least = distance.min(axis=1, keepdims=True)
        share = cv2.exp((least - distance) * np.float32(SHARPNESS))
        alike = np.exp(-np.square(np.maximum(squares + least, 0) / np.float32(ALIKE)))
        colors = _multiply(share, _flatten(other.ab_2pq)) / share.sum(axis=1, keepdims=True)
        said = said + alike * colors
        weight = weight + alike
    planes = np.ascontiguousarray((said / weight - own).T.reshape(key.ab_2pq.shape))
    return np.stack([np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_CUBIC)) for plane in planes])


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
