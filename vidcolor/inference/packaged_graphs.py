"""The packaged models as OpenVINO graphs beside their weights, so that coloring on a CPU needs no torch.

All networks of a model (see openvino_backend.Network) lie in one graph, whose weights they share. It is what torch
does, untouched, in half precision as the weights are: what it gives is to the bit what a conversion here would.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcolor.inference import weights
from vidcolor.inference.openvino_runtime import load_openvino

if TYPE_CHECKING:
    from torch import nn

Shapes = Sequence[tuple[int, ...]]  # of inputs, (C, h, w) each
INPUT, OUTPUT = "input", "output"


def path_of(model: Path) -> Path:
    """The graph of a model's file; its weights lie beside it as .bin."""
    return model.with_suffix(".openvino.xml")


def read(core: Any, model: Path, network: str, key: str) -> Any | None:
    """Read one network of a packaged model; None where there is none, or one of other weights or code.

    key: of weights and code.
    """
    path = path_of(model)
    if model.parent != weights.models_folder() or not path.exists():
        return None
    openvino = load_openvino()
    with suppress(RuntimeError):  # of a graph that an older OpenVINO does not know
        whole = core.read_model(path)
        if whole.get_friendly_name() != key:
            return None
        inputs, outputs = (_of_network(network, side, whole) for side in (INPUT, OUTPUT))
        if not outputs:
            return None
        found = openvino.Model(outputs, inputs, network)
        _widen(found)
        from openvino._offline_transformations import apply_moc_transformations  # as convert_model does

        apply_moc_transformations(found, False)
        return found
    return None


def _of_network(network: str, side: str, whole: Any) -> list[Any]:
    """The inputs or outputs of one network in a graph of several, in order."""
    named = {op.get_friendly_name(): op for op in (whole.get_parameters() if side == INPUT else whole.get_results())}
    found: list[Any] = []
    while (op := named.get(f"{network} {side} {len(found)}")) is not None:
        found.append(op)
    return found


def write(model: Path, networks: "Mapping[str, tuple[nn.Module, Shapes]]", key: str) -> Path:
    """Write the graph of a model; gives its path. Raises OSError.

    networks: each with the shapes of an example of its inputs; any batch and size will do later.  key: see `read`.
    """
    openvino = load_openvino()
    parts = {name: _translate(network, shapes) for name, (network, shapes) in networks.items()}
    inputs = [op for name, part in parts.items() for op in _rename(part.get_parameters(), f"{name} {INPUT}")]
    outputs = [op for name, part in parts.items() for op in _rename(part.get_results(), f"{name} {OUTPUT}")]
    whole = openvino.Model(outputs, inputs, key)
    _halve(whole)
    openvino.save_model(whole, str(path_of(model)), compress_to_fp16=False)
    return path_of(model)


def _halve(graph: Any) -> None:
    """Keep the constants in half precision that lose nothing by it."""
    from openvino import opset13

    for constant in [op for op in graph.get_ops() if op.get_type_name() == "Constant"]:
        if _type_of(constant) == "f32":
            with np.errstate(over="ignore"):
                half = constant.data.astype(np.float16)
            if np.array_equal(half.astype(np.float32), constant.data):
                _replace(constant, opset13.convert(opset13.constant(half), "f32"))


def _widen(graph: Any) -> None:
    """Make constants in half precision single again: a graph is folded as it was converted."""
    from openvino import opset13

    for op in graph.get_ops():
        constant = op.input_value(0).get_node() if op.get_type_name() == "Convert" else op
        if constant is not op and _type_of(constant) == "f16" and constant.get_type_name() == "Constant":
            _replace(op, opset13.constant(constant.data.astype(np.float32)))


def _type_of(op: Any) -> str:
    name: str = op.get_element_type().get_type_name()
    return name


def _replace(op: Any, other: Any) -> None:
    for reader in op.output(0).get_target_inputs():
        reader.replace_source_output(other.output(0))


def _rename(ops: list[Any], name: str) -> Iterator[Any]:
    for number, op in enumerate(ops):
        op.set_friendly_name(f"{name} {number}")
        for port in (*op.inputs(), *op.outputs()):
            port.get_tensor().set_names(set())  # which must differ within a graph
        yield op


def _translate(network: "nn.Module", shapes: Shapes) -> Any:
    """A network as an OpenVINO model, its weights as they are: convert_model would fold them into each other."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = tuple(torch.zeros(1, *shape) for shape in shapes)
    with torch.no_grad():
        decoder = TorchScriptPythonDecoder(network.eval(), example_input=example)
    frontend = FrontEndManager().load_by_framework("pytorch")
    return frontend.convert(frontend.load(decoder))
