"""What is counted of a job, how fast it goes and how long it still takes."""

import time
from collections import Counter


class FilmClock:
    """The speed of a film, from now on."""

    def __init__(self, total: int | None, done_before: int = 0) -> None:
        """total: frames, where they are known.  done_before: those that an earlier run made, at no cost in this one."""
        self.total = total
        self._done_before, self._began = done_before, time.monotonic()

    def fps(self, frames: int) -> float:
        """Frames a second, when so many of the film are done."""
        return (frames - self._done_before) / max(time.monotonic() - self._began, 1e-6)

    def seconds_left(self, frames: int) -> float | None:
        """By the speed so far; None where that, or the length, is not known."""
        fps = self.fps(frames)
        return (self.total - frames) / fps if self.total and fps and self.total >= frames else None


class Tally:
    """Files of a batch by what became of them. Those that an earlier run did count as done, and as nothing else."""

    def __init__(self, total: int | None = None) -> None:
        """total: files, as far as they could be counted."""
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
        """How many files of each kind there are, and what kind that is, for people."""
        rows = [(count, outcome) for outcome, count in self.counts.most_common()]
        rows += [(self.was_done, "done before")] if self.was_done else []
        return rows + ([(self.damaged, "of the films damaged")] if self.damaged else [])

    @property
    def speed(self) -> float:
        """Files a second in this run, without those that an earlier one did."""
        return (self.done - self.was_done) / max(time.monotonic() - self._began, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """By the speed so far."""
        worked = self.done - self.was_done
        return (self.total - self.done) / self.speed if self.total is not None and worked else None
