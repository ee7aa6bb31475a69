"""A folder that is watched: each file is taken once, when nobody writes it any more."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidcolor.archives import FolderWatcher, open_source
from vidcolor.archives.journal import Journal
from vidcolor.archives.names import JOURNAL_NAME

FUTURE = 4_000_000_000  # seconds since 1970: in the year 2096


def look(watcher: FolderWatcher, folder: Path) -> list[str]:
    """One look, and the files that are taken by it."""
    with open_source([folder]) as source:
        is_due = watcher.scan(source)
    with open_source([folder]) as source:
        found = [entry.name for entry in watcher.take_ready(source) if entry.kind != "directory"]
    assert is_due or not found
    return found


def test_a_file_is_taken_once_it_is_alike_at_two_looks(tmp_path: Path):
    watcher, file = FolderWatcher(), tmp_path / "a.jpg"
    for size in range(3):
        file.write_bytes(b"x" * size)
        os.utime(file, (1, 1))  # as a copy that keeps times
        assert look(watcher, tmp_path) == []
    assert look(watcher, tmp_path) == ["a.jpg"]
    assert look(watcher, tmp_path) == []
    file.write_bytes(b"another")
    assert [look(watcher, tmp_path) for _ in range(3)] == [[], ["a.jpg"], []]


@pytest.mark.parametrize("seconds", [0, FUTURE])
def test_no_clock_is_asked(tmp_path: Path, seconds: int):
    (tmp_path / "a.jpg").write_bytes(b"x")
    os.utime(tmp_path / "a.jpg", (seconds, seconds))
    watcher = FolderWatcher()
    assert [look(watcher, tmp_path) for _ in range(3)] == [[], ["a.jpg"], []]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell who writes")
def test_a_file_that_is_open_to_write_waits(tmp_path: Path):
    watcher = FolderWatcher()
    with (tmp_path / "a.jpg").open("wb"):
        assert [look(watcher, tmp_path) for _ in range(3)] == [[], [], []]
    with (tmp_path / "a.jpg").open("rb"):
        assert look(watcher, tmp_path) == ["a.jpg"]


def wait_for(seen: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while not seen():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < until
        time.sleep(0.1)


def photo(path: Path, seed: int) -> None:
    path.parent.mkdir(exist_ok=True)
    gray = np.random.default_rng(seed).integers(0, 256, (4, 6), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(gray).save(path)


def test_a_watched_folder_is_told_of_once_a_file_and_counted_at_the_end(tmp_path: Path, tiny_model: Path):
    scans, out, log = tmp_path / "scans", tmp_path / "out", tmp_path / "log"
    photo(scans / "first.jpg", 1)
    os.utime(scans / "first.jpg", (FUTURE, FUTURE))
    (scans / "torn.jpg").write_bytes((scans / "first.jpg").read_bytes()[:200])
    command = [sys.executable, "-m", "vidcolor", scans, "-o", out, "--model", tiny_model, "--watch", "--log", log]
    watcher = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: (out / "report.html").exists(), watcher)
        report = (out / "report.json").stat().st_mtime_ns
        time.sleep(5)  # two looks at which there is nothing to do
        assert (out / "report.json").stat().st_mtime_ns == report
        with Journal(out / JOURNAL_NAME):  # as another run has it for a moment
            photo(scans / "second.jpg", 2)
            time.sleep(5)
        wait_for(lambda: (out / "second.jpg").exists(), watcher)
        wait_for(lambda: (out / "report.json").stat().st_mtime_ns != report, watcher)
        scans.rename(tmp_path / "gone")  # as a network disk
        time.sleep(5)
        (tmp_path / "gone").rename(scans)
        photo(scans / "third.jpg", 3)
        wait_for(lambda: (out / "third.jpg").exists(), watcher)
        time.sleep(3)
    finally:
        watcher.send_signal(signal.SIGINT)
        said = watcher.communicate(timeout=60)[1]
    assert watcher.returncode == 130
    logged = log.read_text()
    for line in (
        "colored: first.jpg",
        "colored: second.jpg",
        "colored: third.jpg",
        "failed: torn.jpg",
        "another run is writing there now",
        "no such file or folder",
    ):
        assert logged.count(line) == 1, line
    assert logged.count("3 colored, 1 failed") == 1
    assert said.count("torn.jpg") == 1
    assert "first.jpg: colored" in said
