"""Reading a film file so that an error of the drive or the network is never taken for damage, nor for the film's end.

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

# FFmpeg's demuxers say these of the content, too, without having asked the system for anything.
_OF_CONTENT = {errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ERANGE, errno.EDOM, errno.EAGAIN}

_LAST_POSITION = (1 << 63) - 1


class ReadFile:
    """A file for PyAV to read: the first error is kept as `failure`, and from there on the file seems to be at its end.

    Raised, the error would come up in PyAV whenever the same thread next asks FFmpeg for anything, if only to encode.
    A file that has become shorter is such an error, too.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.name = str(path)
        self.failure: OSError | None = None
        self._file = path.open("rb", 0)  # unbuffered: FFmpeg has a buffer
        self._size = os.fstat(self._file.fileno()).st_size
        self._position = self._at = 0  # wanted, and where the system stands

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end, and from the first error on."""
        if self.failure is not None:
            return b""
        try:
            if self._position != self._at and not self._seek():
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
        """Where the next bytes come from. It asks nothing of the system, so that it cannot fail."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = min(max(0, start + offset), _LAST_POSITION)
        return self._position

    def _seek(self) -> bool:
        """Whether there is such a place: what is damaged may point anywhere."""
        try:
            self._file.seek(self._position)
        except OSError:
            if self._position < self._size:
                raise
            return False
        return True

    def tell(self) -> int:
        """Where the next bytes come from."""
        return self._position

    def require(self) -> None:
        """Raise ReadError if reading has failed."""
        if self.failure is not None:
            raise read_error(self.name, self.failure) from self.failure

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # PyAV holds the file as long as its container
            self._file.close()


class ReadFiles:
    """Opens numbered pictures for PyAV, one after another. `failure` is the first error of any."""

    def __init__(self) -> None:
        self._failure: OSError | None = None
        self._last: ReadFile | None = None

    def __call__(self, name: str, flags: int, options: dict[str, str]) -> ReadFile:  # noqa: ARG002 - PyAV's io_open
        """Raises OSError, which is the failure then."""
        self._failure, self._last = self.failure, None
        try:
            self._last = ReadFile(Path(name))
        except OSError as error:
            self._failure = self._failure or error
            raise
        return self._last

    @property
    def failure(self) -> OSError | None:
        """What the system said first; None where all went well."""
        return self._failure or (self._last.failure if self._last else None)


def packets(container: InputContainer, *streams: Any) -> Iterator[Packet[Any]]:
    """What the container's `demux` gives. Raises ReadError where reading failed, FFmpegError for damage."""
    demuxed, last = container.demux(*streams), None
    while True:
        try:
            packet = next(demuxed, None)
        except (FFmpegError, OSError) as error:
            require_read(container, error, last)
            raise
        require_read(container, None, last)  # first, as a packet may be the half of one
        if packet is None:
            return
        if packet.dts is not None:
            last = packet.stream_index, packet.dts
        yield packet


def require_read(
    container: InputContainer, error: Exception | None = None, last: tuple[int, int] | None = None
) -> None:
    """Raise ReadError if reading has failed. error: what PyAV raised.  last: stream and dts of the packet before."""
    files = _files_of(container)
    failure: Exception | None = files.failure if files else None
    if failure is None and error is not None and is_of_system(error, is_read_here=files is not None):
        failure = error
    if failure is None:
        return
    seconds = None
    if last is not None:
        base = container.streams[last[0]].time_base or 0
        seconds = last[1] * Fraction(base.numerator, base.denominator) - Fraction(container.start_time or 0, 1_000_000)
    raise read_error(container.name, failure, seconds) from failure


def read_error(path: Path | str, failure: Exception, seconds: Fraction | None = None) -> ReadError:
    """What to tell of it. seconds: of the film, where it happened."""
    place = ""
    if seconds is not None:
        minutes, rest = divmod(max(0, int(seconds)), 60)
        place = f" at about {minutes}:{rest:02}"
    reason = getattr(failure, "strerror", None) or str(failure)
    return ReadError(
        f"{path}: reading failed{place} ({reason}): the drive or network, not the film. What is finished is kept; when"
        " the drive is back, give the same command again."
    )


def is_of_system(error: Exception, *, is_read_here: bool = False) -> bool:
    """Whether PyAV's error is one of the operating system. FFmpeg's own codes are large numbers.

    is_read_here: FFmpeg has not read by itself, so that its EIO is only a word for content that breaks off.
    """
    code = getattr(error, "errno", None)
    return code in errno.errorcode and code not in _OF_CONTENT and not (code == errno.EIO and is_read_here)


def _files_of(container: InputContainer) -> ReadFile | ReadFiles | None:
    """What reads for it; None where FFmpeg does that by itself."""
    found = container.file.file if container.file else container.io_open
    return found if isinstance(found, ReadFile | ReadFiles) else None
