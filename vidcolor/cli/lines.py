"""Lines for people: whole in a pipe, folded between words on a terminal. A path stays whole: it can be copied."""

import shutil
import sys
import textwrap

import click


def folded(text: str, width: int | None) -> str:
    """The text on one line; in lines of at most `width` columns where its words allow it. None: no terminal."""
    line = " ".join(text.split())
    if width is None or len(line) <= width:
        return line
    return textwrap.fill(line, max(width, 20), break_long_words=False, break_on_hyphens=False)


def say(text: str) -> None:
    """Tell a person, on stderr."""
    click.echo(folded(text, shutil.get_terminal_size().columns if sys.stderr.isatty() else None), err=True)
