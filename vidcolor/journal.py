"""The journal of a long job: what is finished, of which input, by which model, so that any run can go on from there.

A file of JSON lines, only ever appended to. Every line ends with a checksum of itself, so a line that was torn by a
kill or a power cut is noticed and dropped. A line is written after the bytes that it speaks of are on disk.
"""

import errno
import hashlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from vidcolor.errors import SinkError

if sys.platform != "win32":
    import fcntl

Outcome = Literal["colored", "kept", "copied", "skipped", "failed"]

RECENT = 256

_SUM_KEY, _SUM_DIGITS = ',"sum":"', 16
_SYNC_SECONDS = 1.0
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}  # some network file systems have none


@dataclass(frozen=True)
class Run:
    """What decides the output's bytes, beside the input: outputs of two different runs must not be mixed."""

    model_sha256: str
    settings_hash: str
    source: str = ""  # an archive's own identity; "" for folders, whose files are looked at one by one


@dataclass(frozen=True)
class Record:
    """One finished entry."""

    name: str  # as the source names it: relative, POSIX
    size: int  # bytes of the input
    mtime_ns: int  # of the input, since 1970 UTC
    outcome: Outcome
    reason: str = ""
    sha256: str | None = None  # of the input, where its content was read anyway
    output: str | None = None  # name in the output; None where nothing was written
    output_size: int | None = None  # bytes
    output_sha256: str | None = None  # None where an archive's packed bytes were carried over as they are
    seconds: float = 0.0  # of work
    offset: int | None = None  # in a growing archive: it is good up to this byte, with this line and all before it
    start: int | None = None  # in a growing zip: the byte where the member begins
    central: str | None = None  # in a growing zip: the member's record in the central directory, in hex
    run: int = -1  # which of Journal.runs made it; set by the journal


class Journal:
    """Reads what is recorded, locks the output against a second run, appends.

    Raises SinkError when another run holds the lock, or the file cannot be read or written. Not for several threads.
    """

    def __init__(self, path: Path, *, output: Path | None = None) -> None:
        """output: the name that messages use for what is being written; the journal's folder when None."""
        self.path, self._output = Path(path), output or Path(path).parent
        self.records: dict[str, Record] = {}  # the newest of every name
        self.outputs: set[str] = set()  # every name that was ever written
        self.recent: deque[Record] = deque(maxlen=RECENT)  # the last ones
        self.runs: list[Run] = []
        self.completed_bytes: int | None = None  # size of the finished archive, once `complete` was written
        self.offset = 0  # bytes up to which the growing archive is good
        self.damaged_lines = 0  # in the middle of the file; a torn last line is no damage
        self._fd = -1
        self._synced_at = 0.0
        self._rollback_bytes = 0  # where the last line with an offset ends

    def __enter__(self) -> Self:
        try:
            self._fd = self._locked()
            self._load()
        except OSError as error:
            self.close()
            raise SinkError(f"{self.path}: cannot be used as journal: {error.strerror}.") from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, run: Run) -> None:
        """Say by what the following records are made. Nothing is written when the newest run was the same."""
        if not self.runs or self.runs[-1] != run:
            self._write(self._line({"run": asdict(run)}))
            self.runs.append(run)

    def append(self, *records: Record) -> None:
        """Add records by one write. What they claim has to be on disk already."""
        lines = []
        for record in records:
            self._keep(replace(record, run=len(self.runs) - 1))
            fields = {key: value for key, value in vars(record).items() if value not in (None, "") and key != "run"}
            lines.append(self._line(fields))
        self._write(b"".join(lines))

    def complete(self, output_bytes: int) -> None:
        """Note that the archive is finished and has this size."""
        self._write(self._line({"complete": output_bytes}))
        self.completed_bytes = output_bytes
        self.sync()

    def sync_due(self) -> bool:
        """Whether a second went by since the last sync."""
        return time.monotonic() - self._synced_at >= _SYNC_SECONDS

    def sync(self) -> None:
        """Bring the lines to the disk, so that they outlive a power cut, not only a kill."""
        os.fsync(self._fd)
        self._synced_at = time.monotonic()

    def rollback(self) -> None:
        """Forget what follows the last line that has an offset."""
        os.ftruncate(self._fd, self._rollback_bytes)
        self._load()

    def clear(self) -> None:
        """Forget everything."""
        os.ftruncate(self._fd, 0)
        self._load()

    def remove(self) -> None:
        """Delete the file, still locked."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Sync and unlock."""
        if self._fd >= 0:
            with suppress(OSError):  # lines that do not reach the disk are not missed
                self.sync()
            os.close(self._fd)
            self._fd = -1

    def why_stale(self, record: Record, run: Run) -> str:
        """Why what `record` says does not hold for `run`; "" when it does."""
        if record.outcome == "failed":
            return f"failed before: {record.reason}"
        made_by = self.runs[record.run]
        if made_by.model_sha256 != run.model_sha256:
            return "made by another model"
        if made_by.settings_hash != run.settings_hash:
            return "made with other settings"
        return ""

    def _locked(self) -> int:
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o644)
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
        if sys.platform == "win32":  # two runs on one output are not noticed there
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SinkError(
                f"{self._output}: another run is writing there now. Wait until it ends, or choose another output."
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise

    def _load(self) -> None:
        self.records, self.outputs, self.runs, self.completed_bytes = {}, set(), [], None
        self.recent.clear()
        self.offset = self.damaged_lines = self._rollback_bytes = 0
        good_bytes = position = bad = 0
        for line in _lines(self._fd):
            position += len(line)
            fields = parse(line)
            if fields is None:
                bad += 1
                continue
            self.damaged_lines, good_bytes = bad, position
            self._take(fields)
            if "offset" in fields or "run" in fields:
                self._rollback_bytes = position
        os.ftruncate(self._fd, good_bytes)

    def _take(self, fields: dict[str, Any]) -> None:
        try:
            if "run" in fields:
                self.runs.append(Run(**fields["run"]))
            elif "complete" in fields:
                self.completed_bytes = fields["complete"]
            else:
                self._keep(Record(**fields, run=len(self.runs) - 1))
        except TypeError as error:
            raise SinkError(f"{self.path}: written by a newer vidcolor. Update, or choose another output.") from error

    def _keep(self, record: Record) -> None:
        self.records[record.name] = record
        self.recent.append(record)
        if record.output is not None:
            self.outputs.add(record.output)
        if record.offset is not None:
            self.offset = record.offset

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
    """A line's fields, or None where it is torn or altered."""
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
