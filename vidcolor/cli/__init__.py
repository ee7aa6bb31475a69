"""The command line. Commands are imported when used, so that `vidcolor --help` is fast."""

import atexit
import os
import re
import shlex
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidcolor import __version__
from vidcolor.cli import log, signals, streams
from vidcolor.cli.help_formatter import HelpContext, HelpingGroup, set_help_context
from vidcolor.cli.signals import HANGUP_CODE, StopHandler, Terminated
from vidcolor.cli.text import LostError, note, say
from vidcolor.errors import UsageError, VidcolorError, closest_name
from vidcolor.system import limits

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {  # name -> module in this folder, and its line in the overview
    "colorize": ("colorize", "Put color on films and photos (the default command)."),
    "preview": ("preview", "Look at a film's shots in color, and export stills to correct."),
    "studio": ("studio", "See a film shot by shot in a browser; choose and correct its colors."),
    "compare": ("compare", "Put films or photos before and after on one page."),
    "info": ("info", "Show what a film holds."),
    "models": ("models", "List, show and verify the models."),
    "export": ("export", "Write a model as ONNX or OpenVINO for other programs."),
    "train": ("train", "Train a model on color photos and films."),
    "evaluate": ("evaluate", "Measure models on color photos and films."),
    "doctor": ("doctor", "Say whether vidcolor works on this machine."),
    "completion": ("completion", "Let the shell complete commands, options and names."),
}
DEFAULT_COMMAND = "colorize"
OF_TORCH = "torch", "torchvision"  # which an install may lack


class LazyGroup(HelpingGroup):
    """Commands, imported when used; arguments without a command belong to `colorize`."""

    context_class = HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names, in the order of the overview."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command itself."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"vidcolor.cli.{COMMANDS[cmd_name][0]}").command
        return set_help_context(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The overview, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`vidcolor film.mp4 -o out.mp4` means `vidcolor colorize film.mp4 -o out.mp4`."""
        if args and args[0] == "help" and not Path("help").exists():
            args = [*args[1:2], "--help"]
        if args and args[0] not in COMMANDS and args[0] not in ("--help", "-h", "--version"):
            near = closest_name(args[0], COMMANDS) if args[0].isalpha() and not Path(args[0]).exists() else None
            if near and not ctx.resilient_parsing:
                raise click.UsageError(f"No such command or file {args[0]!r}. Did you mean {near!r}?", ctx)
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Commands and files, or options: the overview's and those of `colorize`."""
        from vidcolor.cli.param_types import complete_names_and_files

        if not incomplete.startswith("-"):
            return complete_names_and_files(incomplete, COMMANDS)
        default = self.get_command(ctx, DEFAULT_COMMAND)
        found = [] if default is None else default.shell_complete(click.Context(default, ctx), incomplete)
        return list({item.value: item for item in [*super().shell_complete(ctx, incomplete), *found]}.values())


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vidcolor")
def vidcolor() -> None:
    """Color for black-and-white film.

    The picture, the sound and the timing stay as they are; only color is added.

    \b
    Example:
      vidcolor film.mp4 -o out.mp4

    `vidcolor COMMAND --help` explains a command; `colorize` is the default.
    """


def main() -> None:
    """Run the command line as a process of its own."""
    atexit.register(signals.ignore)  # registered first, so called last
    streams.replace_standard_streams()
    log.show_library_warnings()
    signals.end_with(signals.CODES)  # before and after the command handles signals itself
    code = run(sys.argv[1:])
    signals.end_with(dict.fromkeys(signals.CODES, code))
    sys.exit(code)


def run(args: list[str]) -> int:
    """Run a command. Exit codes: 0 done, 1 failed, 2 wrong usage, 129 its terminal gone, 130 interrupted,
    143 terminated.

    Only here errors become exit codes.
    """
    limits.limit_library_threads()
    code = 1
    with StopHandler() as stop_handler:
        try:
            code = _run(args, stop_handler)
            if code and stop_handler.code is not None:
                code = stop_handler.code  # whatever error closing raised
        finally:
            log.end(code)
    return code


def _run(args: list[str], stop_handler: StopHandler) -> int:
    try:
        try:
            code = vidcolor.main(args=args, prog_name="vidcolor", standalone_mode=False, obj=args)
        finally:
            stop_handler.is_over = True
    except click.exceptions.Exit as stop:
        return int(stop.exit_code)
    except Terminated as stop:
        log.LOG.error("told to end (SIGTERM)")
        return int(stop.code or 0)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except (click.Abort, KeyboardInterrupt) as stop:
        before = stop.__cause__ or stop.__context__  # depends on the release of click
        if isinstance(before, EOFError):  # click treats any library's EOFError as the end of input
            return _report_unexpected(before)
        return _report_error("interrupted; nothing half-written is left, and the same command resumes.", 130)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "vidcolor"
        return _report_error(f"{_format_click_error(error)} Try `{where} --help`.", error.exit_code)
    except LostError as error:
        if error.is_left:
            return HANGUP_CODE if stop_handler.is_hung_up else 1
        return _report_error(str(error), 1)
    except UsageError as error:
        return _report_error(str(error), 2)
    except VidcolorError as error:
        return _report_error(str(error), 1)
    except Exception as error:
        return _report_unexpected(error)
    return code if isinstance(code, int) else 0


def _report_unexpected(error: BaseException) -> int:
    kind = type(error).__name__
    log.LOG.error("unexpected %s", kind, exc_info=error)
    if os.environ.get("VIDCOLOR_DEBUG"):
        note(*"".join(traceback.format_exception(error)).splitlines())
        return 1
    if isinstance(error, ModuleNotFoundError) and error.name in OF_TORCH:
        return _report_error(f"PyTorch is not installed, and this needs it: pip install {' '.join(OF_TORCH)}", 1)
    if lacking := limits.explain(error):
        return _report_error(lacking, 1)
    if isinstance(error, OSError) and error.filename:  # a file that the system refuses to open
        return _report_error(
            f"{error.filename}: cannot be used: {error.strerror}. Check the folder and its permissions.", 1
        )
    return _report_error(f"unexpected {kind}: {error} Set VIDCOLOR_DEBUG=1 to see where; please report it.", 1)


def _format_click_error(error: click.ClickException) -> str:
    """Format Click's message, with a suggestion whose words do not change with click's release."""
    if not isinstance(error, click.NoSuchOption):
        return error.format_message() + _suggest_option(error)
    near = closest_name(error.option_name, error.possibilities or ())
    return f"No such option {error.option_name!r}." + (f" Did you mean {near!r}?" if near else "")


def _suggest_option(error: click.ClickException) -> str:
    """The advice for one argument too many, which is often meant as the output; else nothing."""
    found = re.search(r"unexpected extra argument \((.+)\)", error.format_message())
    if not found or not isinstance(error, click.UsageError) or error.ctx is None:
        return ""
    has_output = any("--output" in option.opts for option in error.ctx.command.params)
    return f". To write it, say -o {shlex.quote(found[1])}." if has_output else ""


def _report_error(message: str, code: int) -> int:
    log.LOG.error("%s", message)
    say(f"vidcolor: {message}")
    return code
