"""What a film file holds: streams, picture, color tags, first frame. Bad files end here, each with one clear line."""

import errno
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import cast

import av
from av.codec import CodecContext
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.errors import SourceError
from vidcolor.frames import Crop, FilmInfo, PictureFormat, StreamInfo
from vidcolor.media import matroska, mp4
from vidcolor.media.first_frames import Sample, order_of, sample
from vidcolor.media.input_file import is_of_system, packets, read_error
from vidcolor.media.pixels import Layout, layout_of
from vidcolor.media.pyav import fraction_of, open_input, side_data_of, text_of
from vidcolor.media.sequences import is_address, open_sequence
from vidcolor.media.subtitles import is_unread_webvtt
from vidcolor.media.timeline import Timeline, may_jump, read_timeline

_STILL_CODECS = {"mjpeg", "png", "bmp", "gif", "webp", "tiff"}
_STILL_CONTAINERS = {"mov", "mp4", "matroska", "webm", "asf", "mp3", "flac", "ogg"}
_FIRST_FRAME_PACKETS = 600  # a stream that gives no frame in so many packets does not decode
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
CAPTIONS = "A53_CC"  # FFmpeg's name of the side data that holds them
_CAPTIONED_CODECS = {"h264", "hevc", "mpeg2video", "mpeg1video", "av1", "vvc"}
_PLAYLISTS = (b"ffconcat", b"#EXTM3U", b"v=0", b"[playlist]", b"[Reference]", b"<ASX", b"<asx", b"rtsptext")
_LOOK_FURTHER = {"probesize": "200000000", "analyzeduration": "600000000"}  # bytes, microseconds
_RECORDERS_CLOCK_SECONDS = 60
_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_UNSPECIFIED = 2  # AVCOL_SPC_, AVCOL_PRI_ and AVCOL_TRC_UNSPECIFIED
_MATRIX_OF_COLORSPACE = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}
_NEAREST_MATRIX = {4: "bt601", 7: "bt709", 8: "bt709", 10: "bt2020", 14: "bt2020"}
_TRANSFER = {16: "pq", 18: "hlg"}
# Their standards say that luma without a flag is limited range (H.264 E.2.1, H.265 E.3.1, AV1 6.4.2), also without
# chroma. Elsewhere FFmpeg, like PNG and JPEG, takes unflagged gray as full range (swscale's handle_jpeg).
_LIMITED_UNLESS_FLAGGED = {"h264", "hevc", "av1", "vp8", "vp9", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "prores"}


@dataclass(frozen=True)
class ColorTags:
    """FFmpeg's numbers for how the picture's code values mean light."""

    color_range: int
    colorspace: int
    color_primaries: int
    color_trc: int


@dataclass(frozen=True)
class Examined:
    """FilmInfo, and what only the sink needs to know to write an equal stream."""

    info: FilmInfo
    video_index: int
    layout: Layout
    tags: ColorTags
    display_matrix: tuple[int, ...] | None
    mastering_display: bytes | None  # AVMasteringDisplayMetadata as FFmpeg stores it
    content_light: tuple[int, int] | None  # MaxCLL, MaxFALL in cd/m2
    start_seconds: Fraction  # where players put 0:00
    zero_seconds: Fraction  # what of the film's clock becomes zero in the output
    timeline: Timeline
    has_b_frames: bool
    has_captions: bool  # CEA-608 or 708, in the first frame

    @property
    def may_have_captions(self) -> bool:
        """Whether later frames may have some: they come in these streams alone."""
        return self.info.codec in _CAPTIONED_CODECS


def probe(path: Path) -> FilmInfo:
    """Say what the film holds. Raises SourceError, in one line, for anything that cannot be colored as a film."""
    return examine(path).info


@contextmanager
def open_film(path: Path) -> Iterator[InputContainer]:
    """Open a film, FFmpeg's complaints turned into SourceError."""
    container = open_container(path)
    try:
        yield container
    finally:
        container.close()


