"""Keyframes, decoded by themselves: without the frames after them, which a decoder would wait for."""

from itertools import islice

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.media.input_file import demux

_MOST_PACKETS = 300  # a position after which no keyframe comes in so many packets has none


def find_keyframe(container: InputContainer, stream: VideoStream) -> "Packet[VideoStream] | None":
    """The packet of the next keyframe from the container's position on; None where there is none."""
    try:
        packets = islice(demux(container, stream), _MOST_PACKETS)
        return next((packet for packet in packets if packet.is_keyframe and packet.size), None)
    except FFmpegError:
        return None


def time_of(packet: "Packet[VideoStream]") -> int | None:
    """The pts of a packet, else its dts: AVI states no other."""
    return packet.pts if packet.pts is not None else packet.dts


def decode_keyframe(stream: VideoStream, packet: "Packet[VideoStream]") -> VideoFrame | None:
    """Decode a keyframe; None where it does not decode. Seek before anything else is decoded."""
    codec = stream.codec_context
    try:
        return next(iter([*codec.decode(packet), *codec.decode(None)]), None)
    except FFmpegError:
        return None
