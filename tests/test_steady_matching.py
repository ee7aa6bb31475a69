"""What a still shows is found again by likeness, and its colors with it; other pictures keep theirs."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import skimage.data

import vidcolor
from vidcolor.color import picture_to_lab
from vidcolor.films.known_colors import KnownColors
from vidcolor.inference.colorizer import Colorizer
from vidcolor.steady.matching import COHERENT, KnownPicture, Match, Matcher
from vidcolor.steady.references import Reference, ReferenceCorrector
from vidcolor.steady.smoothing import ColorSmoother, SmoothingState
from vidcolor.steady.state import from_arrays, to_arrays

PLACES = np.random.default_rng(3).normal(size=(80, 12, 20)).astype(np.float32)
COLORS = np.random.default_rng(4).normal(size=(2, 12, 20)).astype(np.float32) * 30


def test_a_still_is_found_in_itself_and_where_it_has_moved() -> None:
    matcher = Matcher([KnownPicture(0, PLACES, COLORS)])
    found = matcher(PLACES, 0)
    assert np.abs(found.ab_2hw - COLORS).max() < 0.1
    assert found.coherence == 1
    moved = matcher(PLACES[:, 2:, 5:], 7)
    assert moved.ab_2hw.shape == (2, 10, 15)
    assert np.abs(moved.ab_2hw - COLORS[:, 2:, 5:]).max() < 0.1
    assert moved.coherence == 1


def test_another_picture_is_not_coherent() -> None:
    other = np.random.default_rng(5).normal(size=PLACES.shape).astype(np.float32)
    assert Matcher([KnownPicture(0, PLACES, COLORS)])(other, 0).coherence < COHERENT / 2


def test_of_several_stills_the_likest_places_count() -> None:
    other = np.random.default_rng(5).normal(size=(80, 8, 8)).astype(np.float32)
    matcher = Matcher([KnownPicture(3, other, np.zeros((2, 8, 8), np.float32)), KnownPicture(None, PLACES, COLORS)])
    assert np.abs(matcher(PLACES, 0).ab_2hw - COLORS).max() < 0.1
    assert np.abs(matcher(other, 5).ab_2hw).max() < 0.1


def pan(rgb: np.ndarray, frames: int, step: int = 6, rows: int = 192, columns: int = 256) -> list[np.ndarray]:
    """A window that moves over a picture, (rows, columns, 3) each."""
    top = (rgb.shape[0] - rows) // 2
    return [rgb[top : top + rows, step * index : step * index + columns] for index in range(frames)]


def lab_of(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lightness, a, b = picture_to_lab(np.ascontiguousarray(rgb))
    return np.asarray(lightness, np.float32), np.stack([a, b]).astype(np.float32)


@pytest.fixture(scope="module")
def colorizer():
    with Colorizer.load("default", device="cpu", precision="fp32") as loaded:
        yield loaded


def follow(
    colorizer: Colorizer, shots: list[list[np.ndarray]], stills: tuple[Reference, ...], pieces: int = 1000
) -> list[np.ndarray]:
    """The a*b* of a film's frames, as the pipeline smooths and corrects them; begun anew after each `pieces` frames."""
    known, state, found = KnownColors(stills, colorizer), SmoothingState(), []
    frames, number = iter([lab_of(rgb)[0] for shot in shots for rgb in shot]), 0
    while piece := list(islice(frames, pieces)):
        smoother = ColorSmoother("flow", state, ReferenceCorrector(stills))
        predicted = known.predict(piece, range(number, number + len(piece)))
        for lightness, ab, match, _ in zip(piece, *predicted, strict=True):
            found += smoother.push(lightness, ab, match)
        number += len(piece)
        state = from_arrays(SmoothingState, to_arrays(smoother.state))
    return found + ColorSmoother("flow", state, ReferenceCorrector(stills)).finish()


