"""Nothing an archive says gets a byte written outside of the output, or more read than it is worth."""

import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from archive_fixtures import RUN, make, make_zip, member, names_in, process, tree, write_packed

from vidcolor.archives import Limits, open_source, open_target
from vidcolor.errors import SourceError, UsageError, VidcolorError

HOSTILE = (
    "../escaped.jpg", "a/../../escaped.jpg", "/abs/escaped.jpg", "//host/escaped.jpg", "C:/escaped.jpg",
    "c:escaped.jpg", "..\\escaped.jpg", "a\\..\\..\\escaped.jpg", "\\\\host\\escaped.jpg", "..", ".", "", "/", "a/..",
    "new\nline.jpg", "bell\x07.jpg", "\x1b[31mred.jpg", "~/home.jpg", ".vidcolor-journal.jsonl",
    "sub/.vidcolor-x.partial.jpg", "-rf", "aux.jpg", "x" * 300 + ".jpg", "link/inside.jpg",
)  # fmt: skip


def hostile_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(HOSTILE):
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            archive.writestr(info, f"content {number}")
        archive.writestr("good.jpg", "good")
    return path


def hostile_tar(path: Path) -> Path:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number, name in enumerate(HOSTILE):
            content = f"content {number}".encode()
            archive.addfile(member(name, len(content)), io.BytesIO(content))
        for kind, name in ((tarfile.CHRTYPE, "char"), (tarfile.BLKTYPE, "block"), (tarfile.FIFOTYPE, "pipe")):
            archive.addfile(member(name, kind=kind))
        for name, target in (("out", "../.."), ("abs", "/etc/passwd"), ("a/up", "../../x"), ("evil", "..\\..\\x")):
            archive.addfile(member(name, kind=tarfile.SYMTYPE, linkname=target))
        archive.addfile(member("hard", kind=tarfile.LNKTYPE, linkname="../../etc/passwd"))
        archive.addfile(member("hard2", kind=tarfile.LNKTYPE, linkname="never seen.jpg"))
        archive.addfile(member("out/through.jpg", 4), io.BytesIO(b"evil"))
        archive.addfile(member("good.jpg", 4), io.BytesIO(b"good"))
    return write_packed(path, plain.getvalue())


@pytest.mark.parametrize("output_name", ["room/out", "room/out.zip", "room/out.tar", "room/out.tar.zst"])
@pytest.mark.parametrize("make_hostile", [hostile_zip, hostile_tar])
def test_hostile_names_stay_inside(tmp_path: Path, make_hostile, output_name: str) -> None:
    source, output = (
        make_hostile(tmp_path / f"in{'.zip' if make_hostile is hostile_zip else '.tar.gz'}"),
        tmp_path / output_name,
    )
    room = tmp_path / "room"
    room.mkdir()
    counts, lines = process(source, output)
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "room"}
    assert {path.name for path in room.iterdir()} <= {output.name, output.name + ".journal.jsonl"}
    assert sum(counts.values()) >= len(HOSTILE)
    assert all(line.isprintable() for line in lines)
    assert any("'..'" in line for line in lines)
    assert any("drive" in line for line in lines)
    if output.is_dir():
        names = set(tree(output))
        assert "good.jpg" in names
        assert not any(path.is_symlink() for path in output.rglob("*"))
        assert (output / ".vidcolor-journal.jsonl").read_bytes().startswith(b'{"run"')
    else:
        names = set(names_in(output))
        assert "good.jpg" in names
    assert not [
        name for name in names if name.startswith("/") or ".." in name.split("/") or "\\" in name or ":" in name[:2]
    ]
    assert "new%0Aline.jpg" in names


def test_links_that_lie_in_the_output_are_not_written_through(tmp_path: Path) -> None:
    outside, output = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (outside / "kept.jpg").write_bytes(b"mine")
    (output / "real").mkdir(parents=True)
    (output / "link").symlink_to(outside)
    (output / "alias").symlink_to(output / "real")
    (output / "file.jpg").symlink_to(outside / "kept.jpg")
    source = tmp_path / "in.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for name in ("link/kept.jpg", "link/new/deep.jpg", "alias/fine.jpg", "file.jpg", "plain.jpg"):
            archive.writestr(name, "evil")
    counts, lines = process(source, output)
    assert counts == {"failed": 3, "colored": 2}
    assert len([line for line in lines if "no folder inside of" in line]) == 2
    assert tree(outside) == {"kept.jpg": b"mine"}
    assert (output / "real" / "fine.jpg").exists()
    process(source, output, overwrite=True)
    assert tree(outside) == {"kept.jpg": b"mine"}
    assert not (output / "file.jpg").is_symlink()  # the link itself was replaced


def test_refused_entries_cannot_be_written_by_mistake(tmp_path: Path) -> None:
    source_path, output = hostile_tar(tmp_path / "in.tar"), tmp_path / "out"
    with open_source([source_path]) as source, open_target(output, source, RUN) as target:
        for entry in source:
            if entry.refusal:
                for attempt in (
                    lambda e=entry: target.write(e, b"x"),
                    lambda e=entry: target.scratch_path(e),
                    entry.read,
                ):
                    with pytest.raises(VidcolorError):
                        attempt()
    assert tree(output) == {}


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"])
def test_bombs_are_noticed_while_they_are_read(tmp_path: Path, suffix: str) -> None:
    limits = Limits(ratio=50, ratio_from_bytes=1 << 20)
    source_path = tmp_path / f"bomb{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(source_path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bomb.jpg", bytes(1 << 23))
            archive.writestr("good.jpg", b"good")
    else:
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as archive:
            archive.addfile(member("bomb.jpg", 1 << 23), io.BytesIO(bytes(1 << 23)))
        write_packed(source_path, plain.getvalue())
    with open_source([source_path], limits=limits) as source, pytest.raises(SourceError, match="bomb"):
        next(iter(source)).read()
    with open_source([source_path]) as source:  # the default lets 8 MiB pass: a blank page packs like that
        assert next(iter(source)).read() == bytes(1 << 23)


