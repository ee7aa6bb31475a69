"""Backends that run the generator: OpenVINO on the CPU, torch on GPUs and where OpenVINO is missing, onnxruntime for
ONNX files there.

See devices.Backend. Shapes: B batch, h w network pixels.
"""

import hashlib
import logging
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcolor.choices import PRECISIONS
from vidcolor.color import Floats
from vidcolor.errors import DeviceError, ModelError, UsageError
from vidcolor.formats import MODEL_GRAPHS
from vidcolor.inference import onnx_runtime, weights
from vidcolor.inference.devices import Backend, OutOfMemoryError, parse_devices
from vidcolor.inference.openvino_runtime import load_openvino
from vidcolor.inference.published import files, graphs, state_dicts
from vidcolor.inference.published.asking import PublishedBackend, count_jobs, make_inputs
from vidcolor.system import cache, forks, limits

if TYPE_CHECKING:
    from torch import nn

MAX_BATCH = 16  # pictures at once of a published network, which is larger than ours
MAX_COMPILED_SIZES = 8  # compiled networks, for photos of mixed shapes; the least recently used one is dropped


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
    if _uses_openvino(device, precision):
        openvino = load_openvino()
        fastest = _fastest_precision(openvino.Core())
        rest = f", {fastest} where not in 8 bits" if precision == "int8" else ""
        return fastest if precision == "auto" else precision, f"openvino {_release(openvino.__version__)}{rest}"
    is_gpu, name = device != "cpu", device
    if is_gpu:
        import torch

        name = torch.cuda.get_device_name(device)
    if is_graph:
        return _graph_precision(precision, device), f"onnxruntime {onnx_runtime.version()} on {name}"
    return _torch_precision(precision, is_gpu=is_gpu), f"torch {version('torch')} on {name}"


def _uses_openvino(device: str, precision: str) -> bool:
    """Whether OpenVINO computes instead of torch. Raises UsageError, DeviceError."""
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is unknown; there is {', '.join(PRECISIONS)}.")
    if device == "cpu" and find_spec("openvino") and precision != "fp16":
        return True
    if precision == "int8":
        raise DeviceError(f"precision int8: runs in OpenVINO on the CPU, not on {device}; try --device cpu, or bf16.")
    return False


def _fastest_precision(core: Any) -> str:
    """The fastest precision of the CPU; emulated bf16 has half the speed of fp32."""
    return "bf16" if has_bf16(core) else "fp32"


def _graph_precision(precision: str, device: str) -> str:
    """The precision of a graph in onnxruntime, the file's own. Raises DeviceError."""
    if precision not in ("auto", "fp32"):
        raise DeviceError(f"precision {precision}: an ONNX file runs in its own precision on {device}; try auto.")
    return "as in the file"


def _torch_precision(precision: str, *, is_gpu: bool) -> str:
    return ("bf16" if is_gpu else "fp32") if precision == "auto" else precision


def _release(full_version: str) -> str:
    """OpenVINO's release without the build."""
    return full_version.split("-")[0]


def open_backend(model: Path, device: str, precision: str) -> Backend:
    """Load a model file's generator on a device. Raises ModelError, DeviceError, UsageError."""
    try:
        if files.is_published(model):
            return _open_published(files.identify(model), device, precision)
        if _uses_openvino(device, precision):
            return OpenVINOBackend(model, precision)
        network, header = weights.load(model)
        return TorchBackend(network, device, precision, name=header.name)
    except (MemoryError, RuntimeError, ImportError) as error:
        if lacking := limits.explain(error):
            raise DeviceError(lacking) from error
        raise


def open_describer(device: str, precision: str) -> Backend:
    """Load what describes pictures by numbers, to find things again: the packaged default model's own features.

    Gives (B, C, h/8, w/8) in place of a*b*. Raises ModelError, DeviceError, UsageError.
    """
    model, precision = weights.models_folder() / "default.safetensors", "auto" if precision == "int8" else precision
    if _uses_openvino(device, precision):
        return OpenVINOBackend(model, precision, describes=True)
    return TorchBackend(_load_describing(model), device, precision, name="description")


def _open_published(found: files.Published, device: str, precision: str) -> Backend:
    """Open a published colorizer, in OpenVINO on the CPU, in onnxruntime or torch on GPUs."""
    is_graph, kind = found.path.suffix.lower() in MODEL_GRAPHS, found.kind.name
    if _uses_openvino(device, precision):
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


