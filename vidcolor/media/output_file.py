"""Writing a film file so that an error of the disk comes up where it is asked for, and nowhere else.

Raised into FFmpeg, it would be printed by PyAV with its whole traceback, or come up in whatever the same thread next
asks FFmpeg for.
"""

import os
from typing import BinaryIO


class WrittenFile:
    """A file for PyAV to write: the first error is kept, and from there on nothing is written any more."""

    def __init__(self, file: BinaryIO) -> None:
        """file: seekable; its owner closes it."""
        self.name = str(getattr(file, "name", ""))
        self._file, self._failure = file, None if file.seekable() else OSError(f"{file}: cannot be sought in")

    def check(self) -> None:
        """Raise the OSError that was met."""
        if self._failure is not None:
            raise self._failure

    def write(self, content: bytes) -> int:
        """How many bytes FFmpeg is to believe were written: all."""
        if self._failure is None:
            try:
                self._file.write(content)
            except OSError as error:
                self._failure = error
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Where the next bytes go."""
        try:
            return self._file.seek(offset, whence)  # which writes what waits in a buffer
        except OSError as error:
            self._failure = self._failure or error
            return max(0, offset)

    def tell(self) -> int:
        """Where the next bytes go."""
        return self._file.tell()

    def flush(self) -> None:
        """Let nothing wait in a buffer."""
        try:
            self._file.flush()
        except OSError as error:
            self._failure = self._failure or error
