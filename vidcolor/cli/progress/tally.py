"""Counts of a running job, its speed, and the time left."""

import time
from collections import Counter


class FilmClock:
    """The speed of a film, from now on."""

    def __init__(self, total: int | None, done_before: int = 0) -> None:
        """total: frames, if known.  done_before: frames that an earlier run made; they do not count for the speed."""
        self.total = total
        self._done_before, self._began = done_before, time.monotonic()

    def fps(self, frames: int) -> float:
        """Frames per second. frames: how many of the film are done."""
        return (frames - self._done_before) / max(time.monotonic() - self._began, 1e-6)

    def seconds_left(self, frames: int) -> float | None:
        """The time left at the speed so far; None if the speed or the length is unknown."""
        fps = self.fps(frames)
        return (self.total - frames) / fps if self.total and fps and self.total >= frames else None


class Tally:
    """Counts of a batch's files by outcome. Files that an earlier run finished count only as done."""

    def __init__(self, total: int | None = None) -> None:
        """total: files; None if they could not be counted."""
        self.total, self.counts = total, Counter[str]()
        self.done = self.was_done = self.damaged = 0
        self._began = time.monotonic()

    def add(self, outcome: str, *, was_done: bool, is_damaged: bool) -> None:
        """Count a file: see Observer.file_finished."""
        self.done += 1
        if was_done:
            self.was_done += 1
        else:
            self.counts[outcome] += 1
            self.damaged += is_damaged

    def rows(self) -> list[tuple[int, str]]:
        """The number of files of each outcome and the outcome's name, for people."""
        rows = [(count, outcome) for outcome, count in self.counts.most_common()]
        rows += [(self.was_done, "done before")] if self.was_done else []
        return rows + ([(self.damaged, "of the films damaged")] if self.damaged else [])

    @property
    def speed(self) -> float:
        """Files per second in this run, without files that an earlier run finished."""
        return (self.done - self.was_done) / max(time.monotonic() - self._began, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """The time left at the speed so far; None if the total is unknown or this run has finished no file yet."""
        worked = self.done - self.was_done
        return (self.total - self.done) / self.speed if self.total is not None and worked else None
