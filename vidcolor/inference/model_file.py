"""The header of a model file. The file may be untrusted, so every number is checked before weights are read.

The format is safetensors: eight bytes with the header's length, the header in JSON, the values. This module needs no
torch.
"""

import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vidcolor.errors import ModelError

HEADER_KEY = "vidcolor"
MAX_HEADER = 4_000_000  # bytes; the packaged models have 73,000
MAX_DEPTH = 32  # of nested lists and objects; the packaged models have 5
MAX_LETTERS = 255  # in a name, as in a file's name
MIN_SIZE = 32  # pixels: planes.GRID, without its OpenCV
MAX_SIZE = 1024  # pixels, greatest default size of a model: memory grows with its fourth power
ITEM_BYTES = {"F16": 2, "F32": 4}  # bytes of each weight, by type
REQUIRED_FIELDS = ("generator", "config", "name", "version")

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True)
class Contents:
    """The fields of weights.ModelHeader, and the shapes of the weights by name."""

    header: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]


class _InvalidError(ValueError):
    """The file claims to be a vidcolor model but holds something invalid."""


class _DamagedError(ValueError):
    """The values are not where the header says."""


def read(path: Path) -> Contents:
    """Read a model file's header. Raises ModelError for a missing, damaged, foreign or invalid file."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            size = os.fstat(file.fileno()).st_size
            text = _read_header(file, size)
        return _parse_contents(text, size)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such model file.") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    except _InvalidError as error:
        raise ModelError(f"{path}: cannot be used as a model: {error}.") from error
    except _DamagedError as error:
        raise ModelError(f"{path}: the weights are damaged ({error}). Copy it again.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a vidcolor model (a .safetensors file made by `vidcolor train`).") from error


def is_foreign(path: Path) -> bool:
    """Whether a file is of the safetensors format and has no header of ours: weights of another program."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            table = _parse_object(_read_header(file, os.fstat(file.fileno()).st_size))
        about = table.pop("__metadata__", {})
        is_whole = all({"dtype", "shape", "data_offsets"} <= entry.keys() for entry in table.values())
        return bool(table) and is_whole and HEADER_KEY not in dict(about)
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def check(stated: dict[str, Any]) -> None:
    """Raise ModelError for header fields that `read` would refuse."""
    try:
        _check(_parse_object(json.dumps(stated)))
    except ValueError as error:
        raise ModelError(f"model {stated.get('name')!r} cannot be written: {error}.") from error


def _open_without_waiting(name: str, flags: int) -> int:
    """Open a file without blocking: a pipe would wait forever for a writer."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _read_header(file: BinaryIO, size: int) -> str:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise ValueError("no file")
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= 100_000_000:  # the format's own limit
        raise ValueError("no safetensors header")
    if length > MAX_HEADER:
        raise _InvalidError(f"its header has {length:,} bytes; at most {MAX_HEADER:,} are read")
    if 8 + length > size:
        raise _DamagedError("its header is cut off")
    return file.read(length).decode("utf-8")


def _parse_contents(text: str, size: int) -> Contents:
    table = _parse_object(text)
    stated = _parse_object(table.pop("__metadata__")[HEADER_KEY])
    _check(stated)
    return Contents(stated, _parse_shapes(table, size - 8 - len(text.encode())))


def _parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object with unique keys and finite numbers."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found.group(), 0)
        if depth > MAX_DEPTH:
            raise _InvalidError(f"its header is nested more than {MAX_DEPTH} deep")
    value = json.loads(text, object_pairs_hook=_check_unique, parse_constant=_parse_finite, parse_float=_parse_finite)
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _check_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key in found if sum(key == other for other, _ in pairs) > 1)
        raise _InvalidError(f"its header says {twice!r} twice")
    return found


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _InvalidError(f"its header has {text[:20]} for a number")
    return number


def _check(stated: dict[str, Any]) -> None:
    """Raise _InvalidError for a field that is missing, unknown or out of range."""
    if missing := [name for name in REQUIRED_FIELDS if name not in stated]:
        raise _InvalidError(f"its header does not say {missing[0]!r}")
    for name, value in stated.items():
        if name not in _FIELD_CHECKS:
            raise _InvalidError(f"its header says {name[:MAX_LETTERS]!r}, which this version does not know")
        if not _FIELD_CHECKS[name](value):
            raise _InvalidError(f"its header says {name} {str(value)[:40]!r}, which no model has")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_LETTERS and not re.search("[\ud800-\udfff]", value)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_whole(value: object, least: int, most: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"([0-9a-f]{64})?", value) is not None


_FIELD_CHECKS: dict[str, Callable[[object], bool]] = {
    "generator": _is_name,
    "config": _is_object,
    "name": _is_name,
    "version": _is_name,
    "notes": _is_object,
    "size": lambda value: _is_whole(value, MIN_SIZE, MAX_SIZE),
    "multiple": lambda value: _is_whole(value, 1, 1024),
    "sha256": _is_sha256,
}


def _parse_shapes(table: dict[str, Any], there: int) -> dict[str, tuple[int, ...]]:
    """Parse the weights' shapes.  there: bytes of values. Raises _DamagedError unless the weights fill them exactly."""
    end = 0
    shapes: dict[str, tuple[int, ...]] = {}
    for name, entry in sorted(table.items(), key=lambda item: _parse_offsets(item[1])):
        start, stop = _parse_offsets(entry)
        kind, shape = entry["dtype"], entry["shape"]
        if kind not in ITEM_BYTES:
            raise _InvalidError(f"weights {name[:40]!r} are of type {str(kind)[:20]!r}; they need to be F16 or F32")
        if not _are_whole(shape, 8, there) or stop - start != math.prod(shape) * ITEM_BYTES[kind] or start != end:
            raise _DamagedError(f"{name[:40]!r} is not where the header says")
        shapes[name], end = tuple(shape), stop
    if end != there:
        raise _DamagedError(f"{there:,} bytes of values, {end:,} needed")
    return shapes


def _parse_offsets(entry: Any) -> tuple[int, int]:
    start, stop = entry["data_offsets"]
    if not _are_whole([start, stop], 2, math.inf):
        raise _DamagedError("values at no place")
    return start, stop


def _are_whole(values: Iterable[object], count: int, most: float) -> bool:
    listed = list(values)
    return len(listed) <= count and all(_is_whole(value, 0, most) for value in listed)
