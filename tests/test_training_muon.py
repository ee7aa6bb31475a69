"""Muon moves matrices along orthogonalized momentum, and the rest as AdamW does."""

import pytest
import torch
from torch import nn

from vidcolor.training.muon import STEP, Muon, is_matrix, orthogonalize


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(32, 64, 1), True),
        (nn.Linear(32, 64), True),
        (nn.Conv2d(32, 64, 3), False),
        (nn.Conv2d(32, 32, 3, groups=32), False),  # depthwise
        (nn.Conv2d(32, 32, 1, groups=32), False),
        (nn.Conv2d(3, 64, 1), False),
    ],
)
def test_what_a_matrix_is(layer: nn.Module, expected: bool):
    weight, bias = layer.parameters()
    assert is_matrix(weight) == expected
    assert not is_matrix(bias)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_singular_values_come_near_to_one_and_their_vectors_stay(scale: float):
    matrices = torch.randn(5, 24, 96, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    turned = left.mT @ orthogonalize(matrices * scale) @ right.mT
    values = turned.diagonal(dim1=1, dim2=2)
    assert values.min() > 0.6
    assert values.max() < 1.3
    assert (turned - torch.diag_embed(values)).abs().max() < 1e-3


def stepped(optimizer: type[torch.optim.Optimizer]) -> tuple[nn.Sequential, nn.Sequential]:
    """A network before and after a step."""
    torch.manual_seed(3)
    network, before = (nn.Sequential(nn.Conv2d(16, 48, 1), nn.ReLU(), nn.Conv2d(48, 24, 3)) for _ in range(2))
    before.load_state_dict(network.state_dict())
    groups = [{"params": list(network.parameters()), "lr": 1e-3}]
    mover = optimizer(groups, weight_decay=0.0)  # type: ignore[call-arg]
    network(torch.randn(4, 16, 8, 8)).square().mean().backward()
    mover.step()
    return before, network


def test_matrices_move_as_far_as_by_adamw_and_the_rest_moves_like_it():
    (before, by_muon), (_, by_adamw) = stepped(Muon), stepped(torch.optim.AdamW)
    moved = (by_muon[0].weight - before[0].weight).detach().flatten(1)
    assert float(moved.square().mean().sqrt()) == pytest.approx(1e-3 * STEP, rel=0.2)  # a step of AdamW, once it runs
    spread = torch.linalg.svdvals(moved)
    assert spread.max() < 2 * spread.min()
    for one, other in zip(list(by_muon.parameters())[1:], list(by_adamw.parameters())[1:], strict=True):
        assert torch.equal(one, other)


def test_steps_lead_to_the_minimum():
    random = torch.Generator().manual_seed(2)
    weight = nn.Parameter(torch.zeros(48, 32))
    wanted, inputs = torch.randn(48, 32, generator=random), torch.randn(256, 48, generator=random)
    mover = Muon([{"params": [weight], "lr": 0.2}], weight_decay=0.0)
    losses = []
    for _ in range(100):
        mover.zero_grad()
        loss = (inputs @ (weight - wanted)).square().mean()
        loss.backward()
        mover.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0]


def test_a_saved_state_goes_on_alike():
    def network() -> nn.Linear:
        torch.manual_seed(7)
        return nn.Linear(16, 16)

    def steps(layer: nn.Linear, mover: Muon, count: int) -> None:
        for index in range(count):
            mover.zero_grad()
            layer(torch.full((2, 16), 1.0 + index)).square().sum().backward()
            mover.step()

    whole, first, second = network(), network(), network()
    steps(whole, mover := Muon([{"params": list(whole.parameters()), "lr": 1e-2}]), 2)
    steps(whole, mover, 2)
    steps(first, mover := Muon([{"params": list(first.parameters()), "lr": 1e-2}]), 2)
    second.load_state_dict(first.state_dict())
    resumed = Muon([{"params": list(second.parameters()), "lr": 1e-2}])
    resumed.load_state_dict(mover.state_dict())
    steps(second, resumed, 2)
    assert torch.equal(whole.weight, second.weight)
    assert torch.equal(whole.bias, second.bias)
