"""Files of published colorizers with random weights, as small as their kinds allow."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SIDE = 64


def make_onnx(
    path: Path,
    outputs: int,
    *,
    side: int | None = SIDE,
    inputs: int = 3,
    scale: float = 40.0,
    kind: int = TensorProto.FLOAT,
    enlarges: bool = False,
    keeps_picture: bool = False,
    ends_with: str | None = None,
    external: str | None = None,
) -> Path:
    """A network of one convolution, with weights of a seed.

    keeps_picture: the answer is the picture and some color.  ends_with: a further operation; "double" answers twice,
    "tile" makes a large layer.  external: the file beside it with the weights.
    """
    random = np.random.default_rng(outputs)
    number = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    weight = (random.normal(size=(outputs, inputs, 3, 3)) * scale / 9).astype(number)
    if keeps_picture:
        weight = (weight * 0.02).astype(number)
        weight[range(outputs), range(outputs), 1, 1] += number(1)
    bias = random.normal(size=outputs).astype(number)
    if keeps_picture:
        bias = (bias * 40).astype(number)
    node = helper.make_node("Conv", ["picture", "weight", "bias"], ["colors"], pads=[1, 1, 1, 1])
    if enlarges:
        weight = weight.swapaxes(0, 1)
        node = helper.make_node("ConvTranspose", ["picture", "weight", "bias"], ["colors"], strides=[2, 2])
    nodes = [node]
    if ends_with:
        node.output[0] = "raw"
        nodes += _make_end(ends_with)
    shape, out = (["n", channels, side or "h", side or "w"] for channels in (inputs, outputs))
    out = ["n", outputs, "h2", "w2"] if enlarges else out
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("picture", kind, shape)], [helper.make_tensor_value_info("colors", kind, out)],
        [numpy_helper.from_array(np.ascontiguousarray(weight), "weight"), numpy_helper.from_array(bias, "bias")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if external is not None:
        tensor = model.graph.initializer[0]
        content = tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", external), ("offset", "0"), ("length", str(len(content)))):
            tensor.external_data.add(key=key, value=value)
        (path.parent / external).write_bytes(content)
        path.write_bytes(model.SerializeToString())
        return path
    onnx.save(model, path)
    return path


def _make_end(kind: str) -> list[Any]:
    """Operations from "raw" to "colors"."""
    if kind == "double":
        return [helper.make_node("Concat", ["raw", "raw"], ["colors"], axis=0)]
    if kind == "tile":
        counts = helper.make_tensor("counts", TensorProto.INT64, [4], [1, 1, 1000, 1000])
        return [
            helper.make_node("Constant", [], ["counts"], value=counts),
            helper.make_node("Tile", ["raw", "counts"], ["tiled"]),
            helper.make_node("ReduceMean", ["tiled"], ["mean"], axes=[2, 3]),
            helper.make_node("Add", ["raw", "mean"], ["colors"]),
        ]
    return [helper.make_node(kind, ["raw"], ["colors"], **({"axis": 1} if kind == "Softmax" else {}))]


def export_onnx(network: nn.Module, path: Path, inputs: dict[str, torch.Tensor]) -> Path:
    """Export by torch, with sizes that may vary."""
    axes = {name: {0: "n", 2: "h", 3: "w"} for name in (*inputs, "ab")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), tuple(inputs.values()), path, input_names=list(inputs), output_names=["ab"],
            dynamic_axes=axes, dynamo=False,
        )  # fmt: skip
    return path


def make_ddcolor() -> Any:
    """DDColor as spandrel builds it, with its smallest encoder, and weights of a seed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from spandrel_extra_arches.architectures.DDColor import DDColor
    torch.manual_seed(3)
    network = DDColor(
        encoder_name="convnext-t", num_output_channels=2, last_norm="Spectral", num_queries=16, dec_layers=3
    )
    with torch.no_grad():
        network.train()
        for _ in range(3):
            network(torch.rand(1, 3, 64, 64))  # finds the spectral norms, which random weights lack
        network.refine_net[0][0].weight_u.div_(20)  # colors that can be seen: the norm divides the weights
    return network.eval()


def random_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """The network's weights of a seed, such that colors are neither gray nor impossible."""
    torch.manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.state_dict()
