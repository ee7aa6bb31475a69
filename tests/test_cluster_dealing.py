"""How work is dealt to a cluster's workers, and what becomes of it when one is lost: without Ray."""

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from vidcolor.archives import Entry
from vidcolor.batch.worker import EntryResult
from vidcolor.cluster import Work, workers
from vidcolor.cluster.actor import Actor
from vidcolor.cluster.slots import Slot, slots_of
from vidcolor.cluster.worker_handles import Job, WorkerHandle
from vidcolor.errors import DeviceError, SinkError, SourceError
from vidcolor.frames import Part


def test_machines_are_divided_by_gpus_or_by_cores():
    def slots(*, has_gpus: bool, **resources: float) -> list[tuple[int, bool]]:
        node = {"NodeID": "n", "NodeManagerAddress": "a", "Resources": resources}
        return [(slot.cores, slot.is_alone) for slot in slots_of(node, has_gpus=has_gpus)]

    assert slots(CPU=4.0, has_gpus=False) == [(4, True)]
    assert slots(CPU=20.0, has_gpus=False) == [(6, False)] * 3
    assert slots(CPU=16.0, GPU=2.0, has_gpus=True) == [(8, False)] * 2
    assert slots(CPU=16.0, has_gpus=True) == []
    assert slots(memory=1.0, has_gpus=False) == []


class Alone:
    """Workers without a cluster: places, hands and jobs as the dealing thread has them."""

    def __init__(self, handles: int, monkeypatch: pytest.MonkeyPatch, *, is_giving: bool = False) -> None:
        monkeypatch.setattr(workers, "kill", lambda _: None)
        if is_giving:
            monkeypatch.setattr(Job, "start_remote", lambda *_: type("Ref", (), {"future": lambda _: Future()})())
        else:
            monkeypatch.setattr(workers.ClusterWorkers, "_give", lambda _, handle, job: handle.jobs.add(job))
        rules = type("Rules", (), {"scratch": Path()})()
        self.workers = workers.ClusterWorkers(Work(None, rules, None, ()))  # type: ignore[arg-type]
        for number in range(handles):
            self.add(number)

    def add(self, number: int) -> WorkerHandle:
        slot = Slot(str(number), f"10.0.0.{number}", 0, 1, has_gpu=False, is_alone=True)
        self.workers._handles[slot] = handle = WorkerHandle(slot, None, is_ready=True)
        return handle

    @property
    def handles(self) -> list[WorkerHandle]:
        return list(self.workers._handles.values())

    def handle_of(self, job: Job) -> WorkerHandle:
        return next(handle for handle in self.handles if job in handle.jobs)

    def job(self, *, is_film: bool = False) -> Job:
        job = Job(Entry("a", b"a", "photo", 1, 0), b"", Path("film") if is_film else None)
        (self.workers._films if is_film else self.workers._photos).append(job)
        return job

    def end(self, handle: WorkerHandle, job: Job, result: object) -> None:
        done: Future[Any] = Future()
        done.set_exception(result) if isinstance(result, Exception) else done.set_result(result)
        self.workers._finished(handle, job, done)


@pytest.fixture
def lost_kind() -> type[Exception]:
    return pytest.importorskip("ray").exceptions.ActorDiedError


def test_a_worker_has_one_film_at_a_time(monkeypatch: pytest.MonkeyPatch):
    alone = Alone(2, monkeypatch)
    films, photos = [alone.job(is_film=True) for _ in range(3)], [alone.job() for _ in range(9)]
    alone.workers._deal()
    assert [sum(job.target is not None for job in handle.jobs) for handle in alone.handles] == [1, 1]
    assert [len(handle.jobs) for handle in alone.handles] == [2, 2]
    assert list(alone.workers._films) == films[2:]
    assert list(alone.workers._photos) == photos[2:]


