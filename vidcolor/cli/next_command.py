"""The command to run next, as it can be copied into a shell."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from vidcolor.cli.text import note
from vidcolor.formats import CONTAINERS, FALLBACK_CONTAINER


def suggest_output(source: Path) -> str:
    """A name for the colored film, photo or folder: its own with -color."""
    name = source.absolute().name
    if source.is_dir():
        return f"{name}-color/"
    suffix = source.suffix.lower()
    return f"{source.stem}-color{source.suffix if suffix in CONTAINERS else FALLBACK_CONTAINER}"


def color_command(source: Path, options: Iterable[tuple[str, object]] = ()) -> str:
    """The command that colors a film or a folder. options: names and values; those without a value are left out."""
    given = [word for name, value in options if value is not None for word in (name, str(value))]
    return quoted([str(source), "-o", suggest_output(source), *given])


def quoted(words: Iterable[str]) -> str:
    """A command of vidcolor, quoted for a shell; a name that begins with - is made one of a file."""
    first, *others = words
    return shlex.join(["vidcolor", f"./{first}" if first.startswith("-") else first, *others])


def tell_next(command: str, when: str = "") -> None:
    """Tell the command, on one line. when: what it is for, where there are several."""
    note(f"next{f' ({when})' if when else ''}: {command}")
