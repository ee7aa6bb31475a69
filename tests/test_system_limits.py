"""Too little memory, too few threads: one line, and no host program is changed where there is enough."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from vidcolor import cli
from vidcolor.errors import DeviceError
from vidcolor.inference import backends
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.devices import OutOfMemoryError
from vidcolor.inference.openvino_backend import OpenVINOBackend
from vidcolor.system import limits


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (MemoryError(), "memory"), (OSError(12, "Cannot allocate memory"), "memory"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "memory"),
        (RuntimeError("Couldn't trace. Exception:\nstd::bad_alloc"), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
        (RuntimeError("core.cpp:268: Resource temporarily unavailable"), "threads"),
        (ImportError("No module named 'cv2'"), None), (RuntimeError("the shape is odd"), None),
    ],
)  # fmt: skip
def test_what_is_scarce_is_told(error: Exception, word: str | None):
    told = limits.explain(error)
    assert told is None if word is None else f"no more {word}" in str(told)


def test_the_cause_counts():
    error = ValueError("cannot be read")
    error.__cause__ = MemoryError()
    assert limits.is_out_of_memory(error)
    assert not limits.is_out_of_threads(error)


def test_a_program_that_gets_no_thread_ends_in_a_line(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from media_fixtures import make_film

    film = make_film(tmp_path / "film.mkv", pts=range(12))

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    code = cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "--model", str(tiny_model), "--device", "cpu"])
    monkeypatch.undo()
    assert code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("vidcolor: the system gave this process no more threads")
    assert not (tmp_path / "out.mkv").exists()


def test_openvino_without_memory_asks_for_smaller_batches(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    backend = OpenVINOBackend(tiny_model, "fp32")

    def full(*_: object) -> None:
        raise RuntimeError("Exception from infer_request.cpp: std::bad_alloc")

    monkeypatch.setattr(backend, "_infer_queue", full)
    with pytest.raises(OutOfMemoryError, match="batch 2"):
        backend(np.zeros((2, 1, 64, 64), np.float32))


def test_openvino_without_threads_is_a_device_error(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    def none(*_: object) -> None:
        raise RuntimeError("Exception from plugin.cpp:921: Resource temporarily unavailable")

    monkeypatch.setattr(backends, "OpenVINOBackend", none)
    with pytest.raises(DeviceError, match="no more threads"):
        Colorizer.load(str(tiny_model), device="cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("limit", [300_000_000, 1_000_000_000])
def test_little_address_space_is_one_line(tmp_path: Path, limit: int):
    """Real: the libraries do not fit, and say so in words of their own."""
    script = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n"
        "from vidcolor import cli\n"
        "sys.exit(cli.run(sys.argv[1:]))"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script, "models", "verify", "default"],
        capture_output=True, text=True, check=False, timeout=120, env=environment,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("vidcolor: the system gave this process no more memory")
    assert "Traceback" not in done.stderr


def test_libraries_are_left_alone_where_there_is_enough(monkeypatch: pytest.MonkeyPatch):
    resource = pytest.importorskip("resource")
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    limits.limit_library_threads()
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (20 if kind == resource.RLIMIT_NPROC else -1,) * 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    limits.limit_library_threads()
    assert os.environ.pop("OPENBLAS_NUM_THREADS") == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    del os.environ["MKL_NUM_THREADS"]
