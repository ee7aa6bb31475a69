"""Disks that are full, small, foreign or another user's: the true cause is told, and nothing is left half-written."""

import ctypes
import errno
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from archive_fixtures import RUN
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli, outputs
from vidcolor.archives import open_source, open_target
from vidcolor.errors import ReadError, SinkError
from vidcolor.films.job import FilmOptions, colorize_film_file
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.output_file import OutputFile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and users of POSIX")


def fill(folder: Path) -> Path:
    """A film and photos."""
    chance = np.random.default_rng(1)
    (folder / "scans").mkdir()
    for name in ("a.png", "b.tif", "c.jpg"):
        Image.fromarray(chance.integers(0, 256, (240, 320), dtype=np.uint8)).save(folder / "scans" / name)
    make_film(folder / "film.mkv", size=(320, 240), pts=range(40))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path)


# Commands, each in its folder, in one process; for each its exit code and what it says.
SEVERAL = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from vidcolor import cli
found = []
for folder, words in json.loads(sys.argv[1]):
    os.chdir(folder)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        code = cli.run(words)
    found.append((code, said.getvalue()))
json.dump(found, sys.stdout)
"""


def run_without_privileges(commands: list[tuple[Path, list[str]]], model: Path) -> list[tuple[int, str]]:
    """Commands in folders, in a process where permissions hold for root, too: exit codes, and what they say."""
    libc = ctypes.CDLL(None)

    def begin() -> None:
        if sys.platform == "linux":
            for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
                libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP

    def with_model(words: list[str]) -> list[str]:
        is_coloring = "-o" in words and words[0] not in ("compare", "train", "preview")
        return [*words, *(["--model", str(model)] if is_coloring else [])]

    argument = json.dumps([(str(folder), with_model(words)) for folder, words in commands])
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, argument], preexec_fn=begin, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [(code, said) for code, said in json.loads(done.stdout)]


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("source", "output", "options"),
    [("film.mkv", "o.mp4", ["--crf", "1"]), ("film.mkv", "o.mkv", ["--codec", "ffv1"]), ("scans/a.png", "o.png", []),
     ("scans/b.tif", "o.tif", []), ("scans", "out", []), ("scans", "o.zip", [])],
)  # fmt: skip
def test_a_limit_on_files_is_told_as_what_it_is(
    folder: Path, source: str, output: str, options: list[str], tiny_model: Path, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    model = ["-q", "--model", str(tiny_model)]
    assert cli.run(["scans/a.png", "-o", "first.png", *model]) == 0  # the network is converted without a limit
    before = {path.name for path in folder.iterdir()}
    capsys.readouterr()
    with limited_files(40_000):
        code = cli.run([source, "-o", output, *options, *model])
    said = capsys.readouterr().err
    assert code == 1
    assert "larger than the disk, or `ulimit -f`, allows" in said
    assert "Traceback" not in said
    assert "Copy it again" not in said
    assert "Try .mkv" not in said
    left = {path.name for path in folder.iterdir()} - before
    assert left <= {"out", "o.zip.partial", "o.zip.journal.jsonl", ".vidcolor-o.zip.pictures"}
    assert not list(folder.rglob("*.partial.*"))


class Full:
    """A file on a disk that is full after some bytes."""

    name = "film.mkv"

    def __init__(self, room: int) -> None:
        self.room, self.content = room, b""

    def seekable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:
        if len(self.content) + len(content) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.content += content
        return len(content)

    def seek(self, offset: int, _: int = 0) -> int:
        return offset


def test_a_full_disk_is_told_once_it_is_asked_for():
    file = Full(10)
    written = OutputFile(file)
    for _ in range(4):
        assert written.write(b"12345") == 5
    assert file.content == b"1234512345"
    with pytest.raises(OSError, match="No space left"):
        written.check()


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_times_and_permissions_are_not_essential(folder: Path, tiny_model: Path, monkeypatch, capsys, number: int):
    """As on exFAT, NTFS and SMB."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    assert cli.run([str(folder / "scans"), "-o", str(folder / "out"), "-q", "--model", str(tiny_model)]) == 0
    assert {path.name for path in (folder / "out").iterdir()} >= {"a.png", "b.tif", "c.jpg"}
    assert capsys.readouterr().err.count("times or permissions could not be kept there") == 1
    assert cli.run([str(folder / "scans" / "a.png"), "-o", str(folder / "o.png"), "--model", str(tiny_model)]) == 0


