"""What a person or a program sees of a run over many files: counts and the time left, JSON lines, or failures alone."""

import logging
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

from vidcolor.cli.log import LOG
from vidcolor.cli.text import event, say
from vidcolor.cli.timecode import duration

EVENT_SECONDS = 0.5  # at most one progress event in this time


class Tally:
    """Counts outcomes; shows failures and nothing else."""

    def __init__(self, total: int | None, *, is_telling_all: bool = False):
        """total: files, as far as they could be counted.  is_telling_all: say a line of each that was worked."""
        self.total, self.counts, self._is_telling_all = total, Counter[str](), is_telling_all
        self.done = self.was_done = self.damaged = 0
        self._within = Counter[str]()  # files done, by the archive in a folder
        self._began = time.monotonic()

    def entry(
        self, name: str, outcome: str, notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        """A file is done with. is_damaged: it is a film, colored as far as it decodes."""
        self.done += 1
        if was_done:
            self.was_done += 1
        else:
            self.counts[outcome] += 1
            self.damaged += is_damaged
            LOG.log(_level(outcome, notes), "%s: %s", outcome, _one_line(name, notes))
        self.show(name, outcome, notes, is_told=self._is_telling_all and not was_done)

    def within(self, archive: str) -> None:
        """A file of an archive that lies in a folder is done with."""
        self._within[archive] += 1
        self.show_within(archive, self._within[archive])

    def show_within(self, archive: str, count: int) -> None:
        """Say how far an archive is."""

    def show(self, name: str, outcome: str, notes: tuple[str, ...], *, is_told: bool = False) -> None:  # noqa: ARG002
        """Say what is to be said of a file. is_told: something is, whatever became of it."""
        if outcome == "failed":
            say(f"vidcolor: {_one_line(name, notes)}")

    def note(self, message: str) -> None:
        """Something about the whole."""
        LOG.warning("%s", message)
        self.warn(message)

    def warn(self, message: str) -> None:
        """Say what was noted."""
        say(f"vidcolor: warning: {message}")

    def finish(self, facts: dict[str, Any]) -> None:
        """The run is over."""
        counted = [f"{count} {outcome}" for outcome, count in self.counts.most_common()]
        counted += [f"{self.was_done} done before"] if self.was_done else []
        counted += [f"{self.damaged} of the films damaged"] if self.damaged else []
        LOG.info(
            "%s: %s, in %s, on %s; report: %s", facts["output"], ", ".join(counted) or "no files",
            duration(facts["seconds"]), facts["devices"], facts["report"],
        )  # fmt: skip
        self.sum_up(facts)

    def sum_up(self, facts: dict[str, Any]) -> None:
        """Say how it went."""

    @property
    def speed(self) -> float:
        """Files a second in this run, without those that an earlier one did."""
        return (self.done - self.was_done) / max(time.monotonic() - self._began, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """By the speed so far."""
        worked = self.done - self.was_done
        return (self.total - self.done) / self.speed if self.total is not None and worked else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class JsonTally(Tally):
    """One JSON object a line on stdout, nothing else there: every file that is not simply colored, and progress."""

    _last = 0.0

    def show(self, name: str, outcome: str, notes: tuple[str, ...], *, is_told: bool = False) -> None:
        """See Tally."""
        if outcome == "failed" or notes or is_told:
            event("file", name=name, outcome=outcome, notes=notes)
        if (now := time.monotonic()) - self._last >= EVENT_SECONDS or self.done == self.total:
            self._last = now
            left = self.seconds_left
            event(
                "progress", done=self.done, total=self.total, was_done=self.was_done, counts=dict(self.counts),
                files_per_second=round(self.speed, 2), seconds_left=None if left is None else round(left, 1),
            )  # fmt: skip

    def show_within(self, archive: str, count: int) -> None:
        """See Tally."""
        if (now := time.monotonic()) - self._last >= EVENT_SECONDS:
            self._last = now
            event("progress", done=self.done, total=self.total, within=archive, done_within=count)

    def warn(self, message: str) -> None:
        """See Tally."""
        event("warning", message=message)

    def sum_up(self, facts: dict[str, Any]) -> None:
        """See Tally."""
        event("done", **facts)


class LiveTally(Tally):
    """A bar with counts, speed and time left on stderr, failures above it, and a table at the end."""

    def __init__(self, total: int | None, *, is_telling_all: bool = False):
        super().__init__(total, is_telling_all=is_telling_all)
        from vidcolor.cli.bars import Bars
        from vidcolor.cli.console import Terminal

        self._console = Terminal(stderr=True)
        self._bars = Bars(self._console)
        self._task = self._bars.begin("coloring", total)

    def show(self, name: str, outcome: str, notes: tuple[str, ...], *, is_told: bool = False) -> None:
        """See Tally."""
        if outcome == "failed":
            self._bars.tell(f"vidcolor: {_one_line(name, notes)}", style="red")
        elif is_told:
            self._bars.tell(_one_line(name, (outcome, *notes)))
        facts = [f"{self.counts['failed']} failed"] if self.counts["failed"] else []
        facts += [f"{self.was_done} done before"] if self.was_done else []
        facts += [f"{self.speed:.1f} files/s"] if self.done > self.was_done else []
        self._bars.update(self._task, completed=self.done, facts=", ".join(facts), left=self.seconds_left)

    def show_within(self, archive: str, count: int) -> None:
        """See Tally."""
        self._bars.update(self._task, completed=self.done, facts=f"{archive}: {count:,}", left=self.seconds_left)

    def warn(self, message: str) -> None:
        """See Tally."""
        self._bars.tell(f"warning: {message}", style="yellow")

    def sum_up(self, facts: dict[str, Any]) -> None:
        """See Tally."""
        from rich.table import Table

        self._bars.stop()
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(justify="right")
        for outcome, count in self.counts.most_common():
            table.add_row(f"{count:,}", outcome)
        if self.was_done:
            table.add_row(f"{self.was_done:,}", "done before")
        if self.damaged:
            table.add_row(f"{self.damaged:,}", "of the films damaged")
        self._console.print(table)
        self._bars.tell(
            f"{facts['output']}: {self.done:,} files in {duration(facts['seconds'])}; report: {facts['report']}"
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


def tally(total: int | None, *, as_json: bool, quiet: bool, is_telling_all: bool = False) -> Tally:
    """The one that the options ask for. is_telling_all: say a line of every file, unless quiet."""
    if as_json:
        return JsonTally(total, is_telling_all=is_telling_all)
    return Tally(total) if quiet else LiveTally(total, is_telling_all=is_telling_all)


def _level(outcome: str, notes: tuple[str, ...]) -> int:
    if outcome == "failed":
        return logging.ERROR
    return logging.WARNING if notes else logging.INFO


def _one_line(name: str, notes: tuple[str, ...]) -> str:
    said = " ".join("; ".join(notes).split())
    return said if said.startswith(name) else f"{name}: {said}".removesuffix(": ")
