"""Where a long film can resume: the states of its stages at the ends of segments."""

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from vidcolor.steady.state import Arrays, to_arrays

T = TypeVar("T")
R = TypeVar("R")
SEGMENT_FRAMES = 240  # about x264's usual distance of key frames, and a multiple of most batch sizes


class Stateful(Protocol):
    """A stage whose state `to_arrays` can save."""

    @property
    def state(self) -> Any:
        """Everything that later frames depend on."""


class Checkpoints:
    """States of stages at the ends of segments, while stages run ahead of each other.

    A stage's state at frame n is its state after the n-th input. Several threads record, one pops. A recorded state is
    kept until it is popped, however far its stage runs ahead.
    """

    def __init__(self, first: int = 0, state: Arrays | None = None, *, is_resumable: bool = True) -> None:
        """first: frames that an earlier run has made.  state: what `pop` returned at that frame.

        is_resumable: whether states are popped; if not, none is kept.
        """
        self.first = first
        self._initial, self._is_resumable = state or {}, is_resumable
        self._recorded: dict[int, Arrays] = {}
        self._lock = Lock()

    @property
    def begins_at_cut(self) -> bool:
        """Whether it begins within the film, and without a state: then a shot begins there."""
        return self.first > 0 and not self._initial

    def initial_state(self, stage: str) -> Arrays:
        """The state that a stage starts with; empty at the film's start."""
        prefix = f"{stage}/"
        return {name.removeprefix(prefix): array for name, array in self._initial.items() if name.startswith(prefix)}

    def record(self, stage: str, count: int, stateful: Stateful) -> None:
        """Keep a stage's state after `count` of the film's frames, if a segment ends there."""
        if count % SEGMENT_FRAMES or not self._is_resumable:
            return
        arrays = {f"{stage}/{name}": array for name, array in to_arrays(stateful.state).items()}
        with self._lock:
            self._recorded.setdefault(count, {}).update(arrays)

    def pop(self, count: int) -> Arrays:
        """Remove and return the states of all stages at `count`, once every frame before has passed them."""
        with self._lock:
            return self._recorded.pop(count, {})


class PendingItems(Generic[T]):
    """A queue of items whose results come later, in the same order."""

    def __init__(self, already_done: int) -> None:
        """already_done: results still to come for items that an earlier run has handled; they are dropped."""
        self._items: deque[T | None] = deque([None] * already_done)

    def put(self, item: T, results: Iterable[R]) -> Iterator[tuple[T, R]]:
        """Add an item; pair the results that are now known with the oldest items."""
        self._items.append(item)
        return self.match(results)

    def match(self, results: Iterable[R]) -> Iterator[tuple[T, R]]:
        """Pair these results with the oldest items."""
        for result in results:
            if (oldest := self._items.popleft()) is not None:
                yield oldest, result
