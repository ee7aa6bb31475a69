"""What a published colorizer's file is: its kind, its size, its card.

A model that was added has a card beside it, `vidcolor-model.json`, which says what was recognized or told; without one
the file itself is looked at.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

from vidcolor.errors import ModelError, UsageError
from vidcolor.formats import MODEL_GRAPHS, MODEL_WEIGHTS
from vidcolor.inference import model_file
from vidcolor.inference.published import graphs, state_dicts
from vidcolor.inference.published.kinds import KINDS, Kind, Scaling, make_lab
from vidcolor.system import cache

CARD = "vidcolor-model.json"
OWN_KIND = "vidcolor"  # of a card beside a model of ours
MAX_CARD = 100_000  # bytes
States = tuple[tuple[int, int] | None, ...]
STRIDE = 2  # the picture's pixels to a place of a*b*: these networks' colors are coarser than their output


@dataclass(frozen=True)
class Told:
    """What a user says about a file that cannot say it itself."""

    kind: str = ""  # a name in KINDS; "": find out
    size: int | None = None  # pixels: the short side of what the network looks at; None: the kind's
    scaling: Scaling | None = None  # of kind lab


@dataclass(frozen=True)
class Card:
    """What is known of a file. Saved as JSON: field names are part of the format."""

    file: str  # its name, beside the card
    kind: str
    inputs: tuple[int, ...]  # channels of the file's inputs
    side: int | None = None  # pixels of the square that alone it takes; None: any
    size: int | None = None  # pixels: the short side of what it looks at, if that was told
    scaling: Scaling | None = None  # of kind lab
    license: str = ""
    sha256: str = ""  # see `digest`


@dataclass(frozen=True)
class Published:
    """A published colorizer's file."""

    path: Path
    card: Card

    @property
    def kind(self) -> Kind:
        """How it is asked."""
        return make_lab(self.card.scaling or Scaling()) if self.card.kind == "lab" else KINDS[self.card.kind]

    @property
    def size(self) -> int:
        """Default short side of the picture that it is shown."""
        return self.card.side or self.card.size or self.kind.side

    def side_for(self, short_side: int) -> int:
        """The side of the square for a picture of this short side."""
        step = self.kind.multiple
        return self.card.side or max(step, round(short_side / step) * step)


def is_published(path: Path) -> bool:
    """Whether a model file is another project's, by its suffix; weights as safetensors by the lack of our header."""
    suffix = path.suffix.lower()
    return suffix in (*MODEL_GRAPHS, *MODEL_WEIGHTS) or (suffix == ".safetensors" and model_file.is_foreign(path))


def look_at(path: Path) -> Published:
    """What a file is, by its card if it has one, else by looking into it. Raises ModelError."""
    return _look_at(path, _states(path, path.parent / CARD))


@lru_cache(maxsize=16)
def _look_at(path: Path, states: States) -> Published:  # noqa: ARG001 - a file that changed is another
    if card := read_card(path):
        return Published(path, card)
    if path.suffix.lower() in MODEL_GRAPHS:
        return recognize(path)
    key = f"card-{digest(path)[:32]}"  # torch, which reads weights, takes seconds to import
    with suppress(OSError, ValueError, KeyError, TypeError):
        return Published(path, replace(_parse_card(cache.read(key)[0]), file=path.name))
    found = recognize(path)
    with suppress(OSError):
        cache.write(key, [_format_card(found.card)])
    return found


def _states(*paths: Path) -> States:
    """Sizes and times, by which a file that changed is told. Raises ModelError."""
    try:
        return tuple((path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None for path in paths)
    except OSError as error:
        raise ModelError(f"{paths[0]}: cannot be read ({error.strerror}).") from error


def recognize(path: Path, told: Told = Told()) -> Published:
    """Look into a file. Raises ModelError for one that is no colorizer, or not what was told."""
    if told.kind and told.kind not in KINDS:
        raise ModelError(f"kind {told.kind[:40]!r} is unknown; there is {', '.join(KINDS)}.")
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
    return Published(path, Card(path.name, name, inputs, side, told.size, scaling, kind.license))


def files_of(path: Path) -> list[Path]:
    """The files that a model is made of, itself first. Raises ModelError."""
    return graphs.files_of(path) if path.suffix.lower() in MODEL_GRAPHS else [path]


def digest(path: Path) -> str:
    """Hex sha256 of a model: of its file, or of the digests of its files and its scaling. Raises ModelError."""
    parts = files_of(path)
    return _digest(path, _states(*parts, path.parent / CARD))


@lru_cache(maxsize=16)
def _digest(path: Path, states: States) -> str:  # noqa: ARG001 - a file that changed is another
    return digest_of(path, read_card(path))


def digest_of(path: Path, card: Card | None) -> str:
    """As `digest`, of a file with another card than beside it."""
    parts = [_hash(part) for part in files_of(path)]
    if card and card.scaling and card.scaling != Scaling():
        parts.append(json.dumps(asdict(card.scaling), sort_keys=True))
    return parts[0] if len(parts) == 1 else hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error


def read_card(path: Path) -> Card | None:
    """Read the card beside a file; None where there is none for it. Raises ModelError for a damaged one."""
    place = path.parent / CARD
    try:
        with place.open("rb") as file:
            card = _parse_card(file.read(MAX_CARD))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, UsageError, AttributeError) as error:
        raise ModelError(f"{place}: damaged; remove this model and add it again.") from error
    return card if card.file == path.name else None


def _parse_card(content: bytes) -> Card:
    stated = json.loads(content)
    known = {entry.name for entry in fields(Card)}
    card = Card(**{key: value for key, value in stated.items() if key in known})
    scaling = Scaling(**stated["scaling"]) if stated.get("scaling") else None
    card = replace(card, inputs=tuple(card.inputs), scaling=scaling)
    _check_card(card)
    return card


def _format_card(card: Card) -> bytes:
    return json.dumps(asdict(card), indent=1).encode() + b"\n"


def _check_card(card: Card) -> None:
    """Raise ValueError for a card that `write_card` would not write."""
    are_texts = all(isinstance(text, str) for text in (card.file, card.kind, card.license, card.sha256))
    are_sizes = all(size is None or (type(size) is int and 32 <= size <= 4096) for size in (card.side, card.size))
    are_inputs = card.inputs and all(type(count) is int and 0 < count <= 8 for count in card.inputs)
    if not (are_texts and are_sizes and are_inputs) or card.kind not in {*KINDS, OWN_KIND}:
        raise ValueError("no card")


def file_of_card(place: Path) -> str:
    """The name of the file that a card is of. Raises ModelError for a damaged card."""
    try:
        with place.open("rb") as file:
            name = json.loads(file.read(MAX_CARD))["file"]
        if not isinstance(name, str) or Path(name).name != name:
            raise ValueError("no name")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{place}: damaged; remove this model and add it again.") from error
    return name


def write_card(folder: Path, card: Card) -> None:
    """Write a card. Raises OSError."""
    (folder / CARD).write_bytes(_format_card(card))
