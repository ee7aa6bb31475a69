"""Writing of tars, plain or compressed, with PAX headers (POSIX.1-2001), owners, times, links and folders."""

import copy
import hashlib
import math
import os
import tarfile
from dataclasses import replace
from pathlib import Path

from vidcolor.archives.archive_target import ArchiveTarget
from vidcolor.archives.compression import FrameWriter, compression_of_name
from vidcolor.archives.entries import Entry, Source
from vidcolor.archives.journal import Outcome, Record
from vidcolor.archives.names import safe_name
from vidcolor.archives.targets import Content, name_like, read_chunks, size_of
from vidcolor.errors import SinkError
from vidcolor.printable import printable
from vidcolor.run import Run

_FRAME_MEMBERS, _FRAME_BYTES = 16, 1 << 20  # a compressed frame ends with the member that reaches either
_BLOCK = tarfile.BLOCKSIZE
# Fields that new headers set; a member's other PAX fields (comments, attributes) are copied.
_OWN_FIELDS = {"path", "linkpath", "size", "mtime", "uid", "gid", "uname", "gname", "hdrcharset", "charset"}


class TarTarget(ArchiveTarget):
    """Compresses by the output's suffix. A compressed tar consists of frames, and can be cut after each of them."""

    def __init__(self, output: Path, source: Source, run: Run, *, overwrite: bool = False, resume: bool = True) -> None:
        super().__init__(output, source, run, overwrite=overwrite, resume=resume)
        self._compression = compression_of_name(self.output) or ""
        self._members_in_frame = 0

    def _open(self) -> None:
        super()._open()
        self._frames = FrameWriter(self._file, self._compression)

    def _write_member(self, entry: Entry, name: str, content: Content, record: Record) -> Record:
        size, digest = size_of(content), hashlib.sha256()
        self._write_header(_header(entry, name, tarfile.REGTYPE, size))
        written = 0
        for chunk in read_chunks(content):
            digest.update(chunk)
            self._frames.write(chunk)
            written += len(chunk)
        if written != size:
            raise SinkError(
                f"{entry.printable_name}: changed from {size} to {written} bytes while it was read. Run again."
            )
        self._frames.write(bytes(-size % _BLOCK))
        self._end_member()
        return replace(record, output=name, output_size=size, output_sha256=digest.hexdigest())

    def _copy_without_content(self, entry: Entry, outcome: Outcome, reason: str) -> Outcome:
        name, wanted, kind, link = safe_name(entry.name), None, tarfile.DIRTYPE, ""
        if entry.kind == "link":
            kind, link = tarfile.SYMTYPE, entry.link or ""
            if entry.link is None:
                if (original := self._find_original(entry)) is None:
                    return self.skip(
                        entry, f"a hard link to {printable(entry.same_as or '')}, which is not in the output"
                    )
                kind, link, outcome = tarfile.LNKTYPE, original.output or "", original.outcome
                wanted, reason = name_like(original, entry), f"the same as {printable(original.name)}"
            name = self._claim(entry, wanted)
        header = _header(entry, name, kind, 0)
        header.linkname = link
        self._write_header(header)
        self._end_member()
        record = Record(entry.name, entry.size, entry.mtime_ns, outcome, reason, output=name)
        (self._add_pending if entry.kind == "directory" else self._record)(record)
        return outcome

    def _write_header(self, header: tarfile.TarInfo) -> None:
        self._frames.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _end_member(self) -> None:
        self._members_in_frame += 1
        if self._members_in_frame >= _FRAME_MEMBERS or self._frames.open_bytes >= _FRAME_BYTES:
            self._end_frame()

    def _end_frame(self) -> None:
        self._frames.end_frame()
        self._members_in_frame = 0

    def _may_end_here(self) -> bool:
        return not self._compression or not self._members_in_frame

    def _finish(self) -> None:
        self._end_frame()
        super()._finish()

    def _write_end(self) -> None:
        self._frames.write(bytes(2 * _BLOCK))
        if not self._compression:
            self._frames.write(bytes(-self._file.tell() % tarfile.RECORDSIZE))
        self._end_frame()


def _header(entry: Entry, name: str, kind: bytes, size: int) -> tarfile.TarInfo:
    """Make the header of a member, with everything that is known of the entry."""
    match entry.origin:
        case tarfile.TarInfo() as origin:
            header = copy.copy(origin)
            fields = origin.pax_headers.items()
            header.pax_headers = {
                key: value for key, value in fields if key not in _OWN_FIELDS and not key.startswith("GNU.sparse.")
            }
            header.mtime = origin.mtime if math.isfinite(origin.mtime) else 0
            header.name = origin.name if entry.keeps_name and name == entry.name else name
        case os.stat_result() as status:
            header = tarfile.TarInfo(name)
            header.uid, header.gid = status.st_uid, status.st_gid
            header.mtime = entry.mtime_ns / 1e9 if entry.mtime_ns % 10**9 else entry.mtime_ns // 10**9
        case _:
            header = tarfile.TarInfo(name)
            header.mtime = entry.mtime_ns // 10**9
    if not isinstance(entry.origin, tarfile.TarInfo):
        header.mode = entry.mode if entry.mode is not None else 0o755 if kind == tarfile.DIRTYPE else 0o644
    header.type, header.size, header.linkname = kind, size, ""
    return header
