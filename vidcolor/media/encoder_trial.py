"""Tries whether an encoder on a graphics chip works here: FFmpeg may have one that the machine cannot run."""

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.choices import ENCODERS, check_choice
from vidcolor.errors import SinkError, VidcolorError
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.hw_encoders import built_in_families
from vidcolor.media.opening import open_film
from vidcolor.media.plan import OutputPlan, make_plan
from vidcolor.media.probe import ProbeResult
from vidcolor.media.pyav import open_output
from vidcolor.media.video_track import VideoTrack


@dataclass(frozen=True)
class EncoderChoice:
    """The encoder that works here."""

    settings: OutputSettings  # its encoder is software or a family
    identity: str  # of the encoder and its stream header: segments of two encoders must not be joined
    warnings: tuple[str, ...] = ()


def choose_encoder(examined: ProbeResult, output_path: Path, settings: OutputSettings) -> EncoderChoice:
    """Try the family of encoders that is asked for, or all with `hardware`; else choose software, with a warning.

    Raises UsageError for an unknown name, or settings that software refuses too.
    """
    check_choice("encoder", settings.encoder, ENCODERS)
    if settings.encoder == "software":
        return EncoderChoice(settings, "software")
    reasons = []
    for family in built_in_families() if settings.encoder == "hardware" else (settings.encoder,):
        tried = replace(settings, encoder=family)
        try:
            plan = make_plan(examined, output_path, tried)
            return EncoderChoice(tried, f"{plan.encoding.encoder} {_encode_trial_frame(examined, plan)}")
        except VidcolorError as error:
            reasons.append(str(error).rstrip("."))
    why = ", ".join(reasons) or "this FFmpeg knows none"
    refusal = f"encoded in software, as no hardware encoder serves: {why}"
    return EncoderChoice(replace(settings, encoder="software"), "software", (refusal,))


def _encode_trial_frame(examined: ProbeResult, plan: OutputPlan) -> str:
    """Encode one frame into memory, as the film would be; a checksum of the stream's header. Raises SinkError."""
    name = plan.encoding.encoder
    try:
        with (
            open_film(Path(examined.info.path)) as film,
            open_output(io.BytesIO(), format=plan.container.name) as output,
        ):
            template = cast(VideoStream, film.streams[examined.video_index])
            picture = VideoTrack(output, template, examined, plan)
            frame = VideoFrame(examined.info.picture.width, examined.info.picture.height, plan.encoding.pixel_format)
            frame.pts, frame.time_base = 0, picture.time_base
            if not [*picture.encode(frame), *picture.end_segment()]:
                raise SinkError(f"{name} (no packet comes out).")
            return hashlib.sha256(picture.stream.codec_context.extradata or b"").hexdigest()[:12]
    except (FFmpegError, OSError, RuntimeError, ValueError) as error:
        raise SinkError(f"{name} ({getattr(error, 'strerror', None) or error}).") from error
