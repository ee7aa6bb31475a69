"""What goes in comes out: names, times, permissions, comments, links, in every kind of holder."""

import io
import os
import random
import stat
import subprocess
import tarfile
import threading
import time
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from archive_fixtures import EPOCH, RUN, TAR_SUFFIXES, files, invert, make, make_folder, make_tar, member, process, tree

from vidcolor.archives import Entry, completed_future, in_order, open_source, open_target
from vidcolor.archives.compression import FrameWriter, compression_of_name, open_decompressed
from vidcolor.archives.entries import kind_of
from vidcolor.archives.zip_records import ZipRecord, end_records
from vidcolor.errors import SinkError, SourceError, UsageError

SUFFIXES = ["", ".zip", ".cbz", *TAR_SUFFIXES]


def colored(count: int) -> dict[str, bytes]:
    return {
        name: invert(content) if kind_of(name) == "photo" else content
        for name, content in files(count)
        if content or kind_of(name) != "photo"
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_source_gives_the_same_entries(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f"in{suffix}", 40)
    with open_source([path]) as source:
        found = {entry.name: (entry.kind, entry.size, entry.read()) for entry in source if entry.kind != "directory"}
        assert source.damage == []
    assert found == {name: (kind_of(name), len(content), content) for name, content in files(40)}


@pytest.mark.parametrize("to", SUFFIXES)
@pytest.mark.parametrize("start", ["", ".zip", ".tar.gz"])
def test_every_target_holds_what_was_made(tmp_path: Path, start: str, to: str) -> None:
    source, output = make(tmp_path / f"in{start}", 40), tmp_path / f"out{to}"
    counts, lines = process(source, output)
    assert sum("an empty file." in line for line in lines) == 1
    assert contents(output) == colored(40)
    assert counts["failed"] == 1


def contents(path: Path) -> dict[str, bytes]:
    if path.is_dir():
        return tree(path)
    with open_source([path]) as source:
        return {entry.name: entry.read() for entry in source if entry.kind not in ("directory", "link")}


def test_a_folder_keeps_times_and_permissions(tmp_path: Path) -> None:
    source, output = make_folder(tmp_path / "in", 20), tmp_path / "out"
    (source / "empty").mkdir()
    for path in (source / "empty", source / "1906"):
        os.utime(path, (EPOCH, EPOCH))
    process(source, output)
    for path in source.rglob("*"):
        copy = output / path.relative_to(source)
        if copy.exists():
            assert copy.stat().st_mtime_ns == path.stat().st_mtime_ns
            assert copy.stat().st_mode == path.stat().st_mode
    assert (output / "empty").is_dir()


def test_a_zip_keeps_order_packing_times_permissions_and_comments(tmp_path: Path) -> None:
    source, output = make(tmp_path / "in.zip", 40), tmp_path / "out.zip"
    process(source, output)
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(output) as after:
        assert after.testzip() is None
        assert after.comment == before.comment == b"found in the attic"
        kept = {info.filename for info in after.infolist()}
        infos = [info for info in before.infolist() if info.filename in kept]
        for one, other in zip(infos, after.infolist(), strict=True):
            for field in ("filename", "date_time", "compress_type", "external_attr", "create_system", "comment"):
                assert getattr(one, field) == getattr(other, field)
            assert one.flag_bits & 0x800 == other.flag_bits & 0x800
    listed = subprocess.run(["unzip", "-tq", output], capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stdout + listed.stderr


def test_a_zip_carries_what_it_cannot_unpack(tmp_path: Path) -> None:
    source, output = tmp_path / "in.zip", tmp_path / "out.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/notes.txt", b"notes " * 100, zipfile.ZIP_LZMA)
        archive.writestr("more.txt", b"more " * 100, zipfile.ZIP_BZIP2)
        link = zipfile.ZipInfo("link.txt")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "more.txt")
        evil = zipfile.ZipInfo("evil.txt")
        evil.create_system, evil.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(evil, "../../more.txt")
        with archive.open("streamed.txt", "w") as file:
            file.write(b"streamed")
    assert process(source, output) == ({"copied": 4, "skipped": 1}, ["evil.txt: a link that leads out of the archive."])
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(output) as after:
        assert after.testzip() is None
        assert after.namelist() == [name for name in before.namelist() if name != "evil.txt"]
        for name in after.namelist():
            assert after.read(name) == before.read(name)
            assert after.getinfo(name).compress_size == before.getinfo(name).compress_size


def opened(path: Path) -> tarfile.TarFile:
    """A tar by Python's own reader, which knows Zstandard from 3.14 on."""
    content = open_decompressed(io.BytesIO(path.read_bytes()), compression_of_name(path) or "").read()
    return tarfile.open(fileobj=io.BytesIO(content))


