"""An archive that grows at TARGET.partial and, after a kill, goes on from its last good byte."""

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
from vidcolor.outputs import failure, fitted_name, move, scratch_name, sync_folder
from vidcolor.run import Run

_AT_RISK_SECONDS, _AT_RISK_RECORDS, _AT_RISK_BYTES = 0.05, 256, 1 << 24  # what a kill may make us do again
_SPOOL_FROM_BYTES = 1 << 26


def files_of(output: Path) -> tuple[Path, Path, Path]:
    """Everything that is written for an archive: itself, TARGET.partial and TARGET.journal.jsonl."""
    partial, journal = (output.with_name(fitted_name(output.name, end)) for end in (".partial", ".journal.jsonl"))
    return output, partial, journal


class MixedError(SinkError):
    """What an earlier run began is of another source, model or settings: it cannot be gone on with."""


class GrowingTarget(Target):
    """Appends members in the order of the calls; the final name appears when all are there.

    The journal goes when nothing failed. Where something failed it stays, and the next run opens the archive again and
    appends what now succeeds. Raises SinkError when the partial archive is of another source, model or settings.
    """

    def __init__(self, output: Path, source: Source, run: Run, *, overwrite: bool = False, resume: bool = True) -> None:
        _, self._partial, journal = files_of(Path(output))
        run = replace(run, source=source.identity)
        super().__init__(output, run, Journal(journal, output=output), overwrite=overwrite, resume=resume)
        self.source = source
        self._pending: list[Record] = []
        self._torn = False  # a member was begun and not ended
        self._file: BinaryIO = io.BytesIO()  # until it is open

    def due(self, entry: Entry) -> str:
        record = self.journal.records.get(entry.name)
        if record is None:
            return "new"
        if entry.kind != "directory" and (record.size, record.mtime_ns) != (entry.size, entry.mtime_ns):
            raise self._mixed(f"{entry.shown} changed")
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
        self._record(self._added(entry, output, content, record))
        if isinstance(content, Path):
            content.unlink()
        return output

    def copy(self, entry: Entry, outcome: Outcome = "copied", *, reason: str = "") -> Outcome:
        if entry.kind in ("directory", "link"):
            return self._copy_bare(entry, outcome, reason)
        if entry.size <= _SPOOL_FROM_BYTES:
            self.write(entry, entry.read(), outcome, reason=reason)
        else:  # look at it to its end before any of it is written
            spooled = self.scratch(entry)
            spooled.unlink(missing_ok=True)
            try:
                with entry.as_file(spooled.parent) as path:
                    if path == entry.path:
                        self._append(entry, path, outcome, reason)
                    else:
                        self.write(entry, path.rename(spooled), outcome, reason=reason)
            finally:
                spooled.unlink(missing_ok=True)
        return outcome

    def scratch(self, entry: Entry, name: str | None = None) -> Path:
        return self.output.with_name(scratch_name(f"{self.output.name}:{name or entry.name}".replace("/", ":")))

    def _append(self, entry: Entry, path: Path, outcome: Outcome, reason: str) -> None:
        record = Record(entry.name, entry.size, entry.mtime_ns, outcome, reason)
        self._record(self._added(entry, self._claim(entry, None), path, record))

    def _added(self, entry: Entry, name: str, content: Content, record: Record) -> Record:
        if self._torn:
            raise SinkError(f"{self._partial}: ends within a member, which an earlier error left. Run again.")
        self._torn = True
        try:
            record = self._add(entry, name, content, record)
        except OSError as error:
            raise failure(self.output, error) from error
        self._torn = False
        return record

    @abstractmethod
    def _add(self, entry: Entry, name: str, content: Content, record: Record) -> Record:
        """Append a file; the record with what is known of the output."""

    @abstractmethod
    def _copy_bare(self, entry: Entry, outcome: Outcome, reason: str) -> Outcome:
        """Append a folder or link, or skip it; what became of it."""

    @abstractmethod
    def _checkpoint_allowed(self) -> bool:
        """Whether the file could end here. It must not depend on when it is asked, but on what was written."""

    @abstractmethod
    def _write_end(self) -> None:
        """Append what makes the file whole."""

    def _open(self) -> None:
        if not self.output.absolute().parent.is_dir():
            raise SinkError(f"{self.output.parent}: no such folder. Make it first.")
        self.journal.__enter__()
        if self._goes_on():
            self._file = cast(BinaryIO, self._partial.open("r+b"))
            self._file.truncate(self.journal.offset)
            self._file.seek(self.journal.offset)
        else:
            self.journal.clear()
            self._file = cast(BinaryIO, self._partial.open("wb"))
        self._remember_names()
        self.journal.begin(self.run)

    def _goes_on(self) -> bool:
        """Whether there is a partial archive to go on with, or a finished one that failures left incomplete."""
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
            raise self._mixed(f"it is shorter than the {journal.offset} bytes that are recorded")
        return True

    def _check_same_run(self) -> None:
        before = self.journal.runs[-1]
        if before.source != self.run.source:
            raise self._mixed(f"{self.source.path} changed")
        if changes := self.run.changes(before, is_any_machine=True):
            raise self._mixed("; ".join(changes))
        if self.journal.damaged_lines:
            raise self._mixed(f"{self.journal.path.name} is damaged")

    def _mixed(self, found: str) -> MixedError:
        return MixedError(f"{self._partial}: cannot go on: {found}. Give --no-resume to begin anew.")

    def _claim(self, entry: Entry, name: str | None) -> str:
        return super()._claim(entry, safe_name(name or entry.name))  # what a folder may hold is not fit for all readers

    def _record(self, record: Record) -> None:
        self.counts[record.outcome] += 1
        self._note(record)

    def _note(self, record: Record) -> None:
        self._pending.append(record)
        if self._checkpoint_allowed() and self._at_risk():
            self._checkpoint()

    def _waiting(self) -> Iterable[Record]:
        return self._pending

    def _at_risk(self) -> bool:
        return (
            len(self._pending) >= _AT_RISK_RECORDS
            or sum(record.seconds for record in self._pending) >= _AT_RISK_SECONDS
            or self._file.tell() - self.journal.offset >= _AT_RISK_BYTES
        )

    def _checkpoint(self) -> None:
        """Sync the archive, then record what is in it; the last line says how far it is good."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._pending:
            self._pending[-1] = replace(self._pending[-1], offset=self._file.tell())
            self.journal.append(*self._pending)
            self._pending.clear()
        if self.journal.sync_due():
            self.journal.sync()

    def _finish(self) -> None:
        if self._torn:
            raise SinkError(f"{self._partial}: ends within a member, which an earlier error left. Run again.")
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
                f"{self.output}: appeared while the work went on; what was made is whole, at {self._partial}. Move"
                " either of them, or give --overwrite."
            ) from error
        sync_folder(self.output.absolute().parent)
        if all(record.outcome != "failed" for record in self.journal.records.values()):
            self.journal.remove()

    def _abandon(self) -> None:
        with suppress(OSError, SinkError):  # what is not recorded is done again
            if self._pending and not self._torn and self._checkpoint_allowed():
                self._checkpoint()
        with suppress(OSError):
            self._file.close()
        self.journal.close()
