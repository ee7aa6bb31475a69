"""Where a long film can be gone on with: what the stages remember at the ends of segments."""

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from vidcolor.steady.state import Arrays, arrays_of

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

    def __init__(self, first: int = 0, state: Arrays | None = None, *, are_taken: bool = True) -> None:
        """first: frames that an earlier run has made.  state: as `pop` gave it then.  are_taken: whether anybody
        takes what is noted; else nothing is kept.
        """
        self.first = first
        self._before, self._are_taken = state or {}, are_taken
        self._noted: dict[int, Arrays] = {}
        self._lock = Lock()

    def state_of(self, stage: str) -> Arrays:
        """What a stage has to begin with; empty at the film's start."""
        prefix = f"{stage}/"
        return {name.removeprefix(prefix): array for name, array in self._before.items() if name.startswith(prefix)}

    def note(self, stage: str, count: int, of: Stateful) -> None:
        """A stage has had `count` of the film's frames."""
        if count % SEGMENT_FRAMES or not self._are_taken:
            return
        arrays = {f"{stage}/{name}": array for name, array in arrays_of(of.state).items()}
        with self._lock:
            self._noted.setdefault(count, {}).update(arrays)

    def pop(self, count: int) -> Arrays:
        """The states of all stages at `count`, which every frame before has passed."""
        with self._lock:
            return self._noted.pop(count, {})


class Waiting(Generic[T]):
    """Things in the order they came, until their results are known."""

    def __init__(self, gone: int) -> None:
        """gone: results still to come of things that an earlier run has dealt with."""
        self._things: deque[T | None] = deque([None] * gone)

    def put(self, thing: T, results: Iterable[R]) -> Iterator[tuple[T, R]]:
        """One more thing, and the results that are now known of the oldest."""
        self._things.append(thing)
        return self.rest(results)

    def rest(self, results: Iterable[R]) -> Iterator[tuple[T, R]]:
        """The oldest things with these results."""
        for result in results:
            if (oldest := self._things.popleft()) is not None:
                yield oldest, result
