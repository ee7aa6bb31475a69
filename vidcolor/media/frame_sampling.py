"""Field order and pixel shape of a film, from frames all over it: the first frames may be a logo unlike the rest."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from av.container import InputContainer
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.media.input_file import check_read, demux
from vidcolor.media.keyframes import decode_keyframe, find_keyframe, time_of
from vidcolor.media.pyav import fraction_of

_WHOLE_FRAMES = 120  # shorter films are decoded whole
_PLACES = 64
_FIELD_ORDER_NAMES = {"tff": "top field first (tff)", "bff": "bottom field first (bff)"}
# Other codecs have no fields, or decoders do not tell them, and they have one pixel shape for a file.
_FIELD_CODECS = {
    "mpeg1video", "mpeg2video", "h264", "mpeg4", "dvvideo", "vc1", "wmv3", "prores", "dnxhd", "ffv1", "mjpeg",
    "huffyuv", "ffvhuff", "utvideo", "rawvideo", "v210", "magicyuv", "hevc",
}  # fmt: skip


@dataclass
class FrameSample:
    """How many sampled frames are progressive, tff or bff, and how many have which pixel shape."""

    fields: Counter[str] = field(default_factory=Counter)
    shapes: Counter[Fraction] = field(default_factory=Counter)

    @property
    def field_order(self) -> str | None:
        """The field order of most interlaced frames; None where there are none."""
        orders = Counter({order: self.fields[order] for order in ("tff", "bff") if self.fields[order]})
        return orders.most_common(1)[0][0] if orders else None

    @property
    def shape(self) -> Fraction | None:
        """The pixel shape of most frames; None where none is stated."""
        return self.shapes.most_common(1)[0][0] if self.shapes else None

    def describe(self) -> list[str]:
        """What differs between frames, for people."""
        found = []
        order, progressive = self.field_order, self.fields["progressive"]
        if order and progressive:
            found.append(
                f"{progressive} of {self.fields.total()} frames looked at are progressive, the others interlaced; all"
                f" count as interlaced, {_FIELD_ORDER_NAMES[order]}"
            )
        if order and (other := {"tff": "bff", "bff": "tff"}[order]) in self.fields:
            found.append(f"the field order changes in the film; {other} frames are written as {order}, too")
        if len(self.shapes) > 1 and self.shape is not None:
            share = 1 - self.shapes[self.shape] / self.shapes.total()
            others = ", ".join(aspect_ratio_text(shape) for shape in self.shapes if shape != self.shape)
            found.append(
                f"the pixel shape changes in the film: {others} in about {share:.0%} of it; all is written as"
                f" {aspect_ratio_text(self.shape)}, which lasts longest"
            )
        return found


def aspect_ratio_text(shape: Fraction) -> str:
    """A pixel's width to height as people write it: 16:15."""
    return f"{shape.numerator}:{shape.denominator}"


def take_sample(container: InputContainer, stream: VideoStream, frames: int | None, *, can_seek: bool) -> FrameSample:
    """Decode frames from all over the film. frames: how many it has, as far as that is known."""
    found = FrameSample()
    codec = stream.codec_context
    if codec.codec.canonical_name not in _FIELD_CODECS:
        return found
    codec.thread_count = 1  # with several the context would tell of another frame than the one at hand
    for order, shape in _look(container, stream, frames, can_seek=can_seek):
        found.fields[order] += 1
        if shape:
            found.shapes[shape] += 1
    return found


def field_order_of(frame: VideoFrame) -> str:
    """The field order that a frame states: progressive, tff or bff."""
    if not frame.interlaced_frame:
        return "progressive"
    return "tff" if _top_field_first(frame) else "bff"


def _look(
    container: InputContainer, stream: VideoStream, frames: int | None, *, can_seek: bool
) -> Iterator[tuple[str, Fraction | None]]:
    """Field order and pixel shape of frames from all over the film."""
    begin, length = stream.start_time, stream.duration or _length(container, stream)
    if not can_seek or begin is None or not length or (frames is not None and frames <= _WHOLE_FRAMES):
        yield from (_describe(frame, stream) for frame in _decode(container, stream, _WHOLE_FRAMES))
        return
    known = dict[int | None, tuple[str, Fraction | None]]()  # by the keyframe's time: several places may have one
    for place in range(_PLACES):
        try:
            container.seek(begin + length * place // _PLACES, stream=stream)
        except FFmpegError as error:
            check_read(container, error)
            return
        key = find_keyframe(container, stream)
        if key is None:
            continue
        at = time_of(key)
        if at not in known and (frame := decode_keyframe(stream, key)) is not None:
            known[at] = _describe(frame, stream)
        if at in known:
            yield known[at]


def _describe(frame: VideoFrame, stream: VideoStream) -> tuple[str, Fraction | None]:
    """Field order and pixel shape of the frame that was decoded last."""
    return field_order_of(frame), fraction_of(stream.codec_context.sample_aspect_ratio)


def _length(container: InputContainer, stream: VideoStream) -> int:
    base = fraction_of(stream.time_base)
    return round(Fraction(container.duration or 0, 1_000_000) / base) if base else 0


def _decode(container: InputContainer, stream: VideoStream, most: int) -> Iterator[VideoFrame]:
    """At most so many frames from the container's position on, up to the first packet that does not decode."""
    count = 0
    try:
        for packet in demux(container, stream):
            for frame in packet.decode():
                yield frame
                count += 1
                if count == most:
                    return
    except FFmpegError:
        return


def _top_field_first(frame: VideoFrame) -> bool:
    """Whether the top field is first. PyAV does not show the flag, but FFmpeg's select filter passes frames by it."""
    graph = Graph()
    buffer = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format,
        time_base=fraction_of(frame.time_base) or Fraction(1, 1000),
    )  # fmt: skip
    graph.link_nodes(buffer, graph.add("select", "eq(interlace_type,TOPFIRST)"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    try:
        graph.vpull()
    except (BlockingIOError, EOFError):
        return False
    return True