@pytest.mark.parametrize("suffix", TAR_SUFFIXES)
def test_a_tar_keeps_owners_times_links_and_folders(tmp_path: Path, suffix: str) -> None:
    source, output = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    make_tar(source, 40)
    if suffix == ".tar":
        with tarfile.open(source, "a") as archive:
            archive.addfile(member("soft.jpg", kind=tarfile.SYMTYPE, linkname="1906/x.jpg"))
            first = next(name for name in archive.getnames() if name.endswith(".jpg"))
            archive.addfile(member("hard.jpg", kind=tarfile.LNKTYPE, linkname=first))
            info = member("noted.txt", pax_headers={"comment": "by hand", "SCHILY.xattr.user.a": "b"})
            archive.addfile(info)
    process(source, output)
    with opened(source) as before, opened(output) as after:
        infos = {info.name: info for info in before}
        for info in after:
            for field in ("mtime", "mode", "uid", "gid", "uname", "gname", "type", "linkname"):
                assert getattr(info, field) == getattr(infos[info.name], field)
        names = after.getnames()
        assert names == [name for name in infos if name in set(names)]
        if suffix == ".tar":
            assert {"soft.jpg", "hard.jpg"} <= set(names)
            assert after.getmember("noted.txt").pax_headers["comment"] == "by hand"
            assert output.stat().st_size % tarfile.RECORDSIZE == 0