def test_a_name_that_the_disk_does_not_hold_fails_alone(folder: Path, tiny_model: Path, monkeypatch, capsys):
    """As on exFAT, where `?` and `:` are no part of a name."""
    (folder / "scans" / "a.png").rename(folder / "scans" / "Oma 12:30?.png")
    (folder / "film.mkv").rename(folder / "scans" / "film?.mkv")
    opened = os.open

    def refuse(path: object, *arguments: object, **named: object) -> int:
        if "?" in str(path) and "scans" not in str(path):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse)
    for _ in range(2):  # the folder can be used again
        assert cli.run([str(folder / "scans"), "-o", str(folder / "out"), "-q", "--model", str(tiny_model)]) == 1
        said = capsys.readouterr().err
        assert said.count("Oma 12:30?.png: the disk there holds no such name") == 1
        assert said.count("film?.mkv: the disk there holds no such name") == 1
        assert {
            path.name for path in (folder / "out").iterdir() if path.suffix in (".png", ".tif", ".jpg", ".mkv")
        } == {
            "b.tif",
            "c.jpg",
        }


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EFBIG])
def test_a_renaming_that_fails_costs_one_file(folder: Path, monkeypatch, number: int):
    replaced = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if target.name == "b.tif":
            raise OSError(number, os.strerror(number))
        return replaced(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with open_source([folder / "scans"]) as source, open_target(folder / "out", source, RUN) as target:
        for entry in source:
            target.copy(entry)
    assert {name: record.outcome for name, record in target.records.items()} == {
        "a.png": "copied", "b.tif": "failed", "c.jpg": "copied",
    }  # fmt: skip
    assert dict(target.counts) == {"copied": 2, "failed": 1}
    assert not list((folder / "out").glob(".vidcolor-*.partial*"))
    monkeypatch.setattr(Path, "replace", replaced)
    with open_source([folder / "scans"]) as source, open_target(folder / "out", source, RUN) as target:
        assert [entry.name for entry in source if target.why_due(entry)] == ["b.tif"]


COMMANDS = [
    ["{}/film.mkv", "-o", "o.mkv"], ["{}", "-o", "out"], ["film.mkv", "-o", "{}/o.mkv"], ["scans", "-o", "{}/out"],
    ["scans/a.png", "-o", "{}/o.png"], ["film.mkv", "-o", "o.mkv", "--reference", "{}/a.png"], ["info", "{}/film.mkv"],
    ["preview", "film.mkv", "-o", "{}/s.png"], ["compare", "{}/film.mkv", "film.mkv", "-o", "o.html"],
    ["evaluate", "{}"], ["train", "{}", "-o", "m.safetensors"], ["models", "show", "{}/m.safetensors"],
]  # fmt: skip


@pytest.fixture(scope="module")
def told_of_theirs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, tuple[int, str]]:
    """What every command says of a folder of another user's; each in a folder of its own."""
    folders = [fill(tmp_path_factory.mktemp("own")) for _ in COMMANDS]
    for folder in folders:
        (folder / "theirs").mkdir(mode=0o000)
    commands = [[word.format("theirs") for word in command] for command in COMMANDS]
    told = run_without_privileges(list(zip(folders, commands, strict=True)), tiny_model)
    for folder in folders:
        (folder / "theirs").chmod(0o700)
    return dict(zip(map(" ".join, COMMANDS), told, strict=True))


@pytest.mark.parametrize("command", [" ".join(command) for command in COMMANDS])
def test_another_users_folder_is_told_as_what_it_is(command: str, told_of_theirs: dict[str, tuple[int, str]]):
    code, said = told_of_theirs[command]
    assert (code, said.count("\n")) == (1, 1), said
    assert "ermission denied" in said or "not allowed" in said
    assert "unexpected" not in said
    assert "damaged" not in said


