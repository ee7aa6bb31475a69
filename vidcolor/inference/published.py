"""Published colorizers as ONNX files: recognized by inputs and outputs, and wrapped so that they answer as ours do.

Shapes: h w the picture's pixels, S the side of the square that the network looks at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidcolor import color
from vidcolor.errors import ModelError

STRIDE = 2  # the picture's pixels to a place of a*b*: these networks' colors are coarser than their output
SIDES = (32, 2048)  # pixels: sides of squares that are believed
_GENERIC_SIDE = 256  # where the file leaves it open


@dataclass(frozen=True)
class Kind:
    """How a family of networks is asked, and what its answer means."""

    name: str
    ask: Callable[[Any], Any]  # graph node of L*, (1, 1, S, S), to the network's input (1, 3, S, S)
    answer: Callable[[Any], Any]  # the network's output to a*b* (1, 2, S, S)
    outputs: int  # channels of the network's output
    source: str  # who published it, and how it is asked there


@dataclass(frozen=True)
class Published:
    """A published colorizer's file."""

    kind: Kind
    side: int | None  # S; None: the file takes any

    @property
    def size(self) -> int:
        """Default short side of the picture that it is shown."""
        return self.side or _GENERIC_SIDE


def recognize(network: Any, path: Path) -> Published:
    """Recognize an OpenVINO model by its inputs and outputs. Raises ModelError, which says what it seems to be."""
    inputs, outputs = network.inputs, network.outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{path}: no colorizer that is known: it has {len(inputs)} inputs and {len(outputs)} outputs, needed one of"
            " each."
        )
    asked, answered = (port.get_partial_shape() for port in (inputs[0], outputs[0]))
    kinds = [port.get_element_type().get_type_name() for port in (inputs[0], outputs[0])]
    if kinds != ["f32", "f32"]:
        raise ModelError(f"{path}: takes {kinds[0]} and gives {kinds[1]}; a colorizer takes and gives 32-bit floats.")
    if asked.rank.get_length() != 4 or answered.rank.get_length() != 4:
        raise ModelError(f"{path}: no colorizer that is known: found {asked} -> {answered}, needed four dimensions.")
    channels = [shape[1].get_length() if shape[1].is_static else None for shape in (asked, answered)]
    found = next((kind for kind in KINDS.values() if channels == [3, kind.outputs]), None)
    if found is None:
        raise ModelError(
            f"{path}: no colorizer that is known: found {asked} -> {answered}; needed 3 channels in (gray as RGB), and"
            " 2 (a*b*, as DDColor) or 3 (RGB, as DeOldify) out."
        )
    side = _side(asked, answered, path)
    if side is None:
        trial = network.clone()
        trial.reshape([1, 3, _GENERIC_SIDE, _GENERIC_SIDE])
        _side(trial.inputs[0].get_partial_shape(), trial.outputs[0].get_partial_shape(), path)
    return Published(found, side)


def _side(asked: Any, answered: Any, path: Path) -> int | None:
    """The side of the square that a network looks at; None: any. Raises ModelError."""
    sides = {
        dimension.get_length() for shape in (asked, answered) for dimension in list(shape)[2:] if dimension.is_static
    }
    if len(sides) > 1:
        raise ModelError(
            f"{path}: no colorizer: it makes {answered} of {asked}, and a colorizer's picture is a square that keeps"
            " its size. An upscaler?"
        )
    side = sides.pop() if sides else None
    if side is not None and not SIDES[0] <= side <= SIDES[1]:
        raise ModelError(f"{path}: looks at {side} pixels; a colorizer looks at {SIDES[0]} to {SIDES[1]}.")
    return side


def read(core: Any, path: Path) -> Any:
    """Read an ONNX file. Raises ModelError."""
    try:
        return core.read_model(path)
    except RuntimeError as error:
        raise ModelError(f"{path}: cannot be read as ONNX ({' '.join(str(error).split())[:160]}).") from error


def read_facts(core: Any, path: Path) -> Published:
    """Recognize the colorizer in an ONNX file. core: OpenVINO's. Raises ModelError."""
    return recognize(read(core, path), path)


