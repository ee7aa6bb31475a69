"""Many machines color what one would have, also when one of them is lost in the middle."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_fixtures import make_film, make_shots, packets
from PIL import Image

from vidcolor import cli
from vidcolor.media.source import FilmSource

has_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs pip install 'vidcolor[cluster]'")
# Ray's own: sockets and log files that it leaves to the garbage collector, and what it will do one day.
ray_warns = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray"),
]
LONG = 520  # frames: two whole segments and a rest
WATCHFUL = {  # a machine counts as lost after some seconds, not thirty; a busy one needs them to start
    "health_check_initial_delay_ms": 10000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 5000,
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
        gray = np.clip(128 + 90 * np.sin(x / (5 + number)) * np.cos(y / 7), 0, 255).astype(np.uint8)
        Image.fromarray(gray).save(folder / "album" / f"{number:02}.{'png' if number % 2 else 'jpg'}")
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
    pytestmark = [*ray_warns, pytest.mark.slow, pytest.mark.timeout(600)]  # noqa: RUF012 - pytest wants a list

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
        assert events[-1]["devices"][0].startswith("2 x ")
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
    assert run(vault, "-o", tmp_path / "out", "--cluster", address, model=tiny_model) == (1 if ":" in address else 2)
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
