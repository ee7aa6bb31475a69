"""The video stream of the output: its header fields, and its encoders, one for each segment."""

from __future__ import annotations  # Packet[...] is for type checkers only

from fractions import Fraction
from typing import cast

from av.codec.context import CodecContext, Flags, ThreadType
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.media import matroska
from vidcolor.media.metadata import kept_tags
from vidcolor.media.plan import OutputPlan
from vidcolor.media.probe import ProbeResult

_FRAME_DURATION = 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION: packets get their frame's duration, so the last one lasts
_UNORDERED = 2  # frames of a segment up to which none can be coded before one that is shown earlier
_INTERLACED = int(Flags.interlaced_dct) | int(Flags.interlaced_me)
_FIELD_ORDERS = {"tff": 2, "bff": 3, "progressive": 1}  # AV_FIELD_TT, _BB, _PROGRESSIVE


class VideoTrack:
    """Encodes frames into packets of the stream. Every segment decodes on its own."""

    def __init__(self, output: OutputContainer, template: VideoStream, examined: ProbeResult, plan: OutputPlan) -> None:
        """Add the stream. template: the source's stream, whose tags and disposition are copied."""
        self._examined, self._plan = examined, plan
        encoding, rate = plan.encoding, examined.info.frame_rate or Fraction(25)
        self.time_base = examined.info.time_base if plan.container.stores_times else 1 / rate
        self.stream = cast(VideoStream, output.add_stream(encoding.encoder, rate=rate, options=encoding.options))
        self.stream.time_base = self.time_base
        self._configure(self.stream.codec_context)
        if examined.display_matrix:
            self.stream.set_display_matrix(examined.display_matrix)
        self.stream.metadata.update(kept_tags(template.metadata))
        if self.needs_display_size:
            self.stream.metadata["title"] = self.stream.metadata.get("title", "") + matroska.NAME_PADDING
        self.stream.disposition = template.disposition
        # The stream's own encoder describes the stream in the header, and makes the first segment.
        self._encoder: VideoCodecContext | None = self.stream.codec_context
        self._frames = 0  # that the encoder got
        self._last_dts: int | None = None

    @property
    def needs_display_size(self) -> bool:
        """Whether the container's own header must state cropping or pixel shape.

        Matroska's must, unless only H.264 or HEVC can state the shape exactly.
        """
        shape, width = self._examined.info.sample_aspect_ratio, self._examined.info.picture.width
        if self._plan.container.header != "matroska":
            return False
        if self._examined.info.crop or shape is None or shape == 1:
            return self._examined.info.crop is not None
        return self._plan.encoding.codec not in ("h264", "hevc") or (width * shape).denominator == 1

    def encode(self, frame: VideoFrame) -> list[Packet[VideoStream]]:
        """Encode the next frame; the packets that are ready, which may belong to earlier frames."""
        self._encoder = self._encoder or self._new_encoder()
        self._frames += 1
        return self._add_to_stream(self._encoder.encode(frame))

    def end_segment(self) -> list[Packet[VideoStream]]:
        """Flush the encoder: the packets of all frames that it still holds."""
        if self._encoder is None or not self._frames:
            return []
        encoder, self._encoder, count, self._frames = self._encoder, None, self._frames, 0
        packets = encoder.encode(None)
        if count <= _UNORDERED:
            for packet in packets:
                packet.dts = packet.pts  # libx265 leaves it unset where it gets fewer frames than it holds back
        return self._add_to_stream(packets)

    def add_encoded(self, packet: Packet[VideoStream]) -> None:
        """Add a packet that an earlier run encoded to the stream."""
        self.stream.codec_context.open(strict=False)  # the header is written before this run has encoded a frame
        self._add_to_stream([packet])

    def _add_to_stream(self, packets: list[Packet[VideoStream]]) -> list[Packet[VideoStream]]:
        for packet in packets:
            packet.stream = self.stream
            if packet.dts is None:
                continue
            if self._last_dts is not None and packet.dts <= self._last_dts:  # where segments of uneven pace meet
                packet.dts = self._last_dts + 1
            self._last_dts = packet.dts
        return packets

    def _new_encoder(self) -> VideoCodecContext:
        """An encoder set up as the stream's own, for the next segment."""
        own = self.stream.codec_context
        context = cast(VideoCodecContext, CodecContext.create(self._plan.encoding.encoder, "w"))
        context.options, context.framerate = self._plan.encoding.options, own.framerate
        context.flags |= own.flags & int(Flags.global_header)
        self._configure(context)
        return context

    def _configure(self, context: VideoCodecContext) -> None:
        """Set up an encoder for the picture."""
        encoding, info, tags = self._plan.encoding, self._examined.info, self._examined.tags
        context.width, context.height, context.pix_fmt = info.picture.width, info.picture.height, encoding.pixel_format
        context.time_base = self.time_base
        context.thread_type = ThreadType.AUTO  # PyAV asks for slices, which cost x264 quality
        context.thread_count = 0
        if self._plan.container.global_header:
            # PyAV asks for it where the container does, but the one that takes all (see open_output) does not say so.
            context.flags |= int(Flags.global_header)
        context.flags |= _FRAME_DURATION | (_INTERLACED if encoding.interlaced else 0)
        context.field_order = _FIELD_ORDERS.get(info.field_order, 0)
        context.color_range, context.colorspace = tags.color_range, tags.colorspace
        context.color_primaries, context.color_trc = tags.color_primaries, tags.color_trc
        if info.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if tag := self._plan.container.codec_tags.get(encoding.codec):
            context.codec_tag = tag
        if not self._plan.container.stores_times:
            context.max_b_frames = 0
