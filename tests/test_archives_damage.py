"""Of a damaged archive comes out what is whole, and what is no archive is refused in one line."""

import tarfile
import zipfile
from pathlib import Path

import pytest
from archive_fixtures import make, make_tar, make_zip, process, tree

from vidcolor.archives import open_source
from vidcolor.errors import SourceError, UsageError


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"])
def test_of_a_truncated_archive_what_is_there_is_done(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    process(make(tmp_path / "in", 200), whole)
    broken = tmp_path / f"broken{suffix}"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    _, lines = process(broken, tmp_path / "out")
    process(whole, tmp_path / "all")
    done, everything = tree(tmp_path / "out"), tree(tmp_path / "all")
    assert any("Copy it again" in line for line in lines)
    assert done.items() <= everything.items()
    assert len(done) > 100


def test_a_cut_at_a_member_is_noticed(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "whole.tar", 5)
    with tarfile.open(whole) as archive:
        last = archive.getmembers()[-1].offset
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:last])
    with open_source([tmp_path / "cut.tar"]) as source:
        list(source)
        assert "breaks off" in source.damage[0]


def test_damage_in_the_middle_costs_what_is_damaged(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "in.zip", 20)
    with zipfile.ZipFile(path) as archive:
        hit = archive.infolist()[3]
    content = bytearray(path.read_bytes())
    content[hit.header_offset + 60 + len(hit.filename.encode())] ^= 0xFF
    path.write_bytes(content)
    counts, lines = process(path, tmp_path / "out")
    assert counts["failed"] == 2  # and the empty photo
    assert any("Bad CRC" in line or "cannot be unpacked" in line or "damaged" in line for line in lines)


def test_other_things_named_archive_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, content in (
        ("a.zip", b"no zip"),
        ("a.tar", b"no tar" * 200),
        ("a.tar.gz", b"\x1f\x8bno"),
        ("a.tar.zst", b"x"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match="not a readable") as error:
            open_source([tmp_path / name])
        assert "\n" not in str(error.value)
    (tmp_path / "a.7z").write_bytes(b"7z")
    with pytest.raises(SourceError, match="Unpack it"):
        open_source([tmp_path / "a.7z"])
    with pytest.raises(SourceError, match="no such file"):
        open_source([tmp_path / "none" / "*.jpg"])
    make_zip(tmp_path / "b.zip", 1)
    with pytest.raises(UsageError, match="input of its own"):
        open_source([tmp_path / "b.zip", tmp_path])
