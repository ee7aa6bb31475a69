"""Models by name, file or mixture: `a+b` and `a:0.6+b:0.4` color with the weighted mean of several models' a*b*.

Shapes: B batch, h w pixels of the picture that is shown.
"""

import hashlib
import os
import re
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
from vidcolor.inference.published.files import STRIDE
from vidcolor.planes import GRID, network_size

MAX_PARTS = 8
_WEIGHTED = re.compile(r"(.+):(-?[0-9.]+(?:e-?[0-9]+)?|nan|-?inf)", re.IGNORECASE)
MIXTURE = "mixture"  # the generator that a mixture's header names


@dataclass(frozen=True)
class Part:
    """One model of a mixture."""

    model: str  # a name or a file
    weight: float  # of all parts together 1

    @property
    def path(self) -> Path:
        """Its file. Raises ModelError."""
        return weights.find(self.model)


def parse(model: str | os.PathLike[str]) -> tuple[Part, ...]:
    """Parse what `--model` takes: one part for a name or file. Raises UsageError for a mixture that is none."""
    text = os.fspath(model)
    pieces = _split(text) if "+" in text and not _is_model_file(text) else [text]
    if len(pieces) == 1:
        if (found := _WEIGHTED.fullmatch(text)) and not weights.is_file(text):
            raise UsageError(f"model {text[:80]!r}: a weight belongs to a mixture, as in {found[1]}:0.6+other:0.4.")
        return (Part(text, 1.0),)
    if len(pieces) > MAX_PARTS:
        raise UsageError(f"model {text[:80]!r}: mixes {len(pieces)} models; {MAX_PARTS} at most.")
    parts = [_parse_part(piece, text) for piece in pieces]
    greatest = max(part.weight for part in parts)
    total = sum(part.weight / greatest for part in parts)
    parts = [replace(part, weight=part.weight / greatest / total) for part in parts]
    if not all(part.weight for part in parts):
        raise UsageError(f"model {text[:80]!r}: its weights are too far apart.")
    return tuple(parts)


def _split(text: str) -> list[str]:
    """Split at each +, but for those in the paths of files that exist."""
    pieces = text.split("+")
    found: list[str] = []
    while pieces:
        counts = range(len(pieces), 1, -1)
        count = next((count for count in counts if _is_file_with_weight("+".join(pieces[:count]))), 1)
        found.append("+".join(pieces[:count]))
        pieces = pieces[count:]
    return found


def _is_file_with_weight(text: str) -> bool:
    found = _WEIGHTED.fullmatch(text)
    return _is_model_file(text) or (found is not None and _is_model_file(found[1]))


def _is_model_file(text: str) -> bool:
    return weights.is_file(text) and os.path.isfile(text)  # noqa: PTH113 - Path.is_file raises for long names


def _parse_part(text: str, whole: str) -> Part:
    found = _WEIGHTED.fullmatch(text)
    name, number = (found[1].strip(), float(found[2])) if found else (text.strip(), 1.0)
    if not name or not 0 < number < float("inf"):
        raise UsageError(f"model {whole[:80]!r}: a mixture is written a+b, or a:0.6+b:0.4 with weights above 0.")
    if name.endswith("%"):
        raise UsageError(f"model {whole[:80]!r}: write a weight as a number, such as 0.6.")
    return Part(name, number)


def join(parts: Sequence[Part], *, digits: int = 17) -> str:
    """The text that `parse` reads as these parts; exact with 17 digits."""
    if len({part.weight for part in parts}) == 1:
        return "+".join(part.model for part in parts)
    return "+".join(f"{part.model}:{part.weight:.{digits}g}" for part in parts)


def label(model: str) -> str:
    """A name of a model or mixture for people: files without folder and suffix."""
    named = [
        replace(part, model=Path(part.model).stem if weights.is_file(part.model) else part.model)
        for part in parse(model)
    ]
    return join(named, digits=3)


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


def identity(model: str) -> str:
    """Hex sha256 of all that decides a model's or mixture's colors. Raises ModelError, UsageError."""
    parts = parse(model)
    found = [weights.identity(part.path) for part in parts]
    if len(parts) == 1:
        return found[0]
    told = " ".join(f"{digest}:{part.weight!r}" for digest, part in zip(found, parts, strict=True))
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
