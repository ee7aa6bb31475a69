"""What a terminal shows: one line a job at any width, words whole, no color where none is wanted."""

import ast
import io
from pathlib import Path

import numpy as np
import pytest
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli
from vidcolor.cli.console import Terminal
from vidcolor.cli.progress.bars import Bars
from vidcolor.cli.text import fold
from vidcolor.inference import weights
from vidcolor.networks import build
from vidcolor.training.photos import LoadReport

NAME = "A rather long name of an old film, reel 01 of 12.mkv"


EVIL = "a\x1b]0;title\x07\x1b[31m[red]b[/red]\u202ec\nvidcolor: done\x9b2J:smile:"
SEEN = r"a\x1b]0;title\x07\x1b[31m[red]b[/red]\u202ec\nvidcolor: done\x9b2J:smile:"
PACKAGE = Path(cli.__file__).parent.parent


def drawn(width: int, *, color: bool = True, **task: object) -> list[str]:
    """The bars of a film half done, as a terminal of that width has them."""
    console = Terminal(
        file=io.StringIO(), width=width, force_terminal=True, legacy_windows=False, color_system="standard",
        no_color=not color,
    )  # fmt: skip
    bars = Bars(console)
    bars.update(bars.begin(NAME, 172_800), completed=86_400, facts="23.5 fps", left=3700.0, **task)
    console.print(bars.make_tasks_table(bars.tasks))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 63, 64, 80, 99, 100, 160])
def test_a_job_takes_one_line_with_its_count_and_the_time_left(width: int):
    (line,) = drawn(width, color=False)
    assert "86400/172800" in line
    assert "1:01:40 left" in line
    assert ("23.5 fps" in line) == (width >= 64)
    assert "reel 01" not in line or width >= 100
    assert line.rstrip().replace("\x1b[0m", "").startswith("A ")


def test_no_color_has_no_colors():
    assert "\x1b[3" in drawn(80)[0]
    assert "\x1b[3" not in drawn(80, color=False)[0]


def test_lines_are_folded_between_words_on_a_terminal_alone():
    text = "vidcolor: /a/very/long/path/that/does/not/fit/into/forty/columns.mkv: no such file or folder."
    assert fold(text, None) == text
    assert fold("two\n  lines", None) == "two lines"
    parts = fold(text, 40).splitlines()
    assert "/a/very/long/path/that/does/not/fit/into/forty/columns.mkv:" in parts
    assert " ".join(parts) == text


@pytest.mark.parametrize("width", [40, 50, 80])
def test_help_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("COLUMNS", str(width))
    for command in ((), ("colorize",), ("models",), ("models", "show"), ("doctor",)):
        assert cli.run([*command, "--help"]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("    vidcolor ")]
        assert [line for line in lines if len(line) > width and "|" not in line] == []


def obeyed(text: str) -> set[str]:
    """What a terminal would obey, or not show."""
    return {character for character in text if not character.isprintable() and character != "\n"}


def forbidden(text: str) -> list[int]:
    """Lines that write to the terminal past the exits."""
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Name(id="print" | "input")):
                found.append(node.lineno)
            case ast.Attribute(
                value=ast.Name(id="click"),
                attr="echo" | "secho" | "confirm" | "prompt" | "pause" | "echo_via_pager" | "progressbar",
            ):
                found.append(node.lineno)
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr"), attr=used):
                found += [node.lineno] if used in ("write", "writelines", "buffer") else []
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="write"), args=[file, *_]):
                found += [node.lineno] if ast.unparse(file).startswith(("sys.", "1", "2")) else []
            case ast.ImportFrom(module="rich" | "rich.console" | "click" | "click.utils", names=names):
                used = {name.name for name in names}
                found += [node.lineno] if used & {"print", "Console", "get_console", "echo", "secho"} else []
    return found


def test_nothing_is_shown_but_by_the_exits_that_make_it_printable():
    exits = {"text.py", "console.py", "signals.py"}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name != "cli" or path.name not in exits:
            assert forbidden(path.read_text(encoding="utf-8")) == [], path
    for name in exits:
        assert forbidden((PACKAGE / "cli" / name).read_text(encoding="utf-8")), f"{name} is no exit any more"


def test_a_console_shows_any_text_as_it_is():
    from rich.table import Table

    console = Terminal(file=io.StringIO(), width=200, force_terminal=True, legacy_windows=False, no_color=True)
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    console.print(EVIL)
    console.print(table)
    told = console.file.getvalue()
    assert obeyed(told.replace("\x1b[3m", "").replace("\x1b[1m", "").replace("\x1b[0m", "")) == set()
    assert told.count("]0;title") == 4
    assert r"\x1b[31m[red]b[/red]\u202ec" in told.splitlines()[0]


