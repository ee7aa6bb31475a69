"""Writes a man page for each command, for distributions: `python docs/man.py FOLDER`, with click-man installed."""

import sys
from pathlib import Path

import click
from click_man.core import write_man_pages

import vidcolor
from vidcolor.cli import COMMANDS
from vidcolor.cli import vidcolor as group


def main(folder: Path) -> None:
    """Write the pages; the folder must not hold others."""
    folder.mkdir(parents=True)
    # click-man asks a group for its commands as a dictionary; ours imports them when they are used.
    context = click.Context(group, info_name="vidcolor")
    group.commands = {name: command for name in COMMANDS if (command := group.get_command(context, name))}
    write_man_pages("vidcolor", group, version=vidcolor.__version__, target_dir=str(folder))
    print(*sorted(path.name for path in folder.iterdir()), sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
