"""An error of the drive or network ends the work, which goes on when it is back; it is never taken for damage."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_fixtures import make_film, packets
from PIL import Image

from vidcolor import cli
from vidcolor.errors import ReadError, SourceError
from vidcolor.media import sink
from vidcolor.media.input_file import InputFile
from vidcolor.media.opening import open_container
from vidcolor.media.probe import probe
from vidcolor.media.seeking import frames_at, read_properties, sample_frames
from vidcolor.media.sequences import sequence_address
from vidcolor.media.source import FilmSource
from vidcolor.training.photos import Photos

FRAMES = 640  # with segments of 240, two are finished
MUXING = {"mkv": {}, "mp4": {"movflags": "faststart"}, "avi": {}, "ts": {}}
CASES = [
    ("mkv", errno.EIO),
    ("mkv", errno.ENOTCONN),
    ("mp4", errno.EIO),
    ("mp4", errno.ESTALE),
    ("avi", errno.ENOTCONN),
    ("avi", errno.EIO),
    ("ts", errno.ESTALE),
    ("ts", errno.EIO),
]
PRELOAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* Reading a file whose name has FAULT_FILE in it fails with FAULT_ERRNO as soon as a file FAULT_WHEN is there. */
ssize_t read(int fd, void *to, size_t size) {
  static ssize_t (*real)(int, void *, size_t);
  const char *name = getenv("FAULT_FILE"), *when = getenv("FAULT_WHEN");
  char link[64], found[4096];
  if (!real) real = dlsym(RTLD_NEXT, "read");
  if (name && when) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, found, sizeof found - 1);
    found[length > 0 ? length : 0] = 0;
    if (strstr(found, name) && access(when, F_OK) == 0) { errno = atoi(getenv("FAULT_ERRNO")); return -1; }
  }
  return real(fd, to, size);
}
"""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same moving noise in every container."""
    folder = tmp_path_factory.mktemp("films")
    return {
        suffix: make_film(
            folder / f"drive.{suffix}", pts=range(FRAMES), codec="libx264", sound=[{}], container_options=options,
            options={"g": "24", "bf": "0", "preset": "ultrafast"},
        )
        for suffix, options in MUXING.items()
    }  # fmt: skip


@pytest.fixture(scope="module")
def wholes(
    films: dict[str, Path], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[list[bytes], list[Any]]]:
    """Pictures and sound of an uninterrupted run."""
    folder, made = tmp_path_factory.mktemp("wholes"), {}

    def whole(suffix: str) -> tuple[list[bytes], list[Any]]:
        if suffix not in made:
            out = folder / f"{suffix}.mkv"
            assert run(films[suffix], "-o", out, "-q", model=tiny_model) == 0
            made[suffix] = pictures(out), packets(out, "audio")
        return made[suffix]

    return whole


def run(*arguments: object, model: Path) -> int:
    return cli.run([*map(str, arguments), "--model", str(model), "--preset", "ultrafast", "--steady", "off"])


def pictures(path: Path) -> list[bytes]:
    with FilmSource(path) as source:
        return [frame.native.to_ndarray().tobytes() for frame in source.frames()]


class Drive:
    """A drive that fails from when `is_gone` says so; that is asked before every read."""

    def __init__(self) -> None:
        self.is_gone: Callable[[], bool] = lambda: False
        self.code = errno.EIO
        self.is_meant = True  # whether what is opened now lies on it


class _Failing:
    def __init__(self, file: Any, drive: Drive) -> None:
        self._file, self._drive = file, drive

    def read(self, size: int) -> Any:
        if self._drive.is_gone():
            raise OSError(self._drive.code, os.strerror(self._drive.code))
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Drive:
    made, begin = Drive(), InputFile.__init__

    def begun(file: InputFile, path: Path) -> None:
        begin(file, path)
        if made.is_meant:
            file._file = _Failing(file._file, made)  # type: ignore[assignment]

    monkeypatch.setattr(InputFile, "__init__", begun)
    return made


def segment(out: Path) -> Path:
    """What is there as soon as the first segment is finished."""
    return out.with_name(f".vidcolor-{out.name}") / "000000.state.npz"


@pytest.mark.parametrize(("suffix", "code"), CASES)
def test_the_same_command_goes_on_when_the_drive_is_back(
    suffix: str, code: int, films: Any, wholes: Any, tmp_path: Path, tiny_model: Path, drive: Drive, capsys: Any
):
    out = tmp_path / "out.mkv"
    whole = wholes(suffix)
    drive.code, drive.is_gone = code, segment(out).exists
    assert run(films[suffix], "-o", out, "-q", model=tiny_model) == 1
    told = capsys.readouterr().err
    assert "reading failed at about 0:" in told
    assert os.strerror(code) in told
    assert "damage" not in told
    assert not out.exists()
    assert segment(out).exists()
    drive.is_gone = lambda: False
    assert run(films[suffix], "-o", out, "--json", model=tiny_model) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["done_before"] == 240
    assert not any(events[-1]["damage"].values())
    assert (pictures(out), packets(out, "audio")) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that lets the system's own `read` fail."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    folder = tmp_path_factory.mktemp("preload")
    (folder / "fault.c").write_text(PRELOAD)
    made = [compiler, "-shared", "-fPIC", "-o", "fault.so", "fault.c", "-ldl"]
    subprocess.run(made, cwd=folder, check=True)
    return folder / "fault.so"


@pytest.mark.parametrize(
    ("suffix", "code"),
    [("mkv", errno.EIO), ("mp4", errno.ENOTCONN), ("avi", errno.ESTALE), ("ts", errno.EIO)],
)
def test_the_systems_own_errors_end_the_work_and_keep_it(
    suffix: str, code: int, preload: Path, films: Any, wholes: Any, tmp_path: Path, tiny_model: Path
):
    out = tmp_path / "out.mkv"
    command = [
        sys.executable, "-m", "vidcolor", str(films[suffix]), "-o", str(out), "-q", "--model", str(tiny_model),
        "--preset", "ultrafast", "--steady", "off",
    ]  # fmt: skip
    fault = {"FAULT_FILE": films[suffix].name, "FAULT_WHEN": str(segment(out)), "FAULT_ERRNO": str(code)}
    environment = os.environ | fault | {"LD_PRELOAD": str(preload)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"({os.strerror(code)}): the drive or network" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
    assert segment(out).exists()
    assert run(films[suffix], "-o", out, "-q", model=tiny_model) == 0
    assert (pictures(out), packets(out, "audio")) == wholes(suffix)


def test_sound_that_cannot_be_read_is_no_silence(
    films: Any, tmp_path: Path, tiny_model: Path, drive: Drive, monkeypatch: Any, capsys: Any
):
    out = tmp_path / "out.mkv"

    def opened(path: Path) -> Any:
        drive.is_meant = True  # the handle that sound is read by, alone
        try:
            return open_container(path)
        finally:
            drive.is_meant = False

    monkeypatch.setattr(sink, "open_container", opened)
    drive.is_meant, drive.is_gone = False, segment(out).exists
    assert run(films["mkv"], "-o", out, "-q", model=tiny_model) == 1
    assert "reading failed" in capsys.readouterr().err
    assert not out.exists()
    assert segment(out).exists()


def test_a_file_that_becomes_shorter_is_no_damage(
    films: Any, tmp_path: Path, tiny_model: Path, drive: Drive, capsys: Any
):
    film, out = tmp_path / "film.mkv", tmp_path / "out.mkv"
    shutil.copy(films["mkv"], film)

    def shrink() -> bool:
        if segment(out).exists():
            os.truncate(film, 1000)
        return False

    drive.is_gone = shrink
    assert run(film, "-o", out, "-q", model=tiny_model) == 1
    assert "ends at byte" in capsys.readouterr().err
    assert not out.exists()
    assert segment(out).exists()


def test_an_error_that_passes_is_an_error(films: Any, drive: Drive):
    """MP4's reader would hand on half a packet, marked as corrupt, and go on."""
    reads = iter(range(1 << 30))
    with FilmSource(films["mp4"]) as source:
        drive.is_gone = lambda: next(reads) == 20
        with pytest.raises(ReadError):
            for _ in source.frames():
                pass


