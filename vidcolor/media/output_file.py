"""Writes film files so that an error of the disk is raised by `check`, and nowhere else.

Raised into FFmpeg, PyAV would print it with its traceback, or raise it from the next call into FFmpeg.
"""

import os
from typing import BinaryIO


class OutputFile:
    """A file for PyAV to write. The first error is kept, and nothing is written after it."""

    def __init__(self, file: BinaryIO) -> None:
        """file: seekable; its owner closes it."""
        self.name = str(getattr(file, "name", ""))
        self._file, self._failure = file, None if file.seekable() else OSError(f"{file}: cannot be sought in")

    def check(self) -> None:
        """Raise the OSError that writing met, if any."""
        if self._failure is not None:
            raise self._failure

    def write(self, content: bytes) -> int:
        """Write; always says that all was written, as FFmpeg would raise otherwise."""
        if self._failure is None:
            try:
                self._file.write(content)
            except OSError as error:
                self._failure = error
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, and give it."""
        try:
            return self._file.seek(offset, whence)  # which writes what waits in a buffer
        except OSError as error:
            self._failure = self._failure or error
            return max(0, offset)

    def tell(self) -> int:
        """The position of the next write."""
        return self._file.tell()

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self._file.flush()
        except OSError as error:
            self._failure = self._failure or error
