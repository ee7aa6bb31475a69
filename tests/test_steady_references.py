"""A still's colors hold through its shot and follow motion; shots that come back get their colors back."""

import numpy as np
import pytest
from test_steady import COLUMNS, GREEN, LENGTH, RED, ROWS, STRIDE, ball_film, ground, plain

from vidcolor.color import Floats
from vidcolor.errors import UsageError
from vidcolor.steady import Steadiness
from vidcolor.steady.key_frames import KeyPlanner
from vidcolor.steady.propagation import ColorPropagator
from vidcolor.steady.references import Reference, ReferenceCorrector
from vidcolor.steady.smoothing import ColorSmoother, SmoothingState
from vidcolor.steady.state import from_arrays, to_arrays

BLUE = (10.0, -50.0)
WAYS = ("flow", "smooth", "keys")


def still_of(lightness: Floats, color: tuple[float, float], number: int | None) -> Reference:
    return Reference.from_lab(number, lightness, plain(color))


def guided(lightness: list[Floats], predictions: list[Floats], steadiness: Steadiness, way: str) -> list[Floats]:
    """A film's colors under a corrector, by each of the ways."""
    found: list[Floats] = []
    corrector = ReferenceCorrector(steadiness.references, has_shot_memory=steadiness.has_shot_memory)
    if way == "keys":
        planner, propagator = KeyPlanner(keys=corrector.numbers), ColorPropagator(corrector=corrector)
        for plan in [plan for frame in lightness for plan in planner.push(frame)] + planner.finish():
            found += propagator.push(plan, predictions[plan.number] if plan.is_key else None)
        return found + propagator.finish()
    smoother = ColorSmoother("flow" if way == "flow" else "smooth", corrector=corrector)
    for frame, ab in zip(lightness, predictions, strict=True):
        found += smoother.push(frame, ab)
    return found + smoother.finish()


def off(ab: Floats, color: tuple[float, float]) -> float:
    """Mean distance from a color."""
    return float(np.hypot(*(ab - plain(color))).mean())


@pytest.mark.parametrize("way", WAYS)
def test_a_still_gives_its_shot_its_colors_and_the_next_shot_none(way: str) -> None:
    lightness = [ground()] * LENGTH + [ground(7)] * LENGTH
    predictions = [plain(GREEN)] * (2 * LENGTH)
    references = (still_of(ground(), BLUE, 0),)
    colors = guided(lightness, predictions, Steadiness(references=references), way)
    assert len(colors) == 2 * LENGTH
    assert max(off(ab, BLUE) for ab in colors[:LENGTH]) < 1
    assert max(off(ab, GREEN) for ab in colors[LENGTH:]) < 1


@pytest.mark.parametrize("way", WAYS)
def test_a_still_in_the_middle_of_a_shot_holds_from_its_start(way: str) -> None:
    references = (still_of(ground(), BLUE, 15),)
    colors = guided([ground()] * LENGTH, [plain(GREEN)] * LENGTH, Steadiness(references=references), way)
    assert max(off(ab, BLUE) for ab in colors) < 1


@pytest.mark.parametrize("way", WAYS)
def test_a_still_without_a_number_is_found_by_its_likeness(way: str) -> None:
    lightness = [ground(7)] * LENGTH + [ground()] * LENGTH
    references = (still_of(ground() * 0.9 + 4, BLUE, None),)
    predictions = [plain(GREEN)] * (2 * LENGTH)
    colors = guided(lightness, predictions, Steadiness(references=references), way)
    assert max(off(ab, GREEN) for ab in colors[:LENGTH]) < 1
    assert max(off(ab, BLUE) for ab in colors[LENGTH:]) < 3


