"""Slots for workers on a machine: its GPUs, or groups of its cores."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CORES_A_WORKER = 8  # at most: the stages of a film and its encoder use no more


@dataclass(frozen=True)
class Slot:
    """Where a worker can run: a GPU, or some cores."""

    node: str
    address: str
    number: int  # on its machine
    cores: int
    has_gpu: bool
    is_alone: bool  # whether it is the only slot of its machine, and may use all of it

    @property
    def lanes(self) -> int:
        """How many entries run at once, one film at most: one more than cores, so that no core waits for files."""
        return self.cores + 1


def slots_of(node: dict[str, Any], *, has_gpus: bool) -> Iterator[Slot]:
    """The slots of a machine: its GPUs, or groups of its cores in a cluster without GPUs. node: as Ray lists it."""
    cores, gpus = (int(node["Resources"].get(name, 0)) for name in ("CPU", "GPU"))
    count = gpus if has_gpus else -(-cores // CORES_A_WORKER)
    for number in range(count):
        yield Slot(node["NodeID"], node["NodeManagerAddress"], number, cores // count, has_gpus, is_alone=count == 1)
