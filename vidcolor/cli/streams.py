"""Standard streams that do not fail: text that cannot be written is dropped, and the job continues."""

import io
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any, TextIO

_WAITS, _WAIT_SECONDS = 250, 0.02
_DRAIN_LOCK = threading.RLock()  # two threads would restore each other's descriptors


class LastingStream(io.TextIOWrapper):
    """A text stream that survives write errors: a closed terminal, a broken pipe, a full disk. `failure` holds the last
    error. Characters that the encoding lacks are escaped.

    Errors are caught here, above Python's own buffers: caught below them, Ctrl-C between a write and its return would
    write the same text twice.
    """

    def __init__(self, raw: Any, encoding: str, *, line_buffering: bool) -> None:
        """raw: the raw stream below Python's own."""
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
        """Drop the buffered text that could not be written."""
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
                os.dup2(kept, number)  # the disk may have room later
                os.close(kept)
                os.close(nowhere)

    def _waited(self) -> bool:
        """Wait for the reader of a non-blocking stream; returns whether the text was written in time."""
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
    """Replace the process's standard streams by LastingStream.

    Closed descriptors are opened on the null device; else the next opened file would get the number of a standard
    stream, and libraries would print into it.
    """
    for number in range(3):
        _open_if_closed(number)
    sys.stdin = sys.stdin or open(0, closefd=False, encoding="utf-8")  # noqa: SIM115 - for good
    sys.stdout, sys.stderr = _wrap(sys.stdout, 1), _wrap(sys.stderr, 2)


def failure_of(stream: TextIO) -> OSError | None:
    """The last write error of a stream, or None; rich's wrapper streams pass it on."""
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
        raw = getattr(stream.buffer, "raw", stream.buffer)  # python -u has no buffer
    return LastingStream(raw, encoding, line_buffering=number == 2 or raw.isatty())
