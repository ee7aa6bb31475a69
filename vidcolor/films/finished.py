"""The journal of a list of films: which are finished, so that the same command resumes with the others."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from vidcolor.archives.journal import Journal, Outcome, Record
from vidcolor.archives.names import JOURNAL_NAME
from vidcolor.errors import BusyError, SinkError
from vidcolor.films.naming import FilmJob
from vidcolor.run import Run

_PATIENCE_SECONDS = 10.0  # to wait for another run that writes to the same journal


class FinishedFilms:
    """The finished films in an output folder, by its journal.

    The journal is opened only to read or write an entry, because several runs may write into one folder.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        """run: what decides the films' bytes; films that another run made do not count as finished."""
        self._path, self._folder, self._run = folder / JOURNAL_NAME, folder, run

    @classmethod
    def of_list(cls, jobs: Sequence[FilmJob], output: Path, run_identity: Callable[[], Run]) -> Self | None:
        """The journal of the jobs' output folder; None for a single film, which has no journal."""
        return None if jobs[0].target == output else cls(output, run_identity())

    def has(self, job: FilmJob) -> bool:
        """Whether the film's output is there, unchanged, made of the same input by the same model and settings."""
        record, why_outdated = self._find(job)
        if record is None or why_outdated:
            return False
        with suppress(OSError):
            source, target = job.source.stat(), job.target.stat()
            as_made = (source.st_size, source.st_mtime_ns, job.target.name, target.st_size, target.st_mtime_ns)
            noted = (record.size, record.mtime_ns, record.output, record.output_size, record.output_mtime_ns)
            return as_made == noted
        return False

    def why_outdated(self, job: FilmJob) -> str:
        """What an earlier run had otherwise, such as "--crf was 18, is 20"; empty where that is unknown."""
        return self._find(job)[1]

    def _find(self, job: FilmJob) -> tuple[Record | None, str]:
        """The film's record, and why it does not hold for this run; looking makes no journal."""
        if self._path.exists():
            with suppress(OSError, SinkError), self._open_journal() as journal:
                record = journal.records.get(job.source.name)
                return record, journal.why_stale(record, self._run) if record is not None else ""
        return None, ""

    def add(self, job: FilmJob, outcome: Outcome = "colored", damage: str = "") -> None:
        """Record a finished film. If that fails, the next run refuses the film because its output exists."""
        with suppress(OSError, SinkError):
            source, target = job.source.stat(), job.target.stat()
            with self._open_journal() as journal:
                journal.begin(self._run)
                journal.append(
                    Record(
                        job.source.name, source.st_size, source.st_mtime_ns, outcome, damage=damage,
                        output=job.target.name, output_size=target.st_size, output_mtime_ns=target.st_mtime_ns,
                    )
                )  # fmt: skip

    @contextmanager
    def _open_journal(self) -> Iterator[Journal]:
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            journal = Journal(self._path, output=self._folder)
            try:
                journal.__enter__()
                break
            except BusyError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        try:
            yield journal
        finally:
            journal.close()
