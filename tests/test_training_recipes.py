"""Every recipe trains, resumes exactly, and can be printed, changed and read back."""

import dataclasses
import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vidcolor import cli, networks
from vidcolor.errors import TrainingError, UsageError
from vidcolor.inference import weights
from vidcolor.stills.rgb import Rgb
from vidcolor.training import objective
from vidcolor.training import trainer as trainer_module
from vidcolor.training.aging import Aging, age
from vidcolor.training.features import load_feature_network
from vidcolor.training.gan import Gan
from vidcolor.training.recipes import NO_AGING, RECIPES, Recipe, Stage, find_recipe, format_recipe, override
from vidcolor.training.trainer import Events, Trainer

SMALL = {  # the recipe's own generator and judge, thin enough for a test
    "default": {"encoder": "lite0", "widths": [16, 12, 8, 8]},
    "fine-tune": {"encoder": "lite0", "widths": [16, 12, 8, 8]},
    "guided": {"encoder": "lite0", "widths": [16, 12, 8, 8], "guidance": 2},
    "likeness": {"encoder": "lite0", "widths": [16, 12, 8, 8], "likeness": 8},
    "pix2pix": {"width": 4, "depth": 5},
    "cgan-lab": {"width": 4, "depth": 5},
    "wgan-gp": {"width": 4, "depth": 2},
    "eccv16": {"width": 0.05, "bins": 16},
    "dcgan": {"width": 4, "depth": 5, "outputs": 3},
    "fcn-l2": {"width": 4, "depth": 5, "outputs": 3},
}


class Told(Events):
    """What a run told."""

    def __init__(self) -> None:
        self.steps_facts: list[dict[str, Any]] = []
        self.epoch_facts: list[dict[str, Any]] = []
        self.grids: list[Rgb] = []
        self.kept: list[str] = []
        self.looks: list[dict[str, Any]] = []

    def validated(self, facts: dict[str, Any], grid: Rgb) -> None:
        self.looks.append(facts)
        self.grids.append(grid)

    def losses_measured(self, facts: dict[str, Any]) -> None:
        self.steps_facts.append(facts)

    def epoch_finished(self, facts: dict[str, Any], grid: Rgb) -> None:
        self.epoch_facts.append(facts)
        self.grids.append(grid)

    def keep_model(self, name: str) -> None:
        self.kept.append(name)


FEATURE_GAN = {"gan_loss": "hinge", "discriminator": "features", "discriminator_config": {"width": 4}}


def small(name: str, **changes: object) -> Recipe:
    recipe = RECIPES[name]
    judge = dict(recipe.discriminator_config) | {"width": 4, "layers": 2 if recipe.discriminator == "image" else 1}
    crop = (
        64 if name in ("default", "fine-tune", "guided", "likeness") else 32
    )  # the default's colors are a quarter of it
    fitting = {
        "generator_config": SMALL[name], "discriminator_config": judge, "stages": (Stage(crop, 1.0, 99),), "batch": 4,
        "steps": 4, "minutes": None, "epochs": None, "gan_start": 0.0, "features": "lite0",
    }  # fmt: skip
    return dataclasses.replace(recipe, **fitting | changes)


def start_of(name: str, photos: Path, folder: Path) -> Path | None:
    """The model that a recipe begins with, where it needs one."""
    if RECIPES[name].part is None:
        return None
    trainer = Trainer([photos], small("default", steps=1))
    trainer.run(folder / "start.pt")
    trainer.export(folder / "start.safetensors", "start")
    return folder / "start.safetensors"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_and_its_model_works(name: str, photos: Path, tmp_path: Path):
    recipe = small(name)
    told = Told()
    trainer = Trainer([photos], recipe, events=told, init=start_of(name, photos, tmp_path))
    trainer.run(tmp_path / "state.pt")
    expected = {"loss_G"} | (
        {"loss_G_GAN", "loss_D", "loss_D_real", "loss_D_fake"} if recipe.gan_loss != "none" else set()
    )
    assert expected <= set(told.steps_facts[-1])
    trainer.export(tmp_path / "model.safetensors", name)
    network, header = weights.load(tmp_path / "model.safetensors")
    assert header.notes["recipe"]["name"] == name
    with torch.inference_mode():
        assert network(torch.rand(1, 1, 32, 64) * 100).shape[1] == 2


