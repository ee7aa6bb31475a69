"""Encoded color photos for learning and measuring, out of folders, zip and tar archives."""

from collections.abc import Iterator
from pathlib import Path

from vidcolor.archives.entries import Source
from vidcolor.archives.opening import holds_archive, open_archive
from vidcolor.errors import SourceError
from vidcolor.formats import ARCHIVES, LEARNED_PHOTOS

LARGEST_MEMBER = 1 << 30  # bytes; a photo never is so large, a bomb is
WAITING_BYTES = 1 << 28  # of files out of archives that wait to be decoded

Encoded = tuple[str, bytes | Path]  # name, and file content or where it lies


def is_photo(name: str) -> bool:
    """Whether a file of this name should be a photo. macOS puts files named ._photo.jpg beside them, which are not."""
    base = name.rpartition("/")[2]  # PurePosixPath takes as long as a small member's bytes
    stem, _, suffix = base.rpartition(".")
    return bool(stem) and f".{suffix.lower()}" in LEARNED_PHOTOS and not base.startswith("._")


def is_archive(path: Path) -> bool:
    """Whether a file is, or by its name should be, a zip or tar archive."""
    return path.suffix.lower() in ARCHIVES or holds_archive(path)


def encoded(sources: list[Path]) -> Iterator[Encoded]:
    """Name and file of every photo in folders (sorted), archives (in their order) and single files.

    A file of an archive comes as its content, which is empty where the member is encrypted or broken.
    Names are only names: nothing is unpacked.
    Raises SourceError for a source that is none of these, and for an archive that cannot be read in full; ReadError
    for a drive that fails.
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


def _archived(path: Path) -> Iterator[tuple[str, bytes]]:
    with open_archive(path) as source:
        _check_whole(source)  # of a zip without a directory, that is known before any work
        yield from source.contents(is_photo, LARGEST_MEMBER)
        _check_whole(source)


def _check_whole(source: Source) -> None:
    if source.damage:
        raise SourceError(source.damage[0])
