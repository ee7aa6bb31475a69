"""Output to stdout and stderr: all text leaves through these functions, and is made printable.

On a terminal lines are folded between words, so that paths stay whole and can be copied. In a pipe they are not folded.
Click's `echo` is not used, as it bypasses some streams, such as ASCII terminals and those under a progress bar.
"""

import errno
import json
import shutil
import sys
import textwrap
from dataclasses import asdict, is_dataclass
from typing import Any

from vidcolor.cli import streams
from vidcolor.errors import SinkError
from vidcolor.printable import printable


class LostError(SinkError):
    """A command's answer could not be written to stdout."""

    def __init__(self, reason: OSError) -> None:
        """reason: the write error."""
        super().__init__(f"stdout: cannot be written ({reason.strerror}). Send it to a file on a disk with room.")
        # The reader is gone, so no message is needed. EINVAL: on Windows.
        self.is_left = reason.errno in (errno.EPIPE, errno.EIO, errno.EINVAL)


def fold(text: str, width: int | None) -> str:
    """Fold a text to lines of at most `width` columns, between words; None: one line."""
    line = printable(" ".join(text.split()))
    if width is None or len(line) <= width:
        return line
    return textwrap.fill(line, max(width, 20), break_long_words=False, break_on_hyphens=False)


def say(text: str) -> None:
    """Write a message to stderr, folded on a terminal."""
    sys.stderr.write(fold(text, shutil.get_terminal_size().columns if sys.stderr.isatty() else None) + "\n")
    sys.stderr.flush()


def note(*lines: str) -> None:
    """Write lines to stderr, not folded."""
    for line in lines:
        sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


def tell(*lines: str) -> None:
    """Write lines to stdout, not folded. The job continues if they cannot be written."""
    for line in lines:
        sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()


def emit_event(name: str, /, **facts: Any) -> None:
    """Write an event of a job to stdout, as a JSON line."""
    tell(to_json({"event": name, **facts}))


def answer(*lines: str) -> None:
    """Write a command's answer to stdout. Raises LostError if that fails."""
    tell(*lines)
    check_answered()


def check_answered() -> None:
    """Raise LostError if something for stdout could not be written."""
    if reason := streams.failure_of(sys.stdout):
        raise LostError(reason)


def to_json(facts: Any) -> str:
    """Format facts as one line of ASCII JSON; undecodable bytes are escaped too."""
    return json.dumps(facts, default=_to_plain)


def _to_plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def confirm(question: str) -> bool:
    """Ask a yes-or-no question on the terminal; no answer counts as no."""
    say(question)
    sys.stderr.write("[y/N]: ")
    sys.stderr.flush()
    try:
        said = sys.stdin.readline()
    except (OSError, ValueError):  # the terminal is closed, or the answer is no text
        return False
    return said.strip().lower() in ("y", "yes")
