"""ONNX and OpenVINO files: read by OpenVINO, recognized by what they take and give.

A network that others exported need not be a colorizer; ONNX files may name further files with their weights.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from vidcolor.counts import counted
from vidcolor.errors import ModelError
from vidcolor.inference.openvino_runtime import load_openvino
from vidcolor.inference.published.kinds import KINDS, SIDES, Kind
from vidcolor.inference.published.lookalikes import describe_file

MAX_NUMBERS = 1 << 29  # of one value between two layers: 2 GB; DDColor's largest at 512 pixels has an eighth
_FLOATS = ("f32", "f16")


@dataclass(frozen=True)
class Ports:
    """What a graph takes and gives."""

    inputs: tuple[int, ...]  # channels of each
    outputs: int  # channels
    side: int | None  # pixels, of the square that it takes; None: any


def read(path: Path) -> Any:
    """Read a graph by OpenVINO. Raises ModelError, which says what a file seems to be that is none."""
    if seems := describe_file(path):
        raise ModelError(f"{path}: no colorizer: it seems to be {seems}.")
    files_of(path)
    try:
        network = load_openvino().Core().read_model(path)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as {_form(path)} ({_shorten(error)}).") from error
    _check_sizes(network, path)
    return network


def _check_sizes(network: Any, path: Path) -> None:
    """Raise ModelError for a layer that makes more than a colorizer's."""
    for layer in network.get_ops():
        for port in layer.outputs():
            shape = port.get_partial_shape()
            if shape.is_static and _product(shape) > MAX_NUMBERS:
                raise ModelError(f"{path}: no colorizer: its layer {layer.get_friendly_name()[:40]!r} makes {shape}.")


def _product(shape: Any) -> int:
    found = 1
    for dimension in shape:
        found *= dimension.get_length()
    return found


def _form(path: Path) -> str:
    return "ONNX" if path.suffix.lower() == ".onnx" else "an OpenVINO model"


def _shorten(error: Exception) -> str:
    """The part of OpenVINO's message that says what is wrong, without places in its own code."""
    text = " ".join(str(error).split()).rpartition("Loading input model ")[2]
    return re.sub(r"Exception from \S+:\d+:\s*|Check '.*?' failed at \S+:\d+:\s*", "", text)[:200]


def recognize_ports(network: Any, path: Path) -> Ports:
    """Check inputs and outputs. Raises ModelError, which says what the network seems to be."""
    inputs, outputs = network.inputs, network.outputs
    if len(outputs) != 1 or len(inputs) not in (1, 3):
        raise ModelError(
            f"{path}: no colorizer that is known: it has {counted(len(inputs), 'input')} and"
            f" {counted(len(outputs), 'output')}, needed one of each."
        )
    types = [port.get_element_type().get_type_name() for port in (*inputs, *outputs)]
    if odd := [name for name in types if name not in _FLOATS]:
        raise ModelError(f"{path}: no colorizer: it takes or gives {odd[0]}; needed floats (f32 or f16).")
    shapes = [port.get_partial_shape() for port in (*inputs, *outputs)]
    told = f"{', '.join(map(str, shapes[:-1]))} -> {shapes[-1]}"
    if any(shape.rank.is_dynamic or shape.rank.get_length() != 4 for shape in shapes):
        raise ModelError(f"{path}: no colorizer that is known: found {told}, needed pictures (N, channels, H, W).")
    channels = [shape[1].get_length() if shape[1].is_static else 0 for shape in shapes]
    side = _find_side(shapes, told, path)
    tried = side or (_kind_of(tuple(channels[:-1]), channels[-1]) or KINDS["lab"]).default_side
    trial = network.clone()
    try:
        trial.reshape({port: [1, count, tried, tried] for port, count in zip(trial.inputs, channels, strict=False)})
    except RuntimeError as error:
        raise ModelError(f"{path}: does not run on a square of {tried} pixels ({_shorten(error)}).") from error
    _check_sizes(trial, path)  # that follow from the picture's
    sized = [port.get_partial_shape() for port in (*trial.inputs, *trial.outputs)]
    _find_side(sized, f"{', '.join(map(str, sized[:-1]))} -> {sized[-1]}", path)
    return Ports(tuple(channels[:-1]), channels[-1], side)


def _find_side(shapes: list[Any], told: str, path: Path) -> int | None:
    """The side of the square that a network takes; None: any. Raises ModelError."""
    *asked, answered = [[side.get_length() if side.is_static else None for side in list(shape)[2:]] for shape in shapes]
    sides = {side for pair in asked for side in pair if side is not None}
    given = {side for side in answered if side is not None}
    if len(sides) > 1:
        raise ModelError(f"{path}: no colorizer that is known: found {told}, needed a square.")
    side = next(iter(sides), None)
    if side is not None and not SIDES[0] <= side <= SIDES[1]:
        raise ModelError(f"{path}: looks at {side} pixels; a colorizer looks at {SIDES[0]} to {SIDES[1]}.")
    if side is not None and any(other > side for other in given):
        raise ModelError(f"{path}: no colorizer: found {told}, whose picture gets larger. An upscaler?")
    if side is not None and (len(given) > 1 or any(other * 8 < side for other in given)):
        raise ModelError(f"{path}: no colorizer that is known: found {told}, needed colors for a square.")
    return side


