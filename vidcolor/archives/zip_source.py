"""Entries of zip files and CBZ comics, in the order of their directory."""

import lzma
import os
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from vidcolor.archives import zip_recovery
from vidcolor.archives.entries import ArchiveSource, Entry, Kind, content_of, kind_of, notes_of
from vidcolor.archives.limits import Limits, Meter, Metered
from vidcolor.archives.names import UniqueNames, UnsafeNameError, resolve_link, safe_name
from vidcolor.archives.zip_records import (
    ENCRYPTED_FLAG,
    LOCAL,
    LOCAL_MAGIC,
    UTF8_FLAG,
    find_extra,
    name_and_extra_bytes,
)
from vidcolor.counts import counted
from vidcolor.errors import ReadError, SourceError
from vidcolor.outputs import open_input
from vidcolor.printable import printable

# What zipfile raises for damaged content; RuntimeError and NotImplementedError for what it cannot decompress.
DAMAGED = (
    OSError, EOFError, ValueError, OverflowError, RuntimeError, NotImplementedError, struct.error, zlib.error,
    lzma.LZMAError, zipfile.BadZipFile,
)  # fmt: skip
_UNIX, _OSX = 3, 19  # systems whose `external_attr` holds a mode (APPNOTE.TXT 4.4.2)
_TIMES_EXTRA = 0x5455  # Info-ZIP's "UT": seconds since 1970 UTC
_LONGEST_LINK = 4096  # bytes
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ZipOrigin:
    """The place of a member, for a target that copies its compressed bytes."""

    info: zipfile.ZipInfo
    path: Path

    def read_local_extra(self) -> bytes:
        """Read the extra fields of the local header; unlike those in the directory, they hold all times."""
        with open_input(self.path) as file:
            return self._seek_to_content(file)

    def compressed_chunks(self) -> Iterator[bytes]:
        """Read the compressed bytes. Raises SourceError for damage."""
        with open_input(self.path) as file:
            self._seek_to_content(file)
            left = self.info.compress_size
            while left:
                content = file.read(min(left, _CHUNK_BYTES))
                if not content:
                    raise SourceError(f"{printable(self.info.filename)}: breaks off.")
                left -= len(content)
                yield content

    def _seek_to_content(self, file: BinaryIO) -> bytes:
        """Seek to the compressed bytes; the extra fields in front of them."""
        file.seek(self.info.header_offset)
        head = file.read(LOCAL.size)
        if len(head) < LOCAL.size or not head.startswith(LOCAL_MAGIC):
            raise SourceError(f"{printable(self.info.filename)}: damaged: no header where the directory says.")
        name_bytes, extra_bytes = name_and_extra_bytes(head)
        file.seek(name_bytes, os.SEEK_CUR)
        return file.read(extra_bytes)


