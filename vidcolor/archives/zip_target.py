"""Writing of zips: members compressed as in their source, the directory at the end written from the journal."""

import hashlib
import shutil
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from vidcolor.archives.archive_target import ArchiveTarget
from vidcolor.archives.entries import Entry
from vidcolor.archives.journal import Outcome, Record
from vidcolor.archives.names import escape_bytes, safe_name
from vidcolor.archives.targets import CHUNK_BYTES, Content, RefusedError, read_chunks, size_of
from vidcolor.archives.zip_records import DEFLATED, STORED, UTF8_FLAG, ZipRecord, end_records, remove_extras
from vidcolor.archives.zip_recovery import ConcatenatedFile
from vidcolor.archives.zip_source import ZipOrigin, raw_name
from vidcolor.errors import SourceError
from vidcolor.outputs import write_failure
from vidcolor.printable import printable

_ZIP64_EXTRA, _UNICODE_PATH_EXTRA = 0x0001, 0x7075
_DOS_FOLDER = 0x10
_COMPRESSION_FLAGS = 0x6  # compression options; LZMA's end mark
_LEVEL = 6
_LONGEST_NAME = 65_000  # bytes


class ZipTarget(ArchiveTarget):
    """Keeps names bytewise, times, permissions, comments and extra fields. Copied members are not compressed again."""

    def copy(self, entry: Entry, outcome: Outcome = "copied", *, reason: str = "") -> Outcome:
        if isinstance(entry.origin, ZipOrigin) and not entry.refusal and (entry.kind != "link" or entry.link):
            self._copy_compressed(entry, entry.origin, outcome, reason)
            return outcome
        return super().copy(entry, outcome, reason=reason)

    def _write_member(self, entry: Entry, name: str, content: Content, record: Record) -> Record:
        size, digest, packed, crc = size_of(content), hashlib.sha256(), 0, 0
        member = replace(_new_member(entry, name), offset=self._file.tell(), size=size)
        self._file.write(member.local())
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15) if member.method == DEFLATED else None
        for chunk in read_chunks(content):
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
            packed += self._file.write(packer.compress(chunk) if packer else chunk)
        if packer:
            packed += self._file.write(packer.flush())
        self._rewrite_header(member := replace(member, crc=crc, compressed_size=packed))
        return replace(_with_member(record, name, member), output_size=size, output_sha256=digest.hexdigest())

    def _rewrite_header(self, member: ZipRecord) -> None:
        """Rewrite the local header, now that checksum and compressed size are known."""
        end = self._file.tell()
        self._file.seek(member.offset)
        self._file.write(member.local())
        self._file.seek(end)

    def _copy_compressed(self, entry: Entry, origin: ZipOrigin, outcome: Outcome, reason: str) -> None:
        """Copy a member's compressed bytes as they are. A damaged one stays so: its checksum tells."""
        info, start = origin.info, self._file.tell()
        name = entry.name if entry.kind == "directory" else self._claim(entry, None)
        member = _new_member(entry, name)
        member = replace(
            member, method=info.compress_type, flags=member.flags | info.flag_bits & _COMPRESSION_FLAGS, crc=info.CRC,
            compressed_size=info.compress_size, size=info.file_size, offset=start,
        )  # fmt: skip
        try:
            self._file.write(member.local())
            for content in origin.compressed_chunks():
                self._file.write(content)
        except SourceError:
            self._file.seek(start)
            self._file.truncate()
            raise
        except OSError as error:
            self._torn = True
            raise write_failure(self.output, error) from error
        record = Record(entry.name, entry.size, entry.mtime_ns, outcome, reason, output_size=info.file_size)
        (self._add_pending if entry.kind == "directory" else self._record)(_with_member(record, name, member))

    def _copy_without_content(self, entry: Entry, outcome: Outcome, reason: str) -> Outcome:
        if entry.kind == "link":
            return self._copy_link(entry, outcome, reason)
        if entry.name != ".":
            record = Record(entry.name, entry.size, entry.mtime_ns, outcome, reason)
            self._add_pending(self._append_member(entry, safe_name(entry.name), b"", record))
        return outcome

    def _copy_link(self, entry: Entry, outcome: Outcome, reason: str) -> Outcome:
        """Copy a symbolic link as Info-ZIP stores it, or the file that a hard link means, which a zip cannot hold."""
        if entry.link is not None:
            record = Record(entry.name, entry.size, entry.mtime_ns, outcome, reason)
            content = entry.link.encode(errors="surrogateescape")
            self._record(self._append_member(entry, self._claim(entry, None), content, record))
            return outcome
        original = self._find_original(entry)
        if original is None or original.central is None:
            return self.skip(entry, f"a hard link to {printable(entry.same_as or '')}, which is not in the output")
        spooled = self.scratch_path(entry)
        try:
            self._unpack(bytes.fromhex(original.central), spooled)
            return self._write_original(entry, original, spooled)
        finally:
            spooled.unlink(missing_ok=True)

    def _unpack(self, central: bytes, path: Path) -> None:
        """Decompress an earlier member, given its central record, into a file."""
        self._file.flush()
        length = self._file.tell()
        end = end_records(1, length, len(central), b"")
        with (
            self._partial.open("rb") as written,
            zipfile.ZipFile(cast(BinaryIO, ConcatenatedFile(written, length, central + end))) as archive,
            archive.open(archive.infolist()[0]) as member,
            path.open("wb") as file,
        ):
            shutil.copyfileobj(member, file, CHUNK_BYTES)

    def _claim(self, entry: Entry, name: str | None) -> str:
        wanted = name or entry.name
        if (text := escape_bytes(wanted)) != wanted:
            self.notes.append(f"{entry.printable_name}: is no text, which a zip needs; becomes {text}")
            name = text
        claimed = super()._claim(entry, name)
        if len(claimed.encode()) > _LONGEST_NAME:
            raise RefusedError(f"{claimed[:40]}...: has a longer name than a zip can hold.")
        return claimed

    def _may_end_here(self) -> bool:
        return True

    def _write_end(self) -> None:
        start, length, count = self._file.tell(), 0, 0
        for central in self._central_records():
            length += self._file.write(central)
            count += 1
        self._file.write(end_records(count, start, length, self.source.comment))

    def _central_records(self) -> Iterator[bytes]:
        """The members' central records, in the order of the file."""
        members = [record for record in self.journal.records.values() if record.central is not None]
        for record in sorted(members, key=lambda record: record.start or 0):
            yield bytes.fromhex(record.central or "")


