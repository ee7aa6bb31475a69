"""Time: joined recordings run on as one, clocks that begin anywhere begin at zero, and a time finds its frame."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_fixtures import color_film, lumas, make_film, packets, times

from vidcolor.media.probe import examine, probe
from vidcolor.media.pyav import open_input
from vidcolor.media.source import FilmSource
from vidcolor.media.timeline import read_timeline

STEP = Fraction(1, 25)
TS = {"container": "mpegts", "codec": "mpeg2video", "sound": [{}], "sound_codec": "mp2", "size": (96, 64)}


def recording(path: Path, first: int = 0, frames: int = 30, **options) -> Path:
    """A broadcast: `first` is the frame number at which its clock begins."""
    return make_film(path, pts=range(first, first + frames), **(TS | {"options": {"bf": "2", "g": "12"}} | options))


def joined(folder: Path, *firsts: int, **options) -> Path:
    parts = [recording(folder / f"part{number}.ts", first, **options) for number, first in enumerate(firsts)]
    path = folder / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def remux(path: Path, output: Path, is_kept: Callable[[Any, Fraction], bool]) -> Path:
    """Copy a broadcast's packets, told with when they are decoded, but for some."""
    with open_input(path) as source, av.open(str(output), "w", format="mpegts") as out:
        copies = [out.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.size and is_kept(packet, packet.dts * packet.time_base):
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    return output


def in_step(path: Path) -> Fraction:
    """How far the sound is from the picture, at most, at the beginnings of the first and the second half."""
    picture, sound = times(path), [time for time, _ in packets(path, "audio")[0]]
    half = picture[len(picture) // 2]
    return max(abs(min(sound, key=lambda time: abs(time - place)) - place) for place in (picture[0], half))


@pytest.mark.parametrize("second", [0, 25 * 3600, 25 * 7])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_joined_recordings_run_on_as_one(tmp_path: Path, suffix: str, second: int):
    film = joined(tmp_path, 25 * 7, second) if second != 25 * 7 else joined(tmp_path, second, second)
    source, sink = color_film(film, tmp_path / f"out{suffix}")
    found = times(tmp_path / f"out{suffix}")
    assert len(found) == 60
    assert {round(float(later - earlier), 2) for earlier, later in pairwise(found)} == {0.04}
    assert found[0] < Fraction(1, 10)
    assert [one.tobytes() for one in lumas(film)] == [one.tobytes() for one in source_lumas(tmp_path, (0, 1))]
    sound = [time for time, _ in packets(tmp_path / f"out{suffix}", "audio")[0]]
    assert sound == sorted(set(sound))
    assert in_step(tmp_path / f"out{suffix}") < Fraction(3, 100)
    assert len(sound) == sum(len(packets(tmp_path / f"part{number}.ts", "audio")[0]) for number in (0, 1))
    assert not source.damage
    assert sum("recordings were joined: the clock jumps once" in warning for warning in sink.warnings) == 1
    assert probe(film).duration_seconds == pytest.approx(2.4, abs=0.1)


def source_lumas(folder: Path, parts: tuple[int, ...]) -> Iterator[np.ndarray]:
    for number in parts:
        yield from lumas(folder / f"part{number}.ts")


def test_a_film_of_one_recording_has_no_jump(tmp_path: Path):
    film = recording(tmp_path / "in.ts")
    assert examine(film).timeline.jumps == 0
    assert not probe(film).warnings


def test_sound_that_outlasts_the_picture_is_not_played_over(tmp_path: Path):
    """The second part begins when both are over."""
    first = recording(tmp_path / "a.ts", frames=50)
    remux(first, tmp_path / "short.ts", lambda packet, time: packet.stream.type == "audio" or time <= 1)
    film = tmp_path / "joined.ts"
    film.write_bytes((tmp_path / "short.ts").read_bytes() + recording(tmp_path / "b.ts").read_bytes())
    color_film(film, tmp_path / "out.mkv")
    sound = [time for time, _ in packets(tmp_path / "out.mkv", "audio")[0]]
    assert max(later - earlier for earlier, later in pairwise(sound)) < Fraction(6, 100)
    assert min(later - earlier for earlier, later in pairwise(sound)) > Fraction(2, 100)


def test_a_range_of_joined_recordings_counts_on(tmp_path: Path):
    film = joined(tmp_path, 0, 0)
    whole = lumas(film)
    with FilmSource(film, start=1.6, end=2.0) as source:
        found = [frame.luma.copy() for frame in source.frames()]
    assert len(found) in (10, 11)
    places = [next(n for n, luma in enumerate(whole) if np.array_equal(luma, one)) for one in found[:3]]
    assert places[0] in (39, 40, 30 + 9, 30 + 10, 9, 10)  # noise repeats: both parts have the same frames


def test_many_jumps_are_no_joined_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vidcolor.media.timeline._MOST_JUMPS", 1)
    film = joined(tmp_path, 0, 0, 0)
    with open_input(film) as container:
        assert read_timeline(container).jumps == 0


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm", ".avi"])
def test_a_clock_that_begins_at_hours_begins_at_zero(tmp_path: Path, suffix: str):
    film = recording(tmp_path / "in.ts", 25 * 36_000)
    plain = {".webm": {"codec": "av1"}}.get(suffix, {})
    if suffix == ".webm":
        film = recording(tmp_path / "silent.ts", 25 * 36_000, sound=())
    color_film(film, tmp_path / f"out{suffix}", **plain)
    found = times(tmp_path / f"out{suffix}")
    assert found[0] < Fraction(1, 10)
    assert found[-1] - found[0] == 29 * STEP
    assert probe(tmp_path / f"out{suffix}").duration_seconds < 2


@pytest.mark.parametrize(("container", "codec"), [("matroska", "libx264"), ("mp4", "libx264"), ("flv", "flv1")])
def test_recorders_that_never_stop_begin_at_zero_in_any_container(tmp_path: Path, container: str, codec: str):
    film = make_film(tmp_path / "in", container=container, codec=codec, pts=range(25 * 36_000, 25 * 36_000 + 9))
    color_film(film, tmp_path / "out.mkv")
    assert times(tmp_path / "out.mkv")[0] < Fraction(1, 10)


def test_a_late_start_of_seconds_is_the_films_own(tmp_path: Path):
    film = make_film(tmp_path / "in.mkv", codec="libx264", pts=range(250, 260))
    color_film(film, tmp_path / "out.mkv")
    assert times(tmp_path / "out.mkv") == times(film)


def test_program_streams_need_not_time_every_frame(tmp_path: Path):
    film = recording(tmp_path / "in.vob", container="vob", frames=60, size=(32, 16))
    with open_input(film) as container:
        container.flags &= ~0x0001  # AVFMT_FLAG_GENPTS
        assert any(packet.pts is None for packet in container.demux(video=0) if packet.size), "a film to fail at"
    source, sink = color_film(film, tmp_path / "out.mkv")
    found = times(tmp_path / "out.mkv")
    assert [round(time - found[0], 3) for time in found] == [Fraction(number, 25) for number in range(60)]
    assert not source.damage
    assert not any("damage" in warning or "repaired" in warning for warning in sink.warnings)


def test_sound_before_the_picture_does_not_end_an_avi(tmp_path: Path):
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=[{}], sound_codec="mp2", pts=range(10, 40))
    with open_input(film) as source, av.open(str(tmp_path / "early.mkv"), "w") as out:
        copies = [out.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.size:
                if packet.stream.type == "audio":
                    packet.pts -= 400
                    packet.dts -= 400
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    before = packets(tmp_path / "early.mkv", "audio")[0]
    _, sink = color_film(tmp_path / "early.mkv", tmp_path / "out.avi")
    after = [content for _, content in packets(tmp_path / "out.avi", "audio")[0]]
    assert len(times(tmp_path / "out.avi")) == 30
    assert after == [content for time, content in before if time > Fraction(2, 5) - Fraction(24, 1000)]
    assert any("s of sound before the first frame left out" in warning for warning in sink.warnings)


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".avi", "mpeg4"), (".ogv", "libtheora"), (".mkv", "libx264"), (".mp4", "libx264")]
)
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(24000, 1001), Fraction(30)])
def test_a_time_finds_the_frame_that_is_on_screen(tmp_path: Path, suffix: str, codec: str, rate: Fraction):
    if suffix == ".ogv" and "libtheora" not in av.codecs_available:
        pytest.skip("no Theora encoder in this FFmpeg")
    film = make_film(tmp_path / f"in{suffix}", codec=codec, pts=range(40), rate=rate, time_base=1 / rate)
    whole = lumas(film)
    with FilmSource(film) as source:
        for number in range(0, 40, 3):
            for share in (Fraction(0), Fraction(1, 2), Fraction(9, 10)):
                frame = source.frame_at((number + share) / rate)
                assert np.array_equal(frame.luma, whole[number]), f"frame {number} + {share}"
        assert source.frame_at(40 / rate + Fraction(1, 10)) is None
        assert np.array_equal(source.frame_at(Fraction(-1)).luma, whole[0])


