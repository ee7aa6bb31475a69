"""The events of a running job, one method each; every renderer, and the log, overrides those that it shows.

Films, batches of many files, training and evaluation are told of through the same class, so that a new way to show a
job is one subclass, and a new event is one method here and one in `Broadcast`.
"""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from vidcolor.cli.progress import events

if TYPE_CHECKING:
    from vidcolor.training.photos import LoadReport


class Observer:
    """Shows nothing of anything. A context manager: a terminal that was taken is given back at its end."""

    # Any job

    def warning(self, message: str) -> None:
        """Something the user should know; the job goes on."""

    def confirm(self, message: str) -> bool:  # noqa: ARG002 - nobody is asked
        """Whether to begin anew, after what was found; no where nobody can be asked."""
        return False

    def confirmed(self, message: str, *, is_wanted: bool) -> None:
        """Somebody was asked, or nobody could be."""

    # Films, one after another

    def films_started(self) -> None:
        """The first film waits for the network."""

    def film_started(self, **facts: Unpack[events.FilmStarted]) -> None:
        """The first frame is about to be colored."""

    def film_advanced(self, frames: int) -> None:
        """So many frames of the film are done, those of an earlier run among them."""

    def film_finished(self, **facts: Unpack[events.FilmFinished]) -> None:
        """The output is written."""

    def film_done_before(self, **facts: Unpack[events.FilmPaths]) -> None:
        """An earlier run has finished the film."""

    def film_failed(self, message: str) -> None:
        """The film could not be finished."""

    def film_planned(self, **facts: Unpack[events.FilmPlan]) -> None:
        """What would be done to a film. Raises LostError where the answer cannot be written."""

    # A batch of many files

    def batch_started(self, total: int | None) -> None:
        """Files are about to be colored. total: how many; None where they cannot be counted beforehand."""

    def file_finished(
        self, name: str, outcome: str, notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        """A file is done with.

        outcome: colored, kept, copied, skipped or failed.  notes: why, or what could not be kept.  was_done: by an
        earlier run.  is_damaged: it is a film, colored as far as it decodes.
        """

    def archived_file_finished(self, archive: str) -> None:
        """A file of an archive that is itself one of the files is done with."""

    def batch_finished(self, **facts: Unpack[events.BatchFinished]) -> None:
        """All files are done with, and the report is written."""

    # Training. `facts` are the place in the budget (step, progress in 0..1, epoch, images, minutes, crop in pixels),
    # and with it means by name: loss_... and validation_...

    def training_started(self) -> None:
        """Photos are about to be read."""

    def photos_read(self, report: "LoadReport") -> None:
        """What was taken and what was passed over."""

    def step_finished(self, facts: dict[str, Any]) -> None:
        """A step is done: the place alone."""

    def losses_measured(self, facts: dict[str, Any]) -> None:
        """Mean losses of the last few steps."""

    def epoch_finished(self, facts: dict[str, Any]) -> None:
        """Mean losses of an epoch, and those of its validation."""

    def model_written(self, **facts: Unpack[events.ModelWritten]) -> None:
        """Training is over."""

    # Whatever only counts: evaluation, previews, comparisons

    def counting_started(self, what: str) -> None:
        """Photos, frames or files are about to be gone through."""

    def counted(self, done: int, total: int | None) -> None:
        """So many of them are done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
