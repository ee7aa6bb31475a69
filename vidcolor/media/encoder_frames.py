"""Frames to encode: luma copied bit for bit, the new chroma, and the flags and side data of the source's frame."""

from fractions import Fraction

from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from vidcolor.frames import ColoredFrame, Plane
from vidcolor.media.encoders import Encoding
from vidcolor.media.pixels import layout_of, reformat, write_plane
from vidcolor.media.probe import CAPTIONS, ProbeResult
from vidcolor.media.pyav import side_data_of


class FrameBuilder:
    """Builds frames in the pixel format of the encoder out of ColoredFrames."""

    def __init__(self, examined: ProbeResult, encoding: Encoding) -> None:
        self._picture, self._tags = examined.info.picture, examined.tags
        self._may_have_captions = examined.may_have_captions
        self._size = (self._picture.width, self._picture.height)  # of a frame that is not cropped
        self._planar_format = examined.layout.planar
        self._encoded_format = encoding.pixel_format
        encoded = layout_of(self._encoded_format)
        self._keeps_luma = encoded.readable and not encoded.msb_shift and encoded.bits == self._picture.bits
        field_mode = {"tff": "tff", "bff": "bff"}.get(examined.info.field_order) if encoding.interlaced else None
        # Every frame gets one order: encoders would flip it where the film is progressive for a while.
        self._has_fields = field_mode is not None
        parameters = f"field_mode={field_mode}" if field_mode else None
        self._copy = _graph(self._picture.width, self._picture.height, self._planar_format, parameters)

    def build(self, colored: ColoredFrame) -> VideoFrame:
        """Build the frame to encode, without its time. Side data (captions, HDR) is kept where formats are the same."""
        bits = self._picture.bits
        frame, has_luma = self._new_frame(colored)
        if not has_luma:
            write_plane(frame, 0, colored.frame.luma, bits)
        write_plane(frame, 1, colored.cb, bits)
        write_plane(frame, 2, colored.cr, bits)
        self._set_color_tags(frame)
        if self._encoded_format != self._planar_format:
            # Warned of in the plan: the encoder does not take the source's depth or subsampling.
            frame = reformat(
                frame,
                format=self._encoded_format,
                src_color_range=self._tags.color_range,
                dst_color_range=self._tags.color_range,
                interpolation="BICUBIC",
            )
            self._set_color_tags(frame)
            if self._keeps_luma:  # FFmpeg's conversion is exact only as long as nobody finds a fault in it
                write_plane(frame, 0, colored.frame.luma, bits)
        return frame

    def _new_frame(self, colored: ColoredFrame) -> tuple[VideoFrame, bool]:
        """A frame to write planes into, and whether it has the luma already."""
        native = colored.frame.native
        is_whole = isinstance(native, VideoFrame) and (native.width, native.height) == self._size
        if is_whole and native.format.name == self._planar_format:
            frame = _filter(self._copy, native)
            # The decoder still reads from its frames, so the copy gets memory of its own.
            frame.make_writable()
            return frame, _is_view(colored.frame.luma, native)
        if is_whole and self._may_have_captions and CAPTIONS in side_data_of(native):
            # Converting keeps what lies beside the samples; these are painted over.
            frame = _filter(self._copy, reformat(native, format=self._planar_format))
            frame.make_writable()
            return frame, False
        frame = VideoFrame(self._picture.width, self._picture.height, self._planar_format)
        frame.time_base = Fraction(1, 1000)
        if self._has_fields:
            frame = _filter(self._copy, frame)
            frame.make_writable()
        return frame, False

    def _set_color_tags(self, frame: VideoFrame) -> None:
        frame.color_range, frame.colorspace = self._tags.color_range, self._tags.colorspace
        frame.color_primaries, frame.color_trc = self._tags.color_primaries, self._tags.color_trc


def _is_view(luma: Plane, frame: VideoFrame) -> bool:
    """Whether a plane is the frame's own first one, and not a converted copy."""
    address: int = luma.__array_interface__["data"][0]
    return address == frame.planes[0].buffer_ptr


def _graph(width: int, height: int, pixel_format: str, parameters: str | None) -> Graph:
    """A filter graph that gives new references to frames; parameters: of `setparams`, which sets flags."""
    graph = Graph()
    source = graph.add_buffer(
        width=width, height=height, format=VideoFormat(pixel_format, width, height), time_base=Fraction(1, 1000)
    )
    middle = [graph.add("setparams", parameters)] if parameters else []
    graph.link_nodes(source, *middle, graph.add("buffersink")).configure()
    return graph


def _filter(graph: Graph, frame: VideoFrame) -> VideoFrame:
    graph.vpush(frame)
    return graph.vpull()