def open_container(path: Path) -> InputContainer:
    """For a reader that outlives one block; close it."""
    if is_address(path):
        try:
            return open_sequence(path)
        except (FFmpegError, OSError) as error:
            if is_of_system(error):
                raise read_error(path, error) from error
            raise SourceError(f"{path}: FFmpeg cannot read these pictures ({_reason(error)}).") from error
    if path.is_dir():
        raise SourceError(f"{path}: found a folder, needed a film file. Give one of the files in it.")
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty (0 bytes). Copy it again from where it came from.")
        return _opened(path)
    except FFmpegError as error:  # some are OSErrors as well
        raise SourceError(f"{path}: {_why_unopened(path)} ({_reason(error)}).") from error
    except PermissionError:
        raise SourceError(f"{path}: not allowed to read this file. Change its permissions.") from None
    except OSError as error:
        if error.errno not in _NO_SUCH_FILE:
            raise read_error(path, error) from error
        raise SourceError(f"{path}: no such file. Check the spelling and the folder.") from None
    except ValueError as error:  # a name that no file can have
        raise SourceError(f"{path}: no such file ({error}). Check the spelling and the folder.") from None


def _opened(path: Path) -> InputContainer:
    container = open_input(path)
    if any(decoder_of(stream) and not stream.codec_context.sample_rate for stream in container.streams.audio):
        container.close()  # sound that begins late: FFmpeg has not read so far
        container = open_input(path, options=_LOOK_FURTHER)
    return container


def _reason(error: Exception) -> str:
    return f"FFmpeg: {error.strerror}" if isinstance(error, FFmpegError) and error.strerror else str(error)


def _why_unopened(path: Path) -> str:
    """Raises ReadError."""
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


def choose_video(container: InputContainer, path: Path) -> tuple[VideoStream, list[str]]:
    """The first real video stream, not cover art; and a notice about the others."""
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
    """A still beside the film: flagged as attached, or one lone image of a still codec beside sound in an album."""
    if stream.type != "video":
        return False
    if stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image):
        return True
    context = decoder_of(stream)
    container_names = set(stream.container.format.name.split(","))
    still = context is not None and context.name in _STILL_CODECS and bool(container_names & _STILL_CONTAINERS)
    return still and stream.frames == 1 and len(stream.container.streams) > 1


def examine(path: Path) -> Examined:
    """Open the film, decode its first frame, and note everything that the output must have too."""
    timeline = _timeline_of(path)
    with open_film(path) as container:
        stream, warnings = choose_video(container, path)
        if timeline.jumps:
            times = "once" if timeline.jumps == 1 else f"{timeline.jumps} times"
            warnings.append(f"recordings were joined: the clock jumps {times}; played on as one")
        if decoder_of(stream) is None:
            raise SourceError(f"{path}: no decoder for its video codec in this FFmpeg. Convert it elsewhere first.")
        frame = _first_frame(container, stream, path)
        found = _examined(path, container, stream, frame, warnings, timeline)
    seen = _sample_of(path, found)
    info = replace(
        found.info,
        crop=_crop_of(path, found),
        field_order=seen.field_order or found.info.field_order,
        sample_aspect_ratio=seen.shape if len(seen.shapes) > 1 else found.info.sample_aspect_ratio,
        warnings=(*found.info.warnings, *seen.describe()),
    )
    return replace(found, info=info)


