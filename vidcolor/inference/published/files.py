"""What a published colorizer's file is: its kind, its size, its digest.

A model that was added has its facts beside it, which say what was recognized or told; without them the file itself is
looked at.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from vidcolor.errors import ModelError
from vidcolor.formats import MODEL_GRAPHS, MODEL_WEIGHTS
from vidcolor.inference import model_file
from vidcolor.inference.published import facts, graphs, state_dicts
from vidcolor.inference.published.facts import Facts
from vidcolor.inference.published.kinds import KINDS, Kind, Scaling, make_lab
from vidcolor.system import cache

States = tuple[tuple[int, int] | None, ...]
STRIDE = 2  # the picture's pixels to a place of a*b*: these networks' colors are coarser than their output


@dataclass(frozen=True)
class Told:
    """What a user says about a file that cannot say it itself."""

    kind: str = ""  # a name in KINDS; "": find out
    size: int | None = None  # pixels: the short side of what the network looks at; None: the kind's
    scaling: Scaling | None = None  # of kind lab


@dataclass(frozen=True)
class Published:
    """A published colorizer's file."""

    path: Path
    facts: Facts

    @property
    def kind(self) -> Kind:
        """How it is asked."""
        return facts.kind_of(self.facts)

    @property
    def size(self) -> int:
        """Default short side of the picture that it is shown."""
        return self.facts.fixed_side or self.facts.told_size or self.kind.default_side

    def side_for(self, short_side: int) -> int:
        """The side of the square for a picture of this short side."""
        step = self.kind.multiple
        return self.facts.fixed_side or max(step, round(short_side / step) * step)


def is_published(path: Path) -> bool:
    """Whether a model file is another project's, by its suffix; weights as safetensors by the lack of our header."""
    suffix = path.suffix.lower()
    return suffix in (*MODEL_GRAPHS, *MODEL_WEIGHTS) or (suffix == ".safetensors" and model_file.is_foreign(path))


def identify(path: Path) -> Published:
    """Identify a file by its facts if it has some, else by looking into it. Raises ModelError."""
    return _identify(path, _states(path, path.parent / facts.NAME))


@lru_cache(maxsize=16)
def _identify(path: Path, states: States) -> Published:  # noqa: ARG001 - a file that changed is another
    known = facts.read_of(path)
    if known is not None and known.kind != facts.OWN_KIND:
        return Published(path, known)
    if path.suffix.lower() in MODEL_GRAPHS:
        return recognize(path)
    key = f"facts-{digest(path)[:32]}"  # torch, which reads weights, takes seconds to import
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return Published(path, replace(facts.parse(cache.read(key)[0]), file=path.name))
    found = recognize(path)
    with suppress(OSError):
        cache.write(key, [facts.serialize(found.facts)])
    return found


def _states(*paths: Path) -> States:
    """Sizes and times, by which a file that changed is told. Raises ModelError."""
    try:
        return tuple((path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None for path in paths)
    except OSError as error:
        raise ModelError(f"{paths[0]}: cannot be read ({error.strerror}).") from error


def recognize(path: Path, told: Told = Told()) -> Published:
    """Look into a file. Raises ModelError for one that is no colorizer, or not what was told."""
    if path.suffix.lower() in MODEL_GRAPHS:
        ports = graphs.recognize_ports(graphs.read(path), path)
        name, inputs, side = told.kind or graphs.recognize(ports, path).name, ports.inputs, ports.side
        kind = make_lab(told.scaling or Scaling()) if name == "lab" else KINDS[name]
        if sum(inputs) != sum(kind.inputs) or ports.outputs != kind.outputs:
            needed = " and ".join(map(str, kind.inputs))
            raise ModelError(
                f"{path}: is not of kind {name}, which takes {needed} channels and gives {kind.outputs}; it takes"
                f" {' and '.join(map(str, inputs))} and gives {ports.outputs}."
            )
    else:
        kind = state_dicts.recognize(state_dicts.read(path), path)
        name, inputs, side = kind.name, (sum(kind.inputs),), None
        if told.kind not in ("", name):
            raise ModelError(f"{path}: is not of kind {told.kind}: its weights are {name}'s.")
    if told.size and side and told.size != side:
        raise ModelError(f"{path}: takes {side} pixels alone; for {told.size}, export it again at that size.")
    scaling = (told.scaling or Scaling()) if name == "lab" else None
    found = Facts(path.name, name, inputs, side, told.size, scaling, kind.license, is_told=told != Told())
    return Published(path, found)


def files_of(path: Path) -> list[Path]:
    """The files that a model is made of, itself first. Raises ModelError."""
    return graphs.files_of(path) if path.suffix.lower() in MODEL_GRAPHS else [path]


def identity(path: Path) -> str:
    """Hex sha256 of all that decides a model's colors: its files, and what its user told of them. Raises ModelError."""
    known = facts.read_of(path)
    if known is None or not known.is_told:
        return digest(path)
    told = f"{digest(path)} {known.kind} {known.told_size} {known.scaling}"
    return hashlib.sha256(told.encode()).hexdigest()


def digest(path: Path) -> str:
    """Hex sha256 of a model's file, or of the digests of its files. Raises ModelError."""
    return _digest(path, _states(*files_of(path)))


@lru_cache(maxsize=16)
def _digest(path: Path, states: States) -> str:  # noqa: ARG001 - a file that changed is another
    parts = [_hash(part) for part in files_of(path)]
    return parts[0] if len(parts) == 1 else hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
