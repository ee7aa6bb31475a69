"""How work is dealt to a cluster's workers, and what becomes of it when one is lost: without Ray."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from vidcolor.archives import Entry
from vidcolor.batch.worker import EntryResult
from vidcolor.cluster import Work
from vidcolor.cluster.actor import Actor
from vidcolor.cluster.scheduler import PARTS_A_WORKER, Scheduler
from vidcolor.cluster.slots import Slot, slots_of
from vidcolor.cluster.worker_handles import Job, WorkerHandle
from vidcolor.errors import DeviceError, SinkError, SourceError, VidcolorError
from vidcolor.films.parts import Survey
from vidcolor.frames import Part, ResumePoint


def test_machines_are_divided_by_gpus_or_by_cores():
    def slots(*, has_gpus: bool, **resources: float) -> list[tuple[int, bool]]:
        node = {"NodeID": "n", "NodeManagerAddress": "a", "Resources": resources}
        return [(slot.cores, slot.is_alone) for slot in slots_of(node, has_gpus=has_gpus)]

    assert slots(CPU=4.0, has_gpus=False) == [(4, True)]
    assert slots(CPU=20.0, has_gpus=False) == [(6, False)] * 3
    assert slots(CPU=16.0, GPU=2.0, has_gpus=True) == [(8, False)] * 2
    assert slots(CPU=16.0, has_gpus=True) == []
    assert slots(memory=1.0, has_gpus=False) == []


class FakeActor:
    """A worker's process as the scheduler knows it: what it was asked to do, and the futures of that."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], Future[Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name not in ("color_photo", "color_film", "plan_parts", "color_part"):
            raise AttributeError(name)
        return SimpleNamespace(remote=lambda *arguments: self._call(name, arguments))

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        future: Future[Any] = Future()
        self.calls.append((name, arguments, future))
        return SimpleNamespace(future=lambda: future)


