"""Workers and their jobs, as the driver keeps track of them."""

from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidcolor.archives import Entry
from vidcolor.batch.worker import EntryResult
from vidcolor.cluster.session import first_line
from vidcolor.cluster.slots import Slot
from vidcolor.errors import VidcolorError
from vidcolor.films.parts import Survey
from vidcolor.frames import Part

LOSSES = 3  # lost workers after which an entry fails; lost workers in a row after which a slot is given up


class LostError(Exception):
    """A worker has died, or its machine is lost."""


@dataclass(eq=False)
class Job:
    """An entry to color, or a part of a film. future: the result of the entry."""

    entry: Entry
    source: Path | bytes
    target: Path | None  # of a film
    future: Future[EntryResult] = field(default_factory=Future)
    losses: int = 0  # workers lost while they worked on it
    wanted: int = 0  # number of parts that a worker is asked to plan; 0: color instead
    survey: Survey | None = None  # what is known of the film so far, while its parts are planned
    part: Part | None = None  # to color instead of the whole film
    whole: "Job | None" = None  # the whole film's job, for a part
    parts_left: int = 0  # unfinished parts of the film
    is_parted: bool = False  # whether all parts were planned, even if none were possible

    @property
    def is_alone(self) -> bool:
        """Whether it must run alone on its worker, because it may be the cause of lost workers."""
        return self.losses == LOSSES - 1

    def start_remote(self, actor: Any) -> Any:
        """Start the job on a worker's actor; Ray's reference to the result."""
        if self.target is None:
            return actor.color_photo.remote(self.entry, self.source)
        if self.wanted:
            return actor.plan_parts.remote(self.source, self.wanted, self.survey)
        if self.part is not None:
            return actor.color_part.remote(self.source, self.target, self.part, self.losses > 0)
        return actor.color_film.remote(self.entry, self.source, self.target, self.losses > 0 or self.is_parted)


@dataclass(eq=False)
class WorkerHandle:
    """A worker as the driver knows it."""

    slot: Slot
    actor: Any
    is_ready: bool = False
    devices: tuple[str, ...] = ()
    jobs: set[Job] = field(default_factory=set)

    def may_take(self, job: Job) -> bool:
        """Whether the job may run beside the jobs that the worker has: one film at a time, suspects alone."""
        if job.target is not None and any(other.target is not None for other in self.jobs):
            return False
        return not self.jobs or not (job.is_alone or any(other.is_alone for other in self.jobs))


def kill(handle: WorkerHandle) -> None:
    """End a worker's process."""
    import ray

    with suppress(Exception):  # it has died already, or Ray has
        ray.kill(handle.actor)


def result_of(done: "Future[Any]") -> Any:
    """The result of a worker's call. Raises the worker's error, LostError where the worker itself is lost."""
    if (error := done.exception()) is not None:
        from ray.exceptions import RayTaskError

        if isinstance(error, RayTaskError):
            raise error.cause
        raise LostError(first_line(error)) from error
    result = done.result()
    if isinstance(result, VidcolorError):
        raise result
    return result
