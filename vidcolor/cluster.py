"""The workers of an archive on many machines, by Ray: one for each GPU, or for each group of cores where there is none.

The machine that runs the command reads the source, keeps the journal and writes what comes back; workers read and
write through folders that every machine sees under the same path. What a lost machine had begun goes to others: a photo
from its start, a film from its last finished segment.
"""

import math
import os
import signal
import socket
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from vidcolor.archive import BYTES_AHEAD, FILES_AHEAD, Done, Rules, Worker
from vidcolor.colorizer import Colorizer
from vidcolor.errors import DeviceError, SinkError, SourceError, UsageError, VidcolorError
from vidcolor.media.archives import Entry

CORES_A_WORKER = 8  # at most: a film's stages and its encoder keep no more busy
LOSSES = 3  # of workers over one entry, until it counts as failed; and of a place in a row, until it is given up
LOOK_SECONDS = 2.0  # between looks at which machines there are
PATIENCE_SECONDS = 300.0  # without any worker
LEAST_AHEAD = 64  # photos: machines may join that are not there yet
LOCK_SECONDS = 120.0  # for a lost machine's locks to go; a file server keeps them for a minute and a half
ANSWER_SECONDS = 5.0  # for a cluster's port


@dataclass(frozen=True)
class Work:
    """What every worker is given. All of it has to pickle."""

    load: Callable[[], Colorizer]
    rules: Rules
    identity: Callable[[], object]  # equal wherever the version, the model and the options are
    inputs: tuple[Path, ...]  # absolute, as is rules.scratch; every machine must see them
    device: str = "auto"  # auto, all or cpu


@dataclass(frozen=True)
class _Place:
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


class _LostError(Exception):
    """A worker is gone."""


@dataclass(eq=False)
class _Job:
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
class _Hand:
    """A worker as its driver sees it."""

    place: _Place
    actor: Any
    is_ready: bool = False
    devices: tuple[str, ...] = ()
    jobs: set[_Job] = field(default_factory=set)

    def may_take(self, job: _Job) -> bool:
        if job.target is not None and any(other.target is not None for other in self.jobs):
            return False
        return not self.jobs or not (job.is_alone or any(other.is_alone for other in self.jobs))


def check_installed() -> None:
    """Raises DeviceError where Ray is missing."""
    if find_spec("ray") is None:
        raise DeviceError("--cluster needs Ray, which is not installed. Say: pip install 'vidcolor[cluster]'.")


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be part of the cluster at HOST:PORT; auto: of the one that this machine belongs to, else of one of its own.

    Raises DeviceError where there is none, or Ray is not installed.
    """
    check_installed()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a cluster that is started here: it calls nobody
    if address != "auto":
        _check_answers(address)
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=None if address == "auto" else address, log_to_driver=False, logging_level="CRITICAL",
            include_dashboard=False,
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError) as error:
        raise DeviceError(
            f"--cluster {address}: {_first_line(error)}. Where the cluster asks for Ray's token, set"
            " RAY_AUTH_MODE=token; on a machine of the cluster say auto."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray sets its own, by which exit codes would change
    try:
        with _silent(ray):
            yield
    finally:
        ray.shutdown()


@contextmanager
def _silent(ray: Any) -> Iterator[None]:
    """Keep Ray from telling of lost machines on stdout, where it has no switch and --json no place for it."""
    worker: Any = getattr(getattr(ray, "_private", None), "worker", None)
    shown = getattr(worker, "print_to_stdstream", None)
    if shown is None:
        yield
        return
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = shown


def _check_answers(address: str) -> None:
    """Ray itself would try for minutes, and then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise DeviceError(f"--cluster {address}: needs HOST:PORT, as `ray start --head` shows it, or auto.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DeviceError(
            f"--cluster {address}: nothing answers there ({error}). Start one with `ray start --head`, or say auto."
        ) from error