@pytest.mark.parametrize("suffix", MUXING)
@pytest.mark.parametrize("read", range(3))
def test_a_drive_that_fails_at_once_is_told(suffix: str, read: int, films: Any, drive: Drive):
    reads = iter(range(1 << 30))
    drive.is_gone = lambda: next(reads) >= read
    with pytest.raises(ReadError, match="reading failed"):
        probe(films[suffix])


def test_single_frames_are_not_passed_over(films: Any, drive: Drive):
    film = read_properties(films["mkv"])
    reads = []
    drive.is_gone = lambda: reads.append(1) or False  # type: ignore[func-returns-value]
    assert len(list(sample_frames(films["mkv"], film, 12, (64, 48)))) == 12
    left = iter(range(len(reads) * 2 // 3))
    drive.is_gone = lambda: next(left, None) is None
    with pytest.raises(ReadError):
        list(sample_frames(films["mkv"], film, 12, (64, 48)))
    drive.is_gone = lambda: True
    with pytest.raises(ReadError):
        list(frames_at(films["mkv"], [(0, 5)], film, (64, 48)))


@pytest.mark.parametrize("code", [errno.ENOTCONN, errno.EIO, errno.ESTALE])
def test_a_drive_that_is_gone_is_told_from_a_name_that_is_wrong(code: int, films: Any, monkeypatch: Any):
    def gone(path: Path, **_: Any) -> Any:
        raise OSError(code, os.strerror(code), str(path))

    with pytest.raises(SourceError, match="no such file"):
        probe(films["mkv"].with_name("other.mkv"))
    monkeypatch.setattr(Path, "stat", gone)
    monkeypatch.setattr(Path, "is_dir", lambda _: False)
    with pytest.raises(ReadError):
        probe(films["mkv"])


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """The address of pictures of 65 kB: FFmpeg reads 5 MB of them when it opens them."""
    folder = tmp_path / "Bücher"
    folder.mkdir()
    for number in range(120):
        noise = np.random.default_rng(number).integers(0, 255, (256, 256), np.uint8)
        Image.fromarray(noise).save(folder / f"frame_{number:03}.png")
    return sequence_address(folder, Fraction(24))


def test_a_picture_that_is_gone_is_no_end(scans: Path):
    with FilmSource(scans) as source:
        frames = source.frames()
        next(frames)
        (scans.parent / "frame_110.png").unlink()
        with pytest.raises(ReadError):
            list(frames)


def test_half_a_picture_is_no_damage(scans: Path, drive: Drive):
    reads: list[int] = []
    drive.is_gone = lambda: reads.append(1) or False  # type: ignore[func-returns-value]
    with FilmSource(scans) as source:
        assert sum(1 for _ in source.frames()) == 120
    left = iter(range(len(reads) - 4))  # behind the first block of one of the last pictures
    drive.is_gone = lambda: next(left, None) is None
    with pytest.raises(ReadError), FilmSource(scans) as source:
        list(source.frames())


@pytest.mark.parametrize("suffix", [*MUXING, "flv", "wmv", "nut", "mpg", "y4m"])
def test_a_film_that_was_cut_off_is_damaged_and_read_to_its_end(suffix: str, tmp_path: Path):
    codec = {"flv": "flv", "wmv": "wmv2", "mpg": "mpeg1video", "y4m": "wrapped_avframe"}.get(suffix, "mpeg4")
    container = {"wmv": "asf", "mkv": "matroska", "ts": "mpegts", "y4m": "yuv4mpegpipe"}.get(suffix, suffix)
    container = "mpeg" if suffix == "mpg" else container
    film = tmp_path / f"film.{suffix}"
    make_film(film, container=container, codec=codec, pts=range(100), container_options=MUXING.get(suffix))
    content = film.read_bytes()
    film.write_bytes(content[: len(content) * 6 // 10 + 7])
    with FilmSource(film) as source:
        count = sum(1 for _ in source.frames())
    assert 30 < count < 80
    # These say neither how long they are nor where a packet ends.
    assert source.damage or suffix in ("ts", "mpg", "nut", "y4m")


def events_of(capsys: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_folder_tries_the_film_again_and_counts_the_damaged(
    films: Any, wholes: Any, tmp_path: Path, tiny_model: Path, drive: Drive, capsys: Any
):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(films["mkv"], folder / "good.mkv")
    content = films["mkv"].read_bytes()
    (folder / "cut.mkv").write_bytes(content[: len(content) // 2])
    drive.is_gone = lambda: (out / "cut.mkv").exists() and any(out.glob(".vidcolor-*/000000.state.npz"))
    assert run(folder, "-o", out, "--json", "--recolor", model=tiny_model) == 1
    last = events_of(capsys)[-1]
    assert (last["counts"], last["damaged"]) == ({"colored": 1, "failed": 1}, 1)
    assert not (out / "good.mkv").exists()
    drive.is_gone = lambda: False
    assert run(folder, "-o", out, "--json", "--recolor", model=tiny_model) == 0
    last = events_of(capsys)[-1]
    assert (last["counts"], last["damaged"], last["done_before"]) == ({"colored": 1}, 0, 1)
    assert pictures(out / "good.mkv") == wholes("mkv")[0]
    report = json.loads((out / "report.json").read_text())
    assert report["damaged"] == 1
    assert {line["name"]: bool(line["damage"]) for line in report["files"]} == {"cut.mkv": True, "good.mkv": False}
    assert "<b>1</b> of the films damaged" in (out / "report.html").read_text()
    assert not [path for path in out.iterdir() if path.is_dir()]


def test_a_person_is_told_how_many_were_damaged(films: Any, tmp_path: Path, tiny_model: Path, capsys: Any):
    folder = tmp_path / "in"
    folder.mkdir()
    content = films["mkv"].read_bytes()
    (folder / "cut.mkv").write_bytes(content[: len(content) // 4])
    assert run(folder, "-o", tmp_path / "out", "--recolor", model=tiny_model) == 0
    assert "1 of the films damaged" in " ".join(capsys.readouterr().err.split())


def test_training_does_not_go_on_without_a_film_that_is_there_tomorrow(tmp_path: Path, drive: Drive):
    films = [make_film(tmp_path / name, codec="libx264", has_color=True) for name in ("a.mp4", "b.mkv")]
    kept = Photos(films[1:], crop=32, with_decord=False).report.film_frames
    assert kept
    drive.is_gone = lambda: True
    with pytest.raises(ReadError):
        Photos(films, crop=32, with_decord=False)