def set_outcome(future: "Future[Any]", outcome: object) -> None:
    """End a call as Ray does: workers return expected errors; what is raised comes of Ray."""
    if isinstance(outcome, Exception) and not isinstance(outcome, VidcolorError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class Workers:
    """Workers without a cluster; everything happens at once, in this thread."""

    def __init__(self, count: int) -> None:
        self.killed: list[WorkerHandle] = []
        self.scheduler = Scheduler(post=lambda event: event(), kill=self.killed.append)
        self.opened: dict[WorkerHandle, Future[Any]] = {}
        for number in range(count):
            set_outcome(self.opened[self.add(number)], ["cpu"])

    def add(self, number: int) -> WorkerHandle:
        """A worker that is not ready yet."""
        handle = WorkerHandle(Slot(str(number), f"10.0.0.{number}", 0, 1, has_gpu=False, is_alone=True), FakeActor())
        self.opened[handle] = Future()
        self.scheduler.add(handle, self.opened[handle])
        return handle

    @property
    def handles(self) -> list[WorkerHandle]:
        return list(self.scheduler.handles.values())

    def worker_with(self, job: Job) -> WorkerHandle:
        return next(handle for handle in self.handles if job in handle.jobs)

    def submit(self, *, is_film: bool = False) -> Job:
        job = Job(Entry("a", b"a", "photo", 1, 0), uuid4().bytes, Path("film") if is_film else None)
        self.scheduler.submit(job)
        return job

    def end(self, handle: WorkerHandle, job: Job, outcome: object) -> None:
        """The worker is done with the job, or with the survey of it or the part."""
        wanted = job.source, job.part
        for _, arguments, future in handle.actor.calls:
            found = next(value for value in arguments if isinstance(value, bytes))
            part = next((value for value in arguments if isinstance(value, Part)), None)
            if (found, part) == wanted and not future.done():
                set_outcome(future, outcome)
                return
        raise AssertionError(f"the worker was not asked to do {job}")


@pytest.fixture
def lost_kind() -> type[Exception]:
    return pytest.importorskip("ray").exceptions.ActorDiedError


def test_a_worker_has_one_film_at_a_time():
    workers = Workers(2)
    films, photos = [workers.submit(is_film=True) for _ in range(3)], [workers.submit() for _ in range(9)]
    workers.scheduler.deal()
    assert [sum(job.target is not None for job in handle.jobs) for handle in workers.handles] == [1, 1]
    assert [len(handle.jobs) for handle in workers.handles] == [2, 2]
    assert [len(handle.actor.calls) for handle in workers.handles] == [2, 2]
    assert list(workers.scheduler.films) == films[2:]
    assert list(workers.scheduler.photos) == photos[2:]


def test_a_film_is_taken_into_parts_where_workers_would_be_idle():
    workers = Workers(4)
    first, second = (workers.submit(is_film=True) for _ in range(2))
    workers.scheduler.deal()
    assert [job.wanted for job in (first, second)] == [PARTS_A_WORKER * wide for wide in (3, 3)]
    workers.end(workers.worker_with(first), first, ([], None))  # it cannot be parted
    found = [Part(0, 480, 0), Part(480, 960, 0), Part(960, 1200, 0)]
    workers.end(workers.worker_with(second), second, (found, None))
    assert [job.part for job in workers.scheduler.films] == [*found, None]
    workers.scheduler.deal()
    made = {job.part: (handle, job) for handle in workers.handles for job in handle.jobs}
    assert set(made) == {*found, None}
    assert not first.wanted
    for part in found[:2]:
        workers.end(*made[part], None)
    assert second.parts_left == 1
    workers.end(*made[found[2]], SourceError("cut off"))  # which the film as a whole will tell, or not
    assert list(workers.scheduler.films) == [second]
    workers.scheduler.deal()
    workers.end(workers.worker_with(second), second, EntryResult("colored"))
    assert second.future.result().outcome == "colored"
    assert not workers.scheduler.films


def test_parts_are_colored_while_the_film_is_looked_through(lost_kind: type[Exception]):
    workers = Workers(3)
    film, known = workers.submit(is_film=True), Survey(point=ResumePoint(700, 700, 0), planned=2)
    workers.scheduler.deal()
    first, wanted = Part(0, 480, 0), film.wanted
    workers.end(workers.worker_with(film), film, ([first], known))
    assert [job.part for job in workers.scheduler.films] == [None, first]  # the survey goes on
    workers.scheduler.deal()
    looking = workers.worker_with(film)
    assert looking.actor.calls[-1][1][1:] == (wanted, known)
    (part,) = [job for handle in workers.handles for job in handle.jobs if job.part == first]
    workers.end(workers.worker_with(part), part, None)
    assert not film.parts_left
    assert not workers.scheduler.films  # not whole yet
    workers.end(looking, film, lost_kind())
    workers.scheduler.deal()
    looking = workers.worker_with(film)
    assert looking.actor.calls[-1][1][1:] == (wanted, known)  # where the lost one began
    second = Part(480, 960, 0)
    workers.end(looking, film, ([second], replace(known, planned=4)))
    workers.scheduler.deal()
    workers.end(workers.worker_with(film), film, SourceError("damaged"))  # the rest is colored with the whole
    assert not workers.scheduler.films
    (part,) = [job for handle in workers.handles for job in handle.jobs if job.part == second]
    workers.end(workers.worker_with(part), part, None)
    assert list(workers.scheduler.films) == [film]
    workers.scheduler.deal()
    name, arguments, _ = workers.worker_with(film).actor.calls[-1]
    assert (name, arguments[-1]) == ("color_film", True)


def test_what_takes_workers_down_fails_alone(lost_kind: type[Exception]):
    workers = Workers(1)
    bad, good = workers.submit(), workers.submit()

    def replace_worker(number: int) -> None:
        assert not workers.handles
        set_outcome(workers.opened[workers.add(number)], ["cpu"])

    for number in range(1, 3):
        workers.scheduler.deal()
        (handle,) = workers.handles
        assert handle.jobs == {bad, good}
        for job in (bad, good):
            workers.end(handle, job, lost_kind())
        assert workers.killed[-1] is handle
        replace_worker(number)
    while workers.scheduler.photos:
        workers.scheduler.deal()
        (handle,) = workers.handles
        (job,) = handle.jobs
        workers.end(handle, job, lost_kind() if job is bad else EntryResult("colored"))
        if not workers.handles:
            replace_worker(9)
    assert good.future.result().outcome == "colored"
    with pytest.raises(SourceError, match="3 workers were lost over it"):
        bad.future.result()


def test_a_broken_gpu_is_a_lost_one():
    workers = Workers(2)
    job = workers.submit()
    workers.scheduler.deal()
    broken = workers.worker_with(job)
    workers.end(broken, job, DeviceError("no memory"))
    workers.scheduler.deal()
    (other,) = workers.handles
    workers.end(other, job, EntryResult("colored"))
    assert workers.killed == [broken]
    assert job.future.result().outcome == "colored"
    assert workers.scheduler.notes == [f"{broken.slot.address}: lost a worker (no memory); others do what it had begun"]


def test_a_lost_workers_lock_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = iter([BlockingIOError(), BlockingIOError(), None])

    class Held:
        devices = ("cuda:0",)

        def color_film(self, source: Path, target: Path, *, is_again: bool) -> EntryResult:  # noqa: ARG002
            try:
                if (error := next(made)) is not None:
                    raise error
            except BlockingIOError as error:
                raise SinkError("another run is writing there now") from error
            return EntryResult("colored")

    monkeypatch.setattr("vidcolor.cluster.actor.time.sleep", lambda _: None)
    monkeypatch.setattr("vidcolor.cluster.actor.Worker", lambda *_: Held())
    slot = Slot("n", "10.0.0.1", 0, 1, has_gpu=True, is_alone=True)
    work = Work(lambda: None, None, lambda: "vidcolor 2", ())  # type: ignore[arg-type, return-value]
    actor = Actor()
    assert actor.open(work, slot, tmp_path, "vidcolor 2") == ("cuda:0",)
    assert isinstance(actor.color_film(None, Path(), Path(), False), SinkError)  # type: ignore[arg-type]
    assert actor.color_film(None, Path(), Path(), True) == EntryResult("colored")  # type: ignore[arg-type]


def test_a_machine_that_would_do_other_work_is_left_out(tmp_path: Path):
    slot = Slot("n", "10.0.0.1", 0, 1, has_gpu=True, is_alone=True)
    work = Work(None, None, lambda: "vidcolor 2", (tmp_path,))  # type: ignore[arg-type]
    for token, identity, said in (
        (tmp_path / "none", "vidcolor 2", "Mount the same folders"),
        (tmp_path, "vidcolor 1", "Install the same"),
    ):
        refusal = Actor().open(work, slot, token, identity)
        assert isinstance(refusal, DeviceError)
        assert said in str(refusal)


def test_the_run_fails_only_when_no_machine_can_help():
    workers = Workers(0)
    for opened in [workers.opened[workers.add(number)] for number in range(2)]:
        assert not workers.scheduler.first_ready.done()
        opened.set_result(DeviceError("it does not see /vault."))
    with pytest.raises(DeviceError, match="does not see /vault"):
        workers.scheduler.first_ready.result()
    told = [note.split(":")[0] for note in workers.scheduler.notes]
    assert told == ["10.0.0.0 cannot help", "10.0.0.1 cannot help"]
