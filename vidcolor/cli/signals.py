"""Signals: Ctrl-C and SIGTERM stop a command in steps; SIGHUP of a closed terminal does not."""

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Self

from vidcolor.cli import log

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
HANGUP_CODE = 129
REPEAT_SECONDS = 0.25  # in which repeated signals count as one: terminals signal the group, and wrappers forward it
_CLOSING = "vidcolor: closing; once more ends at once."
_SAVING = "vidcolor: saving after this step; once more ends without."


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; unlike its base class it supports weak references."""


class Terminated(SystemExit):
    """SIGTERM."""


class StopHandler:
    """Context manager that stops a command in three steps.

    The first signal raises an exception, which closes pools, files and threads. Nothing may be raised during that, so
    the second signal only prints that a third ends the process at once. Signals that were ignored at the start stay
    ignored, as nohup requires.
    """

    def __init__(self) -> None:
        self.code: int | None = None  # exit code, once stopped
        self.is_hung_up = False
        self.is_over = False  # the work has ended, so nothing may be raised
        self._count, self._last = 0, 0.0
        self._raised: Any = lambda: None  # weak reference to the exception while it propagates
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
        # The first signal, or the next after a library swallowed the exception.
        stop = Interrupted() if number == signal.SIGINT else Terminated(self.code)
        self._raised = weakref.ref(stop)
        try:
            raise stop
        finally:
            del stop  # else exception and frame would keep each other alive

    def _end_now(self) -> None:
        """End the process. Files get their names when they are complete, so only unfinished work is lost."""
        code = self.code or 1
        with suppress(Exception):
            log.end(code)
        if sys.stderr.isatty():
            _write("\x1b[?25h")  # progress bars hide the cursor
        os._exit(code)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if not self.is_hung_up:
            self.is_hung_up = True
            with suppress(RuntimeError):  # the signal may have interrupted a warning
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


@contextmanager
def stopping_by(stop: Callable[[], bool]) -> Iterator[list[signal.Signals]]:
    """Call `stop` at the first Ctrl-C or SIGTERM in place of raising there. Gives the list of the signals that came.

    stop: asks the work to end soon; False: it cannot, so that the signal raises as ever. Later signals raise, too.
    """
    told: list[signal.Signals] = []
    before: dict[signal.Signals, Any] = {}
    last = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if told and now - last < REPEAT_SECONDS:
            return
        last = now
        if not told and stop():
            told.append(signal.Signals(number))
            _write(_SAVING)
        elif callable(raising := before[signal.Signals(number)]):
            raising(number, frame)

    for known in CODES:
        if signal.getsignal(known) != signal.SIG_IGN:
            before[known] = signal.signal(known, handle)
    try:
        yield told
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)


def end_with(codes: Mapping[signal.Signals, int]) -> None:
    """Let signals end the process at once with their codes, while there is nothing to close."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        os._exit(codes[signal.Signals(number)])

    for number in codes:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def ignore() -> None:
    """Ignore signals at the end of the process, where they would replace its exit code."""
    for number in CODES:
        signal.signal(number, signal.SIG_IGN)


def _write(text: str) -> None:
    """Write around Python's streams, which the signal may have interrupted."""
    with suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), f"\n{text}\n".encode() if sys.stderr.isatty() else f"{text}\n".encode())
