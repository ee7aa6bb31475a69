"""Schedules the jobs of a batch on a cluster's workers; a lost worker's jobs go to others."""

import math
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from vidcolor.archives import Entry
from vidcolor.batch.worker import EntryResult
from vidcolor.batch.workers import BYTES_AHEAD, FILES_AHEAD
from vidcolor.cluster.actor import Actor, Work
from vidcolor.cluster.session import first_line
from vidcolor.cluster.slots import Slot, slots_of
from vidcolor.cluster.worker_handles import LOSSES, Job, LostError, WorkerHandle, kill, result_of
from vidcolor.errors import DeviceError, SourceError, UsageError, VidcolorError

LOOK_SECONDS = 2.0  # between two looks at the cluster's machines
PATIENCE_SECONDS = 300.0  # without any worker, after which the run fails
PARTS_A_WORKER = 2  # of a film, so that fast workers can do more than slow ones
LEAST_AHEAD = 64  # photos submitted ahead, since more machines may join


class ClusterWorkers:
    """Workers on all machines of the connected cluster, including machines that join later. A context manager.

    One scheduling thread owns all private state.
    """

    are_films_unordered = True

    def __init__(self, work: Work) -> None:
        """Raises UsageError for devices that a cluster cannot choose."""
        if work.device not in ("auto", "all", "cpu"):
            raise UsageError(f"--device {work.device}: with --cluster say auto (every GPU there is) or cpu.")
        self.notes: list[str] = []
        self._work = work
        self._token = work.options.scratch / f".vidcolor-cluster-{uuid.uuid4().hex}"
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._photos: deque[Job] = deque()
        self._films: deque[Job] = deque()
        self._handles: dict[Slot, WorkerHandle] = {}
        self._given_up: set[Slot] = set()
        self._deaths: Counter[Slot] = Counter()
        self._first: Future[None] = Future()  # done when a worker is ready
        self._error: VidcolorError | None = None  # why the cluster can no longer be used
        self._has_gpus: bool | None = None
        self._looked = -math.inf
        self._worked = time.monotonic()  # when a worker was last available
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)

    @property
    def ahead(self) -> int:
        """See Workers."""
        lanes = sum(handle.slot.lanes for handle in list(self._handles.values()))
        return max(FILES_AHEAD * lanes, LEAST_AHEAD)

    @property
    def ahead_bytes(self) -> int:
        """See Workers."""
        return BYTES_AHEAD * max(1, len(self._handles))

    @property
    def devices(self) -> list[str]:
        """See Workers."""
        found = Counter(device for handle in list(self._handles.values()) for device in handle.devices)
        return [f"{count} x {device}" for device, count in found.items()]

    def photo(self, entry: Entry, source: Path | bytes) -> Future[EntryResult]:
        """See Worker."""
        return self._submit(Job(entry, source, None))

    def film(self, entry: Entry, source: Path, target: Path) -> Future[EntryResult]:
        """See Worker."""
        return self._submit(Job(entry, source, target))

    def _submit(self, job: Job) -> Future[EntryResult]:
        job.entry = replace(job.entry, origin=None, opener=None)  # of archives: do not pickle
        job.source = job.source.absolute() if isinstance(job.source, Path) else job.source
        job.target = job.target and job.target.absolute()
        self._events.put(partial((self._photos if job.target is None else self._films).append, job))
        return job.future

    def __enter__(self) -> Self:
        self._token.touch()
        self._events.put(self._look)
        self._thread.start()
        try:
            self._first.result()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._events.put(None)
        self._thread.join()
        self._token.unlink(missing_ok=True)

    def _run(self) -> None:
        """Handle events one after another and schedule jobs."""
        while True:
            event: Callable[[], None] | None = self._look
            with suppress(Empty):
                event = self._events.get(timeout=LOOK_SECONDS)
            if event is None:
                break
            try:
                event()
                if time.monotonic() - self._looked >= LOOK_SECONDS:
                    self._look()
                self._deal()
            except BaseException as error:  # Ray's; without this thread every future would wait forever
                self._fail(DeviceError(f"the cluster cannot be used any more: {type(error).__name__}: {error}"))
        for handle in self._handles.values():
            kill(handle)

    def _look(self) -> None:
        """Start a worker in every free slot, and drop idle workers of lost machines."""
        import ray

        now = self._looked = time.monotonic()
        nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        if self._has_gpus is None:
            self._has_gpus = self._work.device != "cpu" and any(node["Resources"].get("GPU") for node in nodes.values())
        for slot, handle in list(self._handles.items()):
            if slot.node not in nodes and not handle.jobs:
                self._lose(handle, "the machine is gone")
        for node in nodes.values():
            for slot in slots_of(node, has_gpus=self._has_gpus):
                if slot not in self._handles and slot not in self._given_up:
                    self._open(slot)
        if any(handle.is_ready for handle in self._handles.values()):
            self._worked = now
        elif now - self._worked > PATIENCE_SECONDS:
            self._fail(DeviceError("no machine of the cluster has a free worker: all are gone, or others use them."))

    def _open(self, slot: Slot) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = ray.remote(Actor).options(
            num_cpus=slot.cores, num_gpus=int(slot.has_gpu), max_concurrency=slot.lanes, max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(slot.node, soft=False),
        ).remote()  # fmt: skip
        handle = self._handles[slot] = WorkerHandle(slot, actor)
        opened = actor.open.remote(self._work, slot, self._token, self._work.identity()).future()
        opened.add_done_callback(lambda future: self._events.put(partial(self._opened, handle, future)))

    def _opened(self, handle: WorkerHandle, opened: "Future[list[str] | VidcolorError]") -> None:
        try:
            handle.devices = tuple(result_of(opened))
        except LostError as error:
            self._lose(handle, str(error))
        except Exception as error:  # a refusal, or a package that is missing there
            self._give_up(handle, f"{handle.slot.address} cannot help: {first_line(error)}", error)
        else:
            handle.is_ready = True
            if not self._first.done():
                self._first.set_result(None)

    def _deal(self) -> None:
        """Give waiting jobs to the workers with the fewest jobs."""
        if self._error is not None:
            self._fail(self._error)
        while (match := self._match()) is not None:
            handle, queue = match
            self._give(handle, queue.popleft())

    def _match(self) -> tuple[WorkerHandle, deque[Job]] | None:
        queues = [queue for queue in (self._films, self._photos) if queue]
        alone = next((queue for queue in queues if queue[0].is_alone), None)
        for handle in sorted(self._handles.values(), key=lambda handle: len(handle.jobs)):
            if not handle.is_ready or len(handle.jobs) >= handle.slot.lanes:
                continue
            if alone is not None:
                if not handle.jobs:
                    return handle, alone
                alone = None  # this worker gets no other job, so that it becomes idle and can take this one
                continue
            for queue in queues:
                if handle.may_take(queue[0]):
                    return handle, queue
        return None

    def _give(self, handle: WorkerHandle, job: Job) -> None:
        if job.future.done():  # another part of the film has failed
            return
        if job.target is not None and job.part is None and not job.is_parted:
            job.wanted = self._parts_worth(handle)
        handle.jobs.add(job)
        done = job.start_remote(handle.actor).future()
        done.add_done_callback(lambda future: self._events.put(partial(self._finished, handle, job, future)))

    def _parts_worth(self, handle: WorkerHandle) -> int:
        """Number of parts to split a film into so that no worker is idle: 0 while there are enough films."""
        others = [other for other in self._handles.values() if other is not handle]  # including those still starting
        idle = sum(all(job.target is None for job in other.jobs) for other in others) - len(self._films)
        return PARTS_A_WORKER * (idle + 1) if idle > 0 else 0

    def _finished(self, handle: WorkerHandle, job: Job, done: "Future[Any]") -> None:
        handle.jobs.discard(job)
        if job.future.done():  # failed together with all other jobs
            return
        try:
            result = result_of(done)
        except (LostError, DeviceError) as error:  # a broken GPU counts as a lost worker
            self._lose(handle, str(error))
            self._again(job, handle, error)
        except Exception as error:  # the entry's
            self._spoiled(job, error)
        else:
            self._deaths.pop(handle.slot, None)
            self._made(job, result)

    def _made(self, job: Job, result: Any) -> None:
        if job.wanted:
            job.wanted, job.is_parted, job.parts_left = 0, True, len(result)
            self._films.extendleft(
                Job(job.entry, job.source, job.target, job.future, part=part, whole=job) for part in reversed(result)
            )
        elif job.whole is not None:
            job.whole.parts_left -= 1
            job = job.whole
        else:
            job.future.set_result(result)
        if job.is_parted and not job.parts_left and not job.future.done():
            self._films.appendleft(job)  # colors the rest of the film and joins the parts

    def _spoiled(self, job: Job, error: Exception) -> None:
        """Fail the job's entry. After a failed plan or part, color the whole film instead."""
        if job.wanted or job.whole is not None:
            self._made(job, [])
        else:
            job.future.set_exception(error)

    def _again(self, job: Job, handle: WorkerHandle, error: Exception) -> None:
        """Queue a lost worker's job again."""
        job.losses += 1
        if job.losses < LOSSES:
            (self._photos if job.target is None else self._films).appendleft(job)
        elif isinstance(error, DeviceError):
            job.future.set_exception(error)
        else:
            job.future.set_exception(
                SourceError(f"{LOSSES} workers were lost over it, the last at {handle.slot.address}: {error}")
            )

    def _lose(self, handle: WorkerHandle, why: str) -> None:
        """Drop a lost worker and note it once; the next look starts another one if its machine is still there."""
        if self._handles.get(handle.slot) is not handle:
            return
        del self._handles[handle.slot]
        kill(handle)
        self._deaths[handle.slot] += 1
        if self._deaths[handle.slot] >= LOSSES:
            self._give_up(handle, f"{handle.slot.address}: lost {LOSSES} workers in a row: {why}", DeviceError(why))
        else:
            self.notes.append(f"{handle.slot.address}: lost a worker ({why}); others do what it had begun")

    def _give_up(self, handle: WorkerHandle, note: str, error: Exception) -> None:
        self.notes.append(note)
        self._given_up.add(handle.slot)
        self._handles.pop(handle.slot, None)
        kill(handle)
        if not self._handles and not self._first.done():
            self._first.set_exception(error if isinstance(error, VidcolorError) else DeviceError(note))

    def _fail(self, error: VidcolorError) -> None:
        """Fail all jobs, waiting and running."""
        self._error = error
        if not self._first.done():
            self._first.set_exception(error)
        for queue in (self._films, self._photos):
            while queue:
                queue.popleft().future.set_exception(error)
        for job in [job for handle in self._handles.values() for job in handle.jobs if not job.future.done()]:
            job.future.set_exception(error)
