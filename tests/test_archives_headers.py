"""Whatever number an archive's headers hold, reading ends, in order, and says what was wrong."""

import gzip
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_fixtures import member, process, tree

from vidcolor.archives import open_source, tar_source
from vidcolor.archives.photos import encoded
from vidcolor.errors import SourceError

SECONDS = 60  # after which reading counts as endless

READ = """
import json, sys
from vidcolor.errors import SourceError
from vidcolor.archives import open_source
said = {}
for path in sys.argv[1:]:
    names = []
    with open_source([path]) as source:
        for entry in source:
            names.append(entry.name)
            if entry.kind == "photo" and not entry.refusal:
                try:
                    entry.read(1 << 22)
                except SourceError as error:
                    names.append(str(error))
        said[path] = names, source.damage
print(json.dumps(said))
"""


def read_all(*paths: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Names, errors and damage of archives, read by a process that may not take for ever."""
    command = [sys.executable, "-c", READ, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return {Path(path).name: found for path, found in json.loads(done.stdout).items()}


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A GNU header, which holds any number in base 256, those below 0 too."""
    return member(name, size, kind=kind).tobuf(tarfile.GNU_FORMAT)


def pax(**fields: str) -> bytes:
    records = b""
    for key, value in fields.items():
        record = f" {key.replace('__', '.')}={value}\n"
        length = len(record) + len(str(len(record)))
        length = len(record) + len(str(length))
        records += f"{length}{record}".encode()
    return header("pax", len(records), tarfile.XHDTYPE) + padded(records)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def photo(name: str, content: bytes = b"photo") -> bytes:
    return header(name, len(content)) + padded(content)


def old_sparse(*pieces: tuple[int, int], size: int) -> bytes:
    """GNU tar's own kind, which has its map in the header."""
    raw = bytearray(header("hole.jpg", 512, tarfile.GNUTYPE_SPARSE))
    for number, piece in enumerate(pieces):
        said = b"".join(tarfile.itn(value, 12, tarfile.GNU_FORMAT) for value in piece)
        raw[386 + 24 * number : 410 + 24 * number] = said
    raw[483:495] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    raw[148:156] = b" " * 8
    raw[148:155] = f"{sum(raw):06o}\0".encode()
    return bytes(raw) + bytes(512)


WRONG = {
    "PAX size below 0": pax(size="-512") + photo("bad.jpg"),
    "PAX size far below 0": pax(size="-1000000") + photo("bad.jpg"),
    "PAX size of 400 digits": pax(size="9" * 400) + photo("bad.jpg"),
    "size of 2**70": header("bad.jpg", 1 << 70) + padded(b"photo"),
    "base 256 below 0": header("bad.jpg", -512),
    "long name below 0": header("././@LongLink", -1024, tarfile.GNUTYPE_LONGNAME) + photo("bad.jpg"),
    "PAX header below 0": header("pax", -1024, tarfile.XHDTYPE) + photo("bad.jpg"),
    "long name of 1 TiB": header("././@LongLink", 1 << 40, tarfile.GNUTYPE_LONGNAME) + photo("bad.jpg"),
    "real size below 0": pax(GNU__sparse__realsize="-5") + photo("bad.jpg"),
    "real size in words": pax(GNU__sparse__realsize="many") + photo("bad.jpg"),
    "map backwards": pax(GNU__sparse__size="900", GNU__sparse__map="500,5,0,5") + photo("bad.jpg"),
    "map in words": pax(GNU__sparse__size="900", GNU__sparse__map="a,b") + photo("bad.jpg"),
    "map past the end": pax(GNU__sparse__size="9", GNU__sparse__map="500,5") + photo("bad.jpg"),
    "map in front": pax(GNU__sparse__major="1", GNU__sparse__minor="0") + photo("bad.jpg", b"1\n-5\n5\n"),
    "map of length below 0": old_sparse((100, -50), size=1000),
    "map of place below 0": old_sparse((-100, 50), size=1000),
    "old real size below 0": old_sparse((0, 512), size=-1),
    "headers of headers": b"".join(pax(comment=str(number)) for number in range(5000)) + photo("bad.jpg"),
}  # fmt: skip


def test_reading_a_tar_ends_whatever_its_numbers_say(tmp_path: Path) -> None:
    for name, content in WRONG.items():
        whole = photo("good.jpg") + content + photo("after.jpg")
        (tmp_path / f"{name}.tar").write_bytes(whole + bytes(1024))
        (tmp_path / f"{name}.tar.gz").write_bytes(gzip.compress(whole + bytes(1024)))
    said = read_all(*sorted(tmp_path.iterdir()))
    assert len(said) == 2 * len(WRONG)
    for name, (found, damage) in said.items():
        assert found[0] == "good.jpg", name
        assert "bad.jpg" not in found, name
        assert "breaks off after 1 member" in damage[0], name
        assert len(damage[0]) < 300, name
    assert "bad.jpg: a size below 0" in said["PAX size below 0.tar"][1][0]


def test_training_ends_on_them_too(tmp_path: Path) -> None:
    path = tmp_path / "box.tar"
    path.write_bytes(photo("good.jpg") + WRONG["PAX size below 0"] + bytes(1024))
    names = []
    with pytest.raises(SourceError, match="breaks off after 1 member"):
        names.extend(name for name, _ in encoded([path]))


def test_files_with_holes_are_read(tmp_path: Path) -> None:
    content = b"x" * 512
    pieces = pax(GNU__sparse__size="1200", GNU__sparse__map="0,100,500,412,1200,0") + photo("new.jpg", content)
    (tmp_path / "in.tar").write_bytes(pieces + old_sparse((512, 512), size=2000)[:512] + content + bytes(1024))
    assert process(tmp_path / "in.tar", tmp_path / "out")[0] == {"colored": 2}
    found = {name: content.translate(bytes(range(255, -1, -1))) for name, content in tree(tmp_path / "out").items()}
    assert found["new.jpg"] == b"x" * 100 + bytes(400) + b"x" * 412 + bytes(288)
    assert found["hole.jpg"] == bytes(512) + content + bytes(976)


def test_a_map_without_end_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_source, "_MOST_HEADER_BYTES", 1 << 18)
    head = pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__realsize="5")
    endless = head + photo("bad.jpg", b"999999999\n" + b"0\n" * (1 << 20))
    (tmp_path / "in.tar").write_bytes(photo("good.jpg") + endless + bytes(1024))
    with open_source([tmp_path / "in.tar"]) as source:
        assert [entry.name for entry in source] == ["good.jpg"]
        assert "a header of more than 262144 bytes" in source.damage[0]
        assert source._stream.tell() < 1 << 19


