"""Model files: safetensors weights with a JSON header that names their generator.

No pickle is read here; of other projects' weights see published/state_dicts.py. The header's `vidcolor` entry holds
`generator` (its name in networks.GENERATORS), `config` (its keyword arguments), `name`, `version`, `size` (default
short side of the network's input), `sha256` of the weights, and free `notes` (how it was trained, on what).
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcolor import outputs
from vidcolor.errors import ModelError, UsageError, closest_name
from vidcolor.formats import MODELS
from vidcolor.inference import library, model_file
from vidcolor.inference.model_file import HEADER_KEY
from vidcolor.inference.published import facts, files
from vidcolor.system import forks

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_CARD = 1_000_000  # letters
COUNTER = "num_batches_tracked"  # a buffer of batch norms in training; not stored
# Config entries that decide how colors are decoded, not the network's shape.
READ_OUT = ("temperature", "saturation", "shrinkage", "agreement")


@dataclass(frozen=True)
class ModelHeader:
    """The header of a model file."""

    generator: str  # name of its kind of network
    config: dict[str, Any]  # arguments of the network
    name: str  # of the model
    version: str  # of the model
    size: int = 256  # default short side of the network's input, in pixels
    multiple: int = 32  # of which the sides of the input must be multiples
    notes: dict[str, Any] = field(default_factory=dict)  # what its makers noted: recipe, data, license
    sha256: str = ""  # of the weights, see `digest`; files of version 0.1.0 have none


def digest(tensors: "Mapping[str, Tensor]") -> str:
    """Hex sha256 over names, shapes and values, in the order of the names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype} ".encode())
        found.update(tensors[name].contiguous().numpy().tobytes())
    return found.hexdigest()


def save(path: Path, network: "nn.Module", header: ModelHeader, *, overwrite: bool = True) -> None:
    """Write a model file of half-precision weights; complete or not at all.

    overwrite: replace an existing file.
    Raises SinkError, and ModelError for a network or header that could not be loaded again.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in network.state_dict().items()
        if not name.endswith(COUNTER)
    }
    if odd := find_nonfinite(tensors):
        raise ModelError(f"{path}: the weights {odd!r} are not finite in half precision; nothing was written.")
    stated = asdict(replace(header, sha256=digest(tensors)))
    model_file.check(stated)
    with outputs.replacing(path, overwrite=overwrite, makes_folder=True) as partial:
        try:
            save_file(tensors, partial, metadata={HEADER_KEY: json.dumps(stated)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def find_nonfinite(tensors: "Mapping[str, Tensor]") -> str | None:
    """Find the first tensor whose values are not all finite."""
    return next((name for name, value in sorted(tensors.items()) if not bool(value.isfinite().all())), None)


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise UsageError for a path that cannot be a new model, SinkError where it cannot be written."""
    if path.suffix != ".safetensors":
        raise UsageError(f"{path}: a model file needs the suffix .safetensors.")
    outputs.check(path, overwrite=overwrite, makes_folder=True, inputs=inputs)


def read_header(path: Path) -> ModelHeader:
    """Read the header. Raises ModelError when the file is missing, damaged or foreign.

    Without torch, but for a published colorizer's weights that are seen for the first time: it has no header, and is
    identified by what is in it.
    """
    if files.is_published(path):
        found = files.identify(path)
        multiple = files.STRIDE if found.kind.is_square else found.kind.multiple
        notes = {"source": found.kind.source, "license": found.facts.license}
        if found.facts.scaling is not None:
            told = found.facts.scaling
            notes["asked"] = f"{told.input} {told.low:g}..{told.high:g} in, {told.output} times {told.scale:g} out"
        version = files.digest(path)[:8]
        return ModelHeader(found.facts.kind, {}, _name_of(path), version, found.size, multiple, notes)
    header = ModelHeader(**model_file.read(path).header)
    return replace(header, name=path.parent.name) if library.is_added(path) else header


