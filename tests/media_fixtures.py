"""Small films made on the spot with PyAV, and readers that look at what a film really holds."""

import io
import pickle
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.subtitles.subtitle import SubtitleSet
from PIL import Image

from vidcolor.batch.films import BatchFilmColorizer
from vidcolor.films.parts import Survey
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, Part
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.pixels import layout_of, plane_view
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource
from vidcolor.media.subtitles import PLAIN_HEADER

TWO_SOUNDS = ({"language": "eng", "title": "Original"}, {"language": "fra", "title": "Doublage"})


def make_film(
    path: Path,
    *,
    container: str | None = None,
    codec: str = "ffv1",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    pts: Sequence[int] = tuple(range(12)),
    time_base: Fraction = Fraction(1, 25),
    rate: Fraction = Fraction(25),
    color: dict[str, int] | None = None,
    sar: Fraction | None = None,
    fields: str | None = None,
    rotation: float | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    sound: Sequence[dict[str, str]] = (),
    sound_codec: str = "aac",
    subtitles: Sequence[tuple[int, int, bytes]] = (),
    subtitle_codec: str = "subrip",
    chapters: Sequence[tuple[int, int, str]] = (),
    attachment: bytes | None = None,
    cover: bool = False,
    second_picture: bool = False,
    metadata: dict[str, str] | None = None,
    has_color: bool = False,
) -> Path:
    """Write a moving noise film. subtitles and chapters are (start ms, end ms, text)."""
    with av.open(str(path), "w", format=container, container_options=container_options or {}) as out:
        out.metadata.update(metadata or {})
        pictures = [_add_picture(out, codec, pix_fmt, size, time_base, rate, color, sar, fields, options)]
        if rotation is not None:
            pictures[0].set_display_rotation(rotation)
        if second_picture:
            pictures.append(_add_picture(out, codec, pix_fmt, size, time_base, rate, color, sar, fields, options))
        audio = [_add_sound(out, sound_codec, tags) for tags in sound]
        words = _add_subtitles(out, subtitle_codec) if subtitles else None
        art = _add_cover(out) if cover else None
        if attachment is not None:
            out.add_attachment("font.ttf", "application/x-truetype-font", attachment)
        if chapters:
            out.set_chapters([_chapter(*entry, index) for index, entry in enumerate(chapters)])
        out.start_encoding()
        if art is not None:
            packet = av.Packet(_jpeg())
            packet.stream, packet.pts, packet.dts, packet.time_base = art, 0, 0, Fraction(1, 90000)
            out.mux(packet)
        for stream in audio:
            _encode_sound(out, stream, float(pts[0] * time_base), float((pts[-1] + 1 - pts[0]) * time_base))
        for start, end, text in subtitles:
            packet = words.codec_context.encode_subtitle(SubtitleSet.create(b"0,0,Default,,0,0,0,," + text, 0, 1))
            packet.stream, packet.time_base = words, Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration = end - start
            out.mux(packet)
        for stream in pictures:
            _encode_picture(out, stream, pts, time_base, fields, color or {}, has_color)
    return path