class ZipSource(ArchiveSource):
    """The members of a zip. A zip without a readable directory is recovered from its start, and `damage` says so.

    Raises SourceError when the file is no zip at all.
    """

    form = "zip"

    def __init__(self, path: Path, *, limits: Limits | None = None) -> None:
        super().__init__(Path(path), limits or Limits())
        self._meter = Meter(self.limits, str(path))
        self._file: BinaryIO = open_input(self.path)
        status = os.fstat(self._file.fileno())
        self.identity = f"{status.st_size}:{status.st_mtime_ns}"
        self._file_bytes = status.st_size
        try:
            try:
                self._zip = self._open_zip()
            except DAMAGED as error:
                self._zip = self._recover(error)
        except ReadError:
            self._file.close()
            raise
        self.comment, self._infos = self._zip.comment, self._zip.infolist()
        self._overlapping = _find_overlapping(self._infos)

    def __iter__(self) -> Iterator[Entry]:
        names = UniqueNames()
        for info in self._infos:
            self._meter.count_member()
            entry = self._make_entry(info, names)
            if not (entry.kind == "directory" and names.is_repeated(entry.name)):
                yield entry

    def contents(self, wanted: Callable[[str], bool], limit: int) -> Iterator[tuple[str, bytes]]:
        """See ArchiveSource."""
        for info in self._infos:
            self._meter.count_member()
            if not info.is_dir() and wanted(info.filename):
                yield info.filename, self._content(info, limit)

    def _content(self, info: zipfile.ZipInfo, limit: int) -> bytes:
        if info.file_size > limit or self._refusal(info):
            return b""
        try:
            with self._open_member(info, printable(info.filename)) as file:
                return content_of(file, info.file_size, limit, info.filename)
        except ReadError:  # of the drive
            raise
        except SourceError:
            return b""

    def close(self) -> None:
        self._zip.close()
        self._file.close()

    def _open_zip(self) -> zipfile.ZipFile:
        opened = zipfile.ZipFile(self._file)
        if (infos := opened.infolist()) and all(self._is_outside(info) for info in infos):
            raise zipfile.BadZipFile("it names no place in the file")
        return opened

    def _is_outside(self, info: zipfile.ZipInfo) -> bool:
        return not 0 <= info.header_offset <= self._file_bytes - LOCAL.size - info.compress_size

    def _recover(self, error: Exception) -> zipfile.ZipFile:
        whole, count, end = zip_recovery.rebuild_directory(self._file)
        if not count:
            self._file.close()
            raise SourceError(f"{self.path}: not a readable zip archive ({error}). Copy it again.") from error
        self.damage.append(
            f"{self.path}: its directory cannot be read ({error}): {counted(count, 'member')} found up to byte {end},"
            " what follows is lost. Copy it again."
        )
        return zipfile.ZipFile(whole)

    def _make_entry(self, info: zipfile.ZipInfo, names: UniqueNames) -> Entry:
        raw, text = raw_name(info)
        mode = info.external_attr >> 16 if info.create_system in (_UNIX, _OSX) else 0
        kind, refusal = self._kind_and_refusal(info, text, mode)
        name = text
        try:
            name = safe_name(text, backslash_separates=True)
            if name == "." and kind != "directory":
                refusal, name = "it has no name", names.claim_label("")
            else:
                name = names.claim(name, folder=kind == "directory")
        except UnsafeNameError as error:
            refusal, name = str(error), names.claim_label(text)
        link = self._read_link(info, name) if kind == "link" and not refusal else None
        if kind == "link" and link is None:
            refusal = refusal or "a link that leads out of the archive"
        stored = text.rstrip("/")
        return Entry(
            name, raw, kind, info.file_size, _mtime_ns(info), mode=stat.S_IMODE(mode) or None, link=link,
            notes=() if refusal else notes_of(name, stored), refusal=refusal, keeps_name=name == stored,
            same_as=resolve_link(name, link) if link else None, origin=ZipOrigin(info, self.path),
            opener=lambda: self._open_member(info, printable(name)),
        )  # fmt: skip

    def _kind_and_refusal(self, info: zipfile.ZipInfo, name: str, mode: int) -> tuple[Kind, str]:
        if refusal := self._refusal(info):
            return kind_of(name), refusal
        if name.endswith(("/", "\\")):
            return "directory", ""
        if stat.S_ISLNK(mode):
            return "link", ""
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            return "other", "a device or pipe; not read"
        return kind_of(name), ""

    def _refusal(self, info: zipfile.ZipInfo) -> str:
        """Why its bytes must not be read; "" for almost all."""
        if info.flag_bits & ENCRYPTED_FLAG:
            return "it is encrypted; unpack the archive with its password first"
        if self._is_outside(info):
            return "its bytes would lie outside of the archive"
        if info.header_offset in self._overlapping:
            return "its bytes overlap with another member's, as a bomb's do"
        return ""

    def _read_link(self, info: zipfile.ZipInfo, name: str) -> str | None:
        """Read the target of a symbolic link from its content; None when it leads outside."""
        try:
            with self._open_member(info, name) as file:
                target = file.read(_LONGEST_LINK).decode()
        except (SourceError, UnicodeDecodeError):
            return None
        return target if resolve_link(name, target) is not None else None

    def _open_member(self, info: zipfile.ZipInfo, name: str) -> BinaryIO:
        try:
            file = cast(BinaryIO, self._zip.open(info))
        except DAMAGED as error:
            raise SourceError(f"{self.path}: {name}: cannot be unpacked ({error}).") from error
        metered = Metered(
            file, self._meter, name, damaged=DAMAGED, expected_bytes=info.file_size,
            packed_bytes=lambda: info.compress_size,
        )  # fmt: skip
        return cast(BinaryIO, metered)


def raw_name(info: zipfile.ZipInfo) -> tuple[bytes, str]:
    """A member's name as stored and as text: UTF-8 where it is valid, flagged or not, else code page 437 (app. D)."""
    raw = info.orig_filename.encode("utf-8" if info.flag_bits & UTF8_FLAG else "cp437", "surrogateescape")
    try:
        return raw, raw.decode()
    except UnicodeDecodeError:
        return raw, raw.decode("cp437")


def _find_overlapping(infos: list[zipfile.ZipInfo]) -> set[int]:
    """Offsets of members that begin before the previous member ends."""
    found, end = set(), 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            found.add(info.header_offset)
        end = max(end, info.header_offset + LOCAL.size + info.compress_size)
    return found


def _mtime_ns(info: zipfile.ZipInfo) -> int:
    """A member's time: seconds of Info-ZIP's field, else the local MS-DOS time."""
    field = find_extra(info.extra, _TIMES_EXTRA)
    if field is not None and len(field) >= 5 and field[0] & 1:
        return int(struct.unpack_from("<i", field, 1)[0]) * 10**9
    try:
        return int(time.mktime((*info.date_time, 0, 0, -1))) * 10**9
    except (OverflowError, ValueError):
        return 0
