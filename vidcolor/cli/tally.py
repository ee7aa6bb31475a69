"""What a person or a program sees of a run over many files: counts and the time left, JSON lines, or failures alone."""

import logging
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

from vidcolor.cli.lines import event, say
from vidcolor.cli.log import LOG
from vidcolor.cli.times import duration

EVENT_SECONDS = 0.5  # at most one progress event in this time


class Tally:
    """Counts outcomes; shows failures and nothing else."""

    def __init__(self, total: int | None):
        """total: files, as far as they could be counted."""
        self.total, self.counts = total, Counter[str]()
        self.done = self.was_done = self.damaged = 0
        self._began = time.monotonic()

    def entry(
        self, name: str, outcome: str, notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        """A file is done with. is_damaged: it is a film, coloured as far as it decodes."""
        self.done += 1
        if was_done:
            self.was_done += 1
        else:
            self.counts[outcome] += 1
            self.damaged += is_damaged
            LOG.log(_level(outcome, notes), "%s: %s", outcome, _one_line(name, notes))
        self.show(name, outcome, notes)

    def show(self, name: str, outcome: str, notes: tuple[str, ...]) -> None:
        """Say what is to be said of a file."""
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
    """One JSON object a line on stdout, nothing else there: every file that is not simply coloured, and progress."""

    _last = 0.0

    def show(self, name: str, outcome: str, notes: tuple[str, ...]) -> None:
        """See Tally."""
        if outcome == "failed" or notes:
            event("file", name=name, outcome=outcome, notes=notes)
        if (now := time.monotonic()) - self._last >= EVENT_SECONDS or self.done == self.total:
            self._last = now
            left = self.seconds_left
            event(
                "progress", done=self.done, total=self.total, was_done=self.was_done, counts=dict(self.counts),
                files_per_second=round(self.speed, 2), seconds_left=None if left is None else round(left, 1),
            )  # fmt: skip

    def warn(self, message: str) -> None:
        """See Tally."""
        event("warning", message=message)

    def sum_up(self, facts: dict[str, Any]) -> None:
        """See Tally."""
        event("done", **facts)


class LiveTally(Tally):
    """A bar with counts, speed and time left on stderr, failures above it, and a table at the end."""

    def __init__(self, total: int | None):
        super().__init__(total)
        from vidcolor.cli.bars import Bars
        from vidcolor.cli.console import Terminal

        self._console = Terminal(stderr=True)
        self._bars = Bars(self._console)
        self._task = self._bars.begin("colouring", total)

    def show(self, name: str, outcome: str, notes: tuple[str, ...]) -> None:
        """See Tally."""
        if outcome == "failed":
            self._bars.tell(f"vidcolor: {_one_line(name, notes)}", style="red")
        facts = [f"{self.counts['failed']} failed"] if self.counts["failed"] else []
        facts += [f"{self.was_done} done before"] if self.was_done else []
        facts.append(f"{self.speed:.1f} files/s")
        self._bars.update(self._task, completed=self.done, facts=", ".join(facts), left=self.seconds_left)

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


def tally(total: int | None, *, as_json: bool, quiet: bool) -> Tally:
    """The one that the options ask for."""
    if as_json:
        return JsonTally(total)
    return Tally(total) if quiet else LiveTally(total)


def _level(outcome: str, notes: tuple[str, ...]) -> int:
    if outcome == "failed":
        return logging.ERROR
    return logging.WARNING if notes else logging.INFO


def _one_line(name: str, notes: tuple[str, ...]) -> str:
    said = " ".join("; ".join(notes).split())
    return said if said.startswith(name) else f"{name}: {said}".removesuffix(": ")
