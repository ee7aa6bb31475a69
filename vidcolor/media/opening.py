"""Opens film files and numbered pictures, and explains in one line why one cannot be opened."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError

from vidcolor.errors import SourceError
from vidcolor.media.input_file import is_system_error, read_error
from vidcolor.media.pyav import close_input, open_input
from vidcolor.media.sequences import is_address, open_sequence
from vidcolor.media.streams import decoder_of

_PLAYLISTS = (b"ffconcat", b"#EXTM3U", b"v=0", b"[playlist]", b"[Reference]", b"<ASX", b"<asx", b"rtsptext")
_LOOK_FURTHER = {"probesize": "200000000", "analyzeduration": "600000000"}  # bytes, microseconds
_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


@contextmanager
def open_film(path: Path) -> Iterator[InputContainer]:
    """Open a film, and close it at the end of the block. Raises SourceError, ReadError."""
    container = open_container(path)
    try:
        yield container
    finally:
        close_input(container)


def open_container(path: Path) -> InputContainer:
    """Open a film; the caller closes it. Raises SourceError, ReadError."""
    if is_address(path):
        try:
            return open_sequence(path)
        except (FFmpegError, OSError) as error:
            if is_system_error(error):
                raise read_error(path, error) from error
            raise SourceError(f"{path}: FFmpeg cannot read these pictures ({_reason(error)}).") from error
    if path.is_dir():
        raise SourceError(f"{path}: found a folder, needed a film file. Give one of the files in it.")
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty (0 bytes). Copy it again from where it came from.")
        return _open(path)
    except FFmpegError as error:  # some are OSErrors as well
        raise SourceError(f"{path}: {_explain_failure(path)} ({_reason(error)}).") from error
    except PermissionError:
        raise SourceError(f"{path}: not allowed to read this file. Change its permissions.") from None
    except OSError as error:
        if error.errno not in _NO_SUCH_FILE:
            raise read_error(path, error) from error
        raise SourceError(f"{path}: no such file. Check the spelling and the folder.") from None
    except ValueError as error:  # a name that no file can have
        raise SourceError(f"{path}: no such file ({error}). Check the spelling and the folder.") from None


def _open(path: Path) -> InputContainer:
    container = open_input(path)
    if any(decoder_of(stream) and not stream.codec_context.sample_rate for stream in container.streams.audio):
        container.close()  # audio that begins late: FFmpeg has not read so far
        container = open_input(path, options=_LOOK_FURTHER)
    return container


def _reason(error: Exception) -> str:
    return f"FFmpeg: {error.strerror}" if isinstance(error, FFmpegError) and error.strerror else str(error)


def _explain_failure(path: Path) -> str:
    """Why FFmpeg does not open a file, by its first bytes. Raises ReadError."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise read_error(path, error) from error
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free", b"skip"):
        return (
            "an MP4/MOV whose index (moov) is missing or broken, so nothing in it can be found; the recording or copy"
            " was cut off. Copy it again, or rebuild the index with a repair tool such as untrunc"
        )
    if head.lstrip().startswith(_PLAYLISTS) or (head.lstrip().startswith(b"<") and b"<MPD" in head):
        return "found a playlist, not a film; color the film that it names"
    if b"\0" not in head and head.isascii():
        return "found text, needed a film in a format that FFmpeg reads"
    return "found data in no format that FFmpeg reads, needed a film. Check that the file is whole"
