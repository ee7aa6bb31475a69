"""Text subtitles converted into the codec that a container carries, by FFmpeg's decoders and encoders."""

from __future__ import annotations  # Packet[...] is for type checkers only

import re
from pathlib import Path
from typing import cast

from av.codec.context import CodecContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from vidcolor.media import matroska

PLAIN_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
_EVENT_FIELDS = 8  # ReadOrder, Layer, Style, Name, MarginL, MarginR, MarginV, Effect come before the text
_DRAWING = re.compile(rb"\{[^}]*\\p[1-9]")  # a vector shape, not words
_EMPTY_LINES = re.compile(rb"^(\\N|\s)+|(\\N|\s)+$")
_PLAIN_STYLES = re.compile(rb"\{[^}]*\}")


def is_unread_webvtt(stream: Stream) -> bool:
    """Whether a stream is WebVTT as mkvmerge writes it: FFmpeg reads its packets, and has no codec for it."""
    if stream.type != "subtitle" or cast(object, stream.codec_context) is not None:
        return False
    return matroska.codec_ids(Path(stream.container.name)).get(stream.index) == "S_TEXT/WEBVTT"


class SubtitleConverter:
    """Converts packets of a text subtitle stream into packets of the stream `target`."""

    def __init__(self, stream: Stream, output: OutputContainer, codec: str) -> None:
        decoder: object = CodecContext.create("webvtt", "r") if is_unread_webvtt(stream) else stream.codec_context
        self._decoder = cast(SubtitleCodecContext, decoder)
        self._codec = codec
        self.target: SubtitleStream = cast(SubtitleStream, output.add_stream(codec))
        # The encoder reads styles from an ASS header. The plain one keeps italics and bold set within a line and
        # leaves fonts and colors to the player, as SRT and WebVTT would.
        self.target.codec_context.subtitle_header = PLAIN_HEADER
        assert stream.time_base is not None
        self.target.codec_context.time_base = stream.time_base
        self.target.time_base = stream.time_base
        self._pending: tuple[Packet[Stream], bytes] | None = None

    def convert(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Convert a packet; the packets that are ready.

        Events that begin together become one packet: MP4 holds one text at a time.
        """
        text = self._text(packet)
        if not text:
            return []
        if self._pending is not None and self._pending[0].pts == packet.pts:
            first, earlier = self._pending
            first.duration = max(first.duration or 0, packet.duration or 0)
            self._pending = (first, earlier + b"\\N" + text)
            return []
        done = self.flush()
        self._pending = (packet, text)
        return done

    def flush(self) -> list[Packet[Stream]]:
        """The packet that was held back in case another begins at its time."""
        if self._pending is None:
            return []
        packet, text = self._pending
        self._pending = None
        return [self._encode(packet, text)]

    def _text(self, packet: Packet[Stream]) -> bytes:
        """The text with its inline styles, in ASS notation; empty for gaps and vector shapes."""
        subtitle = self._decoder.decode2(packet)
        lines = []
        for rect in subtitle or ():
            if isinstance(rect, AssSubtitle) and not _DRAWING.search(rect.ass):
                lines.append(rect.ass.split(b",", _EVENT_FIELDS)[-1].rstrip(b"\r\n"))
        joined = b"\\N".join(line for line in lines if _PLAIN_STYLES.sub(b"", line).strip())
        return _EMPTY_LINES.sub(b"", joined)  # SRT and WebVTT take an empty line for the end

    def _encode(self, packet: Packet[Stream], text: bytes) -> Packet[Stream]:
        event = SubtitleSet.create(b"0,0,Default,,0,0,0,," + text, 0, 1, 0)
        encoded: Packet[Stream] = self.target.codec_context.encode_subtitle(event)
        encoded.stream = self.target
        encoded.pts = encoded.dts = packet.pts
        encoded.duration = packet.duration
        encoded.time_base = packet.time_base
        return encoded
