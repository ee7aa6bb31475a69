"""What forbids a file is told before the work; what is written is complete or not there."""

import errno
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli, outputs
from vidcolor.errors import SinkError, UsageError
from vidcolor.filenames import scratch_name

REFUSED = [("there", "exists already"), ("folder", "is a folder"), ("there/new", "is no folder")]


@pytest.mark.parametrize("makes_folder", [False, True])
@pytest.mark.parametrize(("name", "why"), REFUSED)
def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path, name: str, why: str, makes_folder: bool):
    (tmp_path / "there").write_text("precious")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SinkError, match=why):
        outputs.check(tmp_path / name, overwrite=name == "folder", makes_folder=makes_folder)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_what_is_written_can_be_read_by_whom_the_umask_lets(
    umask: int, mode: int, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VIDCOLOR_MODELS", str(tmp_path / "data"))
    film, scans = make_film(tmp_path / "film.mkv"), tmp_path / "scans"
    scans.mkdir()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (48, 64), np.uint8)).save(scans / "a.png")
    for file in (film, scans / "a.png"):
        file.chmod(mode)  # which a colored file of a folder takes over
    made, model, before = tmp_path / "made", ("--model", tiny_model), os.umask(umask)
    made.mkdir()
    try:
        for args in (
            (film, "-o", made / "out.mp4", "--keep-segments", "--log", made / "job.log", *model),
            (scans, "-o", made / "color", *model),
            (scans, "-o", made / "color.zip", *model),
            (scans / "a.png", "-o", made / "one.png", *model),
            ("preview", film, "-o", made / "sheet.png", "--export-references", made / "stills", *model),
            ("compare", film, made / "out.mp4", "-o", made / "page.html", "--clip", "0"),
            ("models", "average", tiny_model, tiny_model, "-o", made / "mean.safetensors"),
            ("models", "add", made / "mean.safetensors"),
            ("export", tiny_model, "-o", made / "tiny.xml"),
        ):
            assert cli.run([*map(str, args)]) == 0, args
    finally:
        os.umask(before)
    written = [file for folder in (made, tmp_path / "data") for file in folder.rglob("*") if file.is_file()]
    assert len(written) > 15
    assert {str(file): stat.S_IMODE(file.stat().st_mode) for file in written} == {str(file): mode for file in written}


def test_a_missing_folder_is_told_unless_it_is_made(tmp_path: Path):
    with pytest.raises(SinkError, match="does not exist"):
        outputs.check(tmp_path / "nowhere" / "new", overwrite=False)
    outputs.check(tmp_path / "nowhere" / "new", overwrite=False, makes_folder=True)


def test_a_place_where_a_file_can_be_written_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "there").write_text("old")
    monkeypatch.chdir(tmp_path)
    for name in ("there", "new"):
        outputs.check(Path(name), overwrite=True)
    monkeypatch.setattr(os, "access", lambda *_: False)  # a privileged user may write anywhere
    with pytest.raises(SinkError, match="not allowed to write"):
        outputs.check(Path("new"), overwrite=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make links")
def test_no_output_is_an_input_under_whatever_name(tmp_path: Path):
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "in.jpg").write_text("photo")
    (tmp_path / "hard.jpg").hardlink_to(folder / "in.jpg")
    (tmp_path / "link.jpg").symlink_to(folder / "in.jpg")
    (tmp_path / "linked").symlink_to(folder)
    (tmp_path / "other.jpg").write_text("photo")
    for name in ("hard.jpg", "link.jpg", "linked/in.jpg"):
        with pytest.raises(UsageError, match="is the input itself"):
            outputs.check(tmp_path / name, overwrite=True, inputs=[tmp_path / "other.jpg", folder / "in.jpg"])
    with pytest.raises(UsageError, match="lies in the input"):
        outputs.check(tmp_path / "linked" / "in.jpg", overwrite=True, inputs=[folder])
    outputs.check(tmp_path / "other.jpg", overwrite=True, inputs=[folder, folder / "in.jpg"])
    outputs.check(folder / "new.jpg", overwrite=False, inputs=[folder])


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make links")
def test_a_planted_link_is_not_written_through(tmp_path: Path):
    precious, planted = tmp_path / "precious", tmp_path / scratch_name("page.html")
    precious.write_text("precious")
    planted.symlink_to(precious)
    outputs.write(tmp_path / "page.html", b"page", overwrite=False)
    assert (precious.read_text(), (tmp_path / "page.html").read_bytes()) == ("precious", b"page")
    assert not os.path.lexists(planted)


def test_a_file_that_appears_meanwhile_is_left_alone(tmp_path: Path):
    def write() -> None:
        with outputs.replacing(tmp_path / "o", overwrite=False) as partial:
            partial.write_bytes(b"ours")
            (tmp_path / "o").write_text("theirs")

    with pytest.raises(SinkError, match="exists now"):
        write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"o": "theirs"}


@pytest.mark.skipif(os.name == "nt", reason="a path of Windows may have 260 letters in all")
@pytest.mark.parametrize("name", ["x" * 251 + ".jpg", "ä" * 125 + ".jpg", "x." + "j" * 253])
def test_every_legal_name_can_be_written(tmp_path: Path, name: str):
    assert len(os.fsencode(name)) >= 254
    outputs.write(tmp_path / name, b"new", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.name == "nt", reason="Windows syncs no folder")