def _name_of(path: Path) -> str:
    """The name of a published model: of the folder of one that was added, or of its file."""
    return path.parent.name if library.is_added(path) else path.stem


def load(path: Path) -> "tuple[nn.Module, ModelHeader]":
    """Load the generator and its weights on the CPU, in fp32 and evaluation mode. Raises ModelError.

    The file may be untrusted: its header is compared with its weights before the network is built.
    """
    if files.is_published(path):
        raise ModelError(
            f"{path}: a published colorizer only colors; training, averages and exports need a model of vidcolor's own."
        )
    contents = model_file.read(path)
    header = ModelHeader(**contents.header)
    forks.prepare_torch()
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = _build_planned(path, header, contents.shapes)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: the weights are damaged ({error}).") from error
    if header.sha256 and digest(tensors) != header.sha256:
        raise ModelError(f"{path}: the weights are damaged (their sha256 is not the header's). Copy it again.")
    if odd := find_nonfinite(tensors):
        raise ModelError(f"{path}: cannot be used as a model: its weights {odd!r} are no finite numbers.")
    network = network.to_empty(device="cpu")
    counters = {name: value.zero_() for name, value in network.state_dict().items() if name.endswith(COUNTER)}
    try:
        network.load_state_dict(counters | tensors)
    except RuntimeError as error:
        raise ModelError(f"{path}: the weights do not fit generator {header.generator!r}.") from error
    network = network.float().eval()
    _try(network, path)
    return network, header


def _build_planned(path: Path, header: ModelHeader, shapes: Mapping[str, tuple[int, ...]]) -> "nn.Module":
    """Build the network without memory, with weights of the file's shapes. Raises ModelError."""
    from vidcolor.networks import build_on_meta

    try:
        network = build_on_meta(header.generator, header.config)
        check_fit(network, header.generator, shapes)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    if header.multiple % int(network.multiple):  # type: ignore[arg-type]  # every generator states it
        needed = f"{path}: its network needs sides that are multiples of {network.multiple}"
        raise ModelError(f"{needed}; its header says {header.multiple}.")
    return network


def check_fit(network: "nn.Module", generator: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelError unless these are the shapes of the network's weights."""
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items() if not name.endswith(COUNTER)}
    for name in sorted(wanted.keys() | shapes.keys()):
        if wanted.get(name) != shapes.get(name):
            found, needed = (str(shape.get(name, "none")) for shape in (shapes, wanted))
            raise ModelError(
                f"the weights do not fit generator {generator!r} and its config ({name[:40]!r} is {found[:80]}, needed"
                f" {needed[:80]})."
            )


