"""A command of the user's colors the first frame of every shot: what it makes is followed, and not asked for twice."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data
from PIL import Image

import vidcolor
from vidcolor import cli
from vidcolor.errors import UsageError
from vidcolor.films.stills_by import parse_command, split_words, stills_folder

COLOR = """
import sys, time
import numpy as np
from PIL import Image
given, out, log, said = sys.argv[1:5]
rgb = np.asarray(Image.open(given).convert("RGB")).astype(float)
with open(log, "a") as file:
    file.write(said + chr(10))
if said.split()[0] in sys.argv[5:]:
    sys.exit("no idea what this shows")
red = np.clip(rgb * (1.25, 0.8, 0.8), 0, 255).astype(np.uint8)
Image.fromarray(red).crop((6, 4, red.shape[1] - 2, red.shape[0] - 4)).save(out)
"""


def gray_of(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).convert("L"))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Two shots of 10 frames, in gray."""
    shots = [gray_of(skimage.data.astronaut())[40:232], gray_of(skimage.data.coffee())[60:252]]
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 256, 192, "gray"
        for shot in shots:
            for at in range(10):
                frame = np.ascontiguousarray(shot[:, 3 * at : 3 * at + 256])
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        out.mux(stream.encode())
    return path


@pytest.fixture
def command(tmp_path: Path):
    """A command that makes pictures red, and cropped by a little."""
    script = tmp_path / "color.py"
    script.write_text(COLOR, encoding="utf-8")

    def make(*failing: int) -> str:
        log = tmp_path / "asked.txt"
        words = [sys.executable, script, "{in}", "{out}", log, "{shot} {frame} {time}", *failing]
        return shlex.join(map(str, words))

    return make


def redness(path: Path) -> list[float]:
    with av.open(str(path)) as found:
        rgb = [frame.to_ndarray(format="rgb24").astype(float) for frame in found.decode(video=0)]
    return [float((each[..., 0] - each[..., 1]).mean()) for each in rgb]


def asked(folder: Path) -> list[str]:
    return sorted((folder / "asked.txt").read_text(encoding="utf-8").splitlines())


def test_every_shot_follows_what_the_command_made(film: Path, command, tmp_path: Path) -> None:
    out, plain = tmp_path / "out.mkv", tmp_path / "plain.mkv"
    result = vidcolor.colorize_film(film, out, stills_by=command())
    vidcolor.colorize_film(film, plain)
    assert asked(tmp_path) == ["1 0 0.000", "2 10 0.417"]
    assert [still.frames for still in result.stills] == [10, 10]
    assert not result.warnings
    assert min(redness(out)) > 15
    assert np.ptp(redness(out)[:10]) < 12
    assert not stills_folder(out).exists()


