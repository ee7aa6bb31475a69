"""Where a long film can be gone on with: what the stages remember at the ends of segments."""

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from vidcolor.steady.state import Arrays, to_arrays

T = TypeVar("T")
R = TypeVar("R")
SEGMENT_FRAMES = 240  # x264's usual distance of key frames, about, and a multiple of most batch sizes


class Stateful(Protocol):
    """A stage with a state that arrays_of can take apart."""

    @property
    def state(self) -> Any:
        """All that what follows depends on."""


class Checkpoints:
    """States of stages, which run ahead of each other, at the ends of segments.

    A stage's state at frame n is that after its n-th input. Several threads note, one takes. However far a stage runs
    ahead, what it notes is kept until it is taken.
    """

    def __init__(self, first: int = 0, state: Arrays | None = None, *, is_resumable: bool = True) -> None:
        """first: frames that an earlier run has made.  state: as `pop` gave it then.  are_taken: whether anybody
        takes what is noted; else nothing is kept.
        """
        self.first = first
        self._initial, self._is_resumable = state or {}, is_resumable
        self._recorded: dict[int, Arrays] = {}
        self._lock = Lock()

    def initial_state(self, stage: str) -> Arrays:
        """What a stage has to begin with; empty at the film's start."""
        prefix = f"{stage}/"
        return {name.removeprefix(prefix): array for name, array in self._initial.items() if name.startswith(prefix)}

    def record(self, stage: str, count: int, stateful: Stateful) -> None:
        """A stage has had `count` of the film's frames."""
        if count % SEGMENT_FRAMES or not self._is_resumable:
            return
        arrays = {f"{stage}/{name}": array for name, array in to_arrays(stateful.state).items()}
        with self._lock:
            self._recorded.setdefault(count, {}).update(arrays)

    def pop(self, count: int) -> Arrays:
        """The states of all stages at `count`, which every frame before has passed."""
        with self._lock:
            return self._recorded.pop(count, {})


class PendingItems(Generic[T]):
    """Things in the order they came, until their results are known."""

    def __init__(self, already_done: int) -> None:
        """gone: results still to come of things that an earlier run has dealt with."""
        self._items: deque[T | None] = deque([None] * already_done)

    def put(self, item: T, results: Iterable[R]) -> Iterator[tuple[T, R]]:
        """One more thing, and the results that are now known of the oldest."""
        self._items.append(item)
        return self.match(results)

    def match(self, results: Iterable[R]) -> Iterator[tuple[T, R]]:
        """The oldest things with these results."""
        for result in results:
            if (oldest := self._items.popleft()) is not None:
                yield oldest, result
