"""The records of a zip file, byte for byte, by PKWARE's APPNOTE.TXT 6.3.10 (sections in brackets)."""

import struct
from dataclasses import dataclass
from typing import Self

LOCAL_MAGIC, CENTRAL_MAGIC = b"PK\x03\x04", b"PK\x01\x02"
STORED, DEFLATED = 0, 8
UTF8_FLAG, ENCRYPTED_FLAG, DESCRIPTOR_FLAG = 0x800, 0x1, 0x8
LOCAL = struct.Struct("<4s5H3I2H")  # 4.3.7
_CENTRAL = struct.Struct("<4s6H3I5H2I")  # 4.3.12
_END = struct.Struct("<4s4H2IH")  # 4.3.16
_END64 = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
_LOCATOR64 = struct.Struct("<4sIQI")  # 4.3.15

_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_ZIP64_EXTRA = 0x0001  # 4.5.3
_LONGEST_EXTRA = 65_000  # bytes; leaves room for a ZIP64 field
_ZIP64_FROM = 0xF0000000  # bytes; below 4 GiB, since packed data can be longer than what was packed
_UNIX = 3  # the system whose permissions `external` holds (4.4.2)


@dataclass(frozen=True)
class ZipRecord:
    """One member: the fields of its local header and of its entry in the central directory."""

    name: bytes
    flags: int
    method: int
    time: int  # MS-DOS time, then date: the low and the high half of one number (4.4.6)
    date: int
    crc: int = 0
    compressed_size: int = 0  # bytes
    size: int = 0  # bytes
    offset: int = 0  # of the local header
    system: int = _UNIX
    internal: int = 0
    external: int = 0
    comment: bytes = b""
    local_extra: bytes = b""
    central_extra: bytes = b""

    @property
    def version(self) -> int:
        """The version that a reader needs (4.4.3.2)."""
        return 45 if self.large or self.offset >= _MAX32 else 20

    @property
    def large(self) -> bool:
        """Whether sizes need ZIP64."""
        return self.size > _ZIP64_FROM or self.compressed_size >= _MAX32

    def local(self) -> bytes:
        """The local header. Its length does not depend on crc, compressed_size or offset, so it can be rewritten."""
        sizes, extra = (self.compressed_size, self.size), self.local_extra
        if self.large:
            sizes, extra = (
                (_MAX32, _MAX32),
                struct.pack("<2H2Q", _ZIP64_EXTRA, 16, self.size, self.compressed_size) + extra,
            )
        version = 45 if self.large else 20
        head = LOCAL.pack(
            LOCAL_MAGIC, version, self.flags, self.method, self.time, self.date, self.crc, *sizes, len(self.name),
            len(extra),
        )  # fmt: skip
        return head + self.name + extra

    def central(self) -> bytes:
        """The entry in the central directory."""
        large = [self.size, self.compressed_size] if self.large else []
        sizes = (_MAX32, _MAX32) if self.large else (self.compressed_size, self.size)
        far = [self.offset] if self.offset >= _MAX32 else []
        extra = self.central_extra
        if fields := large + far:
            extra = struct.pack(f"<2H{len(fields)}Q", _ZIP64_EXTRA, 8 * len(fields), *fields) + extra
        head = _CENTRAL.pack(
            CENTRAL_MAGIC, self.system << 8 | self.version, self.version, self.flags, self.method, self.time, self.date,
            self.crc, *sizes, len(self.name), len(extra), len(self.comment), 0, self.internal, self.external,
            min(self.offset, _MAX32),
        )  # fmt: skip
        return head + self.name + extra + self.comment

    @classmethod
    def from_local(cls, head: bytes) -> Self:
        """A record from the 30 fixed bytes of a local header, with empty name and extra."""
        _, _, flags, method, time, date, crc, packed, size, _, _ = LOCAL.unpack(head)
        return cls(b"", flags, method, time, date, crc, packed, size)


def end_records(count: int, start: int, length: int, comment: bytes) -> bytes:
    """The records behind a central directory of `count` entries. start, length: of the directory, in bytes."""
    end64 = b""
    if count >= _MAX16 or start >= _MAX32 or length >= _MAX32:
        end64 = _END64.pack(b"PK\x06\x06", 44, _UNIX << 8 | 45, 45, 0, 0, count, count, length, start)
        end64 += _LOCATOR64.pack(b"PK\x06\x07", 0, start + length, 1)
    few = min(count, _MAX16)
    end = _END.pack(b"PK\x05\x06", 0, 0, few, few, min(length, _MAX32), min(start, _MAX32), min(len(comment), _MAX16))
    return end64 + end + comment[:_MAX16]


def remove_extras(extra: bytes, *kinds: int) -> bytes:
    """Remove extra fields (4.5) of the given kinds. A damaged rest is dropped; all are, where they are too long."""
    kept = b""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if 4 + length > len(extra):
            break
        if kind not in kinds:
            kept += extra[: 4 + length]
        extra = extra[4 + length :]
    return kept if len(kept) <= _LONGEST_EXTRA else b""


def find_extra(extra: bytes, kind: int) -> bytes | None:
    """The content of the first extra field of a kind; None where there is none."""
    while len(extra) >= 4:
        found, length = struct.unpack_from("<2H", extra)
        if found == kind:
            return extra[4 : 4 + length]
        extra = extra[4 + length :]
    return None


def name_and_extra_bytes(head: bytes) -> tuple[int, int]:
    """Lengths of the name and of the extra fields that follow the 30 fixed bytes of a local header."""
    _, _, _, _, _, _, _, _, _, name_bytes, extra_bytes = LOCAL.unpack(head)
    return name_bytes, extra_bytes


def zip64_sizes(extra: bytes, size: int, packed: int) -> tuple[int, int]:
    """Uncompressed and compressed size of a local header; large ones are in a ZIP64 field."""
    field = find_extra(extra, _ZIP64_EXTRA)
    if size != _MAX32 or packed != _MAX32 or field is None or len(field) < 16:
        return size, packed
    size, packed = struct.unpack_from("<2Q", field)
    return size, packed
