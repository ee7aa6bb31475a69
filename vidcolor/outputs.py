"""Files to be written: what forbids one is told before the work, and it is there complete or not at all.

All that outlives a run goes through here: a file is brought to the disk before it gets its name, and the name after
it, so that a power cut leaves the old file or the new one, never an empty one.
"""

import errno
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from vidcolor.errors import ReadError, SinkError, UsageError

OWN_PREFIX = ".vidcolor-"  # of every name that only we may write
_REASONS = {
    errno.ENOSPC: "the disk is full. Make room",
    errno.EDQUOT: "the quota on this disk is used up. Make room",
    errno.EFBIG: "larger than the disk, or `ulimit -f`, allows. Choose another disk, or raise the limit",
    errno.EROFS: "the disk can only be read. Choose another one",
    errno.EACCES: "writing there is not allowed. Choose another folder",
    errno.EPERM: "writing there is not allowed. Choose another folder",
    errno.ENAMETOOLONG: "the name is too long for this disk. Choose a shorter one",
}
DISK_ERRORS = {*_REASONS, errno.EIO}
_ODD_NAME = re.compile(r'[^\x20-\x7e]|[<>:"|?*\\]|[. ]$|.{100}')  # what some file system does not hold
_NO_DATA = {".html", ".csv", ".json", ".safetensors", ".onnx", ".xml", ".bin"}  # what no run looks for in a folder
_CHUNK_BYTES = 1 << 20
_LONGEST_SUFFIX = 16  # bytes
_LONGEST_NAME = 255  # bytes that file systems allow
_LONGEST_HIDDEN = 120  # bytes; some file systems (eCryptfs) allow 143
# What some network disks and folders that may only be written to say to fsync; the bytes are written all the same.
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM, errno.EROFS}