def _field(name: bytes, offset: int, value: bytes) -> Callable[[bytearray], None]:
    def set_in(content: bytearray) -> None:
        at = content.rindex(name) - 46 + offset  # of the member's record in the directory
        content[at : at + len(value)] = value

    return set_in


@pytest.mark.parametrize("large", [0xFFFFFFFE, 0x7FFFFFFF, None])
@pytest.mark.parametrize("place", [20, 42])
def test_members_that_would_lie_outside_of_a_zip_are_refused(tmp_path: Path, place: int, large: int | None) -> None:
    """place: of the packed size or the offset in the directory.  large: None for 2**64 - 9, in a ZIP64 field."""
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("bad.jpg")
        info.extra = struct.pack("<2HQ", 1, 8, (1 << 64) - 9) if large is None else b""
        archive.writestr("good.jpg", b"good")
        info.external_attr = 0o120777 << 16  # a link, whose content is read at once
        archive.writestr(info, b"good.jpg")
    content = bytearray(path.read_bytes())
    _field(b"bad.jpg", place, struct.pack("<I", 0xFFFFFFFF if large is None else large))(content)
    path.write_bytes(content)
    counts, lines = process(path, tmp_path / "out")
    assert counts == {"colored": 1, "skipped": 1}
    assert any("outside of the archive" in line for line in lines)
    for output in ("out.zip", "out.tar"):
        assert process(path, tmp_path / output)[0] == counts


@pytest.mark.parametrize("place", [12, 16])
def test_a_zip_whose_end_leads_nowhere_is_read_from_its_start(tmp_path: Path, place: int) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.jpg", b"good")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\5\6") + place, 0xFFFFFFF0)
    path.write_bytes(content)
    with open_source([path]) as source:
        assert [entry.name for entry in source] == ["good.jpg"]
        assert "directory cannot be read" in source.damage[0]
