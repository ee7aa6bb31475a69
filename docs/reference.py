"""Writes docs/reference.md, every command and option as the program knows them: `python docs/reference.py`."""

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from vidcolor.cli import COMMANDS, vidcolor

TARGET = Path(__file__).parent / "reference.md"
HEAD = """\
# Commands and options

`vidcolor COMMAND --help` says the same in the terminal. The guides explain what options are for:
[films](films.md), [photos and archives](archives.md), [looking and choosing](choosing.md), [the studio](studio.md),
[models](models.md), [training](training.md), [clusters](cluster.md).

This page is written by `python docs/reference.py` from the program itself; a change here would be lost.
"""
CODES = """\
## Exit codes

| code | meaning |
| ---: | --- |
| 0 | all done |
| 1 | something failed; a line on stderr says what was found, what was needed, what to try |
| 2 | wrong usage |
| 129 | the terminal was closed before all was shown; a job that colors goes on without one |
| 130, 143 | interrupted, told to end: the same command goes on from there |

[From other programs](programs.md) has the events of `--json`, and the schemas of all files.
"""


def reference() -> str:
    """The page, in Markdown."""
    context = click.Context(vidcolor, info_name="vidcolor")
    parts = [HEAD]
    for name in COMMANDS:
        command = vidcolor.get_command(context, name)
        assert command is not None
        parts += chapters(command, click.Context(command, context, info_name=name))
    return "\n".join([*parts, CODES])


def chapters(command: click.Command, context: click.Context) -> Iterator[str]:
    """One for the command, or one for each of its own commands."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from chapters(inner, click.Context(inner, context, info_name=name))
        return
    words = " ".join(command.collect_usage_pieces(context))
    text, _, examples = cleandoc(command.help or "").partition("\b\nExample")
    lines = [
        f"## {context.command_path}",
        "",
        f"`{context.command_path} {words}`",
        "",
        text.strip().replace("*", r"\*"),
    ]
    if examples:
        shown = [line.strip() for line in examples.partition(":\n")[2].splitlines()]
        lines += ["", "```sh", *filter(None, shown), "```"]
    options = [entry for entry in command.params if isinstance(entry, click.Option) and not entry.hidden]
    if options:
        lines += ["", "| option | takes | default | meaning |", "| --- | --- | --- | --- |"]
        lines += [row(option, context) for option in options]
    yield "\n".join([*lines, ""])


def row(option: click.Option, context: click.Context) -> str:
    """A line of the table."""
    facts = option.get_help_extra(context)
    help_text, _, stated = (option.help or "").partition(" [default: ")
    default = stated.removesuffix("]") or facts.get("default", "")
    names = ", ".join(f"`{name}`" for name in option.opts)
    names += "".join(f" / `{name}`" for name in option.secondary_opts)
    meaning = cell(help_text) + (" Required." if option.required else "")
    takes = "" if option.is_flag else cell(taken(option.type, option, context))
    return f"| {names} | {takes} | {cell(default)} | {meaning} |"


def taken(kind: click.ParamType[Any], option: click.Option, context: click.Context) -> str:
    """What is to be written behind an option."""
    if isinstance(kind, click.Choice):
        return ", ".join(kind.choices)
    if isinstance(kind, click.IntRange | click.FloatRange):
        is_open = kind.max is None or kind.max > 1e15
        return f"{kind.min:g} or more" if is_open else f"{kind.min:g} to {kind.max:g}"
    return option.make_metavar(context).lower()


def cell(text: str) -> str:
    """Text that a table can hold."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