def adapt(core: Any, path: Path) -> Any:
    """Wrap a published colorizer: `lightness` (1, 1, h, w), L* 0..100, in; `ab` (1, 2, h/2, w/2) out.

    Raises ModelError for a file that is no colorizer.
    """
    from openvino import Model
    from openvino import opset13 as ops

    network = read(core, path)
    published = recognize(network, path)
    kind = published.kind
    lightness = ops.parameter([1, 1, -1, -1], np.float32, name="lightness")
    sides = ops.gather(ops.shape_of(lightness), np.array([2, 3]), np.array(0))
    side: Any = np.array([published.side]) if published.side else ops.reduce_min(sides, np.array([0]), keep_dims=True)
    square = _resize(lightness, ops.concat([side, side], 0))
    if not published.side:
        network.reshape([1, 3, -1, -1])
    (start,), (end,) = network.get_parameters(), network.get_results()
    asked = kind.ask(square).output(0)
    for target in start.output(0).get_target_inputs():
        target.replace_source_output(asked)
    ab = kind.answer(end.input(0).get_source_output())
    step = [STRIDE, STRIDE]
    small = ops.avg_pool(_resize(ab, sides), step, [0, 0], [0, 0], step, exclude_pad=True, rounding_type="ceil")
    made = Model([ops.result(small)], [lightness], kind.name)
    made.inputs[0].get_tensor().set_names({"lightness"})
    made.outputs[0].get_tensor().set_names({"ab"})
    return made


def _resize(node: Any, sides: Any) -> Any:
    """Resize the last two axes, averaging where the picture gets smaller."""
    from openvino import opset13 as ops

    return ops.interpolate(node, sides, "linear", "sizes", np.array([0, 0, 0, 0]), np.array([0, 0, 0, 0]),
                           antialias=True, axes=np.array([2, 3]))  # fmt: skip


def _gray_rgb(lightness: Any) -> Any:
    """L* -> sRGB 0..1 of the gray picture, three channels."""
    from openvino import opset13 as ops

    f = ops.divide(ops.add(lightness, np.float32(16)), np.float32(116))
    light = ops.select(
        ops.greater(lightness, np.float32(8)),
        ops.power(f, np.float32(3)),
        ops.divide(lightness, np.float32(24389 / 27)),
    )
    curve = ops.subtract(
        ops.multiply(ops.power(ops.maximum(light, np.float32(0.0031308)), np.float32(1 / 2.4)), np.float32(1.055)),
        np.float32(0.055),
    )
    code = ops.select(ops.less_equal(light, np.float32(0.0031308)), ops.multiply(light, np.float32(12.92)), curve)
    return ops.concat([code] * 3, 1)


def _rgb_to_ab(rgb: Any) -> Any:
    """SRGB 0..1, (1, 3, S, S) -> a*b*."""
    from openvino import opset13 as ops

    rgb = ops.clamp(rgb, 0.0, 1.0)
    gamma = ops.power(ops.divide(ops.add(rgb, np.float32(0.055)), np.float32(1.055)), np.float32(2.4))
    light = ops.select(ops.less_equal(rgb, np.float32(0.04045)), ops.divide(rgb, np.float32(12.92)), gamma)
    matrix = np.array(color.RGB_TO_XYZ, np.float32)[:, :, None, None]  # of XYZ over the white point's
    xyz = ops.convolution(light, matrix, [1, 1], [0, 0], [0, 0], [1, 1])
    f = ops.select(
        ops.greater(xyz, np.float32(216 / 24389)),
        ops.power(ops.maximum(xyz, np.float32(1e-6)), np.float32(1 / 3)),
        ops.divide(ops.add(ops.multiply(xyz, np.float32(24389 / 27)), np.float32(16)), np.float32(116)),
    )
    steps = np.array([[500, -500, 0], [0, 200, -200]], np.float32)[:, :, None, None]
    return ops.convolution(f, steps, [1, 1], [0, 0], [0, 0], [1, 1])


def _times_255(node: Any) -> Any:
    from openvino import opset13 as ops

    return ops.multiply(node, np.float32(255))


def _over_255(node: Any) -> Any:
    from openvino import opset13 as ops

    return ops.divide(node, np.float32(255))


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "ddcolor", _gray_rgb, lambda ab: ab, 2,
            "Kang et al. 2023, DDColor: the gray picture as RGB 0..1 in, a*b* out",
        ),
        Kind(
            "deoldify", lambda lightness: _times_255(_gray_rgb(lightness)), lambda rgb: _rgb_to_ab(_over_255(rgb)), 3,
            "DeOldify as FaceFusion exports it: gray RGB 0..255 in, RGB 0..255 out, of which the chroma is taken",
        ),
    )
}  # fmt: skip
