"""A model file: safetensors weights plus a JSON header that says which generator they belong to.

No pickle is ever read. The header's `vidcolor` entry holds `generator` (its name in networks.GENERATORS),
`config` (its keyword arguments), `name`, `version`, `size` (rows the network looks at by default), `sha256` of the
weights, and free `notes` (how it was trained, on what).
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcolor import outputs
from vidcolor.errors import ModelError, UsageError, closest_name
from vidcolor.inference import model_file
from vidcolor.inference.model_file import HEADER_KEY
from vidcolor.system import forks

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_CARD = 1_000_000  # letters
COUNTER = "num_batches_tracked"  # of batch norms in training; not stored
READ_OUT = ("temperature", "saturation")  # in a config: how colors are read from what the network says, not its shape


@dataclass(frozen=True)
class ModelHeader:
    """What a model file says about itself."""

    generator: str
    config: dict[str, Any]
    name: str
    version: str
    size: int = 256  # short side in pixels that the network looks at by default
    multiple: int = 32  # what the sides of its input must be multiples of
    notes: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""  # of the weights, see `digest`; files of version 0.1.0 state none


def digest(tensors: "Mapping[str, Tensor]") -> str:
    """Hex sha256 over names, shapes and values, in the order of the names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype} ".encode())
        found.update(tensors[name].contiguous().numpy().tobytes())
    return found.hexdigest()


def save(path: Path, network: "nn.Module", header: ModelHeader, *, overwrite: bool = True) -> None:
    """Write a model file of half-precision weights; complete or not at all.

    overwrite: a file of that name may be replaced.
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
    """The first whose values are not all finite numbers."""
    return next((name for name, value in sorted(tensors.items()) if not bool(value.isfinite().all())), None)


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse what is no name for a model or is an input (UsageError), and where none can be written (SinkError)."""
    if path.suffix != ".safetensors":
        raise UsageError(f"{path}: a model file needs the suffix .safetensors.")
    outputs.check(path, overwrite=overwrite, makes_folder=True, inputs=inputs)


def read_header(path: Path) -> ModelHeader:
    """The header alone, without torch. Raises ModelError when the file is missing, damaged or not ours."""
    return ModelHeader(**model_file.read(path).header)


def load(path: Path) -> "tuple[nn.Module, ModelHeader]":
    """The generator with its weights, on the CPU in fp32, in evaluation mode. Raises ModelError.

    The file may be a stranger's: what it asks for is compared with what it holds before anything is built.
    """
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
    """The network without memory for its weights, which are of the shapes that the file has. Raises ModelError."""
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
    """The mean of several models' weights, in fp32; one that is named twice counts twice.

    Runs that went on from one model are often better together than each is alone; of runs that began apart nothing
    good comes (Wortsman et al. 2022, "Model soups"). Read-out, size, name and version are the first model's. Raises
    ModelError for models that do not fit together.
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
    """Whether two models' weights mean the same things, so that they can be averaged."""
    shapes = [
        (header.generator, header.multiple, {k: v for k, v in header.config.items() if k not in READ_OUT})
        for _, header in (one, other)
    ]
    bins, others = (dict(network.named_buffers()).get("bins_2K") for network, _ in (one, other))
    return shapes[0] == shapes[1] and (bins is None or (others is not None and bins.equal(others)))


def sha256(path: Path) -> str:
    """Hex digest of a model file. Raises ModelError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error


def models_folder() -> Path:
    """Where the packaged models lie: beside the package in a checkout, inside it in a wheel."""
    inside = Path(str(files("vidcolor"))) / "models"
    return inside if inside.is_dir() else inside.parent.parent / "models"


def packaged_models() -> list[Path]:
    """The models that come with the package."""
    return sorted(models_folder().glob("*.safetensors"))


def find(model: str) -> Path:
    """A packaged model's name, or a file's path -> the file. Raises ModelError with the names that exist."""
    path = Path(model)
    if path.suffix == ".safetensors" or path.parent != Path():
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where a folder must not be looked into
            raise ModelError(f"{model}: no such model file, or not allowed to look there.")
        return path
    named = models_folder() / f"{model}.safetensors"
    if not named.is_file():
        names = [entry.stem for entry in packaged_models()]
        hint = f"; did you mean {near}?" if (near := closest_name(model, names)) else "."
        there = ", ".join(names) or "none"
        raise ModelError(
            f"model {model!r} is not packaged{hint} There is: {there}; a file needs its suffix .safetensors."
        )
    return named


def verify(path: Path) -> str:
    """Load a model whole; returns its sha256. Raises ModelError when it is damaged or differs from its card."""
    load(path)
    digest, stated = sha256(path), card_sha256(path)
    if stated not in ("", digest):
        raise ModelError(f"{path}: sha256 is {digest}, its card says {stated}; install the package again.")
    return digest


def card_sha256(path: Path) -> str:
    """What the model's card says of the file; empty where it has none, or says nothing."""
    stated = re.search(r"\b[0-9a-f]{64}\b", read_card(path))
    return stated.group() if stated else ""


def read_card(path: Path) -> str:
    """The text that lies beside a model and tells of it; empty where there is none that can be read."""
    try:
        with path.with_suffix(".md").open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_CARD)
    except OSError:
        return ""
