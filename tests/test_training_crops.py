"""Crops at random scales and crops of two photos: what they show, and that they are the same ones each time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidcolor.stills.rgb import Rgb
from vidcolor.training.crops import CUTMIX_SIDES, STRETCH
from vidcolor.training.photos import Photos


def slopes(crop: Rgb) -> tuple[float, float]:
    """Shares of a ramp's width (in red) and height (in green) that a crop of it shows."""
    return abs(np.ptp(crop[..., 0].mean(axis=0))) / 255, abs(np.ptp(crop[..., 1].mean(axis=1))) / 255


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """A picture twice as wide as high, red by the place in its width and green by that in its height."""
    rgb = np.zeros((96, 192, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = np.linspace(0, 255, 192), np.linspace(0, 255, 96)[:, None]
    Image.fromarray(rgb).save(tmp_path / "ramp.png")
    return tmp_path / "ramp.png"


def test_zooming_crops_show_parts_of_every_size_and_shape(ramp: Path):
    crops = next(Photos([ramp], crop=32, zoom=2.5).batches(200, seed=3))
    wide, high = np.array([slopes(crop) for crop in crops]).T
    assert crops.shape == (200, 32, 32, 3)
    assert high.min() == pytest.approx(1 / 2.5, abs=0.1)
    assert 0.9 < high.max() <= 1
    stretch = 2 * wide / high
    assert stretch.min() == pytest.approx(1 / STRETCH, abs=0.06)
    assert stretch.max() == pytest.approx(STRETCH, abs=0.06)
    assert np.median(high) > 0.65  # most of the scene is what a model is asked to color


def test_without_zoom_a_photo_has_one_scale(ramp: Path):
    shares = np.array([slopes(crop) for crop in next(Photos([ramp], crop=32).batches(50, seed=3))])
    assert np.ptp(shares, axis=0).max() < 0.02


def test_zooming_crops_are_the_same_wherever_a_run_began(ramp: Path):
    stored = Photos([ramp], crop=32, zoom=2.0)
    batches = stored.batches(4, seed=3)
    first = [next(batches) for _ in range(6)]
    assert np.array_equal(next(stored.batches(4, seed=3, start=5)), first[5])


@pytest.mark.parametrize(("zoom", "height"), [(2.0, 64), (8.0, 96)])
def test_zoom_keeps_photos_as_large_as_crops_can_show_and_enlarges_none(ramp: Path, zoom: float, height: int):
    assert Photos([ramp], crop=32, zoom=zoom).rgb[0].shape == (height, 2 * height, 3)


def test_with_zoom_too_validation_looks_at_the_whole_short_side(ramp: Path):
    (crop,) = Photos([ramp], crop=32, zoom=2.0).fixed_crops(1)
    assert slopes(crop)[1] > 0.9


@pytest.fixture
def flags(tmp_path: Path) -> Photos:
    """Sixteen pictures of two colors each, which tell which picture a pixel is of."""
    for number in range(16):
        rgb = np.zeros((40, 60, 3), np.uint8)
        rgb[..., 0], rgb[..., 1] = 15 * number, np.indices((40, 60))[0] // 10 * 60
        Image.fromarray(rgb).save(tmp_path / f"{number:02}.png")
    return Photos([tmp_path], crop=32)


def test_a_mixed_crop_shows_a_part_of_the_next_one_in_its_place(flags: Photos):
    plain, mixed = (next(flags.batches(16, seed=3, cutmix=share)) for share in (0.0, 1.0))
    for at, (before, crop) in enumerate(zip(plain, mixed, strict=True)):
        foreign = (crop != before).any(axis=2)
        rows, columns = np.flatnonzero(foreign.any(axis=1)), np.flatnonzero(foreign.any(axis=0))
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        assert foreign[part].all()  # one rectangle
        assert np.array_equal(crop[part], plain[(at + 1) % 16][part])
        assert all(CUTMIX_SIDES[0] - 0.02 < len(side) / 32 < CUTMIX_SIDES[1] + 0.02 for side in (rows, columns))


def test_the_share_of_crops_asked_for_is_mixed(flags: Photos):
    plain, mixed = (flags.batches(16, seed=3, cutmix=share) for share in (0.0, 0.25))
    changed = [(next(mixed) != next(plain)).any(axis=(1, 2, 3)).mean() for _ in range(40)]
    assert np.mean(changed) == pytest.approx(0.25, abs=0.06)


def test_processes_mix_the_crops_that_one_process_would(flags: Photos):
    whole = next(flags.batches(16, seed=3, cutmix=0.7))
    parts = [next(flags.batches(16, seed=3, cutmix=0.7, part=(rank, 2))) for rank in range(2)]
    assert np.array_equal(np.concatenate(parts), whole)
