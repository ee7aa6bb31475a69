"""Audio that a container cannot hold as it is, converted into a codec that it can: lossless where there is one."""

from __future__ import annotations  # Packet[...] is for type checkers only

import io
from itertools import islice
from pathlib import Path
from typing import Any, cast

from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from vidcolor.choices import LOSSY_AUDIO
from vidcolor.media.containers import Container
from vidcolor.media.pyav import open_input, open_output

_ENCODERS = {"opus": "libopus"}  # where the encoder's name is not the codec's
_BIT_RATE = 96_000  # bits a second and channel for lossy codecs: transparent for most ears
_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
# RFC 7845 places these channels behind the listener, not beside; FFmpeg's encoder wants its own names for them.
_OPUS_LAYOUTS = {
    "5.1(side)": "5.1", "5.0(side)": "5.0", "4.0": "quad", "2.1": "3.0", "3.0(back)": "3.0", "quad(side)": "quad",
    "hexagonal": "5.1", "6.0": "6.1", "7.0": "7.1", "7.1(wide)": "7.1", "3.1": "quad", "4.1": "5.0",
}  # fmt: skip
_PACKETS_TO_KNOW = 8  # from which FFmpeg reads a stream's parameters
_OPUS_RATE = 48_000
_EXACTLY_DECODED = {"pcm_alaw", "pcm_mulaw"}  # called lossy, as is ADPCM, but they decode to 16-bit values alone


def choose_audio_codec(stream: Stream, container: Container, lossy: str | None) -> str | None:
    """The codec to convert audio to that the container does not take, lossless before lossy; None: there is none.

    lossy: one of LOSSY_AUDIO, allowed where no lossless codec fits.
    """
    wanted = [*_lossless_codecs(stream, container), *([lossy] if lossy else [])]
    kept = [codec for codec in wanted if container.keeps_audio(codec)]
    return next((codec for codec in kept if _can_convert(stream, container.name, codec)), None)


def _lossless_codecs(stream: Stream, container: Container) -> list[str]:
    """Codecs that keep every sample exactly."""
    context = cast(AudioCodecContext, stream.codec_context)
    name, codec = context.name, context.codec
    if not (name in _EXACTLY_DECODED or name.startswith("adpcm_") or (codec.lossless and not codec.lossy)):
        return []
    sample = context.format.name.rstrip("p") if context.format else ""
    bits = {"u8": 8, "s16": 16, "s32": _bits_of(context)}.get(sample)
    if bits is None:
        return {"flt": ["pcm_f32le"], "dbl": ["pcm_f64le"]}.get(sample, [])
    pcm = "pcm_u8" if bits == 8 else f"pcm_s{bits}le"
    is_pcm = name.startswith(("pcm_", "adpcm_"))
    if not container.lossless_audio or bits > 24 or (is_pcm and not container.lossless_from_pcm):
        return [pcm]
    return [container.lossless_audio, pcm]


def _bits_of(context: AudioCodecContext) -> int:
    """How many of a sample's 32 bits are used: 24, or 32 where fewer are not certain."""
    name, head = context.name, context.extradata or b""
    if name.startswith(("pcm_s24", "pcm_u24")) or name in ("truehd", "mlp", "pcm_bluray", "pcm_dvd"):
        return 24
    if name == "flac" and len(head) >= 14:  # STREAMINFO, RFC 9639, 8.2
        found = ((head[12] & 1) << 4 | head[13] >> 4) + 1
    elif name == "alac" and len(head) >= 18:  # the box's head, then ALACSpecificConfig
        found = head[17]
    else:
        return 32
    return 24 if found <= 24 else 32


def _can_convert(stream: Stream, container: str, codec: str) -> bool:
    try:
        with open_output(io.BytesIO(), format=container) as trial:
            AudioConverter(stream, trial, codec)
            trial.start_encoding()
    except (ValueError, FFmpegError, OSError):
        return False
    return True


def open_without_block_size(stream: Stream) -> InputContainer | None:
    """Open an in-memory copy of an AVI's audio stream without its block size; None where that does not matter.

    AVI stores a block size for AC-3 and MP3 that means nothing, and its muxer would count time by it. FFmpeg's own
    program sets it to 0, which PyAV cannot.
    """
    context = cast(AudioCodecContext, stream.codec_context)
    if stream.container.format.name != "avi" or context.codec.canonical_name not in ("ac3", "mp3", "mp2", "aac"):
        return None
    memory = io.BytesIO()
    with open_input(Path(stream.container.name)) as source, open_output(memory, format="matroska") as out:
        copy = out.add_stream_from_template(source.streams[stream.index], opaque=True)
        for packet in islice(source.demux(source.streams[stream.index]), _PACKETS_TO_KNOW):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    memory.seek(0)
    return open_input(memory)


class AudioConverter:
    """Converts packets of an audio stream into packets of the stream `target`."""

    def __init__(self, stream: Stream, output: OutputContainer, codec: str) -> None:
        """Add the stream `target`. codec: FFmpeg's name.

        Raises ValueError or FFmpegError where the codec cannot be encoded, or the container cannot hold it.
        """
        self._decoder = cast(AudioCodecContext, stream.codec_context)
        rate = _OPUS_RATE if codec == "opus" else self._decoder.sample_rate
        layout, encoder = self._decoder.layout, cast(Any, _ENCODERS.get(codec, codec))
        # WAV-like headers tell the number of channels alone; players take the usual layouts for those.
        name = _USUAL_LAYOUTS.get(layout.nb_channels, layout.name) if layout.name.endswith("channels") else layout.name
        if codec == "opus":
            name = _OPUS_LAYOUTS.get(name, name)
        self.target = cast(AudioStream, output.add_stream(encoder, rate=rate, layout=name))
        if codec in LOSSY_AUDIO:
            self.target.codec_context.bit_rate = _BIT_RATE * layout.nb_channels

    def convert(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """Convert a packet; the packets that are ready."""
        frames = self._decoder.decode(packet)
        return [made for frame in frames for made in self.target.encode(frame)]

    def flush(self) -> list[Packet[Any]]:
        """The packets that are left at the end."""
        rest = [made for frame in self._decoder.decode(None) for made in self.target.encode(frame)]
        return [*rest, *self.target.encode(None)]
