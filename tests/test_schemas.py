"""What vidcolor writes and reads as JSON is what docs/schemas/ and docs/programs.md say, to the field."""

import ast
import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from media_fixtures import make_film, make_shots
from PIL import Image
from referencing import Registry, Resource

from vidcolor import choices, cli
from vidcolor.errors import UsageError
from vidcolor.films.project import Project
from vidcolor.frames import ResumePoint
from vidcolor.hints import parse_hints
from vidcolor.media.film_ledger import FilmLedger, Segment, SegmentShots
from vidcolor.run import Run

ROOT = Path(__file__).parent.parent
SCHEMAS = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "docs/schemas").glob("*.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
GUIDE = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
EVENTS = [kind for kind in SCHEMAS["events.schema.json"]["$defs"].values() if "event" in kind["properties"]]


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[f"{name}.schema.json"], registry=REGISTRY)


def check(name: str, *documents: Any) -> None:
    """Fail with what a document has that its schema has not, or the other way round."""
    assert documents
    for document in documents:
        if not validator(name).is_valid(document):
            faults = [str(fault.context) for fault in validator(name).iter_errors(document)]
            pytest.fail(f"{document}: {faults}")


Told = Callable[..., list[Any]]


@pytest.fixture
def told(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a command with --json; gives what it wrote, line by line."""

    def run(*args: object, code: int = 0, model: object = tiny_model) -> list[Any]:
        words = [*map(str, args), "--json", *(("--model", str(model)) if model else ())]
        assert cli.run(words) == code, capsys.readouterr().err
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def kinds(events: list[Any]) -> set[str]:
    return {event["event"] for event in events}


def journal(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shots(tmp_path_factory.mktemp("schemas") / "film.mkv", (8, 6))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, a damaged one, a film, an archive, and something else."""
    folder = tmp_path_factory.mktemp("schemas") / "scans"
    folder.mkdir()
    Image.fromarray(np.tile(np.arange(96, dtype=np.uint8), (64, 1))).save(folder / "gray.png")
    (folder / "torn.png").write_bytes((folder / "gray.png").read_bytes()[:60])
    (folder / "notes.txt").write_text("from the attic")
    make_shots(folder / "film.mkv", (6,))
    with ZipFile(folder / "box.zip", "w") as box:
        box.write(folder / "gray.png", "inner.png")
    return folder


# Real runs


def test_a_film_and_a_project_with_hints(film: Path, told: Told, tmp_path: Path) -> None:
    hint = {"frame": 2, "point": [0.5, 0.5], "size": [1, 1], "color": "navy", "frames": [0, 7]}
    project = {
        "vidcolor_project": 1, "film": "film.mkv", "frames": 14, "shots": [[0, 7], [8, 13]], "hints": [hint],
        "choices": [{"frames": [8, 13], "saturation": 0.5}],
    }  # fmt: skip
    check("project", project)
    (tmp_path / "film.vidcolor.json").write_text(json.dumps(project), encoding="utf-8")
    out = tmp_path / "out.mkv"
    command = film, "-o", out, "--project", tmp_path / "film.vidcolor.json", "--keep-segments"
    planned = told(*command, "--dry-run")
    made = told(*command)
    check("events", *planned, *made)
    assert kinds(planned) == {"plan"}
    assert {"start", "progress", "done"} <= kinds(made)
    assert made[-1]["stills"]
    (ledger,) = tmp_path.glob(".vidcolor-*/ledger")
    check("journal", *journal(ledger))
    assert {"run", "file", "finished"} <= {key for line in journal(ledger) for key in line}


def test_segments_that_are_dropped(tmp_path: Path) -> None:
    run, at = Run("0" * 64, {"--crf": "18"}, said=[(0, 9, "hash")]), ResumePoint(4, -2, 7)
    with FilmLedger(tmp_path / "ledger", tmp_path) as ledger:
        ledger.begin(run)
        ledger.add(Segment("000000.packets", 9, -5, 8, -1, 3, "000000.state.npz", 1, None, SegmentShots(0, at, (at,))))
        ledger.drop([0])
        ledger.drop([1], run)
    check("journal", *journal(tmp_path / "ledger"))
    assert "dropped" in journal(tmp_path / "ledger")[-1]


def test_a_list_of_films_one_of_them_damaged_one_in_color_one_refused(told: Told, tmp_path: Path) -> None:
    whole = make_film(tmp_path / "whole.mkv", pts=range(100))
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    make_film(tmp_path / "color.mkv", has_color=True)
    (tmp_path / "none.mkv").write_bytes(b"no film")
    films = [tmp_path / f"{name}.mkv" for name in ("cut", "color", "none")]
    events = told(*films, "-o", tmp_path / "out", code=1)
    check("events", *events)
    assert {"warning", "error", "done"} <= kinds(events)
    assert {event["outcome"] for event in events if event["event"] == "done"} == {"colored", "kept"}
    assert next(event for event in events if event["event"] == "error")["input"] == str(films[2])
    (damaged,) = (event["damage"] for event in events if event["event"] == "done" and event["outcome"] == "colored")
    assert any(damaged.values())
    again = told(*films, "-o", tmp_path / "out", code=1)
    check("events", *again)
    assert "passed" in kinds(again)
    check("journal", *journal(tmp_path / "out" / ".vidcolor-journal.jsonl"))


def test_stills_by_another_program(film: Path, told: Told, tmp_path: Path) -> None:
    script = tmp_path / "red.py"
    script.write_text(
        "import sys\nfrom PIL import Image, ImageOps\n"
        "ImageOps.colorize(Image.open(sys.argv[1]).convert('L'), 'black', 'salmon').save(sys.argv[2])"
    )
    events = told(film, "-o", tmp_path / "out.mkv", "--stills-by", f"{sys.executable} {script} {{in}} {{out}}")
    check("events", *events)
    assert "stills" in kinds(events)


def test_a_folder_with_hints(scans: Path, told: Told, tmp_path: Path) -> None:
    hints = [{"file": "gray.png", "region": [[1, 1], [60, 1], [60, 40]], "color": [10, -30]}]
    check("hints", hints)
    (tmp_path / "hints.json").write_text(json.dumps(hints), encoding="utf-8")
    command = scans, "-o", tmp_path / "out", "--hints", tmp_path / "hints.json"
    planned, made = told(*command, "--dry-run"), told(*command, code=1)
    check("events", *planned, *made)
    assert kinds(planned) == {"plan"}
    assert {"file", "progress", "done"} <= kinds(made)
    check("report", json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")))
    check("journal", *journal(tmp_path / "out" / ".vidcolor-journal.jsonl"))
    again = told(*command, code=1)
    check("events", *again)
    assert again[-1]["done_before"]


def test_an_archive(scans: Path, told: Told, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "in.zip", "w") as box:
        for name in ("gray.png", "torn.png"):
            box.write(scans / name, name)
    events = told(tmp_path / "in.zip", "-o", tmp_path / "out.zip", code=1)
    check("events", *events)
    (report,) = tmp_path.glob("*report.json")
    check("report", json.loads(report.read_text(encoding="utf-8")))
    (path,) = tmp_path.glob("*.journal.jsonl")
    check("journal", *journal(path))
    assert "complete" in journal(path)[-1]


def test_a_photo(scans: Path, told: Told, tmp_path: Path) -> None:
    events = told(scans / "gray.png", "-o", tmp_path / "out.png")
    check("events", *events)
    assert [event["event"] for event in events] == ["file", "progress", "done"]


def test_an_input_that_is_refused_is_no_event(told: Told, tmp_path: Path) -> None:
    assert told(tmp_path / "none.mkv", "-o", tmp_path / "out.mkv", code=1) == []
    assert told(tmp_path, "-o", tmp_path / "out", "--codec", "vp10", code=2) == []
    (tmp_path / "none.png").write_bytes(b"no photo")
    assert told(tmp_path / "none.png", "-o", tmp_path / "out.png", code=1) == []


def test_training(photos: Path, told: Told, tmp_path: Path) -> None:
    events = told(
        "train", photos, "-o", tmp_path / "mine.safetensors", "--recipe", "pix2pix", "--steps", "2", "--batch-size",
        "2", "--run-folder", tmp_path / "run", "--device", "cpu", "--set", 'generator_config={"width":4,"depth":5}',
        "--set", 'stages=[{"crop":32,"share":1.0}]', "--set", 'discriminator_config={"norm":"none","width":4}',
        model=None,
    )  # fmt: skip
    check("events", *events)
    assert kinds(events) == {"report", "steps", "epoch", "done"}


def test_a_doctor(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidcolor import doctor

    everything = doctor.list_checks
    light = ("versions", "models", "folders", "extras")
    monkeypatch.setattr(doctor, "list_checks", lambda folder: {name: everything(folder)[name] for name in light})
    events = told("doctor", model=None)
    check("events", *events)
    assert kinds(events) == {"finding", "verdict"}


def test_answers(film: Path, tiny_model: Path, told: Told, tmp_path: Path) -> None:
    check("answers", *told("info", film, make_film(tmp_path / "a.mp4", codec="libx264", rotation=90), model=None))
    check("answers", *told("models", "list", model=None))
    check("answers", *told("models", "show", tiny_model, model=None))
    check("answers", *told("models", "add", tiny_model, "--name", "tiny-schemas", model=None))
    check("answers", *told("export", tiny_model, "-o", tmp_path / "out.xml", model=None))
    assert cli.run(["models", "remove", "tiny-schemas"]) == 0


def test_an_evaluation(photos: Path, told: Told, tmp_path: Path) -> None:
    films = [make_film(tmp_path / f"{name}.mkv", pts=range(6), has_color=True) for name in "ab"]
    measured = [option for name in ("wobble", "neutrals", "hints") for option in ("--metric", name)]
    rows = told("evaluate", photos, *films, "--size", "64", "--limit", "2", *measured)
    check("answers", *rows)
    assert {row["kind"] for row in rows} == {"photos", "film", "films"}
    metrics = set(choices.METRICS) - {"hints"} | {f"hints_{count}" for count in (1, 10, 100)}
    assert metrics <= SCHEMAS["answers.schema.json"]["$defs"]["PhotoScore"]["properties"].keys()


# The schemas


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_describes_every_field(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == name
    for schema in parts(SCHEMAS[name]):
        for field, said in schema.get("properties", {}).items():
            assert "const" in said or "description" in said or said.get("$ref"), f"{name}: {field}"
    if not name.startswith(("hints", "project")):
        for kind, schema in SCHEMAS[name]["$defs"].items():
            assert schema["additionalProperties"] is False, kind
            assert schema["description"], kind


def parts(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from parts(each)
    if isinstance(schema, list):
        for each in schema:
            yield from parts(each)


def test_the_schemas_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_from_file_location("schemas", ROOT / "docs" / "schemas.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "schemas", module)
    spec.loader.exec_module(module)
    for name, text in module.schemas():
        written = (ROOT / "docs" / "schemas" / name).read_text(encoding="utf-8")
        assert written == text, f"{name} is out of date: run `python docs/schemas.py`"


def test_every_event_of_the_code_is_in_the_schema_and_in_the_guide() -> None:
    emitted = {
        call.args[0].value
        for path in (ROOT / "vidcolor").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "emit_event"
        if isinstance(call.args[0], ast.Constant)
    }
    assert emitted == {kind["properties"]["event"]["const"] for kind in EVENTS}
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", GUIDE, re.MULTILINE)
    told = [(kind, sorted(re.findall(r"`(\w+)`", fields))) for kind, _, fields in rows]
    there = [(kind["properties"]["event"]["const"], sorted({*kind["properties"]} - {"event"})) for kind in EVENTS]
    assert sorted(told) == sorted(there)


def test_every_schema_is_in_the_guide() -> None:
    assert all(f"(schemas/{name})" in GUIDE for name in SCHEMAS)


WRONG = {
    "unknown event": ("events", {"event": "finished"}),
    "field too many": ("events", {"event": "warning", "message": "a", "code": 5}),
    "field missing": ("events", {"event": "passed", "input": "a"}),
    "negative count": ("events", {"event": "stills", "done": -1, "total": 2}),
    "number as text": ("events", {"event": "stills", "done": "1", "total": 2}),
    "outcome": ("events", {"event": "file", "name": "a", "outcome": "lost", "notes": []}),
    "no row": ("answers", {"kind": "photo"}),
    "line without sum": ("journal", {"complete": 5}),
    "no report": ("report", {"vidcolor": "1", "files": []}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused(name: str) -> None:
    schema, document = WRONG[name]
    assert not validator(schema).is_valid(document)


# Files that people write: schema and parser agree on every change of an example

HINTS = {
    "size": [1, 1],
    "hints": [
        {"frame": 2, "point": [0.5, 0.5], "color": "navy", "width": 0.1, "frames": [0, 7], "file": "a", "size": [1, 1]},
        {"time": "0:01:02.5", "stroke": [[0.1, 0.2], [1, 1]], "color": [10, -20], "size": [8, 6]},
        {"time": 1.5, "region": [[0, 0], [1, 0], [1, 1]], "color": "#8b5a2b", "page": 2},
    ],
}
CHOICE = {"model": "default", "saturation": 0.5, "palette": "a.jpg"}
EXAMPLES = {
    "hints": HINTS,
    "a list of hints": HINTS["hints"],
    "project": {
        "vidcolor_project": 1, "film": "a.mkv", "frames": 9, "shots": [[0, 9]], "hints": HINTS["hints"],
        "choices": [{"frames": [0, 9], **CHOICE}], "references": ["a.png"],
    },
    "project of a folder": {
        "vidcolor_project": 1, "folder": "scans", "choices": [{"file": "a.jpg", **CHOICE}], "seen": ["a.jpg"],
        "hints": [{"file": "a.jpg", "point": [5, 5], "color": "navy"}],
    },
}  # fmt: skip
VALUES = (
    None, True, False, -1, 0, 1, 1.5, 5, 200, 100_000_000, 2_000_000_000, "", "a", "1:2:3:4", [], {}, [1], [0, 1],
    [[0, 1]], [""],
)  # fmt: skip
# Faults that no schema sees: a word that is no color, a range that ends before it begins, and those of all hints
# together: pixels or shares, files that are not named.
FOR_PARSERS_ALONE = (
    r"is unknown; (did you mean|write a CSS)|before (it|they) begins?|all of the first one|names no file"
)


def changed(example: Any, values: tuple[Any, ...] = VALUES) -> Iterator[Any]:
    """The example with one value replaced, left out or added, everywhere in it."""

    def walk(at: Any, place: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        yield place
        for key, value in at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ():
            yield from walk(value, (*place, key))

    for *above, key in filter(None, walk(example, ())):
        for value in (*values, "left out", "added"):
            document = copy.deepcopy(example)
            target = document
            for step in above:
                target = target[step]
            if value == "left out":
                del target[key]
            elif value == "added" and isinstance(target, dict):
                target["colour"] = 1
            else:
                target[key] = value
            yield document


def refusal(name: str, document: Any) -> str:
    """What the parser says against a document; empty where it takes it."""
    try:
        Project.parse(document, Path("a.json")) if "project" in name else parse_hints(document)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", EXAMPLES)
def test_schema_and_parser_agree(name: str) -> None:
    schema = validator("project" if "project" in name else "hints")
    check("project" if "project" in name else "hints", EXAMPLES[name])
    assert not refusal(name, EXAMPLES[name])
    agreed = 0
    for document in changed(EXAMPLES[name]):
        said = refusal(name, document)
        if not re.search(FOR_PARSERS_ALONE, said):
            assert schema.is_valid(document) == (not said), f"{said or 'accepted'}: {document}"
            agreed += bool(said)
    assert agreed > 100
