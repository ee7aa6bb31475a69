"""Entries (a file, folder or link) and the interface of sources that list them."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

from vidcolor import formats
from vidcolor.archives.limits import Limits
from vidcolor.errors import SourceError
from vidcolor.filenames import short_suffix
from vidcolor.printable import printable

Kind = Literal["photo", "film", "archive", "other", "directory", "link"]

_JUNK = {"thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx"}
_COPY_BYTES, _LEAST_BYTES = 1 << 20, 1 << 14


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of a source. An entry of a tar can be opened only until the next one is read."""

    name: str  # relative, POSIX, safe to write, unique in its source; "." is the source's own folder
    raw_name: bytes  # as stored
    kind: Kind
    size: int  # bytes, as the folder or archive states it
    mtime_ns: int  # since 1970 UTC
    mode: int | None = None  # permission bits, where known
    link: str | None = None  # target of a symbolic link, as stored
    same_as: str | None = None  # of a link in an archive: the entry that it leads to
    notes: tuple[str, ...] = ()  # for the user, one line each: renamed, not opened, ...
    refusal: str = ""  # why it is not read or written; "" for almost all
    archive: str = ""  # name, in the folder, of the archive that holds it
    said: str = ""  # checksum of what a person says of it, which decides its colors, too
    keeps_name: bool = True  # the raw name is safe and unique: a target of the same kind may keep it
    path: Path | None = None  # of a file on disk
    can_reopen: bool = True  # a second time
    origin: Any = field(default=None, repr=False)  # os.stat_result, ZipInfo or TarInfo
    opener: Callable[[], BinaryIO] | None = field(default=None, repr=False)

    @property
    def printable_name(self) -> str:
        """The name made safe for terminals."""
        return printable(self.name)

    def open(self) -> BinaryIO:
        """Open its content as a stream. Opening and reading raise SourceError for damage and for bombs."""
        if self.refusal or self.opener is None:
            raise SourceError(f"{self.printable_name}: {self.refusal or f'a {self.kind} has no content'}.")
        return self.opener()

    def read(self, limit: int = Limits.in_memory_bytes) -> bytes:
        """Read all of its content. Raises SourceError for damage, and past `limit` bytes whatever the header states."""
        with self.open() as file:
            return content_of(file, self.size, limit, self.name)

    @contextmanager
    def as_file(self, folder: Path, number: int = 0) -> Iterator[Path]:
        """A file on disk with its content: the file itself, or a copy in `folder` that is deleted afterward.

        number: distinguishes copies that exist at the same time; what a killed run left is overwritten.
        Raises SourceError when the disk has no room for it.
        """
        if self.path is not None:
            yield self.path
            return
        path = folder / f".vidcolor-{number}{short_suffix(self.name)}"
        free = shutil.disk_usage(folder).free
        if self.size > free:
            raise SourceError(
                f"{self.printable_name}: needs {self.size} bytes unpacked, {folder} has {free} free. Make room."
            )
        path.unlink(missing_ok=True)
        try:
            with self.open() as file, path.open("xb") as copy:
                shutil.copyfileobj(file, copy, _COPY_BYTES)
            yield path
        finally:
            path.unlink(missing_ok=True)


def content_of(file: BinaryIO, size: int, limit: int, name: str) -> bytes:
    """All bytes of a stream that should give `size`. Raises SourceError for damage, and past `limit` bytes."""
    # Never what a header claims, where that is much; nor a large buffer for a small file, which takes longer.
    step = min(_COPY_BYTES, max(_LEAST_BYTES, size + 1))
    chunks, length = [], 0
    while chunk := file.read(step):
        chunks.append(chunk)
        length += len(chunk)
        if length > limit:
            raise SourceError(f"{printable(name)}: larger than {limit} bytes, too large to be read at once.")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def kind_of(name: str) -> Kind:
    """The kind of a file by its name. Hidden files, and those that systems leave beside photos, are `other`."""
    path = PurePosixPath(name)
    if _is_hidden(path):
        return "other"
    suffix = path.suffix.lower()
    if suffix in formats.PHOTOS:
        return "photo"
    if suffix in formats.FILMS:
        return "film"
    return "archive" if formats.archive_ending(path.name) else "other"


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part.lower() in _JUNK for part in path.parts)


def notes_of(name: str, raw: str) -> tuple[str, ...]:
    """Notes for the user on an entry whose stored name is `raw`."""
    return () if name == raw else (f"{printable(raw)}: becomes {printable(name)}",)


def why_unread(name: str) -> str:
    """Why a file of this name, which may hold pictures, is not read; "" for other files."""
    path = PurePosixPath(name)
    suffix = "" if _is_hidden(path) else path.suffix.lower()
    if suffix in formats.UNREAD_PHOTOS:
        return f"{suffix} pictures are not read; save them as TIFF or PNG"
    return f"{suffix} archives are not read; unpack them" if suffix in formats.UNREAD_ARCHIVES else ""


class Source(ABC):
    """Lists entries in a reproducible order. A context manager; iterate once."""

    path: Path
    form: str  # "files", "zip", or "tar" with its packing: "tar", "tar.gz", "tar.xz", "tar.bz2", "tar.zst"
    identity: str  # of an archive: size and time; "" for files
    comment: bytes = b""  # of a zip

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self.paths = [path]  # all paths that are read
        self.damage: list[str] = []  # one line each: what could not be read at all; complete after the last entry

    @abstractmethod
    def __iter__(self) -> Iterator[Entry]: ...

    def close(self) -> None:  # noqa: B027 - a folder has nothing to close
        """Close the files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ArchiveSource(Source):
    """The members of one file. Iterate, or take the contents: one of them, once."""

    @abstractmethod
    def contents(self, wanted: Callable[[str], bool], limit: int) -> Iterator[tuple[str, bytes]]:
        """Stored name and bytes of every file that is wanted by its stored name, for who writes nothing of it.

        Such names are only names: they may be unsafe, and come again. The bytes are empty where they are refused,
        broken, or more than `limit`. Raises SourceError past the limits of the archive, ReadError for its drive.
        """
