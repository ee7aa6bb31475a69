"""Watching of a folder: each new file is taken once no program writes it any more."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from vidcolor.archives.entries import Entry

if sys.platform != "win32":
    import fcntl

State = tuple[int, int, int]  # bytes, time in ns, inode


class FolderWatcher:
    """Finds files that are new or changed between two scans of a folder.

    A file is taken when two scans found it unchanged and no program has it open for writing. Its time is only compared
    with itself, as files come dated in the past and in the future. A taken file is taken again when it changes.
    """

    def __init__(self) -> None:
        self._seen: dict[str, State] = {}
        self._taken: dict[str, State] = {}

    def scan(self, entries: Iterable[Entry]) -> bool:
        """Scan all entries; whether any may be taken."""
        before, self._seen = self._seen, {entry.name: _state(entry) for entry in entries if entry.kind != "directory"}
        self._stable = {
            name for name, state in self._seen.items() if before.get(name) == state and self._taken.get(name) != state
        }
        return bool(self._stable)

    def take_ready(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Take the entries that did not change between two scans and since; folders are passed on."""
        for entry in entries:
            if entry.kind == "directory":
                yield entry
            elif (
                entry.name in self._stable
                and _state(entry) == self._seen[entry.name]
                and not _is_open_for_writing(entry.path)
            ):
                self._taken[entry.name] = self._seen[entry.name]
                yield entry


def _state(entry: Entry) -> State:
    return entry.size, entry.mtime_ns, getattr(entry.origin, "st_ino", 0)


def _is_open_for_writing(path: Path | None) -> bool:
    """Whether a program has the file open for writing; known only on Linux, for the user's own files.

    Linux grants a read lease only where nobody writes (fcntl(2), F_SETLEASE). A program that opens the file during the
    lease makes the system send SIGIO, which the caller ignores.
    """
    if path is None or sys.platform != "linux":
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:  # another user's file, or a disk without leases
        return False
    finally:
        os.close(fd)
    return False
