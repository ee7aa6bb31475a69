"""Streams of an open film: which one is the picture, what the others are."""

from pathlib import Path
from typing import cast

from av.codec import CodecContext
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from vidcolor.errors import SourceError
from vidcolor.frames import StreamInfo
from vidcolor.media.pyav import text_of
from vidcolor.media.subtitles import is_unread_webvtt

_STILL_CODECS = {"mjpeg", "png", "bmp", "gif", "webp", "tiff"}
_STILL_CONTAINERS = {"mov", "mp4", "matroska", "webm", "asf", "mp3", "flac", "ogg"}


def choose_video(container: InputContainer, path: Path) -> tuple[VideoStream, list[str]]:
    """Choose the first video stream that is not cover art; and a notice about the others. Raises SourceError."""
    pictures = [stream for stream in container.streams.video if not is_cover_art(stream)]
    if not pictures:
        kinds = sorted({str(stream.type) for stream in container.streams if not is_cover_art(stream)})
        found = " and ".join(kinds) if kinds else "no streams"
        art = " with cover art" if container.streams.video else ""
        raise SourceError(f"{path}: found {found}{art} but no video stream. For scans or photos, pass the folder.")
    notices = []
    if len(pictures) > 1:
        others = ", ".join(f"#{stream.index}" for stream in pictures[1:])
        notices.append(f"{len(pictures)} video tracks; only the first (#{pictures[0].index}) is colored, not {others}")
    return pictures[0], notices


def is_cover_art(stream: Stream) -> bool:
    """Whether a stream is a still beside the film: flagged as attached, or one image of a still codec beside others."""
    if stream.type != "video":
        return False
    if stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image):
        return True
    context = decoder_of(stream)
    container_names = set(stream.container.format.name.split(","))
    still = context is not None and context.name in _STILL_CODECS and bool(container_names & _STILL_CONTAINERS)
    return still and stream.frames == 1 and len(stream.container.streams) > 1


def decoder_of(stream: Stream) -> CodecContext | None:
    """The stream's decoder; None where this FFmpeg has none, which PyAV's type stubs leave out."""
    return cast(CodecContext | None, stream.codec_context)


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of the codec, also where it has no decoder; the MIME type of an attachment."""
    decoder = decoder_of(stream)
    if decoder is not None:
        return decoder.codec.canonical_name
    if stream.type == "attachment":
        return text_of(stream.metadata.get("mimetype", "attachment"))
    if is_unread_webvtt(stream):
        return "webvtt"
    # PyAV asks the decoder that is not there for the name, and fails.
    return "timecode" if "timecode" in stream.metadata else (getattr(stream, "name", None) or "unknown")


def stream_info(stream: Stream) -> StreamInfo:
    """What the stream is, for people."""
    tags = {key: text_of(value) for key, value in stream.metadata.items()}
    title = next((tags[key] for key in ("title", "name", "filename") if tags.get(key)), None)
    language = tags.get("language")
    return StreamInfo(
        stream.index, str(stream.type), codec_name(stream), None if language == "und" else language, title
    )