class OpenVINOBackend:
    """The generator compiled for the CPU: one frame in each request, as many requests at once as OpenVINO chooses.

    The converted network is kept in the user's cache folder, so that later runs need not import torch.
    """

    def __init__(
        self, model: Path, precision: str, *, jobs: int = 0, side_matters: bool = False, describes: bool = False
    ):
        """jobs: greatest number of frames at once, 0 for OpenVINO's choice.  side_matters: convert the network anew for
        every side, as its sizes are part of it.  describes: give BinNet.describe in place of a*b*.
        """
        self._openvino = load_openvino()
        self._core = self._openvino.Core()
        fastest = _fastest_precision(self._core)
        self.precision = fastest if precision == "auto" else precision
        # The precision of layers that are not in 8 bits.
        self._unquantized = fastest if precision == "int8" else self.precision
        self.name = f"openvino {self.precision}"
        self._jobs = jobs  # 0: as many as OpenVINO chooses
        load = _load_description if describes else _load_quantized if precision == "int8" else _load_converted
        self._load: Callable[[int], Any] = lambda side: load(self._core, model, side)
        self._network: Any = None if side_matters else self._load(0)
        self._queues: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self.preferred_batch = jobs or 8

    def _infer_queue(self, channels: Sequence[int], height: int, width: int) -> Any:
        if (height, width) in self._queues:
            self._queues.move_to_end((height, width))
        else:
            network = self._load(height) if self._network is None else self._network.clone()
            network.reshape(
                {port: [1, count, height, width] for port, count in zip(network.inputs, channels, strict=True)}
            )
            hint = "f32" if self._unquantized == "fp32" else self._unquantized
            settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "THROUGHPUT"}
            if self._jobs:
                settings["PERFORMANCE_HINT_NUM_REQUESTS"] = str(self._jobs)  # all threads work on so many
            compiled = self._core.compile_model(network, "CPU", settings)
            jobs = min(self._jobs, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
            queue = self._openvino.AsyncInferQueue(compiled, jobs)
            queue.set_callback(lambda request, keep: keep(request.get_output_tensor(0).data))
            forks.keep_alive(queue)
            self._queues[height, width] = queue
            while len(self._queues) > MAX_COMPILED_SIZES:
                self._queues.popitem(last=False)
        return self._queues[height, width]

    def __call__(self, lightness_B1hw: Floats) -> Floats:
        """See Backend."""
        return self.run([lightness_B1hw])

    def run(self, inputs: Sequence[Floats]) -> Floats:
        """Run a network of any inputs, each (B, C, h, w); the output as float32. Raises OutOfMemoryError."""
        try:
            return self._run(inputs)
        except (MemoryError, RuntimeError) as error:
            if limits.is_out_of_memory(error):
                raise OutOfMemoryError(f"{self.name}: out of memory at batch {len(inputs[0])}.") from error
            if lacking := limits.explain(error):
                raise DeviceError(lacking) from error
            raise

    def _run(self, inputs: Sequence[Floats]) -> Floats:
        batch, _, height, width = inputs[0].shape
        queue = self._infer_queue([part.shape[1] for part in inputs], height, width)
        results: list[Floats | None] = [None] * batch

        def keeper(position: int) -> Any:
            def keep(ab_12hw: Floats) -> None:
                results[position] = ab_12hw.astype(np.float32)  # a copy

            return keep

        for position in range(batch):
            queue.start_async(
                {index: part[position : position + 1] for index, part in enumerate(inputs)}, keeper(position)
            )
        queue.wait_all()
        return np.concatenate([ab for ab in results if ab is not None])


def _network_code_hash() -> str:
    """Hash of the networks' code: a conversion by older code must not be used."""
    package = find_spec("vidcolor.networks")  # which loads none of them
    assert package is not None
    assert package.origin is not None
    digest = hashlib.sha256()
    for file in sorted(Path(package.origin).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def has_bf16(core: Any) -> bool:
    """Whether the CPU computes in bf16 natively."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def convert(network: "nn.Module", *, channels: int = 1, side: int = 0) -> Any:
    """Convert a generator to an OpenVINO model: `lightness` (B, 1, h, w) in, `ab` out, any batch and size.

    channels, side: of the input of a published network; a side is fixed where it is given.
    """
    import torch

    example = side or max(64, int(getattr(network, "multiple", 32)))
    with warnings.catch_warnings(), torch.no_grad(), _preserve_logging():
        warnings.simplefilter("ignore")  # the tracer warns about sizes that are meant to be constant
        converted = load_openvino().convert_model(network, example_input=torch.zeros(1, channels, example, example))
    converted.inputs[0].get_tensor().set_names({"lightness"})
    converted.outputs[0].get_tensor().set_names({"ab"})
    return converted


@contextmanager
def _preserve_logging() -> Iterator[None]:
    """Restore the program's logging, whose handlers and level the converter changes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def _read_or_make(core: Any, name: str, make: Callable[[], Any]) -> Any:
    """Read an OpenVINO model from the cache; if it is missing, make it and try to cache it."""
    with suppress(OSError, ValueError, RuntimeError):
        return core.read_model(*cache.read(name))
    made = make()
    for where in (_make_cache_folder, tempfile.gettempdir):
        with suppress(OSError, RuntimeError):
            parts = _serialize(made, where())
            network = core.read_model(*parts)
            with suppress(OSError):
                cache.write(name, parts)
            return network
    return made


def cache_problem(model: Path) -> str:
    """Why the next run must convert a model again; empty if the cache has it."""
    try:
        cache.read(_cache_key(model))
    except (OSError, ValueError) as error:
        return (
            f"{getattr(error, 'filename', None) or ''}: {error.strerror}" if isinstance(error, OSError) else str(error)
        )
    return ""


def _make_cache_folder() -> str:
    place = cache.folder()
    place.mkdir(parents=True, exist_ok=True)
    return str(place)


def _serialize(network: Any, where: str) -> tuple[bytes, bytes]:
    """Serialize graph and weights by way of temporary files, as OpenVINO writes to files only.

    OpenVINO computes slightly differently with a model that was read than with one just converted (a*b* by 0.03 in
    bf16); results must be the same with and without a cache. Raises OSError, RuntimeError.
    """
    with tempfile.TemporaryDirectory(prefix=cache.UNFINISHED, dir=where) as folder:
        graph = Path(folder) / "network.xml"
        load_openvino().save_model(network, str(graph), compress_to_fp16=False)
        return graph.read_bytes(), graph.with_suffix(".bin").read_bytes()


def _cache_key(model: Path, side: int = 0) -> str:
    release = _release(load_openvino().__version__)
    return f"{weights.sha256(model)[:24]}-{_network_code_hash()}-{release}{f'-{side}' if side else ''}"


def _load_converted(core: Any, model: Path, side: int) -> Any:
    """Load the model as an OpenVINO model. side: pixels, where the network must be converted for a square."""
    if not files.is_published(model):
        return _read_or_make(core, _cache_key(model), lambda: convert(weights.load(model)[0]))
    if model.suffix.lower() in MODEL_GRAPHS:
        network = graphs.read(model)
        if len(network.inputs) != len(files.identify(model).facts.inputs):
            raise ModelError(f"{model}: is not what was added under this name; remove it and add it again.")
        return network
    channels = sum(files.identify(model).kind.inputs)
    make = lambda: convert(state_dicts.build(model), channels=channels, side=side)  # noqa: E731
    return _read_or_make(core, _cache_key(model, side), make)


def _load_description(core: Any, model: Path, _: int) -> Any:
    """Load a model's description of pictures as an OpenVINO model."""
    return _read_or_make(core, f"{_cache_key(model)}-description", lambda: convert(_load_describing(model)))


def _load_describing(model: Path) -> "nn.Module":
    """Load a model as a network that describes pictures."""
    from vidcolor.networks.binnet import BinNet, Describer

    network, _ = weights.load(model)
    assert isinstance(network, BinNet)
    return Describer(network).eval()


def _load_quantized(core: Any, model: Path, side: int) -> Any:
    """Load the model as an OpenVINO model in 8 bits, calibrated on the packaged pictures. Raises UsageError."""
    from vidcolor.inference import calibration  # imports readers of photos and films, which few runs need

    def make() -> Any:
        calibration.require_nncf()
        pictures: Sequence[Any] = calibration.read_lightness(calibration.packaged_sources(), weights.read_header(model))
        if files.is_published(model):
            found = files.identify(model)
            pictures = [tuple(make_inputs(found, picture)) for picture in pictures]
        return calibration.quantize(_load_converted(core, model, side), pictures)

    pictures_hash = calibration.fingerprint(calibration.packaged_sources())
    return _read_or_make(core, f"{_cache_key(model, side)}-int8-{pictures_hash}", make)


class TorchBackend:
    """The generator in torch on one device, in half precision by autocast."""

    def __init__(self, network: "nn.Module", device: str, precision: str, *, name: str = "network"):
        import torch

        forks.prepare_torch()
        self._torch = torch
        self._device = torch.device(device)
        is_gpu = self._device.type == "cuda"
        chosen = _torch_precision(precision, is_gpu=is_gpu)
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[chosen]
        self._network = network.to(self._device).to(memory_format=torch.channels_last).eval()
        self.name = f"{name} in torch {chosen} on {device}"
        self.preferred_batch = 64 if is_gpu else 2
        self._run: Callable[[Floats], Floats] = self._run_on_cpu
        if is_gpu:
            from vidcolor.inference.cuda import GraphedNetwork

            self._run = GraphedNetwork(self._network, self._device, self._dtype)

    def __call__(self, lightness_B1hw: Floats) -> Floats:
        """See Backend."""
        try:
            return self._run(lightness_B1hw)
        except (self._torch.OutOfMemoryError, MemoryError) as error:
            raise OutOfMemoryError(f"{self.name}: out of memory at batch {len(lightness_B1hw)}.") from error
        except RuntimeError as error:
            if "can't allocate memory" in str(error) or "out of memory" in str(error):
                raise OutOfMemoryError(f"{self.name}: out of memory at batch {len(lightness_B1hw)}.") from error
            raise

    def _run_on_cpu(self, lightness_B1hw: Floats) -> Floats:
        torch = self._torch
        is_half = self._dtype is not torch.float32
        with torch.inference_mode(), torch.autocast("cpu", self._dtype, enabled=is_half):
            batch = torch.from_numpy(lightness_B1hw).to(memory_format=torch.channels_last)
            ab: Floats = self._network(batch).float().numpy()
            return ab
