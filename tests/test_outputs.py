"""What forbids a file is told before the work; what is written is complete or not there."""

import os
from pathlib import Path

import pytest

from vidcolor import outputs
from vidcolor.errors import SinkError, UsageError

REFUSED = [("there", "exists already"), ("folder", "is a folder"), ("there/new", "is no folder")]


@pytest.mark.parametrize("makes_folder", [False, True])
@pytest.mark.parametrize(("name", "why"), REFUSED)
def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path, name: str, why: str, makes_folder: bool):
    (tmp_path / "there").write_text("precious")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SinkError, match=why):
        outputs.check(tmp_path / name, overwrite=name == "folder", makes_folder=makes_folder)


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


def test_the_input_under_another_name_is_the_input(tmp_path: Path):
    (tmp_path / "in").write_text("film")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "other").write_text("film")
    with pytest.raises(UsageError, match="is the input itself"):
        outputs.check_is_not(tmp_path / "in", tmp_path / "link")
    outputs.check_is_not(tmp_path / "in", tmp_path / "other")
    outputs.check_is_not(tmp_path / "missing", tmp_path / "in")


@pytest.mark.parametrize(("error", "raised"), [(OSError("full"), SinkError), (KeyboardInterrupt(), KeyboardInterrupt)])
def test_a_file_is_replaced_at_once_or_not_at_all(tmp_path: Path, error: BaseException, raised: type[BaseException]):
    def write_half() -> None:
        with outputs.replacing(tmp_path / "file") as partial:
            partial.write_bytes(b"half")
            assert (tmp_path / "file").read_bytes() == b"old"
            raise error

    outputs.write(tmp_path / "file", b"old")
    with pytest.raises(raised, match=r"file: cannot be written \(full\)" if raised is SinkError else None):
        write_half()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}
    outputs.write(tmp_path / "file", b"new")
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

    with pytest.raises(SinkError, match=r"net\.xml: cannot be written \(full\)"):
        write_half()
    assert list(tmp_path.iterdir()) == []
