"""Distributed training, as `torchrun` starts it: one process for each GPU, on one machine or several.

Each process gets its own part of every batch, and gradients are averaged: N processes with batches of B equal one
with a batch of N x B. Only the first process writes files and messages.
"""

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed, nn

from vidcolor.errors import UsageError


class Processes:
    """One process of a `torchrun` group; a single process without torchrun."""

    def __init__(self, device: str = "cpu"):
        """device: cpu or cuda; with several processes each takes the GPU of its local rank.

        Joins the others by torchrun's environment variables. Raises UsageError where that fails.
        """
        self.rank, self.count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self._joined = False
        if self.count > 1 and device.startswith("cuda"):
            device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
            torch.cuda.set_device(device)
        self.device = torch.device(device)
        if self.count > 1 and not distributed.is_initialized():
            try:
                distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            except (ValueError, RuntimeError) as error:
                raise UsageError(f"process {self.rank} of {self.count} found no others ({error}).") from error
            self._joined = True

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    @property
    def is_first_here(self) -> bool:
        """Whether this process is the first one on its machine."""
        return self.count == 1 or os.environ.get("LOCAL_RANK", "0") == "0"

    def average_gradients(self, module: nn.Module) -> None:
        """Replace every gradient by its mean over all processes, in one all-reduce."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Average named measurements over all processes."""
        return dict(zip(values, self._all_reduce(values.values(), distributed.ReduceOp.SUM, self.count), strict=True))

    def maximum(self, *values: float) -> list[float]:
        """Maximum of each value over all processes, so that all take the same decisions."""
        return self._all_reduce(values, distributed.ReduceOp.MAX, 1)

    def _all_reduce(self, values: Iterable[float], how: Any, divisor: int) -> list[float]:
        listed = list(values)
        if self.count == 1:
            return listed
        tensor: Tensor = torch.tensor(listed, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor, how)
        return [value / divisor for value in tensor.tolist()]

    def leave(self) -> None:
        """Leave the process group that this object joined, when all others have come as far; no more is shared then.

        The barrier lets the group's threads drop the tensors of what was shared last. A thread may need Python's lock
        for that, which destroying the group holds while it waits for the thread: with Gloo that could wait forever.
        """
        if not self._joined:
            return
        distributed.barrier(device_ids=[self.device.index or 0] if self.device.type == "cuda" else None)
        distributed.destroy_process_group()
        self._joined = False
