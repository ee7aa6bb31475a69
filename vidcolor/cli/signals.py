"""How a command is told to end: by Ctrl-C, by TERM; and a terminal that closes, which is no reason to."""

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, Self

from vidcolor.cli import log

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
HANGUP_CODE = 129
REPEAT_SECONDS = 0.25  # in which several are one: a terminal tells a whole group, and wrappers pass it on once more
_CLOSING = "vidcolor: closing; once more ends at once."


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; unlike its base it can be referred to weakly."""


class Terminated(SystemExit):
    """TERM."""


class StopHandler:
    """Ends a command in three steps; a context manager.

    The first signal ends the work, and whatever is open closes: pools, files, threads that wait for each other. Nothing
    else may be raised in the middle of that, so a second one only says that a third ends at once. Signals that were
    ignored when the command began stay so, as nohup wants it.
    """

    def __init__(self) -> None:
        self.code: int | None = None  # to exit with, where it was told to end
        self.is_hung_up = False
        self.is_over = False  # the work has ended, and nothing more is to be raised
        self._count, self._last = 0, 0.0
        self._raised: Any = lambda: None  # the exception, as long as it is on its way
        self._before: dict[int, Any] = {}

    def _end(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal's signature
        now = time.monotonic()
        if self._count and now - self._last < REPEAT_SECONDS:
            return
        self._count, self._last = self._count + 1, now
        if self.code is None:
            self.code = CODES[signal.Signals(number)]
        if self._count > 2:
            self._end_now()
        if self.is_over or self._raised() is not None:
            _write(_CLOSING)
            return
        # The first, or one after another that a library has swallowed.
        stop = Interrupted() if number == signal.SIGINT else Terminated(self.code)
        self._raised = weakref.ref(stop)
        try:
            raise stop
        finally:
            del stop  # else it would live as long as this frame, which it holds itself

    def _end_now(self) -> None:
        """No file has its name before it is whole, so that nothing is lost but what was not finished."""
        code = self.code or 1
        with suppress(Exception):
            log.end(code)
        if sys.stderr.isatty():
            _write("\x1b[?25h")  # bars hide the cursor
        os._exit(code)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if not self.is_hung_up:
            self.is_hung_up = True
            with suppress(RuntimeError):  # the signal may have come in the middle of a warning
                log.LOG.warning("the terminal was closed (SIGHUP); going on without it")

    def __enter__(self) -> Self:
        handlers: dict[int, Any] = dict.fromkeys(CODES, self._end)
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._hang_up
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def end_with(codes: Mapping[signal.Signals, int]) -> None:
    """Let each of the signals end the process at once, with its code: for when there is nothing to close."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        os._exit(codes[signal.Signals(number)])

    for number in codes:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def ignore() -> None:
    """For the end of the process, when Python no longer hears signals and they would decide its exit code."""
    for number in CODES:
        signal.signal(number, signal.SIG_IGN)


def _write(text: str) -> None:
    """Past Python's streams: the signal may have come while one of them was being written."""
    with suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), f"\n{text}\n".encode() if sys.stderr.isatty() else f"{text}\n".encode())
