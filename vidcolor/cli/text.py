"""Lines for people and programs, and the only way by which they leave: what comes from outside is made printable.

On a terminal lines are folded between words; a path stays whole: it can be copied. In a pipe they are whole. Click's
`echo` is not used, as it goes past streams that it takes for mistaken: an ASCII terminal, one under a bar.
"""

import errno
import json
import shutil
import sys
import textwrap
from typing import Any

from vidcolor.cli import streams
from vidcolor.errors import SinkError
from vidcolor.printable import printable


class LostError(SinkError):
    """What was asked for could not be written to stdout."""

    def __init__(self, reason: OSError) -> None:
        """reason: why."""
        super().__init__(f"stdout: cannot be written ({reason.strerror}). Send it to a file on a disk with room.")
        self.is_left = reason.errno in (errno.EPIPE, errno.EIO)  # nobody listens any more, and nobody need be told


def fold(text: str, width: int | None) -> str:
    """The text on one line; in lines of at most `width` columns where its words allow it. None: no terminal."""
    line = printable(" ".join(text.split()))
    if width is None or len(line) <= width:
        return line
    return textwrap.fill(line, max(width, 20), break_long_words=False, break_on_hyphens=False)


def say(text: str) -> None:
    """Tell a person, on stderr."""
    sys.stderr.write(fold(text, shutil.get_terminal_size().columns if sys.stderr.isatty() else None) + "\n")
    sys.stderr.flush()


def note(*lines: str) -> None:
    """Tell of a job, on stderr, in lines as they are."""
    for line in lines:
        sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


def tell(*lines: str) -> None:
    """Tell of a job, on stdout, in lines as they are. Where they cannot be written, the job goes on."""
    for line in lines:
        sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()


def emit_event(name: str, /, **facts: Any) -> None:
    """Tell a program of a job, on stdout."""
    tell(to_json({"event": name, **facts}))


def answer(*lines: str) -> None:
    """What a command was asked for, on stdout. Raises LostError where that cannot be written."""
    tell(*lines)
    check_answered()


def check_answered() -> None:
    """Raises LostError where something for stdout could not be written."""
    if reason := streams.failure_of(sys.stdout):
        raise LostError(reason)


def to_json(facts: Any) -> str:
    """One line that every encoding can say: whatever is no ASCII is escaped, and so are bytes that are no text."""
    return json.dumps(facts, default=str)


def confirm(question: str) -> bool:
    """Whether a person at the terminal says yes; no where nobody is left to say it."""
    say(question)
    sys.stderr.write("[y/N]: ")
    sys.stderr.flush()
    try:
        said = sys.stdin.readline()
    except (OSError, ValueError):  # the terminal closed; an answer that is no text
        return False
    return said.strip().lower() in ("y", "yes")
