"""Entries of tars, plain or compressed, in one pass; nothing is decompressed beyond the current member."""

import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from vidcolor.archives.compression import DAMAGED, detect_compression, open_decompressed
from vidcolor.archives.entries import ArchiveSource, Entry, Kind, content_of, kind_of, notes_of
from vidcolor.archives.limits import Limits, Meter, Metered
from vidcolor.archives.names import UniqueNames, UnsafeNameError, resolve_link, safe_name
from vidcolor.archives.tar_headers import CheckedTarFile
from vidcolor.counts import counted
from vidcolor.errors import ReadError, SourceError
from vidcolor.outputs import open_input
from vidcolor.printable import printable

_DAMAGED = (*DAMAGED, tarfile.TarError)
_CHUNK_BYTES = 1 << 20
_MOST_HEADER_BYTES = 1 << 24  # of one member, extended headers and maps of holes included
_SPECIAL_FILES = {tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a named pipe"}


class TarSource(ArchiveSource):
    """The members of a tar, in its order. Damage ends the list: `damage` states where.

    Raises SourceError when the file is no tar at all.
    """

    def __init__(self, path: Path, *, limits: Limits | None = None) -> None:
        super().__init__(Path(path), limits or Limits())
        self._meter = Meter(self.limits, str(path))
        self._names, self._given = UniqueNames(), dict[str, str]()
        self._current: tarfile.TarInfo | None = None
        file = open_input(self.path)
        self.compression = detect_compression(file.read(6))
        file.seek(0)
        status = os.fstat(file.fileno())
        self.form = f"tar.{self.compression}".rstrip(".")
        self.identity = f"{status.st_size}:{status.st_mtime_ns}"
        self._stream = _ForwardReader(file, self.compression, self._meter)
        try:
            with self._stream.reading_header():
                self._tar = CheckedTarFile(fileobj=cast(BinaryIO, self._stream), mode="r")
        except ReadError:
            self.close()
            raise
        except (*_DAMAGED, SourceError) as error:
            self.close()
            raise SourceError(f"{path}: not a readable tar archive ({error}). Copy it again.") from error

    def __iter__(self) -> Iterator[Entry]:
        while (member := self._next_member()) is not None:
            self._current = member
            self._meter.count_member()
            entry = self._make_entry(member)
            if not (entry.kind == "directory" and self._names.is_repeated(entry.name)):
                yield entry

    def contents(self, wanted: Callable[[str], bool], limit: int) -> Iterator[tuple[str, bytes]]:
        """See ArchiveSource. A missing end mark, which some writers leave out, is no damage here."""
        while (member := self._next_member(needs_end=False)) is not None:
            self._current = member
            self._meter.count_member()
            if member.isfile() and wanted(member.name):
                yield member.name, self._content(member, limit)

    def _content(self, member: tarfile.TarInfo, limit: int) -> bytes:
        if member.size > limit:
            return b""
        try:
            with self._opener(member, member.name)() as file:
                return content_of(file, member.size, limit, member.name)
        except ReadError:  # of the drive
            raise
        except SourceError:
            return b""

    def close(self) -> None:
        self._stream.close()

    def _next_member(self, *, needs_end: bool = True) -> tarfile.TarInfo | None:
        try:
            with self._stream.reading_header():
                member = self._tar.next()
        except ReadError:  # the drive failed; the tar itself is not damaged
            raise
        except (*_DAMAGED, SourceError) as error:
            self._note_damage(printable(str(error)))
            return None
        self._tar.members.clear()  # type: ignore[attr-defined] # TarFile would keep them all
        ends = (tarfile.EOFHeaderError, *(() if needs_end else (tarfile.EmptyHeaderError,)))  # type: ignore[attr-defined]
        if member is None and not isinstance(self._tar.ended_by, ends):
            self._note_damage(printable(str(self._tar.ended_by)))
        return member

    def _note_damage(self, found: str) -> None:
        count = self._meter.members
        self.damage.append(
            f"{self.path}: breaks off after {counted(count, 'member')} ({found}). Copy it again; the rest is lost."
        )

    def _make_entry(self, member: tarfile.TarInfo) -> Entry:
        kind, refusal = _kind_and_refusal(member)
        name = member.name
        try:
            name = safe_name(member.name)
            if name == "." and kind != "directory":
                refusal, name = "it has no name", self._names.claim_label("")
            else:
                name = self._names.claim(name, folder=kind == "directory")
        except UnsafeNameError as error:
            refusal, name = str(error), self._names.claim_label(member.name)
        same_as = self._same_as(member, name) if kind == "link" and not refusal else None
        if kind == "link" and same_as is None:
            refusal = refusal or f"a link that leads out of the archive, to {printable(member.linkname)}"
        stored = "/".join(part for part in member.name.split("/") if part not in ("", ".")) or "."
        faithful = stored == name and not member.name.startswith("/")
        if not refusal:
            self._given[stored] = name
        return Entry(
            name, member.name.encode("utf-8", "surrogateescape"), kind, member.size if member.isfile() else 0,
            _mtime_ns(member), mode=member.mode & 0o7777,
            link=member.linkname if member.issym() else None, same_as=same_as,
            notes=() if refusal else notes_of(name, stored), refusal=refusal, keeps_name=faithful,
            can_reopen=not self.compression, origin=member,
            opener=self._opener(member, name) if member.isfile() else None,
        )  # fmt: skip

    def _same_as(self, member: tarfile.TarInfo, name: str) -> str | None:
        """The entry that a link leads to; None when it leads outside."""
        if member.issym():
            return resolve_link(name, member.linkname)
        try:  # a hard link names an earlier member from the root
            return self._given.get(safe_name(member.linkname))
        except UnsafeNameError:
            return None

    def _opener(self, member: tarfile.TarInfo, name: str) -> Callable[[], BinaryIO]:
        def open_member() -> BinaryIO:
            if self._current is not member:
                raise SourceError(f"{printable(name)}: the tar was read past it already.")
            content = cast(BinaryIO, self._tar.extractfile(member))
            return cast(
                BinaryIO,
                Metered(
                    content, self._meter, printable(name), damaged=_DAMAGED, expected_bytes=member.size,
                    packed_bytes=lambda: self._stream.tell() - member.offset_data,  # less than read, if sparse
                ),
            )  # fmt: skip

        return open_member


def _kind_and_refusal(member: tarfile.TarInfo) -> tuple[Kind, str]:
    if member.isdir():
        return "directory", ""
    if member.islnk() or member.issym():
        return "link", ""
    if member.isfile():
        return kind_of(member.name), ""
    return "other", f"{_SPECIAL_FILES.get(member.type, 'a member of unknown type')}; not read"


def _mtime_ns(member: tarfile.TarInfo) -> int:
    """A member's time; PAX headers hold decimal fractions, and broken ones anything."""
    mtime_ns = round(member.mtime * 1e9) if abs(member.mtime) < 1e10 else 0  # False for NaN, too
    return mtime_ns if abs(mtime_ns) < 1 << 63 else 0


class _ForwardReader:
    """The decompressed tar for TarFile: seeks forwards only. Damage raises SourceError."""

    def __init__(self, file: BinaryIO, compression: str, meter: Meter) -> None:
        self.name = file.name
        self._raw, self._is_compressed, self._meter = file, bool(compression), meter
        self._file = open_decompressed(file, compression)
        self._position = 0
        self._header_left: int | None = None  # bytes that the current header may still have

    def tell(self) -> int:
        return self._position

    @contextmanager
    def reading_header(self) -> Iterator[None]:
        """Limit how much is read of a header, which states its own length."""
        self._header_left = _MOST_HEADER_BYTES
        try:
            yield
        finally:
            self._header_left = None

    def read(self, size: int) -> bytes:
        if self._header_left is not None:
            self._header_left -= max(0, size)
            if self._header_left < 0:
                raise SourceError(f"a header of more than {_MOST_HEADER_BYTES} bytes")
        return self._read(size)

    def _read(self, size: int) -> bytes:
        try:
            content = self._file.read(size)
        except DAMAGED as error:
            raise SourceError(f"{error or 'breaks off'}") from error
        self._position += len(content)
        if self._is_compressed:
            self._meter.check_ratio("the tar", self._position, self._raw.tell())
        return content

    def seek(self, position: int) -> None:
        if not self._is_compressed:
            self._position = self._file.seek(position)
        elif position < self._position:
            raise SourceError("a packed tar can be read only forwards")
        while self._position < position:
            if not self._read(min(_CHUNK_BYTES, position - self._position)):
                return

    def close(self) -> None:
        self._file.close()
        self._raw.close()
