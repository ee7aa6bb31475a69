"""Append-only JSON lines; a torn line is detected and dropped.

Every line ends with a checksum of itself. A line is written after the data that it describes is on disk, and one run
at a time may write, so neither a kill nor a power cut makes the file state anything false.
"""

import errno
import hashlib
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import lock_descriptor

from vidcolor.errors import BusyError, SinkError

_SUM_KEY, _SUM_DIGITS = ',"sum":"', 16
_SYNC_SECONDS = 1.0
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}  # some network file systems have none
_NO_LOCKS_ON_WINDOWS = {1, 50}  # ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED


class Ledger(ABC):
    """Locks the file against a second run, reads its lines, appends lines. Not thread-safe.

    Raises BusyError when another run holds the lock, SinkError when the file cannot be read or written.
    """

    def __init__(self, path: Path, output: Path) -> None:
        """output: what is being written, for messages."""
        self.path, self._output = Path(path), output
        self.damaged_lines = 0  # within the file; a torn last line does not count
        self._fd = -1
        self._synced_at = 0.0

    @abstractmethod
    def _reset(self) -> None:
        """Forget all lines that were read."""

    @abstractmethod
    def _take(self, fields: dict[str, Any], end: int) -> None:
        """Handle a line that was read and ends at byte `end`. Raises TypeError for unknown fields."""

    def __enter__(self) -> Self:
        try:
            self._fd = self._locked()
            self._load()
        except OSError as error:
            self.close()
            if error.errno == errno.ELOOP:
                raise SinkError(f"{self.path}: is a link, and nothing is written through it. Remove it.") from error
            raise SinkError(f"{self.path}: cannot be used as journal: {error.strerror or error}.") from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def sync_due(self) -> bool:
        """Whether the last sync is a second old."""
        return time.monotonic() - self._synced_at >= _SYNC_SECONDS

    def sync(self) -> None:
        """Sync the lines to disk, so that they survive a power cut, not only a kill."""
        os.fsync(self._fd)
        self._synced_at = time.monotonic()

    def clear(self) -> None:
        """Drop all lines."""
        os.ftruncate(self._fd, 0)
        self._load()

    def cut(self, end: int) -> None:
        """Drop the lines after a byte; see `_take`."""
        os.ftruncate(self._fd, end)
        self._load()

    def remove(self) -> None:
        """Delete the file, still locked; but Windows deletes no file that is open."""
        if sys.platform == "win32":
            self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Sync and unlock."""
        if self._fd >= 0:
            for end in (self.sync, partial(os.close, self._fd)):
                with suppress(OSError):  # the next run repeats what is not on disk
                    end()
            self._fd = -1

    def _locked(self) -> int:
        # Binary, as Windows would write every line end as two bytes, after which no line is whole.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        while True:
            fd = os.open(self.path, flags, 0o666)
            try:
                self._lock(fd)
                if self._is_at_path(fd):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # the run that held it has just removed it

    def _is_at_path(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self.path.stat())
        except FileNotFoundError:
            return False

    def _lock(self, fd: int) -> None:
        """Lock the file itself, which the system undoes when the process ends: nothing lies beside the output.

        A POSIX flock, as 0.1.0 takes it, so that the two notice each other; on Windows LockFileEx.
        """
        try:
            is_ours = lock_descriptor(fd, blocking=False)
        except OSError as error:
            if error.errno in _NO_LOCKS or getattr(error, "winerror", None) in _NO_LOCKS_ON_WINDOWS:
                return
            raise
        if not is_ours:
            raise BusyError(
                f"{self._output}: another run is writing there now. Wait until it ends, or choose another output."
            )

    def _load(self) -> None:
        self._reset()
        self.damaged_lines = 0
        good_bytes = position = bad = 0
        for line in _lines(self._fd):
            position += len(line)
            fields = parse(line)
            if fields is None:
                bad += 1
                continue
            self.damaged_lines, good_bytes = bad, position
            try:
                self._take(fields, position)
            except TypeError as error:
                raise SinkError(
                    f"{self.path}: written by a newer vidcolor. Update, or choose another output."
                ) from error
        os.ftruncate(self._fd, good_bytes)

    @staticmethod
    def _line(fields: dict[str, Any]) -> bytes:
        text = json.dumps(fields, separators=(",", ":"))[:-1].encode()  # ASCII; odd names as \udcXX
        return b"%b%b%b" % (text, _SUM_KEY.encode(), _checksum(text)) + b'"}\n'

    def _write(self, content: bytes) -> None:
        try:
            written = os.write(self._fd, content)
        except OSError as error:
            raise SinkError(f"{self.path}: the journal cannot be written: {error.strerror}.") from error
        if written != len(content):
            raise SinkError(f"{self.path}: the journal cannot be written: the disk is full. Make room and run again.")


def parse(line: bytes) -> dict[str, Any] | None:
    """A line's fields; None where the line is torn or altered."""
    text, key, rest = line.rpartition(_SUM_KEY.encode())
    if not key or rest != _checksum(text) + b'"}\n':
        return None
    fields: dict[str, Any] = json.loads(text + b"}")
    return fields


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:_SUM_DIGITS].encode()


def _lines(fd: int) -> Iterator[bytes]:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        yield from file
