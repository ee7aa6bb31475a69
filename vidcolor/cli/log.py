"""`--log FILE`: a log of a job, one line with a timestamp for each event."""

import logging
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from vidcolor import __version__
from vidcolor.cli.param_types import Output
from vidcolor.cli.text import note, say
from vidcolor.cli.timecode import format_duration
from vidcolor.errors import SinkError, UsageError
from vidcolor.printable import printable

LOG = logging.getLogger("vidcolor.job")
LOG.addHandler(logging.NullHandler())  # no output without a log file
PROGRESS_SECONDS = 180.0  # between progress lines of a film or a training run
_PACKAGES = ("av", "openvino", "torch")


class LogFile(logging.Handler):
    """Appends each record at once. A full disk is reported once and never stops the job."""

    def __init__(self, path: Path) -> None:
        """Raises SinkError, and UsageError for a file that is no log, such as an input given by mistake."""
        super().__init__()
        self.path = path
        try:
            if path.is_file() and b"\0" in _read_start(path):
                raise UsageError(f"{path}: is no log; choose another name, or remove it first.")
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise SinkError(f"{path}: the log cannot be written ({error.strerror}). Choose another file.") from error
        self._is_torn = self._has_told = False
        self.began = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """See Handler."""
        line = self.format(record).encode(errors="backslashreplace") + b"\n"
        try:
            if self._file.write(b"\n" * self._is_torn + line) == len(line) + self._is_torn:
                self._is_torn = False
                return
            reason = "the disk is full"
        except OSError as error:
            reason = str(error.strerror)
        self._is_torn = True
        if not self._has_told:
            self._has_told = True
            say(f"vidcolor: warning: {self.path}: the log cannot be written ({reason}); the job continues.")

    def close(self) -> None:
        """See Handler."""
        self._file.close()
        super().close()


def _read_start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


class _LineFormatter(logging.Formatter):
    """Formats time with zone, level and message; a traceback is indented below."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        return datetime.fromtimestamp(record.created).astimezone().isoformat(" ", "seconds")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(" ".join(record.message.split()))
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        # Indented, so that no error message, which may quote a file, looks like a line of the log.
        return "\n".join(f"    {printable(line)}" for line in super().formatException(ei).splitlines())


def _open_log(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Open the log and write the command and versions. Called before other options, so that usage errors are logged."""
    if path is None or ctx.resilient_parsing:
        return
    import platform

    file = LogFile(path)
    file.setFormatter(_LineFormatter("%(asctime)s %(levelname)-7s %(message)s"))
    LOG.addHandler(file)
    LOG.setLevel(logging.INFO)
    arguments = ctx.find_root().obj or sys.argv[1:]
    LOG.info("begun: vidcolor %s, in %s, process %d", shlex.join(arguments), Path.cwd(), os.getpid())
    LOG.info(
        "vidcolor %s, Python %s, %s; %s",
        __version__,
        platform.python_version(),
        _package_versions(),
        platform.platform(),
    )


def _package_versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)


def end(code: int) -> None:
    """Log the exit code and close the log files."""
    for file in [handler for handler in LOG.handlers if isinstance(handler, LogFile)]:
        LOG.info("ended: exit code %d after %s", code, format_duration(time.monotonic() - file.began))
        LOG.removeHandler(file)
        file.close()
    LOG.setLevel(logging.NOTSET)


class _LibraryWarnings(logging.Handler):
    """Writes libraries' unhandled warnings to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """See Handler."""
        note(self.format(record))


def show_library_warnings() -> None:
    """Show libraries' warnings as printable text from now on; they may quote a file."""
    logging.lastResort = _LibraryWarnings(logging.WARNING)
    warnings.formatwarning = lambda message, category, filename, lineno, line=None: (  # noqa: ARG005 - its signature
        printable(f"{filename}:{lineno}: {category.__name__}: {message}") + "\n"
    )


class ProgressInterval:
    """Limits how often progress is logged."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether a line is due."""
        if (now := time.monotonic()) - self._last < PROGRESS_SECONDS:
            return False
        self._last = now
        return True


option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--log", type=Output(path_type=Path, dir_okay=False), callback=_open_log, expose_value=False, is_eager=True,
    help="Append a log of the job to this file, for jobs that nobody watches.",
)  # fmt: skip
