import errno
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import color_film, flat_chroma, lumas, make_film, make_shots, packets, times

from vidcolor.errors import ShapeError, SinkError, UsageError
from vidcolor.frames import ColoredFrame
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.plan import plan
from vidcolor.media.probe import examine, probe
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource

VFR = (0, 7, 20, 21, 40, 90, 91, 92, 130, 131)
TWO_SOUNDS = ({"language": "eng", "title": "Original"}, {"language": "fra", "title": "Doublage"})


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


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48)])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "ffv1", "prores"])
def test_odd_sizes_keep_every_pixel(tmp_path: Path, size: tuple[int, int], codec: str) -> None:
    film = make_film(tmp_path / "in.mkv", size=size)
    _, sink = color_film(film, tmp_path / "out.mkv", codec=codec)
    assert lumas(tmp_path / "out.mkv")[0].shape == size[::-1]
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
    with pytest.raises(SinkError, match="AVI has only frames at an even rate"):
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


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_audio_packets_survive_untouched(tmp_path: Path, suffix: str) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=TWO_SOUNDS, pts=range(50))
    color_film(film, tmp_path / f"out{suffix}")
    before, after = packets(film, "audio"), packets(tmp_path / f"out{suffix}", "audio")
    assert [[data for _, data in track] for track in before] == [[data for _, data in track] for track in after]
    assert len(before) == 2
    assert len(before[0]) > 80
    for one, other in zip(before, after, strict=True):
        # Within one audio sample: MP4 counts sound in samples, Matroska in milliseconds.
        assert all(abs(a - b) <= Fraction(1, 48000) for (a, _), (b, _) in zip(one, other, strict=True))


def test_sound_that_begins_before_zero_does_not_move_the_picture(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mp4", codec="libx264", sound=TWO_SOUNDS[:1])
    assert packets(film, "audio")[0][0][0] < 0
    color_film(film, tmp_path / "out.mkv")
    assert times(tmp_path / "out.mkv") == times(film)


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


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_languages_and_titles_are_kept(tmp_path: Path, suffix: str) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=TWO_SOUNDS)
    color_film(film, tmp_path / f"out{suffix}")
    sounds = [stream for stream in probe(tmp_path / f"out{suffix}").streams if stream.kind == "audio"]
    assert [(stream.language, stream.title) for stream in sounds] == [("eng", "Original"), ("fra", "Doublage")]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
def test_chapters_are_kept(tmp_path: Path, suffix: str) -> None:
    chapters = [(0, 200, "Arrival"), (200, 480, "Départ")]
    film = make_film(tmp_path / "in.mkv", chapters=chapters)
    color_film(film, tmp_path / f"out{suffix}")
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        found = [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in container.chapters()]
    assert found == [(Fraction(start, 1000), title) for start, _, title in chapters]


