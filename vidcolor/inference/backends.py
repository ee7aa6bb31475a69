"""Backends that run the generator: OpenVINO on the CPU, torch on GPUs and where OpenVINO is missing, onnxruntime for
ONNX files there.

See devices.Backend. Shapes: B batch, h w network pixels.
"""

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from vidcolor.choices import PRECISIONS, check_choice
from vidcolor.errors import DeviceError
from vidcolor.formats import MODEL_GRAPHS
from vidcolor.inference import onnx_runtime, weights
from vidcolor.inference.devices import Backend, parse_devices
from vidcolor.inference.openvino_backend import OpenVINOBackend, fastest_precision, release
from vidcolor.inference.openvino_runtime import load_openvino
from vidcolor.inference.published import files, state_dicts
from vidcolor.inference.published.asking import PublishedBackend, count_jobs
from vidcolor.inference.torch_backend import TorchBackend, resolve_precision
from vidcolor.system import limits

MAX_BATCH = 16  # pictures at once of a published network, which is larger than ours


@dataclass(frozen=True)
class ResolvedBackend:
    """The precision and backend that compute. Equal ones give equal results to the last digit."""

    precision: str  # never auto
    backend: str


def resolve_backend(devices: str, precision: str, *, is_graph: bool = False) -> ResolvedBackend:
    """Find what `open_backend` will use on this machine, without a model. Raises DeviceError, UsageError.

    is_graph: whether the model is a graph of others (ONNX, OpenVINO), which torch does not run.
    """
    kinds = sorted({_resolve_device(device, precision, is_graph) for device in parse_devices(devices)})
    return ResolvedBackend(*(" and ".join(dict.fromkeys(parts)) for parts in zip(*kinds, strict=True)))


def _resolve_device(device: str, precision: str, is_graph: bool) -> tuple[str, str]:
    if uses_openvino(device, precision):
        openvino = load_openvino()
        fastest = fastest_precision(openvino.Core())
        rest = f", {fastest} where not in 8 bits" if precision == "int8" else ""
        return fastest if precision == "auto" else precision, f"openvino {release()}{rest}"
    is_gpu, name = device != "cpu", device
    if is_gpu:
        import torch

        name = torch.cuda.get_device_name(device)
    if is_graph:
        return _graph_precision(precision, device), f"onnxruntime {onnx_runtime.version()} on {name}"
    return resolve_precision(precision, is_gpu=is_gpu), f"torch {version('torch')} on {name}"


def uses_openvino(device: str, precision: str) -> bool:
    """Whether OpenVINO computes instead of torch. Raises UsageError, DeviceError."""
    check_choice("precision", precision, PRECISIONS)
    if device == "cpu" and find_spec("openvino") and precision != "fp16":
        return True
    if precision == "int8":
        raise DeviceError(f"precision int8: runs in OpenVINO on the CPU, not on {device}; try --device cpu, or bf16.")
    return False


def _graph_precision(precision: str, device: str) -> str:
    """The precision of a graph in onnxruntime, the file's own. Raises DeviceError."""
    if precision not in ("auto", "fp32"):
        raise DeviceError(f"precision {precision}: an ONNX file runs in its own precision on {device}; try auto.")
    return "as in the file"


def open_backend(model: Path, device: str, precision: str) -> Backend:
    """Load a model file's generator on a device. Raises ModelError, DeviceError, UsageError."""
    try:
        if files.is_published(model):
            return _open_published(files.identify(model), device, precision)
        if uses_openvino(device, precision):
            return OpenVINOBackend(model, precision)
        network, header = weights.load(model)
        return TorchBackend(network, device, precision, name=header.name)
    except (MemoryError, RuntimeError, ImportError) as error:
        if lacking := limits.explain(error):
            raise DeviceError(lacking) from error
        raise


def _open_published(found: files.Published, device: str, precision: str) -> Backend:
    """Open a published colorizer, in OpenVINO on the CPU, in onnxruntime or torch on GPUs."""
    is_graph, kind = found.path.suffix.lower() in MODEL_GRAPHS, found.kind.name
    if uses_openvino(device, precision):
        jobs, side_matters = count_jobs(found), not is_graph and found.kind.is_square
        runner = OpenVINOBackend(found.path, precision, jobs=jobs, side_matters=side_matters)
        return PublishedBackend(found, runner.run, f"{kind} in {runner.name}", jobs)
    if is_graph:
        _graph_precision(precision, device)
        session = onnx_runtime.OnnxRuntime(found.path, device)
        return PublishedBackend(found, session.run, f"{kind} in {session.name}", session.preferred_batch)
    network = TorchBackend(state_dicts.build(found.path), device, precision, name=kind)
    batch = min(network.preferred_batch, MAX_BATCH)
    return PublishedBackend(found, lambda parts: network(parts[0]), network.name, batch)
