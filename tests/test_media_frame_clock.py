"""Frames by the clock: which one is shown at a time, at one rate and at a variable one."""

from pathlib import Path

import numpy as np
import pytest
from media_fixtures import make_film, make_shots

from vidcolor.media.frame_clock import FrameClock
from vidcolor.media.seeking import frames_at, read_properties
from vidcolor.media.source import FilmSource

TIMES = (0, 0.5, 0.51, 0.52, 0.54, 1.0, 2.9999)


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("even") / "film.mkv", pts=range(80))


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames: the first 20 twice as quick as the others, with a pause of two seconds between them."""
    pts = [*range(0, 40, 2), *range(118, 278, 4)]  # in 1/50 s
    return make_shots(tmp_path_factory.mktemp("uneven") / "film.mkv", (30, 30), pts)


def test_the_frame_at_a_time_at_one_rate(even: Path):
    clock = FrameClock(even)
    assert len(clock.pts) == 80
    assert clock.is_seekable
    assert [clock.number_shown_at(seconds) for seconds in TIMES] == [0, 12, 12, 13, 13, 25, 75]
    assert [clock.number_at(seconds) for seconds in (None, *TIMES)] == [0, 0, 13, 13, 13, 14, 25, 75]


def test_the_frame_at_a_time_at_a_variable_rate(uneven: Path):
    clock = FrameClock(uneven)
    assert len(clock.pts) == 60
    shown = {0: 0, 0.1: 2, 0.76: 19, 1.5: 19, 2.35: 19, 2.36: 20, 2.45: 21, 5.5: 59, 9: 60}
    assert {seconds: clock.number_shown_at(seconds) for seconds in shown} == shown
    assert [clock.time_of(number) for number in (0, 19, 20, 21, 59)] == pytest.approx([0, 0.76, 2.36, 2.44, 5.48])
    first = {0.09: 3, 0.08: 2, 1.5: 20, 2.36: 20, 2.37: 21, 9: 60}
    assert {seconds: clock.number_at(seconds) for seconds in first} == first


@pytest.mark.parametrize("start", [0.2, 1.0, 2.5])
def test_a_range_begins_where_the_clock_says(uneven: Path, start: float):
    with FilmSource(uneven) as whole, FilmSource(uneven, start=start) as part:
        every, first = [frame.luma.copy() for frame in whole.frames()], next(iter(part.frames())).luma
    np.testing.assert_array_equal(first, every[FrameClock(uneven).number_at(start)])


def test_numbered_frames_of_a_variable_rate_are_found(uneven: Path):
    film, clock = read_properties(uneven), FrameClock(uneven)
    size = (film.width, film.height)
    with FilmSource(uneven) as source:
        lumas = [frame.luma.astype(float) for frame in source.frames()]
    for number in (0, 1, 7, 19, 20, 21, 40, 59):
        (found,) = frames_at(uneven, [(number, number)], film, size, pts=clock.pts)
        assert found is not None
        seen = found[1].mean(axis=2) - found[1].mean()
        differences = [np.abs(seen - (luma - luma.mean())).mean() for luma in lumas]
        assert (found[0], int(np.argmin(differences))) == (number, number)


def test_all_numbered_frames_in_order(uneven: Path):
    film, clock = read_properties(uneven), FrameClock(uneven)
    wanted = [(number, number) for number in range(60)]
    found = list(frames_at(uneven, wanted, film, (48, 32), pts=clock.pts))
    assert [each[0] for each in found if each is not None] == list(range(60))


def check_against_source(film: Path) -> FrameClock:
    """Numbers, times and pictures are those of the frames as FilmSource gives them."""
    clock = FrameClock(film)
    with FilmSource(film) as source:
        frames = [(source.time_of(frame), frame.luma.copy()) for frame in source.frames()]
    assert len(clock.pts) == len(frames)
    for number, (seconds, _) in enumerate(frames):
        assert clock.time_of(number) == pytest.approx(float(seconds), abs=1e-6)
        assert clock.number_at(seconds) == (number if seconds > 0 else 0)
        assert clock.number_shown_at(seconds) == number
    return clock


def test_sound_that_begins_first_counts(tmp_path: Path):
    film = make_film(tmp_path / "film.mkv", pts=range(14, 54), sound=({},))
    check_against_source(film)


def test_a_recording_that_begins_between_key_frames_is_decoded(tmp_path: Path):
    whole = make_film(tmp_path / "whole.ts", codec="mpeg2video", pts=range(40))
    blocks, content = 188, whole.read_bytes()
    film = tmp_path / "film.ts"
    film.write_bytes(content[: 3 * blocks] + content[40 * blocks :])  # the tables, then from the middle on
    clock = check_against_source(film)
    assert len(clock.pts) < 40


def test_joined_recordings_count_on(tmp_path: Path):
    part = make_film(tmp_path / "part.ts", codec="mpeg2video", pts=range(40)).read_bytes()
    film = tmp_path / "film.ts"
    film.write_bytes(part + part)
    clock = check_against_source(film)
    assert not clock.is_seekable


def test_a_stream_without_times_counts_by_its_rate(tmp_path: Path):
    film = make_film(tmp_path / "film.h264", codec="libx264", pts=range(40))
    assert len(FrameClock(film).pts) == 40
