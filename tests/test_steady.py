"""Still things hold their color, moving things keep theirs, a cut changes at once; films are made here."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from vidcolor.choices import AveragingMode
from vidcolor.color import Floats
from vidcolor.errors import ShapeError, UsageError
from vidcolor.steady.key_frames import MAX_INTERVAL, KeyPlanner, PlanState
from vidcolor.steady.propagation import ColorPropagator, PropagationState, propagate
from vidcolor.steady.smoothing import ColorSmoother, SmoothingState, smooth
from vidcolor.steady.state import from_arrays, to_arrays

ROWS, COLUMNS = 96, 160
STRIDE = 4  # L* pixels for one of a*b*
LENGTH = 24
MODES: tuple[AveragingMode, ...] = get_args(AveragingMode)
RED, GREEN = (50.0, 30.0), (-40.0, 30.0)
Film = tuple[list[Floats], list[Floats]]  # L* and the network's a*b*


def ground(seed: int = 1) -> Floats:
    random = np.random.default_rng(seed)
    cells = random.uniform(30, 90, (ROWS // 8, COLUMNS // 8))
    return np.kron(cells, np.ones((8, 8))).astype(np.float32)


def plain(color: tuple[float, float]) -> Floats:
    tint = np.array(color, np.float32)[:, None, None]
    return np.broadcast_to(tint, (2, ROWS // STRIDE, COLUMNS // STRIDE)).copy()


def flickering(predictions: list[Floats], strength: float = 12.0) -> list[Floats]:
    """Each prediction off by another cast and by blotches."""
    random = np.random.default_rng(2)
    found = []
    for ab in predictions:
        blotches = np.kron(random.normal(0, strength / 2, (2, ab.shape[1] // 4, ab.shape[2] // 4)), np.ones((4, 4)))
        found.append((ab + random.normal(0, strength / 2, (2, 1, 1)) + blotches).astype(np.float32))
    return found


def still_film(length: int = LENGTH) -> Film:
    return [ground()] * length, flickering([plain(GREEN)] * length)


def ball_film(speed: int = 6, length: int = LENGTH) -> Film:
    """A dark red square that crosses a lighter green ground."""
    lightness, ab = [], []
    for number in range(length):
        frame, color = ground().copy(), plain(GREEN)
        left = number * speed // STRIDE
        color[:, 8:16, left : left + 8] = np.array(RED)[:, None, None]
        frame[8 * STRIDE : 16 * STRIDE, left * STRIDE : (left + 8) * STRIDE] = 15
        lightness.append(frame)
        ab.append(color)
    return lightness, ab


def cut_film() -> Film:
    first, second = still_film(), still_film()
    return [*first[0], *[ground(7)] * LENGTH], [*first[1], *[-ab for ab in second[1]]]


def pairs(lightness: list[Floats], ab: list[Floats]) -> Iterator[tuple[Floats, Floats]]:
    return zip(lightness, ab, strict=True)


def restlessness(film: Sequence[Floats]) -> float:
    """Root mean square of what changes from frame to frame, a*b*."""
    return float(np.sqrt(np.mean([np.square(now - before).mean() for before, now in pairwise(film)])))


def by_keys(film: Film, every: int | None) -> tuple[list[Floats], int]:
    """What the key frames make of a film, and how many frames the network was asked about."""
    prediction_of = {id(frame): ab for frame, ab in pairs(*film)}
    asked: list[Floats] = []

    def predict(frames: Sequence[Floats]) -> list[Floats]:
        asked.extend(frames)
        return [prediction_of[id(frame)] for frame in frames]

    return list(propagate(film[0], predict, every)), len(asked)


def distinct(film: Film) -> Film:
    return [frame.copy() for frame in film[0]], film[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_still_scene_holds_its_color(mode: AveragingMode) -> None:
    lightness, ab = still_film()
    found = list(smooth(pairs(lightness, ab), mode))
    assert len(found) == LENGTH
    assert restlessness(found) < 0.3 * restlessness(ab)
    assert np.abs(found[-1] - plain(GREEN)).mean() < 0.5 * np.abs(ab[-1] - plain(GREEN)).mean()


@pytest.mark.parametrize("mode", MODES)
def test_flicker_of_exposure_does_not_let_color_flicker(mode: AveragingMode) -> None:
    lightness, ab = still_film()
    random = np.random.default_rng(8)
    exposed = [np.clip((frame + 16) * random.uniform(0.85, 1.1) - 16, 0, 100) for frame in lightness]
    assert restlessness(list(smooth(pairs(exposed, ab), mode))) < 0.3 * restlessness(ab)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("speed", [4, 12, 24])
def test_a_moving_thing_keeps_its_color_and_leaves_no_trail(mode: AveragingMode, speed: int) -> None:
    lightness, ab = ball_film(speed, min(LENGTH, (COLUMNS - 32) // speed))
    for true, found in list(zip(ab, smooth(pairs(lightness, ab), mode), strict=True))[2:]:
        is_red = true[0] == RED[0]
        inner = is_red & np.roll(is_red, 2, 1) & np.roll(is_red, -2, 1)
        assert found[0][inner].mean() > 0.65 * RED[0]
        outer = ~(is_red | np.roll(is_red, 2, 1) | np.roll(is_red, -2, 1))
        assert found[0][outer].max() < 0.25 * GREEN[0], "a trail: the ground is green"
        assert found[0][outer].mean() < 0.95 * GREEN[0]


@pytest.mark.parametrize("mode", MODES)
def test_a_cut_changes_color_at_once(mode: AveragingMode) -> None:
    lightness, ab = cut_film()
    found = list(smooth(pairs(lightness, ab), mode))
    np.testing.assert_array_equal(found[LENGTH], ab[LENGTH])


@pytest.mark.parametrize("mode", MODES)
def test_color_does_not_get_duller(mode: AveragingMode) -> None:
    ab = flickering([plain((14, 8))] * 60)
    found = list(smooth(pairs([ground()] * 60, ab), mode))
    chroma = [float(np.mean([np.hypot(*frame).mean() for frame in frames[20:]])) for frames in (found, ab)]
    assert chroma[0] > 0.97 * chroma[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_film_in_pieces_equals_the_film_in_one_piece(mode: AveragingMode) -> None:
    lightness, ab = cut_film()
    found, state = list[Floats](), SmoothingState()
    for first in range(0, len(lightness), 7):
        smoother = ColorSmoother(mode, from_arrays(SmoothingState, to_arrays(state)))
        for pair in list(pairs(lightness, ab))[first : first + 7]:
            found += smoother.push(*pair)
        state = smoother.state
        assert smoother.waiting == min(first + 7, len(lightness)) - len(found)
    found += ColorSmoother(mode, state).finish()
    np.testing.assert_array_equal(found, list(smooth(pairs(lightness, ab), mode)))


@pytest.mark.parametrize("every", [1, 2, 5])
def test_every_n_asks_about_one_frame_in_n(every: int) -> None:
    found, asked = by_keys(distinct(still_film()), every)
    assert len(found) == LENGTH
    assert asked == -(-LENGTH // every)


def test_auto_asks_rarely_where_nothing_happens_and_always_after_a_cut() -> None:
    film = distinct(cut_film())
    found, asked = by_keys(film, None)
    assert asked == 2 * -(-LENGTH // MAX_INTERVAL)
    np.testing.assert_array_equal(found[LENGTH], film[1][LENGTH])


def test_auto_asks_more_often_where_much_is_new() -> None:
    random = np.random.default_rng(4)
    lightness = [ground().copy() for _ in range(LENGTH)]
    for frame in lightness:  # half of the picture is another one in every frame
        frame[:, : COLUMNS // 2] = np.kron(random.uniform(0, 100, (12, 10)), np.ones((8, 8)))
    _, asked = by_keys((lightness, still_film()[1]), None)
    assert asked > 1.5 * LENGTH / MAX_INTERVAL


@pytest.mark.parametrize("every", [4, None])
def test_between_keys_a_moving_thing_keeps_its_color(every: int | None) -> None:
    film = ball_film(4)
    for true, found in zip(film[1], by_keys(film, every)[0], strict=True):
        is_red = true[0] == RED[0]
        inner = is_red & np.roll(is_red, 2, 1) & np.roll(is_red, -2, 1)
        assert found[0][inner].mean() > 0.7 * RED[0]
        far = ~(is_red | np.roll(is_red, 4, 1) | np.roll(is_red, -4, 1))
        assert found[0][far].mean() < 0.9 * GREEN[0]


def test_key_frames_are_steadier_than_every_frame() -> None:
    film = distinct(still_film())
    assert restlessness(by_keys(film, 4)[0]) < 0.3 * restlessness(film[1])


@pytest.mark.parametrize("every", [3, None])
def test_key_frames_in_pieces_equal_those_in_one_piece(every: int | None) -> None:
    film = distinct(cut_film())
    found = list[Floats]()
    plan, carry = PlanState(), PropagationState()
    decided_on = 0
    for first in range(0, len(film[0]), 7):
        planner = KeyPlanner(every, from_arrays(PlanState, to_arrays(plan)))
        propagator = ColorPropagator(from_arrays(PropagationState, to_arrays(carry)))
        for frame in film[0][first : first + 7]:
            for planned in planner.push(frame):
                found += propagator.push(planned, film[1][decided_on] if planned.is_key else None)
                decided_on += 1
        plan, carry = planner.state, propagator.state
    for planned in KeyPlanner(every, plan).finish():
        found += propagator.push(planned, film[1][decided_on] if planned.is_key else None)
        decided_on += 1
    found += propagator.finish()
    np.testing.assert_array_equal(found, by_keys(film, every)[0])


@pytest.mark.parametrize("size", [(32, 64), (50, 90)])
def test_frames_of_any_size_come_back_in_their_size(size: tuple[int, int]) -> None:
    lightness = [np.full(size, 50, np.float32)] * 3
    ab = [np.zeros((2, size[0] // 4, size[1] // 3), np.float32)] * 3
    assert [found.shape for found in smooth(pairs(lightness, ab), "flow")] == [ab[0].shape] * 3


@pytest.mark.parametrize("film", [0, 1, 2])
def test_films_of_no_or_few_frames_come_out_whole(film: int) -> None:
    pair = still_film(film)
    assert len(list(smooth(pairs(*pair)))) == film
    assert len(by_keys(distinct(pair), None)[0]) == film


def test_a_key_without_the_networks_prediction_is_refused() -> None:
    (planned,) = KeyPlanner().push(ground())
    with pytest.raises(ShapeError, match="key"):
        ColorPropagator().push(planned)


def test_a_rhythm_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="every 0"):
        KeyPlanner(0)
