"""Which films of a list are finished, so that the same command goes on with the others."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidcolor.archives.journal import Journal, Outcome, Record
from vidcolor.archives.names import JOURNAL_NAME
from vidcolor.errors import BusyError, SinkError
from vidcolor.films.naming import Job
from vidcolor.run import Run

_PATIENCE_SECONDS = 10.0  # for another run that notes a film of its own in the same folder


class FinishedFilms:
    """The films in an output folder's journal. It is open for moments only: several runs may write into one folder."""

    def __init__(self, folder: Path, run: Run) -> None:
        """run: what decides the films' bytes; one that was made otherwise is not finished."""
        self._path, self._folder, self._run = folder / JOURNAL_NAME, folder, run

    def has(self, job: Job) -> bool:
        """Whether the film lies there as it was made, of the same input, by the same model and settings."""
        if not self._path.exists():
            return False
        with suppress(OSError, SinkError), self._journal() as journal:
            record = journal.records.get(job.source.name)
            if record is None or journal.why_stale(record, self._run):
                return False
            source, target = job.source.stat(), job.target.stat()
            as_made = (source.st_size, source.st_mtime_ns, job.target.name, target.st_size, target.st_mtime_ns)
            noted = (record.size, record.mtime_ns, record.output, record.output_size, record.output_mtime_ns)
            return as_made == noted
        return False

    def add(self, job: Job, outcome: Outcome = "colored", damage: str = "") -> None:
        """Note that a film is finished. Where nothing can be noted, the next run says that the film exists."""
        with suppress(OSError, SinkError):
            source, target = job.source.stat(), job.target.stat()
            with self._journal() as journal:
                journal.begin(self._run)
                journal.append(
                    Record(
                        job.source.name, source.st_size, source.st_mtime_ns, outcome, damage=damage,
                        output=job.target.name, output_size=target.st_size, output_mtime_ns=target.st_mtime_ns,
                    )
                )  # fmt: skip

    @contextmanager
    def _journal(self) -> Iterator[Journal]:
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
