"""Compression of tars: reading of whole files, and writing in frames, after any of which the file may end.

gzip (RFC 1952, 2.2), xz (.xz format 1.2, 2), bzip2 and Zstandard (RFC 8878, 3) all define a file as one or more
members one after another, and every common reader accepts that.
"""

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from vidcolor.formats import TARS, archive_ending
from vidcolor.outputs import write_failure

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSIONS = ("", "gz", "xz", "bz2", "zst")

DAMAGED = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstd.ZstdError)

_MAGIC = {b"\x1f\x8b": "gz", b"\xfd7zXZ\x00": "xz", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zst"}

_GZIP = 31  # zlib's wbits for a gzip header, with a time of 0
_GZIP_LEVEL, _XZ_PRESET, _ZSTD_LEVEL = 6, 3, 6  # photos hardly compress; higher levels only cost time


def detect_compression(head: bytes) -> str:
    """Detect the compression by a file's first six bytes or more; "" for none."""
    return next((packing for magic, packing in _MAGIC.items() if head.startswith(magic)), "")


def compression_of_name(path: Path) -> str | None:
    """The compression that a tar's name asks for, "" for none; None when it is not a tar's name."""
    return TARS.get(archive_ending(path.name))


def open_decompressed(file: BinaryIO, compression: str) -> BinaryIO:
    """Open a compressed file for reading, all its members one after another."""
    readers: dict[str, Callable[[BinaryIO], Any]] = {
        "": lambda raw: raw,
        "gz": lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"),
        "xz": lzma.LZMAFile,
        "bz2": bz2.BZ2File,
        "zst": zstd.ZstdFile,
    }
    return cast(BinaryIO, readers[compression](file))


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


_COMPRESSORS: dict[str, Callable[[], Any]] = {
    "gz": lambda: zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP),
    "xz": lambda: lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC64, preset=_XZ_PRESET),
    "bz2": bz2.BZ2Compressor,
    "zst": lambda: zstd.ZstdCompressor(_ZSTD_LEVEL),
}


class FrameWriter:
    """Writes bytes to a file in compressed frames. The same calls always give the same bytes."""

    def __init__(self, file: BinaryIO, compression: str) -> None:
        self._file, self._new_compressor = file, _COMPRESSORS.get(compression)
        self._compressor: _Compressor | None = None
        self.open_bytes = 0  # uncompressed, in the open frame

    def write(self, content: bytes) -> None:
        """Compress and write bytes. Raises SinkError."""
        self.open_bytes += len(content)
        if self._new_compressor is not None:
            self._compressor = self._compressor or self._new_compressor()
            content = self._compressor.compress(content)
        self._write_raw(content)

    def end_frame(self) -> None:
        """End the frame: the file so far is complete."""
        if self._compressor is not None:
            self._write_raw(self._compressor.flush())
        self._compressor, self.open_bytes = None, 0

    def _write_raw(self, content: bytes) -> None:
        try:
            self._file.write(content)
        except OSError as error:
            raise write_failure(Path(str(self._file.name)), error) from error
