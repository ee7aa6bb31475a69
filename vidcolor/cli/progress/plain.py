"""Lines on stderr: only warnings and failures, or also a line on everything that is finished."""

import time
from typing import TYPE_CHECKING, Any, Unpack

from vidcolor.cli.progress import events
from vidcolor.cli.progress.observer import Observer
from vidcolor.cli.progress.tally import Tally
from vidcolor.cli.progress.wording import (
    epoch_length,
    epoch_line,
    file_line,
    film_outlook,
    film_work,
    passed_over,
    plan_lines,
    resumption_line,
    still_lines,
    training_place,
    training_summary,
)
from vidcolor.cli.text import answer, fold, note, say
from vidcolor.cli.timecode import format_duration
from vidcolor.counts import counted

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.training.photos import LoadReport

LINE_SECONDS = 10.0  # at most one line on stills, or on a training run's losses, in this time
MOST_SKIPPED_SHOWN = 10


class QuietLines(Observer):
    """Warnings and failures, a dry run's plan, and the photos that training skips."""

    def warning(self, message: str) -> None:
        say(f"vidcolor: warning: {message}")

    def film_failed(self, **facts: Unpack[events.FilmFailed]) -> None:
        say(f"vidcolor: {facts['message']}")

    def film_planned(self, **facts: Unpack[events.FilmPlan]) -> None:
        answer(*plan_lines(facts))

    def file_finished(self, name: str, outcome: "Outcome", notes: tuple[str, ...], **_: bool) -> None:
        if outcome == "failed":
            say(f"vidcolor: {file_line(name, notes)}")

    def photos_read(self, report: "LoadReport") -> None:
        if report.skipped:
            print_load_report(report)


class PlainLines(Observer):
    """A line on each film, failure and epoch, for pipes and files."""

    def __init__(self, *, is_telling_all: bool = False) -> None:
        """is_telling_all: also print a line on every file that this run processed."""
        self._is_telling_all, self._tally = is_telling_all, Tally()
        self._last = 0.0

    def tell(self, text: str, style: str = "") -> None:  # noqa: ARG002 - see LiveBars
        """Print a line. style: of its beginning, up to a colon, if the terminal has colors."""
        note(fold(text, None))

    def warning(self, message: str) -> None:
        self.tell(f"warning: {message}", style="yellow")

    def still_made(self, done: int, total: int) -> None:
        if time.monotonic() - self._last >= LINE_SECONDS or done == total:
            self._last = time.monotonic()
            self.tell(f"stills: {done} of {total}")

    def film_started(self, **facts: Unpack[events.FilmStarted]) -> None:
        if done_before := facts["done_before"]:
            self.tell(f"{facts['output']}: going on after frame {done_before}.")
        if outlook := film_outlook(facts):
            self.tell(f"{facts['output']}: {outlook}.")

    def film_finished(self, **facts: Unpack[events.FilmFinished]) -> None:
        self.tell(f"{facts['output']}: {film_work(facts)}")
        for line in still_lines(facts):
            self.tell(line)

    def film_done_before(self, **facts: Unpack[events.FilmDoneBefore]) -> None:
        self.tell(f"{facts['output']}: done before")

    def film_failed(self, **facts: Unpack[events.FilmFailed]) -> None:
        self.tell(f"vidcolor: {facts['message']}", style="red")

    def film_planned(self, **facts: Unpack[events.FilmPlan]) -> None:
        answer(*plan_lines(facts))

    def batch_started(self, total: int | None) -> None:
        self._tally = Tally(total)

    def file_finished(
        self, name: str, outcome: "Outcome", notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        self._tally.add(outcome, was_done=was_done, is_damaged=is_damaged)
        if outcome == "failed":
            self.tell(f"vidcolor: {file_line(name, notes)}", style="red")
        elif self._is_telling_all and not was_done:
            self.tell(file_line(name, (outcome, *notes)))

    def batch_finished(self, **facts: Unpack[events.BatchFinished]) -> None:
        from vidcolor.cli.console import Terminal
        from vidcolor.cli.progress.bars import counts_table

        Terminal(stderr=True).print(counts_table(self._tally.rows()))
        took = format_duration(facts["seconds"])
        files = counted(self._tally.done, "file")
        self.tell(f"{facts['output']}: {files} in {took}; report: {facts['report'] or 'none'}")

    def run_resumed(self, facts: dict[str, Any]) -> None:
        note(resumption_line(facts))

    def photos_read(self, report: "LoadReport") -> None:
        print_load_report(report)

    def epoch_measured(self, seconds: float, steps: int) -> None:
        self.tell(epoch_length(seconds, steps))

    def losses_measured(self, facts: dict[str, Any]) -> None:
        if time.monotonic() - self._last >= LINE_SECONDS or facts["progress"] >= 1:
            self._last = time.monotonic()
            note(training_place(facts))

    def epoch_finished(self, facts: dict[str, Any]) -> None:
        note(epoch_line(facts))

    def validated(self, facts: dict[str, Any]) -> None:
        note(epoch_line(facts))

    def model_written(self, **facts: Unpack[events.ModelWritten]) -> None:
        note(training_summary(facts))


def print_load_report(report: "LoadReport") -> None:
    """Print what was read, and the first of the skipped photos."""
    note(report.describe(), *(f"  {line}" for line in passed_over(report, MOST_SKIPPED_SHOWN)))
    if len(report.skipped) > MOST_SKIPPED_SHOWN:
        note(f"  and {len(report.skipped) - MOST_SKIPPED_SHOWN} more: see skipped.txt")
