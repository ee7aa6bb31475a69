"""An output folder that mirrors the source."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vidcolor.archives.archive_target import files_of
from vidcolor.archives.entries import Entry
from vidcolor.archives.journal import RECENT, Journal, Outcome, Record, Run
from vidcolor.archives.names import JOURNAL_NAME
from vidcolor.archives.targets import CHUNK_BYTES, Content, RefusedError, Target, sha256_of, size_of
from vidcolor.errors import SinkError, SourceError
from vidcolor.filenames import scratch_name
from vidcolor.outputs import check_name, is_inside, is_same, move, sync_folder, write_failure
from vidcolor.printable import printable

CHANGED = "changed since it was made, and kept as it is; --overwrite replaces it"

_OF_THE_ENTRY = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR, errno.EISDIR, errno.EFBIG}
_AT_RISK_SECONDS, _AT_RISK_BYTES, _GROUP = 0.05, 1 << 24, 64  # of work and output that a kill may undo
_RENAMED_TOGETHER = RECENT - _GROUP  # files whose records are synced by one call; the next run looks for as many
_SYNCERS = 16  # threads; 64 files of 20 kB on a virtual disk: 3.9 ms each one after the other, 0.5 ms so


@dataclass(frozen=True)
class _Written:
    temporary: Path
    final: Path
    entry: Entry
    record: Record
    is_replacing: bool  # an earlier output of ours, or whatever --overwrite allows


class FolderTarget(Target):
    """Writes each file under a temporary name in its folder, syncs it, records it, syncs that, and renames the file.

    Files are synced and recorded in small groups, records are synced and files renamed once a second. The record comes
    before the renaming, on the disk too, so that a kill or a power cut between the two leaves files that the next run
    need only rename. The journal stays in the folder: with it, a second run finds quickly that nothing is to be done.
    """

    def __init__(
        self, output: Path, run: Run, *, overwrite: bool = False, resume: bool = True, inputs: Sequence[Path] = ()
    ) -> None:
        """inputs: files and folders that the run reads; nothing is written over or into them."""
        self._root = Path(output).resolve()
        journal = Journal(self._root / JOURNAL_NAME, output=output)
        super().__init__(output, run, journal, overwrite=overwrite, resume=resume)
        self._folders: dict[str, Path] = {}  # seen to be inside
        self._unsynced: set[Path] = set()
        self._written: list[_Written] = []
        self._recorded: list[_Written] = []  # and not renamed yet
        self._input_folders = [path for path in inputs if path.is_dir() and not is_inside(self._root, path)]
        self._input_files = {identity for path in inputs if (identity := _file_id(path)) and not path.is_dir()}
        self._untimely = ""  # why times or permissions could not be kept
        self._mirrored: list[tuple[Path, Entry]] = []
        self._syncers = ThreadPoolExecutor(_SYNCERS)  # begins its threads when they are needed

    def _open(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        self.journal.__enter__()
        self._remember_names()
        self._complete_renames()
        self.journal.begin(self.run)

    def why_due(self, entry: Entry) -> str:
        if entry.kind == "directory":
            return "a folder"
        if not self.resume:
            return "begun anew"
        record = self.journal.records.get(entry.name)
        if record is None:
            return "new"
        if why := self.journal.why_stale(record, self.run):
            return why
        if not self._has_same_input(entry, record):
            return "the input changed"
        original = self.find_record(entry.same_as)
        if original is not None and original.output_sha256 != record.output_sha256:
            return "what it leads to changed"
        return "" if self._has_output(record) else "the output is missing"

    def why_kept(self, entry: Entry) -> str:
        record = self.journal.records.get(entry.name)
        if self.overwrite or record is None or record.output is None or not _exists(self._root / record.output):
            return ""
        return "" if self._is_ours(record) else CHANGED

    def check(self, entry: Entry, name: str | None = None) -> None:
        self._claim_path(entry, name)

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
        final = self._claim_path(entry, name)
        temporary = self.scratch_path(entry, name)
        with _removing_on_error(temporary, final):
            if isinstance(content, bytes):
                temporary.unlink(missing_ok=True)
                with temporary.open("xb") as file:
                    file.write(content)
            elif content != temporary:
                content.replace(temporary)
        output, size = final.relative_to(self._root).as_posix(), size_of(temporary)
        digest = sha256_of(content if isinstance(content, bytes) else temporary)
        before = self.journal.records.get(entry.name)
        record = Record(
            entry.name, entry.size, entry.mtime_ns, outcome, reason, damage, sha256, output, size, digest,
            replaces=before.output_sha256 if before else None, seconds=seconds,
        )  # fmt: skip
        self._written.append(_Written(temporary, final, entry, record, is_replacing=_exists(final)))
        if self._at_risk():
            self._publish()
        return output

    def copy(self, entry: Entry, outcome: Outcome = "copied", *, reason: str = "") -> Outcome:
        if entry.kind == "directory":
            self._mirror_folder(entry)
        elif entry.kind == "link":
            return self._copy_link(entry, reason)
        else:
            final = self._claim_path(entry, None)
            temporary = self.scratch_path(entry)
            with _removing_on_error(temporary, final):
                temporary.unlink(missing_ok=True)
                with entry.open() as source, temporary.open("xb") as file:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)
            self.write(entry, temporary, outcome, reason=reason)
        return outcome

    def _copy_link(self, entry: Entry, reason: str) -> Outcome:
        if (original := self._find_original(entry)) is None or original.output is None:
            return self.skip(entry, reason or "a link to a folder or to nothing; folders get files only")
        self._publish()
        self._rename()
        final, temporary = self._claim_path(entry, None), self.scratch_path(entry)
        with _removing_on_error(temporary, final):
            temporary.unlink(missing_ok=True)
            shutil.copyfile(self._root / original.output, temporary)
            return self._write_original(entry, original, temporary)

    def scratch_path(self, entry: Entry, name: str | None = None) -> Path:
        name = self._claim(entry, name)
        return self._make_folder(name) / scratch_name(name)

    def reopen_archive(self, entry: Entry) -> Path:
        """Where an archive in the folder grows. One that an earlier run left incomplete lies there again."""
        self._claim_path(entry, None)
        path, record = self.scratch_path(entry), self.find_record(entry.name)
        _, partial, journal = files_of(path)
        if record is not None and record.outcome == "failed" and record.output is not None and journal.exists():
            made = self._root / record.output
            if not (path.exists() or partial.exists()) and _has_size(made, record):
                made.replace(path)
        return path

    def _claim_path(self, entry: Entry, name: str | None) -> Path:
        """The path to write to. Raises RefusedError where something lies there that is not ours."""
        claimed = self._claim(entry, name)
        path = self._make_folder(claimed) / os.path.basename(claimed)  # noqa: PTH119 - it is a POSIX name
        ours = claimed in self.journal.outputs
        if not _exists(path):
            try:
                check_name(path)
            except SinkError as error:
                raise RefusedError(printable(str(error))) from error
        elif _file_id(path) in self._input_files or _is_own_input(path, entry):
            raise RefusedError(f"{printable(str(path))}: is an input, which is never changed. Choose another output.")
        elif path.is_dir() or not (ours or self.overwrite):
            raise RefusedError(f"{printable(str(path))}: exists and is not ours. Give --overwrite to replace it.")
        return path

    def _make_folder(self, name: str) -> Path:
        """The folder for a name, made where needed. Raises RefusedError where a link leads out of the output."""
        parent = name.rpartition("/")[0]
        if (known := self._folders.get(parent)) is not None:
            return known
        path = self._root
        for part in parent.split("/") if parent else ():
            path = path / part
            try:
                path.mkdir()
                self._unsynced.add(path.parent)
            except FileExistsError:
                real = path.resolve()
                if not (real.is_dir() and real.is_relative_to(self._root)):
                    raise RefusedError(
                        f"{printable(str(path))}: is no folder inside of {self.output}. Remove it first."
                    ) from None
            except OSError as error:
                raise _entry_failure(path, error) from error
        for folder in self._input_folders:
            if is_inside(path, folder):
                raise RefusedError(f"{printable(str(path))}: lies in the input {folder}. Choose another output.")
        self._folders[parent] = path
        return path

    def _pending_records(self) -> Iterable[Record]:
        return (written.record for written in (*self._recorded, *self._written))

    def _at_risk(self) -> bool:
        records = [written.record for written in self._written]
        return (
            len(records) >= _GROUP
            or sum(record.seconds for record in records) >= _AT_RISK_SECONDS
            or sum(record.output_size or 0 for record in records) >= _AT_RISK_BYTES
        )

    def _publish(self) -> None:
        """Sync and record what was written. Syncs beside each other cost an eighth of one after the other."""
        written, self._written = self._written, []
        try:
            settled = list(self._syncers.map(_settle, written))
        except OSError as error:
            raise write_failure(self.output, error) from error
        for file, (mtime_ns, untimely) in zip(written, settled, strict=True):
            self._untimely = self._untimely or untimely
            record = replace(file.record, output_mtime_ns=mtime_ns)
            self.counts[record.outcome] += 1
            self.journal.append(record)
            self._recorded.append(replace(file, record=record))
        if self.journal.sync_due() or len(self._recorded) >= _RENAMED_TOGETHER:
            self._rename()

    def _record(self, record: Record) -> None:
        self.counts[record.outcome] += 1
        self.journal.append(record)
        if self.journal.sync_due():
            self._rename()

    def _rename(self) -> None:
        """Bring what is recorded to the disk, then give files their names, then bring those to the disk."""
        recorded, self._recorded = self._recorded, []
        try:
            self.journal.sync()
            for file in recorded:
                self._name(file)
                self._unsynced.add(file.final.parent)
            for folder in self._unsynced:
                sync_folder(folder)
        except OSError as error:
            raise write_failure(self.output, error) from error
        self._unsynced.clear()

    def _name(self, file: _Written) -> None:
        """Give a file its name; one that the disk does not hold after all, or that somebody took, fails alone."""
        try:
            move(file.temporary, file.final, overwrite=file.is_replacing)
        except OSError as error:
            if error.errno not in _OF_THE_ENTRY | {errno.EEXIST}:
                raise
            file.temporary.unlink(missing_ok=True)
            reason = f"{printable(str(file.final))}: cannot be written: {error.strerror}."
            self.counts[file.record.outcome] -= 1
            self.notes.append(f"{file.entry.printable_name}: failed: {reason}")
            self.fail(file.entry, reason)

    def _mirror_folder(self, entry: Entry) -> None:
        if entry.name != ".":
            self._mirrored.append((self._make_folder(entry.name + "/"), entry))

    def _has_same_input(self, entry: Entry, record: Record) -> bool:
        if entry.size != record.size:
            return False
        if entry.mtime_ns == record.mtime_ns:
            return True
        if record.sha256 is None or not entry.can_reopen or record.sha256 != _sha256_of_entry(entry):
            return False
        self.journal.append(replace(record, mtime_ns=entry.mtime_ns))  # only its time changed: look no more next time
        return True

    def _has_output(self, record: Record) -> bool:
        if record.output is None or self._is_unchanged(self._root / record.output, record):
            return True
        return self._complete_rename(record)  # a power cut may have lost that

    def _is_unchanged(self, path: Path, record: Record) -> bool:
        if not _has_size(path, record):
            return False
        mtime_ns = path.lstat().st_mtime_ns
        if mtime_ns == record.output_mtime_ns:
            return True
        if sha256_of(path) != record.output_sha256:
            return False
        self.journal.append(replace(record, output_mtime_ns=mtime_ns))  # only its time changed: look no more next time
        return True

    def _is_ours(self, record: Record) -> bool:
        """Whether the file of a record's output is as we made it, now or in the run before.

        Before it is replaced, so by its bytes: programs that retouch in place may keep size and time.
        """
        assert record.output is not None
        path = self._root / record.output
        return stat.S_ISREG(path.lstat().st_mode) and sha256_of(path) in (record.output_sha256, record.replaces)

    def _complete_rename(self, record: Record) -> bool:
        """Whether a file that is recorded and on the disk could be given its name now, if nobody else's has it."""
        assert record.output is not None
        final = self._root / record.output
        temporary = final.with_name(scratch_name(record.output))
        if not _has_size(temporary, record) or sha256_of(temporary) != record.output_sha256:
            return False
        if os.path.lexists(final) and not (self.overwrite or self._is_ours(record)):
            return False
        temporary.replace(final)
        return True

    def _complete_renames(self) -> None:
        """A kill comes between the last records and their renaming."""
        for record in list(self.journal.recent):
            if record.output is not None:
                self._complete_rename(record)

    def _finish(self) -> None:
        self._publish()
        self._rename()  # before folders get their times
        for path, entry in reversed(self._mirrored):
            with suppress(OSError, OverflowError, ValueError):
                path.chmod(_folder_mode(path.stat().st_mode, entry.mode))
                os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
        if self._untimely:
            self.notes.append(f"{self.output}: times or permissions could not be kept there ({self._untimely})")

    def _abandon(self) -> None:
        with suppress(SinkError, OSError):  # what is not recorded is done again
            if self._written or self._recorded:
                self._publish()
                self._rename()
        self._syncers.shutdown()
        self.journal.close()


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _entry_failure(path, error) from error
    return True


