"""Standard streams that are closed, full or left by their reader: jobs go on, and what only shows ends in a line."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from media_fixtures import lumas, make_film

from vidcolor.archives.names import JOURNAL_NAME
from vidcolor.cli.streams import LastingStream
from vidcolor.cli.text import LostError

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")


def shell(line: str, *args: str | Path) -> subprocess.CompletedProcess[bytes]:
    """`line` in bash, where `v` is vidcolor and `$@` are the arguments."""
    script = f'set -o pipefail; v() {{ "$PYTHON" -m vidcolor "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", script, "bash", *args], capture_output=True, check=False, timeout=200,
        env={**os.environ, "PYTHON": sys.executable},
    )  # fmt: skip


@pytest.fixture
def film(tmp_path: Path) -> Path:
    film = make_film(tmp_path / "film.mkv", metadata={"title": "Caf#"})
    film.write_bytes(film.read_bytes().replace(b"Caf#", b"Caf\xe9"))  # as tools of the time wrote it
    return film


@pytest.mark.parametrize(
    "line",
    [
        'v "$@" --json >/dev/full 2>/dev/full',
        'v "$@" >&- 2>&- <&-',
        'v "$@" 2>&1 | true',
        'v "$@" --json | head -n 1',
    ],
)
def test_a_film_is_colored_whoever_listens(line: str, film: Path, tiny_model: Path, tmp_path: Path):
    two = make_film(tmp_path / "two.mkv")
    done = shell(line, film, two, "-o", tmp_path / "out", "--model", tiny_model)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert [len(lumas(tmp_path / "out" / path.name)) for path in (film, two)] == [12, 12]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"film.mkv", "two.mkv", JOURNAL_NAME}


def test_failures_keep_their_exit_code_whoever_listens(film: Path, tiny_model: Path, tmp_path: Path):
    bad = tmp_path / "bad.mkv"
    bad.write_bytes(b"no film")
    done = shell('v "$@" 2>/dev/full', bad, film, "-o", tmp_path / "out", "--model", tiny_model)
    assert done.returncode == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"film.mkv", JOURNAL_NAME}
    assert shell('v "$@" 2>&-', film, "--no-such").returncode == 2


def test_what_was_asked_for_and_cannot_be_written_is_a_failure(film: Path):
    done = shell('v info "$@" >/dev/full', film)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("vidcolor: stdout: cannot be written (No space left on device).")


def test_a_reader_that_has_enough_ends_it_quietly(film: Path):
    done = shell('v info "$@" | true', *[film] * 3)
    assert (done.returncode, done.stderr) == (1, b"")
    done = shell('v info "$@" | head -n 1', film)
    assert done.stdout.decode() == f"{film}\n"
    assert done.stderr == b""


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "utf-16-le", "utf-8"])
def test_names_that_an_encoding_cannot_say_are_escaped(encoding: str, film: Path, tmp_path: Path):
    names = ["写真.mkv", "é…ü.mkv", os.fsdecode(b"caf\xe9.mkv")]
    for name in names:
        (tmp_path / name).write_bytes(film.read_bytes())
    line = f'export PYTHONIOENCODING={encoding}; v info "$@"; v info "$@" --json'
    done = shell(line, *[tmp_path / name for name in names])
    assert (done.returncode, done.stderr) == (0, b"")
    told = done.stdout.decode(encoding)
    *_, first, second, third = told.splitlines()
    assert json.loads(first)["metadata"]["title"] == "Caf\ufffd"
    assert ("title: Caf\ufffd" if encoding.startswith("utf") else r"title: Caf\ufffd") in told
    assert [Path(json.loads(line)["path"]).name for line in (first, second, third)] == names
    assert r"caf\udce9.mkv" in told
    assert ("写真" in told) == encoding.startswith("utf")


def test_a_stream_takes_again_what_it_can(tmp_path: Path):
    """A disk that is full has room again later; nothing is written twice, and nothing is an error."""
    path = tmp_path / "said"
    with path.open("wb", buffering=0) as file, Path("/dev/full").open("wb", buffering=0) as full:
        stream, kept = LastingStream(file, "utf-8", line_buffering=False), os.dup(file.fileno())
        stream.write("one\n")
        stream.flush()
        os.dup2(full.fileno(), file.fileno())
        stream.write("two\n")
        stream.flush()
        stream.write("three\n" * 10_000)
        assert stream.failure.errno == errno.ENOSPC
        os.dup2(kept, file.fileno())
        os.close(kept)
        stream.write("four\n")
        stream.flush()
        stream.detach().detach()
    assert path.read_text() == "one\nfour\n"


def test_a_stream_that_does_not_wait_is_waited_for():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    said = [f"line {number}\n" for number in range(20_000)]
    with os.fdopen(reading, "rb") as read, os.fdopen(writing, "wb", buffering=0) as file:
        stream, got = LastingStream(file, "utf-8", line_buffering=True), []
        reader = threading.Thread(target=lambda: got.append(read.read()))
        reader.start()
        for line in said:
            stream.write(line)
        stream.flush()
        stream.detach().detach()
        file.close()
        reader.join()
    assert got[0].decode() == "".join(said)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EINVAL])
def test_a_reader_that_left_is_no_news(number: int) -> None:
    """EINVAL is what Windows says of it."""
    assert LostError(OSError(number, os.strerror(number))).is_left
