"""What a terminal shows: one line a job at any width, words whole, no colour where none is wanted."""

import io

import pytest
from rich.console import Console

from vidcolor import cli
from vidcolor.cli.bars import Bars
from vidcolor.cli.lines import folded

NAME = "A rather long name of an old film, reel 01 of 12.mkv"


def drawn(width: int, *, color: bool = True, **task: object) -> list[str]:
    """The bars of a film half done, as a terminal of that width has them."""
    console = Console(
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


def test_no_color_has_no_colours():
    assert "\x1b[3" in drawn(80)[0]
    assert "\x1b[3" not in drawn(80, color=False)[0]


def test_lines_are_folded_between_words_on_a_terminal_alone():
    text = "vidcolor: /a/very/long/path/that/does/not/fit/into/forty/columns.mkv: no such file or folder."
    assert folded(text, None) == text
    assert folded("two\n  lines", None) == "two lines"
    parts = folded(text, 40).splitlines()
    assert "/a/very/long/path/that/does/not/fit/into/forty/columns.mkv:" in parts
    assert " ".join(parts) == text


@pytest.mark.parametrize("width", [40, 50, 80])
def test_help_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("COLUMNS", str(width))
    for command in ((), ("colorize",), ("models",), ("models", "show"), ("doctor",)):
        assert cli.run([*command, "--help"]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("    vidcolor ")]
        assert [line for line in lines if len(line) > width and "|" not in line] == []
