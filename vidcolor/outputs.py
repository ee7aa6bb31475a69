"""Writing of files: checked before the work, and complete or not there at all.

Every file that outlives a run is written here: its content is synced to disk before it gets its name, and the name
after it, so that a power cut leaves the old file or the new one, never an empty one.
"""

import errno
import hashlib
import io
import os
import platform
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from vidcolor.errors import SinkError, UsageError, unreadable
from vidcolor.filenames import OWN_PREFIX, scratch_name
from vidcolor.formats import RESULTS

_REASONS = {
    errno.ENOSPC: "the disk is full. Make room",
    errno.EDQUOT: "the quota on this disk is used up. Make room",
    errno.EFBIG: "larger than the disk, or `ulimit -f`, allows. Choose another disk, or raise the limit",
    errno.EROFS: "the disk can only be read. Choose another one",
    errno.EACCES: "writing there is not allowed. Choose another folder",
    errno.EPERM: "writing there is not allowed. Choose another folder",
    errno.ENAMETOOLONG: "the name is too long for this disk. Choose a shorter one",
}
_WINDOWS_REASONS = {  # by winerror
    3: "its folder is gone, or the path is longer than Windows allows. Choose a shorter one",
    5: "writing there is not allowed, or a program has the file open. Close that, or choose another folder",
    32: "a program has the file open. Close that",
    206: "the path is longer than Windows allows. Choose a shorter one",
}
# Windows renames no file that a program has open, and a virus scanner opens every new one for a moment.
_RENAME_WAITS = (0.1, 0.2, 0.4, 0.8) if os.name == "nt" else ()
DISK_ERRORS = {*_REASONS, errno.EIO}
_ODD_NAME = re.compile(r'[^\x20-\x7e]|[<>:"|?*\\]|[. ]$|.{100}')  # not allowed on some file system
_CHUNK_BYTES = 1 << 20
_ABANDONED = 3600.0  # seconds
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
# What fsync raises on some network disks and write-only folders, although the bytes are written.
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM, errno.EROFS}


