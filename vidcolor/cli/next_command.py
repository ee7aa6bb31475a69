"""The command to run next, as it can be copied into a shell."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from vidcolor.cli import COMMANDS
from vidcolor.cli.text import note
from vidcolor.formats import CONTAINERS, FALLBACK_CONTAINER, PHOTOS, archive_ending
from vidcolor.printable import printable


def suggest_output(source: Path) -> str:
    """A name for the colored film, photo, archive or folder: its own with -color."""
    name = source.absolute().name
    if source.is_dir():
        return f"{name}-color/"
    ending = archive_ending(name) or source.suffix
    stem = name[: len(name) - len(ending)]
    is_written = archive_ending(name) or ending.lower() in PHOTOS | CONTAINERS.keys()
    return f"{stem}-color{name[len(stem) :] if is_written else FALLBACK_CONTAINER}"


def color_command(source: Path, options: Iterable[tuple[str, object]] = ()) -> str:
    """The command that colors a film or a folder. options: names and values; those without a value are left out."""
    given = [word for name, value in options if value is not None for word in (name, str(value))]
    name = str(source)
    return quoted([f"./{name}" if name in COMMANDS else name, "-o", suggest_output(source), *given])


def quoted(words: Iterable[str]) -> str:
    """A command of vidcolor, quoted for a shell; a name that begins with - is made one of a file."""
    first, *others = words
    return " ".join(map(_quote, ["vidcolor", f"./{first}" if first.startswith("-") else first, *others]))


def _quote(word: str) -> str:
    """A word for a shell; what would be shown escaped is said as $'...', which Bash, Zsh and others read."""
    if printable(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(map(_say_in_octal, word)) + "'"


def _say_in_octal(letter: str) -> str:
    if printable(letter) == letter and letter not in "'\\":
        return letter
    return "".join(f"\\{byte:03o}" for byte in letter.encode("utf-8", "surrogateescape"))


def tell_next(command: str, when: str = "") -> None:
    """Tell the command, on one line. when: what it is for, where there are several."""
    note(f"next{f' ({when})' if when else ''}: {command}")
