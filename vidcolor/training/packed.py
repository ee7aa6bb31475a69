"""Decoded pictures in one file that is mapped into memory, so that a training set may be larger than the memory."""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidcolor import __version__, outputs
from vidcolor.archives.photos import is_photo
from vidcolor.errors import SinkError
from vidcolor.filenames import OWN_PREFIX
from vidcolor.formats import FILMS
from vidcolor.stills.rgb import Rgb

_ABANDONED = 3600.0  # seconds
_READ_FILES, _READ_BYTES = 32, 1 << 16  # of each source, from the end of each
_HEX = "[0-9a-f]"
_LISTS = f"photos-{_HEX * 16}.json"
_SAMPLES = f"photos-{_HEX * 16}-{_HEX * 8}.u8", f"{OWN_PREFIX}*.partial.u8"


@dataclass(frozen=True)
class Pack:
    """A file of pictures' samples, one picture behind the other, (H, W, 3) uint8 each, and the list that names it.

    key: of all that decides the pictures, see key_of.
    """

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        """The list: its file of samples, the pictures' names and sizes, and facts."""
        return self.folder / f"photos-{self.key[:16]}.json"

    def read(self) -> tuple[list[tuple[str, Rgb]], dict[str, Any]] | None:
        """The pictures by name, as views of the mapped file, and the facts; None where there is no whole pack."""
        with suppress(OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            found = json.loads(self.path.read_text(encoding="utf-8"))
            samples = self.folder / found["samples"]
            shapes = np.array(found["shapes"], np.int64).reshape(-1, 2)
            ends = np.cumsum(shapes.prod(axis=1) * 3).tolist()
            size = ends[-1] if ends else 0
            if found["key"] == self.key and len(found["names"]) == len(shapes) and samples.stat().st_size == size:
                # A plain array over the map: views of it cost a third of those of a memmap. An empty file has no map.
                data = np.asarray(np.memmap(samples, np.uint8, "r")) if size else np.empty(0, np.uint8)
                views = (data[start:end] for start, end in zip([0, *ends], ends, strict=False))
                pictures = [view.reshape(*shape, 3) for view, shape in zip(views, shapes.tolist(), strict=True)]
                return list(zip(found["names"], pictures, strict=True)), found["facts"]
        return None

    def write(self, pictures: Iterable[tuple[str, Rgb]], facts: Callable[[], dict[str, Any]]) -> None:
        """Write the pictures, one at a time in memory, then the list: without it there is no pack.

        facts: gives what else to keep, once the pictures have been read.  Raises SinkError.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise SinkError(f"{self.folder}: is a file, not a folder.")
        names: list[str] = []
        shapes: list[list[int]] = []
        # Of this process alone: two may pack the same pictures at once, and the later list wins.
        samples = self.path.with_name(f"{self.path.stem}-{secrets.token_hex(4)}.u8")
        with (
            outputs.replacing(samples, overwrite=False, makes_folder=True) as partial,
            outputs.open_output(partial) as file,
        ):
            for name, rgb in pictures:
                file.write(np.ascontiguousarray(rgb).data)
                names.append(name)
                shapes.append(list(rgb.shape[:2]))
        listed = {"key": self.key, "samples": samples.name, "names": names, "shapes": shapes, "facts": facts()}
        outputs.write(self.path, json.dumps(listed).encode(), overwrite=True)


def remove_packs(folder: Path) -> None:
    """Remove all packs, as far as the system lets them go, and their folder where nothing else is in it."""
    with suppress(OSError):
        for pattern in (_LISTS, *_SAMPLES):
            for path in folder.glob(pattern):
                path.unlink()
        folder.rmdir()


def remove_abandoned(folder: Path) -> None:
    """Remove samples that no list names and nobody writes any more: of processes that were killed, or came second."""
    named = set()
    with suppress(OSError):
        for path in folder.glob(_LISTS):
            with suppress(ValueError, KeyError, TypeError, RecursionError):  # a damaged list names nothing
                named.add(json.loads(path.read_text(encoding="utf-8"))["samples"])
        for pattern in _SAMPLES:
            for path in folder.glob(pattern):
                if path.name not in named and time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()


def key_of(sources: Iterable[Path], settings: dict[str, Any]) -> str:
    """Hash all that decides the pictures: the sources' files by name, size and time, the settings, this version.

    The ends of some files are hashed, too, since unpackers may give equal times to files of equal size.
    """
    found = hashlib.sha256(repr((__version__, sorted(settings.items()))).encode())
    for source in sources:
        files = list(_files_of(source))
        every = max(1, len(files) // _READ_FILES)
        for number, (name, file) in enumerate(files):
            about = None
            with suppress(OSError):  # what is missing is told when it is read
                status = file.stat()
                about = status.st_size, status.st_mtime_ns, _read_end(file) if number % every == 0 else b""
            found.update(repr((name, about)).encode(errors="backslashreplace"))
    return found.hexdigest()


def _read_end(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - _READ_BYTES))
        return opened.read()


def _files_of(source: Path) -> Iterator[tuple[str, Path]]:
    """The photos and films of a source, each with its name in it."""
    if not source.is_dir():
        yield source.name, source
        return
    for file in sorted(source.rglob("*")):
        if is_photo(file.name) or file.suffix.lower() in FILMS:
            yield file.relative_to(source).as_posix(), file
