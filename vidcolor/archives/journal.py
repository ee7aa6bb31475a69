"""The journal of a batch: what is finished, from which input, by which model, so that a later run can resume."""

import os
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vidcolor.ledger import Ledger
from vidcolor.run import Run

Outcome = Literal["colored", "kept", "copied", "skipped", "failed"]

RECENT = 256


@dataclass(frozen=True)
class Record:
    """One finished entry. Saved as JSON: field names are part of the format."""

    name: str  # as the source names it: relative, with "/"
    size: int  # bytes of the input
    mtime_ns: int  # of the input, since 1970 UTC
    outcome: Outcome  # kept: it was in color
    reason: str = ""  # remarks or, of a failed file, the error
    damage: str = ""  # in words, of a film that was colored as far as it decodes
    sha256: str | None = None  # of the input, where its content was read anyway
    output: str | None = None  # name in the output; None where nothing was written
    output_size: int | None = None  # bytes of it
    output_sha256: str | None = None  # of it; None where compressed bytes were copied as they are
    output_mtime_ns: int | None = None  # in a folder: tells whether somebody changed the file since
    replaces: str | None = None  # SHA-256 of our earlier output of that name
    seconds: float = 0.0  # seconds of work
    offset: int | None = None  # in a partial archive: it is valid up to this byte, with all lines up to this one
    start: int | None = None  # in a partial zip: the byte where the member begins
    central: str | None = None  # in a partial zip: the member's record of the central directory, in hex
    said: str = ""  # what hints and projects say of it, see Entry.said; of an archive's members the run tells it
    run: int = -1  # which of Journal.runs made it; set by the journal


class Journal(Ledger):
    """The records of all entries, in a ledger."""

    def __init__(self, path: Path, *, output: Path | None = None) -> None:
        """output: the name that messages use for what is being written; the journal's folder when None."""
        super().__init__(path, output or Path(path).parent)
        self.records: dict[str, Record] = {}  # the newest of every name
        self.outputs: set[str] = set()  # every name that was written, by any run
        self.recent: deque[Record] = deque(maxlen=RECENT)  # newest last
        self.runs: list[Run] = []
        self.completed_bytes: int | None = None  # size of the finished archive, once `complete` was written
        self.offset = 0  # bytes up to which the partial archive is valid
        self._rollback_bytes = 0  # where the last line with an offset ends

    def begin(self, run: Run) -> None:
        """Write the run that makes the following records, unless the last run was the same."""
        if not self.runs or self.runs[-1] != run:
            self._write(self._line({"run": run.as_fields()}))
            self.runs.append(run)

    def append(self, *records: Record) -> None:
        """Add records in one write. Their outputs have to be on disk already."""
        lines = []
        for record in records:
            self._keep(replace(record, run=len(self.runs) - 1))
            fields = {key: value for key, value in vars(record).items() if value not in (None, "") and key != "run"}
            lines.append(self._line(fields))
        self._write(b"".join(lines))

    def complete(self, output_bytes: int) -> None:
        """Record that the archive is finished and has this size."""
        self._write(self._line({"complete": output_bytes}))
        self.completed_bytes = output_bytes
        self.sync()

    def rollback(self) -> None:
        """Drop the lines after the last one that has an offset."""
        os.ftruncate(self._fd, self._rollback_bytes)
        self._load()

    def why_stale(self, record: Record, run: Run) -> str:
        """Why a record is stale for `run`; "" when it is valid."""
        if record.outcome == "failed":
            return f"failed before: {record.reason}"
        made_by = replace(self.runs[record.run], source=run.source)
        changes = run.changes(made_by, is_any_machine=True)
        return f"made before, but {'; '.join(changes)}" if changes else ""

    def _reset(self) -> None:
        self.records, self.outputs, self.runs, self.completed_bytes = {}, set(), [], None
        self.recent.clear()
        self.offset = self._rollback_bytes = 0

    def _take(self, fields: dict[str, Any], end: int) -> None:
        if "run" in fields:
            self.runs.append(Run(**fields["run"]))
        elif "complete" in fields:
            self.completed_bytes = fields["complete"]
        else:
            self._keep(Record(**fields, run=len(self.runs) - 1))
        if "offset" in fields or "run" in fields:
            self._rollback_bytes = end

    def _keep(self, record: Record) -> None:
        self.records[record.name] = record
        self.recent.append(record)
        if record.output is not None:
            self.outputs.add(record.output)
        if record.offset is not None:
            self.offset = record.offset
