"""Help that fits narrow terminals."""

import shutil
from collections.abc import Iterable

import click

from vidcolor.cli.text import answer
from vidcolor.errors import closest_name

_NARROW = 60  # columns; below this, an option's help goes on its own line


class HelpFormatter(click.HelpFormatter):
    """Click's formatter, with lists for narrow terminals."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        columns = shutil.get_terminal_size().columns
        self._is_narrow = columns < _NARROW
        super().__init__(indent_increment, max(columns - 1, 20) if self._is_narrow else width, max_width)

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """See HelpFormatter."""
        if not self._is_narrow:
            super().write_dl(rows, col_max, col_spacing)
            return
        for term, text in rows:
            self.write_text(term)
            with self.indentation():
                self.write_text(text)


class HelpContext(click.Context):
    """A context that formats help with HelpFormatter."""

    formatter_class = HelpFormatter


class HelpingGroup(click.Group):
    """A group that shows its help when no command is named, as with `--help`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click.Group."""
        if not args and not ctx.resilient_parsing:
            answer(*ctx.get_help().splitlines())
            ctx.exit()
        return super().parse_args(ctx, args)


class SuggestingGroup(HelpingGroup):
    """A group that suggests the nearest command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click.Group. Raises click.UsageError with the nearest name."""
        near = None if self.get_command(ctx, args[0]) else closest_name(args[0], self.list_commands(ctx))
        if near and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near!r}?", ctx)
        return super().resolve_command(ctx, args)


def set_help_context(command: click.Command) -> click.Command:
    """Set HelpContext for a command and its subcommands."""
    command.context_class = HelpContext
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            set_help_context(inner)
    return command
