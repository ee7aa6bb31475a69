"""Names of members become names of files: fit for the system, each once, none lost."""

import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any, cast

import pytest
from archive_fixtures import member, names_in, process, tree

from vidcolor.archives.names import (
    UniqueNames,
    UnsafeNameError,
    escape_bytes,
    fold_case,
    resolve_link,
    safe_name,
)
from vidcolor.archives.zip_target import ZipTarget
from vidcolor.printable import printable


def test_names_that_a_folder_may_hold_are_made_fit_for_archives(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "back\\slash").mkdir(parents=True)
    for name in ("back\\slash/a.jpg", "..\\..\\evil.jpg", "new\nline.jpg", "l" * 250 + ".jpg", "a." + "s" * 240):
        (source / name).write_bytes(b"x")
    assert process(source, tmp_path / "out")[0] == {"colored": 3, "copied": 2}
    for output in (tmp_path / "out.zip", tmp_path / "out.tar"):
        counts, lines = process(source, output)
        assert counts == {"colored": 3, "copied": 1, "failed": 1}
        assert lines == ["its name leads out of the archive by '..'"]
        assert {"back%5Cslash/a.jpg", "new%0Aline.jpg"} <= set(names_in(output))


def test_duplicates_and_colliding_capitals_get_numbers(tmp_path: Path) -> None:
    path = tmp_path / "in.tar"
    names = ("a.jpg", "a.jpg", "A.JPG", "a (2).jpg", "é.jpg", "e\u0301.jpg", "a.jpg/below.jpg", "dir", "dir/x.jpg")
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.addfile(member(name, 1), io.BytesIO(b"x"))
    counts, lines = process(path, tmp_path / "out")
    assert set(tree(tmp_path / "out")) == {
        "a.jpg",
        "a (2).jpg",
        "A (3).JPG",
        "a (2) (2).jpg",
        "é.jpg",
        "e\u0301 (2).jpg",
        "dir",
    }
    assert "a.jpg: becomes a (2).jpg" in lines
    assert len([line for line in lines if "inside of what is a file" in line]) == 2
    assert sum(counts.values()) == len(names)


def test_names_that_are_no_text_stay_as_they_are_where_they_can(tmp_path: Path) -> None:
    path, raw = tmp_path / "in.tar", "b\udcfcro.jpg"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(member(raw, 1), io.BytesIO(b"x"))
    process(path, tmp_path / "out")
    assert b"b\xfcro.jpg" in [os.fsencode(path.name) for path in (tmp_path / "out").iterdir()]
    process(path, tmp_path / "out.tar.gz")
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        assert archive.getnames() == [raw]
    _, lines = process(path, tmp_path / "out.zip")
    assert zipfile.ZipFile(tmp_path / "out.zip").namelist() == ["b%FCro.jpg"]
    assert lines == ["b\\udcfcro.jpg: is no text, which a zip needs; becomes b%FCro.jpg"]


def test_windows_names_of_code_page_437_and_backslashes(tmp_path: Path) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("XXX\\brXder.jpg", b"x")
        archive.writestr("Ystlich.jpg", b"y")
    content = path.read_bytes().replace(b"XXX/brXder", b"alb\\br\x81der").replace(b"XXX\\brXder", b"alb\\br\x81der")
    path.write_bytes(content.replace(b"Ystlich", "östlich".encode()[:1] + "östlich".encode()[1:2] + b"tlich"))
    process(path, tmp_path / "out")
    assert set(tree(tmp_path / "out")) == {"alb/brüder.jpg", "ötlich.jpg"}
    process(path, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert [
            info.filename.encode("cp437") if not info.flag_bits & 0x800 else info.filename
            for info in archive.infolist()
        ] == [
            "alb/brüder.jpg",
            "ö".encode() + b"tlich.jpg",
        ]


def test_names() -> None:
    assert safe_name("./a//b.jpg") == "a/b.jpg"
    assert safe_name("/a/b.jpg") == "a/b.jpg"
    assert safe_name("a\\b.jpg", windows=False) == "a%5Cb.jpg"
    assert safe_name("a\\b.jpg", backslash_separates=True) == "a/b.jpg"
    assert safe_name("aux.jpg", windows=True) == "_aux.jpg"
    assert safe_name('a?b<c>:"|*. ', windows=True) == "a%3Fb%3Cc%3E%3A%22%7C%2A.%20"
    assert safe_name("..a/b..jpg") == "..a/b..jpg"
    with pytest.raises(UnsafeNameError, match="NUL"):
        safe_name("a\0b")
    assert resolve_link("a/b", "../c") == "c"
    assert resolve_link("a/b", "../../c") is None
    assert resolve_link("a", "/etc") is None
    assert printable("a\nb\udcff\u202e") == "a\\nb\\udcff\\u202e"
    assert escape_bytes("a\udcffb") == "a%FFb"
    names = UniqueNames()
    many = [names.claim("same.jpg") for _ in range(2000)]
    assert len({fold_case(name) for name in many}) == 2000


@pytest.mark.parametrize("name", ["COM\u00b9.jpg", "conin$", "CONOUT$.txt", "nul .jpg"])
def test_every_reserved_name_of_windows_is_changed(name: str):
    assert safe_name(f"a/{name}", windows=True) == f"a/_{name}"
    assert safe_name(f"a/{name}", windows=False) == f"a/{name}"


def test_temporary_names_beside_an_archive_hold_no_colon():
    """On Windows, what follows a colon is a stream inside of another file."""
    target: Any = object.__new__(ZipTarget)
    target.output = Path("scans.zip")
    for name in ("README", "a/b", "a.jpg"):
        assert ":" not in target.scratch_path(cast(Any, None), name).name
