"""A film that is colored in parts comes out as one that was colored in one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_fixtures import in_stages, make_shots, packets, plan_all, times

from vidcolor.batch.films import BatchFilmColorizer
from vidcolor.errors import SinkError
from vidcolor.films import parts
from vidcolor.films.job import FilmOptions
from vidcolor.films.tone import film_tone
from vidcolor.frames import Part
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.segments import SegmentStore, find_parts, part_path
from vidcolor.media.source import FilmSource
from vidcolor.steady import Steadiness

SHOTS = (13, 9, 22, 5, 31, 17)  # frames
FRAMES = sum(SHOTS)
WAYS: dict[str, dict[str, Any]] = {
    "off": {"steady": "off"},
    "smooth": {"steady": "smooth"},
    "flow": {"steady": "flow"},
    "shot": {},
    "auto": {"every": None},
    "every 3": {"every": 3},
}


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of eight frames."""
    for module in ("films.pipeline", "films.parts", "steady.checkpoints"):
        monkeypatch.setattr(f"vidcolor.{module}.SEGMENT_FRAMES", 8)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_shots(tmp_path_factory.mktemp("shots") / "film.mkv", SHOTS)
    assert film_tone(path) == "gray"
    return path


@pytest.fixture(scope="module")
def colorizer(tiny_model: Path):
    with Colorizer.load(str(tiny_model)) as loaded:
        yield loaded


def films_of(model: Path, **changes: Any) -> BatchFilmColorizer:
    return BatchFilmColorizer(FilmOptions(ModelSettings(str(model)), **{"codec": "h264"} | changes))


def survey(film: Path, colorizer: Colorizer, wanted: int, steadiness: Steadiness | None = None) -> list[Part]:
    with FilmSource(film) as source:
        return in_stages(lambda known: parts.plan_parts(source, colorizer, steadiness or Steadiness(), wanted, known))


def contents(path: Path) -> list[Any]:
    with FilmSource(path) as source:
        pictures = [frame.native.to_ndarray().tobytes() for frame in source.frames()]
    return [times(path), pictures, packets(path, "audio")]


def test_parts_follow_each_other_and_begin_at_cuts(film: Path, colorizer: Colorizer):
    found = survey(film, colorizer, 4)
    assert len(found) >= 3
    assert found[0].first_colored == found[0].first == 0
    assert [part.end for part in found[:-1]] == [part.first for part in found[1:]]
    assert FRAMES - 8 < found[-1].end <= FRAMES
    cuts = np.cumsum(SHOTS)
    for part in found[1:]:
        assert part.first_colored in cuts
        assert part.first_colored <= part.first
        assert part.first % 8 == 0
        assert not any(part.first_colored < cut <= part.first for cut in cuts)


def test_the_first_part_is_planned_before_the_film_is_known(film: Path, colorizer: Colorizer):
    with FilmSource(film) as source:
        (first,), known = parts.plan_parts(source, colorizer, Steadiness(), 4)
        assert known is not None
        assert known.point is not None
        assert first.end < known.point.count < FRAMES - 16
        assert known.planned * 8 == first.end
        more, known = parts.plan_parts(source, colorizer, Steadiness(), 4, known)
        assert more[0].first == first.end


def test_a_film_of_unknown_length_is_looked_through_at_once(
    film: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
):
    with FilmSource(film) as source:
        known = parts.plan_parts(source, colorizer, Steadiness(), 4)[0]
        monkeypatch.setattr(source, "info", replace(source.info, frame_count=None), raising=False)
        found, rest = parts.plan_parts(source, colorizer, Steadiness(), 4)
    assert rest is None
    assert len(found) >= 3
    assert found[0] == known[0]


def test_without_steadying_nothing_is_colored_in_vain(film: Path, colorizer: Colorizer):
    assert all(part.first_colored == part.first for part in survey(film, colorizer, 4, Steadiness("off")))


def test_what_remembers_the_whole_film_is_not_parted(film: Path, colorizer: Colorizer):
    assert survey(film, colorizer, 4, Steadiness(has_shot_memory=True)) == []
    assert survey(film, colorizer, 1) == []