@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "mpeg4"), (".mkv", "libx264"), (".mp4", "libx264")])
def test_ranges_that_meet_share_no_frame_and_lose_none(tmp_path: Path, suffix: str, codec: str):
    """Half a frame is a tie in containers whose clock ticks once a frame."""
    film = make_film(tmp_path / f"in{suffix}", codec=codec, pts=range(40))
    for border in (0.5, 0.54, 0.5 + 1 / 50, 0.62, 0.3333):
        with FilmSource(film, end=border) as one, FilmSource(film, start=border) as other:
            counts = [sum(1 for _ in source.frames()) for source in (one, other)]
        first = next(number for number in range(41) if number / 25 > border - 0.001)
        assert counts == [first, 40 - first]


def test_a_film_that_cannot_be_searched_is_read_from_its_start(tmp_path: Path):
    film = make_film(tmp_path / "in.wmv", container="asf", codec="wmv2", pts=range(50))
    whole = lumas(film)
    film.write_bytes(film.read_bytes()[:-200])  # the index stands last
    with FilmSource(film) as source:
        frame = source.frame_at(Fraction(1))
        assert frame is not None
        assert np.array_equal(frame.luma, whole[25])


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mpegts", "mpeg2video", {"bf": "2", "g": "12"}),
        ("mpegts", "libx264", {"x264-params": "keyint=250:bframes=3"}),
        ("vob", "mpeg2video", {"bf": "2", "g": "12"}),
        ("avi", "mpeg4", {"bf": "2", "g": "30"}),
        ("avi", "libx264", {"x264-params": "keyint=30:bframes=2"}),
        ("matroska", "libx264", {"x264-params": "keyint=40:open-gop=1:bframes=3"}),
    ],
)
def test_a_range_begins_at_its_frame_in_files_without_an_index(
    tmp_path: Path, container: str, codec: str, options: dict[str, str]
):
    """FFmpeg lands anywhere in them, and what lies before the next key frame does not decode."""
    film = make_film(tmp_path / "in", container=container, codec=codec, size=(96, 64), pts=range(150), options=options)
    whole = lumas(film)
    assert len(whole) == 150
    for first in (1, 30, 73, 110, 145):
        with FilmSource(film, start=first / 25, end=(first + 4) / 25) as source:
            found = [frame.luma.copy() for frame in source.frames()]
            shown = source.frame_at(Fraction(first, 25)).luma.copy()
        assert [one.tobytes() for one in found] == [one.tobytes() for one in whole[first : first + 4]], first
        assert np.array_equal(shown, whole[first])
        assert not source.damage