@pytest.mark.parametrize("suffix", TAR_SUFFIXES)
def test_other_programs_read_what_we_pack(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    process(make(tmp_path / "in", 60), output)
    (tmp_path / "unpacked").mkdir()
    command = ["tar", "-xf", output, "-C", tmp_path / "unpacked"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert tree(tmp_path / "unpacked") == colored(60)


def test_a_tar_is_read_in_one_pass(tmp_path: Path) -> None:
    with open_source([make(tmp_path / "in.tar.gz", 10)]) as source:
        entries = [entry for entry in source if entry.kind == "photo"]
        with pytest.raises(SourceError, match="read past it"):
            entries[0].read()


def test_links_and_folders_where_a_folder_becomes_a_tar(tmp_path: Path) -> None:
    source, output = make_folder(tmp_path / "in", 40), tmp_path / "out.tar"
    (source / "up").symlink_to("1906", target_is_directory=True)
    process(source, output)
    with tarfile.open(output) as archive:
        assert archive.getmember("up").linkname == "1906"
        assert archive.getmember("deep/er").isdir()


def test_a_large_member_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidcolor.archives.archive_target._SPOOL_FROM_BYTES", 1000)
    content = random.Random(1).randbytes(300_000)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "film.mkv").write_bytes(content)
    previous = tmp_path / "in"
    for name in ("a.tar", "b.tar.gz", "c.zip", "d.tar.zst", "e"):
        assert process(previous, tmp_path / name)[0] == {"copied": 1}
        assert contents(tmp_path / name) == {"film.mkv": content}
        previous = tmp_path / name
    assert not [path for path in tmp_path.rglob(".vidcolor-*") if "journal" not in path.name]


@pytest.mark.parametrize("name", ["out", "out.zip", "out.tar.gz"])
def test_records_are_known_before_they_are_on_disk(tmp_path: Path, name: str) -> None:
    source_path = make_folder(tmp_path / "in", 10)
    with open_source([source_path]) as source, open_target(tmp_path / name, source, RUN) as target:
        names = set()
        for entry in source:
            target.copy(entry)
            names |= {entry.name} if entry.kind != "directory" or target.records.get(entry.name) else set()
        assert set(target.records) == names


def test_a_film_becomes_a_file_while_it_is_looked_at(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        (tmp_path / "film.avi").write_bytes(b"film")
        archive.add(tmp_path / "film.avi", "a/film.avi")
    with open_source([tmp_path / "in.tar"]) as source:
        entry = next(iter(source))
        assert entry.kind == "film"
        with entry.as_file(tmp_path) as path:
            assert path.suffix == ".avi"
            assert path.read_bytes() == b"film"
        assert not path.exists()
    with open_source([tmp_path / "film.avi"]) as source, next(iter(source)).as_file(tmp_path) as path:
        assert path == tmp_path / "film.avi"


@pytest.mark.parametrize("name", ["out", "out.zip", "out.tar.gz"])
def test_a_result_may_be_a_file_with_another_name(tmp_path: Path, name: str) -> None:
    source_path = tmp_path / "in"
    source_path.mkdir()
    for film in ("a.wmv", "a.mkv", "b.avi"):
        (source_path / film).write_bytes(film.encode())
    output = tmp_path / name
    with open_source([source_path], output=output) as source, open_target(output, source, RUN) as target:
        for entry in source:
            path = target.scratch_path(entry, Path(entry.name).with_suffix(".mkv").name)
            assert path.suffix == ".mkv"
            path.write_bytes(b"colored " + entry.read())
            target.write(entry, path, name=Path(entry.name).with_suffix(".mkv").name)
            assert not path.exists() or name == "out"
    assert contents(output) == {
        "a.mkv": b"colored a.mkv",
        "a (2).mkv": b"colored a.wmv",
        "b.mkv": b"colored b.avi",
    }


def test_several_inputs_and_patterns(tmp_path: Path) -> None:
    for name in ("one/a.jpg", "two/a.jpg", "b.jpg", "c.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    with open_source([tmp_path / "one", tmp_path / "two", str(tmp_path / "*.jpg")]) as source:
        assert [entry.name for entry in source] == ["one", "one/a.jpg", "two", "two/a.jpg", "b.jpg"]
    with open_source([str(tmp_path / "**" / "a.jpg")]) as source:
        assert [entry.name for entry in source] == ["a.jpg", "a (2).jpg"]


def test_kinds() -> None:
    kinds = {
        "a.JPG": "photo", "b/a.tiff": "photo", "a.heic": "photo", "a.MKV": "film", "a.txt": "other", "a": "other",
        "._a.jpg": "other", ".hidden/a.jpg": "other", "__MACOSX/a.jpg": "other", "Thumbs.db": "other",
            "a.zip": "archive", "a.tar.zst": "archive", "a.7z": "other",
    }  # fmt: skip
    assert {name: kind_of(name) for name in kinds} == kinds


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    source_path = make(tmp_path / "in", 3)
    (tmp_path / "file.txt").write_text("mine")
    with open_source([source_path]) as source:
        with pytest.raises(UsageError, match="is an input"):
            open_target(source_path, source, RUN)
        with pytest.raises(UsageError, match="cannot be written"):
            open_target(tmp_path / "out.rar", source, RUN)
        with pytest.raises(SinkError, match="is a file"):
            open_target(tmp_path / "file.txt", source, RUN)
        with (
            pytest.raises(SinkError, match="no: no such folder"),
            open_target(tmp_path / "no" / "out.zip", source, RUN),
        ):
            pass


def test_a_full_disk_ends_the_run_and_the_next_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, straight, output = make(tmp_path / "in.tar.gz", 60), tmp_path / "a.tar.gz", tmp_path / "b.tar.gz"
    process(source, straight)

    def full(self: FrameWriter, content: bytes, real=FrameWriter._write_raw) -> None:
        if self._file.tell() > 5000:
            raise SinkError("No space left on device")
        real(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(FrameWriter, "_write_raw", full)
        with pytest.raises(SinkError, match="No space"):
            process(source, output)
    assert not output.exists()
    process(source, output)
    assert output.read_bytes() == straight.read_bytes()


def entry_of(number: int, size: int = 1) -> Entry:
    return Entry(str(number), b"", "photo", size, 0)


def test_results_come_in_order_and_no_more_than_a_window_is_under_way() -> None:
    under_way, most, lock = 0, 0, threading.Lock()
    taken = []

    def entries():
        for number in range(60):
            taken.append(number)
            yield entry_of(number)

    def work(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(random.Random(number).random() / 200)
        with lock:
            under_way -= 1
        return number

    with ThreadPoolExecutor(8) as pool:
        results = in_order(entries(), lambda entry: pool.submit(work, int(entry.name)), window=5)
        for number, (entry, future) in enumerate(results):
            assert future is not None
            assert int(entry.name) == future.result() == number
            assert len(taken) <= number + 6
    assert 1 < most <= 5


def test_large_inputs_narrow_the_window() -> None:
    submitted = []

    def submit(entry: Entry) -> Future[int]:
        submitted.append(entry.name)
        return completed_future(1)

    results = in_order([entry_of(number, 60) for number in range(9)], submit, window_bytes=130)
    next(results)
    assert submitted == ["0", "1"]


def test_what_is_not_submitted_waits_for_all_before_it() -> None:
    submitted, finished = [], []
    entries = [entry_of(number) for number in range(6)]

    def submit(entry: Entry) -> Future[int] | None:
        submitted.append(entry.name)
        if entry.name == "4":
            raise SourceError("damaged")
        return None if entry.name == "2" else completed_future(1)

    for entry, future in in_order(entries, submit):
        finished.append(entry.name)
        if future is None:
            assert finished == ["0", "1", "2"]
            assert submitted == ["0", "1", "2"]
        if entry.name == "4":
            with pytest.raises(SourceError, match="damaged"):
                future.result()
    assert finished == [entry.name for entry in entries]


def test_records_of_more_than_four_gigabytes(tmp_path: Path) -> None:
    """APPNOTE.TXT 4.5.3: what does not fit in 32 bits stands in an extra field."""
    size, offset = 5 << 30, 6 << 30
    record = ZipRecord(b"film.mkv", 0, 0, 0, 33, crc=7, compressed_size=size, size=size, offset=offset)
    central = record.central()
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.seek(offset)
        file.write(record.local())
        start = file.seek(offset + len(record.local()) + size)
        file.write(central + end_records(1, start, len(central), b""))
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[0]
        assert (info.file_size, info.compress_size, info.header_offset) == (size, size, offset)
        with archive.open(info) as member_file:
            assert member_file.read(10) == bytes(10)
    many = end_records(70_000, 100, 200, b"")
    assert many.startswith(b"PK\x06\x06")
