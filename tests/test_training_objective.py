"""What a recipe asks of its generator: each term's value, and whom its gradient reaches."""

import dataclasses

import pytest
import torch

from vidcolor.errors import UsageError
from vidcolor.training import objective
from vidcolor.training.recipes import RECIPES


def test_feature_terms_reach_the_prediction_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(objective, "load_feature_network", lambda *_: lambda rgb: [rgb.mean(dim=1, keepdim=True)])
    recipe = dataclasses.replace(RECIPES["eccv16"], content="features-mse", content_weight=1.0)
    lightness, predicted, truth = (
        torch.full((1, 1, 8, 8), 50.0),
        torch.zeros(1, 2, 8, 8),
        torch.full((1, 2, 8, 8), 30.0),
    )
    predicted.requires_grad_(True)
    truth.requires_grad_(True)
    batch = objective.Batch(lightness, truth, lightness)
    terms = objective.Objective(recipe, None, torch.device("cpu")).terms(objective.Prediction(predicted), batch)
    terms["loss_G_features"].backward()
    pictures = [objective.render_rgb(batch, ab).mean(dim=1) for ab in (predicted, truth)]
    assert terms["loss_G_features"].item() == pytest.approx(((pictures[0] - pictures[1]) ** 2).mean().item())
    assert terms["loss_G_features"].item() > 0
    assert predicted.grad is not None
    assert truth.grad is None


def test_finer_features_count_relative_to_the_truths(monkeypatch: pytest.MonkeyPatch):
    def maps(rgb: torch.Tensor) -> list[torch.Tensor]:
        red = rgb[:, :1]
        return [red, 1000 * red + 7, 3 * red]  # scales must not matter; the coarsest is the other term's

    monkeypatch.setattr(objective, "load_feature_network", lambda *_: maps)
    changes = {"content": "l1", "perceptual_weight": 0.0, "perceptual_finer": 2.0, "gan_loss": "none"}
    recipe = dataclasses.replace(RECIPES["pix2pix"], **changes)
    lightness, truth = torch.full((1, 1, 8, 8), 50.0), torch.full((1, 2, 8, 8), 20.0)
    batch, prediction = objective.Batch(lightness, truth, lightness), objective.Prediction(torch.zeros(1, 2, 8, 8))
    terms = objective.Objective(recipe, None, torch.device("cpu")).terms(prediction, batch)
    seen, true = (maps(objective.render_rgb(batch, ab))[:2] for ab in (prediction.ab_B2hw, truth))
    shares = [((s - t) ** 2).mean() / (t**2).mean() for s, t in zip(seen, true, strict=True)]
    assert terms["loss_G_perceptual_finer"].item() == pytest.approx(2.0 * float(sum(shares)) / 2)
    assert terms["loss_G_perceptual_finer"].item() > 0
    assert "loss_G_perceptual" not in terms


def test_features_of_one_map_have_no_finer_ones():
    recipe = dataclasses.replace(RECIPES["eccv16"], perceptual_finer=1.0)
    with pytest.raises(UsageError, match="vgg19 gives one"):
        objective.Objective(recipe, None, torch.device("cpu"))