@pytest.mark.parametrize("way", ["flow", "keys"])
def test_a_stills_colors_move_with_the_thing_that_has_them(way: str) -> None:
    lightness, predictions = ball_film(speed=4, length=18)
    wanted = predictions[0].copy()
    wanted[:, 8:16, 0:8] = np.array(BLUE)[:, None, None]  # the red square becomes blue
    colors = guided(lightness, predictions, Steadiness(references=(Reference.from_lab(0, lightness[0], wanted),)), way)
    for number in (6, 12, 17):
        left = number * 4 // STRIDE
        inside = colors[number][:, 10:14, left + 2 : left + 6].mean(axis=(1, 2))
        assert np.hypot(*(inside - BLUE)) < 12, number
        assert np.hypot(*(colors[number][:, 2:5].mean(axis=(1, 2)) - GREEN)) < 3, number


@pytest.mark.parametrize("way", WAYS)
def test_a_shot_that_comes_back_has_its_colors_again(way: str) -> None:
    lightness = [ground()] * LENGTH + [ground(7)] * LENGTH + [ground()] * LENGTH
    predictions = [plain(RED)] * LENGTH + [plain(GREEN)] * LENGTH + [plain(BLUE)] * LENGTH
    colors = guided(lightness, predictions, Steadiness(has_shot_memory=True), way)
    assert max(off(ab, GREEN) for ab in colors[LENGTH : 2 * LENGTH]) < 1
    assert max(off(ab, RED) for ab in colors[2 * LENGTH :]) < 2
    forgetful = guided(lightness, predictions, Steadiness(), way)
    assert max(off(ab, BLUE) for ab in forgetful[2 * LENGTH :]) < 1


def test_what_the_still_does_not_show_keeps_the_networks_color_unless_it_looks_the_same() -> None:
    other, prediction = ground().copy(), plain(GREEN)
    half = prediction.shape[2] // 2
    other[:, COLUMNS // 2 :] = ground(7)[:, COLUMNS // 2 :]  # half of the picture is another
    prediction[:, :, half:] = np.array(RED)[:, None, None]
    colors = guided([other] * 6, [prediction] * 6, Steadiness(references=(still_of(ground(), BLUE, 0),)), "flow")
    assert np.hypot(*(colors[-1][:, :, : half - 4].mean(axis=(1, 2)) - BLUE)) < 6
    assert np.hypot(*(colors[-1][:, :, half + 4 :].mean(axis=(1, 2)) - RED)) < 25


def test_a_guided_film_in_pieces_equals_the_film_in_one_piece() -> None:
    lightness = [ground()] * 10 + [ground(7)] * 10 + [ground()] * 10
    predictions = [plain(RED)] * 10 + [plain(GREEN)] * 10 + [plain(BLUE)] * 10
    references = (still_of(ground(7), BLUE, 12),)
    whole = guided(lightness, predictions, Steadiness(has_shot_memory=True, references=references), "flow")
    found: list[Floats] = []
    state = SmoothingState()
    for start in range(0, 30, 7):
        smoother = ColorSmoother("flow", state, ReferenceCorrector(references, has_shot_memory=True))
        for number in range(start, min(start + 7, 30)):
            found += smoother.push(lightness[number], predictions[number])
        state = from_arrays(SmoothingState, to_arrays(smoother.state))
    found += ColorSmoother("flow", state, ReferenceCorrector(references, has_shot_memory=True)).finish()
    assert len(found) == 30
    assert all(np.array_equal(one, other) for one, other in zip(whole, found, strict=True))


@pytest.mark.parametrize(
    "options", [{"every": 4}, {"has_shot_memory": True}, {"references": (still_of(ground(), RED, 1),)}]
)
def test_off_goes_with_nothing_that_holds_colors(options: dict) -> None:
    with pytest.raises(UsageError, match="--steady off"):
        Steadiness("off", **options)


def test_stills_of_other_proportions_are_taken_for_the_whole_picture() -> None:
    small = np.ascontiguousarray(ground()[: ROWS - 4])
    colors = guided([ground()] * 5, [plain(GREEN)] * 5, Steadiness(references=(still_of(small, BLUE, 0),)), "flow")
    assert colors[0].shape == plain(GREEN).shape
