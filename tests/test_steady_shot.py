"""Steadying with a view of the shot: past and future count, keys agree, cuts part, and pieces equal a whole."""

from itertools import islice

import numpy as np
import pytest
import skimage.data

from vidcolor.color import picture_to_lab
from vidcolor.films.known_colors import KnownColors
from vidcolor.films.pipeline import _predict
from vidcolor.films.predictors import Predictors
from vidcolor.inference.colorizer import Colorizer
from vidcolor.steady import Steadiness
from vidcolor.steady.palette import EVIDENCE, KEY_INTERVAL, MEMORY, PaletteKey, agree
from vidcolor.steady.shot import AHEAD, ShotState, ShotSteadier, is_needless
from vidcolor.steady.smoothing import ColorSmoother
from vidcolor.steady.state import from_arrays, to_arrays

RANDOM = np.random.default_rng(7)
LIKENESS = RANDOM.normal(size=(64, 6, 6)).astype(np.float32) * np.float32(0.45)


def texture(seed: int, columns: int = 320) -> np.ndarray:
    """L* of something to look at."""
    picture = np.random.default_rng(seed).uniform(10, 90, (12, -(-columns // 8)))
    return np.kron(picture, np.ones((8, 8))).astype(np.float32)


def pan(seed: int, frames: int) -> list[np.ndarray]:
    wide = texture(seed, 96 + 2 * frames)
    return [np.ascontiguousarray(wide[:, 2 * at : 2 * at + 96]) for at in range(frames)]


def flat(*ab: float) -> np.ndarray:
    return np.broadcast_to(np.array(ab, np.float32)[:, None, None], (2, 24, 24)).copy()


def steady(
    lightness: list[np.ndarray], ab: list[np.ndarray], pieces: int = 10_000, steadier: ShotSteadier | None = None
) -> list[np.ndarray]:
    """Every frame's a*b*; begun anew from the saved state after each `pieces` frames."""
    found, state = [], ShotState()
    items, number = iter(list(zip(lightness, ab, strict=True))), 0
    steadier = steadier or ShotSteadier(state)
    while piece := list(islice(items, pieces)):
        for frame, colors in piece:
            found += steadier.push(frame, colors, None, LIKENESS if number % KEY_INTERVAL == 0 else None)
            number += 1
        steadier = ShotSteadier(from_arrays(ShotState, to_arrays(steadier.state)))
    return found + steadier.finish()


def test_every_frame_comes_out_once_and_few_wait() -> None:
    steadier, out = ShotSteadier(), 0
    for number, frame in enumerate(pan(1, 100)):
        out += len(steadier.push(frame, flat(10, 5), None, LIKENESS if number % KEY_INTERVAL == 0 else None))
        assert steadier.waiting == number + 1 - out
        assert steadier.waiting <= AHEAD + KEY_INTERVAL + 2
    assert out >= 100 - AHEAD - KEY_INTERVAL - 2
    assert out + len(steadier.finish()) == 100


def test_noise_of_the_network_is_averaged_from_both_sides() -> None:
    frames = pan(2, 60)
    noisy = [flat(20, 10) + RANDOM.normal(0, 6, (2, 24, 24)).astype(np.float32) for _ in frames]
    found, smoothed = steady(frames, noisy), ColorSmoother("flow")
    flow = [ab for frame, colors in zip(frames, noisy, strict=True) for ab in smoothed.push(frame, colors)]
    flow += smoothed.finish()
    for place in (0, 1, 30):
        assert np.std(found[place] - flat(20, 10)) < 0.45 * np.std(noisy[place] - flat(20, 10))
    assert np.std(found[0] - flat(20, 10)) < 0.6 * np.std(flow[0] - flat(20, 10))  # nothing came before it


def test_nothing_crosses_a_cut() -> None:
    shots = pan(3, 30) + pan(4, 30)
    colors = [flat(40, 0)] * 30 + [flat(-30, 20)] * 30
    found = steady(shots, colors)
    assert np.allclose(found[29], flat(40, 0), atol=0.01)
    assert np.allclose(found[30], flat(-30, 20), atol=0.01)


@pytest.mark.parametrize("pieces", [1, 7, 12, 25])
def test_pieces_equal_the_whole(pieces: int) -> None:
    frames = pan(5, 50) + pan(6, 9) + pan(7, 40)
    colors = [flat(20, 10) + RANDOM.normal(0, 6, (2, 24, 24)).astype(np.float32) for _ in frames]
    whole, parts = steady(frames, colors), steady(frames, colors, pieces)
    assert len(whole) == len(parts) == 99
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_a_shot_keeps_its_amount_of_color() -> None:
    frames = pan(8, 80)
    calm = [flat(15, 0) + RANDOM.normal(0, 2, (2, 24, 24)).astype(np.float32) for _ in frames]
    assert np.mean(steady(frames, calm)[40][0]) == pytest.approx(16, rel=0.12)
    lively = [flat(0, 0) + RANDOM.normal(0, 5, (2, 24, 24)).astype(np.float32) for _ in frames]
    assert np.std(steady(frames, lively)[40]) < 2  # noise is not brought back


def test_most_frames_that_are_like_the_one_before_need_no_opinion() -> None:
    one, other = texture(1), texture(2)
    assert is_needless(1, one, one + 1)
    assert is_needless(2, one, one)
    assert not is_needless(6, one, one)
    assert is_needless(3, one, one + 4)
    assert not is_needless(4, one, one + 4)  # a fade or flicker
    assert not is_needless(1, None, one)
    assert not is_needless(1, one, other)
    assert not is_needless(1, one, one[:, :96])


def test_frames_without_an_opinion_have_the_colors_of_those_before_them() -> None:
    frames = pan(5, 60)
    colors = [flat(20, number / 6) for number in range(60)]
    asked, halved = [], []
    for found, skips in ((asked, False), (halved, True)):
        steadier = ShotSteadier()
        for number, frame in enumerate(frames):
            found += steadier.push(frame, None if skips and number % 2 else colors[number])
        found += steadier.finish()
    assert len(halved) == 60
    assert max(float(np.abs(one - other).max()) for one, other in zip(asked, halved, strict=True)) < 0.6


def test_the_network_is_asked_about_a_shots_first_frame_after_all() -> None:
    frames, found, asked = [*pan(1, 11), *pan(3, 12)], [], []

    def ask(lightness: np.ndarray) -> np.ndarray:
        asked.append(lightness)
        return flat(-20, 5)

    steadier = ShotSteadier(ask=ask)
    for number, frame in enumerate(frames):
        ab = flat(9, 9) if number < 11 else flat(-20, 5)
        found += steadier.push(frame, None if number % 2 else ab)
    found += steadier.finish()
    assert len(asked) == 1
    assert asked[0] is frames[11]
    assert max(float(np.abs(each - flat(9, 9)).max()) for each in found[:11]) < 0.1
    assert max(float(np.abs(each - flat(-20, 5)).max()) for each in found[11:]) < 0.1  # nothing crosses the cut


def test_the_network_is_asked_about_few_frames_of_a_calm_shot(colorizer: Colorizer) -> None:
    asked: list[int] = []

    class Counting(Predictors):
        def predict(self, frames, numbers, needless=()):
            found = list(super().predict(frames, numbers, needless))
            asked.extend(number for number, (ab, _, _) in zip(numbers, found, strict=True) if ab is not None)
            return iter(found)

    frames = [(None, texture(4, 96) + number / 10) for number in range(41)]
    for steadiness in (Steadiness("shot"), Steadiness("flow")):
        predictors = Counting(colorizer, steadiness, None, None)
        assert len(list(_predict(iter(frames), 8, predictors, 0, 3))) == 41
    few = sorted({*range(3, 44, 6), 12, 24, 36})  # every sixth one, and keys
    assert asked[: len(few)] == few
    assert asked[len(few) :] == list(range(3, 44))


def test_keys_agree_on_what_is_alike() -> None:
    other = np.random.default_rng(9).normal(size=LIKENESS.shape).astype(np.float32) * 3
    first = agree((), LIKENESS, flat(10, 0))
    np.testing.assert_array_equal(first.ab_2hw, flat(10, 0))
    assert (first.weight_hw == 1).all()
    second = agree(first.keys, LIKENESS, flat(40, 0))
    assert second.ab_2hw[0].mean() == pytest.approx((0.25 * 40 + 10) / 1.25, abs=0.5)
    assert second.weight_hw.mean() == pytest.approx(1 + EVIDENCE, rel=0.01)
    third = agree(second.keys, LIKENESS, flat(40, 0))
    assert third.weight_hw.mean() == pytest.approx(1 + 2 * EVIDENCE, rel=0.01)
    foreign = agree(first.keys, other, flat(40, 0))
    assert foreign.ab_2hw[0].mean() > 39
    assert foreign.weight_hw.max() < 1.1


def test_agreement_moves_colors_and_keeps_their_detail() -> None:
    detail = RANDOM.normal(0, 6, (2, 24, 24)).astype(np.float32)
    first = agree((), LIKENESS, flat(10, 0))
    moved = agree(first.keys, LIKENESS, flat(40, 0) + detail).ab_2hw
    left = moved - moved.mean(axis=(1, 2), keepdims=True)
    assert np.corrcoef(left.ravel(), detail.ravel())[0, 1] > 0.9


def test_what_keys_agree_on_counts_for_all_that_it_rests_on() -> None:
    """Long after a shot began, its colors are those of its beginning more than the network's last opinions."""
    frames = pan(3, 90)
    late = [flat(10, 0) if number < 30 else flat(40, 0) for number in range(90)]
    with_keys = [found[0].mean() for found in steady(frames, late)]
    steadier = ShotSteadier()
    alone = [found for frame, ab in zip(frames, late, strict=True) for found in steadier.push(frame, ab)]
    alone += steadier.finish()
    assert with_keys[-1] < alone[-1][0].mean() - 5


def test_the_palette_remembers_the_first_key_and_few_others() -> None:
    keys: tuple[PaletteKey, ...] = ()
    for number in range(40):
        keys = agree(keys, LIKENESS, flat(number, 0)).keys
    assert len(keys) <= MEMORY
    assert np.array_equal(keys[0].ab_2pq, agree((), LIKENESS, flat(0, 0)).keys[0].ab_2pq)


@pytest.fixture(scope="module")
def colorizer():
    with Colorizer.load("default", device="cpu", precision="fp32") as loaded:
        yield loaded


def color(colorizer: Colorizer, frames: list[np.ndarray], mode: str) -> list[np.ndarray]:
    steadiness = Steadiness(mode)
    known = KnownColors((), colorizer, key_interval=steadiness.key_interval)
    steadier, found = steadiness.smoother({}), []
    for lightness, *rest in zip(frames, *known.predict(frames, range(len(frames))), strict=True):
        found += steadier.push(lightness, *rest)
    return found + steadier.finish()


def test_colors_of_real_pictures_drift_less(colorizer: Colorizer) -> None:
    wide = skimage.data.astronaut()[100:292]
    lightness = np.asarray(picture_to_lab(np.ascontiguousarray(wide))[0], np.float32)
    frames = [np.ascontiguousarray(lightness[:, 4 * at : 4 * at + 256]) for at in range(60)]
    moved = {}
    for mode in ("flow", "shot"):
        found = color(colorizer, frames, mode)
        assert len(found) == 60
        moved[mode] = np.mean(
            [np.abs(found[at + 24][:, :, :36] - found[at][:, :, 24:60]).mean() for at in range(0, 36, 4)]
        )
    assert moved["shot"] < 0.85 * moved["flow"]


def test_a_model_that_nobody_can_look_with_has_no_palette() -> None:
    class Plain:
        can_listen = False

        def predict(self, lightness: list[np.ndarray]) -> list[np.ndarray]:
            return [flat(10, 5) for _ in lightness]

    known = KnownColors((), Plain(), key_interval=12)
    _, matches, likeness = known.predict(pan(1, 3), range(3))
    assert matches == [None] * 3
    assert likeness == [None] * 3