def error(ab: np.ndarray, rgb: np.ndarray) -> float:
    """Mean distance of a*b* from the truth."""
    truth = lab_of(rgb)[1]
    small = truth.reshape(2, ab.shape[1], truth.shape[1] // ab.shape[1], ab.shape[2], -1).mean(axis=(2, 4))
    return float(np.hypot(*(ab - small)).mean())


def test_a_frame_is_compared_with_few_of_many_stills() -> None:
    random = np.random.default_rng(6)
    pictures = [random.normal(size=PLACES.shape).astype(np.float32) for _ in range(40)]
    known = [
        KnownPicture(10 * at, places, np.full((2, 12, 20), at, np.float32)) for at, places in enumerate(pictures[:20])
    ]
    known += [KnownPicture(None, places, np.full((2, 12, 20), -at, np.float32)) for at, places in enumerate(pictures)]
    matcher = Matcher(known[:20] + known[40:])
    assert matcher(pictures[7], 75).ab_2hw.mean() == pytest.approx(7, abs=0.1)
    assert matcher(pictures[7], 65).ab_2hw.mean() == pytest.approx(7, abs=0.1)
    assert matcher(pictures[7], 150).coherence < COHERENT  # too far for a still that knows its frame
    assert matcher(pictures[33], 75).ab_2hw.mean() == pytest.approx(-33, abs=0.1)


def test_a_still_is_followed_through_its_shot_and_not_into_another(colorizer: Colorizer) -> None:
    shots = [pan(skimage.data.astronaut(), 24), pan(skimage.data.coffee(), 8)]
    lightness, ab = lab_of(shots[0][0])
    plain = follow(colorizer, shots, ())
    guided = follow(colorizer, shots, (Reference.from_lab(0, lightness, ab),))
    assert len(plain) == len(guided) == 32
    for number in (0, 8, 16, 23):
        assert error(guided[number], shots[0][number]) < 0.55 * error(plain[number], shots[0][number]), number
    for number in range(24, 32):
        assert np.array_equal(guided[number], plain[number])


def test_a_still_without_a_number_and_a_later_one_reach_the_whole_shot(colorizer: Colorizer) -> None:
    shots = [pan(skimage.data.coffee(), 6), pan(skimage.data.astronaut(), 16)]
    plain = follow(colorizer, shots, ())
    for number in (None, 21):
        lightness, ab = lab_of(shots[1][15])
        guided = follow(colorizer, shots, (Reference.from_lab(number, lightness, ab),))
        assert all(np.array_equal(guided[frame], plain[frame]) for frame in range(6))
        assert all(error(guided[6 + at], shots[1][at]) < 0.7 * error(plain[6 + at], shots[1][at]) for at in (0, 8, 15))


def test_a_still_is_believed_where_it_was_painted_whatever_its_lightness(colorizer: Colorizer) -> None:
    shot = pan(skimage.data.astronaut(), 4)
    painted = shot[0].copy()
    painted[40:150, 60:200] = (painted[40:150, 60:200] * 0.4 + (90, 0, 0)).astype(np.uint8)  # darker, and red
    lightness, ab = lab_of(painted)
    guided = follow(colorizer, [shot], (Reference.from_lab(0, lightness, ab),))
    wanted = ab[:, 40:150, 60:200].mean(axis=(1, 2))
    assert np.hypot(*(guided[0][:, 12:36, 17:48].mean(axis=(1, 2)) - wanted)) < 8


def test_where_a_still_is_transparent_it_says_nothing(colorizer: Colorizer) -> None:
    shot = pan(skimage.data.astronaut(), 12)
    lightness, ab = lab_of(shot[0])
    known = np.zeros(ab.shape[1:], np.float32)
    known[:, :128] = 1  # the left half
    ab[:] = np.array((10, -50))[:, None, None]
    plain = follow(colorizer, [shot], ())
    guided = follow(colorizer, [shot], (Reference.from_lab(0, lightness, ab, known_hw=known),))
    for number, left in ((0, 0), (11, 66)):  # the window moved by 66 pixels
        painted = guided[number][:, :, : (128 - left) // 4 - 4]
        assert np.hypot(*(painted.mean(axis=(1, 2)) - (10, -50))) < 12, number
        kept = np.abs(guided[number] - plain[number])[:, :, (128 - left) // 4 + 8 : (256 - left) // 4]
        assert kept.mean() < 3, number


def test_a_guided_film_in_pieces_equals_the_film_in_one_piece(colorizer: Colorizer) -> None:
    shots = [pan(skimage.data.astronaut(), 9), pan(skimage.data.coffee(), 5)]
    stills = (Reference.from_lab(4, *lab_of(shots[0][4])),)
    whole = follow(colorizer, shots, stills)
    pieces = follow(colorizer, shots, stills, pieces=3)
    assert len(whole) == len(pieces) == 14
    assert all(np.abs(one - other).max() < 0.05 for one, other in zip(whole, pieces, strict=True))


def test_matches_are_saved_with_what_waits() -> None:
    gray = np.full((96, 96), 50, np.float32)
    still = Reference.from_lab(0, gray, np.ones((2, 24, 24), np.float32))
    smoother = ColorSmoother(state=SmoothingState(), corrector=ReferenceCorrector((still,)))
    match = Match(np.ones((2, 12, 12), np.float32), 0.5)
    ready = smoother.push(gray, np.zeros((2, 24, 24), np.float32), match)
    saved = from_arrays(SmoothingState, to_arrays(smoother.state))
    assert len(ready) + len(saved.waiting_match) == 1
    assert all(found.coherence == 0.5 and found.ab_2hw.shape == (2, 12, 12) for found in saved.waiting_match)


def test_every_model_s_films_are_described_by_the_packaged_one(tiny_model: Path) -> None:
    with vidcolor.Colorizer(tiny_model, device="cpu") as colorizer:
        _, (look,) = colorizer.loaded.predict_and_look([np.full((100, 260), 50, np.float32)])
        assert look.described_Chw.shape[1:] == (24, 64)
