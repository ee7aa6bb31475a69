"""Durable writing of many files: synced, recorded in the journal and renamed in groups."""

import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vidcolor.archives.entries import Entry
from vidcolor.archives.journal import RECENT, Journal, Record
from vidcolor.outputs import move, sync_folder, write_failure
from vidcolor.printable import printable

ENTRY_ERRORS = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR, errno.EISDIR, errno.EFBIG}
_GROUP_SECONDS, _GROUP_BYTES, _GROUP_FILES = 0.05, 1 << 24, 64  # of work and output that a kill may undo
_RENAMED_TOGETHER = RECENT - _GROUP_FILES  # files whose records are synced by one call; the next run checks as many
_SYNC_THREADS = 16  # 64 files of 20 kB on a virtual disk: 3.9 ms each one after the other, 0.5 ms so


@dataclass(frozen=True)
class WrittenFile:
    """A complete file under its temporary name."""

    temporary: Path
    final: Path
    entry: Entry
    record: Record
    is_replacing: bool  # an earlier output of ours, or whatever --overwrite allows


class GroupWriter:
    """Syncs written files, records them, syncs the records, and then gives the files their names.

    Files are synced and recorded in small groups; records are synced and files renamed once a second. A record is on
    disk before its file is renamed, so that a kill or a power cut leaves files that the next run only has to rename.

    unsynced_folders: folders whose new entries the next `rename` syncs.  attributes_error: why times or permissions
    could not be set; "" where they could.
    """

    def __init__(
        self,
        output: Path,
        journal: Journal,
        on_record: Callable[[Record], None],
        on_failed_rename: Callable[[WrittenFile, str], None],
    ) -> None:
        """output: for messages.  on_record: after a file was recorded.  on_failed_rename: with the reason."""
        self._output, self._journal = output, journal
        self._on_record, self._on_failed_rename = on_record, on_failed_rename
        self._written: list[WrittenFile] = []
        self._recorded: list[WrittenFile] = []  # and not renamed yet
        self._syncers = ThreadPoolExecutor(_SYNC_THREADS)  # starts its threads when they are needed
        self.unsynced_folders: set[Path] = set()
        self.attributes_error = ""

    @property
    def records(self) -> Iterator[Record]:
        """Records of the files that do not have their names yet."""
        return (file.record for file in (*self._recorded, *self._written))

    def add(self, file: WrittenFile) -> None:
        """Add a file; sync and record the group, if it is full. Raises SinkError."""
        self._written.append(file)
        if self._is_full():
            self._record_group()

    def flush(self) -> None:
        """Sync, record and rename all files. Raises SinkError."""
        self._record_group()
        self.rename()

    def flush_if_pending(self) -> None:
        """`flush`, if there is a file that does not have its name yet."""
        if self._written or self._recorded:
            self.flush()

    def rename(self) -> None:
        """Sync the journal, rename the recorded files, then sync their folders. Raises SinkError."""
        recorded, self._recorded = self._recorded, []
        try:
            self._journal.sync()
            for file in recorded:
                self._rename_file(file)
                self.unsynced_folders.add(file.final.parent)
            for folder in self.unsynced_folders:
                sync_folder(folder)
        except OSError as error:
            raise write_failure(self._output, error) from error
        self.unsynced_folders.clear()

    def close(self) -> None:
        """End the threads."""
        self._syncers.shutdown()

    def _is_full(self) -> bool:
        records = [file.record for file in self._written]
        return (
            len(records) >= _GROUP_FILES
            or sum(record.seconds for record in records) >= _GROUP_SECONDS
            or sum(record.output_size or 0 for record in records) >= _GROUP_BYTES
        )

    def _record_group(self) -> None:
        """Sync and record the written files. Parallel syncs take an eighth of the time of sequential ones."""
        written, self._written = self._written, []
        try:
            synced = list(self._syncers.map(_sync_with_attributes, written))
        except OSError as error:
            raise write_failure(self._output, error) from error
        for file, (mtime_ns, attributes_error) in zip(written, synced, strict=True):
            self.attributes_error = self.attributes_error or attributes_error
            record = replace(file.record, output_mtime_ns=mtime_ns)
            self._on_record(record)
            self._journal.append(record)
            self._recorded.append(replace(file, record=record))
        if self._journal.sync_due() or len(self._recorded) >= _RENAMED_TOGETHER:
            self.rename()

    def _rename_file(self, file: WrittenFile) -> None:
        """Rename a file; where only its own name fails, not allowed or taken meanwhile, it fails alone."""
        try:
            move(file.temporary, file.final, overwrite=file.is_replacing)
        except OSError as error:
            if error.errno not in ENTRY_ERRORS | {errno.EEXIST}:
                raise
            file.temporary.unlink(missing_ok=True)
            self._on_failed_rename(file, f"{printable(str(file.final))}: cannot be written: {error.strerror}.")


def _sync_with_attributes(written: WrittenFile) -> tuple[int, str]:
    """Set a file's times and permissions and sync it; its time, and why they could not be set, "" where they could.

    File systems without such times or permissions (FAT, exFAT, network disks) get the file without them.
    """
    path, entry, attributes_error = written.temporary, written.entry, ""
    with path.open("r+b") as file:
        try:
            with suppress(OverflowError, ValueError):  # hostile times
                os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
            if entry.mode is not None and os.name != "nt":  # which would not let it be replaced later
                path.chmod(entry.mode & 0o777)
        except OSError as error:
            attributes_error = error.strerror or str(error)
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_mtime_ns, attributes_error
