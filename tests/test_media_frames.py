"""What lies in and beside the frames: fields, pixel shape, captions, HDR."""

import struct
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import av
import pytest
from media_fixtures import color_film, lumas, make_film

from vidcolor.media.encoders import OutputSettings, choose_encoding
from vidcolor.media.frame_sampling import field_order_of
from vidcolor.media.probe import examine, probe
from vidcolor.media.pyav import fraction_of, open_input, side_data_of
from vidcolor.media.source import FilmSource

MPEG = {"codec": "mpeg2video", "container": "mpegts", "size": (96, 64)}


def joined(folder: Path, *parts: dict) -> Path:
    """One stream of parts that differ, their times rising."""
    begin, content = 0, b""
    for number, part in enumerate(parts):
        count = part.pop("frames", 20)
        path = make_film(folder / f"part{number}.ts", pts=range(begin, begin + count), **(MPEG | part))
        content, begin = content + path.read_bytes(), begin + count
    (folder / "in.ts").write_bytes(content)
    return folder / "in.ts"


def orders(path: Path) -> list[tuple[str, int]]:
    with open_input(path) as container:
        found = [field_order_of(frame) for frame in container.decode(video=0)]
    return [(order, len(list(group))) for order, group in groupby(found)]


@pytest.mark.parametrize(
    ("codec", "suffix"), [("h264", ".mkv"), ("h264", ".mp4"), ("ffv1", ".mkv"), ("prores", ".mov")]
)
@pytest.mark.parametrize("fields", ["tff", "bff"])
def test_a_film_that_is_interlaced_later_has_one_order_throughout(tmp_path: Path, fields: str, codec: str, suffix: str):
    film = joined(tmp_path, {}, {"fields": fields, "frames": 30})
    assert orders(film) == [("progressive", 20), (fields, 30)], "a film to fail at"
    _, sink = color_film(film, tmp_path / f"out{suffix}", codec=codec)
    assert orders(tmp_path / f"out{suffix}") == [(fields, 50)]
    assert probe(film).field_order == fields
    assert sum("progressive, the others interlaced" in warning for warning in sink.warnings) == 1
    if codec == "ffv1":
        assert all((a == b).all() for a, b in zip(lumas(film), lumas(tmp_path / f"out{suffix}"), strict=True))


def test_a_long_progressive_logo_is_not_the_film(tmp_path: Path):
    """Longer than what is looked at whole: places all over it are looked at."""
    film = joined(tmp_path, {"frames": 200}, {"fields": "tff", "frames": 60})
    assert probe(film).field_order == "tff"


def test_an_order_that_changes_is_said(tmp_path: Path):
    film = joined(tmp_path, {"fields": "tff", "frames": 30}, {"fields": "bff", "frames": 20})
    _, sink = color_film(film, tmp_path / "out.mkv")
    assert orders(tmp_path / "out.mkv") == [("tff", 50)]
    assert any("the field order changes in the film; bff" in warning for warning in sink.warnings)


def test_progressive_film_stays_so_and_nothing_is_said(tmp_path: Path):
    film = make_film(tmp_path / "in.ts", pts=range(30), **MPEG)
    _, sink = color_film(film, tmp_path / "out.mkv")
    assert orders(tmp_path / "out.mkv") == [("progressive", 30)]
    assert not any("interlaced" in warning or "shape" in warning for warning in sink.warnings)


@pytest.mark.parametrize(("first", "second", "longest"), [(15, 40, Fraction(16, 15)), (40, 15, Fraction(64, 45))])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_pixel_shape_is_that_which_lasts_longest(
    tmp_path: Path, suffix: str, first: int, second: int, longest: Fraction
):
    film = joined(
        tmp_path, {"sar": Fraction(64, 45), "frames": first, "size": (720, 576)},
        {"sar": Fraction(16, 15), "frames": second, "size": (720, 576)},
    )  # fmt: skip
    source, sink = color_film(film, tmp_path / f"out{suffix}")
    assert probe(tmp_path / f"out{suffix}").sample_aspect_ratio == longest
    other = min(first, second)
    assert any(
        f"{count} frames have" in warning
        for warning in source.warnings
        for count in (other - 1, other, other + 1)  # a decoder tells of a change a frame early
    )
    assert sum("the pixel shape changes in the film" in warning for warning in sink.warnings) == 1


