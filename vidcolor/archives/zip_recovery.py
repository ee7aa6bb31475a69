"""Recovery of a zip without its central directory: a new one is built from the members' local headers."""

import io
import zlib
from dataclasses import replace
from typing import Any, BinaryIO, cast

from vidcolor.archives.zip_records import (
    DEFLATED,
    DESCRIPTOR_FLAG,
    ENCRYPTED_FLAG,
    LOCAL,
    LOCAL_MAGIC,
    UTF8_FLAG,
    ZipRecord,
    end_records,
    name_and_extra_bytes,
    zip64_sizes,
)

_CHUNK_BYTES = 1 << 16
_DESCRIPTOR_MAGIC = b"PK\x07\x08"


def rebuild_directory(file: BinaryIO) -> tuple[BinaryIO, int, int]:
    """The file with a new directory of its complete members; their number; the byte after the last one."""
    directory: list[bytes] = []
    length = file.seek(0, 2)
    end = 0
    while (member := _read_member(file, end, length)) is not None:
        record, end = member
        directory.append(record.central())
    tail = b"".join(directory)
    tail += end_records(len(directory), end, len(tail), b"")
    return cast(BinaryIO, ConcatenatedFile(file, end, tail)), len(directory), end


def _read_member(file: BinaryIO, offset: int, length: int) -> tuple[ZipRecord, int] | None:
    """Read the member at an offset and where it ends (APPNOTE.TXT 4.3.7, 4.3.9); None where it is incomplete."""
    file.seek(offset)
    head = file.read(LOCAL.size)
    if len(head) < LOCAL.size or not head.startswith(LOCAL_MAGIC):
        return None
    name_bytes, extra_bytes = name_and_extra_bytes(head)
    name, extra = file.read(name_bytes), file.read(extra_bytes)
    record = replace(ZipRecord.from_local(head), name=name, offset=offset, flags=_usable_flags(head, name))
    size, packed = zip64_sizes(extra, record.size, record.compressed_size)
    start = offset + LOCAL.size + name_bytes + extra_bytes
    record, end = replace(record, size=size, compressed_size=packed), start + packed
    if record.flags & DESCRIPTOR_FLAG and not packed:
        measured = _measure_deflated(file, start, record)
        if measured is None:
            return None
        record, end = measured
    return (record, end) if end <= length else None


def _usable_flags(head: bytes, name: bytes) -> int:
    flags = ZipRecord.from_local(head).flags
    try:
        name.decode()
    except UnicodeDecodeError:
        flags &= ~UTF8_FLAG  # one broken name would hide all members
    return flags


def _measure_deflated(file: BinaryIO, start: int, record: ZipRecord) -> tuple[ZipRecord, int] | None:
    """Measure a member whose checksum and sizes follow it, by inflating it; the record and the member's end."""
    if record.method != DEFLATED or record.flags & ENCRYPTED_FLAG:
        return None
    inflater, crc, size, packed = zlib.decompressobj(-15), 0, 0, 0
    file.seek(start)
    while not inflater.eof:
        chunk = file.read(_CHUNK_BYTES)
        if not chunk:
            return None
        packed += len(chunk)
        while chunk and not inflater.eof:
            try:
                content = inflater.decompress(chunk, _CHUNK_BYTES)
            except zlib.error:
                return None
            crc, size, chunk = zlib.crc32(content, crc), size + len(content), inflater.unconsumed_tail
    packed -= len(inflater.unused_data) + len(inflater.unconsumed_tail)
    file.seek(start + packed)
    end = start + packed + (16 if file.read(4) == _DESCRIPTOR_MAGIC else 12)
    return replace(record, crc=crc, size=size, compressed_size=packed), end


class ConcatenatedFile(io.RawIOBase):
    """The first `length` bytes of a file, followed by `tail`."""

    def __init__(self, file: BinaryIO, length: int, tail: bytes) -> None:
        self._file, self._length, self._tail, self._position = file, length, tail, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, self._length + len(self._tail))[whence]
        if base + offset < 0:
            raise OSError("a position in front of the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position < self._length:
            self._file.seek(self._position)
            content = self._file.read(min(len(buffer), self._length - self._position))
        else:
            start = self._position - self._length
            content = self._tail[start : start + len(buffer)]
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