class ClusterWorkers:
    """Workers on all machines of the connected cluster, also on those that join later. A context manager.

    One thread deals the work; all that is private here is its own.
    """

    films_any_time = True

    def __init__(self, work: Work) -> None:
        """Raises UsageError for devices that a cluster cannot choose."""
        if work.device not in ("auto", "all", "cpu"):
            raise UsageError(f"--device {work.device}: with --cluster say auto (every GPU there is) or cpu.")
        self.notes: list[str] = []
        self._work = work
        self._token = work.rules.scratch / f".vidcolor-cluster-{uuid.uuid4().hex}"
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._photos: deque[_Job] = deque()
        self._films: deque[_Job] = deque()
        self._hands: dict[_Place, _Hand] = {}
        self._given_up: set[_Place] = set()
        self._deaths: Counter[_Place] = Counter()
        self._first: Future[None] = Future()  # done when a worker is ready
        self._error: VidcolorError | None = None  # why nothing can be done any more
        self._has_gpus: bool | None = None
        self._looked = -math.inf
        self._worked = time.monotonic()  # when there was a worker last
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)

    @property
    def ahead(self) -> int:
        """See Workers."""
        lanes = sum(hand.place.lanes for hand in list(self._hands.values()))
        return max(FILES_AHEAD * lanes, LEAST_AHEAD)

    @property
    def ahead_bytes(self) -> int:
        """See Workers."""
        return BYTES_AHEAD * max(1, len(self._hands))

    @property
    def devices(self) -> list[str]:
        """See Workers."""
        found = Counter(device for hand in list(self._hands.values()) for device in hand.devices)
        return [f"{count} x {device}" for device, count in found.items()]

    def photo(self, entry: Entry, source: Path | bytes) -> Future[Done]:
        """See Worker."""
        return self._submit(_Job(entry, source, None))

    def film(self, entry: Entry, source: Path, target: Path) -> Future[Done]:
        """See Worker."""
        return self._submit(_Job(entry, source, target))

    def _submit(self, job: _Job) -> Future[Done]:
        job.entry = replace(job.entry, origin=None, opener=None)  # those of archives do not pickle
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
        """Take what happens, one thing after another."""
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
            except BaseException as error:  # Ray's; without this thread all would wait for ever
                self._fail(DeviceError(f"the cluster cannot be used any more: {type(error).__name__}: {error}"))
        for hand in self._hands.values():
            _kill(hand)

    def _look(self) -> None:
        """Open a worker wherever there is room for one, and forget idle ones of lost machines."""
        import ray

        now = self._looked = time.monotonic()
        nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        if self._has_gpus is None:
            self._has_gpus = self._work.device != "cpu" and any(node["Resources"].get("GPU") for node in nodes.values())
        for place, hand in list(self._hands.items()):
            if place.node not in nodes and not hand.jobs:
                self._lose(hand, "the machine is gone")
        for node in nodes.values():
            for place in _places(node, has_gpus=self._has_gpus):
                if place not in self._hands and place not in self._given_up:
                    self._open(place)
        if any(hand.is_ready for hand in self._hands.values()):
            self._worked = now
        elif now - self._worked > PATIENCE_SECONDS:
            self._fail(DeviceError("no machine of the cluster has a free worker: all are gone, or others use them."))

    def _open(self, place: _Place) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = ray.remote(_Actor).options(
            num_cpus=place.cores, num_gpus=int(place.has_gpu), max_concurrency=place.lanes, max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
        ).remote()  # fmt: skip
        hand = self._hands[place] = _Hand(place, actor)
        opened = actor.open.remote(self._work, place, self._token, self._work.identity()).future()
        opened.add_done_callback(lambda future: self._events.put(partial(self._opened, hand, future)))

    def _opened(self, hand: _Hand, opened: "Future[list[str] | VidcolorError]") -> None:
        try:
            hand.devices = tuple(_result(opened))
        except _LostError as error:
            self._lose(hand, str(error))
        except Exception as error:  # a refusal, or a package that is missing there
            self._give_up(hand, f"{hand.place.address} cannot help: {_first_line(error)}", error)
        else:
            hand.is_ready = True
            if not self._first.done():
                self._first.set_result(None)

    def _deal(self) -> None:
        """Hand out what waits to whoever has the least to do."""
        if self._error is not None:
            self._fail(self._error)
        while (match := self._match()) is not None:
            hand, queue = match
            self._give(hand, queue.popleft())

    def _match(self) -> tuple[_Hand, deque[_Job]] | None:
        queues = [queue for queue in (self._films, self._photos) if queue]
        alone = next((queue for queue in queues if queue[0].is_alone), None)
        for hand in sorted(self._hands.values(), key=lambda hand: len(hand.jobs)):
            if not hand.is_ready or len(hand.jobs) >= hand.place.lanes:
                continue
            if alone is not None:
                if not hand.jobs:
                    return hand, alone
                alone = None  # this one gets nothing else, so that it will have nothing to do
                continue
            for queue in queues:
                if hand.may_take(queue[0]):
                    return hand, queue
        return None

    def _give(self, hand: _Hand, job: _Job) -> None:
        hand.jobs.add(job)
        call = hand.actor.photo if job.target is None else hand.actor.film
        rest = () if job.target is None else (job.target, job.losses > 0)
        done = call.remote(job.entry, job.source, *rest).future()
        done.add_done_callback(lambda future: self._events.put(partial(self._finished, hand, job, future)))

    def _finished(self, hand: _Hand, job: _Job, done: "Future[Done | VidcolorError]") -> None:
        hand.jobs.discard(job)
        if job.future.done():  # failed with all others
            return
        try:
            result = _result(done)
        except (_LostError, DeviceError) as error:  # a broken GPU is a lost one
            self._lose(hand, str(error))
            self._again(job, hand, error)
        except Exception as error:  # the entry's
            job.future.set_exception(error)
        else:
            self._deaths.pop(hand.place, None)
            job.future.set_result(result)

    def _again(self, job: _Job, hand: _Hand, error: Exception) -> None:
        """Let another worker do what a lost one began."""
        job.losses += 1
        if job.losses < LOSSES:
            (self._photos if job.target is None else self._films).appendleft(job)
        elif isinstance(error, DeviceError):
            job.future.set_exception(error)
        else:
            job.future.set_exception(
                SourceError(f"{LOSSES} workers were lost over it, the last at {hand.place.address}: {error}")
            )

    def _lose(self, hand: _Hand, why: str) -> None:
        """A worker is gone, and told of once; the next look opens another where its machine still is."""
        if self._hands.get(hand.place) is not hand:
            return
        del self._hands[hand.place]
        _kill(hand)
        self._deaths[hand.place] += 1
        if self._deaths[hand.place] >= LOSSES:
            self._give_up(hand, f"{hand.place.address}: lost {LOSSES} workers in a row: {why}", DeviceError(why))
        else:
            self.notes.append(f"{hand.place.address}: lost a worker ({why}); others do what it had begun")

    def _give_up(self, hand: _Hand, note: str, error: Exception) -> None:
        self.notes.append(note)
        self._given_up.add(hand.place)
        self._hands.pop(hand.place, None)
        _kill(hand)
        if not self._hands and not self._first.done():
            self._first.set_exception(error if isinstance(error, VidcolorError) else DeviceError(note))

    def _fail(self, error: VidcolorError) -> None:
        """Nothing can be done any more."""
        self._error = error
        if not self._first.done():
            self._first.set_exception(error)
        for queue in (self._films, self._photos):
            while queue:
                queue.popleft().future.set_exception(error)
        for job in [job for hand in self._hands.values() for job in hand.jobs if not job.future.done()]:
            job.future.set_exception(error)