@pytest.mark.parametrize("name", ["pix2pix", "wgan-gp", "default", "dcgan", "fine-tune", "guided", "likeness"])
def test_resumed_equals_uninterrupted(name: str, photos: Path, tmp_path: Path):
    changes = FEATURE_GAN | {"optimizer": "muon"} if name == "fine-tune" else {}
    recipe = small(name, steps=6, schedule="constant", warmup=0.0, perceptual_start=0.0, **changes)
    init = start_of(name, photos, tmp_path)
    whole = Trainer([photos], recipe, init=init)
    whole.run(tmp_path / "whole.pt")
    first = Trainer([photos], dataclasses.replace(recipe, steps=3), init=init)
    first.run(tmp_path / "parts.pt")
    second = Trainer([photos], recipe, init=init)
    second.run(tmp_path / "parts.pt")
    assert second.step == whole.step == 6
    for one, other in zip(whole.generator.parameters(), second.generator.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_long_epochs_are_looked_into(share: float, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = small("default", steps=6, validation_share=share)
    seen, plain = Told(), Told()
    undisturbed = Trainer([photos], recipe, events=plain)
    undisturbed.run(tmp_path / "one.pt")
    monkeypatch.setattr(trainer_module, "VALIDATION_MINUTES", 1e-6)
    looked_into = Trainer([photos], recipe, events=seen)
    looked_into.run(tmp_path / "two.pt")
    ends = {facts["step"] for facts in seen.epoch_facts}
    assert [facts["step"] for facts in seen.looks] == [step for step in range(1, 7) if step not in ends]
    assert all(("validation_psnr" if share else "seen_psnr") in facts for facts in seen.looks)
    assert len(seen.grids) == 6
    assert plain.looks == []
    assert seen.epoch_facts == [
        facts | {"minutes": pytest.approx(facts["minutes"], abs=9)} for facts in plain.epoch_facts
    ]
    for one, other in zip(undisturbed.generator.parameters(), looked_into.generator.parameters(), strict=True):
        assert torch.equal(one, other)


def test_numbers_next_to_nothing_count_as_nothing_while_a_run_lasts(photos: Path, tmp_path: Path):
    tiny = torch.tensor([1e-39])
    found: list[float] = []

    class Watching(Told):
        def step_finished(self, facts: dict[str, Any]) -> None:  # noqa: ARG002 - as the callback is called
            found.append(float((tiny * 0.5)[0]))

    Trainer([photos], small("fcn-l2", steps=2), events=Watching()).run(tmp_path / "state.pt")
    assert found == [0.0, 0.0]
    assert float((tiny * 0.5)[0]) > 0


def test_photos_are_kept_where_a_cache_is_named(photos: Path, tmp_path: Path):
    command = [
        "train", photos, "-o", tmp_path / "mine.safetensors", "--recipe", "fcn-l2", "--steps", "2", "--batch-size", "2",
        "--run-folder", tmp_path / "run", "--device", "cpu", "--overwrite", "--set",
        'generator_config={"width": 4, "depth": 5, "outputs": 3}', "--set", 'stages=[{"crop": 32}]',
    ]  # fmt: skip
    for more in ([], ["--cache", tmp_path / "cache"]):
        assert cli.run(list(map(str, [*command, *more]))) == 0
        (tmp_path / "run" / "state.pt").unlink()
    assert not (tmp_path / "run" / "cache").exists()
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".json", ".u8"]


@pytest.mark.parametrize(("recipe", "part"), [("guided", "guidance"), ("likeness", "likeness")])
def test_one_part_is_trained_and_the_rest_stays_to_the_bit(recipe: str, part: str, photos: Path, tmp_path: Path):
    init = start_of(recipe, photos, tmp_path)
    assert init is not None
    trainer = Trainer([photos], small(recipe, steps=6, warmup=0.0), init=init)
    trainer.run(tmp_path / "state.pt")
    trainer.export(tmp_path / "after.safetensors", recipe)
    before, after = weights.load(init)[0].state_dict(), weights.load(tmp_path / "after.safetensors")[0].state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    learned = {name for name in after if name.startswith(f"{part}.")}
    assert learned == after.keys() - before.keys()
    torch.manual_seed(trainer.recipe.seed)
    fresh = networks.build("binnet", trainer.gan.config).state_dict()
    assert any(not torch.equal(fresh[name], after[name]) for name in learned)


def test_a_model_that_listens_stays_so_when_it_is_fine_tuned(photos: Path, tmp_path: Path):
    init = start_of("guided", photos, tmp_path)
    for name, at in (("guided", "one"), ("fine-tune", "two")):
        recipe = small(name, steps=2) if name == "guided" else small(name, steps=2, generator_config={})
        trainer = Trainer([photos], recipe, init=init)
        trainer.run(tmp_path / f"{at}.pt")
        init = tmp_path / f"{at}.safetensors"
        trainer.export(init, at)
    network, header = weights.load(init)
    assert header.config["guidance"] == 2
    lightness, known = torch.rand(1, 1, 64, 64) * 100, torch.zeros(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(network.guide(lightness, known)[:, :2], network(lightness))
        known[:, :, 4, 4] = torch.tensor([40.0, -20.0, 1.0])
        guided = network.guide(lightness, known)
    assert (guided[:, :2] - network(lightness)).abs().max() > 0
    assert float(guided[0, 2, 4, 4]) == 1


@pytest.mark.parametrize("recipe", ["guided", "likeness"])
def test_what_trains_a_part_needs_a_model_to_teach(recipe: str, photos: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="--init"):
        Trainer([photos], small(recipe, steps=1)).run(tmp_path / "state.pt")


def test_another_recipes_state_is_not_gone_on_from(photos: Path, tmp_path: Path):
    Trainer([photos], small("pix2pix", steps=1)).run(tmp_path / "s.pt")
    with pytest.raises(UsageError, match="made with other settings"):
        Trainer([photos], small("wgan-gp")).run(tmp_path / "s.pt")


def test_a_run_goes_on_under_a_version_that_knows_more_fields(photos: Path, tmp_path: Path):
    Trainer([photos], small("pix2pix", steps=1)).run(tmp_path / "s.pt")
    state = torch.load(tmp_path / "s.pt", weights_only=True)
    del state["recipe"]["zoom"]
    torch.save(state, tmp_path / "s.pt")
    with pytest.raises(UsageError, match=r"made with other settings \(zoom\)"):
        Trainer([photos], small("pix2pix", steps=2, zoom=1.5)).run(tmp_path / "s.pt")
    trainer = Trainer([photos], small("pix2pix", steps=2))
    trainer.run(tmp_path / "s.pt")
    assert trainer.step == 2


def test_a_perceptual_term_stands_beside_the_content(photos: Path, tmp_path: Path):
    recipe = small(
        "default", perceptual_weight=0.5, perceptual_finer=0.5, perceptual_start=0.5, gan_loss="none", steps=2
    )
    trainer = Trainer([photos], recipe)
    seen: list[dict[str, float]] = []
    step = trainer._train_step
    trainer._train_step = lambda rgb: seen.append(losses := step(rgb)) or losses
    trainer.run(tmp_path / "s.pt")
    terms = {"loss_G_bins", "loss_G_perceptual", "loss_G_perceptual_finer"}
    assert seen[0].keys() & terms == {"loss_G_bins"}  # before their share of the budget
    assert all(seen[1][term] > 0 for term in terms)
    assert seen[1]["loss_G"] == pytest.approx(sum(seen[1][term] for term in terms))


def test_one_look_serves_the_perceptual_term_and_the_discriminator(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    looks: list[int] = []

    def counted(*arguments: Any) -> Callable[[torch.Tensor], list[torch.Tensor]]:
        look = load_feature_network(*arguments)
        return lambda rgb: looks.append(len(rgb)) or look(rgb)

    monkeypatch.setattr(objective, "load_feature_network", counted)
    trainer = Trainer([photos], small("fine-tune", **FEATURE_GAN, perceptual_weight=0.5, steps=2))
    step = trainer._train_step
    looks_by_step: list[list[int]] = []

    def watched(rgb: NDArray[np.uint8]) -> dict[str, float]:
        looks.clear()
        losses = step(rgb)
        looks_by_step.append([*looks])
        assert losses.keys() >= {"loss_G_perceptual", "loss_G_GAN", "loss_D"}
        return losses

    trainer._train_step = watched
    trainer.run(tmp_path / "s.pt")
    assert looks_by_step == [[4, 4]] * 2  # the truth and the prediction, once each


def test_a_gan_loss_on_features_moves_the_generator_and_not_its_discriminator(photos: Path, tmp_path: Path):
    def after_a_step(weight: float) -> Any:
        trainer = Trainer([photos], small("fine-tune", **FEATURE_GAN, gan_weight=weight, steps=1, warmup=0.0))
        trainer.run(tmp_path / f"{weight}.pt")
        return trainer

    idle, playing = after_a_step(0.0), after_a_step(1.0)
    one, other = (torch.cat([p.flatten() for p in t.generator.parameters()]) for t in (idle, playing))
    assert not torch.equal(one, other)
    discriminators = [trainer.gan.discriminator.state_dict() for trainer in (idle, playing)]
    assert all(torch.equal(value, discriminators[1][name]) for name, value in discriminators[0].items())


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("fine-tune", {"features": "vgg19"}, "vgg19"),
        ("fine-tune", {"gradient_penalty": 10.0}, "gradient_penalty"),
        ("dcgan", {}, r"only generators of a\*b\*"),
    ],
)
def test_a_discriminator_of_features_refuses_what_it_cannot_judge(
    name: str, changes: dict[str, Any], said: str, photos: Path, tmp_path: Path
):
    with pytest.raises(UsageError, match=said):
        Trainer([photos], small(name, **FEATURE_GAN | changes)).run(tmp_path / "s.pt")


def test_the_read_out_answers_for_its_colors_and_their_amount(photos: Path, tmp_path: Path):
    def losses(**weights: float) -> dict[str, float]:
        recipe = small("default", gan_loss="none", perceptual_weight=0, steps=1, **weights)
        found: dict[str, float] = {}
        trainer = Trainer([photos], recipe)
        step = trainer._train_step
        trainer._train_step = lambda rgb: found.update(step(rgb)) or found
        trainer.run(tmp_path / f"{len(list(tmp_path.iterdir()))}.pt")
        return found

    weighted = {"readout_weight": 0.01, "chroma_gap_weight": 0.1, "decibel_weight": 0.1, "de94_weight": 0.1,
                "neutral_weight": 0.1}  # fmt: skip
    without = losses(**dict.fromkeys(weighted, 0.0))
    once, twice = losses(**weighted), losses(**{name: 2 * weight for name, weight in weighted.items()})
    assert set(without) == {"loss_G", "loss_G_bins"}
    names = {f"loss_G_{name.removesuffix('_weight')}" for name in weighted}
    for name in names:
        assert once[name] > 0
        assert twice[name] == pytest.approx(2 * once[name])
    assert once["loss_G"] == pytest.approx(without["loss_G"] + sum(once[name] for name in names))


def test_fine_tuning_starts_from_the_model(photos: Path, tmp_path: Path):
    trainer = Trainer([photos], small("default", gan_loss="none"))
    trainer.run(tmp_path / "one.pt")
    trainer.export(tmp_path / "one.safetensors", "one")
    again = Trainer([photos], small("default", gan_loss="none", learning_rate=0.0, encoder_learning_rate=1e-12, steps=1,
                                    average_decay=0.0), init=tmp_path / "one.safetensors")  # fmt: skip
    again.run(tmp_path / "two.pt")
    start, _ = weights.load(tmp_path / "one.safetensors")
    for name, value in start.named_parameters():
        assert torch.allclose(again.generator.get_parameter(name), value, atol=1e-6), name


def test_a_model_of_another_kind_cannot_be_gone_on_from(photos: Path, tiny_model: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="is a 'pix2pix'"):
        Trainer([photos], small("default"), init=tiny_model).run(tmp_path / "s.pt")


def test_too_few_photos_for_a_batch_are_an_error_before_training(photos: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="12 usable photos"):
        Trainer([photos], small("pix2pix", batch=13)).run(tmp_path / "s.pt")


def test_a_loss_that_is_no_number_stops_the_run(photos: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match="no longer a number"):
        Trainer([photos], small("pix2pix", content_weight=float("inf"))).run(tmp_path / "s.pt")


def test_crops_too_small_for_the_discriminator_are_refused(photos: Path, tmp_path: Path):
    recipe = small("default", discriminator_config={"norm": "spectral", "layers": 3})
    with pytest.raises(UsageError, match="crops of 64 pixels show the discriminator 16 pixels"):
        Trainer([photos], recipe).run(tmp_path / "s.pt")


def test_crops_that_the_generator_cannot_halve_are_refused():
    gan = Gan(RECIPES["pix2pix"], {}, torch.device("cpu"))
    with pytest.raises(UsageError, match="crops of 64 pixels: this generator takes multiples of 256"):
        gan.check_crop(64)


@pytest.mark.parametrize("name", ["default", "pix2pix", "wgan-gp"])
def test_every_stage_suits_the_recipes_discriminator(name: str):
    recipe = RECIPES[name]
    gan = Gan(recipe, dict(recipe.generator_config), torch.device("cpu"))
    for stage in recipe.stages:
        gan.check_crop(stage.crop)


def test_a_discriminator_that_always_wins_ends_the_run(photos: Path, tmp_path: Path):
    recipe = small("pix2pix", content_weight=0.0, learning_rate=0.0, discriminator_learning_rate=0.01, steps=400)
    trainer = Trainer([photos], dataclasses.replace(recipe, collapse_steps=5))
    with pytest.raises(TrainingError, match="has won for 5 steps"):
        trainer.run(tmp_path / "s.pt")


def test_an_epoch_tells_its_means_the_validations_and_a_grid(photos: Path, tmp_path: Path):
    told = Told()
    recipe = small("cgan-lab", steps=None, epochs=2.0, validation_share=0.4, batch=2)
    trainer = Trainer([photos], recipe, events=told)
    trainer.run(tmp_path / "s.pt")
    assert [int(facts["epoch"]) for facts in told.epoch_facts] == [1, 2]
    assert {"loss_D_fake", "loss_D_real", "loss_D", "loss_G_GAN", "loss_G_L1", "loss_G"} <= set(told.epoch_facts[0])
    assert 3 < told.epoch_facts[-1]["validation_psnr"] < 60
    apart = len(trainer._loaded_photos.validation_names)
    assert 1 <= apart <= 8
    assert told.grids[0].shape == (3 * 36, apart * 36, 3)
    input_row, truth_row = told.grids[0][:32, :32], told.grids[0][72:104, :32]
    assert np.ptp(input_row.astype(int), axis=2).max() <= 2  # gray
    assert np.abs(truth_row.astype(int) - trainer._loaded_photos.validation_crops()[0]).max() <= 2


def test_models_are_kept_at_the_moments_that_the_recipe_names(photos: Path, tmp_path: Path):
    told = Told()
    recipe = small("pix2pix", steps=None, epochs=4.0, batch=6, keep_epochs=2, gan_start=0.5, gan_keep_steps=3)
    Trainer([photos], recipe, events=told).run(tmp_path / "s.pt")  # 12 photos: 8 steps
    assert told.kept == ["epoch-0002", "step-0000006"]


def gradients(photos: Path, tmp_path: Path, **changes: object) -> list[torch.Tensor]:
    """Gradients of the first step, without what depends on the batch as a whole."""
    recipe = small("wgan-gp", steps=1, gan_loss="none", **changes)
    trainer = Trainer([photos], recipe)
    make = trainer._build

    def without_batch_norm(*arguments: Any) -> None:
        make(*arguments)
        trainer.generator.eval().train = lambda _=True: trainer.generator

    trainer._build = without_batch_norm
    trainer.run(tmp_path / f"{len(list(tmp_path.iterdir()))}.pt")
    return [parameter.grad for parameter in trainer.generator.parameters()]


def test_a_batch_in_parts_has_the_gradient_of_the_whole(photos: Path, tmp_path: Path):
    whole, parts = (gradients(photos, tmp_path, accumulate=count) for count in (1, 4))
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5 * float(one.abs().max()))


