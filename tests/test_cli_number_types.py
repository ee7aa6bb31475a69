"""Numbers that cannot be meant are wrong usage, in every option of every command, before anything is done."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import click
import pytest
from media_fixtures import make_film

from vidcolor import cli
from vidcolor.cli.number_types import Number, OrAuto, Rate, Whole
from vidcolor.cli.preview import CommaSeparated
from vidcolor.cli.timecode import Timecode
from vidcolor.errors import UsageError, VidcolorError

NONE = ("nan", "-nan", "inf", "-Infinity", "1" * 400, "9" * 5000, "1e999", "²", "½", "-1e400", "", "0x10", "--5")
OURS = (Whole, Number, OrAuto, Rate, Timecode)


def commands() -> Iterator[tuple[list[str], click.Command]]:
    """Every command, by its words."""
    context = click.Context(cli.vidcolor)
    for name in cli.COMMANDS:
        command = cli.vidcolor.get_command(context, name)
        inner = command.commands if isinstance(command, click.Group) else {}
        yield from (([name, word], one) for word, one in inner.items()) if inner else [([name], command)]


def numeric() -> list[tuple[list[str], click.Option]]:
    """Every option that takes a number."""
    found = []
    for words, command in commands():
        for option in command.params:
            kind = option.type._one if isinstance(option.type, CommaSeparated) else option.type
            if isinstance(option, click.Option) and isinstance(kind, OURS):
                found.append((words, option))
    return found


def test_no_option_takes_numbers_by_another_type():
    assert len(numeric()) >= 30
    for words, command in commands():
        for option in command.params:
            kind = option.type._one if isinstance(option.type, CommaSeparated) else option.type
            plain = isinstance(kind, click.IntRange | click.FloatRange) or kind in (click.INT, click.FLOAT)
            assert not plain or isinstance(kind, OURS), (words, option.name)


def test_numbers_that_cannot_be_meant_are_wrong_usage_everywhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    film = make_film(tmp_path / "film.mkv")
    behind = {"compare": [film, film], "models": [film], "completion": ["bash"], "doctor": []}
    for words, option in numeric():
        for text in NONE:
            output = [] if words[0] in ("evaluate", "models", "studio") else ["-o", tmp_path / "out.mkv"]
            args = [*words, *behind.get(words[0], [film]), *output, f"{option.opts[0]}={text}"]
            assert cli.run([str(arg) for arg in args]) == 2, args
            (line,) = capfd.readouterr().err.splitlines()
            assert option.opts[0] in line
            assert len(line) < 300
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.parametrize(
    "args",
    [
        ("--device", "cuda:²"),
        ("--device", "cuda:" + "1" * 400),
        ("--device", "cpu:0"),
        ("--cluster", "host:²"),
        ("--cluster", "host:" + "1" * 5000),
        ("--start", "5", "--end", "2"),
        ("--start", "5", "--end", "5"),
        ("--end", "0"),
        ("--start", "0:05", "--end", "0:04.9", "--dry-run"),
    ],
    ids=lambda args: " ".join(args)[:30],
)
@pytest.mark.parametrize("what", ["film.mkv", "folder"])
def test_wrong_places_and_ranges_are_wrong_usage(args: tuple[str, ...], what: str, tmp_path: Path):
    if "--cluster" in args:
        pytest.importorskip("ray")
    make_film(tmp_path / "film.mkv")
    (tmp_path / "folder").mkdir()
    make_film(tmp_path / "folder" / "film.mkv")
    out = tmp_path / ("out.mkv" if what == "film.mkv" else "out")
    assert cli.run([str(tmp_path / what), "-o", str(out), *args]) == 2
    assert not out.exists()


@pytest.mark.parametrize(
    "args", [("--start", "5", "--end", "2"), ("--clip", "2", "--at", "5", "--end", "3"), ("--clip", "0")]
)
def test_empty_parts_are_no_preview(args: tuple[str, ...], tmp_path: Path):
    film = make_film(tmp_path / "film.mkv")
    assert cli.run(["preview", str(film), "-o", str(tmp_path / "out.mp4"), *args]) == 2


@pytest.mark.parametrize(
    "args",
    [
        *(("--set", f"lr={text}") for text in ("NaN", "Infinity", "-Infinity", "1e999", "1" * 400, "²")),
        ("--set", "batch=" + "1" * 400),
        ("--set", 'aging={"grain": NaN}'),
        ("--set", 'generator_config={"width": Infinity}'),
        ("--hold-back", "*:²"),
        ("--hold-back", "*:nan"),
        ("--hold-back", "*:" + "1" * 400),
        ("--hold-back", "*:-1"),
        ("--favor", "*:nan"),
        ("--favor", "*:inf"),
        ("--favor", "*:-1"),
        ("--favor", "*:" + "1" * 400),
    ],
    ids=lambda args: " ".join(args)[:30],
)
def test_recipes_take_no_numbers_that_cannot_be_meant(args: tuple[str, ...]):
    assert cli.run(["train", "--show-recipe", *args]) == 2


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Whole(0, 63), "18", 18),
        (Whole(0, 63), " 7 ", 7),
        (Whole(min=1), "999999999", 999_999_999),
        (Whole(0, 2**63 - 1), str(2**63 - 1), 2**63 - 1),
        (Number(0, 4), "1e-3", 0.001),
        (Number(0, 4), ".5", 0.5),
        (OrAuto("is none"), "AUTO", None),
        (OrAuto("is none"), "8", 8),
        (Rate(), "23.976", Fraction("23.976")),
        (Rate(), "24000/1001", Fraction(24000, 1001)),
        (Timecode(), "1:01:30.5", 3690.5),
        (Timecode(), "10s", 10.0),
    ],
)
def test_what_can_be_meant_is_read(kind: click.ParamType, text: str, value: object):
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Whole(min=1), "1000000000"), (Whole(0, 63), "64"), (Number(min=1), "1e10"), (OrAuto("is none"), "0"),
        (Rate(), "0"), (Rate(), "-24"), (Rate(), "1001"), (Rate(), "24/0"), (Rate(), "1e9999999"),
        (Timecode(), "-1"), (Timecode(), "99999999"), (Timecode(), "1:2:3:4"),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(kind: click.ParamType, text: str):
    with pytest.raises((click.UsageError, UsageError, VidcolorError)):
        kind.convert(text, None, None)
