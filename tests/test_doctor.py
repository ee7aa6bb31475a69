"""`vidcolor doctor`: what is there, what is broken, and a film coloured to prove it."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from media_fixtures import make_film

from vidcolor import cli, doctor, weights
from vidcolor.media import specimen
from vidcolor.media.encoders import _ENCODERS

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what takes seconds."""
    everything = doctor.topics

    def few(folder: Path | None = None) -> dict[str, doctor.Check]:
        return {name: everything(folder)[name] for name in ("versions", "models", "folders", "extras")}

    monkeypatch.setattr(doctor, "topics", few)


def test_a_sound_machine_is_told_so_in_the_last_line(capsys: pytest.CaptureFixture[str]):
    assert cli.run(["doctor", "--json"]) == 0
    *findings, verdict = [json.loads(line) for line in lines(capsys)]
    assert verdict["event"] == "verdict"
    assert verdict["well"] is True
    states = {(finding["topic"], finding["name"]): finding["state"] for finding in findings}
    assert [topic for topic in doctor.topics() if topic not in {found["topic"] for found in findings}] == []
    assert "bad" not in states.values()
    for name in ("frames", "timestamps", "luma", "sound", "colour", "speed"):
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

    good, bad = doctor.examine("here", broken)
    assert (good.state, bad.state) == ("good", "bad")
    assert "libav.so is gone" in bad.said


def test_a_film_that_lost_something_is_found_out(tmp_path: Path):
    lumas = [np.full((48, 64), 20 * number, np.uint8) for number in range(6)]
    specimen.make_film(tmp_path / "grey.mkv", lumas)
    specimen.make_film(tmp_path / "short.mkv", [*lumas[:2], lumas[4], lumas[3]])
    wrong = dict(specimen.differences(tmp_path / "grey.mkv", tmp_path / "short.mkv"))
    assert all(wrong[name] for name in ("frames", "luma", "sound", "colour"))
    other = make_film(tmp_path / "other.mkv", sound=({},))
    assert dict(specimen.differences(tmp_path / "grey.mkv", other))["timestamps"]
    same = dict(specimen.differences(tmp_path / "grey.mkv", tmp_path / "grey.mkv"))
    assert [name for name, said in same.items() if said] == ["colour"]


def test_extras_and_codecs_are_those_that_there_are():
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert sorted(doctor.EXTRAS) == sorted(extras.keys() - {"dev"})
    for extra, (modules, _) in doctor.EXTRAS.items():
        wanted = " ".join(extras[extra]).replace("-", "_")
        assert all(module in wanted for module in modules)
    assert tuple(_ENCODERS) == doctor.CODECS
