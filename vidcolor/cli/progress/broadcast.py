"""An observer that forwards every event to several: the terminal shows a job while the log records it."""

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from vidcolor.cli.progress import events
from vidcolor.cli.progress.observer import Observer

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.training.photos import LoadReport


class Broadcast(Observer):
    """Forwards events to several observers, in order; the last observer is closed first."""

    def __init__(self, *observers: Observer) -> None:
        self._observers, self._stack = observers, ExitStack()

    def warning(self, message: str) -> None:
        for observer in self._observers:
            observer.warning(message)

    def remark(self, message: str) -> None:
        for observer in self._observers:
            observer.remark(message)

    def confirm(self, message: str) -> bool:
        is_wanted = any(observer.confirm(message) for observer in self._observers)
        self.confirmed(message, is_wanted=is_wanted)
        return is_wanted

    def confirmed(self, message: str, *, is_wanted: bool) -> None:
        for observer in self._observers:
            observer.confirmed(message, is_wanted=is_wanted)

    def films_started(self) -> None:
        for observer in self._observers:
            observer.films_started()

    def still_made(self, done: int, total: int) -> None:
        for observer in self._observers:
            observer.still_made(done, total)

    def film_started(self, **facts: Unpack[events.FilmStarted]) -> None:
        for observer in self._observers:
            observer.film_started(**facts)

    def film_advanced(self, frames: int) -> None:
        for observer in self._observers:
            observer.film_advanced(frames)

    def film_finished(self, **facts: Unpack[events.FilmFinished]) -> None:
        for observer in self._observers:
            observer.film_finished(**facts)

    def film_done_before(self, **facts: Unpack[events.FilmDoneBefore]) -> None:
        for observer in self._observers:
            observer.film_done_before(**facts)

    def film_failed(self, **facts: Unpack[events.FilmFailed]) -> None:
        for observer in self._observers:
            observer.film_failed(**facts)

    def film_planned(self, **facts: Unpack[events.FilmPlan]) -> None:
        for observer in self._observers:
            observer.film_planned(**facts)

    def batch_started(self, total: int | None) -> None:
        for observer in self._observers:
            observer.batch_started(total)

    def file_finished(
        self, name: str, outcome: "Outcome", notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        for observer in self._observers:
            observer.file_finished(name, outcome, notes, was_done=was_done, is_damaged=is_damaged)

    def archived_file_finished(self, archive: str) -> None:
        for observer in self._observers:
            observer.archived_file_finished(archive)

    def batch_finished(self, **facts: Unpack[events.BatchFinished]) -> None:
        for observer in self._observers:
            observer.batch_finished(**facts)

    def training_started(self) -> None:
        for observer in self._observers:
            observer.training_started()

    def run_resumed(self, facts: dict[str, Any]) -> None:
        for observer in self._observers:
            observer.run_resumed(facts)

    def photos_read(self, report: "LoadReport") -> None:
        for observer in self._observers:
            observer.photos_read(report)

    def epoch_measured(self, seconds: float, steps: int) -> None:
        for observer in self._observers:
            observer.epoch_measured(seconds, steps)

    def step_finished(self, facts: dict[str, Any]) -> None:
        for observer in self._observers:
            observer.step_finished(facts)

    def losses_measured(self, facts: dict[str, Any]) -> None:
        for observer in self._observers:
            observer.losses_measured(facts)

    def epoch_finished(self, facts: dict[str, Any]) -> None:
        for observer in self._observers:
            observer.epoch_finished(facts)

    def validated(self, facts: dict[str, Any]) -> None:
        for observer in self._observers:
            observer.validated(facts)

    def model_written(self, **facts: Unpack[events.ModelWritten]) -> None:
        for observer in self._observers:
            observer.model_written(**facts)

    def counting_started(self, what: str) -> None:
        for observer in self._observers:
            observer.counting_started(what)

    def counted(self, done: int, total: int | None) -> None:
        for observer in self._observers:
            observer.counted(done, total)

    def __enter__(self) -> Self:
        for observer in self._observers:
            self._stack.enter_context(observer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