def check(path: Path, *, overwrite: bool, makes_folder: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Raise SinkError where the file may not or cannot be written, UsageError where it is an input.

    overwrite: a file of that name may be replaced.  makes_folder: the folder may be missing; it is made when the file
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
    """Raise SinkError for a name that the disk does not hold, such as one with `?` on exFAT, before the work on it."""
    if not _ODD_NAME.search(path.name):
        return
    folder = path.parent / f"{OWN_PREFIX}name"
    try:
        folder.mkdir(exist_ok=True)
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
        with suppress(OSError):
            folder.rmdir()


def check_is_no_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raise UsageError for a file that the run reads, under whatever name: itself, or one inside of an input folder."""
    if not _exists(path):
        return
    for source in inputs:
        if is_same(path, source):
            raise UsageError(f"{path}: is the input itself, which is never changed. Choose another output name.")
        if path.suffix.lower() not in _NO_DATA and is_inside(path, source):
            raise UsageError(f"{path}: lies in the input {source}, which is never changed. Choose another output name.")


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path is a file or folder, or lies in it, also by links and by names in other capitals."""
    real = Path(os.path.realpath(path))
    return any(is_same(place, folder) for place in (path, real, *real.parents))


def scratch_name(name: str) -> str:
    """The hidden name under which the last part of `name` is being made: short, the same every time, with its suffix.

    It is made from a hash, so that whatever name is legal can be written.
    """
    digest = hashlib.sha256(os.fsencode(PurePosixPath(name).name)).hexdigest()
    return f"{OWN_PREFIX}{digest[:24]}.partial{short_suffix(name)}"


def short_suffix(name: str) -> str:
    """The suffix, which says what a file is; "" where it is too long to say that."""
    path = PurePosixPath(name)
    suffix = "".join(path.suffixes[-2:]) if PurePosixPath(path.stem).suffix.lower() == ".tar" else path.suffix
    return suffix if len(os.fsencode(suffix)) <= _LONGEST_SUFFIX else ""


def hidden_name(name: str, ending: str = "") -> str:
    """The hidden name of what is kept beside a file: its own where that is short, so that people know what it is of."""
    return fitted_name(OWN_PREFIX + name, ending, longest=_LONGEST_HIDDEN)


def fitted_name(stem: str, ending: str = "", *, longest: int = _LONGEST_NAME) -> str:
    """`stem` with an ending. Where that is no name any more, for its length in bytes, a hash stands for what is cut."""
    if len(os.fsencode(stem + ending)) <= longest:
        return stem + ending
    ending = f"-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]}{ending}"
    kept = stem[:longest]
    while kept and len(os.fsencode(kept + ending)) > longest:
        kept = kept[:-1]
    return kept + ending


@contextmanager
def replacing(path: Path, *, overwrite: bool, makes_folder: bool = False) -> Iterator[Path]:
    """An empty file beside the file to write to, which then takes its place; after an error nothing of it is left.

    overwrite: a file of that name may be replaced; else one that appears meanwhile is left alone.
    makes_folder: its folder is made where it is missing.
    Raises SinkError where writing fails.
    """
    partial = path.with_name(scratch_name(path.name))
    try:
        if makes_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        create(partial)
        yield partial
        sync(partial)
        move(partial, path, overwrite=overwrite)
        sync_folder(path.absolute().parent)
    except FileExistsError as error:
        raise SinkError(f"{path}: exists now; pass --overwrite to replace it.") from error
    except WriteError as told:  # of the hidden name
        raise write_failure(path, told.error) from told
    except OSError as error:
        raise write_failure(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def replacing_group(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """The file's name in a folder beside it; what is written there then takes its place beside the file, the file last.

    For a file that others belong to: who finds it finds them too. After an error in writing them nothing is left.
    overwrite: files of their names may be replaced.  Raises SinkError where one may not, or writing fails.
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
                file.replace(place)
            sync_folder(path.absolute().parent)
    except OSError as error:
        raise write_failure(path, error) from error


def write(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Complete or not at all; see `replacing`. Raises SinkError."""
    with replacing(path, overwrite=overwrite) as partial:
        partial.write_bytes(content)


def write_failure(path: Path, error: OSError) -> SinkError:
    """What to raise where the system does not let a file be written: the true cause, and what to try."""
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    return SinkError(f"{path}: cannot be written: {reason}.")


def open_output(path: Path) -> BinaryIO:
    """A file to be written anew, whose errors are SinkErrors, so that nobody takes them for those of an input.

    A link is not followed. Raises SinkError, then and later.
    """
    try:
        return cast(BinaryIO, io.BufferedRandom(_OutputFile(path, "w+b", opener=_open_without_links)))
    except OSError as error:
        raise write_failure(path, error) from error


class WriteError(SinkError):
    """A file that was `opened` cannot be written. error: what the system said."""

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
    """A file whose errors are ReadErrors, so that nobody takes them for those of an output."""

    def readinto(self, buffer: Any) -> int:
        try:
            return super().readinto(buffer) or 0
        except OSError as error:
            raise ReadError(f"{self.name}: cannot be read: {error.strerror}.") from error

    def readall(self) -> bytes:
        try:
            return super().readall() or b""
        except OSError as error:
            raise ReadError(f"{self.name}: cannot be read: {error.strerror}.") from error


def open_input(path: Path) -> BinaryIO:
    """A file to be read while another is written: its errors are ReadErrors, now and later."""
    try:
        return cast(BinaryIO, io.BufferedReader(_InputFile(path)))
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror}.") from error


def copy(source: Path, partial: Path) -> None:
    """A file's bytes into another. Raises ReadError and SinkError, each for its own."""
    with open_input(source) as file, open_output(partial) as target:
        shutil.copyfileobj(file, target, _CHUNK_BYTES)


def create(path: Path) -> None:
    """An empty file under a name of our own, whatever lay there: never through a link. Raises OSError."""
    with suppress(FileNotFoundError):
        path.unlink()
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), 0o666))


def move(temporary: Path, final: Path, *, overwrite: bool) -> None:
    """Give a finished file its name. Raises FileExistsError where that is taken and may not be replaced, OSError."""
    if not overwrite and os.path.lexists(final):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
    temporary.replace(final)


def sync(path: Path) -> None:
    """Bring a file's bytes to the disk. Raises OSError where they do not get there."""
    with path.open("r+b") as file:
        _fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring new and renamed entries of a folder to the disk; where folders cannot be opened (Windows), nothing."""
    if os.name == "nt":
        return
    try:
        fd = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to and not be listed
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
    """Raises SinkError where nobody may look."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise SinkError(f"{path}: cannot be looked at ({error.strerror}). Choose another place.") from error
    return True


def is_same(path: Path, other: Path) -> bool:
    """Whether two names mean one file or folder; no where either is not there."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False
