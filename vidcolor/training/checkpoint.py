"""Checkpoints: a run's state on disk. A damaged or foreign file is refused before it is used."""

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidcolor import outputs
from vidcolor.errors import TrainingError
from vidcolor.inference import weights
from vidcolor.networks import build_on_meta

_NUMBERS = ("elapsed", "step", "images", "won_steps")


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, completely or not at all. Raises SinkError."""
    with outputs.replacing(path, overwrite=True, makes_folder=True) as partial:
        try:
            torch.save(state, partial)
        except RuntimeError as error:  # how torch reports a full disk
            raise OSError(str(error)) from error


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint; no code in it is run. Raises TrainingError."""
    try:
        _check_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        _check_state(state, path.stat().st_size)
        _rename(state["players"].get("discriminator", {}), "judges.", "scales.")  # names of vidcolor 0.1.0
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # a damaged pickle can fail in any way
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise damage_error(path, reason) from error
    checked: dict[str, Any] = state
    return checked


def damage_error(path: Path, reason: str) -> TrainingError:
    """The error for a checkpoint that cannot be used."""
    return TrainingError(f"{path}: is damaged ({reason}). Restore a copy of it, or pass --no-resume to begin again.")


def check_generator(state: dict[str, Any], generator: str) -> None:
    """Raise ModelError unless the stored weights fit the network that the config describes."""
    for name in ("generator", "average"):
        shapes = {key: tuple(value.shape) for key, value in state["players"][name].items()}
        stored = {key: shape for key, shape in shapes.items() if not key.endswith(weights.COUNTER)}
        weights.check_fit(build_on_meta(generator, state["config"]), generator, stored)


def _check_file(path: Path) -> None:
    """Raise ValueError for compressed entries: a few bytes could unpack to any size."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its entries are compressed, which no checkpoint's are")


def _check_state(state: Any, size: int) -> None:
    """Raise ValueError or TypeError for a state that no run has written."""
    if sum(value.numel() * value.element_size() for value in _tensors(state)) > 2 * size:
        raise ValueError("its arrays are larger than the file")
    if not isinstance(state["config"], dict) or not isinstance(state["players"], dict):
        raise TypeError("no networks in it")
    for name in _NUMBERS:
        if not isinstance(state[name], int | float) or not 0 <= state[name] < math.inf:
            raise ValueError(f"{name} is {state[name]}")
    for name in {"generator", "average", "discriminator"} & state["players"].keys():
        if odd := weights.find_nonfinite(state["players"][name]):
            raise ValueError(f"{odd} of the {name} is not finite")


def _rename(tensors: dict[str, Any], earlier: str, now: str) -> None:
    for name in [name for name in tensors if name.startswith(earlier)]:
        tensors[now + name.removeprefix(earlier)] = tensors.pop(name)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _tensors(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _tensors(entry)
