"""Writes the JSON Schemas of what vidcolor writes, from the types in its code: `python docs/schemas.py`.

A field's description is the comment behind it, or above it; a range such as 0..1 in it becomes the schema's. The files
that people write, hints and projects, have schemas written by hand beside these.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

from vidcolor.archives.journal import Outcome, Record
from vidcolor.batch.report import Report
from vidcolor.cli.models import ListedModel, ModelFile
from vidcolor.cli.progress import events
from vidcolor.doctor import Finding
from vidcolor.evaluation.films import FilmScore
from vidcolor.evaluation.photos import Score
from vidcolor.evaluation.report import FilmRow, PhotoRow
from vidcolor.films.job import StillReach
from vidcolor.frames import FilmInfo
from vidcolor.inference.adding import Added
from vidcolor.inference.export import ExportResult
from vidcolor.inference.weights import ModelHeader
from vidcolor.media.damage import Damage
from vidcolor.media.film_ledger import Segment
from vidcolor.run import Run
from vidcolor.training.photos import LoadReport

Json = dict[str, Any]

FOLDER = Path(__file__).parent / "schemas"
EVENTS = (  # kind of an event, and its facts
    ("warning", events.Warned), ("stills", events.StillsProgress), ("start", events.FilmStarted),
    ("progress", events.FilmProgress), ("done", events.FilmFinished), ("passed", events.FilmDoneBefore),
    ("error", events.FilmFailed), ("plan", events.FilmPlan), ("file", events.FileFinished),
    ("progress", events.BatchProgress), ("done", events.BatchFinished), ("plan", events.BatchPlan),
    ("resumed", events.TrainingPlace), ("report", LoadReport), ("steps", events.TrainingPlace),
    ("epoch", events.TrainingPlace), ("validation", events.TrainingPlace),
    ("done", events.ModelWritten), ("finding", Finding), ("verdict", events.Verdict),
)  # fmt: skip
TRAINING = ("steps", "epoch", "validation")  # whose losses have names of their own
LOSSES = {"^(loss|validation|seen)_": {"description": "Mean loss of that name, or PSNR in dB.", "type": "number"}}
METRICS = {  # that evaluate is asked for: those whose value is in the field of that name
    "neutrals": "a*b* chroma that neutral areas get, mean.",
    "wobble": "Change of colors under small shifts, brightness and grain.",
    "lpips": "LPIPS of SqueezeNet.",
    "fid": "Fréchet Inception distance.",
    "is": "Inception score.",
    "hints_1": "PSNR in dB, with 1 hint.",
    "hints_10": "PSNR in dB, with 10 hints.",
    "hints_100": "PSNR in dB, with 100 hints.",
}
FOR_CHECKERS = {"Damage": Damage, "StillReach": StillReach, "Outcome": Outcome}  # imported for type checkers alone
PLAIN: dict[Any, Json] = {
    int: {"type": "integer", "minimum": 0},
    float: {"type": "number", "minimum": 0},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    Path: {"type": "string"},
    Any: {},
    Fraction: {"type": "string", "pattern": "^[0-9]+(/[0-9]+)?$"},
}


class RunLine(TypedDict):
    """What decided the bytes of the files, or the film, that the following lines tell of."""

    run: Run  # its model, settings and input


class CompleteLine(TypedDict):
    """The output archive is finished."""

    complete: int  # bytes of the archive


class DroppedLine(TypedDict):
    """Segments of a film that count no more."""

    dropped: list[int]  # their numbers, from 0
    run: NotRequired[Run]  # the run that goes on with the others


class FinishedLine(TypedDict):
    """The film is finished, and its segments were kept."""

    finished: int  # frames of the film


class Line(TypedDict):
    """What every line ends with."""

    sum: str  # first 16 hex digits of the SHA-256 of the line up to the comma before this field


class Definitions:
    """Schemas of types, by name."""

    def __init__(self, *, is_sparse: bool = False) -> None:
        """is_sparse: fields that have a default are not written where they are empty."""
        self.found: dict[str, Json] = {}
        self._is_sparse = is_sparse

    def define(self, name: str, *kinds: type, without: str = "", event: str = "") -> Json:
        """Define an object with the fields of all kinds, but one; gives the reference to it.

        event: kind of the event that it is.
        """
        if name in self.found:
            return {"$ref": f"#/$defs/{name}"}
        properties: Json = {"event": {"description": "Kind of the event.", "const": event}} if event else {}
        required = list(properties)
        for kind in kinds:
            said, optional = comments(kind), self._optional(kind)
            for field, hint in get_type_hints(kind, localns=FOR_CHECKERS).items():
                if field != without:
                    properties[field] = self._describe(said[field], hint)
                    required += [] if field in optional or field in required else [field]
        self.found[name] = {
            "description": " ".join((inspect.getdoc(kinds[0]) or "").split("\n\n")[0].split()),
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
        return {"$ref": f"#/$defs/{name}"}

    def _optional(self, kind: type) -> set[str]:
        if is_typeddict(kind):
            return set(kind.__optional_keys__)  # type: ignore[attr-defined]
        given: Any = fields(kind) if self._is_sparse else ()  # type: ignore[arg-type]
        return {field.name for field in given if (field.default, field.default_factory) != (MISSING, MISSING)}

    def _describe(self, said: str, hint: Any) -> Json:
        text = re.sub(r"\b(None|NaN|infinite)\b", "null", said).removesuffix(".")
        schema = self._schema(hint)
        if limits := re.search(r"(-?\d+)\.\.(-?\d+)", said):
            schema |= {"minimum": int(limits[1]), "maximum": int(limits[2])}
        elif "may be negative" in said:
            schema = {key: value for key, value in schema.items() if key != "minimum"}
        if re.search(r"\b(NaN|infinite)\b", said):  # written as null
            schema.get("additionalProperties", schema)["type"] = ["number", "null"]
        return {"description": text} | schema

    def _schema(self, hint: Any) -> Json:
        if hint in PLAIN:
            return dict(PLAIN[hint])
        if is_dataclass(hint) or is_typeddict(hint):
            return self.define(hint.__name__, hint)
        origin, args = get_origin(hint), get_args(hint)
        if origin is Literal:
            return {"enum": list(args)}
        if origin is tuple and ... not in args:
            each = [self._schema(arg) for arg in args]
            return {"type": "array", "prefixItems": each, "items": False, "minItems": len(each)}
        if origin in (list, tuple, Sequence):
            return {"type": "array", "items": self._schema(args[0])}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self._schema(args[1])}
        if origin in (Union, UnionType) and args[1:] == (NoneType,):
            known = self._schema(args[0])
            if "type" in known:
                return known | {"type": [known["type"], "null"]}
            return {"anyOf": [known, {"type": "null"}]}
        raise TypeError(f"no schema for {hint}")


def comments(kind: type) -> dict[str, str]:
    """What comments say of a type's fields, and of those of the types that it extends."""
    source, found, above = inspect.getsource(kind), dict[str, str](), list[str]()
    base = re.search(r"^class \w+\((\w+)\):", source, re.MULTILINE)
    if base and base[1] != "TypedDict":  # which forgets what it extends
        found = comments(getattr(sys.modules[kind.__module__], base[1]))
    for line in source.splitlines():
        if remark := re.fullmatch(r"    # (.*)", line):
            above.append(remark[1])
        elif field := re.fullmatch(r"    (\w+): [^#]*?(?:  # (.*))?", line):
            found[field[1]] = " ".join(filter(None, [*above, field[2]]))
            above = []
    return found


