"""`--json`: one JSON object per line on stdout, and nothing else there."""

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Unpack

from vidcolor.cli.progress import events
from vidcolor.cli.progress.observer import Observer
from vidcolor.cli.progress.tally import FilmClock, Tally
from vidcolor.cli.text import check_answered, emit_event, say

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.training.photos import LoadReport

EVENT_SECONDS = 0.5  # at most one progress event in this time


class JsonLines(Observer):
    """JSON events for programs. In a batch: progress, and the files that failed or have notes."""

    def __init__(self, *, is_telling_all: bool = False) -> None:
        """is_telling_all: write an event for every file that this run processed."""
        self._is_telling_all, self._last = is_telling_all, 0.0
        self._clock, self._tally = FilmClock(None), Tally()
        self._within = Counter[str]()  # files done, by the archive that is itself one of the files

    def warning(self, message: str) -> None:
        emit_event("warning", **events.Warned(message=message))

    def remark(self, message: str) -> None:
        emit_event("warning", message=message)

    def still_made(self, done: int, total: int) -> None:
        if self._is_due(at_once=done == total):
            emit_event("stills", **events.StillsProgress(done=done, total=total))

    def film_started(self, **facts: Unpack[events.FilmStarted]) -> None:
        self._clock = FilmClock(facts["frames"], facts["done_before"])
        emit_event("start", **facts)

    def film_advanced(self, frames: int) -> None:
        if self._is_due():
            facts = events.FilmProgress(
                frames=frames, total=self._clock.total, fps=round(self._clock.fps(frames), 2),
                seconds_left=_rounded(self._clock.seconds_left(frames)),
            )  # fmt: skip
            emit_event("progress", **facts)

    def film_finished(self, **facts: Unpack[events.FilmFinished]) -> None:
        emit_event("done", **facts)

    def film_done_before(self, **facts: Unpack[events.FilmDoneBefore]) -> None:
        emit_event("passed", **facts)

    def film_failed(self, **facts: Unpack[events.FilmFailed]) -> None:
        emit_event("error", **facts)
        say(f"vidcolor: {facts['message']}")

    def film_planned(self, **facts: Unpack[events.FilmPlan]) -> None:
        emit_event("plan", **facts)
        check_answered()

    def batch_started(self, total: int | None) -> None:
        self._tally = Tally(total)

    def file_finished(
        self, name: str, outcome: "Outcome", notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        tally = self._tally
        tally.add(outcome, was_done=was_done, is_damaged=is_damaged)
        if outcome == "failed" or notes or (self._is_telling_all and not was_done):
            emit_event("file", **events.FileFinished(name=name, outcome=outcome, notes=notes))
        if self._is_due(at_once=tally.done == tally.total):
            self._tell_progress(within=None)

    def archived_file_finished(self, archive: str) -> None:
        self._within[archive] += 1
        if self._is_due():
            self._tell_progress(within=archive)

    def _tell_progress(self, *, within: str | None) -> None:
        tally = self._tally
        facts = events.BatchProgress(
            done=tally.done, total=tally.total, done_before=tally.was_done, counts=dict(tally.counts),
            files_per_second=round(tally.speed, 2), seconds_left=_rounded(tally.seconds_left), within=within,
            done_within=self._within[within] if within is not None else None,
        )  # fmt: skip
        emit_event("progress", **facts)

    def batch_finished(self, **facts: Unpack[events.BatchFinished]) -> None:
        emit_event("done", **facts)

    def run_resumed(self, facts: dict[str, Any]) -> None:
        emit_event("resumed", **facts)

    def photos_read(self, report: "LoadReport") -> None:
        emit_event("report", **vars(report))

    def losses_measured(self, facts: dict[str, Any]) -> None:
        emit_event("steps", **facts)

    def epoch_finished(self, facts: dict[str, Any]) -> None:
        emit_event("epoch", **facts)

    def validated(self, facts: dict[str, Any]) -> None:
        emit_event("validation", **facts)

    def model_written(self, **facts: Unpack[events.ModelWritten]) -> None:
        emit_event("done", **facts)

    def _is_due(self, *, at_once: bool = False) -> bool:
        """Whether the next progress event is due. at_once: it is due in any case."""
        now = time.monotonic()
        if now - self._last < EVENT_SECONDS and not at_once:
            return False
        self._last = now
        return True


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
