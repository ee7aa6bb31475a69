"""Which worker gets which job, and what becomes of the jobs of a lost worker. Nothing here connects to a cluster."""

from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from vidcolor.batch.worker import EntryResult
from vidcolor.cluster.session import first_line
from vidcolor.cluster.slots import Slot
from vidcolor.cluster.worker_handles import LOSSES, Job, LostError, WorkerHandle, result_of
from vidcolor.errors import DeviceError, SourceError, VidcolorError

PARTS_A_WORKER = 2  # of a film, so that quick workers can do more than slow ones


class Scheduler:
    """The waiting jobs and the workers. One thread calls all methods but `submit`.

    post: queues a call for that thread; any thread may use it. kill: ends a worker's process.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None], kill: Callable[[WorkerHandle], None]) -> None:
        self.notes: list[str] = []  # what the user is told: lost workers, machines that cannot help
        self.handles: dict[Slot, WorkerHandle] = {}
        self.photos: deque[Job] = deque()  # that wait, the next first
        self.films: deque[Job] = deque()
        self.first_ready: Future[None] = Future()  # an error where no machine can help
        self._post = post
        self._kill = kill
        self._given_up: set[Slot] = set()
        self._deaths: Counter[Slot] = Counter()
        self._error: VidcolorError | None = None  # why nothing can be done any more

    def submit(self, job: Job) -> Future[EntryResult]:
        """Queue a job; the future of its result. May be called in any thread."""
        self._post(partial(self._queue_of(job).append, job))
        return job.future

    def wants(self, slot: Slot) -> bool:
        """Whether the slot has no worker, and may get one."""
        return slot not in self.handles and slot not in self._given_up

    def add(self, handle: WorkerHandle, opened: "Future[Any]") -> None:
        """Register a worker. opened: its devices, once it is ready; an error where it cannot help."""
        self.handles[handle.slot] = handle
        opened.add_done_callback(lambda future: self._post(partial(self._opened, handle, future)))

    def deal(self) -> None:
        """Give what waits to whoever has the least to do."""
        if self._error is not None:
            self.fail(self._error)
        while (match := self._match()) is not None:
            handle, queue = match
            self._give(handle, queue.popleft())

    def lose(self, handle: WorkerHandle, why: str) -> None:
        """A worker is gone, and told of once; the next look opens another where its machine still is."""
        if self.handles.get(handle.slot) is not handle:
            return
        del self.handles[handle.slot]
        self._kill(handle)
        self._deaths[handle.slot] += 1
        if self._deaths[handle.slot] >= LOSSES:
            self._give_up(handle, f"{handle.slot.address}: lost {LOSSES} workers in a row: {why}", DeviceError(why))
        else:
            self.notes.append(f"{handle.slot.address}: lost a worker ({why}); others do what it had begun")

    def fail(self, error: VidcolorError) -> None:
        """Nothing can be done any more."""
        self._error = error
        if not self.first_ready.done():
            self.first_ready.set_exception(error)
        for queue in (self.films, self.photos):
            while queue:
                queue.popleft().future.set_exception(error)
        for job in [job for handle in self.handles.values() for job in handle.jobs if not job.future.done()]:
            job.future.set_exception(error)

    def _queue_of(self, job: Job) -> deque[Job]:
        return self.photos if job.target is None else self.films

    def _opened(self, handle: WorkerHandle, opened: "Future[list[str] | VidcolorError]") -> None:
        try:
            handle.devices = tuple(result_of(opened))
        except LostError as error:
            self.lose(handle, str(error))
        except Exception as error:  # a refusal, or a package that is missing there
            self._give_up(handle, f"{handle.slot.address} cannot help: {first_line(error)}", error)
        else:
            handle.is_ready = True
            if not self.first_ready.done():
                self.first_ready.set_result(None)

    def _match(self) -> tuple[WorkerHandle, deque[Job]] | None:
        queues = [queue for queue in (self.films, self.photos) if queue]
        alone = next((queue for queue in queues if queue[0].is_alone), None)
        for handle in sorted(self.handles.values(), key=lambda handle: len(handle.jobs)):
            if not handle.is_ready or len(handle.jobs) >= handle.slot.lanes:
                continue
            if alone is not None:
                if not handle.jobs:
                    return handle, alone
                alone = None  # this one gets nothing else, so that it will have nothing to do
                continue
            for queue in queues:
                if handle.may_take(queue[0]):
                    return handle, queue
        return None

    def _give(self, handle: WorkerHandle, job: Job) -> None:
        if job.future.done():  # another part of the film has failed
            return
        if job.target is not None and job.part is None and not job.is_parted and job.survey is None:
            job.wanted = self._parts_worth(handle)
        handle.jobs.add(job)
        done = job.start_remote(handle.actor).future()
        done.add_done_callback(lambda future: self._post(partial(self._finished, handle, job, future)))

    def _parts_worth(self, handle: WorkerHandle) -> int:
        """Parts that a film should have, so that nobody is idle: none while there are films enough."""
        others = [other for other in self.handles.values() if other is not handle]  # also those that are being opened
        idle = sum(all(job.target is None for job in other.jobs) for other in others) - len(self.films)
        return PARTS_A_WORKER * (idle + 1) if idle > 0 else 0

    def _finished(self, handle: WorkerHandle, job: Job, done: "Future[Any]") -> None:
        handle.jobs.discard(job)
        if job.future.done():  # failed with all others
            return
        try:
            result = result_of(done)
        except (LostError, DeviceError) as error:  # a broken GPU is a lost one
            self.lose(handle, str(error))
            self._again(job, handle, error)
        except Exception as error:  # the entry's
            self._spoiled(job, error)
        else:
            self._deaths.pop(handle.slot, None)
            self._made(job, result)

    def _made(self, job: Job, result: Any) -> None:
        if job.wanted:
            parts, job.survey = result
            job.parts_left += len(parts)
            self.films.extendleft(
                Job(job.entry, job.source, job.target, job.future, part=part, whole=job) for part in reversed(parts)
            )
            if job.survey is not None:
                self.films.appendleft(job)  # the survey goes on first, so that nobody waits for parts
                return
            job.wanted, job.is_parted = 0, True
        elif job.whole is not None:
            job.whole.parts_left -= 1
            job = job.whole
        else:
            job.future.set_result(result)
        if job.is_parted and not job.parts_left and not job.future.done():
            self.films.appendleft(job)  # what is left of the film, and joining it

    def _spoiled(self, job: Job, error: Exception) -> None:
        """An entry has failed. Where a survey or a part has, the film as a whole tells why, or goes well."""
        if job.wanted or job.whole is not None:
            self._made(job, ([], None))
        else:
            job.future.set_exception(error)

    def _again(self, job: Job, handle: WorkerHandle, error: Exception) -> None:
        """Let another worker do what a lost one began."""
        job.losses += 1
        if job.losses < LOSSES:
            self._queue_of(job).appendleft(job)
        elif isinstance(error, DeviceError):
            job.future.set_exception(error)
        else:
            job.future.set_exception(
                SourceError(f"{LOSSES} workers were lost over it, the last at {handle.slot.address}: {error}")
            )

    def _give_up(self, handle: WorkerHandle, note: str, error: Exception) -> None:
        self.notes.append(note)
        self._given_up.add(handle.slot)
        self.handles.pop(handle.slot, None)
        self._kill(handle)
        if not self.handles and not self.first_ready.done():
            self.first_ready.set_exception(error if isinstance(error, VidcolorError) else DeviceError(note))
