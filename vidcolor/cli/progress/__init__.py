"""Progress of a running job: a bar, plain lines, JSON lines or only failures on the terminal, and lines in the log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vidcolor.cli.progress.broadcast import Broadcast
from vidcolor.cli.progress.json_lines import JsonLines
from vidcolor.cli.progress.log_lines import LogLines, film_progress
from vidcolor.cli.progress.observer import Observer
from vidcolor.cli.progress.plain import PlainLines, QuietLines
from vidcolor.cli.progress.tally import Tally
from vidcolor.cli.progress.wording import validation_summary

__all__ = ["Observer", "Tally", "film_progress", "make_observer", "show_count", "validation_summary"]


def make_observer(
    *, as_json: bool, quiet: bool, is_telling_all: bool = False, is_terminal: bool | None = None
) -> Observer:
    """Choose the renderer by the options and the terminal, with the log beside it.

    is_telling_all: print a line on every file, unless quiet.  is_terminal: whether bars are drawn; None: as rich
    detects it, which FORCE_COLOR can override.
    """
    return Broadcast(LogLines(), _renderer(as_json, quiet, is_telling_all, is_terminal))


def _renderer(as_json: bool, quiet: bool, is_telling_all: bool, is_terminal: bool | None) -> Observer:
    if as_json:
        return JsonLines(is_telling_all=is_telling_all)
    if quiet:
        return QuietLines()
    if is_terminal is None:
        from vidcolor.cli.console import Terminal

        is_terminal = Terminal(stderr=True).is_terminal
    if not is_terminal:
        return PlainLines(is_telling_all=is_telling_all)
    from vidcolor.cli.progress.live import LiveBars

    return LiveBars(is_telling_all=is_telling_all)


@contextmanager
def show_count(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar with the time left, on a terminal. what: photos, frames, files.

    Yields a callback that takes how many are done, and the total or None.
    """
    with make_observer(as_json=False, quiet=False) as shown:
        shown.counting_started(what)
        yield shown.counted