def without_sound(path: Path, output: Path, first: float, last: float) -> Path:
    with open_input(path) as source:
        begin = min(stream.start_time * stream.time_base for stream in source.streams)
    return remux(path, output, lambda packet, time: packet.stream.type == "video" or not first < time - begin < last)


@pytest.mark.parametrize("hole", [(2, 9), (2, 15)])
def test_a_hole_in_the_sound_is_no_join(tmp_path: Path, hole: tuple[int, int]):
    film = without_sound(recording(tmp_path / "plain.ts", frames=450), tmp_path / "in.ts", *hole)
    assert examine(film).timeline.jumps == 0
    color_film(film, tmp_path / "out.mkv")
    before, after = (packets(path, "audio")[0] for path in (film, tmp_path / "out.mkv"))
    shift = before[0][0] - after[0][0]
    assert max(abs(one - other - shift) for (one, _), (other, _) in zip(before, after, strict=True)) < Fraction(2, 1000)


def test_the_second_part_waits_for_long_sound(tmp_path: Path):
    """More than ten seconds of it without a picture."""
    first = recording(tmp_path / "a.ts", frames=400)
    remux(first, tmp_path / "short.ts", lambda packet, time: packet.stream.type == "audio" or time <= 2)
    film = tmp_path / "joined.ts"
    film.write_bytes((tmp_path / "short.ts").read_bytes() + recording(tmp_path / "b.ts").read_bytes())
    assert examine(film).timeline.jumps == 1
    color_film(film, tmp_path / "out.mkv")
    picture = times(tmp_path / "out.mkv")
    sound = [time for time, _ in packets(tmp_path / "out.mkv", "audio")[0]]
    gap = next(number for number, (one, other) in enumerate(pairwise(picture)) if other - one > 10)
    assert abs(picture[gap + 1] - 16) < Fraction(1, 2)
    assert max(later - earlier for earlier, later in pairwise(sound)) < Fraction(1, 5)
    assert abs(sound[-1] - picture[-1]) < Fraction(1, 5)


def test_parts_with_other_b_frames_follow_each_other_evenly(tmp_path: Path):
    parts = [
        recording(tmp_path / "a.ts", frames=30, options={"bf": "3", "g": "12"}),
        recording(tmp_path / "b.ts", frames=30, options={"bf": "0", "g": "12"}),
    ]
    film = tmp_path / "joined.ts"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    source, _ = color_film(film, tmp_path / "out.mkv")
    found = times(tmp_path / "out.mkv")
    assert {round(float(later - earlier), 2) for earlier, later in pairwise(found)} == {0.04}
    assert not source.damage


def test_sound_that_begins_late_is_found(tmp_path: Path):
    """Behind what FFmpeg looks at to tell the streams of a broadcast."""
    film = without_sound(recording(tmp_path / "plain.ts", frames=500), tmp_path / "in.ts", -1, 14)
    _, sink = color_film(film, tmp_path / "out.mkv")
    before, after = (packets(path, "audio")[0] for path in (film, tmp_path / "out.mkv"))
    assert [content for _, content in after] == [content for _, content in before]
    assert abs(after[0][0] - 14) < Fraction(1, 10)
    assert not any("carried" in warning for warning in sink.warnings)
