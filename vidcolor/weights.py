"""A model file: safetensors weights plus a JSON header that says which generator they belong to.

No pickle is ever read. The header's `vidcolor` entry holds `generator` (its name in networks.GENERATORS),
`config` (its keyword arguments), `name`, `version`, `size` (rows the network looks at by default), `sha256` of the
weights, and free `notes` (how it was trained, on what).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcolor import outputs
from vidcolor.errors import ModelError, UsageError, like

if TYPE_CHECKING:
    from torch import Tensor, nn

HEADER_KEY = "vidcolor"
READ_OUT = ("temperature", "saturation")  # in a config: how colours are read from what the network says, not its shape


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
    """Write a model file of half-precision weights; complete or not at all. Raises SinkError.

    overwrite: a file of that name may be replaced.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    stated = replace(header, sha256=digest(tensors))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise outputs.failure(path, error) from error
    with outputs.replacing(path, overwrite=overwrite) as partial:
        try:
            save_file(tensors, partial, metadata={HEADER_KEY: json.dumps(asdict(stated))})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse what is no name for a model or is an input (UsageError), and where none can be written (SinkError)."""
    if path.suffix != ".safetensors":
        raise UsageError(f"{path}: a model file needs the suffix .safetensors.")
    outputs.check(path, overwrite=overwrite, makes_folder=True, inputs=inputs)


def read_header(path: Path) -> ModelHeader:
    """The header alone, without torch. Raises ModelError when the file is missing, damaged or not ours."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= 100_000_000:
                raise ValueError("no safetensors header")
            metadata = json.loads(file.read(length))["__metadata__"]
            return ModelHeader(**json.loads(metadata[HEADER_KEY]))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such model file.") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a vidcolor model (a .safetensors file made by `vidcolor train`).") from error


def load(path: Path) -> "tuple[nn.Module, ModelHeader]":
    """The generator with its weights, on the CPU in fp32, in evaluation mode. Raises ModelError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from vidcolor.networks import build

    header = read_header(path)
    network = build(header.generator, header.config)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: the weights are damaged ({error}).") from error
    if header.sha256 and digest(tensors) != header.sha256:
        raise ModelError(f"{path}: the weights are damaged (their sha256 is not the header's). Copy it again.")
    expected = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    if set(tensors) != expected:
        odd = sorted(set(tensors) ^ expected)[:3]
        raise ModelError(f"{path}: the weights do not fit generator {header.generator!r} (first: {', '.join(odd)}).")
    try:
        network.load_state_dict(tensors, strict=False)  # only the step counters of batch norms may be missing
    except RuntimeError as error:
        raise ModelError(f"{path}: the weights do not fit generator {header.generator!r}.") from error
    return network.float().eval(), header


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
                f"{path}: cannot be averaged with {paths[0]}: generator, config and colour bins must be the same."
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
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def models_folder() -> Path:
    """Where the packaged models lie: beside the package in a checkout, inside it in a wheel."""
    inside = Path(str(files("vidcolor"))) / "models"
    return inside if inside.is_dir() else inside.parent.parent / "models"


def packaged() -> list[Path]:
    """The models that come with the package."""
    return sorted(models_folder().glob("*.safetensors"))


def find(model: str) -> Path:
    """A packaged model's name, or a file's path -> the file. Raises ModelError with the names that exist."""
    path = Path(model)
    if path.suffix == ".safetensors" or path.parent != Path():
        if not path.is_file():
            raise ModelError(f"{model}: no such model file.")
        return path
    named = models_folder() / f"{model}.safetensors"
    if not named.is_file():
        names = [entry.stem for entry in packaged()]
        hint = f"; did you mean {near}?" if (near := like(model, names)) else "."
        there = ", ".join(names) or "none"
        raise ModelError(
            f"model {model!r} is not packaged{hint} There is: {there}; a file needs its suffix .safetensors."
        )
    return named


def verify(path: Path) -> str:
    """Load a model whole; returns its sha256. Raises ModelError when it is damaged or differs from its card."""
    load(path)
    digest, stated = sha256(path), stated_sha256(path)
    if stated not in ("", digest):
        raise ModelError(f"{path}: sha256 is {digest}, its card says {stated}; install the package again.")
    return digest


def stated_sha256(path: Path) -> str:
    """What the model's card says of the file; empty where it has none, or says nothing."""
    card = path.with_suffix(".md")
    stated = (
        re.search(r"\b[0-9a-f]{64}\b", card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else None
    )
    return stated.group() if stated else ""
