"""What lies beside the picture arrives with it: sound, subtitles, chapters, attachments, cover art and tags."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from media_fixtures import TWO_SOUNDS, color_film, make_film, packets, times

from vidcolor.media.probe import probe


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


def test_cover_art_is_kept_and_never_colored(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm", ".avi"])
def test_the_comment_says_who_colored_it_beside_what_was_there(tmp_path: Path, suffix: str) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", metadata={"comment": "Reel 3", "title": "Harbour"})
    color_film(film, tmp_path / f"out{suffix}", comment="Color by vidcolor 1.0, model lite")
    tags = {key.lower(): value for key, value in probe(tmp_path / f"out{suffix}").metadata.items()}
    assert tags["comment"] == "Reel 3; Color by vidcolor 1.0, model lite"
    assert tags["title"] == "Harbour"


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_unusual_tags_are_kept(tmp_path: Path, suffix: str) -> None:
    film = make_film(tmp_path / "in.mkv", metadata={"DIRECTOR": "A. Guy"})
    color_film(film, tmp_path / f"out{suffix}", codec="h264")
    tags = {key.upper(): value for key, value in probe(tmp_path / f"out{suffix}").metadata.items()}
    assert tags["DIRECTOR"] == "A. Guy"
    assert tags["COMMENT"] == "Color by test"


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