def _with_member(record: Record, name: str, member: ZipRecord) -> Record:
    return replace(record, output=name, start=member.offset, central=member.central().hex())


def _new_member(entry: Entry, name: str) -> ZipRecord:
    if isinstance(entry.origin, ZipOrigin):
        return _member_like_source(entry, entry.origin, name)
    folder = entry.kind == "directory"
    is_link = entry.kind == "link" and entry.link is not None
    kind = stat.S_IFDIR if folder else stat.S_IFLNK if is_link else stat.S_IFREG
    mode = entry.mode if entry.mode is not None else 0o755 if folder else 0o777 if is_link else 0o644
    text = escape_bytes(name).encode() + (b"/" if folder else b"")
    flags = 0 if text.isascii() else UTF8_FLAG
    external = (kind | mode) << 16 | (_DOS_FOLDER if folder else 0)
    dos_time, dos_date = _dos_time(entry.mtime_ns)
    return ZipRecord(text, flags, STORED if folder else DEFLATED, dos_time, dos_date, external=external)


def _member_like_source(entry: Entry, origin: ZipOrigin, name: str) -> ZipRecord:
    """A record with the source's fields; sizes are in the header now, a new name is UTF-8 (APPNOTE.TXT 4.4.4)."""
    info = origin.info
    raw, flags = raw_name(info)[0], info.flag_bits & UTF8_FLAG
    dropped: tuple[int, ...] = (_ZIP64_EXTRA,)
    if not entry.keeps_name or name != entry.name:
        raw, dropped = name.encode() + (b"/" if entry.kind == "directory" else b""), (_ZIP64_EXTRA, _UNICODE_PATH_EXTRA)
        flags = 0 if raw.isascii() else UTF8_FLAG
    year, month, day, hour, minute, second = info.date_time
    return ZipRecord(
        raw, flags, info.compress_type if info.compress_type in (STORED, DEFLATED) else DEFLATED,
        hour << 11 | minute << 5 | second // 2, max(0, year - 1980) << 9 | month << 5 | day,
        system=info.create_system, internal=info.internal_attr, external=info.external_attr, comment=info.comment,
        local_extra=remove_extras(origin.read_local_extra(), *dropped),
        central_extra=remove_extras(info.extra, *dropped),
    )  # fmt: skip


def _dos_time(mtime_ns: int) -> tuple[int, int]:
    """MS-DOS time and date (APPNOTE.TXT 4.4.6): local, from 1980 on, to two seconds."""
    try:
        year, month, day, hour, minute, second, *_ = time.localtime(mtime_ns // 10**9)
    except (OverflowError, ValueError, OSError):
        year = 0
    if not 1980 <= year <= 2107:
        return 0, 1 << 5 | 1
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
