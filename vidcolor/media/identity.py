"""Tells whether an input is unchanged since a film was begun, without reading all of a long film."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISREG

from vidcolor.media.sequences import is_address, pictures_of

WHOLE_BYTES = 16 << 20  # inputs up to here are read from end to end
BLOCKS, BLOCK_BYTES = 64, 64 << 10  # read of longer inputs: 4 MiB, a second or two from a slow file server


def identity_of(*paths: Path) -> str:
    """The identity of films, stills and numbered pictures: sizes and times, then a checksum of the content.

    The checksum of a short input covers all of its content, so the time does not count: a copy is the same film. The
    checksum of a longer input covers blocks spread evenly along it, its size, and its time, which reveals a change
    between the blocks.
    """
    if not paths:
        return ""
    files = [file for path in paths for file in (pictures_of(path) if is_address(path) else [path])]
    return f"{' '.join(map(_status_text, paths))} {_content_checksum(files)}"


def _status_text(path: Path) -> str:
    """Size and time of a file; for numbered pictures, a checksum of all names, sizes and times."""
    if not is_address(path):
        found = path.stat()
        return f"{found.st_size} {found.st_mtime_ns}"
    files = sorted(file for file in path.parent.iterdir() if re.search(r"\d", file.name) and file.is_file())
    listing = "\n".join(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)
    return hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()


def _content_checksum(files: Sequence[Path]) -> str:
    """A checksum of all files, one after the other."""
    found = [file.stat() for file in files]
    sizes = [status.st_size if S_ISREG(status.st_mode) else 0 for status in found]
    is_whole = sum(sizes) <= WHOLE_BYTES
    digest = hashlib.sha256(" ".join(map(str, sizes)).encode())
    if not is_whole:
        digest.update(" ".join(str(status.st_mtime_ns) for status in found).encode())
    for number, start, length in _whole_files(sizes) if is_whole else _sampled_blocks(sizes):
        with files[number].open("rb", buffering=0) as file:
            file.seek(start)
            digest.update(file.read(length))
    return f"{'whole' if is_whole else 'sampled'}:{digest.hexdigest()}"


def _whole_files(sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Every file as a block: its number, the first byte, how many bytes."""
    return ((number, 0, size) for number, size in enumerate(sizes) if size)


def _sampled_blocks(sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Blocks spread evenly over all files, from the first byte to the last: file number, first byte, how many bytes."""
    last, number, begin = sum(sizes) - BLOCK_BYTES, 0, 0
    for block in range(BLOCKS):
        place = block * last // (BLOCKS - 1)
        while place >= begin + sizes[number]:
            begin += sizes[number]
            number += 1
        yield number, place - begin, BLOCK_BYTES
