"""The README cannot drift: every option is in it, and every command helps itself."""

from pathlib import Path

import click
import pytest

from vidcolor.cli import COMMANDS, vidcolor

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def command_of(name: str) -> click.Command:
    command = vidcolor.get_command(click.Context(vidcolor), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_readme_and_has_help(name: str):
    for option in command_of(name).params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.name} says nothing of itself"
            assert any(f"{text}`" in README or f"{text} " in README or f"{text}/" in README for text in option.opts), (
                f"{name} {option.opts} is not in the README"
            )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str):
    commands = [command_of(name)]
    if isinstance(commands[0], click.Group):
        commands = list(commands[0].commands.values())
    for command in commands:
        assert "Example" in (command.help or ""), f"{name} {command.name} shows no example"
