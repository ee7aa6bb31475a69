"""The progress bar: one line at any width of the terminal. Imported late, because it loads rich."""

import sys
from collections.abc import Iterable

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
)
from rich.table import Table
from rich.text import Text

from vidcolor.cli.console import Terminal
from vidcolor.cli.text import fold
from vidcolor.cli.timecode import format_duration
from vidcolor.printable import printable

_WIDE, _MEDIUM = 100, 64  # columns from which there is room for everything, and for a short bar; below, no bar


class Bars(Progress):
    """Name, bar, count, facts and the time left. On a narrow terminal the count and the time left stay longest.

    Tasks have a field `facts`, a text. Bars are shown on a terminal only.
    """

    def __init__(self, console: Terminal, *, transient: bool = False, in_percent: bool = False) -> None:
        self._count = TaskProgressColumn() if in_percent else _Count()
        self._terminal = console  # rich draws in its own __init__, before it has stored its console
        is_shown = console.is_terminal and not console.is_dumb_terminal
        super().__init__(
            console=console, disable=not is_shown, transient=transient, redirect_stdout=sys.stdout.isatty()
        )  # output to a file or a pipe is left alone

    def begin(self, name: str, total: float | None, done: int = 0) -> TaskID:
        """Add a bar. total: None for a bar that only moves.  done: of them, at the start."""
        return self.add_task(name, total=total, completed=done, facts="")

    def tell(self, text: str, style: str = "") -> None:
        """Print a line above the bars. style: of its beginning, up to a colon."""
        line = Text(fold(text, self._terminal.width if self._terminal.is_terminal else None))
        line.stylize(style, 0, line.plain.find(":") + 1)
        self._terminal.print(line, soft_wrap=True)

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        """See Progress. The terminal may have been resized."""
        self.columns = _columns(self._terminal.width, self._count)
        return super().make_tasks_table(tasks)


def _columns(width: int, count: ProgressColumn) -> tuple[ProgressColumn, ...]:
    left = _Left()
    if width < _MEDIUM:
        name = _Name(max(8, width - 29))
        return name, count, left
    facts = _Facts()
    if width < _WIDE:
        return _Name(18), BarColumn(max(4, width - 60)), count, facts, left
    return _Name(32), BarColumn(min(40, width - 84)), count, facts, _Spent(), left


class _Name(ProgressColumn):
    """The name of the current work; a long name loses its middle, so that `reel-01` and `reel-02` still differ."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        name = printable(task.description)
        half = (self._most - 1) // 2
        return Text(name if len(name) <= self._most else f"{name[: self._most - 1 - half]}…{name[-half:]}")


class _Facts(ProgressColumn):
    """Other facts: the task's field `facts`."""

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        return Text(printable(task.fields["facts"]))


class _Count(MofNCompleteColumn):
    """The number done and the total."""

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        return Text("") if task.total is None and not task.completed else super().render(task)


class _Left(ProgressColumn):
    """The time left: the task's field `left` if it has one, else estimated from the last half minute's speed."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        seconds = task.fields.get("left", task.time_remaining)
        text = "" if task.finished or seconds is None else f"{format_duration(seconds)} left"
        return Text(text, style="progress.remaining")


class _Spent(ProgressColumn):
    """The time spent: the task's field `spent` if it has one, else the time since the task began."""

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        elapsed = task.fields.get("spent", task.finished_time if task.finished else task.elapsed)
        return Text(f"{format_duration(elapsed or 0)} spent", style="progress.elapsed")


def counts_table(rows: Iterable[tuple[int, str]]) -> Table:
    """A table of a batch's files by outcome. rows: from Tally.rows."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right")
    for count, what in rows:
        table.add_row(f"{count:,}", what)
    return table