def test_a_film_is_taken_into_parts_where_workers_would_be_idle(monkeypatch: pytest.MonkeyPatch):
    alone = Alone(4, monkeypatch, is_giving=True)
    first, second = (alone.job(is_film=True) for _ in range(2))
    alone.workers._deal()
    assert [job.wanted for job in (first, second)] == [workers.PARTS_A_WORKER * wide for wide in (3, 3)]
    alone.end(alone.handle_of(first), first, [])  # it cannot be parted
    found = [Part(0, 480, 0), Part(480, 960, 0), Part(960, 1200, 0)]
    alone.end(alone.handle_of(second), second, found)
    assert [job.part for job in alone.workers._films] == [*found, None]
    alone.workers._deal()
    made = {job.part: (handle, job) for handle in alone.handles for job in handle.jobs}
    assert set(made) == {*found, None}
    assert not first.wanted
    for part in found[:2]:
        alone.end(*made[part], None)
    assert second.parts_left == 1
    failed: Future[Any] = Future()
    failed.set_result(SourceError("cut off"))  # which the film as a whole will tell, or not
    alone.workers._finished(*made[found[2]], failed)
    assert list(alone.workers._films) == [second]
    alone.workers._deal()
    alone.end(alone.handle_of(second), second, EntryResult("colored"))
    assert second.future.result().outcome == "colored"
    assert not alone.workers._films


def test_what_takes_workers_down_fails_alone(monkeypatch: pytest.MonkeyPatch, lost_kind: type[Exception]):
    alone = Alone(1, monkeypatch)
    bad, good = alone.job(), alone.job()
    for number in range(1, 3):
        alone.workers._deal()
        (handle,) = alone.handles
        assert handle.jobs == {bad, good}
        for job in (bad, good):
            alone.end(handle, job, lost_kind())
        assert not alone.handles
        alone.add(number)
    while alone.workers._photos:
        alone.workers._deal()
        (handle,) = alone.handles
        (job,) = handle.jobs
        alone.end(handle, job, lost_kind() if job is bad else EntryResult("colored"))
        if not alone.handles:
            alone.add(9)
    assert good.future.result().outcome == "colored"
    with pytest.raises(SourceError, match="3 workers were lost over it"):
        bad.future.result()


def test_a_broken_gpu_is_a_lost_one(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray")
    alone = Alone(2, monkeypatch)
    job = alone.job()
    alone.workers._deal()
    broken = next(handle for handle in alone.handles if handle.jobs)
    alone.end(broken, job, DeviceError("no memory"))
    alone.workers._deal()
    (other,) = alone.handles
    alone.end(other, job, EntryResult("colored"))
    assert job.future.result().outcome == "colored"
    assert alone.workers.notes == [f"{broken.slot.address}: lost a worker (no memory); others do what it had begun"]


def test_a_lost_workers_lock_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    made = iter([BlockingIOError(), BlockingIOError(), None])

    class Held:
        def film(self, source: Path, target: Path, *, is_again: bool) -> EntryResult:  # noqa: ARG002
            try:
                if (error := next(made)) is not None:
                    raise error
            except BlockingIOError as error:
                raise SinkError("another run is writing there now") from error
            return EntryResult("colored")

    monkeypatch.setattr("vidcolor.cluster.actor.time.sleep", lambda _: None)
    actor = Actor()
    actor._worker = Held()  # type: ignore[assignment]
    assert isinstance(actor.film(None, Path(), Path(), False), SinkError)  # type: ignore[arg-type]
    assert actor.film(None, Path(), Path(), True) == EntryResult("colored")  # type: ignore[arg-type]


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


def test_the_run_fails_only_when_no_machine_can_help(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray")
    alone = Alone(2, monkeypatch)
    refused: Future[Any] = Future()
    refused.set_result(DeviceError("it does not see /vault."))
    for handle in alone.handles:
        assert not alone.workers._first.done()
        alone.workers._opened(handle, refused)
    with pytest.raises(DeviceError, match="does not see /vault"):
        alone.workers._first.result()
    assert [note.split(":")[0] for note in alone.workers.notes] == ["10.0.0.0 cannot help", "10.0.0.1 cannot help"]
