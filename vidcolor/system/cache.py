"""The user's cache folder: an entry is read exactly as written, or not at all.

The cache is optional: a missing entry is made again, and a run works without a cache folder.
"""

import hashlib
import os
import secrets
import shutil
import stat
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

_HEADER = struct.Struct("<16s32sQ")  # magic, sha256, number of parts; then the lengths, then the parts
_MAGIC = b"vidcolor cache 1"
_MAX_BYTES, _MAX_PARTS = 4 << 30, 8
UNFINISHED = ".vidcolor-new-"  # prefix of files being written
_STALE_SECONDS = 24 * 3600.0  # age of an unfinished file that nobody writes any more


def folder() -> Path:
    """The cache folder, which may not exist yet. Raises OSError for a user without a home folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # relative paths are invalid (XDG Base Directory Specification)
        return base / "vidcolor"  # on every system, as the user named it
    with suppress(RuntimeError):
        if (place := user_cache_path("vidcolor", appauthor=False, opinion=False)).is_absolute():
            return place
    raise FileNotFoundError(2, "this user has no home folder", "~")


def data_folder() -> Path:
    """The folder of the user's data of vidcolor, which may not exist yet. Raises OSError for a user without a home."""
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    if base.is_absolute():
        return base / "vidcolor"
    with suppress(RuntimeError):
        if (place := user_data_path("vidcolor", appauthor=False)).is_absolute():
            return place
    raise FileNotFoundError(2, "this user has no home folder", "~")


def read(name: str) -> tuple[bytes, ...]:
    """Read an entry. Raises OSError where it cannot be read, ValueError where it is damaged."""
    place = folder() / name
    with open(place, "rb", opener=_open_without_waiting) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or not _HEADER.size <= about.st_size <= _MAX_BYTES:
            raise ValueError(f"{place}: is damaged")
        content = memoryview(file.read(about.st_size))
    mark, digest, count = _HEADER.unpack_from(content)
    if mark != _MAGIC or count > _MAX_PARTS or digest != _digest(name, content[_HEADER.size :]):
        raise ValueError(f"{place}: is damaged")
    lengths = struct.unpack_from(f"<{count}Q", content, _HEADER.size)
    parts, start = [], _HEADER.size + 8 * count
    for length in lengths:
        parts.append(bytes(content[start : start + length]))
        start += length
    return tuple(parts)


def write(name: str, parts: Sequence[bytes]) -> None:
    """Write an entry, synced to disk before it gets its name. Raises OSError and leaves nothing behind."""
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    _remove_stale(place)
    body = struct.pack(f"<{len(parts)}Q", *map(len, parts)) + b"".join(parts)
    partial = place / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        with partial.open("xb") as file:
            file.write(_HEADER.pack(_MAGIC, _digest(name, body), len(parts)) + body)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(place / name)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _digest(name: str, body: bytes | memoryview) -> bytes:
    """Hash name and content, so that a renamed entry is damaged."""
    found = hashlib.sha256(name.encode())
    found.update(body)
    return found.digest()


def _open_without_waiting(name: str, flags: int) -> int:
    """Open a file without blocking: a pipe would wait forever for a writer."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _remove_stale(place: Path) -> None:
    """Remove unfinished files of killed runs."""
    for entry in place.iterdir():
        if not entry.name.startswith(UNFINISHED):
            continue
        with suppress(OSError):
            if time.time() - entry.lstat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
