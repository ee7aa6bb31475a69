"""Files of a film that is being made, and whether they are still as they were written."""

import io
import os
import struct
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from vidcolor.errors import SinkError
from vidcolor.steady.state import Arrays

HEAD = struct.Struct("<qqqI?")  # before a packet: pts, dts, duration, bytes, key frame
_CHUNK_BYTES = 1 << 20
_NEAR = 4  # of the newest twice so many segments every state is kept
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError,
    OverflowError, MemoryError, TypeError, SyntaxError,
)  # fmt: skip  # what NumPy and zipfile are known to raise for a file whose bytes were changed


def crc32_of(path: Path) -> int:
    """A checksum of a file, as zlib.crc32 counts. Raises OSError."""
    sum_ = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            sum_ = zlib.crc32(chunk, sum_)
    return sum_


def has_packets(path: Path, size: int, crc32: int | None) -> bool:
    """Whether a file of packets is as it was written. crc32: None where that was not noted, as by vidcolor 0.1.0."""
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
        while len(head := file.read(HEAD.size)) == HEAD.size:
            end += HEAD.size + HEAD.unpack(head)[3]
            file.seek(end)
    return not head and end == size


def write_state(path: Path, state: Arrays) -> int:
    """Bring a state to the disk; its checksum. Raises OSError."""
    content = io.BytesIO()
    # Without allow_pickle=False, which NumPy before 2.1 would store as one more array.
    np.savez(content, **state)  # type: ignore[arg-type]
    with path.open("wb") as target:
        target.write(content.getbuffer())
        target.flush()
        os.fsync(target.fileno())
    return zlib.crc32(content.getbuffer())


def read_state(path: Path) -> Arrays:
    """What write_state wrote. Raises SinkError for a damaged file."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # which leaves damaged ones open
            return dict(arrays)
    except _DAMAGE as error:
        raise SinkError(f"{path}: damaged. Say --no-resume to begin anew.") from error


def has_state(path: Path, crc32: int | None) -> bool:
    """Whether a state can be read, and is as it was written; see has_packets."""
    try:
        if crc32 is not None and crc32_of(path) != crc32:
            return False
        read_state(path)
    except (OSError, SinkError):
        return False
    return True


def states_kept(segments: int) -> set[int]:
    """After so many segments, the numbers of those whose states are kept, to go back to where something is damaged.

    All of the newest, and then ever fewer: what is lost is at most a quarter of what came after, or so, and a film of
    two hours keeps thirty states.
    """
    return {number for number in range(segments) if number % _step(segments - 1 - number) == 0}


def _step(age: int) -> int:
    """Power of two: of states that old one in so many is kept."""
    return 1 << max(0, (age // _NEAR).bit_length() - 1)
