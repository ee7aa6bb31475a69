"""Where workers may be: GPUs, or groups of cores."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CORES_A_WORKER = 8  # at most: a film's stages and its encoder keep no more busy


@dataclass(frozen=True)
class Slot:
    """Where a worker may be: a GPU, or some cores."""

    node: str
    address: str
    number: int  # on its machine
    cores: int
    has_gpu: bool
    is_alone: bool  # on its machine, all of which it may use

    @property
    def lanes(self) -> int:
        """Entries that are worked on together, one film at most; one more than cores, so that none waits for files."""
        return self.cores + 1


def slots_of(node: dict[str, Any], *, has_gpus: bool) -> Iterator[Slot]:
    """Where workers may be on a machine: its GPUs, or, in a cluster without any, groups of its cores."""
    cores, gpus = (int(node["Resources"].get(name, 0)) for name in ("CPU", "GPU"))
    count = gpus if has_gpus else -(-cores // CORES_A_WORKER)
    for number in range(count):
        yield Slot(node["NodeID"], node["NodeManagerAddress"], number, cores // count, has_gpus, is_alone=count == 1)
