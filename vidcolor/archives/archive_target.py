"""An archive that is written to TARGET.partial and, after a kill, resumed from its last valid byte."""

import io
import os
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from vidcolor.archives.entries import Entry, Source
from vidcolor.archives.journal import Journal, Outcome, Record
from vidcolor.archives.names import safe_name
from vidcolor.archives.targets import Content, Target
from vidcolor.errors import SinkError
from vidcolor.filenames import fitted_name, scratch_name
from vidcolor.outputs import move, sync_folder, write_failure
from vidcolor.run import Run

_CHECKPOINT_SECONDS, _CHECKPOINT_RECORDS, _CHECKPOINT_BYTES = 0.05, 256, 1 << 24  # of work that a kill may undo
_SPOOL_FROM_BYTES = 1 << 26


def files_of(output: Path) -> tuple[Path, Path, Path]:
    """The paths that are written for an archive: itself, TARGET.partial and TARGET.journal.jsonl."""
    partial, journal = (output.with_name(fitted_name(output.name, end)) for end in (".partial", ".journal.jsonl"))
    return output, partial, journal


class RunMismatchError(SinkError):
    """The partial archive was started with another source, model or settings and cannot be resumed."""


class ArchiveTarget(Target):
    """Appends members in the order of the calls; the archive gets its name when it is complete.

    The journal is removed if no entry failed. Else it stays, and the next run reopens the archive and appends what now
    succeeds. Raises RunMismatchError when the partial archive has another source, model or settings.
    """

    def __init__(self, output: Path, source: Source, run: Run, *, overwrite: bool = False, resume: bool = True) -> None:
        _, self._partial, journal = files_of(Path(output))
        run = replace(run, source=source.identity)
        super().__init__(output, run, Journal(journal, output=output), overwrite=overwrite, resume=resume)
        self.source = source
        self._pending: list[Record] = []
        self._is_torn = False  # the last member is incomplete
        self._file: BinaryIO = io.BytesIO()  # until _open

    def why_due(self, entry: Entry) -> str:
        record = self.journal.records.get(entry.name)
        if record is None:
            return "new"
        if entry.kind != "directory" and (record.size, record.mtime_ns) != (entry.size, entry.mtime_ns):
            raise self._mismatch(f"{entry.printable_name} changed")
        return self.journal.why_stale(record, self.run)

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
        record = Record(entry.name, entry.size, entry.mtime_ns, outcome, reason, damage, sha256, seconds=seconds)
        output = self._claim(entry, name)
        self._record(self._append_member(entry, output, content, record))
        if isinstance(content, Path):
            content.unlink()
        return output

    def copy(self, entry: Entry, outcome: Outcome = "copied", *, reason: str = "") -> Outcome:
        if entry.kind in ("directory", "link"):
            return self._copy_without_content(entry, outcome, reason)
        if entry.size <= _SPOOL_FROM_BYTES:
            self.write(entry, entry.read(), outcome, reason=reason)
        else:  # read it to its end before any of it is written
            spooled = self.scratch_path(entry)
            spooled.unlink(missing_ok=True)
            try:
                with entry.as_file(spooled.parent) as path:
                    if path == entry.path:
                        self._copy_file(entry, path, outcome, reason)
                    else:
                        self.write(entry, path.rename(spooled), outcome, reason=reason)
            finally:
                spooled.unlink(missing_ok=True)
        return outcome

    def scratch_path(self, entry: Entry, name: str | None = None) -> Path:
        return self.output.with_name(scratch_name(f"{self.output.name}~{name or entry.name}".replace("/", "~")))

    def _copy_file(self, entry: Entry, path: Path, outcome: Outcome, reason: str) -> None:
        record = Record(entry.name, entry.size, entry.mtime_ns, outcome, reason)
        self._record(self._append_member(entry, self._claim(entry, None), path, record))

    def _append_member(self, entry: Entry, name: str, content: Content, record: Record) -> Record:
        if self._is_torn:
            raise SinkError(f"{self._partial}: ends within a member, after an earlier error. Run again.")
        self._is_torn = True
        try:
            record = self._write_member(entry, name, content, record)
        except OSError as error:
            raise write_failure(self.output, error) from error
        self._is_torn = False
        return record

    @abstractmethod
    def _write_member(self, entry: Entry, name: str, content: Content, record: Record) -> Record:
        """Append a file; the record, with the fields of the output."""

    @abstractmethod
    def _copy_without_content(self, entry: Entry, outcome: Outcome, reason: str) -> Outcome:
        """Append a folder or link, or skip it; the outcome."""

    @abstractmethod
    def _may_end_here(self) -> bool:
        """Whether the file may end here. This depends only on what was written, not on when."""

    @abstractmethod
    def _write_end(self) -> None:
        """Append what ends the archive."""

    def _open(self) -> None:
        if not self.output.absolute().parent.is_dir():
            raise SinkError(f"{self.output.parent}: no such folder. Make it first.")
        self.journal.__enter__()
        try:
            is_resumed = self._resume_earlier()
        except SinkError:
            if not self.journal.runs and not self.journal.damaged_lines:  # made just now
                self.journal.remove()
            raise
        if is_resumed:
            self._file = cast(BinaryIO, self._partial.open("r+b"))
            self._file.truncate(self.journal.offset)
            self._file.seek(self.journal.offset)
        else:
            self.journal.clear()
            self._file = cast(BinaryIO, self._partial.open("wb"))
        self._remember_names()
        self.journal.begin(self.run)

    def _resume_earlier(self) -> bool:
        """Reopen a partial archive, or a finished one that lacks failed entries; whether there is one to resume."""
        if self._partial.is_symlink():  # never write through it
            self._partial.unlink()
        journal, partial, final = self.journal, self._partial.exists(), os.path.lexists(self.output)
        finished = not partial and final and journal.completed_bytes == self.output.stat().st_size
        if final and not finished and not self.overwrite:
            raise SinkError(f"{self.output}: exists. Give --overwrite to replace it.")
        if not self.resume or not (partial or finished) or not journal.runs:
            if finished and not self.overwrite:
                raise SinkError(f"{self.output}: exists. Give --overwrite to replace it.")
            return False
        self._check_same_run()
        if finished:
            self.output.rename(self._partial)
        journal.rollback()
        if self._partial.stat().st_size < journal.offset:
            raise self._mismatch(f"it is shorter than the {journal.offset} bytes that are recorded")
        return True

    def _check_same_run(self) -> None:
        before = self.journal.runs[-1]
        if before.source != self.run.source:
            raise self._mismatch(f"{self.source.path} changed")
        if changes := self.run.changes(before, is_any_machine=True):
            raise self._mismatch("; ".join(changes))
        if self.journal.damaged_lines:
            raise self._mismatch(f"{self.journal.path.name} is damaged")

    def _mismatch(self, found: str) -> RunMismatchError:
        return RunMismatchError(f"{self._partial}: cannot be resumed: {found}. Give --no-resume to start over.")

    def _claim(self, entry: Entry, name: str | None) -> str:
        return super()._claim(
            entry, safe_name(name or entry.name)
        )  # not every reader takes all names that a folder may hold

    def _record(self, record: Record) -> None:
        self.counts[record.outcome] += 1
        self._add_pending(record)

    def _add_pending(self, record: Record) -> None:
        self._pending.append(record)
        if self._may_end_here() and self._is_checkpoint_due():
            self._checkpoint()

    def _pending_records(self) -> Iterable[Record]:
        return self._pending

    def _is_checkpoint_due(self) -> bool:
        return (
            len(self._pending) >= _CHECKPOINT_RECORDS
            or sum(record.seconds for record in self._pending) >= _CHECKPOINT_SECONDS
            or self._file.tell() - self.journal.offset >= _CHECKPOINT_BYTES
        )

    def _checkpoint(self) -> None:
        """Sync the archive, then record its new members; the last line states up to which byte it is valid."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._pending:
            self._pending[-1] = replace(self._pending[-1], offset=self._file.tell())
            self.journal.append(*self._pending)
            self._pending.clear()
        if self.journal.sync_due():
            self.journal.sync()

    def _finish(self) -> None:
        if self._is_torn:
            raise SinkError(f"{self._partial}: ends within a member, after an earlier error. Run again.")
        self._checkpoint()
        self._write_end()
        self._file.flush()
        os.fsync(self._file.fileno())
        self.journal.complete(self._file.tell())
        self._file.close()
        try:
            move(self._partial, self.output, overwrite=self.overwrite)
        except FileExistsError as error:
            raise SinkError(
                f"{self.output}: appeared during the run; the new archive is complete, at {self._partial}. Move"
                " either of them, or give --overwrite."
            ) from error
        sync_folder(self.output.absolute().parent)
        if all(record.outcome != "failed" for record in self.journal.records.values()):
            self.journal.remove()

    def _abandon(self) -> None:
        with suppress(OSError, SinkError):  # the next run repeats what is not recorded
            if self._pending and not self._is_torn and self._may_end_here():
                self._checkpoint()
        with suppress(OSError):
            self._file.close()
        self.journal.close()
