"""Listening to known colors: the packaged default model describes pictures, and spreads what is known, for any model.

Shapes: B pictures, h w positions of a*b*, C numbers of a description; h8 w8 positions at stride 8 of what the packaged
model looks at, SIDE pixels on the short side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.inference import weights
from vidcolor.inference.backends import uses_openvino
from vidcolor.inference.openvino_backend import Network, OpenVINOBackend
from vidcolor.planes import network_size, shrink

SIDE = 192  # pixels
STRIDE = 4  # pixels of what it looks at for one position of known colors


@dataclass(frozen=True)
class Known:
    """Known colors of a picture, at any size."""

    ab_2hw: Floats
    sure_hw: Floats  # 0 (nothing is known) to 1 (a person said so)

    @classmethod
    def nothing(cls) -> "Known":
        """What is known where nobody said anything."""
        return cls(np.zeros((2, 1, 1), np.float32), np.zeros((1, 1), np.float32))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not self.sure_hw.any()

    def resize(self, rows: int, columns: int) -> "Known":
        """The same at another size; where it gets smaller, colors count as they are sure."""
        weighted = [_resize(plane * self.sure_hw, rows, columns) for plane in self.ab_2hw]
        sure = _resize(self.sure_hw, rows, columns)
        colors = np.asarray(np.stack(weighted) / np.maximum(sure, np.float32(1e-4)), np.float32)
        return Known(colors, np.clip(sure, 0, 1))


@dataclass(frozen=True)
class Look:
    """What the packaged model sees of a picture."""

    ab_2hw: Floats  # that it would give it
    described_Chw: Floats  # numbers that are alike where the same thing is seen, see BinNet.look
    guiding: Floats  # what guidance needs: the likeness and detail of Guidance.look
    detail: Floats
    likeness_Kpq: Floats  # see networks.likeness


def known_size(picture: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns at which known colors of a picture of (H, W) are heard."""
    rows, columns = network_size(picture[0], picture[1], SIDE)
    return rows // STRIDE, columns // STRIDE


def listened_model() -> Path:
    """The file of the packaged model that listens."""
    return weights.models_folder() / "default.safetensors"


class _Runner(Protocol):
    def run_all(self, inputs: Sequence[Floats]) -> list[Floats]:
        """Run a network: inputs (B, C, h, w) each, outputs alike."""


