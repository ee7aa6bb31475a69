"""What each container that films are written to can store: the one table of such facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vidcolor.errors import UsageError, closest_name
from vidcolor.formats import CONTAINERS, FILMS, PHOTOS, UNREAD_PHOTOS


@dataclass(frozen=True)
class Container:
    """What a container can store, and who writes the header fields that FFmpeg's muxer leaves out."""

    name: str  # FFmpeg's name of the muxer
    stores_times: bool = True  # False: frames at an even rate from zero, in the order shown, and sound without times
    stores_early_frames: bool = True  # False: frames before zero would be hidden, as by MP4's edit lists
    whole_milliseconds: bool = False  # whether times are rounded to them
    chapters: bool = True
    rotation: bool = True
    stream_tags: bool = False  # whether a single stream can have any tag; a film can everywhere
    attachments: bool = False  # whether it stores files, and cover art as one of them
    cover_art: bool = False  # whether it stores cover art as a stream
    any_codec: bool = False  # whether its muxer writes codecs that FFmpeg's table of the container does not list
    audio: frozenset[str] | None = None  # codecs, and "pcm", that it keeps in time; None: all that its muxer takes
    lossless_audio: str = "flac"  # the codec for sound that it cannot store as it is; "": PCM
    lossless_from_pcm: bool = False  # whether PCM and ADPCM, too, become `lossless_audio`
    lossy_audio: str = "aac"  # what --convert-audio is advised to be
    text_subtitles: str = ""  # the codec that text subtitles are converted to; "": it stores none
    global_header: bool = True  # whether codec headers lie in the header of the file
    codec_tags: Mapping[str, str] = field(default_factory=dict)  # of codecs whose usual tag players refuse
    header: Literal["matroska", "mp4", ""] = ""  # the module that writes cropping, ...; "": it has none

    def keeps_audio(self, codec: str) -> bool:
        """Whether audio of this codec, by FFmpeg's name, is read again in time, if the muxer takes it."""
        return self.audio is None or ("pcm" if codec.startswith("pcm_") else codec) in self.audio


_MATROSKA = Container(
    "matroska", whole_milliseconds=True, stream_tags=True, attachments=True, any_codec=True,
    text_subtitles="subrip", header="matroska",
)  # fmt: skip
_WEBM = Container(
    "webm", whole_milliseconds=True, stream_tags=True, lossy_audio="opus", text_subtitles="webvtt", header="matroska"
)
_MP4 = Container(
    "mp4", stores_early_frames=False, cover_art=True, lossless_audio="alac", lossless_from_pcm=True,
    text_subtitles="mov_text", codec_tags={"hevc": "hvc1"}, header="mp4",  # hev1, FFmpeg's, Apple's players refuse
)  # fmt: skip
_MOV = Container(
    "mov", stores_early_frames=False, lossless_audio="alac", lossless_from_pcm=True,
    text_subtitles="mov_text", codec_tags={"hevc": "hvc1"}, header="mp4",
)  # fmt: skip
# Its sound is timed by counting bytes or packets, which the muxer does right for these codecs.
_AVI = Container(
    "avi", stores_times=False, chapters=False, rotation=False, global_header=False, lossless_audio="",
    audio=frozenset({"pcm", "mp2", "mp3", "ac3", "aac"}),
)  # fmt: skip

CONTAINERS_BY_NAME = {container.name: container for container in (_MATROSKA, _WEBM, _MP4, _MOV, _AVI)}


def stores_cropping(output_path: Path) -> bool:
    """Whether a film of this name can say which part of its picture is shown; other files' names count as able."""
    name = CONTAINERS.get(output_path.suffix.lower())
    return name is None or bool(CONTAINERS_BY_NAME[name].header)


def container_of(output_path: Path) -> Container:
    """The container that the suffix asks for. Raises UsageError."""
    suffix = output_path.suffix.lower()
    if suffix not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise UsageError(f"{output_path}: {_describe_suffix(suffix)} Films that are written end in {known}.")
    return CONTAINERS_BY_NAME[CONTAINERS[suffix]]


def _describe_suffix(suffix: str) -> str:
    """What is wrong with a suffix that no film is written with, and what was probably meant."""
    if not suffix:
        return "has no suffix; for a folder, end it in a slash."
    if suffix in FILMS:
        return f"{suffix} films are read, but not written."
    if suffix in PHOTOS | UNREAD_PHOTOS:
        return f"{suffix} is a picture's suffix, and the input a film; `vidcolor preview` shows its shots as a picture."
    near = closest_name(suffix, CONTAINERS)
    return f"suffix {suffix} is unknown{f'; did you mean {near}?' if near else '.'}"
