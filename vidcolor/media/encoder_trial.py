"""Whether an encoder on a graphics chip really works here: that FFmpeg has it says nothing of the machine."""

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.choices import ENCODERS
from vidcolor.errors import SinkError, UsageError, VidcolorError
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.hw_encoders import built_in
from vidcolor.media.plan import Plan, make_plan
from vidcolor.media.probe import Examined, open_film
from vidcolor.media.pyav import open_output
from vidcolor.media.video_track import VideoTrack


@dataclass(frozen=True)
class Settled:
    """What will encode."""

    settings: OutputSettings  # its encoder is software or a family
    identity: str  # of what decides the stream's header: segments of two encoders must not be joined
    warnings: tuple[str, ...] = ()


def settle(examined: Examined, output_path: Path, settings: OutputSettings) -> Settled:
    """Try a family of encoders, or with `hardware` all; software where none opens for this film and says so.

    Raises UsageError for a name that is unknown, or settings that software refuses too.
    """
    if settings.encoder not in ENCODERS:
        raise UsageError(f"encoder {settings.encoder!r} is unknown; choose {', '.join(ENCODERS)}.")
    if settings.encoder == "software":
        return Settled(settings, "software")
    reasons = []
    for family in built_in() if settings.encoder == "hardware" else (settings.encoder,):
        tried = replace(settings, encoder=family)
        try:
            plan = make_plan(examined, output_path, tried)
            return Settled(tried, f"{plan.encoding.encoder} {_header(examined, plan)}")
        except VidcolorError as error:
            reasons.append(str(error).rstrip("."))
    why = ", ".join(reasons) or "this FFmpeg knows none"
    refusal = f"encoded in software, as no hardware encoder serves: {why}"
    return Settled(replace(settings, encoder="software"), "software", (refusal,))


def _header(examined: Examined, plan: Plan) -> str:
    """Encode one frame as the film's will be, into memory; a checksum of the stream's header. Raises SinkError."""
    name = plan.encoding.encoder
    try:
        with open_film(Path(examined.info.path)) as film, open_output(io.BytesIO(), format=plan.container) as output:
            template = cast(VideoStream, film.streams[examined.video_index])
            picture = VideoTrack(output, template, examined, plan)
            frame = VideoFrame(examined.info.picture.width, examined.info.picture.height, plan.encoding.pixel_format)
            frame.pts, frame.time_base = 0, picture.time_base
            if not [*picture.encode(frame), *picture.end_segment()]:
                raise SinkError(f"{name} (no packet comes out).")
            return hashlib.sha256(picture.stream.codec_context.extradata or b"").hexdigest()[:12]
    except (FFmpegError, OSError, RuntimeError, ValueError) as error:
        raise SinkError(f"{name} ({getattr(error, 'strerror', None) or error}).") from error
