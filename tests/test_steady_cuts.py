"""Cuts are told from everything else that old film does; films are made here."""

from collections.abc import Iterator

import numpy as np
import pytest

from vidcolor.color import Floats
from vidcolor.steady.cuts import DELAY_FRAMES, CutDetector, CutState, detect_cuts
from vidcolor.steady.motion import gray_of
from vidcolor.steady.state import from_arrays, to_arrays

ROWS, COLUMNS = 96, 160
LENGTH = 12  # frames of a shot


def scene(seed: int) -> Floats:
    """A wide picture, L* 10..90, with structure from large to small that stands still."""
    random = np.random.default_rng(seed)
    picture = np.zeros((ROWS, COLUMNS * 2), np.float32)
    for cell in (32, 16, 8):
        coarse = random.random((ROWS // cell, COLUMNS * 2 // cell), np.float32)
        picture += np.kron(coarse, np.ones((cell, cell), np.float32)) * cell
    return 10 + 80 * (picture - picture.min()) / np.ptp(picture)


def shot(seed: int, *, speed: int = 2, length: int = LENGTH) -> list[Floats]:
    """A pan over a scene, `speed` pixels a frame."""
    wide = scene(seed)
    return [wide[:, number * speed : number * speed + COLUMNS].copy() for number in range(length)]


def two_shots() -> list[Floats]:
    return [*shot(1), *shot(2)]


def found(film: list[Floats]) -> list[int]:
    return [number for number, is_start in enumerate(detect_cuts(iter(film))) if is_start]


def flicker(film: list[Floats]) -> list[Floats]:
    random = np.random.default_rng(3)
    return [np.clip((frame + 16) * random.uniform(0.8, 1.2) - 16, 0, 100) for frame in film]


def grain(film: list[Floats]) -> list[Floats]:
    random = np.random.default_rng(4)
    return [np.clip(frame + random.normal(0, 5, frame.shape), 0, 100).astype(np.float32) for frame in film]


def dirt(film: list[Floats]) -> list[Floats]:
    random = np.random.default_rng(5)
    dirty = [frame.copy() for frame in film]
    for frame in dirty:
        for _ in range(6):
            y, x = random.integers(0, ROWS - 20), random.integers(0, COLUMNS - 20)
            frame[y : y + random.integers(4, 20), x : x + random.integers(4, 20)] = random.choice([0, 100])
        frame[:, random.integers(0, COLUMNS)] = 100  # a scratch
    return dirty


def weave(film: list[Floats]) -> list[Floats]:
    random = np.random.default_rng(6)
    return [np.roll(frame, random.integers(-3, 4, 2), (0, 1)) for frame in film]


@pytest.mark.parametrize("aging", [list, flicker, grain, dirt, weave])
def test_a_cut_is_found_and_nothing_else_is_one(aging) -> None:
    assert found(aging(two_shots())) == [LENGTH]


def test_a_whip_pan_is_no_cut() -> None:
    assert found(shot(1, speed=12)) == []


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut_but_a_cut_after_it_is(length: int) -> None:
    film = two_shots()
    for number in range(6, 6 + length):
        film[number] = np.full_like(film[number], 100)
        film[number][::8] = 60  # burnt out, with something else to be seen
    assert found(film) == [LENGTH]


def test_a_dissolve_is_no_cut() -> None:
    before, after = shot(1, speed=0), shot(2, speed=0)
    mixed = [old + (new - old) * number / LENGTH for number, (old, new) in enumerate(zip(before, after, strict=True))]
    assert found([*before, *mixed, *after]) == []


def test_a_shot_that_follows_black_is_another_one() -> None:
    black = [np.zeros((ROWS, COLUMNS), np.float32)] * 5
    assert found([*shot(1), *black, *shot(1)[-1:]]) == []
    assert found([*shot(1), *black, *shot(2)]) == [LENGTH + 5]


def test_short_shots_are_all_found() -> None:
    film = [*shot(1), *shot(2, length=3), *shot(3, length=3), *shot(4)]
    assert found(film) == [LENGTH, LENGTH + 3, LENGTH + 6]


@pytest.mark.parametrize("film", [[], shot(1, length=1), [*shot(1), *shot(2, length=1)]])
def test_every_frame_gets_its_answer(film: list[Floats]) -> None:
    assert len(list(detect_cuts(iter(film)))) == len(film)


def test_no_answer_is_more_than_two_frames_late() -> None:
    detector, decided = CutDetector(), 0
    for pushed, frame in enumerate(dirt(flicker(two_shots())), start=1):
        decided += len(detector.push(frame))
        assert pushed - decided <= DELAY_FRAMES


@pytest.mark.parametrize("size", [(32, 32), (64, 200), (192, 341), (300, 200)])
def test_pictures_of_any_size_become_as_small(size: tuple[int, int]) -> None:
    assert min(gray_of(np.full(size, 50, np.float32)).shape) == 96


def test_a_film_in_pieces_gives_the_same_answers() -> None:
    film, state = dirt(two_shots()), CutState()

    def in_pieces() -> Iterator[bool]:
        nonlocal state
        for first in range(0, len(film), 5):
            detector = CutDetector(from_arrays(CutState, to_arrays(state)))
            for frame in film[first : first + 5]:
                yield from detector.push(frame)
            state = detector.state
        yield from CutDetector(state).finish()

    assert list(in_pieces()) == list(detect_cuts(iter(film)))
