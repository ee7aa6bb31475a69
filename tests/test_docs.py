"""The README and the guides cannot drift: every option is in them, commands and examples run, links lead somewhere."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from fractions import Fraction
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from zipfile import ZipFile

import click
import numpy as np
import pytest
from media_fixtures import make_film
from PIL import Image
from published_fixtures import make_onnx

from vidcolor import cli
from vidcolor.cli import COMMANDS, vidcolor
from vidcolor.inference import weights

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference.md"
GUIDES = sorted(path for path in (ROOT / "docs").glob("*.md") if path != REFERENCE)
PAGES = [ROOT / "README.md", *GUIDES, ROOT / "CONTRIBUTING.md"]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
SECOND = Fraction(1)  # films of a frame every three: the docs look at what is a minute in
FENCES = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)

# What these commands need is not here: hours, a cluster, other machines' folders, somebody who ends them. They parse.
PARSED = (
    "train ",
    "studio ",
    "--stills-by",
    "--cluster",
    "--watch",
    "doctor",
    "int8",
    "models/",
    "evaluate photos.tar",
)
ABSENT = (
    "photos.tar",
    "scanner",
    "vault",
    "westerns",
    "old-model.mp4",
    "new-model.mp4",
    "siggraph17-df00044c.pth",
    "mine.onnx",
)  # and what they name

# Each example runs in a namespace of its own; all in one process, since to start one takes longer than they do.
EXAMPLES = """
import sys
for example in sys.argv[1:]:
    print(example, file=sys.stderr)
    exec(compile(example, "example", "exec"), {"__name__": "__main__"})
"""


def shown(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page."""
    return [body for found, body in FENCES.findall(page.read_text(encoding="utf-8")) if found == language]


def commands_of(page: Path) -> list[str]:
    """Every vidcolor command of a page, without its remark."""
    lines = [line.strip() for block in shown(page, "sh") for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.startswith("vidcolor ")]