def test_an_unreadable_file_in_a_folder_is_not_called_damaged(folder: Path, tiny_model: Path):
    (folder / "film.mkv").rename(folder / "scans" / "film.mkv")
    for name in ("a.png", "film.mkv"):
        (folder / "scans" / name).chmod(0o000)
    ((code, said),) = run_without_privileges([(folder, ["scans", "-o", "out", "-q"])], tiny_model)
    assert code == 1
    assert "a.png: cannot be read: Permission denied" in said
    assert "film.mkv: not allowed to read" in said
    assert "Copy it again" not in said
    assert (folder / "out" / "b.tif").exists()


def test_a_group_that_shares_an_archive_can_go_on_with_it(folder: Path, tiny_model: Path):
    out = folder / "out"
    (folder / "scans" / "sub").mkdir(mode=0o755)
    (folder / "scans" / "c.jpg").rename(folder / "scans" / "sub" / "c.jpg")
    out.mkdir()
    out.chmod(0o2775)
    before = os.umask(0o002)
    try:
        assert cli.run([str(folder / "scans"), "-o", str(out), "-q", "--model", str(tiny_model)]) == 0
    finally:
        os.umask(before)
    assert (out / ".vidcolor-journal.jsonl").stat().st_mode & 0o777 == 0o664
    assert (out / "sub").stat().st_mode & 0o7777 == 0o2775


def test_a_working_folder_that_is_gone_does_no_harm(folder: Path, tiny_model: Path):
    gone = folder / "gone"
    gone.mkdir()
    with Colorizer.load(str(tiny_model)) as loaded:  # converted for OpenVINO by torch, which dies in such a folder
        loaded.predict_and_look([np.zeros((64, 64), np.float32)])
        loaded.predict_and_liken([np.zeros((64, 64), np.float32)], [0])
    for source, output in (("film.mkv", "o.mkv"), ("scans", "out"), ("scans/a.png", "o.png")):
        command = [sys.executable, "-m", "vidcolor", str(folder / source), "-o", str(folder / output), "-q"]
        script = 'rmdir "$PWD" && exec "$@"'
        environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
        gone.mkdir(exist_ok=True)
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command, "--model", str(tiny_model)], cwd=gone, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert (folder / output).exists()


def test_a_disk_that_fails_while_a_film_is_closed_is_told_as_what_it_is(folder: Path, tiny_model: Path, monkeypatch):
    """As after a power cut of the disk alone: whatever waits in a buffer cannot be written any more, to the end."""
    opened = Path.open

    class Failing(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def close(self) -> None:
            super().close()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def fails(path: Path, mode: str = "r", *arguments: object, **named: object) -> object:
        return Failing() if path.suffix == ".packets" else opened(path, mode, *arguments, **named)

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(SinkError, match=r"o\.mkv: cannot be written: Input/output error"):
        colorize_film_file(folder / "film.mkv", folder / "o.mkv", FilmOptions(), lambda: Colorizer.load(tiny_model))
    assert not list(folder.glob(".vidcolor-*"))


@pytest.mark.parametrize("holder", ["folder", "zip", "tar"])
def test_a_drive_that_fails_under_a_file_is_no_fault_of_the_output(
    folder: Path, tiny_model: Path, monkeypatch, capsys, holder: str
):
    (folder / "scans" / "notes.txt").write_text("found in the attic" * 10_000)
    source, out = folder / "scans", folder / "out"
    if holder != "folder":
        source = Path(shutil.make_archive(str(folder / "box"), holder, folder / "scans"))
    read, is_gone = outputs._InputFile.readinto, True

    def failing(file: outputs._InputFile, buffer: bytearray) -> int:
        if is_gone and (str(file.name).endswith("notes.txt") or file.tell() > 100_000):
            raise ReadError(f"{file.name}: cannot be read: Input/output error.")
        return read(file, buffer)

    monkeypatch.setattr(outputs._InputFile, "readinto", failing)
    command = [str(source), "-o", str(out), "-q", "--model", str(tiny_model)]
    assert cli.run(command) == 1
    said = capsys.readouterr().err
    assert "cannot be read: Input/output error" in said
    assert "written" not in said
    assert "lost" not in said
    is_gone = False
    assert cli.run(command) == 0
    assert {path.name for path in out.iterdir()} >= {"a.png", "b.tif", "c.jpg", "notes.txt"}
