"""The Muon optimizer: matrices are updated by orthogonalized momentum, other parameters by AdamW.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", with updates as large as AdamW's (Liu et
al. 2025, "Muon is scalable for LLM training"), so that AdamW's learning rates apply. PyTorch's own takes
two-dimensional parameters only and computes in bf16, which is slow on many processors.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
ITERATIONS = 4  # of Newton-Schulz; a fifth would change only the smallest singular values
QUINTIC = (3.4445, -4.7750, 2.0315)  # of x, x^3, x^5 (Jordan et al.): moves singular values toward 1
STEP = 0.2  # root mean square of AdamW's updates, in learning rates
MIN_SIDE = 16  # of a matrix; AdamW updates smaller ones


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter is the weight of a linear layer or a 1x1 convolution."""
    sides = parameter.shape[:2]
    return len(sides) == 2 and parameter.numel() == sides.numel() and min(sides) >= MIN_SIDE


def _is_tall(parameter: Tensor) -> bool:
    return parameter.shape[0] > parameter.shape[1]


def _quintic(gram_Nrr: Tensor) -> Tensor:
    """The factor on each singular value, as matrices: a + b gram + c gram^2."""
    a, b, c = QUINTIC
    power = torch.baddbmm(gram_Nrr, gram_Nrr, gram_Nrr, beta=b, alpha=c)
    power.diagonal(dim1=1, dim2=2).add_(a)
    return power


def orthogonalize(matrices_Nrc: Tensor) -> Tensor:
    """Move all singular values near 1; matrices (N, r, c) with r <= c, of any scale.

    The polynomial is evaluated on the smaller Gram matrices (N, r, r).
    """
    scaled = matrices_Nrc / (matrices_Nrc.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    gram = scaled @ scaled.mT
    factor = power = _quintic(gram)
    for _ in range(ITERATIONS - 1):
        gram = power @ (power @ gram)
        power = _quintic(gram)
        factor = power @ factor
    result: Tensor = factor @ scaled
    return result


class Muon(torch.optim.AdamW):
    """Takes AdamW's arguments; its state dict has AdamW's form."""

    def __init__(self, groups: Iterable[dict[str, Any]], **rates: Any):
        """groups: parameter groups with AdamW's options.  rates: AdamW's options for all groups."""
        parted = []
        for group in groups:
            for are_matrices in (False, True):
                members = [parameter for parameter in group["params"] if is_matrix(parameter) == are_matrices]
                parted.append({**group, "params": members, "are_matrices": are_matrices})
        super().__init__(parted, **rates)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take a step. It removes the matrices' gradients."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        alike = defaultdict[torch.Size, list[tuple[Tensor, Tensor, dict[str, Any]]]](list)
        for group in self.param_groups:
            for parameter in group["params"] if group["are_matrices"] else ():
                if parameter.grad is not None:
                    direction = self._direction(parameter)
                    alike[direction.shape].append((parameter, direction, group))
        for shape, members in alike.items():
            moves = orthogonalize(torch.stack([direction for _, direction, _ in members]))
            for (parameter, _, group), move in zip(members, moves, strict=True):
                rate, upright = group["lr"], move.T if _is_tall(parameter) else move
                parameter.mul_(1 - rate * group["weight_decay"])
                parameter.add_(upright.reshape(parameter.shape), alpha=-rate * STEP * shape[1] ** 0.5)
        super().step()
        return loss

    def _direction(self, parameter: Tensor) -> Tensor:
        """Nesterov momentum of a matrix, transposed to r <= c. Removes the gradient, so that AdamW skips the matrix."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros(())  # unused here; AdamW expects one in every loaded state
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(momentum, MOMENTUM).flatten(1)
        parameter.grad = None
        return ahead.T if _is_tall(parameter) else ahead