def test_an_interrupted_run_does_not_ask_again(film: Path, command, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"

    class PowerCutError(Exception):
        pass

    def cut(done: int, _: int | None) -> None:
        if done == 5:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        vidcolor.colorize_film(film, out, stills_by=command(), on_progress=cut)
    assert stills_folder(out).is_dir()
    vidcolor.colorize_film(film, out, stills_by=command())
    assert len(asked(tmp_path)) == 2
    assert min(redness(out)) > 15


def test_a_failure_is_named_and_the_film_goes_on(
    film: Path, command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mkv"
    assert cli.run([str(film), "-o", str(out), "--stills-by", command(2)]) == 0
    said = capsys.readouterr().err
    assert "the command for shot 2, frame 10, ended with 1: no idea what this shows" in said
    assert "stills: 2 of 2" in said
    assert min(redness(out)[:10]) > 15


def test_programs_are_told_of_each_still(
    film: Path, command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "--stills-by", command(), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"event": "stills", "done": 2, "total": 2} in events


def test_a_command_that_always_fails_ends_in_one_line(
    film: Path, command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mkv"
    assert cli.run([str(film), "-o", str(out), "--stills-by", command(1, 2)]) == 1
    assert "--stills-by made no still: the command for shot 1, frame 0, ended with 1" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("command_line", "said"),
    [
        ("cp {in}", "has no {out}"), ("cp {out}", "has no {in}"), ("cp '{in} {out}", "cannot be split"),
        ("no-such-program {in} {out}", "there is no program 'no-such-program'"),
    ],
)  # fmt: skip
def test_a_bad_command_is_told_before_the_work(command_line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_command(command_line)


def test_what_is_no_picture_is_no_still(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "text.py"
    script.write_text("import sys; open(sys.argv[2], 'w').write(sys.argv[1])", encoding="utf-8")
    command_line = shlex.join([sys.executable, str(script), "{in}", "{out}"])
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "--stills-by", command_line]) == 1
    assert "wrote what is no picture that can be read" in capsys.readouterr().err


def interrupt(film: Path, out: Path, command_line: str) -> None:
    class PowerCutError(Exception):
        pass

    def cut(*_: object) -> None:
        raise PowerCutError

    with pytest.raises(PowerCutError):
        vidcolor.colorize_film(film, out, stills_by=command_line, on_progress=cut)
    assert stills_folder(out).is_dir()


def test_stills_of_another_film_or_command_are_not_taken(film: Path, command, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    interrupt(film, out, command())
    assert len(asked(tmp_path)) == 2
    interrupt(film, out, command(9))  # which fails for a shot that there is not
    assert len(asked(tmp_path)) == 4
    (stills_folder(out) / "shots.txt").write_text("x", encoding="ascii")
    interrupt(film, out, command())
    assert len(asked(tmp_path)) == 6


def test_a_command_that_always_failed_is_asked_again(film: Path, command, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    for _ in range(2):
        assert cli.run([str(film), "-o", str(out), "--stills-by", command(1, 2)]) == 1
        assert not stills_folder(out).exists()
    assert len(asked(tmp_path)) == 4


def test_a_shot_whose_still_is_gray_or_a_folder_keeps_the_model_s_colors(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "some.py"
    script.write_text(
        "import os, sys, shutil\n"
        "if sys.argv[3] == '2':\n"
        "    os.mkdir(sys.argv[2]) if len(sys.argv) > 4 else shutil.copy(sys.argv[1], sys.argv[2])\n"
        "else:\n"
        "    from PIL import Image\n"
        "    Image.open(sys.argv[1]).convert('L').convert('RGB').point(lambda v: v).save(sys.argv[2])\n"
        "    import numpy as np\n"
        "    rgb = np.asarray(Image.open(sys.argv[2])) * (1, 0.7, 0.7)\n"
        "    Image.fromarray(rgb.astype('uint8')).save(sys.argv[2])\n",
        encoding="utf-8",
    )
    for extra, said in ((" x", "wrote no picture to {out}"), ("", "wrote a picture without colors")):
        out = tmp_path / f"out{len(extra)}.mkv"
        line = shlex.join([sys.executable, str(script), "{in}", "{out}", "{shot}"]) + extra
        assert cli.run([str(film), "-o", str(out), "--stills-by", line]) == 0
        assert f"the command for shot 2, frame 10, {said}" in capsys.readouterr().err
        assert min(redness(out)[:10]) > 10


def test_braces_in_paths_are_no_placeholders(film: Path, command, tmp_path: Path) -> None:
    folder = tmp_path / "a {shot} {out} b"
    folder.mkdir()
    vidcolor.colorize_film(film, folder / "out.mkv", stills_by=command())
    assert min(redness(folder / "out.mkv")) > 15


def test_a_still_that_is_transparent_all_over_is_refused(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = tmp_path / "frame_000000.png"
    Image.new("RGBA", (256, 192), (200, 30, 30, 0)).save(still)
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "--reference", str(still)]) == 1
    assert "is transparent all over, and says no color" in capsys.readouterr().err


def test_a_command_of_windows_keeps_its_backslashes() -> None:
    said = r'"C:\Program Files\Bob' "'" r's paint\paint.exe" --in="{in}" {out}'
    words = [r"C:\Program Files\Bob's paint\paint.exe", "--in={in}", "{out}"]
    assert split_words(said, windows=True) == words
    assert split_words(r"a\ b '{in}' \"", windows=False) == shlex.split(r"a\ b '{in}' \"")


def test_the_program_is_run_by_its_path() -> None:
    """Windows starts no .bat or .cmd by its name alone."""
    assert parse_command("sort {in} {out}") == [shutil.which("sort"), "{in}", "{out}"]
