"""The events of a batch. Light to import, so that the command line can show them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.batch.result import BatchResult
    from vidcolor.films.job import FilmStart


class BatchObserver:
    """Receives the events of `colorize_files`: override the methods that you need; each does nothing by default.

    Methods are called on the caller's thread, in the order of the inputs (on a cluster films may come in another). An
    exception that a method raises stops the run and leaves `colorize_files`.
    """

    def batch_started(self, total: int | None) -> None:
        """The run starts. total: number of input files; None for a compressed tar, which is not unpacked to count."""

    def file_finished(
        self, name: str, outcome: "Outcome", notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        """A file is finished.

        name: as in FileResult.  outcome: "colored", "kept" (it was in color), "copied", "skipped" or "failed".  notes:
        remarks, or the reason of a failure.  was_done: an earlier run had finished it.  is_damaged: it is a damaged
        film, colored as far as it decodes.
        """

    def archived_file_finished(self, archive: str) -> None:
        """A file inside a nested archive is finished. archive: name of the archive in its input folder."""

    def watch_film(self, name: str, start: "FilmStart") -> Callable[[int], None]:  # noqa: ARG002
        """A film starts. Return a callback for the number of frames done so far. Not called on a cluster."""
        return lambda _: None

    def warning(self, message: str) -> None:
        """A remark on the run as a whole, one line."""

    def batch_finished(self, result: "BatchResult") -> None:
        """The run has ended."""
