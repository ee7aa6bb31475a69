"""Workers and what they are given, as the driver sees them."""

from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidcolor.archives import Entry
from vidcolor.batch.worker import Done
from vidcolor.cluster.session import first_line
from vidcolor.cluster.slots import Slot
from vidcolor.errors import VidcolorError
from vidcolor.frames import Part

LOSSES = 3  # of workers over one entry, until it counts as failed; and of a slot in a row, until it is given up


class LostError(Exception):
    """A worker is gone."""


@dataclass(eq=False)
class Job:
    """An entry on its way, or a part of a film. future: what becomes of the entry."""

    entry: Entry
    source: Path | bytes
    target: Path | None  # of a film
    future: Future[Done] = field(default_factory=Future)
    losses: int = 0  # of workers that had it
    wanted: int = 0  # parts that the film is to be taken into: it has to be surveyed for that
    part: Part | None = None  # to be made, instead of the whole film
    whole: "Job | None" = None  # whose part it is
    parts_left: int = 0  # of a film in parts
    is_parted: bool = False  # or cannot be

    @property
    def is_alone(self) -> bool:
        """Whether it is kept apart now, as it may be what takes workers down."""
        return self.losses == LOSSES - 1

    def begun_by(self, actor: Any) -> Any:
        """Ray's promise of what the actor will make of it."""
        if self.target is None:
            return actor.photo.remote(self.entry, self.source)
        if self.wanted:
            return actor.survey.remote(self.source, self.wanted)
        if self.part is not None:
            return actor.part.remote(self.source, self.target, self.part, self.losses > 0)
        return actor.film.remote(self.entry, self.source, self.target, self.losses > 0 or self.is_parted)


@dataclass(eq=False)
class WorkerHandle:
    """A worker as its driver sees it."""

    slot: Slot
    actor: Any
    is_ready: bool = False
    devices: tuple[str, ...] = ()
    jobs: set[Job] = field(default_factory=set)

    def may_take(self, job: Job) -> bool:
        if job.target is not None and any(other.target is not None for other in self.jobs):
            return False
        return not self.jobs or not (job.is_alone or any(other.is_alone for other in self.jobs))


def kill(handle: WorkerHandle) -> None:
    """End a worker's process."""
    import ray

    with suppress(Exception):  # it is gone already, or Ray is
        ray.kill(handle.actor)


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
