"""Many machines colour what one would have, also when one of them is lost in the middle."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_fixtures import make_film, make_shots, packets
from PIL import Image

from vidcolor import cli
from vidcolor.cluster import Work, workers
from vidcolor.cluster.actor import Actor
from vidcolor.cluster.hands import Hand, Job
from vidcolor.cluster.places import Place
from vidcolor.cluster.places import places as places_of
from vidcolor.errors import DeviceError, SinkError, SourceError
from vidcolor.frames import Part
from vidcolor.media.archives import Entry
from vidcolor.media.source import FilmSource
from vidcolor.worker import Done

has_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs pip install 'vidcolor[cluster]'")
# Ray's own: sockets and log files that it leaves to the garbage collector, and what it will do one day.
ray_warns = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray"),
]
LONG = 520  # frames: two whole segments and a rest
WATCHFUL = {  # a machine counts as lost after two seconds, not thirty
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}


def run(*arguments: object, model: Path) -> int:
    return cli.run([*map(str, arguments), "--model", str(model)])


def pictures(path: Path) -> list[tuple[Any, bytes]]:
    """When every frame is shown, and all of its planes."""
    with FilmSource(path) as source:
        return [(frame.pts * source.info.time_base, frame.native.to_ndarray().tobytes()) for frame in source.frames()]


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos, one of them torn, three films and notes."""
    folder = tmp_path_factory.mktemp("vault") / "vault"
    (folder / "album").mkdir(parents=True)
    y, x = np.mgrid[:64, :96]
    for number in range(12):
        grey = np.clip(128 + 90 * np.sin(x / (5 + number)) * np.cos(y / 7), 0, 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / "album" / f"{number:02}.{'png' if number % 2 else 'jpg'}")
    torn = folder / "album" / "00.jpg"
    torn.write_bytes(torn.read_bytes()[:200])
    for number, frames in enumerate((LONG, 12, 30)):
        make_film(folder / f"{number}.mp4", codec="libx264", pix_fmt="gray", pts=range(frames), sound=[{}])
    (folder / "notes.txt").write_text("found in the attic")
    return folder