def _places(node: dict[str, Any], *, has_gpus: bool) -> Iterator[_Place]:
    """Where workers may be on a machine: its GPUs, or, in a cluster without any, groups of its cores."""
    cores, gpus = (int(node["Resources"].get(name, 0)) for name in ("CPU", "GPU"))
    count = gpus if has_gpus else -(-cores // CORES_A_WORKER)
    for number in range(count):
        yield _Place(node["NodeID"], node["NodeManagerAddress"], number, cores // count, has_gpus, is_alone=count == 1)


def _kill(hand: _Hand) -> None:
    import ray

    with suppress(Exception):  # it is gone already, or Ray is
        ray.kill(hand.actor)


def _result(done: "Future[Any]") -> Any:
    """What a worker gave. Raises what went wrong there, _LostError where the worker itself is gone."""
    from ray.exceptions import RayTaskError

    error = done.exception()
    if isinstance(error, RayTaskError):
        raise error.cause
    if error is not None:
        raise _LostError(_first_line(error)) from error
    result = done.result()
    if isinstance(result, VidcolorError):
        raise result
    return result


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


class _Actor:
    """The process of a worker. Expected failures are handed back, since Ray would wrap them in a trace when raised."""

    _worker: Worker

    def open(self, work: Work, place: _Place, token: Path, identity: object) -> list[str] | VidcolorError:
        """Get ready; the devices. A DeviceError where this machine cannot do the work as the others do it."""
        if not place.has_gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
            if not place.is_alone:
                _keep_to_cores(place)
        try:
            for path in (token, *work.inputs):
                if not path.exists():
                    return DeviceError(f"it does not see {path}. Mount the same folders at the same paths everywhere.")
            if work.identity() != identity:
                return DeviceError("its vidcolor or its model is another. Install the same on every machine.")
            self._worker = Worker(work.load(), work.rules)
        except VidcolorError as error:
            return error
        return self._worker.devices

    def photo(self, entry: Entry, source: Path | bytes) -> Done | VidcolorError:
        """See Worker."""
        try:
            return self._worker.photo(entry, source)
        except VidcolorError as error:
            return error

    def film(self, entry: Entry, source: Path, target: Path, is_again: bool) -> Done | VidcolorError:  # noqa: ARG002
        """See Worker. Waits for the locks of a lost worker that had begun it."""
        until = time.monotonic() + (LOCK_SECONDS if is_again else 0)
        while True:
            try:
                return self._worker.film(source, target, is_again=is_again)
            except SinkError as error:
                if not isinstance(error.__context__, BlockingIOError) or time.monotonic() > until:
                    return error
                time.sleep(1)
            except VidcolorError as error:
                return error


def _keep_to_cores(place: _Place) -> None:
    """Use this worker's share of the machine's cores alone, where the system can be told so."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))[place.number * place.cores :][: place.cores]
    if len(cores) == place.cores:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # ended meanwhile
                os.sched_setaffinity(int(thread.name), cores)