@contextmanager
def _removing_on_error(temporary: Path, final: Path) -> Iterator[None]:
    """Leave no half-written file, and say what failed."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _entry_failure(final, error) from error
        raise


def _settle(written: _Written) -> tuple[int, str]:
    """Give a file its times and permissions, and bring it to the disk; its time, and why it is not the entry's.

    Disks that have no such times or permissions (FAT, exFAT, network disks) get the file without them.
    """
    path, entry, untimely = written.temporary, written.entry, ""
    with path.open("r+b") as file:
        try:
            with suppress(OverflowError, ValueError):  # hostile times
                os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
            if entry.mode is not None:
                path.chmod(entry.mode & 0o777)
        except OSError as error:
            untimely = error.strerror or str(error)
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_mtime_ns, untimely


def _folder_mode(made: int, wanted: int | None) -> int:
    """Of a mirrored folder: the source's, in which the next run can write; where a group shares (setgid), the group's.

    made: as the system made it.
    """
    mode = made & 0o7000 | (wanted or 0o755) & 0o777 | 0o700
    return mode | made & 0o070 if made & stat.S_ISGID else mode


def _is_own_input(path: Path, entry: Entry) -> bool:
    """Whether a file is the entry's own, of a folder that is mounted a second time."""
    if entry.path is None or entry.path.name != path.name:
        return False
    return is_same(entry.path.parent, path.parent) and is_same(entry.path, path)


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _entry_failure(path: Path, error: OSError) -> SinkError:
    """A name or a size that the file system does not take is the fault of the entry; all else is of the disk."""
    kind = RefusedError if error.errno in _OF_THE_ENTRY else SinkError
    return kind(str(write_failure(Path(printable(str(path))), error)))


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