def recognize(ports: Ports, path: Path) -> Kind:
    """Find the kind by channels. Raises ModelError, which says what the network seems to be."""
    found = _kind_of(ports.inputs, ports.outputs)
    if found is None:
        given = " and ".join(map(str, ports.inputs))
        hint = " A segmentation?" if ports.outputs > 3 or ports.outputs == 1 else ""
        raise ModelError(
            f"{path}: no colorizer that is known: it takes {given} channels and gives {ports.outputs or 'any number'};"
            f" needed 3 in (gray as RGB) and 2 (a*b*, as DDColor) or 3 (RGB, as DeOldify) out, or L* in and a*b* out."
            f"{hint}"
        )
    return found


def _kind_of(inputs: tuple[int, ...], outputs: int) -> Kind | None:
    """The kind of a graph with these channels. L* to a*b* is plain: nothing says whose network it is."""
    return next((kind for kind in reversed(KINDS.values()) if (kind.inputs, kind.outputs) == (inputs, outputs)), None)


def files_of(path: Path) -> list[Path]:
    """The files that a graph is made of, itself first. Raises ModelError for one that lies in another folder."""
    is_openvino = path.suffix.lower() == ".xml"
    names = [path.with_suffix(".bin").name] if is_openvino else _names_in_onnx(path)
    for name in names:
        try:
            is_elsewhere = PurePosixPath(name).name != name or PureWindowsPath(name).name != name
            if is_elsewhere or _leads_away(path.parent / name):
                raise ModelError(
                    f"{path}: keeps weights in {name[:100]!r}, outside of its own folder; that is not read."
                )
            is_there = os.path.isfile(path.parent / name)  # noqa: PTH113 - Path.is_file raises for long names
        except (OSError, ValueError):
            is_there = False
        if not is_there:
            raise ModelError(
                f"{path}: keeps weights in {name[:100]!r}, which is not beside it; download that file, too."
            )
    return [path, *(path.parent / name for name in names)]


def _names_in_onnx(path: Path) -> list[str]:
    """The files with weights that an ONNX file names. Raises ModelError for a file that is no ONNX."""
    try:
        content = memoryview(np.memmap(path, np.uint8, "r").data)  # a model may have gigabytes
        if not any(field == _GRAPH_FIELD for field, _ in _parts(content)):  # which no ONNX file lacks
            raise _CutShortError
        return list(dict.fromkeys(_external_names(content)))
    except _CutShortError as error:
        raise ModelError(f"{path}: cannot be read as ONNX: it is cut short or damaged; download it again.") from error
    except (OSError, ValueError, IndexError) as error:
        raise ModelError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from error


def _leads_away(place: Path) -> bool:
    return place.is_symlink() and Path(os.path.realpath(place)).parent != Path(os.path.realpath(place.parent))


class _CutShortError(ValueError):
    """A message ends before its length."""


# Fields of ONNX's messages that lead to tensors: of a model, a graph, a node, an attribute, a function.
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _FUNCTION, _TENSOR, _SPARSE = range(7)
_WAYS = {
    _MODEL: {7: _GRAPH, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _FUNCTION: {7: _NODE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
}
_EXTERNAL_DATA, _MAX_DEPTH = 13, 64
_GRAPH_FIELD = 7  # of a model


def _external_names(content: memoryview, what: int = _MODEL, depth: int = 0) -> Iterator[str]:
    """Names of the files with weights, by walking protobuf's wire format."""
    if depth > _MAX_DEPTH:
        raise _CutShortError
    ways = _WAYS.get(what, {})
    for field, part in _parts(content):
        if what == _TENSOR and field == _EXTERNAL_DATA:
            entry = {number: bytes(text) for number, text in _parts(part)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode("utf-8", "replace")
        elif field in ways:
            yield from _external_names(part, ways[field], depth + 1)


def _parts(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a message: number and content."""
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        wire = key & 7
        if wire == 0:
            _, place = _varint(message, place)
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        elif wire == 2:
            length, place = _varint(message, place)
            if place + length > end:
                raise _CutShortError
            yield key >> 3, message[place : place + length]
            place += length
        else:
            raise _CutShortError
    if place > end:
        raise _CutShortError


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise _CutShortError
        byte = message[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
    raise _CutShortError
