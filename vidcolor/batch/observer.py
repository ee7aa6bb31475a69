"""What a run over many files tells while it works. Light to import, for those that show it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidcolor.batch.result import BatchResult
    from vidcolor.films.job import FilmStart


class BatchObserver:
    """Told what happens, on the caller's thread, in the order of the inputs. Override what is of interest."""

    def batch_started(self, total: int | None) -> None:
        """The work begins. total: files of the inputs; None where counting them would mean unpacking everything."""

    def file_finished(
        self, name: str, outcome: str, notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        """A file is done with.

        outcome: colored, kept, copied, skipped or failed.  notes: what there is to say of it.  was_done: by an earlier
        run.  is_damaged: it is a film, colored as far as it decodes.
        """

    def archived_file_finished(self, archive: str) -> None:
        """A file of an archive that lies in an input folder is done with."""

    def watch_film(self, name: str, start: "FilmStart") -> Callable[[int], None]:  # noqa: ARG002
        """A film among the files begins. Gives what is told how many of its frames are done; not on a cluster."""
        return lambda _: None

    def warning(self, message: str) -> None:
        """Something about the whole, in one line."""

    def batch_finished(self, result: "BatchResult") -> None:
        """The work is over."""
