"""Networks in OpenVINO, on the CPU: conversion, a cache of what is converted, and requests that run side by side.

Shapes: B batch, h w network pixels.
"""

import hashlib
import logging
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from vidcolor.color import Floats
from vidcolor.errors import DeviceError, ModelError
from vidcolor.formats import MODEL_GRAPHS
from vidcolor.inference import packaged_graphs, weights
from vidcolor.inference.devices import OutOfMemoryError
from vidcolor.inference.openvino_runtime import load_openvino
from vidcolor.inference.published import files, graphs, state_dicts
from vidcolor.inference.published.asking import make_inputs
from vidcolor.system import cache, forks, limits

if TYPE_CHECKING:
    from torch import nn

MAX_COMPILED_SIZES = 8  # compiled networks, for photos of mixed shapes; the least recently used one is dropped

Part = Literal["looker", "likener", "guidance", "tinter", "believer"]  # what else is asked of a model that listens
Network = Literal["colors"] | Part
PARTS = get_args(Part)


def release() -> str:
    """OpenVINO's release, without the build."""
    return str(load_openvino().__version__).split("-")[0]


def fastest_precision(core: Any) -> str:
    """The fastest precision of the CPU; emulated bf16 has half the speed of fp32."""
    return "bf16" if has_bf16(core) else "fp32"


