"""The standard streams of a job that outlives its terminal: what cannot be written is lost, and the job goes on."""

import io
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any, TextIO

_WAITS, _WAIT_SECONDS = 250, 0.02
_DRAIN_LOCK = threading.RLock()  # two at once would put each other's streams back


class LastingStream(io.TextIOWrapper):
    """Text for a file descriptor that may fail at any time: a terminal that closes, a pipe that nobody reads, a full
    disk. That is no error; `failure` has the last one. What the encoding cannot say is escaped.

    Errors are caught here, above Python's own buffers: caught below them, Ctrl-C between a write and its return would
    write the same text twice.
    """

    def __init__(self, raw: Any, encoding: str, *, line_buffering: bool) -> None:
        """raw: what Python's own stream writes to."""
        super().__init__(
            io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=line_buffering
        )
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """See TextIOBase."""
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """See TextIOBase."""
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Let the buffers, which keep what failed, run dry."""
        if isinstance(error, BlockingIOError) and self._waited():
            return
        self.failure = error
        with _DRAIN_LOCK, suppress(OSError):
            number = self.fileno()
            kept, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, number)
                super().flush()
            finally:
                os.dup2(kept, number)  # a disk may have room again
                os.close(kept)
                os.close(nowhere)

    def _waited(self) -> bool:
        """Whether who reads made room in time, where the stream does not wait by itself."""
        for _ in range(_WAITS):
            time.sleep(_WAIT_SECONDS)
            try:
                super().flush()
            except BlockingIOError:
                continue
            except OSError:
                return False
            return True
        return False


def replace_standard_streams() -> None:
    """Make the process's own streams so, for good.

    Streams that are closed become open ones that lead nowhere: else the next file that is opened would be taken for
    one, and what libraries print would be written into it.
    """
    for number in range(3):
        _open_if_closed(number)
    sys.stdin = sys.stdin or open(0, closefd=False, encoding="utf-8")  # noqa: SIM115 - for good
    sys.stdout, sys.stderr = _wrap(sys.stdout, 1), _wrap(sys.stderr, 2)


def failure_of(stream: TextIO) -> OSError | None:
    """Why the stream lost something; None where it did not, or is none of ours. It may be one that rich put over it."""
    failure = getattr(stream, "failure", None)
    return failure if isinstance(failure, OSError) else None


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened == number:
            os.set_inheritable(number, True)
        else:
            os.dup2(opened, number)
            os.close(opened)


def _wrap(stream: TextIO | None, number: int) -> LastingStream:
    encoding = stream.encoding if stream is not None else "utf-8"
    if stream is None:
        raw: Any = io.FileIO(number, "w", closefd=False)
    else:
        stream.flush()
        raw = getattr(stream.buffer, "raw", stream.buffer)  # python -u has no buffer between
    return LastingStream(raw, encoding, line_buffering=number == 2 or raw.isatty())
