"""The picture in the output is the film's own: every luma sample, time, shape, field and color tag."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import TWO_SOUNDS, color_film, flat_chroma, lumas, make_film, make_shots, packets, times

from vidcolor.errors import SinkError, UsageError
from vidcolor.frames import ColoredFrame
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.plan import plan_output
from vidcolor.media.probe import examine, probe
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource

VFR = (0, 7, 20, 21, 40, 90, 91, 92, 130, 131)
DEPTHS_AND_CHROMA = (
    "yuv420p yuv422p yuv444p yuv411p yuv440p yuv420p10le yuv422p10le yuv444p12le yuv420p16le gray gray10le gray12le"
    " gray16le"
)


@pytest.mark.parametrize("pix_fmt", DEPTHS_AND_CHROMA.split())
def test_a_lossless_copy_has_the_same_luma_bit_for_bit(tmp_path: Path, pix_fmt: str) -> None:
    film = make_film(tmp_path / "in.mkv", pix_fmt=pix_fmt, size=(70, 50))
    _, sink = color_film(film, tmp_path / "out.mkv", codec="ffv1")
    before, after = lumas(film), lumas(tmp_path / "out.mkv")
    assert len(before) == len(after) == 12
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert before[0].max() > (200 << (probe(film).picture.bits - 8)), "the noise reaches the top"
    assert probe(tmp_path / "out.mkv").picture == probe(film).picture
    assert not sink.warnings


def test_chroma_is_what_was_painted(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", pix_fmt="gray10le")
    color_film(film, tmp_path / "out.mkv", codec="ffv1")
    with av.open(str(tmp_path / "out.mkv")) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "yuv420p10le"
        assert set(np.frombuffer(frame.planes[1], "<u2")[:32]) == {90 << 2}
        assert set(np.frombuffer(frame.planes[2], "<u2")[:32]) == {150 << 2}


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_films_shorter_than_what_an_encoder_holds_back_are_written(tmp_path: Path, count: int, codec: str) -> None:
    film = make_film(tmp_path / "in.mkv", pts=tuple(range(count)))
    for number in range(4):  # what an encoder leaves unset differs from run to run
        out = tmp_path / f"{number}.mp4"
        color_film(film, out, codec=codec)
        assert times(out) == times(film)
        with av.open(str(out)) as container:
            coded = [(packet.pts, packet.dts) for packet in container.demux(video=0) if packet.size]
            base = container.streams.video[0].time_base
        assert all(0 <= (pts - dts) * base < 1 for pts, dts in coded)


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48)])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "ffv1", "prores"])
def test_odd_sizes_keep_every_pixel(tmp_path: Path, size: tuple[int, int], codec: str) -> None:
    film = make_film(tmp_path / "in.mkv", size=size)
    _, sink = color_film(film, tmp_path / "out.mkv", codec=codec, crf=0)
    extra_bits = probe(tmp_path / "out.mkv").picture.bits - 8
    for before, after in zip(lumas(film), lumas(tmp_path / "out.mkv"), strict=True):
        off = np.abs((after >> extra_bits).astype(int) - before)
        most = 0 if codec in ("h264", "ffv1") else 12  # the others are not lossless here; other noise is 85 off
        assert max(off.mean(), off[-1].mean(), off[:, -1].mean()) <= most
    if codec in ("h264", "hevc"):
        assert any("written as yuv4" in warning for warning in sink.warnings)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
@pytest.mark.parametrize("first", [0, 250, 1003])
def test_variable_timing_is_kept_exactly(tmp_path: Path, suffix: str, first: int) -> None:
    stamps = [first + pts for pts in VFR]
    film = make_film(tmp_path / "in.mkv", codec="libx264", pts=stamps, time_base=Fraction(1, 1000))
    color_film(film, tmp_path / f"out{suffix}")
    assert times(film) == [Fraction(pts, 1000) for pts in stamps]
    assert times(tmp_path / f"out{suffix}") == times(film)


@pytest.mark.parametrize("time_base", [Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 12800)])
def test_mp4_keeps_time_bases_that_milliseconds_would_round(tmp_path: Path, time_base: Fraction) -> None:
    film = make_film(tmp_path / "in.mp4", codec="libx264", time_base=time_base, pts=[7 + 3003 * n for n in range(9)])
    color_film(film, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == times(film)
    assert len(times(film)) == 9


def test_matroska_rounds_to_milliseconds_and_says_so(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mp4", codec="libx264", time_base=Fraction(1001, 30000))
    _, sink = color_film(film, tmp_path / "out.mkv")
    pairs = zip(times(film), times(tmp_path / "out.mkv"), strict=True)
    assert 0 < max(abs(before - after) for before, after in pairs) <= Fraction(1, 2000)
    assert any("whole milliseconds" in warning for warning in sink.warnings)


def test_avi_refuses_what_it_cannot_time(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", pts=VFR, time_base=Fraction(1, 1000))
    with pytest.raises(SinkError, match="avi has only frames at an even rate"):
        color_film(film, tmp_path / "out.avi")
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.mkv"]


def test_avi_begins_at_zero_and_says_so(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", pts=range(50, 70))
    _, sink = color_film(film, tmp_path / "out.avi")
    assert times(tmp_path / "out.avi") == [Fraction(n, 25) for n in range(20)]
    assert any("first frame is at 2.000 s" in warning for warning in sink.warnings)


def test_avi_keeps_even_timing(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mp4", codec="libx264", sound=TWO_SOUNDS[:1])
    color_film(film, tmp_path / "out.avi")
    assert times(tmp_path / "out.avi") == times(film)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_film_that_begins_before_zero_loses_no_frame(tmp_path: Path, suffix: str) -> None:
    film = make_film(
        tmp_path / "in.mkv",
        codec="libx264",
        pts=range(-80, 800, 40),
        time_base=Fraction(1, 1000),
        sound=TWO_SOUNDS[:1],
        container_options={"avoid_negative_ts": "disabled"},
    )
    _, sink = color_film(film, tmp_path / f"out{suffix}")
    found, gap = times(tmp_path / f"out{suffix}"), times(film)[0] - packets(film, "audio")[0][0][0]
    assert [at - found[0] for at in found] == [Fraction(40 * n, 1000) for n in range(22)]
    assert abs(found[0] - packets(tmp_path / f"out{suffix}", "audio")[0][0][0] - gap) <= Fraction(1, 1000)
    assert any("first frame is at" in warning for warning in sink.warnings) is (suffix == ".mp4")


@pytest.mark.parametrize(("codec", "suffix"), [("hevc", ".mp4"), ("h264", ".mkv"), ("av1", ".mp4"), ("ffv1", ".mkv")])
def test_hdr_mastering_data_is_kept_or_named(tmp_path: Path, codec: str, suffix: str) -> None:
    display = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    film = make_film(
        tmp_path / "in.mkv",
        codec="libx265",
        pix_fmt="yuv420p10le",
        size=(128, 96),
        color={"color_range": 1, "colorspace": 9, "color_primaries": 9, "color_trc": 16},
        options={"x265-params": f"log-level=none:hdr10=1:{display}"},
    )
    _, sink = color_film(film, tmp_path / f"out{suffix}", codec=codec)
    before, after = examine(film), examine(tmp_path / f"out{suffix}")
    assert before.content_light == (1000, 400)
    if codec == "ffv1":
        assert any("mastering display" in warning for warning in sink.warnings)
        return
    assert after.content_light == before.content_light
    # SVT-AV1 keeps binary fractions, so the numbers are compared as numbers.
    numbers = [np.frombuffer(entry.mastering_display[:80], "<i4").reshape(10, 2) for entry in (before, after)]
    assert np.allclose(numbers[0][:, 0] / numbers[0][:, 1], numbers[1][:, 0] / numbers[1][:, 1], atol=2e-4)


def test_the_same_frames_are_encoded_alike_whatever_lies_in_memory(tmp_path: Path) -> None:
    film = make_shots(tmp_path / "film.mkv", [8])
    random, rubbish, seen = np.random.default_rng(1), [], set()
    for _ in range(40):
        color_film(film, tmp_path / "out.mkv", codec="h264", preset="veryfast", overwrite=True)
        seen.add(str(packets(tmp_path / "out.mkv", "video")))
        rubbish = [*rubbish[-4:], random.integers(0, 255, random.integers(1000, 300_000)).astype(np.uint8)]
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("h264", ".mkv"), ("h264", ".mp4"), ("ffv1", ".mkv"), ("av1", ".mkv"), ("av1", ".mp4"), ("av1", ".webm")],
)
def test_pixel_shape_is_kept(tmp_path: Path, suffix: str, codec: str) -> None:
    film = make_film(tmp_path / "in.mp4", codec="libx264", size=(90, 72), sar=Fraction(16, 15))
    color_film(film, tmp_path / f"out{suffix}", codec=codec)
    assert probe(tmp_path / f"out{suffix}").sample_aspect_ratio == Fraction(16, 15)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotation_is_kept_as_a_flag(tmp_path: Path, suffix: str, degrees: int) -> None:
    film = make_film(tmp_path / "in.mp4", codec="libx264", rotation=degrees)
    color_film(film, tmp_path / f"out{suffix}")
    before, after = probe(film), probe(tmp_path / f"out{suffix}")
    assert before.rotation_degrees % 360 == degrees % 360
    assert after.rotation_degrees == before.rotation_degrees
    assert (after.picture.width, after.picture.height) == (64, 48)


@pytest.mark.parametrize("fields", ["tff", "bff"])
@pytest.mark.parametrize(
    ("codec", "suffix"), [("h264", ".mkv"), ("h264", ".mp4"), ("ffv1", ".mkv"), ("prores", ".mov")]
)
def test_interlaced_film_stays_interlaced(tmp_path: Path, fields: str, codec: str, suffix: str) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", fields=fields, size=(96, 64))
    assert probe(film).field_order == fields
    color_film(film, tmp_path / f"out{suffix}", codec=codec)
    assert probe(tmp_path / f"out{suffix}").field_order == fields


def test_interlaced_gray_gets_its_fields_without_the_decoders_frame(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="ffv1", pix_fmt="gray", fields="bff", size=(96, 64))
    color_film(film, tmp_path / "out.mkv", codec="h264")
    assert probe(tmp_path / "out.mkv").field_order == probe(film).field_order == "bff"


def test_color_tags_are_kept(tmp_path: Path) -> None:
    color = {"color_range": 2, "colorspace": 9, "color_primaries": 9, "color_trc": 16}
    film = make_film(tmp_path / "in.mkv", codec="libx265", pix_fmt="yuv420p10le", color=color)
    for name, codec in (("out.mp4", "hevc"), ("out.mkv", "h264"), ("out.mov", "h264")):
        _, sink = color_film(film, tmp_path / name, codec=codec)
        with av.open(str(tmp_path / name)) as container:
            frame = next(container.decode(video=0))
        assert {key: getattr(frame, key) for key in color} == color
        assert probe(tmp_path / name).picture.transfer == "pq"
        assert any("HDR" in warning for warning in sink.warnings)


def test_depth_is_never_lowered_in_silence(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", pix_fmt="yuv420p12le")
    _, sink = color_film(film, tmp_path / "out.mkv", codec="h264")
    assert probe(tmp_path / "out.mkv").picture.bits == 10
    assert any("yuv420p12le" in warning and "yuv420p10le" in warning for warning in sink.warnings)


def test_a_plan_tells_without_writing(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=TWO_SOUNDS, subtitles=[(0, 9, b"x")], attachment=b"f")
    actions = [entry.describe() for entry in plan_output(probe(film), tmp_path / "out.mp4", OutputSettings()).streams]
    assert actions == ["copy", "copy", "convert to mov_text", "cannot be carried: mp4 has no attachments"]
    assert not (tmp_path / "out.mp4").exists()


def test_webm_takes_its_own_codecs_and_refuses_others(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", pix_fmt="yuv444p")
    assert plan_output(probe(film), tmp_path / "out.webm", OutputSettings()).encoding.codec in ("av1", "vp9")
    with pytest.raises(UsageError, match="cannot hold h264"):
        plan_output(probe(film), tmp_path / "out.webm", OutputSettings(codec="h264"))


def test_a_pixel_format_that_cannot_hold_the_size_is_refused_with_those_that_can(tmp_path: Path):
    film = make_film(tmp_path / "in.mkv", pix_fmt="gray", size=(171, 95))
    with pytest.raises(UsageError, match=r"libx264 cannot write yuv420p at 171x95; it can with yuv444p"):
        plan_output(probe(film), tmp_path / "out.mp4", OutputSettings("h264", pix_fmt="yuv420p"))
    encoding = plan_output(probe(film), tmp_path / "out.mp4", OutputSettings("av1", pix_fmt="yuv420p")).encoding
    assert encoding.pixel_format == "yuv420p"


def test_frames_may_come_without_the_decoders_own(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", pix_fmt="yuv420p10le")
    with FilmSource(film) as source, FilmSink(tmp_path / "out.mkv", film, OutputSettings("ffv1"), comment="") as sink:
        for frame in source.frames():
            colored = flat_chroma(source.info, frame)
            sink.write(ColoredFrame(type(frame)(frame.luma.copy(), frame.pts), colored.cb, colored.cr))
    assert all(np.array_equal(a, b) for a, b in zip(lumas(film), lumas(tmp_path / "out.mkv"), strict=True))
    assert times(tmp_path / "out.mkv") == times(film)