def test_mixed_precision_learns_nearly_the_same(photos: Path, tmp_path: Path):
    whole, half = (gradients(photos, tmp_path, precision=name) for name in ("fp32", "bf16"))
    flat, other = (torch.cat([gradient.flatten() for gradient in each]) for each in (whole, half))
    assert not torch.equal(flat, other)
    assert torch.cosine_similarity(flat, other, dim=0) > 0.98


def test_missing_vgg19_weights_are_told_with_what_to_do(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import torchvision

    def offline(**_: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models, "vgg19", offline)
    with pytest.raises(UsageError, match=r"--vgg19 FILE, or take the packaged features: --set features=lite0"):
        Trainer([photos], small("eccv16", features="vgg19")).run(tmp_path / "s.pt")


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "int4"}, {"gan_loss": "chess"}, {"optimizer": "luck"}, {"accumulate": 3}, {"zoom": 0.5},
        {"drop_path": 1.5}, {"drop_path": 0.25}, {"de94_weight": -5.0}, {"validation_share": -1.0}, {"cards": 1.5},
        {"learning_rate": -0.1}, {"average_decay": 1.0},
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_followed_is_refused(change: dict[str, Any], photos: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=str(next(iter(change.values())))):
        Trainer([photos], small("pix2pix", **change)).run(tmp_path / "s.pt")


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("aging", '{"grains": 0.8}', r"aging's field 'grains'.*did you mean grain"),
        ("stages", '[{"crops": 128}]', r"stage's field 'crops'.*did you mean crop"),
        ("aging", "3", "aging=3: needs a value"),
    ],
)
def test_a_field_within_a_field_is_checked(field: str, text: str, told: str):
    with pytest.raises(UsageError, match=told):
        override(RECIPES["default"], {field: text})


