"""One file to be written: what forbids it is told before the work, and it is there complete or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidcolor.errors import SinkError, UsageError


def check(path: Path, *, overwrite: bool, makes_folder: bool = False) -> None:
    """Raise SinkError where the file may not or cannot be written.

    overwrite: a file of that name may be replaced.  makes_folder: the folder may be missing; it is made when the file
    is written.
    """
    folder = path.absolute().parent
    if makes_folder:
        folder = next(parent for parent in path.absolute().parents if parent.exists())
    elif not folder.exists():
        raise SinkError(f"{path}: the folder {path.parent} does not exist. Create it first.")
    if not folder.is_dir():
        raise SinkError(f"{path}: {folder} is no folder. Choose another name.")
    if path.is_dir():
        raise SinkError(f"{path}: is a folder; name a file in it.")
    if path.exists() and not overwrite:
        raise SinkError(f"{path}: exists already. Choose another name or pass --overwrite.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"{path}: not allowed to write in {folder.resolve()}. Choose another folder.")


def check_is_not(source: Path, path: Path) -> None:
    """Raise UsageError where a file is to be coloured into itself, under whatever name."""
    if path.exists() and source.exists() and path.samefile(source):
        raise UsageError(f"{path}: is the input itself, which is never changed. Choose another output name.")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside the file to write to, which then takes the file's place; after an error nothing of it is left.

    Raises SinkError where writing fails.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written ({error.strerror or error}).") from error
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
        with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=f".{path.stem}-") as folder:
            yield Path(folder) / path.name
            written = sorted(Path(folder).iterdir(), key=lambda file: file.suffix == path.suffix)
            places = [path.with_suffix(file.suffix) for file in written]
            for place in places:
                if place.exists() and not overwrite:
                    raise SinkError(f"{place}: exists now; pass --overwrite to replace it.")
            for file, place in zip(written, places, strict=True):
                file.replace(place)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written ({error.strerror or error}).") from error


def write(path: Path, content: bytes) -> None:
    """Complete or not at all. Raises SinkError."""
    with replacing(path) as partial:
        partial.write_bytes(content)