@pytest.fixture(scope="module")
def local(vault: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one machine makes of it."""
    out = tmp_path_factory.mktemp("local") / "out"
    assert run(vault, "-o", out, "-q", model=tiny_model) == 1
    return out


@pytest.fixture(scope="module")
def machines(tiny_model: Path) -> Iterator[Any]:  # noqa: ARG001 - their processes need the cache's folder set
    """A cluster whose head does no work; machines are added to it."""
    from ray.cluster_utils import Cluster

    found = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": WATCHFUL},
    )
    yield found
    found.shutdown()


def assert_equal(found: Path, wanted: Path) -> None:
    """The same files with the same bytes; of films, where the container notes who wrote it when, what is in them."""
    names = {path.relative_to(wanted) for path in wanted.rglob("*") if not path.name.startswith(".")}
    assert {path.relative_to(found) for path in found.rglob("*") if not path.name.startswith(".")} == names
    for name in names:
        if name.suffix == ".mp4":
            both = zip(pictures(found / name), pictures(wanted / name), strict=True)
            differing = [number for number, (one, other) in enumerate(both) if one != other]
            assert not differing, name
            assert packets(found / name, "audio") == packets(wanted / name, "audio")
        elif (wanted / name).is_file() and name.stem != "report":
            assert (found / name).read_bytes() == (wanted / name).read_bytes()
    reports = [json.loads((folder / "report.json").read_text()) for folder in (found, wanted)]
    lines = [[(line["name"], line["outcome"], line["reason"]) for line in report["files"]] for report in reports]
    assert lines[0] == lines[1]
    assert reports[0]["counts"] == reports[1]["counts"]
    assert not [path for path in found.rglob(".vidcolor-*") if path.suffix == ".partial" or "cluster" in path.name]


@has_ray
class TestCluster:
    pytestmark = ray_warns

    def test_two_machines_make_what_one_makes(
        self, machines: Any, vault: Path, local: Path, tmp_path: Path, tiny_model: Path, capsys, monkeypatch
    ):
        nodes = [machines.add_node(num_cpus=1) for _ in range(2)]
        shutil.copy(tiny_model, tmp_path / "model.safetensors")
        monkeypatch.chdir(tmp_path)  # relative paths, which mean nothing elsewhere
        out, model = Path("out"), Path("model.safetensors")
        assert run(vault, "-o", out, "--json", "--cluster", machines.address, model=model) == 1
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert events[-1]["event"] == "done"
        assert events[-1]["counts"] == {"colored": 14, "copied": 1, "failed": 1}
        assert events[-1]["devices"].startswith("2 x ")
        assert [event["name"] for event in events if event.get("outcome") == "failed"] == ["album/00.jpg"]
        assert_equal(out, local)
        machines.remove_node(nodes[0])  # one stays for the next test

    def test_a_machine_lost_in_the_middle_of_a_film_costs_no_frame(
        self, machines: Any, vault: Path, local: Path, tmp_path: Path, tiny_model: Path
    ):
        (doomed,) = machines.worker_nodes or [machines.add_node(num_cpus=1)]
        out = tmp_path / "out"
        command = [sys.executable, "-m", "vidcolor", vault, "-o", out, "--cluster", machines.address, "--json"]
        child = subprocess.Popen(
            [*map(str, command), "--model", str(tiny_model)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_for(lambda: any(len(lines(ledger)) > 1 for ledger in out.glob(".vidcolor-*/ledger")), child)
        machines.remove_node(doomed, allow_graceful=False)
        wait_for(lambda: not any(is_held(ledger) for ledger in out.glob(".vidcolor-*/ledger")), child)
        ledgers = [ledger for ledger in out.glob(".vidcolor-*/ledger") if len(lines(ledger)) > 1]
        finished = {file: written(file) for file in (ledger.with_name("000000.packets") for ledger in ledgers)}
        machines.add_node(num_cpus=1)
        while child.poll() is None:  # segments that were finished stay what they are until the film is
            for file, before in finished.items():
                assert written(file) in (before, None)
            time.sleep(0.02)
        told, wrong = child.communicate(timeout=120)
        assert child.returncode == 1, wrong  # a photo is torn
        events = [json.loads(line) for line in told.splitlines()]
        assert any("lost a worker" in event["message"] for event in events if event["event"] == "warning")
        assert "Traceback" not in wrong
        assert_equal(out, local)

    def test_one_film_is_taken_into_parts_of_which_a_lost_machine_costs_none(
        self, machines: Any, tmp_path: Path, tiny_model: Path
    ):
        film = make_shots(tmp_path / "film.mkv", (230, 260, 215, 240, 250, 245, 235, 100))
        options = ["--codec", "ffv1", "--model", str(tiny_model)]
        assert cli.run([str(film), "-o", str(tmp_path / "local.mkv"), "-q", *options]) == 0
        while len(machines.worker_nodes) < 2:
            machines.add_node(num_cpus=1)
        command = [sys.executable, "-m", "vidcolor", film, "-o", tmp_path / "out.mkv", "--cluster", machines.address]
        child = subprocess.Popen(
            [*map(str, command), "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

        def begun() -> list[Path]:
            return [ledger for ledger in tmp_path.glob(".vidcolor-out.mkv~*/ledger") if len(lines(ledger)) > 1]

        wait_for(lambda: len(begun()) >= 2, child)
        machines.remove_node(list(machines.worker_nodes)[-1], allow_graceful=False)
        told, wrong = child.communicate(timeout=180)
        assert child.returncode == 0, wrong
        events = [json.loads(line) for line in told.splitlines()]
        assert [event["frames"] for event in events if event["event"] == "done"] == [1775]
        assert any("lost a worker" in event["message"] for event in events if event["event"] == "warning")
        assert pictures(tmp_path / "out.mkv") == pictures(tmp_path / "local.mkv")
        assert packets(tmp_path / "out.mkv", "audio") == packets(tmp_path / "local.mkv", "audio")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mkv", "local.mkv", "out.mkv"]


def lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []


def written(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def is_held(path: Path) -> bool:
    """Whether another process has it locked."""
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def wait_for(seen: Any, process: subprocess.Popen) -> None:
    until = time.monotonic() + 90
    while not seen():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)


def test_without_ray_one_line_says_what_to_install(
    vault: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr("vidcolor.cluster.session.find_spec", lambda _: None)
    assert run(vault, "-o", tmp_path / "out", "--cluster", "auto", model=tiny_model) == 1
    assert capsys.readouterr().err.splitlines() == [
        "vidcolor: --cluster needs Ray, which is not installed. Say: pip install 'vidcolor[cluster]'."
    ]
    assert not (tmp_path / "out").exists()


@has_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_an_address_where_nothing_answers_is_told_at_once(
    address: str, vault: Path, tmp_path: Path, tiny_model: Path, capsys
):
    assert run(vault, "-o", tmp_path / "out", "--cluster", address, model=tiny_model) == 1
    assert f"--cluster {address}:" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [["album/01.png"], ["1.mp4", "--start", "0.1"], ["1.mp4", "--dry-run"], ["album/%02d.png", "--fps", "24"]],
)
def test_what_no_cluster_can_share_out_is_refused(arguments: list[str], vault: Path, tmp_path: Path, tiny_model: Path):
    source, *options = arguments
    out = tmp_path / f"out{Path(source).suffix}"
    assert run(vault / source, "-o", out, *options, "--cluster", "auto", model=tiny_model) == 2
    assert not out.exists()


def test_machines_are_divided_by_gpus_or_by_cores():
    def places(*, has_gpus: bool, **resources: float) -> list[tuple[int, bool]]:
        node = {"NodeID": "n", "NodeManagerAddress": "a", "Resources": resources}
        return [(place.cores, place.is_alone) for place in places_of(node, has_gpus=has_gpus)]

    assert places(CPU=4.0, has_gpus=False) == [(4, True)]
    assert places(CPU=20.0, has_gpus=False) == [(6, False)] * 3
    assert places(CPU=16.0, GPU=2.0, has_gpus=True) == [(8, False)] * 2
    assert places(CPU=16.0, has_gpus=True) == []
    assert places(memory=1.0, has_gpus=False) == []


class Alone:
    """Workers without a cluster: places, hands and jobs as the dealing thread has them."""

    def __init__(self, hands: int, monkeypatch: pytest.MonkeyPatch, *, is_giving: bool = False) -> None:
        monkeypatch.setattr(workers, "kill", lambda _: None)
        if is_giving:
            monkeypatch.setattr(Job, "begun_by", lambda *_: type("Ref", (), {"future": lambda _: Future()})())
        else:
            monkeypatch.setattr(workers.ClusterWorkers, "_give", lambda _, hand, job: hand.jobs.add(job))
        rules = type("Rules", (), {"scratch": Path()})()
        self.workers = workers.ClusterWorkers(Work(None, rules, None, ()))  # type: ignore[arg-type]
        for number in range(hands):
            self.add(number)

    def add(self, number: int) -> Hand:
        place = Place(str(number), f"10.0.0.{number}", 0, 1, has_gpu=False, is_alone=True)
        self.workers._hands[place] = hand = Hand(place, None, is_ready=True)
        return hand

    @property
    def hands(self) -> list[Hand]:
        return list(self.workers._hands.values())

    def hand_of(self, job: Job) -> Hand:
        return next(hand for hand in self.hands if job in hand.jobs)

    def job(self, *, is_film: bool = False) -> Job:
        job = Job(Entry("a", b"a", "photo", 1, 0), b"", Path("film") if is_film else None)
        (self.workers._films if is_film else self.workers._photos).append(job)
        return job

    def end(self, hand: Hand, job: Job, result: object) -> None:
        done: Future[Any] = Future()
        done.set_exception(result) if isinstance(result, Exception) else done.set_result(result)
        self.workers._finished(hand, job, done)


@pytest.fixture
def lost_kind() -> type[Exception]:
    return pytest.importorskip("ray").exceptions.ActorDiedError


def test_a_worker_has_one_film_at_a_time(monkeypatch: pytest.MonkeyPatch):
    alone = Alone(2, monkeypatch)
    films, photos = [alone.job(is_film=True) for _ in range(3)], [alone.job() for _ in range(9)]
    alone.workers._deal()
    assert [sum(job.target is not None for job in hand.jobs) for hand in alone.hands] == [1, 1]
    assert [len(hand.jobs) for hand in alone.hands] == [2, 2]
    assert list(alone.workers._films) == films[2:]
    assert list(alone.workers._photos) == photos[2:]


def test_a_film_is_taken_into_parts_where_workers_would_be_idle(monkeypatch: pytest.MonkeyPatch):
    alone = Alone(4, monkeypatch, is_giving=True)
    first, second = (alone.job(is_film=True) for _ in range(2))
    alone.workers._deal()
    assert [job.wanted for job in (first, second)] == [workers.PARTS_A_WORKER * wide for wide in (3, 3)]
    alone.end(alone.hand_of(first), first, [])  # it cannot be parted
    found = [Part(0, 480, 0), Part(480, 960, 0), Part(960, 1200, 0)]
    alone.end(alone.hand_of(second), second, found)
    assert [job.part for job in alone.workers._films] == [*found, None]
    alone.workers._deal()
    made = {job.part: (hand, job) for hand in alone.hands for job in hand.jobs}
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
    alone.end(alone.hand_of(second), second, Done("colored"))
    assert second.future.result().outcome == "colored"
    assert not alone.workers._films


def test_what_takes_workers_down_fails_alone(monkeypatch: pytest.MonkeyPatch, lost_kind: type[Exception]):
    alone = Alone(1, monkeypatch)
    bad, good = alone.job(), alone.job()
    for number in range(1, 3):
        alone.workers._deal()
        (hand,) = alone.hands
        assert hand.jobs == {bad, good}
        for job in (bad, good):
            alone.end(hand, job, lost_kind())
        assert not alone.hands
        alone.add(number)
    while alone.workers._photos:
        alone.workers._deal()
        (hand,) = alone.hands
        (job,) = hand.jobs
        alone.end(hand, job, lost_kind() if job is bad else Done("colored"))
        if not alone.hands:
            alone.add(9)
    assert good.future.result().outcome == "colored"
    with pytest.raises(SourceError, match="3 workers were lost over it"):
        bad.future.result()


def test_a_broken_gpu_is_a_lost_one(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray")
    alone = Alone(2, monkeypatch)
    job = alone.job()
    alone.workers._deal()
    broken = next(hand for hand in alone.hands if hand.jobs)
    alone.end(broken, job, DeviceError("no memory"))
    alone.workers._deal()
    (other,) = alone.hands
    alone.end(other, job, Done("colored"))
    assert job.future.result().outcome == "colored"
    assert alone.workers.notes == [f"{broken.place.address}: lost a worker (no memory); others do what it had begun"]


def test_a_lost_workers_lock_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    made = iter([BlockingIOError(), BlockingIOError(), None])

    class Held:
        def film(self, source: Path, target: Path, *, is_again: bool) -> Done:  # noqa: ARG002
            try:
                if (error := next(made)) is not None:
                    raise error
            except BlockingIOError as error:
                raise SinkError("another run is writing there now") from error
            return Done("colored")

    monkeypatch.setattr("vidcolor.cluster.actor.time.sleep", lambda _: None)
    actor = Actor()
    actor._worker = Held()  # type: ignore[assignment]
    assert isinstance(actor.film(None, Path(), Path(), False), SinkError)  # type: ignore[arg-type]
    assert actor.film(None, Path(), Path(), True) == Done("colored")  # type: ignore[arg-type]


def test_a_machine_that_would_do_other_work_is_left_out(tmp_path: Path):
    place = Place("n", "10.0.0.1", 0, 1, has_gpu=True, is_alone=True)
    work = Work(None, None, lambda: "vidcolor 2", (tmp_path,))  # type: ignore[arg-type]
    for token, identity, said in (
        (tmp_path / "none", "vidcolor 2", "Mount the same folders"),
        (tmp_path, "vidcolor 1", "Install the same"),
    ):
        refusal = Actor().open(work, place, token, identity)
        assert isinstance(refusal, DeviceError)
        assert said in str(refusal)


def test_the_run_fails_only_when_no_machine_can_help(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray")
    alone = Alone(2, monkeypatch)
    refused: Future[Any] = Future()
    refused.set_result(DeviceError("it does not see /vault."))
    for hand in alone.hands:
        assert not alone.workers._first.done()
        alone.workers._opened(hand, refused)
    with pytest.raises(DeviceError, match="does not see /vault"):
        alone.workers._first.result()
    assert [note.split(":")[0] for note in alone.workers.notes] == ["10.0.0.0 cannot help", "10.0.0.1 cannot help"]