@pytest.mark.parametrize("aging", [{"grain": 1.5}, {"grain_sigma": -0.1}])
def test_aging_out_of_range_is_refused_before_photos_are_read(aging: dict[str, float]):
    with pytest.raises(UsageError, match=rf"aging\.{next(iter(aging))} {next(iter(aging.values()))}: must be"):
        Trainer([Path("no photos")], dataclasses.replace(RECIPES["default"], aging=Aging(**aging)))


def test_fields_of_earlier_releases_are_understood():
    recipe = override(RECIPES["default"], {"game": "none", "game_weight": "2", "aging": '{"stock": 0.9}'})
    assert (recipe.gan_loss, recipe.gan_weight, recipe.aging) == ("none", 2.0, Aging(sensitivity=0.9))


def test_a_run_of_a_few_steps_has_an_average_of_its_own(photos: Path, tmp_path: Path):
    trainer = Trainer([photos], small("default", average_decay=0.999, steps=3, gan_loss="none"))
    seen: list[torch.Tensor] = []
    trainer.events.step_finished = lambda _: seen.append(trainer.gan.average.classify.weight.clone())
    trainer.run(tmp_path / "state.pt")
    assert len(seen) == 3
    assert not any(one.equal(next_one) for one, next_one in pairwise(seen))


