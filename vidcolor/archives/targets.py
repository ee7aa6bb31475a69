"""The interface of targets: what output folders and archives have in common."""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from vidcolor import outputs
from vidcolor.archives.entries import Entry
from vidcolor.archives.journal import Journal, Outcome, Record
from vidcolor.archives.names import add_number, fold_case, safe_name
from vidcolor.errors import SinkError, SourceError
from vidcolor.filenames import fitted_name
from vidcolor.printable import printable
from vidcolor.run import Run

Content = bytes | Path  # a path from Target.scratch_path; the file is moved away or deleted

CHUNK_BYTES = 1 << 20


class RefusedError(SinkError):
    """One entry cannot be written under its name; the others can."""


class Target(ABC):
    """Writes entries in the source's order and records each. A context manager, for one thread.

    Leaving it without an error finishes the output; after an error or a kill, the next run resumes it. Methods that
    take an entry raise SourceError for its content and RefusedError for its name: `fail` the entry and continue. Any
    other SinkError ends the run: the disk is full, or the output cannot be resumed.
    """

    def __init__(
        self, output: Path, run: Run, journal: Journal, *, overwrite: bool = False, resume: bool = True
    ) -> None:
        """overwrite: replace existing files that are not ours.  resume: continue an earlier run."""
        self.journal = journal
        self.output, self.run, self.overwrite, self.resume = Path(output), run, overwrite, resume
        self.counts: Counter[Outcome] = Counter()  # of this run
        self.notes: list[str] = []  # one line each: what could not be kept
        self.changes: list[str] = []  # what the newest earlier run had otherwise: "--crf was 18, is 20"
        self._claimed: dict[str, str] = {}  # folded output name -> entry that has it

    @abstractmethod
    def why_due(self, entry: Entry) -> str:
        """Why an entry is due, in a few words; "" when it is done and nothing changed.

        An archive raises SinkError for an entry that changed since: old and new cannot be mixed in one file.
        """

    def why_kept(self, entry: Entry) -> str:  # noqa: ARG002 - nobody edits single outputs of an archive
        """Why a due entry's output is kept: somebody changed it since; "" for all others."""
        return ""

    def check(self, entry: Entry, name: str | None = None) -> None:
        """Raise RefusedError where an entry cannot be written under its name, or another, before work on it begins."""
        self._claim(entry, name)

    @abstractmethod
    def write(
        self,
        entry: Entry,
        content: Content,
        outcome: Outcome = "colored",
        *,
        name: str | None = None,
        sha256: str | None = None,
        reason: str = "",
        seconds: float = 0.0,
        damage: str = "",
    ) -> str:
        """Write what an entry became; the name that it got.

        name: another than the entry's, for instance with another suffix.  sha256: of the input, where it is known.
        """

    @abstractmethod
    def copy(self, entry: Entry, outcome: Outcome = "copied", *, reason: str = "") -> Outcome:
        """Copy an entry as it is, a file of any size, a folder or a link; the outcome.

        A link stays one where the target can hold it, else it becomes a file of its own: the output of the entry that
        it leads to. That has to be written before; SourceError where it failed.
        """

    @abstractmethod
    def scratch_path(self, entry: Entry, name: str | None = None) -> Path:
        """A path, with the entry's (or name's) suffix, for a file that is then passed to `write`."""

    def skip(self, entry: Entry, reason: str) -> Outcome:
        """Leave an entry out, on purpose."""
        self._record(Record(entry.name, entry.size, entry.mtime_ns, "skipped", reason, said=entry.said))
        return "skipped"

    def fail(self, entry: Entry, reason: str, *, seconds: float = 0.0) -> None:
        """Leave an entry out because it went wrong. The next run tries it again."""
        self._record(Record(entry.name, entry.size, entry.mtime_ns, "failed", reason, seconds=seconds, said=entry.said))

    @property
    def records(self) -> dict[str, Record]:
        """The newest record of every entry, of all runs; also records that wait until their outputs are on disk."""
        return self.journal.records | {record.name: record for record in self._pending_records()}

    def find_record(self, name: str | None) -> Record | None:
        """The newest record of one entry."""
        if name is None:
            return None
        return next(
            (record for record in self._pending_records() if record.name == name), self.journal.records.get(name)
        )

    def _find_original(self, entry: Entry) -> Record | None:
        """The record of the entry that a link leads to; None where the output does not have it."""
        record = self.find_record(entry.same_as)
        if record is not None and record.outcome == "failed":
            raise SourceError(f"{entry.printable_name}: another name of {printable(record.name)}, which failed.")
        return record if record is not None and record.output is not None else None

    def _write_original(self, entry: Entry, original: Record, content: Path) -> Outcome:
        """Write a link as a file of its own.

        content: a file with the output that it leads to, which is moved or deleted.
        """
        said = f"the same as {printable(original.name)}"
        self.write(entry, content, original.outcome, name=name_like(original, entry), reason=said)
        return original.outcome

    @abstractmethod
    def _pending_records(self) -> Iterable[Record]: ...

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def _abandon(self) -> None: ...

    @abstractmethod
    def _record(self, record: Record) -> None: ...

    def __enter__(self) -> Self:
        try:
            self._open()
        except OSError as error:
            self._abandon()
            raise outputs.write_failure(self.output, error) from error
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        except OSError as problem:
            raise outputs.write_failure(self.output, problem) from problem
        finally:
            self._abandon()

    def _remember_names(self) -> None:
        for record in self.journal.records.values():
            if record.output is not None:
                self._claimed[fold_case(record.output)] = record.name

    def _claim(self, entry: Entry, name: str | None) -> str:
        """The name to write an entry under, which no other entry has. Raises SourceError for a refused entry."""
        if entry.refusal:
            raise SourceError(f"{entry.printable_name}: {entry.refusal}.")
        wanted = entry.name if name is None else safe_name(name)
        path, number = PurePosixPath(wanted), 1
        while self._claimed.setdefault(fold_case(wanted), entry.name) != entry.name:
            number += 1
            wanted = add_number(path, number)
        return wanted


def name_like(original: Record, link: Entry) -> str | None:
    """The name of a link to a film that is in another container now; None where its own fits."""
    name, suffix = PurePosixPath(link.name), PurePosixPath(original.output or "").suffix
    is_renamed = name.suffix == PurePosixPath(original.name).suffix != suffix
    return name.with_name(fitted_name(name.stem, suffix)).as_posix() if is_renamed else None


def read_chunks(content: Content) -> Iterator[bytes]:
    """Read a content in chunks."""
    if isinstance(content, bytes):
        yield content
        return
    with outputs.open_input(content) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def size_of(content: Content) -> int:
    """Bytes of a content."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def sha256_of(content: Content) -> str:
    """SHA-256 of a content, in hex."""
    digest = hashlib.sha256()
    for chunk in read_chunks(content):
        digest.update(chunk)
    return digest.hexdigest()
