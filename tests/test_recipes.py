"""Every recipe trains, resumes exactly, and can be printed, changed and read back."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from vidcolor import cli, weights
from vidcolor.errors import TrainingError, UsageError
from vidcolor.training.recipes import RECIPES, UNAGED, Recipe, Stage, find_recipe, overridden, printed
from vidcolor.training.trainer import Trainer

SMALL = {  # the recipe's own generator and judge, thin enough for a test
    "default": {"encoder": "lite0", "widths": [16, 12, 8, 8]},
    "pix2pix": {"width": 4, "depth": 5},
    "cgan-lab": {"width": 4, "depth": 5},
    "wgan-gp": {"width": 4, "depth": 2},
    "eccv16": {"width": 0.05, "bins": 16},
    "dcgan": {"width": 4, "depth": 5, "outputs": 3},
    "fcn-l2": {"width": 4, "depth": 5, "outputs": 3},
}


def small(name: str, **changes: object) -> Recipe:
    recipe = RECIPES[name]
    judge = dict(recipe.discriminator_config) | {"width": 4, "layers": 2 if recipe.discriminator == "image" else 1}
    crop = 64 if name == "default" else 32  # the default's colours are a quarter of it
    fitting = {
        "generator_config": SMALL[name], "discriminator_config": judge, "stages": (Stage(crop, 1.0, 99),), "batch": 4,
        "steps": 4, "minutes": None, "epochs": None, "game_start": 0.0, "features": "lite0",
    }  # fmt: skip
    return dataclasses.replace(recipe, **fitting | changes)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_and_its_model_works(name: str, photos: Path, tmp_path: Path):
    recipe = small(name)
    reports: list[dict[str, float]] = []
    trainer = Trainer([photos], recipe)
    trainer.run(tmp_path / "state.pt", reports.append)
    expected = {"loss_G"} | ({"loss_G_GAN", "loss_D", "loss_D_real", "loss_D_fake"} if recipe.game != "none" else set())
    assert expected <= set(reports[-1])
    trainer.export(tmp_path / "model.safetensors", name)
    network, header = weights.load(tmp_path / "model.safetensors")
    assert header.notes["recipe"]["name"] == name
    with torch.inference_mode():
        assert network(torch.rand(1, 1, 32, 64) * 100).shape[1] == 2


@pytest.mark.parametrize("name", ["pix2pix", "wgan-gp", "default"])
def test_resumed_equals_uninterrupted(name: str, photos: Path, tmp_path: Path):
    recipe = small(name, steps=6, schedule="constant", warmup=0.0)
    whole = Trainer([photos], recipe)
    whole.run(tmp_path / "whole.pt", lambda _: None)
    first = Trainer([photos], dataclasses.replace(recipe, steps=3))
    first.run(tmp_path / "parts.pt", lambda _: None)
    second = Trainer([photos], recipe)
    second.run(tmp_path / "parts.pt", lambda _: None)
    assert second.step == whole.step == 6
    for one, other in zip(whole.generator.parameters(), second.generator.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_recipes_state_is_not_gone_on_from(photos: Path, tmp_path: Path):
    Trainer([photos], small("pix2pix", steps=1)).run(tmp_path / "s.pt", lambda _: None)
    with pytest.raises(UsageError, match="made by recipe 'pix2pix'"):
        Trainer([photos], small("wgan-gp")).run(tmp_path / "s.pt", lambda _: None)


def test_a_perceptual_term_stands_beside_the_content(photos: Path, tmp_path: Path):
    reports: list[dict[str, float]] = []
    Trainer([photos], small("default", perceptual_weight=0.5, game="none", steps=1)).run(
        tmp_path / "s.pt", reports.append
    )
    assert reports[-1]["loss_G_perceptual"] > 0
    assert reports[-1]["loss_G"] == pytest.approx(reports[-1]["loss_G_bins"] + reports[-1]["loss_G_perceptual"])


def test_fine_tuning_starts_from_the_model(photos: Path, tmp_path: Path):
    trainer = Trainer([photos], small("default", game="none"))
    trainer.run(tmp_path / "one.pt", lambda _: None)
    trainer.export(tmp_path / "one.safetensors", "one")
    again = Trainer([photos], small("default", game="none", learning_rate=0.0, encoder_learning_rate=1e-12, steps=1,
                                    average_decay=0.0), init=tmp_path / "one.safetensors")  # fmt: skip
    again.run(tmp_path / "two.pt", lambda _: None)
    start, _ = weights.load(tmp_path / "one.safetensors")
    for name, value in start.named_parameters():
        assert torch.allclose(again.generator.get_parameter(name), value, atol=1e-6), name


def test_a_model_of_another_kind_cannot_be_gone_on_from(photos: Path, tiny_model: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="is a 'pix2pix'"):
        Trainer([photos], small("default"), init=tiny_model).run(tmp_path / "s.pt", lambda _: None)


def test_too_few_photos_for_a_batch_are_an_error_before_training(photos: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="12 usable photos"):
        Trainer([photos], small("pix2pix", batch=13)).run(tmp_path / "s.pt", lambda _: None)


def test_a_loss_that_is_no_number_stops_the_run(photos: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match="no longer a number"):
        Trainer([photos], small("pix2pix", content_weight=float("inf"))).run(tmp_path / "s.pt", lambda _: None)


@pytest.mark.parametrize("name", RECIPES)
def test_a_printed_recipe_reads_back(name: str):
    recipe = find_recipe(name)
    lines = dict(line.split(" = ", 1) for line in printed(recipe).splitlines())
    texts = {key: json.loads(value) if isinstance(json.loads(value), str) else value for key, value in lines.items()}
    assert overridden(find_recipe("fcn-l2"), texts) == recipe


@pytest.mark.parametrize(
    "change", [{"nonsense": "1"}, {"batch": "many"}, {"batch": "1.5"}, {"betas": "[1]"}, {"stages": "3"}]
)
def test_a_wrong_change_is_refused(change: dict[str, str]):
    with pytest.raises(UsageError):
        overridden(RECIPES["default"], change)


def test_unaged_is_unaged():
    assert {value for value in dataclasses.asdict(UNAGED).values() if isinstance(value, float | int)} <= {0, 0.07}


def test_the_command_shows_and_follows_a_recipe(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["train", "--recipe", "wgan-gp", "--set", "batch=7", "--show-recipe"]) == 0
    told = capsys.readouterr().out
    assert "gradient_penalty = 10.0" in told
    assert "batch = 7" in told
    model = tmp_path / "mine.safetensors"
    code = cli.run([
        "train", str(photos), "-o", str(model), "--recipe", "pix2pix", "--steps", "2", "--batch-size", "2", "--run",
        str(tmp_path / "run"), "--set", 'generator_config={"width": 4, "depth": 5}', "--set", 'stages=[{"crop": 32}]',
        "--set", 'discriminator_config={"width": 4, "layers": 2}',
    ])  # fmt: skip
    assert code == 0
    assert weights.read_header(model).multiple == 32
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])["loss_D"] > 0
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
