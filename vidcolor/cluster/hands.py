"""Workers and what they are given, as the driver sees them."""

from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidcolor.archive import Done
from vidcolor.cluster.places import Place
from vidcolor.cluster.session import first_line
from vidcolor.errors import VidcolorError
from vidcolor.media.archives import Entry

LOSSES = 3  # of workers over one entry, until it counts as failed; and of a place in a row, until it is given up


class LostError(Exception):
    """A worker is gone."""


@dataclass(eq=False)
class Job:
    """An entry on its way. future: what becomes of it.  losses: of workers that had it."""

    entry: Entry
    source: Path | bytes
    target: Path | None  # of a film
    future: Future[Done] = field(default_factory=Future)
    losses: int = 0

    @property
    def is_alone(self) -> bool:
        """Whether it is kept apart now, as it may be what takes workers down."""
        return self.losses == LOSSES - 1


@dataclass(eq=False)
class Hand:
    """A worker as its driver sees it."""

    place: Place
    actor: Any
    is_ready: bool = False
    devices: tuple[str, ...] = ()
    jobs: set[Job] = field(default_factory=set)

    def may_take(self, job: Job) -> bool:
        if job.target is not None and any(other.target is not None for other in self.jobs):
            return False
        return not self.jobs or not (job.is_alone or any(other.is_alone for other in self.jobs))


def kill(hand: Hand) -> None:
    """End a worker's process."""
    import ray

    with suppress(Exception):  # it is gone already, or Ray is
        ray.kill(hand.actor)


def result_of(done: "Future[Any]") -> Any:
    """What a worker gave. Raises what went wrong there, LostError where the worker itself is gone."""
    from ray.exceptions import RayTaskError

    error = done.exception()
    if isinstance(error, RayTaskError):
        raise error.cause
    if error is not None:
        raise LostError(first_line(error)) from error
    result = done.result()
    if isinstance(result, VidcolorError):
        raise result
    return result
