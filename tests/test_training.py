"""Training learns, goes on where it stopped, and writes a model that works."""

import json
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidcolor import cli
from vidcolor.errors import SourceError
from vidcolor.inference import weights
from vidcolor.training.aging import Aging, age, blur, compress
from vidcolor.training.bins import Bins, bin_loss
from vidcolor.training.objective import prepare_batch
from vidcolor.training.photos import Photos, choose_held_back
from vidcolor.training.recipes import NO_AGING, RECIPES, Stage
from vidcolor.training.trainer import Trainer

RANDOM = np.random.default_rng(5)


def test_held_back_photos_are_never_seen(photos: Path):
    kept = Photos([photos], crop=32, hold_back=("period/*", 3)).names
    everything = Photos([photos], crop=32).names
    assert len(everything) - len(kept) == 3
    assert set(everything) - set(kept) == choose_held_back(everything, "period/*", 3)


def test_crops_have_the_size_asked_for_and_favored_photos_come_more_often(photos: Path):
    stored = Photos([photos], crop=48)
    favor = np.ones(12)
    favor[0] = 5
    batches = stored.batches(4, seed=1, weights=favor)
    seen = [next(batches) for _ in range(4)]  # one round of 12 + 4 crops
    assert all(batch.shape == (4, 48, 48, 3) for batch in seen)


def test_a_batch_may_be_larger_than_the_set(photos: Path):
    assert next(Photos([photos], crop=32).batches(40, seed=1)).shape == (40, 32, 32, 3)


def test_a_source_without_photos_is_refused(tmp_path: Path):
    with pytest.raises(SourceError, match="no readable photo"):
        Photos([tmp_path], crop=32)
    with pytest.raises(SourceError, match="no such file"):
        Photos([tmp_path / "missing"], crop=32)


def test_training_on_photos_needs_no_pyav():
    import subprocess
    import sys

    code = "import sys; sys.modules['av'] = sys.modules['cv2'] = None; import vidcolor.training.trainer"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_aging_keeps_borders_colorless_and_values_in_range():
    rgb = torch.rand(8, 3, 64, 64)
    ab = torch.full((8, 2, 16, 16), 30.0)
    shares = [field.name for field in fields(Aging) if getattr(NO_AGING, field.name) == 0]
    everything = Aging(**dict.fromkeys(shares, 1.0))
    gray, kept = age(rgb, ab, everything, torch.Generator().manual_seed(2))
    assert gray.shape == (8, 1, 64, 64)
    assert 0 <= gray.min() <= gray.max() <= 1
    assert (kept == 0).any()
    assert (kept == 30).any()


def test_lenses_blur_each_picture_by_its_own_sigma():
    point = torch.zeros(2, 1, 41, 41)
    point[..., 20, 20] = 1
    sigma = torch.tensor([0.6, 1.5]).view(2, 1, 1, 1)
    blurred = blur(point, sigma)
    distance = torch.arange(41) - 20.0
    spread = (blurred.sum(dim=2)[:, 0] * distance**2).sum(dim=1).sqrt()
    assert torch.allclose(spread, sigma.flatten(), atol=0.02)
    assert torch.allclose(blurred.sum(dim=(1, 2, 3)), torch.ones(2), atol=1e-5)
    assert torch.allclose(blur(torch.full((2, 1, 9, 9), 0.4), sigma), torch.full((2, 1, 9, 9), 0.4))


def test_hard_prints_crush_and_burn_and_lights_glow():
    slope = torch.linspace(0, 1, 64).view(1, 1, 1, 64).expand(16, 3, 64, 64)
    no_color = torch.zeros(16, 2, 16, 16)
    hard, _ = age(slope, no_color, replace(NO_AGING, contrast=1.0), torch.Generator().manual_seed(1))
    flat = ((hard == 0) | (hard == 1)).float().mean(dim=(1, 2, 3))
    assert 0.1 < flat.mean() < 0.5  # of black 0..0.25 and white 0.65..1, half
    assert flat.max() < 0.65
    assert torch.all(hard.diff(dim=3) >= -1e-6)
    lamp = torch.full((16, 3, 64, 64), 0.2)
    lamp[..., 24:40, 24:40] = 1.0
    lit, _ = age(lamp, no_color, replace(NO_AGING, halation=1.0), torch.Generator().manual_seed(1))
    beside, far = lit[..., 21, 32], lit[..., 2, 2]
    assert torch.all(beside > 0.205)
    assert torch.allclose(far, torch.tensor(0.2), atol=1e-3)


def test_compression_leaves_blocks_and_flicker_changes_the_light():
    slope = torch.linspace(0.2, 0.8, 32).view(1, 1, 1, 32).expand(2, 1, 32, 32)
    packed = compress(slope, torch.full((2, 1, 1, 1), 0.03))
    steps = (packed[0, 0, 0, 1:] - packed[0, 0, 0, :-1]).abs()
    assert steps[7::8].max() > 3 * steps[0]  # an edge where blocks meet
    assert torch.allclose(compress(slope, torch.full((2, 1, 1, 1), 1e-6)), slope, atol=1e-4)
    gray = torch.full((64, 3, 16, 16), 0.5)
    aged, _ = age(gray, torch.zeros(64, 2, 4, 4), replace(NO_AGING, flicker=1.0), torch.Generator().manual_seed(1))
    assert aged.mean(dim=(1, 2, 3)).std() > 0.03


