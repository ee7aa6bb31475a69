"""An output folder that mirrors the source."""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from vidcolor.archives.archive_target import files_of
from vidcolor.archives.entries import Entry
from vidcolor.archives.group_writer import ENTRY_ERRORS, GroupWriter, WrittenFile
from vidcolor.archives.journal import Journal, Outcome, Record
from vidcolor.archives.names import JOURNAL_NAME
from vidcolor.archives.targets import CHUNK_BYTES, Content, RefusedError, Target, sha256_of, size_of
from vidcolor.errors import SinkError, SourceError
from vidcolor.filenames import scratch_name
from vidcolor.outputs import check_name, is_inside, is_same, move, write_failure
from vidcolor.printable import printable
from vidcolor.run import Run

CHANGED = "changed since it was made, and kept as it is; --overwrite replaces it"


class FolderTarget(Target):
    """Writes each file under a temporary name in its folder; GroupWriter syncs, records and renames it.

    The journal stays in the folder: with it, a second run finds quickly that nothing is due.
    """

    def __init__(
        self, output: Path, run: Run, *, overwrite: bool = False, resume: bool = True, inputs: Sequence[Path] = ()
    ) -> None:
        """inputs: files and folders that the run reads; nothing is written over or into them."""
        self._root = Path(output).resolve()
        journal = Journal(self._root / JOURNAL_NAME, output=output)
        super().__init__(output, run, journal, overwrite=overwrite, resume=resume)
        self._folders: dict[str, Path] = {}  # known to be inside the output
        self._group = GroupWriter(self.output, self.journal, self._count, self._fail_rename)
        self._input_folders = [path for path in inputs if path.is_dir() and not is_inside(self._root, path)]
        self._input_files = {identity for path in inputs if (identity := _file_id(path)) and not path.is_dir()}
        self._mirrored: list[tuple[Path, Entry]] = []

    def _open(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        self.journal.__enter__()
        self._remember_names()
        self._complete_renames()
        if self.resume and self.journal.runs:
            self.changes = self.run.changes(self.journal.runs[-1], is_any_machine=True)
        self.journal.begin(self.run)

    def why_due(self, entry: Entry) -> str:
        if entry.kind == "directory":
            return "a folder"
        if not self.resume:
            return "started over"
        record = self.journal.records.get(entry.name)
        if record is None:
            return "new"
        if why := self.journal.why_stale(record, self.run):
            return why
        if not self._has_same_input(entry, record):
            return "the input changed"
        if record.said != entry.said:
            return "something else is said of it"
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
            replaces=before.output_sha256 if before else None, seconds=seconds, said=entry.said,
        )  # fmt: skip
        self._group.add(WrittenFile(temporary, final, entry, record, is_replacing=_exists(final)))
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
        self._group.flush()
        final, temporary = self._claim_path(entry, None), self.scratch_path(entry)
        with _removing_on_error(temporary, final):
            temporary.unlink(missing_ok=True)
            shutil.copyfile(self._root / original.output, temporary)
            return self._write_original(entry, original, temporary)

    def scratch_path(self, entry: Entry, name: str | None = None) -> Path:
        name = self._claim(entry, name)
        return self._make_folder(name) / scratch_name(name)

    def reopen_archive(self, entry: Entry) -> Path:
        """The path at which an archive in the folder is written; one that lacks failed entries is moved back there."""
        self._claim_path(entry, None)
        path, record = self.scratch_path(entry), self.find_record(entry.name)
        _, partial, journal = files_of(path)
        if record is not None and record.outcome == "failed" and record.output is not None and journal.exists():
            made = self._root / record.output
            if not (path.exists() or partial.exists()) and _has_size(made, record):
                made.replace(path)
        return path

    def _claim_path(self, entry: Entry, name: str | None) -> Path:
        """Claim the path to write to. Raises RefusedError where a file exists that is not ours."""
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
        """Make the folder for a name. Raises RefusedError where a link leads out of the output."""
        parent = name.rpartition("/")[0]
        if (known := self._folders.get(parent)) is not None:
            return known
        path = self._root
        for part in parent.split("/") if parent else ():
            path = path / part
            try:
                path.mkdir()
                self._group.unsynced_folders.add(path.parent)
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
        return self._group.records

    def _record(self, record: Record) -> None:
        self.counts[record.outcome] += 1
        self.journal.append(record)
        if self.journal.sync_due():
            self._group.rename()

    def _count(self, record: Record) -> None:
        self.counts[record.outcome] += 1

    def _fail_rename(self, file: WrittenFile, reason: str) -> None:
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
        self.journal.append(replace(record, mtime_ns=entry.mtime_ns))  # only its time changed
        return True

    def _has_output(self, record: Record) -> bool:
        if record.output is None or self._is_unchanged(self._root / record.output, record):
            return True
        return self._complete_rename(record)  # a power cut may have undone the rename

    def _is_unchanged(self, path: Path, record: Record) -> bool:
        if not _has_size(path, record):
            return False
        mtime_ns = path.lstat().st_mtime_ns
        if mtime_ns == record.output_mtime_ns:
            return True
        if sha256_of(path) != record.output_sha256:
            return False
        self.journal.append(replace(record, output_mtime_ns=mtime_ns))  # only its time changed
        return True

    def _is_ours(self, record: Record) -> bool:
        """Whether a record's output is as we made it, in this run or the one before.

        Compared by content, as it is about to be replaced: programs that edit in place may keep size and time.
        """
        assert record.output is not None
        path = self._root / record.output
        return stat.S_ISREG(path.lstat().st_mode) and sha256_of(path) in (record.output_sha256, record.replaces)

    def _complete_rename(self, record: Record) -> bool:
        """Rename a recorded file that still has its temporary name, unless its name is taken; whether it did."""
        assert record.output is not None
        final = self._root / record.output
        temporary = final.with_name(scratch_name(record.output))
        if not _has_size(temporary, record) or sha256_of(temporary) != record.output_sha256:
            return False
        if os.path.lexists(final) and not (self.overwrite or self._is_ours(record)):
            return False
        move(temporary, final, overwrite=True)
        return True

    def _complete_renames(self) -> None:
        """Complete the renames that a kill prevented after the last records."""
        for record in list(self.journal.recent):
            if record.output is not None:
                self._complete_rename(record)

    def _finish(self) -> None:
        self._group.flush()  # before folders get their times
        for path, entry in reversed(self._mirrored):
            with suppress(OSError, OverflowError, ValueError):
                path.chmod(_folder_mode(path.stat().st_mode, entry.mode))
                os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
        if self._group.attributes_error:
            why = self._group.attributes_error
            self.notes.append(f"{self.output}: times or permissions could not be kept there ({why})")

    def _abandon(self) -> None:
        with suppress(SinkError, OSError):  # the next run repeats what is not recorded
            self._group.flush_if_pending()
        self._group.close()
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
    """Remove the temporary file on an error; raise OSErrors as what they mean for the entry."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _entry_failure(final, error) from error
        raise


def _folder_mode(made: int, wanted: int | None) -> int:
    """The mode of a mirrored folder: the source's, plus write access for the owner, and with setgid for the group.

    made: the mode that the system gave the folder.
    """
    mode = made & 0o7000 | (wanted or 0o755) & 0o777 | 0o700
    return mode | made & 0o070 if made & stat.S_ISGID else mode


def _is_own_input(path: Path, entry: Entry) -> bool:
    """Whether a path is the entry's own file, through a folder that is mounted twice."""
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
    """RefusedError for a name or size that the file system does not allow, which concerns one entry; else SinkError."""
    kind = RefusedError if error.errno in ENTRY_ERRORS else SinkError
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