CAPTION = bytes.fromhex("06040eb500314741393403c1fffc9420ff80")  # SEI: ITU-T T.35, ATSC A/53 Part 4, one pair of bytes


def with_captions(path: Path, output: Path, first: int = 0) -> Path:
    """Put captions into the H.264 of a film, from a frame on."""
    with open_input(path) as source, av.open(str(output), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                sei = struct.pack(">I", len(CAPTION)) + CAPTION if number >= first else b""
                other = av.Packet(sei + bytes(packet))
                other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
                other.duration, other.is_keyframe, other.stream = packet.duration, packet.is_keyframe, stream
                out.mux(other)
    return output


def captions(path: Path) -> int:
    with open_input(path) as container:
        return sum("A53_CC" in side_data_of(frame) for frame in container.decode(video=0))


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "prores", "ffv1"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "gray"])
@pytest.mark.parametrize("first", [0, 5])
def test_captions_are_kept_or_named(tmp_path: Path, codec: str, pix_fmt: str, first: int):
    options = {"x264-params": "bframes=0"}
    plain = make_film(tmp_path / "plain.mkv", codec="libx264", pix_fmt=pix_fmt, options=options)
    film = with_captions(plain, tmp_path / "in.mkv", first)
    assert captions(film) == 12 - first, "a film to fail at"
    _, sink = color_film(film, tmp_path / "out.mkv", codec=codec)
    said = sum("closed captions" in warning for warning in sink.warnings)
    if codec in ("h264", "hevc"):
        assert (captions(tmp_path / "out.mkv"), said) == (12 - first, 0)
    else:
        assert said == 1


def mastering(primaries: bool, luminance: bool) -> bytes:
    """AVMasteringDisplayMetadata with numbers in every field, whether they are meant or not."""
    numbers = [34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450]
    values = [part for number in numbers for part in (number, 50000)] + [50, 10000, 10000000, 10000]
    return struct.pack("<22i", *values, primaries, luminance)


@pytest.mark.parametrize(
    ("primaries", "luminance", "x265", "av1"),
    [
        (True, True, "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)", True),
        (True, False, "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(0,0)", False),
        (False, True, "master-display=G(0,0)B(0,0)R(0,0)WP(0,0)L(10000000,50)", False),
        (False, False, None, False),
    ],
)
def test_hdr_numbers_that_are_not_there_are_not_written(
    tmp_path: Path, primaries: bool, luminance: bool, x265: str | None, av1: bool
):
    film = make_film(tmp_path / "in.mkv", pix_fmt="yuv420p10le", size=(96, 64))
    examined = replace(examine(film), mastering_display=mastering(primaries, luminance), content_light=(0, 0))
    takes = {"hevc", "av1"}
    options = choose_encoding(examined, OutputSettings("hevc"), ".mkv", takes).options["x265-params"]
    assert options == "log-level=none" + (f":{x265}" if x265 else "")
    assert ("mastering" in str(choose_encoding(examined, OutputSettings("av1"), ".mkv", takes).options)) is av1


def test_the_shape_of_every_frame_is_counted_in_a_range(tmp_path: Path):
    film = make_film(tmp_path / "in.ts", pts=range(30), sar=Fraction(16, 15), **MPEG)
    with FilmSource(film) as source:
        assert sum(1 for _ in source.frames()) == 30
    assert not source.warnings
    assert fraction_of(source.info.sample_aspect_ratio) is not None


@pytest.mark.parametrize(
    ("size", "shape"), [((720, 576), Fraction(12, 11)), ((720, 480), Fraction(10, 11)), ((96, 64), Fraction(16, 15))]
)
@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", ".mkv"), ("vp9", ".webm"), ("h264", ".mkv")])
def test_matroska_keeps_pixel_shapes_that_no_whole_width_has(
    tmp_path: Path, size: tuple[int, int], shape: Fraction, codec: str, suffix: str
):
    film = make_film(tmp_path / "in.mp4", codec="libx264", size=size, sar=shape, pts=range(2))
    color_film(film, tmp_path / f"out{suffix}", codec=codec)
    assert probe(tmp_path / f"out{suffix}").sample_aspect_ratio == shape
