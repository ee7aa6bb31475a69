"""A folder that mirrors the source: each file is complete under its name, or not there."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vidcolor.errors import SinkError, SourceError
from vidcolor.journal import Journal, Outcome, Record, Run
from vidcolor.media.archives.entries import Entry
from vidcolor.media.archives.growing import files_of
from vidcolor.media.archives.names import JOURNAL_NAME, shown
from vidcolor.media.archives.targets import (
    CHUNK_BYTES,
    Content,
    RefusedError,
    Target,
    sha256_of,
    size_of,
)
from vidcolor.outputs import scratch_name, sync_folder

_OF_THE_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR, errno.EISDIR}
_AT_RISK_SECONDS, _AT_RISK_BYTES, _GROUP = 0.05, 1 << 24, 64  # of work and output that a kill may undo
_SYNCERS = 16  # threads; 64 files of 20 kB on a virtual disk: 3.9 ms each one after the other, 0.5 ms so


@dataclass(frozen=True)
class _Written:
    temporary: Path
    final: Path
    entry: Entry
    record: Record


class FolderTarget(Target):
    """Writes each file under a temporary name in its folder, syncs it, records it, and renames it; in small groups.

    The record comes before the renaming, so a kill between the two leaves files that the next run need only rename.
    The journal stays in the folder: with it, a second run finds in seconds that nothing is to be done.
    """

    def __init__(self, output: Path, run: Run, *, overwrite: bool = False, resume: bool = True) -> None:
        self._root = Path(output).resolve()
        journal = Journal(self._root / JOURNAL_NAME, output=output)
        super().__init__(output, run, journal, overwrite=overwrite, resume=resume)
        self._folders: dict[str, Path] = {}  # seen to be inside
        self._unsynced: set[Path] = set()
        self._written: list[_Written] = []
        self._mirrored: list[tuple[Path, Entry]] = []
        self._syncers = ThreadPoolExecutor(_SYNCERS)  # begins its threads when they are needed

    def _open(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        self.journal.__enter__()
        self._remember_names()
        self._finish_renaming()
        self.journal.begin(self.run)

    def due(self, entry: Entry) -> str:
        if entry.kind == "directory":
            return "a folder"
        if not self.resume:
            return "begun anew"
        record = self.journal.records.get(entry.name)
        if record is None:
            return "new"
        if why := self.journal.why_stale(record, self.run):
            return why
        if not self._same_input(entry, record):
            return "the input changed"
        original = self.record_of(entry.same_as)
        if original is not None and original.output_sha256 != record.output_sha256:
            return "what it leads to changed"
        return "" if self._is_there(record) else "the output is missing or changed"

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
        final = self._final(entry, name)
        temporary = self.scratch(entry, name)
        with _failing(temporary):
            if isinstance(content, bytes):
                temporary.unlink(missing_ok=True)
                with temporary.open("xb") as file:
                    file.write(content)
            elif content != temporary:
                content.replace(temporary)
        output, size = final.relative_to(self._root).as_posix(), size_of(temporary)
        digest = sha256_of(content if isinstance(content, bytes) else temporary)
        record = Record(
            entry.name, entry.size, entry.mtime_ns, outcome, reason, damage, sha256, output, size, digest, seconds
        )
        self._written.append(_Written(temporary, final, entry, record))
        if self._at_risk():
            self._publish()
        return output

    def copy(self, entry: Entry, outcome: Outcome = "copied", *, reason: str = "") -> Outcome:
        if entry.kind == "directory":
            self._mirror(entry)
        elif entry.kind == "link":
            return self._copy_link(entry, reason)
        else:
            self._final(entry, None)
            temporary = self.scratch(entry)
            with _failing(temporary):
                temporary.unlink(missing_ok=True)
                with entry.open() as source, temporary.open("xb") as file:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)
            self.write(entry, temporary, outcome, reason=reason)
        return outcome

    def _copy_link(self, entry: Entry, reason: str) -> Outcome:
        if (original := self._original(entry)) is None or original.output is None:
            return self.skip(entry, reason or "a link to a folder or to nothing; folders get files only")
        self._publish()
        temporary = self.scratch(entry)
        with _failing(temporary):
            temporary.unlink(missing_ok=True)
            shutil.copyfile(self._root / original.output, temporary)
            return self._copy_original(entry, original, temporary)

    def scratch(self, entry: Entry, name: str | None = None) -> Path:
        name = self._claim(entry, name)
        return self._folder_of(name) / scratch_name(name)

    def take_back(self, entry: Entry) -> Path:
        """Where an archive in the folder grows. One that an earlier run left incomplete lies there again."""
        self._final(entry, None)
        path, record = self.scratch(entry), self.record_of(entry.name)
        _, partial, journal = files_of(path)
        if record is not None and record.outcome == "failed" and record.output is not None and journal.exists():
            made = self._root / record.output
            if not (path.exists() or partial.exists()) and _has_size(made, record):
                made.replace(path)
        return path

    def _final(self, entry: Entry, name: str | None) -> Path:
        """The path to write to. Raises RefusedError where something lies there that is not ours."""
        claimed = self._claim(entry, name)
        path = self._folder_of(claimed) / os.path.basename(claimed)  # noqa: PTH119 - it is a POSIX name
        ours = claimed in self.journal.outputs
        if _exists(path) and (path.is_dir() or not (ours or self.overwrite)):
            raise RefusedError(f"{shown(str(path))}: exists and is not ours. Give --overwrite to replace it.")
        return path

    def _folder_of(self, name: str) -> Path:
        """The folder for a name, made where needed. Raises RefusedError where a link leads out of the output."""
        parent = name.rpartition("/")[0]
        if (known := self._folders.get(parent)) is not None:
            return known
        path = self._root
        for part in parent.split("/") if parent else ():
            path = path / part
            try:
                path.mkdir()
            except FileExistsError:
                real = path.resolve()
                if not (real.is_dir() and real.is_relative_to(self._root)):
                    raise RefusedError(
                        f"{shown(str(path))}: is no folder inside of {self.output}. Remove it first."
                    ) from None
            except OSError as error:
                raise _failure(path, error) from error
        self._folders[parent] = path
        return path

    def _waiting(self) -> Iterable[Record]:
        return (written.record for written in self._written)

    def _at_risk(self) -> bool:
        records = [written.record for written in self._written]
        return (
            len(records) >= _GROUP
            or sum(record.seconds for record in records) >= _AT_RISK_SECONDS
            or sum(record.output_size or 0 for record in records) >= _AT_RISK_BYTES
        )

    def _publish(self) -> None:
        """Sync, record and rename what was written. Syncs beside each other cost an eighth of one after the other."""
        written, self._written = self._written, []
        try:
            for _ in self._syncers.map(_settle, written):
                pass
            for file in written:
                self._record(file.record)
                file.temporary.replace(file.final)
                self._unsynced.add(file.final.parent)
        except OSError as error:
            raise SinkError(f"{self.output}: cannot be written: {error.strerror}.") from error

    def _record(self, record: Record) -> None:
        self.counts[record.outcome] += 1
        if self.journal.sync_due():
            self._sync()
        self.journal.append(record)

    def _sync(self) -> None:
        for folder in self._unsynced:
            sync_folder(folder)
        self._unsynced.clear()
        self.journal.sync()

    def _mirror(self, entry: Entry) -> None:
        if entry.name != ".":
            self._mirrored.append((self._folder_of(entry.name + "/"), entry))

    def _same_input(self, entry: Entry, record: Record) -> bool:
        if entry.size != record.size:
            return False
        if entry.mtime_ns == record.mtime_ns:
            return True
        if record.sha256 is None or not entry.again or record.sha256 != _sha256_of_entry(entry):
            return False
        self.journal.append(replace(record, mtime_ns=entry.mtime_ns))  # only its time changed: look no more next time
        return True

    def _is_there(self, record: Record) -> bool:
        if record.output is None or _has_size(self._root / record.output, record):
            return True
        # A power cut may have lost the renaming of a file that is recorded and on the disk.
        temporary = (self._root / record.output).with_name(scratch_name(record.output))
        if not _has_size(temporary, record) or sha256_of(temporary) != record.output_sha256:
            return False
        temporary.replace(self._root / record.output)
        return True

    def _finish_renaming(self) -> None:
        """A kill comes between the last records and their renaming."""
        for record in self.journal.recent:
            if record.output is not None:
                temporary = (self._root / record.output).with_name(scratch_name(record.output))
                if _has_size(temporary, record) and sha256_of(temporary) == record.output_sha256:
                    temporary.replace(self._root / record.output)

    def _finish(self) -> None:
        self._publish()
        for path, entry in reversed(self._mirrored):
            with suppress(OSError, OverflowError, ValueError):
                path.chmod((entry.mode or 0o755) & 0o777 | 0o700)  # else the next run could not write here
                os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
        self._sync()

    def _abandon(self) -> None:
        with suppress(SinkError):  # what is not recorded is done again
            self._publish()
        self._syncers.shutdown()
        self.journal.close()


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _failure(path, error) from error
    return True


@contextmanager
def _failing(temporary: Path) -> Iterator[None]:
    """Leave no half-written file, and say what failed."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _failure(temporary, error) from error
        raise


def _settle(written: _Written) -> None:
    """Give a file its times and permissions, and bring it to the disk."""
    path, entry = written.temporary, written.entry
    with path.open("r+b") as file:
        with suppress(OverflowError, ValueError):  # hostile times
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
        if entry.mode is not None:
            path.chmod(entry.mode & 0o777)
        os.fsync(file.fileno())


def _failure(path: Path, error: OSError) -> SinkError:
    """A name that the file system does not take is the entry's fault; all else is the disk's."""
    kind = RefusedError if error.errno in _OF_THE_NAME else SinkError
    return kind(f"{shown(str(path))}: cannot be written: {error.strerror}.")


def _has_size(path: Path, record: Record) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == record.output_size


def _sha256_of_entry(entry: Entry) -> str | None:
    if entry.path is not None:
        return sha256_of(entry.path)
    try:
        return sha256_of(entry.read())
    except SourceError:
        return None