def test_one_long_shot_is_not_parted(tmp_path: Path, colorizer: Colorizer):
    assert survey(make_shots(tmp_path / "long.mkv", [80]), colorizer, 4) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_parts_in_any_order_make_the_same_film(
    way: str, suffix: str, film: Path, tmp_path: Path, tiny_model: Path, colorizer: Colorizer,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr("vidcolor.steady.shot.LIKE", 1e9)  # also where a shot begins that looks like the one before
    films = films_of(tiny_model, **WAYS[way])
    whole, joined = tmp_path / f"whole.{suffix}", tmp_path / f"joined.{suffix}"
    films.colorize(film, whole, colorizer, is_again=False)
    found = plan_all(films, film, colorizer, 4)
    assert len(found) > 1
    for part in reversed(found):
        films.colorize_part(film, joined, colorizer, part, is_again=False)
    assert len(find_parts(joined)) == len(found)
    made: list[int] = []
    predict = colorizer.predict
    try:
        colorizer.predict = lambda lightness: made.append(len(lightness)) or predict(lightness)  # type: ignore[method-assign]
        films.colorize(film, joined, colorizer, is_again=True)
    finally:
        del colorizer.predict
    assert sum(made) < 8 + 2  # only what is left of the last segment was colored
    assert contents(joined) == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([whole.name, joined.name])


def test_uneven_times_stay(tmp_path: Path, tiny_model: Path, colorizer: Colorizer):
    steps = np.random.default_rng(2).choice([1, 2, 2, 3, 17], FRAMES)
    source = make_shots(tmp_path / "uneven.mkv", SHOTS, pts=[int(pts) for pts in 30 + np.cumsum(steps)])
    films = films_of(tiny_model, preset="medium")
    whole, joined = tmp_path / "whole.mp4", tmp_path / "joined.mp4"
    films.colorize(source, whole, colorizer, is_again=False)
    for part in plan_all(films, source, colorizer, 4):
        films.colorize_part(source, joined, colorizer, part, is_again=False)
    films.colorize(source, joined, colorizer, is_again=True)
    assert contents(joined) == contents(whole)


def test_a_part_that_was_killed_is_gone_on_with(
    film: Path, tmp_path: Path, tiny_model: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
):
    films = films_of(tiny_model)
    whole, joined = tmp_path / "whole.mkv", tmp_path / "joined.mkv"
    films.colorize(film, whole, colorizer, is_again=False)
    first, second, *_ = plan_all(films, film, colorizer, 3)
    taken, finish = [], SegmentStore.finish

    def failing(store: SegmentStore, *arguments: Any) -> None:
        finish(store, *arguments)
        taken.append(arguments[0].count)
        if len(taken) == 1:
            raise OSError("the power failed")

    monkeypatch.setattr(SegmentStore, "finish", failing)
    with pytest.raises(SinkError, match="power"):
        films.colorize_part(film, joined, colorizer, second, is_again=False)
    films.colorize_part(film, joined, colorizer, second, is_again=True)
    assert taken == list(range(second.first + 8, second.end + 1, 8))  # none twice
    films.colorize_part(film, joined, colorizer, first, is_again=False)
    films.colorize(film, joined, colorizer, is_again=True)
    assert contents(joined) == contents(whole)


def test_a_part_that_does_not_follow_is_left_alone_until_the_film_is_done(
    film: Path, tmp_path: Path, tiny_model: Path, colorizer: Colorizer
):
    films = films_of(tiny_model)
    whole, joined = tmp_path / "whole.mkv", tmp_path / "joined.mkv"
    films.colorize(film, whole, colorizer, is_again=False)
    last = plan_all(films, film, colorizer, 3)[-1]
    films.colorize_part(film, joined, colorizer, last, is_again=False)
    assert [path.name for path in find_parts(joined)] == [f"joined.mkv~{last.first:09d}"]
    assert (tmp_path / f".vidcolor-{part_path(joined, last.first).name}").is_dir()
    films.colorize(film, joined, colorizer, is_again=True)
    assert contents(joined) == contents(whole)
    assert find_parts(joined) == []


def test_parts_of_other_settings_are_not_joined(film: Path, tmp_path: Path, tiny_model: Path, colorizer: Colorizer):
    films, other = films_of(tiny_model), films_of(tiny_model, crf=30)
    whole, joined = tmp_path / "whole.mkv", tmp_path / "joined.mkv"
    films.colorize(film, whole, colorizer, is_again=False)
    for part in plan_all(other, film, colorizer, 3):
        other.colorize_part(film, joined, colorizer, part, is_again=False)
    films.colorize(film, joined, colorizer, is_again=True)
    assert contents(joined) == contents(whole)
    assert find_parts(joined) == []


def test_no_resume_forgets_parts(film: Path, tmp_path: Path, tiny_model: Path, colorizer: Colorizer):
    films = films_of(tiny_model)
    part = plan_all(films, film, colorizer, 3)[0]
    out = tmp_path / "out.mkv"
    films.colorize_part(film, out, colorizer, part, is_again=False)
    replace(films, options=replace(films.options, resume=False)).colorize(film, out, colorizer, is_again=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv"]
