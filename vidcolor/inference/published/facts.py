"""What is known of a model that was added: `vidcolor-model.json` beside its file."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from vidcolor.errors import ModelError, UsageError
from vidcolor.inference.published.kinds import KINDS, SIDES, Kind, Scaling, make_lab

NAME = "vidcolor-model.json"
OWN_KIND = "vidcolor"  # of a model of ours
_MAX_BYTES = 100_000


@dataclass(frozen=True)
class Facts:
    """What was recognized in a model's file, and what its user told.

    Saved as JSON: field names are part of the format.
    """

    file: str  # its name, beside these facts
    kind: str  # a name in KINDS, or OWN_KIND
    inputs: tuple[int, ...]  # channels of the file's inputs
    fixed_side: int | None = None  # pixels of the square that alone it takes; None: any
    told_size: int | None = None  # pixels: the short side of what it is to look at, if its user told
    scaling: Scaling | None = None  # of kind lab
    license: str = ""
    sha256: str = ""  # of the files
    is_told: bool = False  # whether its user told anything that decides its colors


def read(folder: Path) -> Facts | None:
    """Read the facts in a model's folder; None where there are none. Raises ModelError for damaged ones."""
    place = folder / NAME
    try:
        with place.open("rb") as file:
            return parse(file.read(_MAX_BYTES))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, UsageError, RecursionError) as error:
        raise ModelError(f"{place}: damaged; `vidcolor models remove {folder.name}`, and add it again.") from error


def read_of(path: Path) -> Facts | None:
    """Read the facts of a file; None where there are none, or those beside it are damaged or of another file."""
    try:
        found = read(path.parent)
    except ModelError:
        return None
    return found if found is not None and found.file == path.name else None


def write(folder: Path, facts: Facts) -> None:
    """Write the facts into a model's folder. Raises OSError."""
    (folder / NAME).write_bytes(serialize(facts))


def serialize(facts: Facts) -> bytes:
    """The facts as JSON."""
    return json.dumps(asdict(facts), indent=1).encode() + b"\n"


def parse(content: bytes) -> Facts:
    """Parse JSON that `serialize` wrote.

    Raises ValueError, KeyError, TypeError, AttributeError, UsageError, RecursionError for other bytes.
    """
    stated = json.loads(content)
    known = {entry.name for entry in fields(Facts)}
    facts = Facts(**{key: value for key, value in stated.items() if key in known})
    scaling = Scaling(**stated["scaling"]) if stated.get("scaling") else None
    facts = replace(facts, inputs=tuple(facts.inputs), scaling=scaling)
    texts = (facts.file, facts.kind, facts.license, facts.sha256)
    are_inputs = bool(facts.inputs) and all(_is_whole(count, 1, 8) for count in facts.inputs)
    are_sizes = all(size is None or _is_whole(size, *SIDES) for size in (facts.fixed_side, facts.told_size))
    if not (all(isinstance(text, str) for text in texts) and are_inputs and are_sizes):
        raise ValueError("no facts")
    fits = facts.kind == OWN_KIND or sum(facts.inputs) == sum(kind_of(facts).inputs)
    if not fits or Path(facts.file).name != facts.file:
        raise ValueError("no facts")
    return facts


def kind_of(facts: Facts) -> Kind:
    """How a published model is asked."""
    return make_lab(facts.scaling or Scaling()) if facts.kind == "lab" else KINDS[facts.kind]


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
