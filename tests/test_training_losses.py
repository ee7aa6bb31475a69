"""Losses against values worked out by hand, and that their minima lie where they should."""

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede94
from torch import nn

from vidcolor.training.losses import (
    GAN_LOSSES,
    chroma_gap,
    content_loss,
    de94,
    false_chroma,
    gradient_penalty,
    log_error,
    mean_over_scales,
)


def test_bce_is_cross_entropy():
    logits = torch.tensor([0.0, 2.0, -3.0])
    entropy = nn.BCEWithLogitsLoss()
    assert torch.allclose(GAN_LOSSES["bce"].real(logits), entropy(logits, torch.ones(3)))
    assert torch.allclose(GAN_LOSSES["bce"].fake(logits), entropy(logits, torch.zeros(3)))
    assert torch.allclose(GAN_LOSSES["bce"].generator(logits), entropy(logits, torch.ones(3)))


def test_hinge_rests_once_the_margin_is_kept():
    assert GAN_LOSSES["hinge"].real(torch.tensor([1.0, 5.0])) == 0
    assert GAN_LOSSES["hinge"].fake(torch.tensor([-1.0, -5.0])) == 0
    assert GAN_LOSSES["hinge"].real(torch.tensor([0.0])) == 1


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_every_gan_loss_pulls_the_two_players_apart(name: str):
    logit = torch.zeros(1, requires_grad=True)
    loss = GAN_LOSSES[name]
    (real,) = torch.autograd.grad(loss.real(logit), logit)
    (fake,) = torch.autograd.grad(loss.fake(logit), logit)
    (generator,) = torch.autograd.grad(loss.generator(logit), logit)
    assert real < 0 < fake
    assert generator < 0


def test_scales_count_alike_whatever_their_size():
    logits = [torch.full((2, 1, 8, 8), 1.0), torch.full((2, 1, 2, 2), 3.0)]
    assert mean_over_scales(lambda x: x.mean(), logits) == 2


def test_de94_is_that_of_scikit_image():
    ab, true = (torch.randn(2, 2, 5, 7, generator=torch.Generator().manual_seed(seed)) * 30 for seed in (1, 2))

    def lab(colors: torch.Tensor) -> np.ndarray:
        lightness = torch.full_like(colors[:, :1], 50)
        return torch.cat([lightness, colors], dim=1).permute(0, 2, 3, 1).double().numpy()

    assert de94(ab, true).item() == pytest.approx(deltaE_ciede94(lab(true), lab(ab)).mean(), rel=1e-3)
    moved = true.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(de94(moved, true), moved)
    assert torch.isfinite(slope).all()  # where nothing differs
    gray = torch.zeros(1, 2, 2, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(de94(gray, true[:1, :, :2, :2]), gray)
    assert (slope * true[:1, :, :2, :2] < 0).all()  # from gray toward the color


def test_only_what_is_gray_in_truth_has_false_chroma():
    true, ab = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    true[0, :, 0] = torch.tensor([[3.0, 30.0], [4.0, 40.0]])  # chroma 5 and 50, above two of 0
    ab[0, :, 0] = torch.tensor([[6.0, 3.0], [8.0, 4.0]])  # chroma 10 and 5
    assert false_chroma(ab, true).item() == pytest.approx((10 + 2 * 0.01) / 4, rel=1e-4)
    gray = true.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(false_chroma(gray, true), gray)
    assert torch.isfinite(slope).all()
    assert (slope[0, :, 0, 0] > 0).all()  # toward gray
    assert not slope[0, :, 0, 1].any()


def test_the_log_error_weighs_pictures_as_psnr_does():
    true = torch.zeros(2, 2, 4, 4)
    far, near = true.clone(), true.clone()
    far[0], near[1] = 40.0, 4.0
    halved = [log_error(each, true) - log_error(each / 2, true) for each in (far, near)]
    assert halved[0] == pytest.approx(np.log((3200 + 2) / (800 + 2)) / 2, rel=1e-4)
    assert halved[1] > 0.8 * halved[0]  # a hundred times as much in the mean square


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
