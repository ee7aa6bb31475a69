"""Losses against values worked out by hand, and that their minima lie where they should."""

import pytest
import torch
from torch import nn

from vidcolor.training.losses import GAMES, chroma_gap, content_loss, gradient_penalty, mean_over_scales


def test_bce_game_is_cross_entropy():
    logits = torch.tensor([0.0, 2.0, -3.0])
    entropy = nn.BCEWithLogitsLoss()
    assert torch.allclose(GAMES["bce"].real(logits), entropy(logits, torch.ones(3)))
    assert torch.allclose(GAMES["bce"].fake(logits), entropy(logits, torch.zeros(3)))
    assert torch.allclose(GAMES["bce"].generator(logits), entropy(logits, torch.ones(3)))


def test_hinge_game_rests_once_the_margin_is_kept():
    assert GAMES["hinge"].real(torch.tensor([1.0, 5.0])) == 0
    assert GAMES["hinge"].fake(torch.tensor([-1.0, -5.0])) == 0
    assert GAMES["hinge"].real(torch.tensor([0.0])) == 1


@pytest.mark.parametrize("name", GAMES)
def test_every_game_pulls_the_two_players_apart(name: str):
    logit = torch.zeros(1, requires_grad=True)
    game = GAMES[name]
    (real,) = torch.autograd.grad(game.real(logit), logit)
    (fake,) = torch.autograd.grad(game.fake(logit), logit)
    (generator,) = torch.autograd.grad(game.generator(logit), logit)
    assert real < 0 < fake
    assert generator < 0


def test_scales_count_alike_whatever_their_size():
    logits = [torch.full((2, 1, 8, 8), 1.0), torch.full((2, 1, 2, 2), 3.0)]
    assert mean_over_scales(lambda x: x.mean(), logits) == 2


def test_gradient_penalty_of_a_linear_critic_is_known():
    weight = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)  # a slope of 5
    real, fake = torch.rand(4, 2, 1, 1), torch.rand(4, 2, 1, 1)
    penalty = gradient_penalty(lambda x: [(x * weight).sum(dim=(1, 2, 3))[:, None]], real, fake, torch.rand(4, 1, 1, 1))
    assert penalty.item() == pytest.approx(16, abs=1e-4)


def test_chroma_gap_is_zero_for_equal_amounts_and_grows_both_ways():
    ab = torch.randn(3, 2, 16, 16) * 20
    assert chroma_gap(ab, ab) == 0
    assert chroma_gap(ab * 0.5, ab) > 1
    assert chroma_gap(ab * 1.5, ab) > 1


@pytest.mark.parametrize(("kind", "value"), [("l1", 2.0), ("mse", 4.0), ("rmse", 2.0)])
def test_content_losses(kind: str, value: float):
    assert content_loss(kind)(torch.zeros(5), torch.full((5,), 2.0)).item() == pytest.approx(value, abs=1e-3)