def test_a_bomb_in_many_pieces_is_noticed(tmp_path: Path) -> None:
    source_path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(source_path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"{number}.jpg", bytes(1 << 18))
    limits = Limits(ratio=50, ratio_from_bytes=1 << 20)
    with open_source([source_path], limits=limits) as source, pytest.raises(SourceError, match="all members"):
        [entry.read() for entry in source]


def test_limits_on_number_and_sizes(tmp_path: Path) -> None:
    source_path = make_zip(tmp_path / "in.zip", 20)
    with (
        open_source([source_path], limits=Limits(members=10)) as source,
        pytest.raises(SourceError, match="10 members"),
    ):
        list(source)
    with (
        open_source([source_path], limits=Limits(total_bytes=500)) as source,
        pytest.raises(SourceError, match="in all"),
    ):
        [entry.read() for entry in source]
    with open_source([source_path]) as source, pytest.raises(SourceError, match="larger than 10 bytes"):
        next(iter(source)).read(10)


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(1000))
        archive.writestr("b.jpg", b"b")
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, second + 42, 8)  # b lies in a, now
    path.write_bytes(content)
    with open_source([path]) as source:
        assert ["overlap" in entry.refusal for entry in source] == [False, True]


def test_a_size_in_the_header_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(1 << 20))
    content = path.read_bytes().replace(struct.pack("<I", 1 << 20), struct.pack("<I", 100))
    path.write_bytes(content)
    with open_source([path]) as source, pytest.raises(SourceError):
        next(iter(source)).read()
    huge = tarfile.TarInfo("huge.jpg")
    huge.size = 1 << 50
    (tmp_path / "in.tar").write_bytes(huge.tobuf(tarfile.PAX_FORMAT) + b"little")
    with open_source([tmp_path / "in.tar"]) as source:
        entry = next(iter(source))
        with pytest.raises(SourceError, match=r"huge\.jpg"):
            entry.read()
        with pytest.raises(SourceError, match="needs"), entry.as_file(tmp_path):
            pass
    header = tarfile.TarInfo("header")
    header.size, header.type = 1 << 40, tarfile.XHDTYPE
    (tmp_path / "head.tar").write_bytes(
        header.tobuf(tarfile.USTAR_FORMAT if header.size < 1 << 33 else tarfile.GNU_FORMAT)
    )
    with pytest.raises(SourceError, match="not a readable tar"):
        open_source([tmp_path / "head.tar"])


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"a")
        archive.writestr("b.jpg", b"b")
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    counts, lines = process(path, tmp_path / "out")
    assert counts == {"skipped": 1, "colored": 1}
    assert "a.jpg: it is encrypted; unpack the archive with its password first." in lines


def test_strange_files_in_a_folder_are_not_opened(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    os.mkfifo(source / "pipe.jpg")
    (source / "sub" / "loop").symlink_to("..")
    (source / "sub" / "out.jpg").symlink_to("/etc/hostname")
    (source / "sub" / "dead.jpg").symlink_to("nowhere.jpg")
    (source / "sub" / "real.jpg").write_bytes(b"real")
    (source / "twin.jpg").symlink_to("sub/real.jpg")
    counts, lines = process(source, tmp_path / "out")
    assert counts == {"colored": 2, "skipped": 4}
    assert sorted(lines) == [
        "pipe.jpg: a named pipe; not opened.",
        "sub/dead.jpg: a link that leads nowhere.",
        "sub/out.jpg: a link that leads out of the folder.",
    ]
    assert set(tree(tmp_path / "out")) == {"twin.jpg", "sub/real.jpg"}
    with open_source([source], follow_outside=True) as followed:
        assert next(entry for entry in followed if entry.name == "sub/out.jpg").kind == "photo"


def test_an_output_inside_of_the_input_is_passed_over(tmp_path: Path) -> None:
    source = make(tmp_path / "in", 10)
    for output in (source / "out", source / "out.tar.gz"):
        process(source, output)
        before = tree(output) if output.is_dir() else output.read_bytes()
        process(source, output, overwrite=True)
        assert before == (tree(output) if output.is_dir() else output.read_bytes())
        if output.is_dir():
            assert not (output / "out").exists()
            for path in sorted(output.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            output.rmdir()
    with open_source([source / "out.tar.gz"]) as archive, pytest.raises(UsageError, match="is an input"):
        open_target(source / "out.tar.gz", archive, RUN)


def test_nothing_is_executable_by_set_user_id(tmp_path: Path) -> None:
    path = tmp_path / "in.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(member("a.jpg", 1, mode=0o6755), io.BytesIO(b"x"))
    process(path, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out" / "a.jpg").stat().st_mode) == 0o755


@pytest.mark.parametrize("mtime", ["nan", "inf", "-1e30", "1e30", "-5"])
def test_times_from_nowhere_do_no_harm(tmp_path: Path, mtime: str) -> None:
    path = tmp_path / "in.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        info = member("a.jpg", 1, mtime=0)
        info.pax_headers = {"mtime": mtime}
        archive.addfile(info, io.BytesIO(b"x"))
    for output in ("out", "out.zip", "out.tar"):
        assert process(path, tmp_path / output)[0] == {"colored": 1}