def make_shots(path: Path, shots: Sequence[int], pts: Sequence[int] | None = None) -> Path:
    """Write a gray film of shots, each of so many frames of a moving pattern, with sound."""
    random = np.random.default_rng(4)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 96, 64, "yuv420p", Fraction(1, 50)
        sound = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        number = 0
        for length in shots:
            ground = random.integers(30, 220, (8, 12)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            for step in range(length):
                planes = np.full((96, 96), 128, np.uint8)
                planes[:64] = np.roll(ground, 2 * step, axis=1)
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts = 2 * number if pts is None else pts[number]
                frame.time_base = Fraction(1, 50)
                out.mux(stream.encode(frame))
                number += 1
        out.mux(stream.encode(None))
        audio = av.AudioFrame.from_ndarray(random.integers(-9, 9, (1, 8000)).astype(np.int16), "s16", "mono")
        audio.rate, audio.pts = 8000, 0
        out.mux(sound.encode(audio))
        out.mux(sound.encode(None))
    return path


def _add_picture(out, codec, pix_fmt, size, time_base, rate, color, sar, fields, options) -> Any:
    stream = out.add_stream(codec, rate=rate, options=options or {})
    stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
    stream.codec_context.time_base = time_base
    stream.time_base = time_base
    for name, value in (color or {}).items():
        setattr(stream.codec_context, name, value)
    if sar:
        stream.codec_context.sample_aspect_ratio = sar
    if fields:
        stream.codec_context.flags |= (1 << 18) | (1 << 29)
        stream.codec_context.field_order = {"tff": 2, "bff": 3}[fields]
    return stream


def _encode_picture(out, stream, pts, time_base, fields, color, has_color) -> None:
    context, graph = stream.codec_context, None
    if fields:
        graph = Graph()
        source = graph.add_buffer(
            width=context.width, height=context.height, format=context.format, time_base=time_base
        )
        graph.link_nodes(source, graph.add("setparams", f"field_mode={fields}"), graph.add("buffersink")).configure()
    for index, stamp in enumerate(pts):
        frame = noise_frame(context.width, context.height, context.pix_fmt, index, has_color=has_color)
        frame.pts, frame.time_base = stamp, time_base
        if graph is not None:
            graph.vpush(frame)
            frame = graph.vpull()
            frame.pts, frame.time_base = stamp, time_base
        for name, value in color.items():
            setattr(frame, name, value)
        following = pts[index + 1] if index + 1 < len(pts) else stamp + 1
        frame.duration = following - stamp
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def noise_frame(width: int, height: int, pix_fmt: str, seed: int, *, has_color: bool = True) -> av.VideoFrame:
    """Every code value may occur, so nothing that clips or rounds goes unseen; without color, of luma alone."""
    random = np.random.default_rng(seed)
    frame = av.VideoFrame(width, height, pix_fmt)
    layout = layout_of(pix_fmt)
    for plane in range(len(frame.planes)):
        video_plane = frame.planes[plane]
        if plane in (1, 2) and not layout.is_rgb and not has_color:  # the film is black and white
            neutral = (128 << (layout.bits - 8) << layout.msb_shift).to_bytes(1 + (layout.bits > 8), "little")
            neutral = neutral[::-1] if layout.big_endian else neutral
            video_plane.update(neutral * (video_plane.buffer_size // len(neutral)))
        elif layout.readable and not layout.msb_shift:
            view = plane_view(
                frame, plane, video_plane.height, video_plane.width, layout.bits, big_endian=layout.big_endian
            )
            view[:] = random.integers(0, 1 << layout.bits, view.shape)
        elif layout.bits == 8:
            video_plane.update(random.integers(0, 256, video_plane.buffer_size, dtype=np.uint8).tobytes())
        else:
            values = random.integers(0, 1 << layout.bits, video_plane.buffer_size // 2) << layout.msb_shift
            video_plane.update(values.astype("<u2").tobytes())
    return frame


def _add_sound(out, codec: str, tags: dict[str, str]) -> Any:
    stream = out.add_stream(codec, rate=48000)
    if codec.startswith("wma"):
        stream.codec_context.bit_rate = 128_000  # which these have no default for
    stream.metadata.update(tags)
    return stream


def _encode_sound(out, stream, start_seconds: float, seconds: float) -> None:
    context = stream.codec_context
    total, size = int(seconds * 48000), 1024
    random = np.random.default_rng(stream.index)
    for begin in range(0, total, size):
        shape = (2, size) if context.format.is_planar else (1, size * 2)
        if context.format.name.startswith("flt"):
            values: Any = random.normal(0, 0.1, shape).astype(np.float32)
        else:
            values = random.integers(-3000, 3000, shape).astype(
                {"s16": np.int16, "s32": np.int32}[context.format.name[:3]]
            )
        frame = av.AudioFrame.from_ndarray(values, format=context.format.name, layout="stereo")
        frame.sample_rate, frame.pts = 48000, begin + int(start_seconds * 48000)
        frame.time_base = Fraction(1, 48000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _add_subtitles(out, codec: str) -> Any:
    stream = out.add_stream(codec)
    stream.codec_context.subtitle_header = PLAIN_HEADER
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.time_base = Fraction(1, 1000)
    stream.metadata["language"] = "fra"
    return stream


def _add_cover(out) -> Any:
    stream = out.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 16, 16, "yuvj420p"
    stream.codec_context.time_base = Fraction(1, 25)
    stream.disposition = 1 << 10
    return stream


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 40, 40)).save(buffer, "JPEG")
    return buffer.getvalue()


def _chapter(start: int, end: int, title: str, index: int) -> dict[str, Any]:
    return {"id": index, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}


def flat_chroma(info: FilmInfo, frame: Frame) -> ColoredFrame:
    """Stands in for the model: one color everywhere."""
    bits, shape, dtype = info.picture.bits, info.picture.chroma_size, info.picture.dtype
    return ColoredFrame(frame, np.full(shape, 90 << (bits - 8), dtype), np.full(shape, 150 << (bits - 8), dtype))


def color_film(source: Path, output: Path, **options: Any) -> tuple[FilmSource, FilmSink]:
    """The pipeline without a network. options: those of OutputSettings, and start, end, comment."""
    comment = options.pop("comment", "Color by test")
    with FilmSource(source, start=options.pop("start", None), end=options.pop("end", None)) as film:
        settings = OutputSettings(**({"preset": "ultrafast"} | options))
        with FilmSink(output, film, settings, comment=comment) as sink:
            for frame in film.frames():
                sink.write(flat_chroma(film.info, frame))
    return film, sink


def lumas(path: Path) -> list[np.ndarray]:
    """Copies of every Y plane."""
    with FilmSource(path) as film:
        return [frame.luma.copy() for frame in film.frames()]


def times(path: Path) -> list[Fraction]:
    """When every frame is shown, in seconds."""
    with FilmSource(path) as film:
        return [frame.pts * film.info.time_base for frame in film.frames()]


def packets(path: Path, kind: str) -> list[list[tuple[Fraction, bytes]]]:
    """(time, bytes) of every packet of every stream of a kind, read without vidcolor."""
    with av.open(str(path)) as container:
        found: dict[int, list[tuple[Fraction, bytes]]] = {s.index: [] for s in container.streams if s.type == kind}
        for packet in container.demux([container.streams[index] for index in found]):
            if packet.size:
                found[packet.stream_index].append((packet.pts * packet.time_base, bytes(packet)))
    return list(found.values())


def plan_all(films: BatchFilmColorizer, film: Path, colorizer: Colorizer, wanted: int) -> list[Part]:
    """The parts of a film, planned to its end."""
    return in_stages(lambda known: films.plan_parts(film, colorizer, wanted, known))


def in_stages(look_on: Callable[[Survey | None], tuple[list[Part], Survey | None]]) -> list[Part]:
    """The parts of all stages; what is known between them goes from machine to machine."""
    found, known = look_on(None)
    while known is not None:
        more, known = look_on(pickle.loads(pickle.dumps(known)))
        found += more
    return found
