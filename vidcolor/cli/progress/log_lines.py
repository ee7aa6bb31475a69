"""The lines of `--log FILE`: every film and file, and the progress of a long film every few minutes."""

import logging
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from vidcolor.cli.log import LOG, ProgressInterval
from vidcolor.cli.progress import events
from vidcolor.cli.progress.observer import Observer
from vidcolor.cli.progress.tally import FilmClock, Tally
from vidcolor.cli.progress.wording import (
    epoch_length,
    epoch_line,
    file_line,
    last_part,
    passed_over,
    resumption_line,
    training_place,
    training_summary,
)
from vidcolor.cli.timecode import format_duration
from vidcolor.counts import counted

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.training.photos import LoadReport


class LogLines(Observer):
    """Writes events to the log file, whatever the terminal shows; without a log file, does nothing."""

    def __init__(self) -> None:
        self._film_advanced: Callable[[int], None] = lambda _: None
        self._films, self._files, self._pace = Counter[str](), Tally(), ProgressInterval()

    def warning(self, message: str) -> None:
        LOG.warning("%s", message)

    def remark(self, message: str) -> None:
        LOG.info("%s", message)

    def confirmed(self, message: str, *, is_wanted: bool) -> None:
        LOG.info("%s Begin anew? %s.", message, "Yes" if is_wanted else "No")

    def film_started(self, **facts: Unpack[events.FilmStarted]) -> None:
        done_before = facts["done_before"]
        going_on = f", going on after frame {done_before}" if done_before else ""
        LOG.info(
            "%s -> %s: %s, on %s%s", facts["input"], facts["output"],
            counted(facts["frames"], "frame") if facts["frames"] else "an unknown number of frames",
            ", ".join(facts["devices"]), going_on,
        )  # fmt: skip
        self._film_advanced = film_progress(last_part(facts["input"]), facts["frames"], done_before)

    def film_advanced(self, frames: int) -> None:
        self._film_advanced(frames)

    def film_finished(self, **facts: Unpack[events.FilmFinished]) -> None:
        self._films["done"] += 1
        LOG.info(
            "%s: done, %s in %s, %.1f a second", facts["output"], counted(facts["frames"], "frame"),
            format_duration(facts["seconds"]), facts["fps"],
        )  # fmt: skip

    def film_done_before(self, **facts: Unpack[events.FilmDoneBefore]) -> None:
        self._films["done before"] += 1
        LOG.info("%s: done before", facts["output"])

    def film_failed(self, **facts: Unpack[events.FilmFailed]) -> None:
        self._films["failed"] += 1
        LOG.error("%s", facts["message"])

    def film_planned(self, **facts: Unpack[events.FilmPlan]) -> None:
        LOG.info("%s -> %s: a dry run", facts["input"], facts["output"])

    def file_finished(
        self, name: str, outcome: "Outcome", notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        self._files.add(outcome, was_done=was_done, is_damaged=is_damaged)
        if not was_done:
            LOG.log(_level(outcome, notes), "%s: %s", outcome, file_line(name, notes))

    def batch_finished(self, **facts: Unpack[events.BatchFinished]) -> None:
        listed = ", ".join(f"{count} {what}" for count, what in self._files.rows())
        LOG.info(
            "%s: %s, in %s, on %s; report: %s", facts["output"], listed or "no files",
            format_duration(facts["seconds"]), ", ".join(facts["devices"]), facts["report"] or "none",
        )  # fmt: skip

    def run_resumed(self, facts: dict[str, Any]) -> None:
        LOG.info("%s", resumption_line(facts))

    def photos_read(self, report: "LoadReport") -> None:
        LOG.info("%s", report.describe())
        for line in passed_over(report):
            LOG.warning("%s", line)

    def epoch_measured(self, seconds: float, steps: int) -> None:
        LOG.info("%s", epoch_length(seconds, steps))

    def losses_measured(self, facts: dict[str, Any]) -> None:
        if self._pace.is_due():
            LOG.info("%s", training_place(facts))

    def epoch_finished(self, facts: dict[str, Any]) -> None:
        LOG.info("%s", epoch_line(facts))

    def validated(self, facts: dict[str, Any]) -> None:
        LOG.info("%s", epoch_line(facts))

    def model_written(self, **facts: Unpack[events.ModelWritten]) -> None:
        LOG.info("%s", training_summary(facts))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._films:
            LOG.info("films: %s", ", ".join(f"{count} {outcome}" for outcome, count in self._films.items()))


def film_progress(name: str, total: int | None, done_before: int = 0) -> Callable[[int], None]:
    """A callback that takes the number of frames done, and writes a line to the log every few minutes."""
    clock, pace = FilmClock(total, done_before), ProgressInterval()

    def tell(frames: int) -> None:
        if not pace.is_due():
            return
        seconds = clock.seconds_left(frames)
        left = "" if seconds is None else f", {format_duration(seconds)} left"
        LOG.info(
            "%s: frame %d of %s, %.1f frames a second%s", name, frames, total or "an unknown number",
            clock.fps(frames), left,
        )  # fmt: skip

    return tell


def _level(outcome: "Outcome", notes: tuple[str, ...]) -> int:
    if outcome == "failed":
        return logging.ERROR
    return logging.WARNING if notes else logging.INFO
