"""Reads film files so that an error of the drive or network is never mistaken for damage or the film's end.

FFmpeg cannot be asked which of them it was. Its reader of MP4 says "invalid data" where the system gave EIO, or hands
on half a packet and goes on; others look for the next place that makes sense; and some say EIO, of their own accord, of
a file that is merely cut off. So the file is read here, and this module keeps what the system said. The blocks are of
FFmpeg's own size, 32 kB; decoding takes as long as with FFmpeg's own reading, within noise.
"""

from __future__ import annotations  # Packet[...] is for type checkers only

import errno
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from vidcolor.errors import ReadError

# FFmpeg's demuxers also raise these for bad content, without asking the system for anything.
_OF_CONTENT = {errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ERANGE, errno.EDOM, errno.EAGAIN}

_LAST_POSITION = (1 << 63) - 1


class InputFile:
    """A file for PyAV to read. The first error is kept as `failure`; from then on the file seems to be at its end.

    Raised, the error would come up in PyAV whenever the same thread next asks FFmpeg for anything, if only to encode.
    A file that has become shorter is such an error, too.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.name = str(path)
        self.failure: OSError | None = None
        self._file = path.open("rb", 0)  # unbuffered: FFmpeg has a buffer
        self._size = os.fstat(self._file.fileno()).st_size
        self._position = self._at = 0  # of the next read, and of the system's file

    def read(self, size: int) -> bytes:
        """Read at most so many bytes; none at the end, and none after an error."""
        if self.failure is not None:
            return b""
        try:
            if self._position != self._at and not self._move():
                return b""
            content = self._file.read(size) or b""
        except OSError as error:
            self.failure = error
            return b""
        self._position = self._at = self._position + len(content)
        if not content and size and self._position < self._size:
            self.failure = OSError(errno.ESTALE, f"it ends at byte {self._position}, and had {self._size}")
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set and give the position of the next read. It asks nothing of the system, so it cannot fail."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = min(max(0, start + offset), _LAST_POSITION)
        return self._position

    def _move(self) -> bool:
        """Move the system's position to the wanted one; False where there is none: damaged files point anywhere."""
        try:
            self._file.seek(self._position)
        except OSError:
            if self._position < self._size:
                raise
            return False
        return True

    def tell(self) -> int:
        """The position of the next read."""
        return self._position

    def check(self) -> None:
        """Raise ReadError if reading has failed."""
        if self.failure is not None:
            raise read_error(self.name, self.failure) from self.failure

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # PyAV holds the file as long as its container
            self._file.close()


class InputFiles:
    """Opens numbered pictures for PyAV, one after another. `failure` is the first error."""

    def __init__(self) -> None:
        self._failure: OSError | None = None
        self._last: InputFile | None = None

    def __call__(self, name: str, flags: int, options: dict[str, str]) -> InputFile:  # noqa: ARG002 - PyAV's io_open
        """Open a picture. Raises OSError, and keeps it as `failure`."""
        self._failure, self._last = self.failure, None
        try:
            self._last = InputFile(Path(name))
        except OSError as error:
            self._failure = self._failure or error
            raise
        return self._last

    @property
    def failure(self) -> OSError | None:
        """The first error; None where there was none."""
        return self._failure or (self._last.failure if self._last else None)


def demux(container: InputContainer, *streams: Any) -> Iterator[Packet[Any]]:
    """The packets of the container's `demux`. Raises ReadError where reading failed, FFmpegError for damage."""
    demuxed, last = container.demux(*streams), None
    while True:
        try:
            packet = next(demuxed, None)
        except (FFmpegError, OSError) as error:
            check_read(container, error, last)
            raise
        check_read(container, None, last)  # first, as a packet may be the half of one
        if packet is None:
            return
        if packet.dts is not None:
            last = packet.stream_index, packet.dts
        yield packet


def check_read(container: InputContainer, error: Exception | None = None, last: tuple[int, int] | None = None) -> None:
    """Raise ReadError if reading has failed. error: what PyAV raised.  last: stream and dts of the packet before."""
    files = _find_files(container)
    failure: Exception | None = files.failure if files else None
    if failure is None and error is not None and is_system_error(error, is_read_here=files is not None):
        failure = error
    if failure is None:
        return
    seconds = None
    if last is not None:
        base = container.streams[last[0]].time_base or 0
        seconds = last[1] * Fraction(base.numerator, base.denominator) - Fraction(container.start_time or 0, 1_000_000)
    raise read_error(container.name, failure, seconds) from failure


def read_error(path: Path | str, failure: Exception, seconds: Fraction | None = None) -> ReadError:
    """The error to raise for a failed read. seconds: of the film, where it happened."""
    place = ""
    if seconds is not None:
        minutes, rest = divmod(max(0, int(seconds)), 60)
        place = f" at about {minutes}:{rest:02}"
    reason = getattr(failure, "strerror", None) or str(failure)
    return ReadError(
        f"{path}: reading failed{place} ({reason}): the drive or network, not the film. What is finished is kept; when"
        " the drive is back, give the same command again."
    )


def is_system_error(error: Exception, *, is_read_here: bool = False) -> bool:
    """Whether PyAV's error is one of the operating system. FFmpeg's own codes are large numbers.

    is_read_here: this module read the file, so EIO from FFmpeg means content that breaks off.
    """
    code = getattr(error, "errno", None)
    return code in errno.errorcode and code not in _OF_CONTENT and not (code == errno.EIO and is_read_here)


def _find_files(container: InputContainer) -> InputFile | InputFiles | None:
    """The file or files of this module that the container reads; None where FFmpeg reads by itself."""
    found = container.file.file if container.file else container.io_open
    return found if isinstance(found, InputFile | InputFiles) else None
