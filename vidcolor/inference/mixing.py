"""Models by name, file or mixture: `a+b` and `a:0.6+b:0.4` color with the weighted mean of several models' a*b*.

Shapes: B batch, h w pixels of the picture that is shown.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidcolor.color import Floats
from vidcolor.errors import UsageError
from vidcolor.inference import weights
from vidcolor.inference.backends import open_backend
from vidcolor.inference.devices import Backend
from vidcolor.inference.published import files
from vidcolor.inference.published.asking import resize
from vidcolor.planes import GRID, network_size

MAX_PARTS = 8
MIXTURE = "mixture"  # the generator that a mixture's header names
STRIDE = 2  # pixels to a place of a mixture's a*b*


@dataclass(frozen=True)
class Part:
    """One model of a mixture."""

    model: str  # a name or a file
    weight: float  # of all parts together 1

    @property
    def path(self) -> Path:
        """Its file. Raises ModelError."""
        return weights.find(self.model)


def parse(model: str) -> tuple[Part, ...]:
    """Parse what `--model` takes: one part for a name or file. Raises UsageError for a mixture that is none."""
    model = os.fspath(model)
    texts = [model] if "+" not in model or Path(model).exists() else model.split("+")
    if len(texts) == 1:
        return (Part(model, 1.0),)
    if len(texts) > MAX_PARTS:
        raise UsageError(f"model {model[:80]!r}: mixes {len(texts)} models; {MAX_PARTS} at most.")
    parts = [_parse_part(text, model) for text in texts]
    total = sum(part.weight for part in parts)
    return tuple(Part(part.model, part.weight / total) for part in parts)


def _parse_part(text: str, whole: str) -> Part:
    name, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon else 1.0
    except ValueError:  # C:\models\a.onnx
        name, weight = text, 1.0
    name = (name if colon else text).strip()
    if not name or not 0 < weight < float("inf"):
        raise UsageError(f"model {whole[:80]!r}: a mixture is written a+b, or a:0.6+b:0.4 with weights above 0.")
    return Part(name, weight)


def join(parts: Sequence[Part]) -> str:
    """The text that `parse` reads as these parts."""
    if len({part.weight for part in parts}) == 1:
        return "+".join(part.model for part in parts)
    return "+".join(f"{part.model}:{part.weight:g}" for part in parts)


def label(model: str) -> str:
    """A name of a model or mixture for people: files without folder and suffix."""
    named = [
        replace(part, model=Path(part.model).stem if weights.is_file(part.model) else part.model)
        for part in parse(model)
    ]
    return join(named)


def read_header(model: str) -> weights.ModelHeader:
    """Read the header of a model or mixture. Raises ModelError, UsageError."""
    parts = parse(model)
    headers = [weights.read_header(part.path) for part in parts]
    if len(parts) == 1:
        return headers[0]
    are_equal = len({round(part.weight, 6) for part in parts}) == 1
    names = (
        header.name if are_equal else f"{header.name}:{part.weight:g}"
        for header, part in zip(headers, parts, strict=True)
    )
    return weights.ModelHeader(
        MIXTURE, {}, "+".join(names), "+".join(header.version for header in headers),
        max(header.size for header in headers), GRID,
    )  # fmt: skip


def sha256(model: str) -> str:
    """Hex sha256 of a model file, or of a mixture's files and weights. Raises ModelError, UsageError."""
    parts = parse(model)
    found = [weights.sha256(part.path) for part in parts]
    if len(parts) == 1:
        return found[0]
    told = " ".join(f"{digest}:{part.weight:.9g}" for digest, part in zip(found, parts, strict=True))
    return hashlib.sha256(told.encode()).hexdigest()


def is_published(model: str) -> bool:
    """Whether a model or a part of a mixture is another project's. Raises ModelError, UsageError."""
    return any(files.is_published(part.path) for part in parse(model))


def open_model(model: str, device: str, precision: str) -> Backend:
    """Load a model or mixture on a device. Raises ModelError, DeviceError, UsageError."""
    parts = parse(model)
    backends = [open_backend(part.path, device, precision) for part in parts]
    if len(parts) == 1:
        return backends[0]
    headers = [weights.read_header(part.path) for part in parts]
    return MixedBackend(
        [Member(*member) for member in zip(backends, headers, (part.weight for part in parts), strict=True)]
    )


@dataclass(frozen=True)
class Member:
    """A loaded model of a mixture."""

    backend: Backend
    header: weights.ModelHeader
    weight: float


class MixedBackend:
    """Several models on one device, each asked at its own size. See devices.Backend."""

    def __init__(self, members: Sequence[Member]):
        self._members = members
        self._size = max(member.header.size for member in members)
        self.name = " + ".join(dict.fromkeys(member.backend.name for member in members))
        self.preferred_batch = min(member.backend.preferred_batch for member in members)

    def __call__(self, lightness_B1hw: Floats) -> Floats:
        """See Backend; a*b* have half the picture's size."""
        height, width = lightness_B1hw.shape[2:]
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        mixed = np.zeros((len(lightness_B1hw), 2, rows, columns), np.float32)
        for member in self._members:
            size = round(member.header.size * min(height, width) / self._size)
            shown = _shrink(lightness_B1hw, size, member.header.multiple)
            ab_B2hw = member.backend(shown)
            mixed += np.float32(member.weight) * np.stack([resize(ab, rows, columns) for ab in ab_B2hw])
        return mixed


def _shrink(lightness_B1hw: Floats, size: int, multiple: int) -> Floats:
    """The pictures at another short side, of sides that are multiples."""
    height, width = lightness_B1hw.shape[2:]
    sides = network_size(height, width, max(size, GRID))
    rows, columns = (-(-side // multiple) * multiple for side in sides)
    return np.ascontiguousarray(np.stack([resize(picture, rows, columns) for picture in lightness_B1hw]))
