"""Bars on a terminal for films, batches and counts; for training, with a table of losses. Loads rich."""

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Unpack

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import TaskID
from rich.table import Table

from vidcolor.cli.console import Terminal
from vidcolor.cli.progress import events
from vidcolor.cli.progress.bars import Bars
from vidcolor.cli.progress.plain import MOST_SKIPPED_SHOWN, PlainLines
from vidcolor.cli.progress.tally import FilmClock
from vidcolor.cli.progress.wording import (
    epoch_length,
    last_part,
    loss_names,
    passed_over,
    resumption_line,
    training_summary,
)
from vidcolor.cli.text import confirm
from vidcolor.printable import printable

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.training.photos import LoadReport


class LiveBars(PlainLines):
    """A bar with counts, speed and the time left on stderr, and the plain lines above it."""

    def __init__(self, *, is_telling_all: bool = False) -> None:
        """See PlainLines."""
        super().__init__(is_telling_all=is_telling_all)
        self._console = Terminal(stderr=True)
        self._bars = Bars(self._console)
        self._task: TaskID | None = None
        self._waiting: TaskID | None = None  # the bar before the first film's
        self._clock = FilmClock(None)
        self._within = Counter[str]()
        self._live: Live | None = None
        self._steps: dict[str, Any] = {}
        self._epochs: list[dict[str, Any]] = []  # the last three

    def tell(self, text: str, style: str = "") -> None:
        self._bars.tell(text, style)

    def confirm(self, message: str) -> bool:
        if not (sys.stdin.isatty() and self._console.is_terminal):
            return False
        self._bars.stop()
        is_wanted = confirm(f"{message} Begin anew?")
        self._bars.start()
        return is_wanted

    def films_started(self) -> None:
        self._waiting = self._bars.begin("starting", None)
        self._bars.start()

    def still_made(self, done: int, total: int) -> None:
        if self._waiting is not None:
            self._bars.update(self._waiting, description="stills", completed=done, total=total)

    def film_started(self, **facts: Unpack[events.FilmStarted]) -> None:
        done_before = facts["done_before"]
        self._clock = FilmClock(facts["frames"], done_before)
        self._end_waiting()
        self._task = self._bars.begin(last_part(facts["input"]), facts["frames"], done_before)
        super().film_started(**facts)

    def film_advanced(self, frames: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=frames, facts=f"{self._clock.fps(frames):.1f} fps")

    def film_finished(self, **facts: Unpack[events.FilmFinished]) -> None:
        if self._task is not None:
            self._bars.update(self._task, total=facts["frames"], completed=facts["frames"])
        super().film_finished(**facts)

    def film_failed(self, **facts: Unpack[events.FilmFailed]) -> None:
        self._end_waiting()
        if self._task is not None:
            self._bars.stop_task(self._task)
        super().film_failed(**facts)

    def film_planned(self, **facts: Unpack[events.FilmPlan]) -> None:
        self._end_waiting()
        super().film_planned(**facts)

    def batch_started(self, total: int | None) -> None:
        super().batch_started(total)
        self._task = self._bars.begin("coloring", total)
        self._bars.start()

    def file_finished(
        self, name: str, outcome: "Outcome", notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        super().file_finished(name, outcome, notes, was_done=was_done, is_damaged=is_damaged)
        tally = self._tally
        facts = [f"{tally.counts['failed']} failed"] if tally.counts["failed"] else []
        facts += [f"{tally.was_done} done before"] if tally.was_done else []
        facts += [f"{tally.speed:.1f} files/s"] if tally.done > tally.was_done else []
        self._show_batch(", ".join(facts))

    def archived_file_finished(self, archive: str) -> None:
        self._within[archive] += 1
        self._show_batch(f"{archive}: {self._within[archive]:,}")

    def batch_finished(self, **facts: Unpack[events.BatchFinished]) -> None:
        self._bars.stop()
        super().batch_finished(**facts)

    def training_started(self) -> None:
        self._bars = Bars(self._console, in_percent=True)
        self._task = self._bars.begin("reading photos", 1.0)
        self._live = Live(console=self._console, get_renderable=self._training, refresh_per_second=2)
        self._live.start()

    def run_resumed(self, facts: dict[str, Any]) -> None:
        self._console.print(printable(resumption_line(facts)))

    def photos_read(self, report: "LoadReport") -> None:
        self._console.print(printable(report.describe()))
        for line in passed_over(report, MOST_SKIPPED_SHOWN):
            self._console.print(printable(f"  {line}"))

    def epoch_measured(self, seconds: float, steps: int) -> None:
        self._console.print(printable(epoch_length(seconds, steps)))

    def step_finished(self, facts: dict[str, Any]) -> None:
        elapsed, progress = facts["minutes"] * 60, facts["progress"]
        left = elapsed / progress - elapsed if progress > 0 else None
        speed = f"{facts['images'] / max(elapsed, 1e-6):.1f} images/s"
        where = f"epoch {facts['epoch']:.1f}, step {facts['step']}, {facts['crop']} px"
        if self._task is not None:
            self._bars.update(
                self._task, completed=progress, facts=speed, description=where, spent=elapsed, left=left,
            )  # fmt: skip

    def losses_measured(self, facts: dict[str, Any]) -> None:
        self._steps = facts

    def epoch_finished(self, facts: dict[str, Any]) -> None:
        self._epochs = [*self._epochs, facts][-3:]

    def validated(self, facts: dict[str, Any]) -> None:
        self.epoch_finished(facts)

    def model_written(self, **facts: Unpack[events.ModelWritten]) -> None:
        self._console.print(printable(training_summary(facts)))

    def counting_started(self, what: str) -> None:
        self._bars = Bars(self._console, transient=True)
        self._bars.start()
        self._task = self._bars.begin(what, None)

    def counted(self, done: int, total: int | None) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._end_waiting()
        self._bars.stop()
        if self._live is not None:
            self._live.stop()

    def _end_waiting(self) -> None:
        if self._waiting is not None:
            self._bars.remove_task(self._waiting)
            self._bars.refresh()
            self._waiting = None

    def _show_batch(self, facts: str) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=self._tally.done, facts=facts, left=self._tally.seconds_left)

    def _training(self) -> RenderableType:
        """The bar, and under it the losses: the mean of each epoch, and of the last steps."""
        shown = [(f"epoch {facts['epoch']:.1f}", facts) for facts in self._epochs] + [("now", self._steps)]
        names = sorted({name for _, facts in shown for name in loss_names(facts)})
        if not names:
            return self._bars
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for title, _ in shown:
            table.add_column(title, justify="right")
        for name in names:
            table.add_row(name, *(f"{facts[name]:.4f}" if name in facts else "" for _, facts in shown))
        return Group(self._bars, table)
