"""Encoded color photos for learning and measuring, out of folders, zip and tar archives."""

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vidcolor import formats
from vidcolor.archives.tar_headers import CheckedTarFile
from vidcolor.errors import SourceError
from vidcolor.stills.damage import DAMAGED

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
# Archives to learn from.
ARCHIVE_SUFFIXES = {".zip", ".tar", ".tgz", ".txz", ".tbz", ".tbz2", ".gz", ".xz", ".bz2"}
FILM_SUFFIXES = formats.FILMS
LARGEST_MEMBER = 1 << 30  # bytes; a photo never is so large, a bomb is
WAITING_BYTES = 1 << 28  # of files out of archives that wait to be decoded

Encoded = tuple[str, bytes | Path]  # name, and file content or where it lies


def is_photo(name: str) -> bool:
    """Whether a file of this name should be a photo. macOS puts files named ._photo.jpg beside them, which are not."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


def is_archive(path: Path) -> bool:
    """Whether a file is, or by its name should be, a zip or tar archive."""
    return path.suffix.lower() in ARCHIVE_SUFFIXES or _is_tar(path) or zipfile.is_zipfile(path)


def _is_tar(path: Path) -> bool:
    try:
        CheckedTarFile.open(path).close()
    except tarfile.TarError:
        return False
    except DAMAGED:  # a packed one that breaks off at once
        pass
    return True


def encoded(sources: list[Path]) -> Iterator[Encoded]:
    """Name and file of every photo in folders (sorted), archives (in their order) and single files.

    A file of an archive comes as its content, which is empty where the member is encrypted or broken.
    Names are only names: nothing is unpacked.
    Raises SourceError for a source that is none of these, and for an archive that cannot be read.
    """
    for source in sources:
        if source.is_dir():
            for file in sorted(source.rglob("*")):
                if is_photo(file.name) and file.is_file():
                    yield file.relative_to(source).as_posix(), file
        elif not source.is_file():
            raise SourceError(f"{source}: no such file or folder.")
        elif is_photo(source.name):
            yield source.name, source
        elif is_archive(source):
            yield from _archived(source)
        else:
            raise SourceError(f"{source}: not a folder, a zip or tar archive, or a photo.")


def batches(files: Iterator[Encoded], most: int) -> Iterator[list[Encoded]]:
    """Lists of at most so many, and of no more content than WAITING_BYTES, but for one that is longer by itself."""
    batch: list[Encoded] = []
    waiting = 0
    for name, content in files:
        length = len(content) if isinstance(content, bytes) else 0
        if batch and (len(batch) == most or waiting + length > WAITING_BYTES):
            yield batch
            batch, waiting = [], 0
        batch.append((name, content))
        waiting += length
    if batch:
        yield batch


def _archived(source: Path) -> Iterator[tuple[str, bytes]]:
    # A tar whose last member is a zip looks like a zip, too.
    members = _zipped(source) if zipfile.is_zipfile(source) and not _is_tar(source) else _tarred(source)
    count = 0
    while True:
        try:
            member = next(members, None)
        except DAMAGED as error:
            found = f"an archive that breaks off after {count} photos" if count else "not a readable zip or tar archive"
            raise SourceError(f"{source}: {found}. Copy it again.") from error
        if member is None:
            return
        count += 1
        yield member


def _zipped(source: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            if not member.is_dir() and is_photo(member.filename):
                yield member.filename, _unzipped(archive, member)


def _unzipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > LARGEST_MEMBER:
        return b""
    try:
        return archive.read(member)
    except DAMAGED:  # RuntimeError: encrypted; NotImplementedError: a compression that Python lacks
        return b""


def _tarred(source: Path) -> Iterator[tuple[str, bytes]]:
    with CheckedTarFile.open(source) as archive:
        for member in archive:
            if member.isfile() and is_photo(member.name):
                content = archive.extractfile(member) if member.size <= LARGEST_MEMBER else None
                yield member.name, content.read() if content is not None else b""
