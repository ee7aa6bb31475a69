"""`--log`: what a job did is in a file, whatever the terminal shows, and the file never stops the job."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli
from vidcolor.cli import log
from vidcolor.films import job
from vidcolor.media import synthetic_film

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d (INFO|WARNING|ERROR) +\S")


def run(*args: str | Path) -> int:
    return cli.run([str(arg) for arg in args])


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_film(tmp_path / "film.mkv")


def test_a_film_is_logged_whatever_is_shown(
    film: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "night.log"
    assert run(film, "-o", tmp_path / "a.mkv", "--model", tiny_model, "--quiet", "--log", file) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
    first = file.read_text().splitlines()
    assert all(LINE.match(line) for line in first)
    assert "begun: vidcolor" in first[0]
    assert "--quiet" in first[0]
    assert re.search(r"vidcolor \S+, Python \S+, av \S+, openvino \S+, torch ", first[1])
    assert "12 frames" in first[-3]
    assert "films: 1 done" in first[-2]
    assert "ended: exit code 0 after 0:" in first[-1]
    assert run(film, "-o", tmp_path / "b.mkv", "--model", tiny_model, "--json", "--log", file) == 0
    assert all(json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert file.read_text().splitlines()[: len(first)] == first  # added to, not replaced
    assert file.read_text().count("begun:") == 2


def test_failures_and_wrong_usage_are_logged(film: Path, tiny_model: Path, tmp_path: Path):
    bad, file = tmp_path / "bad.mkv", tmp_path / "night.log"
    bad.write_bytes(b"no film")
    assert run(bad, film, "-o", tmp_path / "out", "--model", tiny_model, "-q", "--log", file) == 1
    told = file.read_text()
    assert re.search(r"ERROR +\S*bad\.mkv", told)
    assert "films: 1 failed, 1 done" in told
    assert "ended: exit code 1" in told
    assert run(film, "--log", file) == 2
    assert "-o is missing" in file.read_text()
    assert "ended: exit code 2" in file.read_text()


def test_every_file_of_a_folder_is_logged(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log, "PROGRESS_SECONDS", 0.0)
    scans, file = tmp_path / "scans", tmp_path / "night.log"
    scans.mkdir()
    Image.new("L", (64, 64), 90).save(scans / "good.png")
    (scans / "bad.png").write_bytes(b"torn")
    (scans / "letter.txt").write_text("dear")
    synthetic_film.make_film(scans / "film.mkv", [np.full((48, 64), 40 + number, np.uint8) for number in range(12)])
    assert run(scans, "-o", tmp_path / "out", "--model", tiny_model, "-q", "--log", file) == 1
    told = file.read_text()
    assert re.search("INFO +colored: good.png", told)
    assert re.search("ERROR +failed: .*bad.png", told)
    assert re.search("letter.txt", told)
    assert re.search(r"film.mkv: frame 6 of 1\d", told)
    assert re.search("2 colored.*report: .*report.html", told)


def test_an_unexpected_error_leaves_its_traceback_in_the_log_alone(
    film: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("what a surprise")

    monkeypatch.delenv("VIDCOLOR_DEBUG", raising=False)
    monkeypatch.setattr(job, "colorize_film_file", broken)
    file = tmp_path / "night.log"
    assert run(film, "-o", tmp_path / "a.mkv", "--model", tiny_model, "-q", "--log", file) == 1
    assert len(capfd.readouterr().err.splitlines()) == 1
    told = file.read_text()
    assert "Traceback" in told
    assert "in broken" in told
    assert "what a surprise" in told


def test_progress_is_logged_every_few_minutes(
    film: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log, "PROGRESS_SECONDS", 0.0)
    file = tmp_path / "night.log"
    assert run(film, "-o", tmp_path / "a.mkv", "--model", tiny_model, "-q", "--log", file) == 0
    assert re.search(r"film.mkv: frame 6 of 12, \d+\.\d frames a second, 0:0\d left", file.read_text())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_once_and_the_film_is_made(
    film: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    assert run(film, "-o", tmp_path / "a.mkv", "--model", tiny_model, "-q", "--log", "/dev/full") == 0
    (told,) = capfd.readouterr().err.splitlines()
    assert "the log cannot be written" in told
    assert (tmp_path / "a.mkv").exists()


def test_a_log_that_cannot_be_opened_or_is_a_film_is_refused_before_any_work(
    film: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    before = film.read_bytes()
    assert run(film, "-o", tmp_path / "a.mkv", "--model", tiny_model, "--log", film) == 2
    assert film.read_bytes() == before
    assert run(film, "-o", tmp_path / "a.mkv", "--model", tiny_model, "--log", tmp_path / "no" / "night.log") == 1
    assert len(capfd.readouterr().err.splitlines()) == 2
    assert not (tmp_path / "a.mkv").exists()


def test_training_is_logged(photos: Path, tmp_path: Path):
    file = tmp_path / "night.log"
    small = ["--batch-size", "2", "--threads", "1", "--steps", "2", "--run-folder", tmp_path / "run"]
    assert run("train", photos, "-o", tmp_path / "m.safetensors", "-q", "--log", file, *small) == 0
    told = file.read_text()
    assert "photos" in told.splitlines()[2]
    assert "epoch" in told
    assert "m.safetensors" in told.splitlines()[-2]
    assert "ended: exit code 0" in told.splitlines()[-1]
