"""Metrics against known values."""

import numpy as np
import pytest

from vidcolor.evaluation.photo_metrics import Features, Gaussian, colorfulness, frechet_distance, psnr, ssim
from vidcolor.evaluation.photos import to_luma

RANDOM = np.random.default_rng(11)


def test_psnr_and_ssim_of_a_known_difference():
    truth = RANDOM.integers(20, 200, (32, 32, 3), dtype=np.uint8)
    assert psnr(truth + 5, truth) == pytest.approx(10 * np.log10(255**2 / 25))
    assert ssim(truth, truth) == 1


def test_colorfulness_of_flat_red_is_as_computed_by_hand():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 100  # rg = 100, yb = 50, no variance: 0.3 * sqrt(100**2 + 50**2)
    assert colorfulness(red) == pytest.approx(33.541, abs=0.001)
    assert colorfulness(np.full((8, 8, 3), 77, np.uint8)) == 0


def test_frechet_distance_of_known_gaussians():
    one = Gaussian(np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    other = Gaussian(np.array([3.0, 0.0, 4.0]), np.diag([4.0, 4.0, 1.0]))
    assert frechet_distance(one, other) == pytest.approx(25 + 1 + 0 + 4)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_features_are_1280_and_tell_pictures_apart():
    features = Features()
    one, other = (features.of(RANDOM.integers(0, 255, (40, 60, 3), dtype=np.uint8)) for _ in range(2))
    assert one.shape == (1280,)
    assert np.abs(one - other).max() > 0.01


def test_luma_is_rec601():
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert to_luma(rgb).tolist() == [[76, 150, 29, 255]]
