"""Which streams a container takes as they are, and adding streams for copies of them."""

import io
from typing import cast

from av.audio.codeccontext import AudioCodecContext
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream

from vidcolor.media.audio import open_without_block_size
from vidcolor.media.containers import Container
from vidcolor.media.pyav import open_output
from vidcolor.media.streams import decoder_of


def accepts(container: Container, stream: Stream, *, any_codec: bool = False) -> bool:
    """Whether the container takes the stream, by writing a header of it into memory. any_codec: see open_output."""
    decoder = decoder_of(stream)
    if stream.type == "unknown" or (any_codec and decoder is None):
        return False
    is_pcm = isinstance(decoder, AudioCodecContext) and decoder.name.startswith("pcm_")
    if container.name == "mp4" and is_pcm and cast(AudioCodecContext, decoder).layout.name.endswith("channels"):
        return False  # ISO/IEC 23003-5 wants to know which channel is which, and FFmpeg notices at the film's end only
    try:
        with open_output(io.BytesIO(), format=container.name, any_codec=any_codec) as trial:
            add_copy(trial, stream)
            trial.start_encoding()
    except (ValueError, FFmpegError, OSError):
        return False
    return True


def add_copy(output: OutputContainer, stream: Stream) -> Stream:
    """Add a stream for copies of this one's packets. Raises ValueError where the container refuses."""
    if stream.type == "attachment":
        name, mimetype = stream.metadata.get("filename", "attachment"), stream.metadata.get("mimetype")
        return output.add_attachment(name, mimetype or "application/octet-stream", stream.data)  # type: ignore[attr-defined]
    if stream.type == "unknown":
        raise ValueError("a stream of unknown type has no packets to copy")
    if output.format.name == "avi" and stream.type == "audio" and (plain := open_without_block_size(stream)):
        with plain:
            return output.add_stream_from_template(plain.streams.audio[0], opaque=True)
    return output.add_stream_from_template(stream, opaque=True)
