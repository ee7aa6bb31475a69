"""What PyAV 18 and PyAV 19 do differently: opening, tags, side data and rational numbers.

PyAV 18.1 is the newest for Python 3.11; pip takes 19 from Python 3.12 on. No other module asks for a version of PyAV.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.frame import Frame
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from vidcolor.media.input_file import InputFile, InputFiles

_IS_18 = av.__version__.startswith("18.")
# Tags need not be UTF-8. PyAV 18 has to be told how to pass such bytes on; 19 always does it in this way.
_TAG_OPTIONS: dict[str, Any] = {"metadata_errors": "surrogateescape"} if _IS_18 else {}


def open_input(
    file: Any, *, format: str | None = None, options: dict[str, str] | None = None, hwaccel: HWAccel | None = None
) -> InputContainer:
    """Open a path or a Python file to read. Bytes of tags that are not UTF-8 are kept as lone surrogates.

    Raises ReadError where the system cannot read, OSError where it cannot open the file, FFmpegError for what is no
    film.
    """
    read = InputFile(file) if isinstance(file, Path) else None
    if read is not None:
        options = {"protocol_whitelist": "none"} | (options or {})  # it reads no other file, and opens no connection
    try:
        container: InputContainer = av.open(
            read or file, "r", format=format, options=options, hwaccel=hwaccel, **_TAG_OPTIONS
        )
    except Exception:
        if read is not None:
            read.check()
        raise
    if read is not None and read.failure is not None:  # in the middle of the headers, which FFmpeg forgives
        container.close()
        read.check()
    return container


def open_pictures(pattern: Path, options: dict[str, str]) -> InputContainer:
    """Open numbered pictures to read, by FFmpeg's pattern. Raises OSError, FFmpegError."""
    # PyAV can open files for FFmpeg whose names are UTF-8; others are left to FFmpeg.
    is_utf8 = not any("\ud800" <= letter <= "\udfff" for letter in str(pattern))
    container: InputContainer = av.open(
        str(pattern), "r", format="image2", options=options, io_open=InputFiles() if is_utf8 else None, **_TAG_OPTIONS
    )
    return container


def open_output(
    file: Any,
    *,
    format: str,
    container_options: dict[str, str] | None = None,
    buffer_size: int = 32768,
    any_codec: bool = False,
) -> OutputContainer:
    """Open a path or a Python file to write. Tags that `open_input` gave come out byte for byte.

    any_codec: let the muxer decide whether it can write a codec. Otherwise PyAV checks a table of FFmpeg's that lists
    fewer codecs than muxers write: Matroska's lacks the audio that is stored as in a WAV or AVI file (A_MS/ACM). With
    any_codec the container must be a Python file, and cannot be given chapters.
    """
    if any_codec:
        # The tee muxer, which hands everything on to another, has no table of codecs.
        options = "".join(f":{key}={value}" for key, value in (container_options or {}).items())
        tee: OutputContainer = av.open(
            f"[f={format}{options}]film", "w", format="tee", io_open=lambda *_: _UnclosedFile(file),
            buffer_size=buffer_size, **_TAG_OPTIONS,
        )  # fmt: skip
        return tee
    name = str(file) if isinstance(file, Path) else file
    container: OutputContainer = av.open(
        name, "w", format=format, container_options=container_options, buffer_size=buffer_size, **_TAG_OPTIONS
    )
    return container


class _UnclosedFile:
    """A file that stays open when a muxer closes it."""

    def __init__(self, file: Any) -> None:
        self.write, self.seek, self.tell, self.close = file.write, file.seek, file.tell, file.flush


def close_input(container: InputContainer) -> None:
    """Close a film from which frames may have been decoded, after the threads of its decoders have come to rest.

    PyAV's own closing waits for them and holds Python's lock, for which a thread with a message for PyAV's log waits:
    for ever. This waits without the lock.
    """
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.flush_buffers()
    container.close()


def text_of(tag: str) -> str:
    """A tag as text that can be printed and stored; bytes that are not UTF-8 become U+FFFD."""
    return tag.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def side_data_of(frame: Frame) -> dict[str, bytes]:
    """A frame's side data by FFmpeg's names (DISPLAYMATRIX, A53_CC, ...), without kinds that PyAV does not know."""
    readable = _drop_icc_profile(frame) if isinstance(frame, VideoFrame) else frame
    container = cast(Any, readable.side_data)
    entries = list(container) if _IS_18 else container[:]  # 19 iterates over kinds, as over a mapping's keys
    return {entry.type.name: bytes(entry) for entry in entries if not entry.type.name.startswith("UNKNOWN_")}


def _drop_icc_profile(frame: VideoFrame) -> VideoFrame:
    """The frame without its ICC profile: PyAV (18 and 19) frees the profile's name twice, which ends the process."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    graph.link_nodes(source, graph.add("sidedata", "mode=delete:type=ICC_PROFILE"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def fraction_of(value: Any) -> Fraction | None:
    """A rate, time base or sample aspect ratio, a Fraction or None in PyAV 18 and an AVRational in 19. None for 0."""
    return Fraction(value.numerator, value.denominator) if value else None


def _name_unknown(cls: type[Any], value: object) -> Any:
    """A member for a kind of side data that FFmpeg has and PyAV does not, as PyAV 19 makes one."""
    if not isinstance(value, int):
        return None
    member = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return cls._value2member_map_.setdefault(value, member)


if "_missing_" not in vars(Type):
    # PyAV 18 ends in ValueError, then in a segmentation fault, where a frame has EXIF or another newer kind.
    cast(Any, Type)._missing_ = classmethod(_name_unknown)