def command_of(name: str) -> click.Command:
    command = vidcolor.get_command(click.Context(vidcolor), name)
    assert command is not None
    return command


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with everything that the docs name."""
    folder = tmp_path_factory.mktemp("things")
    for name in ("film.mp4", "film.mkv", "reel1.mkv", "reel2.mkv", "by-one-model.mp4", "by-another.mp4", "out.mp4"):
        make_film(
            folder / name,
            codec="libx264",
            size=(96, 64),
            pts=range(0, 72, 3),
            time_base=SECOND,
            rate=1 / (3 * SECOND),
            has_color=name == "film.mp4",
        )
    for name in (
        "scans/first.jpg", "scans/box/second.tif", "portrait.jpg", "photos/one.png", "photos/two.jpg", "kodachrome.jpg",
        "autochrome.jpg",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(name)).save(folder / name)
    for number in range(3):
        (folder / "frames").mkdir(exist_ok=True)
        Image.fromarray(picture("frames")).save(folder / "frames" / f"{number:04}.png")
    shutil.copytree(folder / "scans", folder / "color")
    said = {"size": [1, 1], "hints": [{"point": [0.5, 0.5], "color": "navy"}]}
    (folder / "photo-hints.json").write_text(json.dumps(said), encoding="utf-8")
    said["hints"] = [{"frame": 3, "point": [0.5, 0.5], "color": "navy"}]
    (folder / "hints.json").write_text(json.dumps(said), encoding="utf-8")
    project = {"vidcolor_project": 1, "film": "film.mp4", "choices": [{"frames": [0, 5], "saturation": 0.8}]}
    (folder / "film.vidcolor.json").write_text(json.dumps(project), encoding="utf-8")
    project = {"vidcolor_project": 1, "folder": "scans", "seen": []}
    (folder / "scans.vidcolor.json").write_text(json.dumps(project), encoding="utf-8")
    with ZipFile(folder / "box.zip", "w") as box:
        box.write(folder / "portrait.jpg", "portrait.jpg")
    shutil.copy(tiny_model, folder / "mine.safetensors")
    make_onnx(folder / "ddcolor_artistic.onnx", 2)
    make_onnx(folder / "deoldify.onnx", 3, keeps_picture=True)
    shutil.copy(weights.find("default"), folder / "western.safetensors")  # which went on from it
    assert cli.run(["export", str(tiny_model), "-o", str(folder / "default.onnx")]) == 0
    return folder


def picture(name: str) -> np.ndarray:
    """Gray for scans; in color for photos to measure on."""
    random = np.random.default_rng(len(name))
    channels = 3 if name.startswith(("photos/", "kodachrome", "autochrome")) else 1
    values = random.integers(0, 256, (6, 8, channels), np.uint8)
    return values.repeat(16, axis=0).repeat(16, axis=1).squeeze()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_readme_or_a_guide_and_has_help(name: str):
    for option in command_of(name).params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.name} says nothing of itself"
            assert any(f"{text}{end}" in TEXT for text in option.opts for end in ("`", " ", "/")), (
                f"{name} {option.opts} is in no guide"
            )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str):
    commands = [command_of(name)]
    if isinstance(commands[0], click.Group):
        commands = list(commands[0].commands.values())
    for command in commands:
        assert "Example" in (command.help or ""), f"{name} {command.name} shows no example"


def test_the_reference_is_what_the_program_says():
    spec = spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert REFERENCE.read_text(encoding="utf-8") == module.reference(), "out of date: run `python docs/reference.py`"


@pytest.mark.parametrize(
    "page", [page for page in [*PAGES, REFERENCE] if commands_of(page)], ids=lambda page: page.name
)
def test_the_commands_of_a_page_are_commands(page: Path, things: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(things)
    (things / "stills").mkdir(exist_ok=True)
    for name in ABSENT:
        (things / name).touch()
    for line in commands_of(page):
        parse(shlex.split(line)[1:])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(
    page: Path, things: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    """Those of the README with the model that comes with it; guides color with a tiny one."""
    find = weights.find
    folder = tmp_path / "here"
    shutil.copytree(things, folder)
    monkeypatch.chdir(folder)
    for line in commands_of(page):
        words = shlex.split(line)[1:]
        if any(part in line for part in PARSED) and "--show-recipe" not in line:
            continue
        forget_output(words)
        with monkeypatch.context() as patch:
            if page.name != "README.md" and words[0] != "models":
                patch.setattr(weights, "find", lambda model: tiny_model if model == "default" else find(model))
            assert cli.run(words) == 0, line


def forget_output(words: list[str]) -> None:
    """Several examples of a page write the same file."""
    target = Path(words[words.index("-o") + 1]) if "-o" in words else None
    if target is not None and target.is_file():
        target.unlink()
    elif target is not None and target.is_dir():
        shutil.rmtree(target)


def parse(words: list[str]) -> None:
    """Find the command, and let it look at its arguments. Raises click.UsageError."""
    words = words[: words.index(">")] if ">" in words else words
    context = vidcolor.make_context("vidcolor", list(words))
    name, command, rest = vidcolor.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None, words
    if isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None, words
    command.make_context(name, rest)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if shown(page, "python")], ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path, things: Path, tmp_path: Path):
    folder = tmp_path / "here"
    shutil.copytree(things, folder)
    shutil.rmtree(folder / "color")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLES, *shown(page, "python")], cwd=folder, env=environment,
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = {"models.md": "portrait-color.png", "python.md": "color/first.jpg", "programs.md": "film-color.mp4"}
    assert (folder / made[page.name]).is_file()


@pytest.mark.parametrize("page", [*PAGES, REFERENCE], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, place = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not place or place in anchors(target), f"{page.name}: {link}"


def anchors(page: Path) -> set[str]:
    """What headings of a page are called in addresses."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short_and_names_every_guide():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 120
    for path in [*GUIDES, REFERENCE]:
        assert f"(docs/{path.name})" in readme, path.name