def _try(network: "nn.Module", path: Path) -> None:
    """Let it color the smallest picture. Raises ModelError where that gives no colors."""
    import torch

    side, stride = int(network.multiple), int(network.stride)  # type: ignore[arg-type]  # every generator states them
    try:
        with torch.inference_mode():
            ab_12hw = network(torch.full((1, 1, side, side), 50.0))
        is_sound = ab_12hw.shape == (1, 2, side // stride, side // stride) and bool(ab_12hw.isfinite().all())
    except RuntimeError as error:
        raise ModelError(f"{path}: cannot be used as a model: its network does not run ({_shorten(error)}).") from error
    if not is_sound:
        raise ModelError(f"{path}: cannot be used as a model: its network gives no colors that are finite numbers.")


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def average(paths: Sequence[Path]) -> "tuple[nn.Module, ModelHeader]":
    """Average several models' weights in fp32; a model named twice counts twice.

    The average of runs that start from one model is often better than each; of runs that start apart it is useless
    (Wortsman et al. 2022, "Model soups"). The read-out, size, name and version are the first model's.
    Raises ModelError for models that do not fit together.
    """
    loaded = [load(path) for path in paths]
    network, header = loaded[0]
    for path, other in zip(paths, loaded, strict=True):
        if not _fit_together(loaded[0], other):
            raise ModelError(
                f"{path}: cannot be averaged with {paths[0]}: generator, config and color bins must be the same."
            )
    states = [network.state_dict() for network, _ in loaded]
    network.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    of = [{"name": source.name, "version": source.version, "sha256": source.sha256} for _, source in loaded]
    return network, replace(header, notes={"average_of": of}, sha256="")


def _fit_together(one: "tuple[nn.Module, ModelHeader]", other: "tuple[nn.Module, ModelHeader]") -> bool:
    """Whether two models have the same architecture and bins, so that they can be averaged."""
    shapes = [
        (header.generator, header.multiple, {k: v for k, v in header.config.items() if k not in READ_OUT})
        for _, header in (one, other)
    ]
    bins, others = (dict(network.named_buffers()).get("bins_2K") for network, _ in (one, other))
    return shapes[0] == shapes[1] and (bins is None or (others is not None and bins.equal(others)))


def sha256(path: Path) -> str:
    """Hex sha256 of a model file; of a published one with the files that belong to it. Raises ModelError."""
    if files.is_published(path):
        return files.digest(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error


def files_of(path: Path) -> list[Path]:
    """The files that a model is made of, itself first. Raises ModelError."""
    return files.files_of(path) if files.is_published(path) else [path]


def identity(path: Path) -> str:
    """Hex sha256 of all that decides a model's colors: its file, and what its user told of it. Raises ModelError."""
    return files.identity(path) if files.is_published(path) else sha256(path)


def models_folder() -> Path:
    """The folder of the packaged models: beside the package in a checkout, inside it in a wheel."""
    inside = Path(str(package_files("vidcolor"))) / "models"
    return inside if inside.is_dir() else inside.parent.parent / "models"


def packaged_models() -> list[Path]:
    """Files of the packaged models."""
    return sorted(models_folder().glob("*.safetensors"))


def is_file(model: str) -> bool:
    """Whether `--model` means a file, by its suffix or folder, not a name."""
    path = Path(model)
    return path.suffix.lower() in MODELS or path.parent != Path()


def find(model: str) -> Path:
    """Find a model file by the name of one in the package, of one that was added, or by a path.

    Raises ModelError with the names that exist.
    """
    path = Path(model)
    if is_file(model):
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises in folders without permission
            raise ModelError(f"{model}: no such model file, or not allowed to look there.")
        return path
    named = models_folder() / f"{model}.safetensors"
    if os.path.isfile(named):  # noqa: PTH113 - Path.is_file raises for long names
        return named
    if "+" in model:
        raise ModelError(f"model {model[:80]!r}: a mixture has no file of its own; name one of its models.")
    if (added := library.find(model)) is not None:
        return added
    names = [*(entry.stem for entry in packaged_models()), *library.names()]
    hint = f"; did you mean {near}?" if (near := closest_name(model, names)) else "."
    there = ", ".join(names) or "none"
    raise ModelError(
        f"model {model!r} is neither packaged nor added{hint} There is: {there}; a file needs its suffix, such as"
        " .safetensors, .onnx or .pth."
    )


def verify(path: Path) -> str:
    """Load a model of ours completely; gives its sha256. Raises ModelError when it is damaged or differs from its card.

    Of a published model only its files are compared with its card: see trial.verify.
    """
    if not files.is_published(path):
        load(path)
    digest, stated = sha256(path), card_sha256(path)
    if stated not in ("", digest):
        again = "remove it and add it again" if library.is_added(path) else "install the package again"
        raise ModelError(f"{path}: sha256 is {digest}, its card says {stated}; {again}.")
    return digest


def card_sha256(path: Path) -> str:
    """The file's sha256 on the model's card; empty where there is none."""
    if (known := facts.read_of(path)) is not None:
        return known.sha256
    stated = re.search(r"\b[0-9a-f]{64}\b", read_card(path))
    return stated.group() if stated else ""


def read_card(path: Path) -> str:
    """Read a model's card, the Markdown file beside it; empty where it cannot be read."""
    try:
        with path.with_suffix(".md").open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_CARD)
    except OSError:
        return ""