def check(path: Path, *, overwrite: bool, makes_folder: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Raise SinkError where the file may not or cannot be written, UsageError where it is an input.

    overwrite: an existing file may be replaced.  makes_folder: the folder may be missing; it is made when the file
    is written.  inputs: see check_is_no_input.
    """
    check_is_no_input(path, inputs)
    folder = path.absolute().parent
    if makes_folder:
        folder = next(parent for parent in path.absolute().parents if _exists(parent))
    elif not _exists(folder):
        raise SinkError(f"{path}: the folder {path.parent} does not exist. Create it first.")
    if not folder.is_dir():
        raise SinkError(f"{path}: {folder} is no folder. Choose another name.")
    if os.path.isdir(path):  # noqa: PTH112 - says no where pathlib of Python 3.11 raises
        raise SinkError(f"{path}: is a folder; name a file in it.")
    if _exists(path) and not overwrite:
        raise SinkError(f"{path}: exists already. Choose another name or pass --overwrite.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"{path}: not allowed to write in {folder.resolve()}. Choose another folder.")
    if not makes_folder and not _exists(path):
        check_name(path)


def check_name(path: Path) -> None:
    """Raise SinkError for a name that the file system does not allow, such as one with `?` on exFAT."""
    if not _ODD_NAME.search(path.name):
        return
    tried = path.parent / f"{OWN_PREFIX}name"
    folder = tried / f"{_MACHINE}-{os.getpid()}-{threading.get_ident()}"
    try:
        _remove_left(tried)
        _make_folders(folder)
    except OSError as error:
        raise write_failure(path, error) from error
    try:
        create(folder / path.name)
        (folder / path.name).unlink()
    except OSError as error:
        if error.errno in DISK_ERRORS - {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM}:
            raise write_failure(path, error) from error
        raise SinkError(f"{path}: the disk there holds no such name ({error.strerror}). Choose another.") from error
    finally:
        for done in (folder, tried):
            with suppress(OSError):
                done.rmdir()


def _make_folders(folder: Path) -> None:
    """Make a folder in one that others make and remove, too. Raises OSError."""
    for _ in range(100):
        # Raised where the outer one goes meanwhile; PermissionError by Windows, for as long as it is going.
        with suppress(FileNotFoundError, FileExistsError, PermissionError):
            folder.mkdir(parents=True, exist_ok=True)
            return
    folder.mkdir(parents=True, exist_ok=True)


def _remove_left(tried: Path) -> None:
    """Remove what processes that were killed while they tried names have left."""
    with suppress(FileNotFoundError):
        for left in list(tried.iterdir()):
            with suppress(OSError):
                if _is_ended(left.name) or time.time() - left.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(left)


def _is_ended(name: str) -> bool:
    """Whether a folder of tried names is of a process of this machine that runs no more."""
    machine, process, *_ = [*name.split("-"), "", ""]
    if machine != _MACHINE or not process.isdecimal() or os.name == "nt":  # where asking for a process would end it
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def check_is_no_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raise UsageError for an output that is an input, under whatever name, or lies in an input folder."""
    if not _exists(path):
        return
    for source in inputs:
        if is_same(path, source):
            raise UsageError(f"{path}: is the input itself, which is never changed. Choose another output name.")
        if path.suffix.lower() not in RESULTS and is_inside(path, source):
            raise UsageError(f"{path}: lies in the input {source}, which is never changed. Choose another output name.")


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, also through links and by names in other case."""
    real = Path(os.path.realpath(path))
    return any(is_same(place, folder) for place in (path, real, *real.parents))


@contextmanager
def replacing(path: Path, *, overwrite: bool, makes_folder: bool = False) -> Iterator[Path]:
    """Yield an empty file beside the target to write to, which then replaces the target; after an error it is removed.

    overwrite: an existing file may be replaced; else one that appears meanwhile is left alone.
    makes_folder: the target's folder is made where it is missing.
    Raises SinkError where writing fails.
    """
    partial = path.with_name(scratch_name(path.name))
    try:
        if makes_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        create(partial)
        mode = partial.stat().st_mode
        yield partial
        if partial.stat().st_mode != mode:  # a library has put a temporary file there, which others may not read
            partial.chmod(stat.S_IMODE(mode))
        sync(partial)
        move(partial, path, overwrite=overwrite)
        sync_folder(path.absolute().parent)
    except FileExistsError as error:
        raise SinkError(f"{path}: exists now; pass --overwrite to replace it.") from error
    except WriteError as told:  # names the hidden file
        raise write_failure(path, told.error) from told
    except OSError as error:
        raise write_failure(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def replacing_group(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield the target's name in a temporary folder; all files written there then move beside the target, itself last.

    For a file that others belong to: once it exists, the others do. After an error in writing, nothing is left.
    overwrite: existing files may be replaced.  Raises SinkError where one may not, or writing fails.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=OWN_PREFIX) as folder:
            yield Path(folder) / path.name
            written = sorted(Path(folder).iterdir(), key=lambda file: file.suffix == path.suffix)
            places = [path.with_suffix(file.suffix) for file in written]
            for place in places:
                if os.path.lexists(place) and not overwrite:
                    raise SinkError(f"{place}: exists now; pass --overwrite to replace it.")
            for file in written:
                sync(file)
            for file, place in zip(written, places, strict=True):
                move(file, place, overwrite=True)
            sync_folder(path.absolute().parent)
    except OSError as error:
        raise write_failure(path, error) from error


def write(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file completely or not at all; see `replacing`. Raises SinkError."""
    with replacing(path, overwrite=overwrite) as partial:
        partial.write_bytes(content)


def write_failure(path: Path, error: OSError) -> SinkError:
    """The SinkError for a file that the system does not let be written: the cause, and what to try."""
    reason = _WINDOWS_REASONS.get(getattr(error, "winerror", None) or 0) or _REASONS.get(error.errno or 0)
    return SinkError(f"{path}: cannot be written: {reason or error.strerror or error}.")


def open_output(path: Path) -> BinaryIO:
    """Open a new file for writing whose errors are SinkErrors, to tell them from errors of inputs.

    A link is not followed. Raises SinkError, now and on writing.
    """
    try:
        return cast(BinaryIO, io.BufferedRandom(_OutputFile(path, "w+b", opener=_open_without_links)))
    except OSError as error:
        raise write_failure(path, error) from error


class WriteError(SinkError):
    """A file from `open_output` cannot be written. error: the system's."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(str(write_failure(path, error)))
        self.error = error


class _OutputFile(io.FileIO):
    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            raise WriteError(Path(str(self.name)), error) from error


def _open_without_links(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


class _InputFile(io.FileIO):
    """A file whose errors are ReadErrors."""

    def readinto(self, buffer: Any) -> int:
        try:
            return super().readinto(buffer) or 0
        except OSError as error:
            raise unreadable(self.name, error) from error

    def readall(self) -> bytes:
        try:
            return super().readall() or b""
        except OSError as error:
            raise unreadable(self.name, error) from error


def open_input(path: Path) -> BinaryIO:
    """Open a file for reading whose errors are ReadErrors, now and later, to tell them from errors of outputs."""
    try:
        return cast(BinaryIO, io.BufferedReader(_InputFile(path)))
    except OSError as error:
        raise unreadable(path, error) from error


def copy(source: Path, partial: Path) -> None:
    """Copy a file's bytes into another. Raises ReadError for the source, SinkError for the target."""
    with open_input(source) as file, open_output(partial) as target:
        shutil.copyfileobj(file, target, _CHUNK_BYTES)


def create(path: Path) -> None:
    """Create an empty file, replacing whatever has that name, never through a link. Raises OSError."""
    with suppress(FileNotFoundError):
        path.unlink()
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), 0o666))


def move(temporary: Path, final: Path, *, overwrite: bool) -> None:
    """Rename a finished file. Raises FileExistsError where the name is taken and may not be replaced, OSError."""
    if not overwrite and os.path.lexists(final):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
    for seconds in _RENAME_WAITS:
        with suppress(PermissionError):
            temporary.replace(final)
            return
        time.sleep(seconds)
    temporary.replace(final)


def sync(path: Path) -> None:
    """Sync a file's bytes to disk. Raises OSError."""
    with path.open("r+b") as file:
        _fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync new and renamed entries of a folder to disk; nothing where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    try:
        fd = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a write-only folder
        return
    try:
        _fsync(fd)
    finally:
        os.close(fd)


def _fsync(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _exists(path: Path) -> bool:
    """Whether something has this name. Raises SinkError where that cannot be seen."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise SinkError(f"{path}: cannot be looked at ({error.strerror}). Choose another place.") from error
    return True


def is_same(path: Path, other: Path) -> bool:
    """Whether two names mean the same file or folder; False where either is missing."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False
