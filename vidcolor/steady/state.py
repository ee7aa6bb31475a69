"""Conversion of a stage's state to plain arrays by name, for any file format, and back.

The names are made of the field names of the state's dataclasses, so those are part of what is saved.
"""

from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

State = TypeVar("State")
Arrays = dict[str, NDArray[Any]]  # names such as "average.ab_2hw" and "waiting_gray.0"


def to_arrays(state: Any, name: str = "") -> Arrays:
    """Convert a dataclass of arrays, numbers, dataclasses, tuples of these and None to arrays by dotted name."""
    if state is None:
        return {}
    prefix = f"{name}." if name else ""
    if is_dataclass(state):
        parts = [(field.name, getattr(state, field.name)) for field in fields(state)]
    elif isinstance(state, tuple):
        parts = [(str(number), part) for number, part in enumerate(state)]
    else:
        return {name: np.asarray(state)}
    return {key: array for part, value in parts for key, array in to_arrays(value, prefix + part).items()}


def from_arrays(kind: type[State], arrays: Arrays) -> State:
    """The state of this kind that `to_arrays` converted."""
    found: State = _build(kind, arrays, "")
    return found


def _build(kind: Any, arrays: Arrays, name: str) -> Any:
    prefix = f"{name}." if name else ""
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{field.name: _build(hints[field.name], arrays, prefix + field.name) for field in fields(kind)})
    if get_origin(kind) is tuple:
        count = len({key.removeprefix(prefix).partition(".")[0] for key in arrays if key.startswith(prefix)})
        return tuple(_build(get_args(kind)[0], arrays, f"{prefix}{number}") for number in range(count))
    if isinstance(kind, UnionType):
        is_there = any(key == name or key.startswith(prefix) for key in arrays)
        (inner,) = set(get_args(kind)) - {NoneType}
        return _build(inner, arrays, name) if is_there else None
    array = arrays[name]
    return kind(array.item()) if kind in (bool, int, float) else array