def test_bars_show_names_as_they_are():
    console = Terminal(file=io.StringIO(), width=200, force_terminal=True, legacy_windows=False, no_color=True)
    bars = Bars(console)
    bars.update(bars.begin(EVIL, 10), completed=5, facts=EVIL)
    bars.tell(f"{EVIL}: 3 frames")
    console.print(bars.make_tasks_table(bars.tasks))
    told, (line, *_) = console.file.getvalue(), bars.tasks
    assert line.description == EVIL
    assert "\x1b]" not in told
    assert "\x1b[31m[" not in told
    assert not obeyed(told) - {"\x1b"}
    assert SEEN in told  # the facts, whole
    assert len(told.splitlines()) == 2


@pytest.fixture
def evil_model(tmp_path: Path) -> Path:
    """One whose name and card would speak to the terminal."""
    path, config = tmp_path / "evil.safetensors", {"width": 4, "depth": 5, "dropout": 0.0}
    weights.save(path, build("pix2pix", config), weights.ModelHeader("pix2pix", config, EVIL, EVIL, size=64))
    path.with_suffix(".md").write_bytes("# Card\n\x1b[31mred\u202e\n".encode() + b"\xff\n")
    return path


@pytest.mark.skipif(Path("/").drive != "" or len(Path("/").anchor) != 1, reason="Windows has no such names")
def test_no_command_lets_a_name_or_a_tag_speak_to_the_terminal(
    evil_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    name = EVIL.replace("/", "|")
    tags = {"title": EVIL.replace("\n", " "), "comment": "\x1b[2Jgone"}
    film = make_film(tmp_path / f"{name}.mkv", sound=({"language": "eng", "title": "\x1b[31mred"},), metadata=tags)
    (tmp_path / "color").mkdir()
    truth = make_film(tmp_path / "color" / f"{name}.mkv", metadata=tags, has_color=True)
    scans, file = tmp_path / f"scans {name}", tmp_path / "night.log"
    scans.mkdir()
    (scans / f"{name}.png").write_bytes(b"torn")
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (48, 64), np.uint8)).save(scans / f"good {name}.png")
    model = ("--model", evil_model)
    for args, code in (
        (("info", film), 0),
        (("info", film, "--json"), 0),
        (("models", "show", evil_model), 0),
        (("models", "show", evil_model, "--json"), 0),
        (("models", "verify", evil_model), 0),
        ((film, "-o", tmp_path / f"{name}.mp4", *model, "--dry-run"), 0),
        ((film, "-o", tmp_path / f"{name}.mp4", *model, "--log", file), 0),
        ((film, "-o", tmp_path / f"{name}.webm", *model, "--convert-audio", "opus", "--json"), 0),
        ((scans, "-o", tmp_path / f"out {name}", *model, "--dry-run"), 0),
        ((scans, "-o", tmp_path / f"out {name}", *model, "--log", file), 1),
        ((scans, "-o", tmp_path / f"json {name}", *model, "--json"), 1),
        (("preview", film, "-o", tmp_path / f"{name}.png", *model), 0),
        (("compare", film, tmp_path / f"{name}.mp4", "-o", tmp_path / f"{name}.html", "--clip", "0"), 0),
        (("evaluate", truth, *model), 0),
        (("doctor", tmp_path / name), 0),
        ((tmp_path / f"no {name}.mkv", "-o", tmp_path / "x.mkv"), 1),
        ((film, "-o", tmp_path / "x.mkv", f"--{name}"), 2),
        ((film, "-o", tmp_path / "x.mkv", "--crf", name), 2),
        ((film, "-o", tmp_path / "x.mkv", "--device", name), 2),
        (("train", scans, "-o", tmp_path / f"{name}.safetensors", "--set", name), 2),
        (("models", name), 2),
    ):
        assert cli.run([str(arg) for arg in args]) == code, args
        told = capfd.readouterr()
        assert (told.out + told.err) != "", args
        assert obeyed(told.out + told.err) == set(), args
        assert not [line for line in (told.out + told.err).splitlines() if line.startswith("vidcolor: done")], args
    logged = file.read_text(encoding="utf-8")
    assert obeyed(logged) == set()
    assert all(line[:2] == "20" for line in logged.splitlines())


def test_what_was_passed_over_in_training_cannot_speak(capfd: pytest.CaptureFixture[str]):
    from vidcolor.cli.progress.plain import PlainLines

    PlainLines().photos_read(LoadReport(1, 0, 0, 0, 1, 0, ((EVIL, EVIL),)))
    assert obeyed(capfd.readouterr().err) == set()
