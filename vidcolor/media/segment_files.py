"""Files of finished segments: how packets and states are stored, and whether they are still as they were written."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
from av.packet import Packet

from vidcolor.errors import SinkError
from vidcolor.steady.state import Arrays

_PACKET_HEADER = struct.Struct("<qqqI?")  # pts, dts, duration, bytes, key frame
_NONE = -(1 << 63)  # no pts or dts
_CHUNK_BYTES = 1 << 20
_NEAR = 4  # every state is kept of the newest 2 * _NEAR segments
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError,
    OverflowError, MemoryError, TypeError, SyntaxError,
)  # fmt: skip  # what NumPy and zipfile are known to raise for a file whose bytes were changed


def write_packet(file: BinaryIO, packet: "Packet[Any]", crc32: int) -> tuple[int, int]:
    """Write a packet after its header; how many bytes, and the file's checksum, which was `crc32` before."""
    pts, dts = (_NONE if stamp is None else stamp for stamp in (packet.pts, packet.dts))
    header = _PACKET_HEADER.pack(pts, dts, packet.duration or 0, packet.size, packet.is_keyframe)
    crc32 = zlib.crc32(packet, zlib.crc32(header, crc32))
    return file.write(header) + file.write(packet), crc32


def read_packets(path: Path, time_base: Fraction) -> Iterator["Packet[Any]"]:
    """The packets of a file, in the order they were written. Raises OSError."""
    with path.open("rb") as file:
        while header := file.read(_PACKET_HEADER.size):
            pts, dts, duration, size, is_key = _PACKET_HEADER.unpack(header)
            yield make_packet(file.read(size), pts, dts, duration, time_base, is_key=is_key)


def copy_packet(packet: "Packet[Any]") -> "Packet[Any]":
    """A copy of a packet, as it would come back from its file."""
    pts, dts = (_NONE if stamp is None else stamp for stamp in (packet.pts, packet.dts))
    return make_packet(bytes(packet), pts, dts, packet.duration or 0, packet.time_base, is_key=packet.is_keyframe)


def make_packet(
    content: bytes, pts: int, dts: int, duration: int, time_base: Fraction, *, is_key: bool
) -> "Packet[Any]":
    """A packet of these bytes and times."""
    packet: Packet[Any] = Packet(content)
    packet.pts, packet.dts = (None if stamp == _NONE else stamp for stamp in (pts, dts))
    packet.duration, packet.time_base, packet.is_keyframe = duration, time_base, is_key
    return packet


def crc32_of(path: Path) -> int:
    """A checksum of a file, as zlib.crc32 counts. Raises OSError."""
    sum_ = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            sum_ = zlib.crc32(chunk, sum_)
    return sum_


def has_packets(path: Path, size: int, crc32: int | None) -> bool:
    """Whether a file of packets is as it was written. crc32: None where vidcolor 0.1.0 wrote it, without one."""
    try:
        if path.stat().st_size != size:
            return False
        return _is_chain(path, size) if crc32 is None else crc32_of(path) == crc32
    except OSError:
        return False


def _is_chain(path: Path, size: int) -> bool:
    """Whether each packet ends where the next begins, and the last one with the file."""
    end = 0
    with path.open("rb") as file:
        while len(head := file.read(_PACKET_HEADER.size)) == _PACKET_HEADER.size:
            end += _PACKET_HEADER.size + _PACKET_HEADER.unpack(head)[3]
            file.seek(end)
    return not head and end == size


def write_state(path: Path, state: Arrays) -> int:
    """Write a state and wait until it is on the disk; gives its checksum. Raises OSError."""
    content = io.BytesIO()
    # Without allow_pickle=False, which NumPy before 2.1 would store as one more array.
    np.savez(content, **state)  # type: ignore[arg-type]
    with path.open("wb") as target:
        target.write(content.getbuffer())
        target.flush()
        os.fsync(target.fileno())
    return zlib.crc32(content.getbuffer())


def read_state(path: Path) -> Arrays:
    """Read a state that write_state wrote. Raises SinkError for a damaged file."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # which leaves damaged ones open
            return dict(arrays)
    except _DAMAGE as error:
        raise SinkError(f"{path}: damaged. Say --no-resume to start over.") from error


def has_state(path: Path, crc32: int | None) -> bool:
    """Whether a state can be read, and is as it was written; see has_packets."""
    try:
        if crc32 is not None and crc32_of(path) != crc32:
            return False
        read_state(path)
    except (OSError, SinkError):
        return False
    return True


def kept_states(segments: int) -> set[int]:
    """Which segments of so many have their state kept, by number, to go back to where a newer one is damaged.

    Every one of the newest, and ever fewer of older ones: about a quarter of what came after is lost at most, and a
    film of two hours keeps thirty states.
    """
    return {number for number in range(segments) if number % _spacing(segments - 1 - number) == 0}


def _spacing(age: int) -> int:
    """A power of two: one state in so many of this age is kept."""
    return 1 << max(0, (age // _NEAR).bit_length() - 1)