def test_bytes_then_name_then_folder_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A power cut leaves the old file or the new one: ext4 and XFS keep a rename without its bytes."""
    order: list[str] = []
    synced, replaced = os.fsync, Path.replace

    def fsync(fd: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "bytes")
        synced(fd)

    def replace(path: Path, target: Path) -> Path:
        order.append("name")
        return replaced(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    outputs.write(tmp_path / "page.html", b"page", overwrite=False)
    assert order == ["bytes", "name", "folder"]
    order.clear()
    with outputs.replacing_group(tmp_path / "net.xml", overwrite=False) as aside:
        for suffix in (".xml", ".bin"):
            aside.with_suffix(suffix).write_bytes(b"net")
    assert order == ["bytes", "bytes", "name", "name", "folder"]


@pytest.mark.parametrize(
    ("number", "why"),
    [(errno.ENOSPC, "the disk is full"), (errno.EFBIG, "ulimit -f"), (errno.EROFS, "can only be read"),
     (errno.EACCES, "not allowed"), (errno.EDQUOT, "quota"), (errno.EIO, "Input/output error")],
)  # fmt: skip
def test_the_true_cause_is_told(tmp_path: Path, number: int, why: str):
    with pytest.raises(SinkError, match=why), outputs.replacing(tmp_path / "o", overwrite=False):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_an_opened_file_tells_of_a_full_disk_itself():
    with (
        pytest.raises(SinkError, match="/dev/full: cannot be written: the disk is full"),
        outputs.open_output(Path("/dev/full")) as file,
    ):
        file.write(b"x" * 100_000)


@pytest.mark.parametrize(("error", "raised"), [(OSError("full"), SinkError), (KeyboardInterrupt(), KeyboardInterrupt)])
def test_a_file_is_replaced_at_once_or_not_at_all(tmp_path: Path, error: BaseException, raised: type[BaseException]):
    def write_half() -> None:
        with outputs.replacing(tmp_path / "file", overwrite=True) as partial:
            partial.write_bytes(b"half")
            assert (tmp_path / "file").read_bytes() == b"old"
            raise error

    outputs.write(tmp_path / "file", b"old", overwrite=True)
    with pytest.raises(raised, match="file: cannot be written: full" if raised is SinkError else None):
        write_half()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}
    outputs.write(tmp_path / "file", b"new", overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"new"}


def test_a_group_takes_its_places_together(tmp_path: Path):
    def write(content: bytes, *, overwrite: bool) -> None:
        with outputs.replacing_group(tmp_path / "net.xml", overwrite=overwrite) as aside:
            for suffix in (".xml", ".bin"):
                aside.with_suffix(suffix).write_bytes(content)

    def found() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    write(b"old", overwrite=False)
    assert found() == {"net.bin": b"old", "net.xml": b"old"}
    (tmp_path / "net.bin").unlink()  # the one that would be written first is free
    with pytest.raises(SinkError, match=r"net\.xml: exists now"):
        write(b"new", overwrite=False)
    assert found() == {"net.xml": b"old"}
    write(b"new", overwrite=True)
    assert found() == {"net.bin": b"new", "net.xml": b"new"}


def test_a_group_that_cannot_be_written_leaves_nothing(tmp_path: Path):
    def write_half() -> None:
        with outputs.replacing_group(tmp_path / "net.xml", overwrite=True) as aside:
            aside.write_bytes(b"half")
            raise OSError("full")

    with pytest.raises(SinkError, match=r"net\.xml: cannot be written: full"):
        write_half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no name with a question mark")
def test_what_a_killed_check_of_a_name_left_is_removed_by_the_next(tmp_path: Path):
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    ended, running = child.stdout.strip(), os.getppid()
    tried = tmp_path / ".vidcolor-name"
    for process in (ended, running):
        (tried / f"{outputs._MACHINE}-{process}-1").mkdir(parents=True)
        (tried / f"{outputs._MACHINE}-{process}-1" / "what?.png").touch()
    outputs.check_name(tmp_path / "100 %?.png")
    assert [left.name for left in tried.iterdir()] == [f"{outputs._MACHINE}-{running}-1"]  # at work, perhaps
    os.utime(tried / f"{outputs._MACHINE}-{running}-1", (0, 0))
    outputs.check_name(tmp_path / "100 %?.png")
    assert not list(tmp_path.iterdir())


def test_many_threads_check_names_in_one_folder(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: outputs.check_name(tmp_path / f"Bild ü {number}.png"), range(400)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "winerror", "why"),
    [
        (errno.EACCES, 5, "a program has the file open"), (errno.EACCES, 32, "a program has the file open"),
        (errno.ENOENT, 3, "the path is longer than Windows allows"),
        (errno.ENOENT, 206, "the path is longer than Windows allows"),
    ],
)  # fmt: skip
def test_the_cause_is_told_that_windows_has(tmp_path: Path, number: int, winerror: int, why: str):
    error: Any = OSError(number, "Access is denied")
    error.winerror = winerror
    assert why in str(outputs.write_failure(tmp_path / "o", error))


def test_a_file_that_a_scanner_opens_for_a_moment_is_renamed_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refusals, plain = [13], Path.replace

    def replace(path: Path, target: Path) -> Path:
        if refusals:
            raise PermissionError(refusals.pop(), "Access is denied")
        return plain(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(outputs, "_RENAME_WAITS", ())
    with pytest.raises(SinkError, match="cannot be written"):
        outputs.write(tmp_path / "o", b"new", overwrite=True)
    monkeypatch.setattr(outputs, "_RENAME_WAITS", (0, 0))
    refusals += [13, 13]
    outputs.write(tmp_path / "o", b"new", overwrite=True)
    assert (tmp_path / "o").read_bytes() == b"new"