def test_another_discriminator_begins_with_its_own_defaults():
    own = RECIPES["fine-tune"].discriminator_config
    assert override(RECIPES["fine-tune"], {"discriminator": "features"}).discriminator_config == {}
    assert override(RECIPES["fine-tune"], {"discriminator": "multiscale"}).discriminator_config == own != {}
    said = {"discriminator": "features", "discriminator_config": '{"width": 8}'}
    assert override(RECIPES["fine-tune"], said).discriminator_config == {"width": 8}


@pytest.mark.parametrize("config", [{"scales": 3}, {"features": "lite2"}])
def test_a_discriminator_config_that_does_not_fit_is_refused(config: dict[str, Any], photos: Path, tmp_path: Path):
    recipe = small("fine-tune", **FEATURE_GAN | {"discriminator_config": config})
    with pytest.raises(UsageError, match=rf"does not fit features.*{next(iter(config))}"):
        Trainer([photos], recipe).run(tmp_path / "s.pt")


@pytest.mark.parametrize("name", RECIPES)
def test_a_printed_recipe_reads_back(name: str):
    recipe = find_recipe(name)
    lines = dict(line.split(" = ", 1) for line in format_recipe(recipe).splitlines())
    texts = {key: json.loads(value) if isinstance(json.loads(value), str) else value for key, value in lines.items()}
    assert override(find_recipe("fcn-l2"), texts) == recipe