class Listener:
    """The packaged default model, looking at pictures and listening to what is known of them."""

    def __init__(self, device: str, precision: str):
        """Raises DeviceError, UsageError. Networks are loaded when they are first asked."""
        self._device, self._precision = device, "auto" if precision == "int8" else precision
        self._is_openvino = uses_openvino(device, self._precision)

    @cached_property
    def _looker(self) -> _Runner:
        return self._open("looker")

    @cached_property
    def _likener(self) -> _Runner:
        return self._open("likener")

    @cached_property
    def _guidance(self) -> _Runner:  # likeness is a difference of large numbers, which half precision would lose
        return self._open("guidance", "fp32")

    @cached_property
    def _tinter(self) -> _Runner:
        return self._open("tinter")

    @cached_property
    def _believer(self) -> _Runner:
        return self._open("believer")

    def _open(self, part: Network, precision: str | None = None) -> _Runner:
        """A part of the packaged model; see networks.binnet.wrap."""
        if self._is_openvino:
            return OpenVINOBackend(listened_model(), precision or self._precision, network=part)
        from vidcolor.inference.torch_backend import TorchRunner
        from vidcolor.networks.binnet import wrap

        return TorchRunner(wrap(weights.load(listened_model())[0], part), self._device)

    @property
    def is_quick(self) -> bool:
        """Whether it is as quick as the network itself: in OpenVINO. In torch it runs without CUDA graphs."""
        return self._is_openvino

    def look(self, lightness_Bhw: Sequence[Floats]) -> list[Look]:
        """Look at L* pictures of any sizes; neighbors of one size are looked at together."""
        return [Look(*parts) for parts in _run_alike(self._looker, lightness_Bhw)]

    def liken(self, lightness_Bhw: Sequence[Floats]) -> list[tuple[Floats, Floats]]:
        """The packaged model's a*b* of L* pictures, and their likenesses: see networks.likeness."""
        return [(ab, likeness) for ab, likeness in _run_alike(self._likener, lightness_Bhw)]

    def expect(self, lightness_hw: Floats) -> tuple[Floats, Floats]:
        """The shares that the packaged model expects its bins to have of an L* picture, (K,); and the bins, (2, K)."""
        count = weights.read_header(listened_model()).config["bins"]
        ((_, shares, bins),) = _run_alike(self._tinter, [lightness_hw], np.zeros((count, 1, 1), np.float32))
        return shares, bins

    def believe(self, lightness_hw: Floats) -> tuple[Floats, Floats]:
        """How likely the packaged model holds its bins at each place of an L* picture, (K, h, w); the bins, (2, K)."""
        ((shares, bins),) = _run_alike(self._believer, [lightness_hw])
        return shares, bins

    def tint(self, lightness_Bhw: Sequence[Floats], bias_K: Floats) -> list[Floats]:
        """How the packaged model's a*b* of L* pictures move where its bins become likelier by exp(bias)."""
        return [moved for moved, *_ in _run_alike(self._tinter, lightness_Bhw, bias_K[:, None, None])]

    def guide(self, looks: Sequence[Look], ab_B2hw: Sequence[Floats], known: Sequence[Known]) -> list[Known]:
        """Correct a*b* that any model predicted by what is known: the colors, and how far they come from known ones.

        Where nothing is known of a picture, its prediction stays to the bit.  ab: at any size, which the results have.
        """
        found = [Known(ab, np.zeros(ab.shape[1:], np.float32)) for ab in ab_B2hw]
        asked = [place for place, told in enumerate(known) if not told.is_empty]
        for _, alike in groupby(asked, key=lambda place: (looks[place].detail.shape, ab_B2hw[place].shape)):
            places = list(alike)
            chosen = [(looks[place], ab_B2hw[place], known[place]) for place in places]
            for place, guided in zip(places, self._guide(chosen), strict=True):
                found[place] = guided
        return found

    def _guide(self, chosen: Sequence[tuple[Look, Floats, Known]]) -> list[Known]:
        """Guide pictures of one size."""
        rows, columns = chosen[0][0].detail.shape[1:]
        own = [resize(ab, rows, columns) for _, ab, _ in chosen]
        told = [known.resize(rows, columns) for _, _, known in chosen]
        looks = [look for look, _, _ in chosen]
        inputs: list[Sequence[Floats]] = [[look.guiding for look in looks], [look.detail for look in looks], own]
        inputs.append([np.concatenate([each.ab_2hw, each.sure_hw[None]]) for each in told])
        (guided,) = self._guidance.run_all([np.stack(parts).astype(np.float32, copy=False) for parts in inputs])
        results = []
        for (_, ab, _), mine, corrected in zip(chosen, own, guided, strict=True):
            change = corrected[:2] - mine if ab.shape != mine.shape else None
            colors = corrected[:2] if change is None else ab + resize(change, *ab.shape[1:])
            results.append(Known(colors, resize(corrected[2:], *ab.shape[1:])[0]))
        return results


def _run_alike(network: _Runner, lightness_Bhw: Sequence[Floats], *more: Floats) -> list[tuple[Floats, ...]]:
    """Run a network on L* pictures at SIDE, neighbors of one size together; its outputs for each.

    more: further inputs, the same for every picture.
    """
    shown = [shrink(each, network_size(each.shape[0], each.shape[1], SIDE)) for each in lightness_Bhw]
    found: list[tuple[Floats, ...]] = []
    for _, group in groupby(shown, key=lambda each: each.shape):
        alike = np.stack(list(group))[:, None].astype(np.float32, copy=False)
        inputs = [alike, *(np.repeat(each[None], len(alike), axis=0) for each in more)]
        found += zip(*network.run_all(inputs), strict=True)
    return found


def resize(planes: Floats, rows: int, columns: int) -> Floats:
    """Resize (C, h, w), by area average where it gets smaller."""
    if planes.shape[1:] == (rows, columns):
        return planes
    return np.stack([_resize(plane, rows, columns) for plane in planes])


def enlarge(ab_2hw: Floats, rows: int, columns: int) -> Floats:
    """Resize a*b* by bicubic interpolation where they get larger."""
    if ab_2hw.shape[1] >= rows:
        return resize(ab_2hw, rows, columns)
    planes = [cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_CUBIC) for plane in ab_2hw]
    return np.stack(planes).astype(np.float32, copy=False)


def _resize(plane: Floats, rows: int, columns: int) -> Floats:
    """Resize a plane, by area average where it gets smaller."""
    if plane.shape == (rows, columns):
        return plane
    smaller = plane.shape[0] >= rows and plane.shape[1] >= columns
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(plane, np.float32), (columns, rows), interpolation=how))
