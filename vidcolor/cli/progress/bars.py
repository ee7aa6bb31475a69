"""A bar for a job under way, one line at any width of the terminal. Imported late, as it brings rich."""

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

_WIDE, _MEDIUM = 100, 64  # columns of a terminal that hold everything, and a shorter bar; under these there is none


class Bars(Progress):
    """Name, bar, count, facts and the time left, as far as there is room: the count and the time left stay longest.

    Tasks have a field `facts`, a text.  Shown on a terminal only.
    """

    def __init__(self, console: Terminal, *, transient: bool = False, in_percent: bool = False) -> None:
        self._count = TaskProgressColumn() if in_percent else _Count()
        self._terminal = console  # rich draws in its own __init__ before it knows it
        is_shown = console.is_terminal and not console.is_dumb_terminal
        super().__init__(
            console=console, disable=not is_shown, transient=transient, redirect_stdout=sys.stdout.isatty()
        )  # what goes to a file or a pipe goes there

    def begin(self, name: str, total: float | None, done: int = 0) -> TaskID:
        """A new bar; one without a total and a count only moves."""
        return self.add_task(name, total=total, completed=done, facts="")

    def tell(self, text: str, style: str = "") -> None:
        """A line above the bars; its beginning, up to a colon, in a style."""
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
    """What is worked on; a long name loses its middle, so that `reel-01` and `reel-02` stay apart."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        name = printable(task.description)
        half = (self._most - 1) // 2
        return Text(name if len(name) <= self._most else f"{name[: self._most - 1 - half]}…{name[-half:]}")


class _Facts(ProgressColumn):
    """What else is known: the task's field `facts`."""

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        return Text(printable(task.fields["facts"]))


class _Count(MofNCompleteColumn):
    """How many of how many."""

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        return Text("") if task.total is None and not task.completed else super().render(task)


class _Left(ProgressColumn):
    """The time left: the task's field `left` if it has one, else by the last half minute's speed."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        seconds = task.fields.get("left", task.time_remaining)
        text = "" if task.finished or seconds is None else f"{format_duration(seconds)} left"
        return Text(text, style="progress.remaining")


class _Spent(ProgressColumn):
    """The time that was worked: the task's field `spent` if it has one, else since the task began."""

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        elapsed = task.fields.get("spent", task.finished_time if task.finished else task.elapsed)
        return Text(f"{format_duration(elapsed or 0)} spent", style="progress.elapsed")


def counts_table(rows: Iterable[tuple[int, str]]) -> Table:
    """What became of a batch's files: see Tally.rows."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right")
    for count, what in rows:
        table.add_row(f"{count:,}", what)
    return table
