"""Shells complete commands, options, values and files; what was misspelt is told with what was probably meant."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from media_fixtures import make_film

from vidcolor import cli
from vidcolor.errors import closest_name


def completed(*words: str) -> list[str]:
    """What bash is offered for the last word."""
    asked = os.environ | {
        "_VIDCOLOR_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("vidcolor", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from vidcolor.cli import main; main()"], env=asked, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("",), ["file,", "plain,colorize", "plain,doctor", "plain,train"]),
        (("e",), ["file,e", "plain,evaluate", "plain,export"]),
        (("--pre",), ["plain,--precision", "plain,--preset"]),
        (("film.mp4", "-o", "o"), ["file,o"]),
        (("film.mp4", "--codec", "h"), ["plain,h264", "plain,hevc"]),
        (("film.mp4", "--preset", "very"), ["plain,veryfast", "plain,veryslow"]),
        (("film.mp4", "--model", "d"), ["file,d", "plain,default"]),
        (("film.mp4", "--device", ""), ["plain,auto", "plain,cpu"]),
        (("preview", "film.mp4", "--models", "x.safetensors,d"), ["plain,x.safetensors,default"]),
        (("models", ""), ["plain,list", "plain,show", "plain,verify"]),
        (("models", "show", "d"), ["plain,default"]),
        (("train", "--recipe", "p"), ["plain,pix2pix"]),
        (("completion", ""), ["plain,bash", "plain,zsh", "plain,fish"]),
    ],
    ids=" ".join,
)
def test_words_are_completed(words: tuple[str, ...], offered: list[str]):
    found = completed(*words)
    assert [line for line in offered if line not in found] == [], found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_it_reads(shell: str, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_VIDCOLOR_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=60)


def test_the_nearest_name_is_found():
    assert closest_name("Defualt", ["default", "faded"]) == "default"
    assert closest_name("xyz", ["default", "faded"]) is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("flim.mp4", "-o", "out.mp4"), 1, "flim.mp4: no such file or folder; did you mean film.mp4?"),
        (("film.mkv", "-o", "out.mp4"), 1, "did you mean film.mp4?"),
        (("reals/one.mkv", "-o", "out.mp4"), 1, "did you mean reels/one.mkv?"),
        (("info", "reels/won.mkv"), 1, "did you mean reels/one.mkv?"),
        (("qqqq.mp4", "-o", "out.mp4"), 1, "Check the spelling and the folder."),
        (("film.mp4", "-o", "out.mp4", "--model", "defualt"), 1, "did you mean default?"),
        (("film.mp4", "-o", "out.mp4", "--ouput", "x"), 2, "Did you mean '--output'? Try `vidcolor colorize --help`."),
        (("evalaute", "reels"), 2, "Did you mean 'evaluate'?"),
        (("train", "--recipe", "pix2px", "--show-recipe"), 2, "did you mean pix2pix?"),
        (("models", "lits"), 2, "Did you mean 'list'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_was_misspelt_is_told_in_one_line_with_the_nearest(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):  # fmt: skip
    (tmp_path / "reels").mkdir()
    make_film(tmp_path / "film.mp4", codec="libx264")
    make_film(tmp_path / "reels" / "one.mkv")
    monkeypatch.chdir(tmp_path)
    assert cli.run(list(words)) == code
    told = capfd.readouterr()
    assert not told.out
    assert said in told.err
    assert len(told.err.splitlines()) == 1
