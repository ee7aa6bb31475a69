"""The events of a running job, one method each; every renderer, and the log, overrides the methods it needs.

Films, batches of many files, training and evaluation report through the same class: a new renderer is one subclass, and
a new event is one method here and one in `Broadcast`.
"""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from vidcolor.cli.progress import events

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.training.photos import LoadReport


class Observer:
    """Ignores every event. A context manager: leaving it restores the terminal."""

    # Any job

    def warning(self, message: str) -> None:
        """The user should know something; the job continues."""

    def remark(self, message: str) -> None:
        """Something that is worth a line in the log and for programs, but on no terminal."""

    def confirm(self, message: str) -> bool:  # noqa: ARG002 - nobody is asked
        """Ask whether to start over, after what `message` says; False if nobody can be asked."""
        return False

    def confirmed(self, message: str, *, is_wanted: bool) -> None:
        """The question of `confirm` was answered, or nobody could be asked."""

    # Films, one after another

    def films_started(self) -> None:
        """The first film waits for the network."""

    def still_made(self, done: int, total: int) -> None:
        """Another program has made `done` of the film's stills, before its first frame is colored."""

    def film_started(self, **facts: Unpack[events.FilmStarted]) -> None:
        """The first frame is about to be colored."""

    def film_advanced(self, frames: int) -> None:
        """`frames` frames of the film are done, including an earlier run's."""

    def film_finished(self, **facts: Unpack[events.FilmFinished]) -> None:
        """The output is written."""

    def film_done_before(self, **facts: Unpack[events.FilmDoneBefore]) -> None:
        """An earlier run has finished the film."""

    def film_failed(self, **facts: Unpack[events.FilmFailed]) -> None:
        """The film could not be finished."""

    def film_planned(self, **facts: Unpack[events.FilmPlan]) -> None:
        """A dry run has planned a film. Raises LostError if the answer cannot be written."""

    # A batch of many files

    def batch_started(self, total: int | None) -> None:
        """Files are about to be colored. total: how many; None if they cannot be counted in advance."""

    def file_finished(
        self, name: str, outcome: "Outcome", notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        """A file is finished.

        outcome: colored, kept, copied, skipped or failed.  notes: the reason, or what could not be kept.  was_done: an
        earlier run finished it.  is_damaged: it is a damaged film, colored as far as it decodes.
        """

    def archived_file_finished(self, archive: str) -> None:
        """A file inside an archive is finished; the archive is itself one of the batch's files."""

    def batch_finished(self, **facts: Unpack[events.BatchFinished]) -> None:
        """All files are finished, and the report is written."""

    # Training. `facts` are the position in the budget (step, progress in 0..1, epoch, images, minutes, crop in pixels)
    # and mean losses by name: loss_..., validation_... and seen_...

    def training_started(self) -> None:
        """Photos are about to be read."""

    def run_resumed(self, facts: dict[str, Any]) -> None:
        """An earlier run goes on; `facts` have the position it had reached."""

    def photos_read(self, report: "LoadReport") -> None:
        """Photos were read; the report says which were skipped."""

    def epoch_measured(self, seconds: float, steps: int) -> None:
        """It is known how long an epoch takes, and how many steps it has."""

    def step_finished(self, facts: dict[str, Any]) -> None:
        """A step is done; `facts` have the position only."""

    def losses_measured(self, facts: dict[str, Any]) -> None:
        """Mean losses of the last few steps are known."""

    def epoch_finished(self, facts: dict[str, Any]) -> None:
        """An epoch is done: its mean losses and validation losses are known."""

    def validated(self, facts: dict[str, Any]) -> None:
        """Validation losses within an epoch are known."""

    def model_written(self, **facts: Unpack[events.ModelWritten]) -> None:
        """Training is over, and the model is written."""

    # Jobs that only count: evaluation, previews, comparisons

    def counting_started(self, what: str) -> None:
        """Photos, frames or files are about to be processed."""

    def counted(self, done: int, total: int | None) -> None:
        """`done` of them are done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
