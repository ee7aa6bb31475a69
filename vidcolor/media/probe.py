"""What a film file holds: streams, picture, color tags, timeline, found by decoding its first frame and samples."""

import re
import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.errors import Remark, SourceError
from vidcolor.frames import Crop, FilmInfo
from vidcolor.media import matroska, mp4
from vidcolor.media.color_tags import ColorTags, interpret_picture
from vidcolor.media.frame_sampling import FrameSample, field_order_of, take_sample
from vidcolor.media.input_file import demux, read_error
from vidcolor.media.opening import open_film
from vidcolor.media.pixels import Layout, layout_of
from vidcolor.media.pyav import fraction_of, side_data_of, text_of
from vidcolor.media.sequences import is_address
from vidcolor.media.streams import choose_video, decoder_of, stream_info
from vidcolor.media.timeline import Timeline, may_jump, read_timeline

_FIRST_FRAME_PACKETS = 600  # a stream that gives no frame in so many packets does not decode
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
CAPTIONS = "A53_CC"  # FFmpeg's name of the side data that holds them
_CAPTIONED_CODECS = {"h264", "hevc", "mpeg2video", "mpeg1video", "av1", "vvc"}
_ARBITRARY_START_SECONDS = 60


@dataclass(frozen=True)
class ProbeResult:
    """FilmInfo, and what reading the film and writing an equal stream need beyond it."""

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
    """What the film holds. Raises SourceError, in one line, for anything that cannot be colored as a film."""
    return examine(path).info


def examine(path: Path) -> ProbeResult:
    """Decode the first frame and samples of the film, and read everything that the output must have too.

    Raises SourceError, ReadError.
    """
    timeline = _read_timeline(path)
    with open_film(path) as container:
        stream, warnings = choose_video(container, path)
        if timeline.jumps:
            times = "once" if timeline.jumps == 1 else f"{timeline.jumps} times"
            warnings.append(Remark(f"recordings were joined: the clock jumps {times}; played on as one"))
        if decoder_of(stream) is None:
            raise SourceError(f"{path}: no decoder for its video codec in this FFmpeg. Convert it elsewhere first.")
        frame = _decode_first_frame(container, stream, path)
        found = _probe_stream(path, container, stream, frame, warnings, timeline)
    seen = _sample_film(path, found)
    info = replace(
        found.info,
        crop=_crop_of(path, found),
        field_order=seen.field_order or found.info.field_order,
        sample_aspect_ratio=seen.shape if len(seen.shapes) > 1 else found.info.sample_aspect_ratio,
        warnings=(*found.info.warnings, *seen.describe()),
    )
    return replace(found, info=info)


def crop_to_shown(examined: ProbeResult) -> ProbeResult:
    """The probe of a film that is cropped to the part of its picture that players show."""
    info, crop = examined.info, examined.info.crop
    if crop is None:
        return examined
    width, height = info.picture.width - crop.left - crop.right, info.picture.height - crop.top - crop.bottom
    warning = f"cropped to the {width}x{height} pixels that are shown, as the output has no flags for it"
    picture = replace(info.picture, width=width, height=height)
    return replace(examined, info=replace(info, picture=picture, crop=None, warnings=(*info.warnings, warning)))


def _read_timeline(path: Path) -> Timeline:
    """The film's timeline. Formats whose clock may jump are read whole, once for a film."""
    with open_film(path) as container:
        if not may_jump(container):
            return Timeline()
    try:
        status = path.stat()
    except OSError as error:
        raise read_error(path, error) from error
    return _read_timeline_cached(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _read_timeline_cached(path: Path, size: int, time_ns: int) -> Timeline:  # noqa: ARG001 - a file that changed is another
    with open_film(path) as container:
        return read_timeline(container)


def _crop_of(path: Path, found: ProbeResult) -> Crop | None:
    if is_address(path):
        return None
    kinds = set(found.info.container.split(","))
    if kinds & {"matroska", "webm"}:
        return matroska.crop_of(path, found.video_index)
    return mp4.crop_of(path, found.video_index) if "mp4" in kinds else None


def _sample_film(path: Path, found: ProbeResult) -> FrameSample:
    if is_address(path):
        return FrameSample()
    status = path.stat()
    return _sample_cached(path, status.st_size, status.st_mtime_ns, found.info.frame_count, not found.timeline.jumps)


@lru_cache(maxsize=16)
def _sample_cached(path: Path, size: int, time_ns: int, frames: int | None, can_seek: bool) -> FrameSample:  # noqa: ARG001
    with open_film(path) as container:
        return take_sample(container, choose_video(container, path)[0], frames, can_seek=can_seek)


def _decode_first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    failures = 0
    for count, packet in enumerate(demux(container, stream)):
        try:
            for frame in packet.decode():
                return frame
        except FFmpegError:
            failures += 1
        if count > _FIRST_FRAME_PACKETS:
            break
    found = f"{failures} packets of {stream.codec_context.name} video that do not decode" if failures else "no frames"
    raise SourceError(f"{path}: found a video stream but {found}. The file is damaged or cut off; copy it again.")


def _probe_stream(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    frame: VideoFrame,
    warnings: list[str],
    timeline: Timeline,
) -> ProbeResult:
    codec = stream.codec_context.codec.canonical_name
    layout = layout_of(frame.format.name)
    picture, tags = interpret_picture(frame, layout, codec, warnings)
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
        field_order=_field_order(frame, stream),
        streams=tuple(stream_info(other) for other in container.streams if other.index != stream.index),
        chapters=len(container.chapters()),
        metadata={text_of(key): text_of(value) for key, value in container.metadata.items()},
        warnings=tuple(warnings),
    )
    start = _exact_start(Fraction(container.start_time or 0, av.time_base), container)
    # Clocks of broadcasts and of recorders that never stop begin anywhere. Other late starts are the film's own.
    is_arbitrary = may_jump(container) or start >= _ARBITRARY_START_SECONDS
    return ProbeResult(
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


def _field_order(frame: VideoFrame, stream: VideoStream) -> str:
    """Which field is shown first, by the frame if it states that, else by the container."""
    if frame.interlaced_frame:
        return field_order_of(frame)
    # AVFieldOrder: 1 progressive, 2 TT, 3 BB, 4 TB (bottom shown first), 5 BT (top shown first).
    return {1: "progressive", 2: "tff", 3: "bff", 4: "bff", 5: "tff"}.get(stream.codec_context.field_order, "unknown")


def states_duration(stream: VideoStream) -> bool:
    """Whether a length of the video stream itself is stated, in its header or as Matroska's tag."""
    return bool(stream.duration) or _CLOCK.match(stream.metadata.get("DURATION", "")) is not None


def _duration_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The length of the video stream where it is stated; the container's may be that of longer audio."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if found := _CLOCK.match(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = found.groups()
        # Matroska's tag counts from zero to the end of the track.
        return max(0.0, int(hours) * 3600 + int(minutes) * 60 + float(seconds) - _start_seconds(stream))
    return container.duration / av.time_base if container.duration else None


def _exact_start(start: Fraction, container: InputContainer) -> Fraction:
    """The container's start, which FFmpeg gives in microseconds, exactly: by the clock of the stream that begins."""
    own = ((stream.start_time or 0) * (fraction_of(stream.time_base) or 0) for stream in container.streams)
    return next((Fraction(time) for time in own if abs(time - start) * av.time_base <= 1), start)


def _start_seconds(stream: VideoStream) -> float:
    return float((stream.start_time or 0) * (stream.time_base or 0))