def schemas() -> Iterator[tuple[str, str]]:
    """The name and the text of every file."""
    for name, (description, define, is_sparse) in FILES.items():
        definitions = Definitions(is_sparse=is_sparse)
        shown = list(define(definitions))
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{name}.schema.json",
            "description": description,
            "oneOf": shown,
            "$defs": definitions.found,
        }
        yield f"{name}.schema.json", json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _events(definitions: Definitions) -> Iterator[Json]:
    for event, kind in EVENTS:
        name = event.title() if event in TRAINING else kind.__name__
        yield definitions.define(name, kind, event=event)
        if event in TRAINING:
            definitions.found[name]["patternProperties"] = LOSSES


def _answers(definitions: Definitions) -> Iterator[Json]:
    yield definitions.define("FilmInfo", FilmInfo)
    yield definitions.define("PhotoScore", Score, PhotoRow, without="further")
    metrics = {name: {"description": said, "type": ["number", "null"]} for name, said in METRICS.items()}
    definitions.found["PhotoScore"]["properties"] |= metrics
    yield definitions.define("FilmScore", FilmScore, FilmRow)
    for kind in (ExportResult, ListedModel, Added):
        yield definitions.define(kind.__name__, kind)
    yield definitions.define("ModelHeader", ModelHeader, ModelFile)


def _report(definitions: Definitions) -> Iterator[Json]:
    yield definitions.define("Report", Report)


def _journal(definitions: Definitions) -> Iterator[Json]:
    yield definitions.define("Record", Record, Line, without="run")
    yield definitions.define("Segment", Segment, Line)
    for kind in (RunLine, CompleteLine, DroppedLine, FinishedLine):
        yield definitions.define(kind.__name__, kind, Line)


FILES: dict[str, tuple[str, Callable[[Definitions], Iterator[Json]], bool]] = {
    "events": ("A line of `colorize --json`, `train --json` or `doctor --json`.", _events, False),
    "answers": ("A line of `info`, `evaluate`, `export` or `models` with --json.", _answers, False),
    "report": ("The file report.json of a run over many files.", _report, False),
    "journal": ("A line of the journal of many files, or of the ledger of a film that is being made.", _journal, True),
}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in schemas():
        (FOLDER / name).write_text(text, encoding="utf-8")