def _timeline_of(path: Path) -> Timeline:
    """Of formats whose clock may jump the whole file has to be read, once for a film."""
    with open_film(path) as container:
        if not may_jump(container):
            return Timeline()
    try:
        status = path.stat()
    except OSError as error:
        raise read_error(path, error) from error
    return _timeline_in(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _timeline_in(path: Path, size: int, time_ns: int) -> Timeline:  # noqa: ARG001 - a file that changed is another
    with open_film(path) as container:
        return read_timeline(container)


def cropped(examined: Examined) -> Examined:
    """The same film, of the part of its picture that is shown."""
    info, crop = examined.info, examined.info.crop
    if crop is None:
        return examined
    width, height = info.picture.width - crop.left - crop.right, info.picture.height - crop.top - crop.bottom
    said = f"cropped to the {width}x{height} pixels that are shown, as the output has no flags for it"
    picture = replace(info.picture, width=width, height=height)
    return replace(examined, info=replace(info, picture=picture, crop=None, warnings=(*info.warnings, said)))


def _crop_of(path: Path, found: Examined) -> Crop | None:
    if is_address(path):
        return None
    kinds = set(found.info.container.split(","))
    if kinds & {"matroska", "webm"}:
        return matroska.crop_of(path, found.video_index)
    return mp4.crop_of(path, found.video_index) if "mp4" in kinds else None


def _sample_of(path: Path, found: Examined) -> Sample:
    if is_address(path):
        return Sample()
    status = path.stat()
    return _sample_in(path, status.st_size, status.st_mtime_ns, found.info.frame_count, not found.timeline.jumps)


@lru_cache(maxsize=16)
def _sample_in(path: Path, size: int, time_ns: int, frames: int | None, can_seek: bool) -> Sample:  # noqa: ARG001
    with open_film(path) as container:
        return sample(container, choose_video(container, path)[0], frames, can_seek=can_seek)


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    failures = 0
    for count, packet in enumerate(packets(container, stream)):
        try:
            for frame in packet.decode():
                return frame
        except FFmpegError:
            failures += 1
        if count > _FIRST_FRAME_PACKETS:
            break
    found = f"{failures} packets of {stream.codec_context.name} video that do not decode" if failures else "no frames"
    raise SourceError(f"{path}: found a video stream but {found}. The file is damaged or cut off; copy it again.")


def _examined(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    frame: VideoFrame,
    warnings: list[str],
    timeline: Timeline,
) -> Examined:
    codec = stream.codec_context.codec.canonical_name
    layout = layout_of(frame.format.name)
    picture, tags = _picture(frame, layout, codec, warnings)
    side_data = side_data_of(frame)
    matrix = side_data.get("DISPLAYMATRIX")
    light = side_data.get("CONTENT_LIGHT_LEVEL")
    rate = fraction_of(stream.average_rate) or fraction_of(stream.guessed_rate)
    duration = _duration_seconds(container, stream)
    if timeline.end_seconds is not None:
        duration = max(0.0, float(timeline.end_seconds) - _start_seconds(stream))
    info = FilmInfo(
        path=str(path),
        container=container.format.name,
        codec=codec,
        pixel_format=frame.format.name,
        picture=picture,
        time_base=fraction_of(stream.time_base) or Fraction(1, 1000),
        frame_rate=rate,
        frame_count=stream.frames or (round(duration * rate) if duration and rate else None),
        duration_seconds=duration,
        sample_aspect_ratio=fraction_of(stream.sample_aspect_ratio),
        rotation_degrees=frame.rotation if matrix else 0,
        field_order=field_order(frame, stream),
        streams=tuple(_stream_info(other) for other in container.streams if other.index != stream.index),
        chapters=len(container.chapters()),
        metadata={text_of(key): text_of(value) for key, value in container.metadata.items()},
        warnings=tuple(warnings),
    )
    start = _exactly(Fraction(container.start_time or 0, av.time_base), container)
    # Clocks of broadcasts and of recorders that never stop begin anywhere. Other late starts are the film's own.
    is_arbitrary = may_jump(container) or start >= _RECORDERS_CLOCK_SECONDS
    return Examined(
        info,
        stream.index,
        layout,
        tags,
        struct.unpack("<9i", matrix) if matrix and len(matrix) == 36 else None,
        side_data.get("MASTERING_DISPLAY_METADATA"),
        struct.unpack("<2I", light[:8]) if light and len(light) >= 8 else None,
        start,
        start if is_arbitrary else Fraction(0),
        timeline,
        bool(stream.codec_context.has_b_frames),
        CAPTIONS in side_data,
    )


def _picture(frame: VideoFrame, layout: Layout, codec: str, warnings: list[str]) -> tuple[PictureFormat, ColorTags]:
    """The planes' meaning. A matrix that is not stated is BT.601 up to 576 lines, else BT.709, as players assume."""
    matrix = _MATRIX_OF_COLORSPACE.get(frame.colorspace)
    if matrix is None and frame.colorspace in _NEAREST_MATRIX and not layout.is_rgb:
        matrix = _NEAREST_MATRIX[frame.colorspace]
        warnings.append(f"color matrix number {frame.colorspace} is not supported; treated and tagged as {matrix}")
    if matrix is None:
        matrix = "bt601" if frame.height <= 576 else "bt709"
    full_range = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    if layout.is_gray and frame.color_range == 0 and codec not in _LIMITED_UNLESS_FLAGGED:
        full_range = True
    if layout.is_rgb:
        full_range = False  # converted to limited-range YCbCr, which every player expects
        warnings.append(f"{frame.format.name} has no luma plane; converted to {layout.planar} ({matrix}) once")
    if layout.has_alpha:
        warnings.append(f"{frame.format.name} has transparency, which the colored film will not have")
    transfer = _TRANSFER.get(frame.color_trc, "sdr")
    if transfer != "sdr":
        warnings.append(f"HDR film ({transfer.upper()}): colored as it is, tags kept; the model was trained on SDR")
    same_matrix = _MATRIX_OF_COLORSPACE.get(frame.colorspace) == matrix
    colorspace = frame.colorspace if same_matrix else {"bt601": 6, "bt709": 1, "bt2020": 9}[matrix]
    tags = ColorTags(2 if full_range else 1, colorspace, frame.color_primaries, frame.color_trc)
    picture = PictureFormat(frame.width, frame.height, layout.bits, layout.chroma_shift, full_range, matrix, transfer)
    return picture, tags


def field_order(frame: VideoFrame, stream: VideoStream) -> str:
    """Which field is shown first, by the frame itself where it says so, else by the container."""
    if frame.interlaced_frame:
        return order_of(frame)
    # AVFieldOrder: 1 progressive, 2 TT, 3 BB, 4 TB (bottom shown first), 5 BT (top shown first).
    return {1: "progressive", 2: "tff", 3: "bff", 4: "bff", 5: "tff"}.get(stream.codec_context.field_order, "unknown")


def _duration_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The picture's own length where it is told; the container's may be that of a longer sound track."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if found := _CLOCK.match(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = found.groups()
        # Matroska's tag counts from zero to the end of the track.
        return max(0.0, int(hours) * 3600 + int(minutes) * 60 + float(seconds) - _start_seconds(stream))
    return container.duration / av.time_base if container.duration else None


def _exactly(start: Fraction, container: InputContainer) -> Fraction:
    """The time of the container's start, which FFmpeg tells in microseconds, by the clock of the stream that begins."""
    own = ((stream.start_time or 0) * (fraction_of(stream.time_base) or 0) for stream in container.streams)
    return next((Fraction(time) for time in own if abs(time - start) * av.time_base <= 1), start)


def _start_seconds(stream: VideoStream) -> float:
    return float((stream.start_time or 0) * (stream.time_base or 0))


def decoder_of(stream: Stream) -> CodecContext | None:
    """None where this FFmpeg has no decoder, which PyAV's type stubs leave out."""
    return cast(CodecContext | None, stream.codec_context)


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of the codec, whether or not it can be decoded; the MIME type of an attachment."""
    decoder = decoder_of(stream)
    if decoder is not None:
        return decoder.codec.canonical_name
    if stream.type == "attachment":
        return text_of(stream.metadata.get("mimetype", "attachment"))
    if is_unread_webvtt(stream):
        return "webvtt"
    # PyAV asks the decoder that is not there for the name, and fails.
    return "timecode" if "timecode" in stream.metadata else (getattr(stream, "name", None) or "unknown")


def _stream_info(stream: Stream) -> StreamInfo:
    tags = {key: text_of(value) for key, value in stream.metadata.items()}
    title = next((tags[key] for key in ("title", "name", "filename") if tags.get(key)), None)
    language = tags.get("language")
    return StreamInfo(
        stream.index, str(stream.type), codec_name(stream), None if language == "und" else language, title
    )
