"""A batch's workers on many machines, opened by Ray as machines come and go."""

import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from vidcolor.archives import Entry
from vidcolor.batch.worker import EntryResult
from vidcolor.batch.workers import BYTES_AHEAD, FILES_AHEAD
from vidcolor.cluster.actor import Actor, Work
from vidcolor.cluster.scheduler import Scheduler
from vidcolor.cluster.slots import Slot, slots_of
from vidcolor.cluster.worker_handles import Job, WorkerHandle, kill
from vidcolor.errors import DeviceError, UsageError

LOOK_SECONDS = 2.0  # between looks at which machines there are
PATIENCE_SECONDS = 300.0  # without any worker
LEAST_AHEAD = 64  # photos: machines may join that are not there yet


class ClusterWorkers:
    """Workers on all machines of the connected cluster, including machines that join later. A context manager.

    One scheduling thread owns all private state.
    """

    are_films_unordered = True

    def __init__(self, work: Work) -> None:
        """Raises UsageError for devices that a cluster cannot choose."""
        if work.device not in ("auto", "all", "cpu"):
            raise UsageError(f"--device {work.device}: with --cluster say auto (every GPU there is) or cpu.")
        self._work = work
        self._token = work.options.scratch / f".vidcolor-cluster-{uuid.uuid4().hex}"
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._scheduler = Scheduler(self._events.put, kill)
        self.notes = self._scheduler.notes
        self._has_gpus: bool | None = None
        self._looked = -math.inf
        self._worked = time.monotonic()  # when a worker was last available
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)

    @property
    def ahead(self) -> int:
        """See Workers."""
        lanes = sum(handle.slot.lanes for handle in list(self._scheduler.handles.values()))
        return max(FILES_AHEAD * lanes, LEAST_AHEAD)

    @property
    def ahead_bytes(self) -> int:
        """See Workers."""
        return BYTES_AHEAD * max(1, len(self._scheduler.handles))

    @property
    def devices(self) -> list[str]:
        """See Workers."""
        found = Counter(device for handle in list(self._scheduler.handles.values()) for device in handle.devices)
        return [f"{count} x {device}" for device, count in found.items()]

    def color_photo(self, entry: Entry, source: Path | bytes) -> Future[EntryResult]:
        """See Worker."""
        return self._submit(Job(entry, source, None))

    def color_film(self, entry: Entry, source: Path, target: Path) -> Future[EntryResult]:
        """See Worker."""
        return self._submit(Job(entry, source, target))

    def _submit(self, job: Job) -> Future[EntryResult]:
        job.entry = replace(job.entry, origin=None, opener=None)  # of archives: do not pickle
        job.source = job.source.absolute() if isinstance(job.source, Path) else job.source
        job.target = job.target and job.target.absolute()
        return self._scheduler.submit(job)

    def __enter__(self) -> Self:
        self._token.touch()
        self._events.put(self._look)
        self._thread.start()
        try:
            self._scheduler.first_ready.result()
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
                self._scheduler.deal()
            except BaseException as error:  # Ray's; without this thread all would wait for ever
                self._scheduler.fail(
                    DeviceError(f"the cluster cannot be used any more: {type(error).__name__}: {error}")
                )
        for handle in self._scheduler.handles.values():
            kill(handle)

    def _look(self) -> None:
        """Start a worker in every free slot, and drop idle workers of lost machines."""
        import ray

        now = self._looked = time.monotonic()
        nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        if self._has_gpus is None:
            self._has_gpus = self._work.device != "cpu" and any(node["Resources"].get("GPU") for node in nodes.values())
        for slot, handle in list(self._scheduler.handles.items()):
            if slot.node not in nodes and not handle.jobs:
                self._scheduler.lose(handle, "the machine is gone")
        for node in nodes.values():
            for slot in slots_of(node, has_gpus=self._has_gpus):
                if self._scheduler.wants(slot):
                    self._open(slot)
        if any(handle.is_ready for handle in self._scheduler.handles.values()):
            self._worked = now
        elif now - self._worked > PATIENCE_SECONDS:
            self._scheduler.fail(
                DeviceError("no machine of the cluster has a free worker: all are gone, or others use them.")
            )

    def _open(self, slot: Slot) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = ray.remote(Actor).options(
            num_cpus=slot.cores, num_gpus=int(slot.has_gpu), max_concurrency=slot.lanes, max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(slot.node, soft=False),
        ).remote()  # fmt: skip
        opened = actor.open.remote(self._work, slot, self._token, self._work.identity()).future()
        self._scheduler.add(WorkerHandle(slot, actor), opened)
