"""Sound that a container cannot hold as it is, turned into what it can: without loss where that exists."""

from __future__ import annotations  # Packet[...] is for type checkers only

import io
from typing import Any, cast

from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from vidcolor.media.pyav import open_output

LOSSY = ("aac", "opus")  # FFmpeg's names of what --convert-audio offers
_ENCODERS = {"opus": "libopus"}  # where the encoder's name is not the codec's
_BIT_RATE = 96_000  # bits a second and channel of what is lossy: transparent for most ears
_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_OPUS_RATE = 48_000
_EXACTLY_DECODED = {"pcm_alaw", "pcm_mulaw"}  # called lossy, but every code is a 16-bit value


def audio_target(stream: Stream, container: str, lossy: str | None) -> str | None:
    """The codec that a sound the container does not take is converted to, one without loss first; None: there is none.

    lossy: one of LOSSY that may be taken where none is without loss.
    """
    wanted = [*_lossless(stream, container), *([lossy] if lossy else [])]
    return next((codec for codec in wanted if _can_convert(stream, container, codec)), None)


def _lossless(stream: Stream, container: str) -> list[str]:
    """Codecs that hold every sample as the decoder gives it."""
    context = cast(AudioCodecContext, stream.codec_context)
    name, codec = context.name, context.codec
    if not (name in _EXACTLY_DECODED or (codec.lossless and not codec.lossy)):
        return []
    sample = context.format.name.rstrip("p") if context.format else ""
    bits = {"u8": 8, "s16": 16, "s32": 32 if "32" in name else 24}.get(sample)
    if bits is None:
        return {"flt": ["pcm_f32le"], "dbl": ["pcm_f64le"]}.get(sample, [])
    pcm = "pcm_u8" if bits == 8 else f"pcm_s{bits}le"
    if container in ("mp4", "mov"):
        return ["alac", pcm] if bits <= 24 else [pcm]
    return [pcm] if name.startswith("pcm_") or container == "avi" or bits > 24 else ["flac", pcm]


def _can_convert(stream: Stream, container: str, codec: str) -> bool:
    try:
        with open_output(io.BytesIO(), format=container) as trial:
            AudioConverter(stream, trial, codec)
            trial.start_encoding()
    except (ValueError, FFmpegError, OSError):
        return False
    return True


class AudioConverter:
    """Packets of one sound in, packets for `target` out."""

    def __init__(self, stream: Stream, output: OutputContainer, codec: str) -> None:
        """codec: FFmpeg's name. Raises ValueError or FFmpegError where it cannot be encoded or held."""
        self._decoder = cast(AudioCodecContext, stream.codec_context)
        rate = _OPUS_RATE if codec == "opus" else self._decoder.sample_rate
        layout, encoder = self._decoder.layout, cast(Any, _ENCODERS.get(codec, codec))
        # WAV-like headers tell the number of channels alone; players take the usual layouts for those.
        name = _USUAL_LAYOUTS.get(layout.nb_channels, layout.name) if layout.name.endswith("channels") else layout.name
        self.target = cast(AudioStream, output.add_stream(encoder, rate=rate, layout=name))
        if codec in LOSSY:
            self.target.codec_context.bit_rate = _BIT_RATE * layout.nb_channels

    def convert(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """What is ready. A packet that does not decode is passed over, as players do."""
        frames = self._decoder.decode(packet)
        return [made for frame in frames for made in self.target.encode(frame)]

    def flush(self) -> list[Packet[Any]]:
        """The end."""
        rest = [made for frame in self._decoder.decode(None) for made in self.target.encode(frame)]
        return [*rest, *self.target.encode(None)]