class OpenVINOBackend:
    """The generator compiled for the CPU: one frame in each request, as many requests at once as OpenVINO chooses.

    The converted network is kept in the user's cache folder, so that later runs need not import torch.
    """

    def __init__(
        self, model: Path, precision: str, *, jobs: int = 0, side_matters: bool = False, network: Network = "colors"
    ):
        """jobs: greatest number of frames at once, 0 for OpenVINO's choice.  side_matters: convert the network anew for
        every side, as its sizes are part of it.  network: what of the model is run.
        """
        self._openvino = load_openvino()
        self._core = self._openvino.Core()
        fastest = fastest_precision(self._core)
        self.precision = fastest if precision == "auto" else precision
        # The precision of layers that are not in 8 bits.
        self._unquantized = fastest if precision == "int8" else self.precision
        self.name = f"openvino {self.precision}"
        self._jobs = jobs  # 0: as many as OpenVINO chooses
        loader: Callable[..., Any] = _load_converted if precision != "int8" else _load_quantized
        self._load = partial(loader if network == "colors" else partial(_load_part, network), self._core, model)
        self._side_matters = side_matters
        # A packaged one is quickly read, and would hold its weights twice where one size is asked for, as of a film.
        is_read_late = side_matters or model.parent == weights.models_folder()
        self._network: Any = None if is_read_late else self._load(0)
        self._queues: OrderedDict[tuple[tuple[int, ...], ...], Any] = OrderedDict()
        self.preferred_batch = jobs or min(8, 2 * limits.count_processors())  # more would only hold frames back

    def _infer_queue(self, shapes: tuple[tuple[int, ...], ...]) -> Any:
        """Requests for inputs of these shapes, (C, h, w) each."""
        if shapes in self._queues:
            self._queues.move_to_end(shapes)
        else:
            if self._network is None and self._queues and not self._side_matters:
                self._network = self._load(0)  # many sizes share its weights
            side = shapes[0][1] if self._side_matters else 0
            network = self._load(side) if self._network is None else self._network.clone()
            network.reshape({port: [1, *shape] for port, shape in zip(network.inputs, shapes, strict=True)})
            hint = "f32" if self._unquantized == "fp32" else self._unquantized
            settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "THROUGHPUT"}
            if self._jobs:
                settings["PERFORMANCE_HINT_NUM_REQUESTS"] = str(self._jobs)  # all threads work on so many
            compiled = self._core.compile_model(network, "CPU", settings)
            jobs = min(self._jobs, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
            queue = self._openvino.AsyncInferQueue(compiled, jobs)
            queue.set_callback(lambda request, keep: keep([output.data for output in request.output_tensors]))
            forks.keep_alive(queue)
            self._queues[shapes] = queue
            while len(self._queues) > MAX_COMPILED_SIZES:
                self._queues.popitem(last=False)
        return self._queues[shapes]

    def __call__(self, lightness_B1hw: Floats) -> Floats:
        """See Backend."""
        return self.run([lightness_B1hw])

    def run(self, inputs: Sequence[Floats]) -> Floats:
        """Run a network of any inputs, each (B, C, h, w); its first output as float32. Raises OutOfMemoryError."""
        return self.run_all(inputs)[0]

    def run_all(self, inputs: Sequence[Floats]) -> list[Floats]:
        """`run`, with every output."""
        try:
            return self._run(inputs)
        except (MemoryError, RuntimeError) as error:
            if limits.is_out_of_memory(error):
                raise OutOfMemoryError(f"{self.name}: out of memory at batch {len(inputs[0])}.") from error
            if lacking := limits.explain(error):
                raise DeviceError(lacking) from error
            raise

    def _run(self, inputs: Sequence[Floats]) -> list[Floats]:
        batch = len(inputs[0])
        queue = self._infer_queue(tuple(part.shape[1:] for part in inputs))
        results: list[list[Floats]] = [[] for _ in range(batch)]

        def keeper(position: int) -> Any:
            def keep(outputs: list[Floats]) -> None:
                results[position] = [output.astype(np.float32) for output in outputs]  # copies

            return keep

        for position in range(batch):
            queue.start_async(
                {index: part[position : position + 1] for index, part in enumerate(inputs)}, keeper(position)
            )
        queue.wait_all()
        return [np.concatenate(parts) for parts in zip(*results, strict=True)]


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
    example = side or max(64, int(getattr(network, "multiple", 32)))
    converted = _trace(network, [(channels, example, example)])
    converted.inputs[0].get_tensor().set_names({"lightness"})
    converted.outputs[0].get_tensor().set_names({"ab"})
    return converted


def _trace(network: "nn.Module", shapes: Sequence[tuple[int, ...]]) -> Any:
    """Convert a network by what it does with inputs of these shapes, (C, h, w) each; any batch and size."""
    import torch

    examples = tuple(torch.zeros(1, *shape) for shape in shapes)
    with warnings.catch_warnings(), torch.no_grad(), _preserve_logging():
        warnings.simplefilter("ignore")  # the tracer warns about sizes that are meant to be constant
        return load_openvino().convert_model(network, example_input=examples if len(examples) > 1 else examples[0])


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


def cache_problem(model: Path, network: Network = "colors") -> str:
    """Why the next run must convert a model's network again; empty if the cache has it."""
    try:
        cache.read(_cache_key(model) if network == "colors" else _part_key(model, network))
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
    return f"{_graph_key(model)}-{release()}{f'-{side}' if side else ''}"


def _part_key(model: Path, part: Network) -> str:
    return f"{_cache_key(model)}-{part}"


def _graph_key(model: Path) -> str:
    """The key of a model's weights and the networks' code."""
    return f"{weights.sha256(model)[:24]}-{_network_code_hash()}"


def _read_packaged(core: Any, model: Path, network: Network) -> Any | None:
    return packaged_graphs.read(core, model, network, _graph_key(model))


def _load_converted(core: Any, model: Path, side: int) -> Any:
    """Load the model as an OpenVINO model. side: pixels, where the network must be converted for a square."""
    if not files.is_published(model):
        return _read_or_make(
            core, _cache_key(model), lambda: _read_packaged(core, model, "colors") or convert(weights.load(model)[0])
        )
    if model.suffix.lower() in MODEL_GRAPHS:
        network = graphs.read(model)
        if len(network.inputs) != len(files.identify(model).facts.inputs):
            raise ModelError(f"{model}: is not what was added under this name; remove it and add it again.")
        return network
    channels = sum(files.identify(model).kind.inputs)
    make = lambda: convert(state_dicts.build(model), channels=channels, side=side)  # noqa: E731
    return _read_or_make(core, _cache_key(model, side), make)


def _load_part(part: Network, core: Any, model: Path, _: int) -> Any:
    """Load what else is asked of a model that listens as an OpenVINO model: see networks.binnet.wrap."""

    def make() -> Any:
        return _read_packaged(core, model, part) or _trace(*_part_of(weights.load(model)[0], part))

    return _read_or_make(core, _part_key(model, part), make)


def _part_of(network: Any, part: Network) -> "tuple[nn.Module, packaged_graphs.Shapes]":
    """A part of a network that listens, and the shapes of an example of its inputs."""
    from vidcolor.networks.binnet import wrap  # imports torch
    from vidcolor.networks.guidance import DETAIL, NUMBERS

    picture = 1, 64, 64
    if part == "guidance":
        inputs = [(network.guidance.ways * NUMBERS, 8, 8), (DETAIL, 16, 16), (2, 16, 16), (3, 16, 16)]
        return wrap(network, part), inputs
    return wrap(network, part), [picture, (network.bins_2K.shape[1], 1, 1)] if part == "tinter" else [picture]


def write_graph(model: Path) -> Path:
    """Convert all networks of a packaged model into the graph beside it; gives its path. Raises ModelError, OSError."""
    network: Any = weights.load(model)[0]
    networks: dict[str, tuple[nn.Module, packaged_graphs.Shapes]] = {"colors": (network, [(1, 64, 64)])}
    if getattr(network, "guidance", None) is not None:
        networks |= {part: _part_of(network, part) for part in PARTS}
    return packaged_graphs.write(model, networks, _graph_key(model))


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
