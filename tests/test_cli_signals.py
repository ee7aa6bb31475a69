"""Ctrl-C, TERM and a terminal that closes: real processes, told so at any moment, once, twice and three times."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from media_fixtures import lumas, make_film

from vidcolor.archives import Entry
from vidcolor.batch.worker import EntryResult, Worker, WorkerOptions
from vidcolor.batch.workers import LocalWorkers
from vidcolor.inference.colorizer import Colorizer
from vidcolor.stills.page import StillSettings

if os.name == "nt":
    pytest.skip("Windows has no such signals and terminals", allow_module_level=True)

# A command whose work takes long to close, as encoders of long films do.
SLOW = """
import sys, time
from vidcolor import cli
from vidcolor.films import job

def colorize_film_file(*_, **__):
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        print("closing", flush=True)
        for _ in range(30):
            time.sleep(0.1)
        print("closed", flush=True)

job.colorize_film_file = colorize_film_file
sys.argv = ["vidcolor", *sys.argv[1:]]
cli.main()
"""


def begun(*args: str | Path, ignoring: int | None = None) -> subprocess.Popen[str]:
    """SLOW at work."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=None if ignoring is None else lambda: signal.signal(ignoring, signal.SIG_IGN),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    return process


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_film(tmp_path / "film.mkv")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_time_changes_nothing_and_says_so(number: int, code: int, film: Path, tmp_path: Path):
    process = begun(film, "-o", tmp_path / "out.mkv", "-q", "--log", tmp_path / "night.log")
    process.send_signal(number)
    time.sleep(0.5)
    process.send_signal(number)
    out, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert out.split() == ["closing", "closed"]
    assert told.splitlines()[0] == "vidcolor: closing; once more ends at once."
    assert "Traceback" not in told
    assert f"ended: exit code {code}" in (tmp_path / "night.log").read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_third_time_ends_at_once(number: int, code: int, film: Path, tmp_path: Path):
    process = begun(film, "-o", tmp_path / "out.mkv", "-q", "--log", tmp_path / "night.log")
    for _ in range(3):
        process.send_signal(number)
        time.sleep(0.5)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert out.split() == ["closing"]
    assert f"ended: exit code {code}" in (tmp_path / "night.log").read_text()
    assert not (tmp_path / "out.mkv").exists()


def test_signals_that_come_together_are_one(film: Path, tmp_path: Path):
    process = begun(film, "-o", tmp_path / "out.mkv", "-q")
    for _ in range(5):  # a terminal and two wrappers pass on one Ctrl-C
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.split() == ["closing", "closed"]
    assert "once more" not in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_was_ignored_stays_ignored(number: int, film: Path, tmp_path: Path):
    process = begun(film, "-o", tmp_path / "out.mkv", "-q", "--log", tmp_path / "night.log", ignoring=number)
    process.send_signal(number)
    time.sleep(0.5)
    assert process.poll() is None
    assert "SIGHUP" not in (tmp_path / "night.log").read_text()
    process.terminate()
    assert process.communicate(timeout=60)[0].split() == ["closing", "closed"]
    assert process.returncode == 143


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.6])
def test_two_at_any_moment_end_a_film_cleanly(delay: float, tiny_model: Path, tmp_path: Path):
    film = make_film(tmp_path / "film.mkv", size=(320, 240), pts=tuple(range(600)), codec="mpeg4")
    command = [sys.executable, "-m", "vidcolor", film, "-o", tmp_path / "out.mkv", "--model", tiny_model, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        while '"progress"' not in running.stdout.readline():
            assert running.poll() is None, running.stderr.read()
        time.sleep(delay)
        running.send_signal(signal.SIGINT)
        time.sleep(0.26)
        running.send_signal(signal.SIGINT)
        told = running.stderr.read()
        assert running.wait(timeout=60) == 130
    assert "Traceback" not in told
    assert "unexpected" not in told
    assert not (tmp_path / "out.mkv").exists()


def test_a_closed_terminal_ends_no_film(tiny_model: Path, tmp_path: Path):
    films = [make_film(tmp_path / f"{name}.mkv", pts=tuple(range(count))) for name, count in (("a", 900), ("b", 12))]
    command = [sys.executable, "-m", "vidcolor", *films, "-o", tmp_path / "out", "--model", tiny_model]
    command += ["--log", tmp_path / "night.log"]
    process, terminal = _on_a_terminal(command)
    seen = b""
    while b"/900" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)  # the system sends SIGHUP, and whatever is written from now on is an error
    assert process.wait(timeout=120) == 0
    logged = (tmp_path / "night.log").read_text()
    assert "the terminal was closed (SIGHUP); going on without it" in logged
    assert "films: 2 done" in logged
    assert [len(lumas(tmp_path / "out" / name)) for name in ("a.mkv", "b.mkv")] == [900, 12]


def test_a_closed_terminal_ends_what_only_shows():
    process, terminal = _on_a_terminal([sys.executable, "-m", "vidcolor", "doctor"])
    seen = b""
    while b"versions" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    assert process.wait(timeout=60) == 129


def _on_a_terminal(command: list[str | Path]) -> tuple[subprocess.Popen[bytes], int]:
    """A process whose terminal this is, and the other side of it."""
    import fcntl
    import termios

    def begin() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever runs the tests may ignore it

    terminal, inner = os.openpty()
    process = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, start_new_session=True, env={**os.environ, "TERM": "xterm"},
        preexec_fn=begin,
    )  # fmt: skip
    os.close(inner)
    return process, terminal


def test_a_run_that_is_ended_waits_for_no_photo_that_was_not_begun(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[Entry] = []

    def color_photo(_: Worker, entry: Entry, __: object) -> EntryResult:
        seen.append(entry)
        time.sleep(0.2)
        return EntryResult("copied")

    monkeypatch.setattr(Worker, "color_photo", color_photo)
    entry = Entry("a.png", b"a.png", "photo", 1, 0)
    with LocalWorkers(Colorizer.load(tiny_model), WorkerOptions(StillSettings(software="test"))) as workers:
        futures = [workers.color_photo(entry, b"") for _ in range(200)]  # and now Ctrl-C
    assert len(seen) < 100
    assert all(future.done() for future in futures)
