"""`vidcolor doctor`: what is there, what is broken, and a film colored to prove it."""

import errno
import json
import os
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pytest
from media_fixtures import make_film

from vidcolor import cli, doctor
from vidcolor.inference import weights
from vidcolor.media import synthetic_film
from vidcolor.media.encoders import _ENCODERS

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what takes seconds."""
    everything = doctor.list_checks

    def few(folder: Path | None = None) -> dict[str, doctor.Check]:
        return {name: everything(folder)[name] for name in ("versions", "models", "folders")}

    monkeypatch.setattr(doctor, "list_checks", few)


def test_a_sound_machine_is_told_so_in_the_last_line(capsys: pytest.CaptureFixture[str]):
    assert cli.run(["doctor", "--json"]) == 0
    *findings, verdict = [json.loads(line) for line in lines(capsys)]
    assert verdict["event"] == "verdict"
    assert verdict["well"] is True
    states = {(finding["topic"], finding["name"]): finding["state"] for finding in findings}
    assert [topic for topic in doctor.list_checks() if topic not in {found["topic"] for found in findings}] == []
    assert "bad" not in states.values()
    for name in ("cache", "frames", "timestamps", "luma", "sound", "color", "speed"):
        assert states["self-test", name] == "good"
    assert all(("encoders", codec) in states for codec in _ENCODERS)


@pytest.mark.usefixtures("light")
def test_plain_lines_in_a_pipe_are_not_folded(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / ("long-" * 30)
    folder.mkdir()
    assert cli.run(["doctor", str(folder)]) == 0
    told = lines(capsys)
    assert [line for line in told if str(folder) in line]
    assert told[-1].startswith("All is well")


@pytest.mark.usefixtures("light")
def test_a_damaged_model_is_exit_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    default = weights.find("default")
    content = bytearray(default.read_bytes())
    content[-1] ^= 1
    (tmp_path / "default.safetensors").write_bytes(content)
    (tmp_path / "default.md").write_bytes(default.with_suffix(".md").read_bytes())
    monkeypatch.setattr(weights, "models_folder", lambda: tmp_path)
    assert cli.run(["doctor"]) == 1
    told = lines(capsys)
    assert [line for line in told if line.startswith("  FAIL  default")]
    assert told[-1] == "1 thing to mend: models (default)."


def findings(topic: str) -> dict[str, doctor.Finding]:
    return {found.name: found for found in doctor.run_check(topic, doctor.list_checks()[topic])}


def package(folder: Path, module: str, text: str | None) -> None:
    """One that is found before the real one. text: None for a folder that was left behind."""
    (folder / module).mkdir(parents=True)
    if text is not None:
        (folder / module / "__init__.py").write_text(text)


@pytest.mark.parametrize("left", [None, "raise ImportError('libGL.so.1 is missing')", "import nothing_like_this"])
def test_a_package_whose_files_are_gone_or_broken_is_not_called_ok(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str | None
):
    package(tmp_path, "cv2", left)
    known = tmp_path / "opencv_python_headless-4.12.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python-headless\nVersion: 4.12\n")
    monkeypatch.delitem(sys.modules, "cv2")
    monkeypatch.setattr(sys, "path", [str(tmp_path)] if left is None else [str(tmp_path), *sys.path])
    found = doctor._check_package("OpenCV", *doctor.REQUIRED_PACKAGES["OpenCV"])
    assert found.state == "bad"
    assert "installed but cannot be used" in found.said
    assert found.advice == "pip install --force-reinstall --no-deps opencv-python-headless"


def test_a_package_that_is_missing_is_told_from_a_broken_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(doctor.REQUIRED_PACKAGES, "OpenCV", ("no-such-distribution", "no_such_module"))
    found = findings("versions")["OpenCV"]
    assert (found.state, found.said, found.advice) == ("bad", "not installed", "pip install no-such-distribution")
    monkeypatch.setitem(doctor.REQUIRED_PACKAGES, "OpenCV", ("no-such-distribution", "cv2"))
    assert findings("versions")["OpenCV"].state == "good"  # of a twin


def test_twins_of_opencv_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "CONFLICTING_PACKAGES", ("pytest", "no-such-distribution"))
    found = findings("versions")["OpenCV twice"]
    assert found.state == "note"
    assert found.advice.startswith("pip uninstall pytest; pip install --force-reinstall")


def test_extras_are_tried_and_what_crashes_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package(tmp_path, "odd_sound", "print('hello')")
    package(tmp_path, "odd_crash", "import os; os.abort()")
    package(tmp_path, "odd_broken", "raise OSError('libomp.so is gone')")
    package(tmp_path, "odd_empty", None)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("crash", "sound", "broken", "empty", "missing")
    monkeypatch.setattr(doctor, "EXTRAS", {name: ((f"odd_{name}",), "tests") for name in names})
    found = findings("extras")
    assert {name: finding.state for name, finding in found.items()} == dict.fromkeys(names, "note") | {"sound": "good"}
    assert "ends the process" in found["crash"].said
    assert "OSError: libomp.so is gone" in found["broken"].said
    assert found["broken"].advice == "pip install --force-reinstall --no-deps odd-broken"
    assert found["missing"].advice == "pip install 'vidcolor[missing]'"


def test_the_cache_is_tried_and_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert findings("folders")["cache folder"].state == "good"
    assert list((tmp_path / "vidcolor").iterdir()) == []
    (tmp_path / "vidcolor").rmdir()
    (tmp_path / "vidcolor").touch()
    found = findings("folders")["cache folder"]
    assert found.state == "note"
    assert "nothing can be kept there" in found.said
    assert found.advice.startswith("Move what is in the way")


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "Make room"), (errno.EROFS, "It can only be read"), (errno.EACCES, "It is another user's")],
)
def test_advice_fits_the_fault(monkeypatch: pytest.MonkeyPatch, number: int, advice: str):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "here")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    monkeypatch.setattr(doctor.cache, "write", refuse)
    found = findings("folders")
    assert all(finding.advice.startswith(advice) for finding in found.values())
    assert "TMPDIR" in found["temporary"].advice
    assert found["temporary"].state == "bad"
    assert found["cache folder"].state == "note"


def test_no_temporary_folder_at_all_is_said(monkeypatch: pytest.MonkeyPatch):
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    assert "No usable temporary directory" in findings("folders")["temporary"].said


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ImportError("libtorch.so"), "under versions"), (OSError(28, "full"), "Make room"),
        (MemoryError(), "ulimit -v"),
        (RuntimeError("can't start new thread"), "ulimit -u"), (ZeroDivisionError(), "Please report"),
    ],
)  # fmt: skip
def test_a_check_that_fails_is_advised_by_its_fault(error: Exception, advice: str):
    def broken():
        raise error
        yield

    (found,) = doctor.run_check("here", broken)
    assert advice in found.advice


def test_a_damaged_cache_is_said_to_be_made_anew():
    assert doctor._check_cache_use("x: is damaged", "").said == "x: is damaged, and was made anew"
    assert doctor._check_cache_use("x: No such file", "").said == "the converted network is kept"
    assert doctor._check_cache_use("", "x: Permission denied").state == "note"


@pytest.mark.usefixtures("light")
def test_a_folder_that_cannot_be_written_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    assert cli.run(["doctor", str(in_the_way)]) == 1
    assert "to mend: folders (output)" in lines(capsys)[-1]


def test_what_breaks_is_a_finding():
    def broken():
        yield doctor.Finding("here", "one", "good", "there")
        raise ImportError("libav.so is gone")

    good, bad = doctor.run_check("here", broken)
    assert (good.state, bad.state) == ("good", "bad")
    assert "libav.so is gone" in bad.said


def test_a_film_that_lost_something_is_found_out(tmp_path: Path):
    lumas = [np.full((48, 64), 20 * number, np.uint8) for number in range(6)]
    synthetic_film.make_film(tmp_path / "gray.mkv", lumas)
    synthetic_film.make_film(tmp_path / "short.mkv", [*lumas[:2], lumas[4], lumas[3]])
    wrong = dict(synthetic_film.differences(tmp_path / "gray.mkv", tmp_path / "short.mkv"))
    assert all(wrong[name] for name in ("frames", "luma", "sound", "color"))
    other = make_film(tmp_path / "other.mkv", sound=({},))
    assert dict(synthetic_film.differences(tmp_path / "gray.mkv", other))["timestamps"]
    same = dict(synthetic_film.differences(tmp_path / "gray.mkv", tmp_path / "gray.mkv"))
    assert [name for name, said in same.items() if said] == ["color"]


def test_extras_and_codecs_are_those_that_there_are():
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert sorted(doctor.EXTRAS) == sorted(extras.keys() - {"dev"})
    for extra, (modules, _) in doctor.EXTRAS.items():
        wanted = " ".join(extras[extra]).replace("-", "_")
        assert all(module in wanted for module in modules)