def test_targets_spread_over_near_bins_and_rare_colors_weigh_more():
    common, rare = torch.zeros(990, 2), torch.full((10, 2), 40.0)
    bins = Bins.from_samples(torch.cat([common, rare]), uniform_share=0.5)
    assert bins.bins_2K.shape == (2, 2)
    order = bins.bins_2K.abs().sum(dim=0).argsort()
    assert bins.class_weights_K[order[1]] > bins.class_weights_K[order[0]]
    assert torch.allclose(bins.shares.sum(dim=1), torch.ones(65536))


def test_the_loss_is_least_at_the_true_colors():
    ab = torch.tensor([[0.0, 0.0], [40.0, 40.0], [-40.0, 0.0], [0.0, -40.0], [30.0, 0.0]]).repeat(50, 1)
    bins = Bins.from_samples(ab, uniform_share=0.5)
    target = torch.tensor([40.0, 40.0]).view(1, 2, 1, 1)
    losses = [bin_loss(torch.eye(5)[k].view(1, 5, 1, 1) * 20, target, bins).item() for k in range(5)]
    assert bins.bins_2K[:, int(np.argmin(losses))].tolist() == [40.0, 40.0]


def test_true_colors_are_taken_at_the_generators_stride():
    recipe = replace(RECIPES["default"], aging=NO_AGING)
    crops = RANDOM.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    batch = prepare_batch(crops, recipe, 4, torch.device("cpu"), torch.Generator())
    assert batch.lightness_B1HW.shape == batch.true_lightness_B1HW.shape == (2, 1, 32, 32)
    assert batch.ab_B2hw.shape == (2, 2, 8, 8)
    assert 0 <= batch.lightness_B1HW.min() <= batch.lightness_B1HW.max() <= 100.01


def test_second_looks_are_moved_pictures_with_the_same_true_colors():
    recipe = replace(RECIPES["default"], aging=NO_AGING, consistency=0.25)
    small = RANDOM.integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    crops = np.stack([cv2.resize(picture, (64, 64), interpolation=cv2.INTER_CUBIC) for picture in small])
    batch = prepare_batch(crops, recipe, 4, torch.device("cpu"), torch.Generator().manual_seed(3))
    assert batch.second_views is not None
    assert batch.second_views.count == 2
    assert len(batch.lightness_B1HW) == len(batch.ab_B2hw) == 8
    assert batch.second_views.loss(batch.ab_B2hw, 4) < 0.01  # the truth has not changed
    assert 0.5 < (batch.lightness_B1HW[-2:] - batch.true_lightness_B1HW[-2:]).abs().mean() < 8  # what is seen has
    shifts = batch.second_views.shift_N2.long()
    for picture, first, (right, down) in zip(
        batch.true_lightness_B1HW[-2:, 0],
        batch.true_lightness_B1HW[:2, 0],
        shifts,
        strict=True,
    ):
        moved = torch.roll(first, (int(down), int(right)), (0, 1))
        assert torch.allclose(picture[8:-8, 8:-8], moved[8:-8, 8:-8], atol=1e-3)
    wavering = batch.ab_B2hw.clone()
    wavering[-1] += 10
    assert batch.second_views.loss(wavering, 4) == pytest.approx(5, abs=0.05)


def test_batch_n_is_the_same_wherever_a_run_began(photos: Path):
    stored = Photos([photos], crop=32)
    whole = stored.batches(5, seed=3)
    first = [next(whole) for _ in range(9)]
    assert np.array_equal(next(stored.batches(5, seed=3, start=8)), first[8])


def test_training_learns(photos: Path, tmp_path: Path):
    config = {"widths": [32, 24, 16, 16]}
    stages = (Stage(32, 1.0, 99),)
    recipe = replace(
        RECIPES["default"], generator_config=config, stages=stages, steps=40, batch=8, aging=NO_AGING, gan_loss="none"
    )
    trainer = Trainer([photos], recipe)
    losses: list[float] = []
    step = trainer._train_step
    trainer._train_step = lambda rgb: losses.append((facts := step(rgb))["loss_G_bins"]) or facts
    trainer.run(tmp_path / "state.pt")
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:5])  # batches differ by 2 %


def test_the_command_trains_measures_and_the_model_works(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    model = tmp_path / "mine.safetensors"
    arguments = [
        str(photos),
        "-o",
        str(model),
        "--steps",
        "3",
        "--batch-size",
        "2",
        "--run-folder",
        str(tmp_path / "run"),
    ]
    assert cli.run(["train", *arguments]) == 0
    assert weights.read_header(model).name == "mine"
    assert cli.run(["train", *arguments]) == 1  # an existing model is not overwritten
    capsys.readouterr()
    assert cli.run(["evaluate", str(photos), "--model", str(model), "--size", "64", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == ["gray", str(model), "truth"]
    assert rows[-1]["distance_closed"] == pytest.approx(1, abs=1e-3)
    assert set(rows[1]["psnr_by_category"]) == {"period", "street"}