def test_attachments_are_kept_in_matroska_and_named_elsewhere(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", attachment=b"a font, truly")
    color_film(film, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.attachments[0].data == b"a font, truly"
        assert container.streams.attachments[0].name == "font.ttf"
    _, sink = color_film(film, tmp_path / "out.mp4")
    assert any("attachment" in warning and "cannot be carried" in warning for warning in sink.warnings)


def test_cover_art_is_kept_and_never_coloured(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mp4", codec="libx264", cover=True)
    assert probe(film).codec == "h264"
    color_film(film, tmp_path / "out.mp4")
    color_film(film, tmp_path / "out.mkv")
    for name in ("out.mp4", "out.mkv"):
        with av.open(str(film)) as before, av.open(str(tmp_path / name)) as after:
            art = [stream for stream in after.streams.video if stream.disposition & (1 << 10)]
            assert len(art) == 1
            original = [stream for stream in before.streams.video if stream.disposition & (1 << 10)]
            assert bytes(next(after.demux(art[0]))) == bytes(next(before.demux(original[0])))
    _, sink = color_film(film, tmp_path / "out.mov")
    assert any("cover art" in warning for warning in sink.warnings)


def test_a_second_picture_is_copied_and_named(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", second_picture=True)
    _, sink = color_film(film, tmp_path / "out.mkv")
    assert any("2 video tracks" in warning for warning in sink.warnings)
    assert packets(tmp_path / "out.mkv", "video")[1] == packets(film, "video")[1]


@pytest.mark.parametrize(
    ("codec", "suffix", "expected"),
    [
        ("subrip", ".mkv", "subrip"),
        ("subrip", ".mp4", "mov_text"),
        ("ass", ".mov", "mov_text"),
        ("subrip", ".webm", "webvtt"),
        ("ass", ".mkv", "ass"),
    ],
)
def test_text_subtitles_arrive_in_the_containers_own_kind(
    tmp_path: Path, codec: str, suffix: str, expected: str
) -> None:
    lines = [(40, 200, rb"{\i1}Good{\i0} evening"), (200, 400, "Café\\Nnoir".encode())]
    film = make_film(tmp_path / "in.mkv", subtitles=lines, subtitle_codec=codec)
    color_film(film, tmp_path / f"out{suffix}")
    found = [stream for stream in probe(tmp_path / f"out{suffix}").streams if stream.kind == "subtitle"]
    assert [(stream.codec, stream.language) for stream in found] == [(expected, "fra")]
    shown = [(at, data) for at, data in packets(tmp_path / f"out{suffix}", "subtitle")[0] if len(data) > 2]
    assert [at for at, _ in shown] == [Fraction(40, 1000), Fraction(200, 1000)]
    assert b"Good" in shown[0][1]
    assert "Café".encode() in shown[1][1]
    assert expected == "ass" or b"{" not in shown[0][1]


def test_mp4_subtitles_become_subrip_in_matroska(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mp4", codec="libx264", subtitles=[(40, 200, b"Hello")], subtitle_codec="mov_text")
    color_film(film, tmp_path / "out.mkv")
    assert packets(tmp_path / "out.mkv", "subtitle") == [[(Fraction(40, 1000), b"Hello")]]


def test_lines_that_begin_together_share_one_mp4_sample(tmp_path: Path) -> None:
    lines = [(40, 200, b"Above"), (40, 240, b"Below"), (300, 400, rb"{\p1}m 0 0 l 5 5{\p0}")]
    film = make_film(tmp_path / "in.mkv", subtitles=lines, subtitle_codec="ass")
    color_film(film, tmp_path / "out.mp4")
    shown = [data[2:] for _, data in packets(tmp_path / "out.mp4", "subtitle")[0] if len(data) > 2]
    assert shown == [b"Above\nBelow"]


def test_the_same_frames_are_encoded_alike_whatever_lies_in_memory(tmp_path: Path) -> None:
    film = make_shots(tmp_path / "film.mkv", [8])
    random, rubbish, seen = np.random.default_rng(1), [], set()
    for _ in range(40):
        color_film(film, tmp_path / "out.mkv", codec="h264", preset="veryfast", overwrite=True)
        seen.add(str(packets(tmp_path / "out.mkv", "video")))
        rubbish = [*rubbish[-4:], random.integers(0, 255, random.integers(1000, 300_000)).astype(np.uint8)]
    assert len(seen) == 1


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm", ".avi"])
def test_the_comment_says_who_coloured_it_beside_what_was_there(tmp_path: Path, suffix: str) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", metadata={"comment": "Reel 3", "title": "Harbour"})
    color_film(film, tmp_path / f"out{suffix}", comment="Colour by vidcolor 1.0, model lite")
    tags = {key.lower(): value for key, value in probe(tmp_path / f"out{suffix}").metadata.items()}
    assert tags["comment"] == "Reel 3; Colour by vidcolor 1.0, model lite"
    assert tags["title"] == "Harbour"


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_unusual_tags_are_kept(tmp_path: Path, suffix: str) -> None:
    film = make_film(tmp_path / "in.mkv", metadata={"DIRECTOR": "A. Guy"})
    color_film(film, tmp_path / f"out{suffix}", codec="h264")
    tags = {key.upper(): value for key, value in probe(tmp_path / f"out{suffix}").metadata.items()}
    assert tags["DIRECTOR"] == "A. Guy"
    assert tags["COMMENT"] == "Colour by test"


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


def test_a_range_starts_at_zero_with_its_sound_words_and_chapters(tmp_path: Path) -> None:
    film = make_film(
        tmp_path / "in.mkv",
        codec="libx264",
        pts=range(75),
        sound=TWO_SOUNDS[:1],
        subtitles=[(800, 1400, b"Across"), (1500, 1700, b"Within"), (2500, 2700, b"After")],
        chapters=[(0, 1200, "One"), (1200, 3000, "Two")],
    )
    color_film(film, tmp_path / "out.mkv", start=1.0, end=2.0)
    assert times(tmp_path / "out.mkv") == [Fraction(n, 25) for n in range(25)]
    (sound,) = packets(tmp_path / "out.mkv", "audio")
    assert 0 <= sound[0][0] < Fraction(3, 100)
    assert Fraction(95, 100) < sound[-1][0] < 1
    assert packets(tmp_path / "out.mkv", "subtitle") == [[(Fraction(0), b"Across"), (Fraction(1, 2), b"Within")]]
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert [(float(c["start"] * c["time_base"]), c["metadata"]["title"]) for c in container.chapters()] == [
            (0.0, "One"),
            (0.2, "Two"),
        ]


def test_a_plan_tells_without_writing(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=TWO_SOUNDS, subtitles=[(0, 9, b"x")], attachment=b"f")
    fates = [entry.describe() for entry in plan(probe(film), tmp_path / "out.mp4", OutputSettings()).streams]
    assert fates == ["copy", "copy", "convert to mov_text", "cannot be carried: mp4 has no attachments"]
    assert not (tmp_path / "out.mp4").exists()


def test_webm_takes_its_own_codecs_and_refuses_others(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", pix_fmt="yuv444p")
    assert plan(probe(film), tmp_path / "out.webm", OutputSettings()).encoding.codec in ("av1", "vp9")
    with pytest.raises(UsageError, match="cannot hold h264"):
        plan(probe(film), tmp_path / "out.webm", OutputSettings(codec="h264"))


@pytest.mark.parametrize("name", ["out.xyz", "out"])
def test_an_unknown_suffix_is_refused_with_the_list(tmp_path: Path, name: str) -> None:
    film = make_film(tmp_path / "in.mkv")
    with pytest.raises(UsageError, match=r"\.mp4, \.m4v, \.mov, \.mkv, \.webm, \.avi"):
        color_film(film, tmp_path / name)


def test_an_existing_output_is_left_alone(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv")
    (tmp_path / "out.mkv").write_text("precious")
    with pytest.raises(SinkError, match="exists already"):
        color_film(film, tmp_path / "out.mkv")
    assert (tmp_path / "out.mkv").read_text() == "precious"
    color_film(film, tmp_path / "out.mkv", overwrite=True)
    assert probe(tmp_path / "out.mkv").frame_count == 12


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink"])
def test_the_input_is_never_the_output(tmp_path: Path, link: str) -> None:
    film = make_film(tmp_path / "in.mkv")
    other = tmp_path / ("in.mkv" if link == "same" else "other.mkv")
    if link == "symlink":
        other.symlink_to(film)
    elif link == "hardlink":
        other.hardlink_to(film)
    before = film.read_bytes()
    with pytest.raises(UsageError, match="is the input itself"):
        color_film(film, other, overwrite=True)
    assert film.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = make_film(tmp_path / "in.mkv")
    with pytest.raises(SinkError, match="does not exist"):
        color_film(film, tmp_path / "nowhere" / "out.mkv")
    (tmp_path / "closed").mkdir()
    # A privileged user may write anywhere, so the refusal is imitated where the system is asked.
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(SinkError, match="not allowed to write"):
        color_film(film, tmp_path / "closed" / "out.mkv")


class _FullDisk:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file: object, room_bytes: int) -> None:
        self._file, self._room = file, room_bytes

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize("room_bytes", [0, 100_000, 1_200_000])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_full_disk_ends_in_one_line_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_bytes: int, suffix: str
) -> None:
    film = make_film(tmp_path / "in.mkv", size=(256, 192), pts=range(30), pix_fmt="yuv444p")
    really_open = Path.open

    def open_small(self: Path, mode: str = "r", *args: int) -> object:
        file = really_open(self, mode, *args)
        return _FullDisk(file, room_bytes) if "x" in mode else file

    monkeypatch.setattr(Path, "open", open_small)
    with pytest.raises(SinkError, match="the disk is full"):
        color_film(film, tmp_path / f"out{suffix}", codec="h264", crf=0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.mkv"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=TWO_SOUNDS)

    def fail_half_way() -> None:
        with FilmSource(film) as source, FilmSink(tmp_path / "out.mkv", source, OutputSettings(), comment="") as sink:
            for frame in source.frames():
                sink.write(flat_chroma(source.info, frame))
                if sink.frames_written == 5:
                    assert len(list(tmp_path.iterdir())) == 2, "a partial file, under another name"
                    raise RuntimeError("out of paint")

    with pytest.raises(RuntimeError, match="out of paint"):
        fail_half_way()
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.mkv"]


def _sink(source: FilmSource, folder: Path) -> FilmSink:
    return FilmSink(folder / "out.mkv", source, OutputSettings(), comment="")


def test_chroma_of_another_size_is_refused(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv")
    wrong = np.zeros((5, 5), np.uint8)
    with FilmSource(film) as source, pytest.raises(ShapeError, match="needed"), _sink(source, tmp_path) as sink:
        sink.write(ColoredFrame(next(iter(source.frames())), wrong, wrong))


def test_frames_may_come_without_the_decoders_own(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", pix_fmt="yuv420p10le")
    with FilmSource(film) as source, FilmSink(tmp_path / "out.mkv", film, OutputSettings("ffv1"), comment="") as sink:
        for frame in source.frames():
            colored = flat_chroma(source.info, frame)
            sink.write(ColoredFrame(type(frame)(frame.luma.copy(), frame.pts), colored.cb, colored.cr))
    assert all(np.array_equal(a, b) for a, b in zip(lumas(film), lumas(tmp_path / "out.mkv"), strict=True))
    assert times(tmp_path / "out.mkv") == times(film)