@pytest.mark.parametrize(
    "change", [{"nonsense": "1"}, {"batch": "many"}, {"batch": "1.5"}, {"betas": "[1]"}, {"stages": "3"}]
)
def test_a_wrong_change_is_refused(change: dict[str, str]):
    with pytest.raises(UsageError):
        override(RECIPES["default"], change)


def test_unaged_is_unaged():
    rgb = torch.rand(4, 3, 32, 32)
    gray, _ = age(rgb, torch.zeros(4, 2, 8, 8), NO_AGING, torch.Generator())
    assert torch.allclose(gray[:, 0], 0.299 * rgb[:, 0] + 0.587 * rgb[:, 1] + 0.114 * rgb[:, 2], atol=1e-5)


def test_the_command_shows_and_follows_a_recipe(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["train", "--recipe", "wgan-gp", "--set", "batch=7", "--show-recipe"]) == 0
    told = capsys.readouterr().out
    assert "gradient_penalty = 10.0" in told
    assert "batch = 7" in told
    model = tmp_path / "mine.safetensors"
    code = cli.run([
        "train", str(photos), "-o", str(model), "--recipe", "pix2pix", "--steps", "2", "--batch-size", "2",
        "--run-folder", str(tmp_path / "run"), "--set", 'generator_config={"width": 4, "depth": 5}',
        "--set", 'stages=[{"crop": 32}]', "--set", 'discriminator_config={"width": 4, "layers": 2}',
    ])  # fmt: skip
    assert code == 0
    told = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r".*: PSNR [0-9.]+ dB before, [0-9.]+ dB after \([+-][0-9.]+ dB\): .+\.", told[-3])
    assert told[-2].startswith(f"{tmp_path / 'run'}: log.jsonl, curves.png")
    assert told[-1] == f"next: vidcolor preview film.mp4 -o sheet.png --models default,{model}"
    assert weights.read_header(model).multiple == 32
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [entry["event"] for entry in log] == ["beginning", "steps", "steps", "epoch", "end"]
    assert log[-2]["loss_D"] > 0
    assert (tmp_path / "run" / "grids" / "step-0000002.png").stat().st_size > 1000
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
