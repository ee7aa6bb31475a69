"""The cache is found whole or made anew, done without where there is none, and leaves nothing elsewhere."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from platformdirs import macos, unix

from vidcolor.inference import openvino_backend, weights
from vidcolor.inference.openvino_backend import OpenVINOBackend
from vidcolor.system import cache

LIGHTNESS = (50 + 40 * np.sin(np.mgrid[:64, :96][1] / 7)).astype(np.float32)[None, None]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and an empty folder for what is temporary."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "cache" / "vidcolor"


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every conversion."""
    done: list[int] = []
    convert = openvino_backend.convert

    def counted(network: Any) -> Any:
        done.append(1)
        return convert(network)

    monkeypatch.setattr(openvino_backend, "convert", counted)
    return done


def answer(model: Path) -> np.ndarray:
    return OpenVINOBackend(model, "fp32")(LIGHTNESS)


def test_what_is_kept_comes_back_whole(place: Path):
    cache.write("one", [b"", b"graph", bytes(range(256)) * 1000])
    assert cache.read("one") == (b"", b"graph", bytes(range(256)) * 1000)
    assert [file.name for file in place.iterdir()] == ["one"]


def damage(content: bytes) -> dict[str, bytes]:
    middle = len(content) // 2
    return {
        "nothing": b"",
        "a byte": content[:1],
        "cut in its head": content[:50],
        "cut": content[:-1],
        "longer": content + b"\0",
        "zeros in the middle": content[:middle] + bytes(512) + content[middle + 512 :],
        "zeros": bytes(len(content)),
        "one bit": content[:-700] + bytes([content[-700] ^ 1]) + content[-699:],
        "huge lengths": content[:56] + b"\xff" * 16 + content[72:],
        "another mark": b"X" + content[1:],
    }


KINDS = sorted(damage(bytes(2000)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_network_is_made_anew_and_colors_the_same(
    tiny_model: Path, place: Path, conversions: list[int], kind: str
):
    right = answer(tiny_model)
    (entry,) = place.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole)[kind])
    assert np.array_equal(answer(tiny_model), right)
    assert len(conversions) == 2
    assert np.array_equal(answer(tiny_model), right)  # which is kept again
    assert len(conversions) == 2
    assert [file.name for file in place.iterdir()] == [entry.name]


def test_what_belongs_to_another_name_is_not_taken(place: Path):
    cache.write("one", [b"graph"])
    (place / "one").rename(place / "two")
    with pytest.raises(ValueError, match="damaged"):
        cache.read("two")


def test_a_network_that_openvino_cannot_read_is_made_anew(tiny_model: Path, place: Path, conversions: list[int]):
    right = answer(tiny_model)
    (entry,) = place.iterdir()
    cache.write(entry.name, [b"<net>", b""])
    assert np.array_equal(answer(tiny_model), right)
    assert len(conversions) == 2


@pytest.mark.parametrize("in_the_way", ["a file for the folder", "a folder for the entry", "a pipe for the entry"])
def test_a_cache_that_cannot_be_written_changes_no_color_and_leaves_nothing(
    tiny_model: Path, place: Path, conversions: list[int], in_the_way: str
):
    right = answer(tiny_model)
    (entry,) = place.iterdir()
    entry.unlink()
    if in_the_way == "a file for the folder":
        place.rmdir()
        place.write_text("mine")
    elif in_the_way == "a folder for the entry":
        (entry / "mine").mkdir(parents=True)
    elif hasattr(os, "mkfifo"):
        os.mkfifo(entry)
    for run in (2, 3):
        assert np.array_equal(answer(tiny_model), right)
        if in_the_way != "a pipe for the entry":  # a pipe makes room
            assert len(conversions) == run
    assert list(Path(tempfile.gettempdir()).iterdir()) == []
    if in_the_way == "a file for the folder":
        assert place.read_text() == "mine"
    else:
        assert [file.name for file in place.iterdir()] == [entry.name]


def test_without_any_place_to_write_the_network_still_runs(
    tiny_model: Path, place: Path, monkeypatch: pytest.MonkeyPatch
):
    place.parent.write_text("no folder")

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    assert np.isfinite(answer(tiny_model)).all()


def test_a_full_disk_leaves_nothing_in_the_cache(tiny_model: Path, place: Path, monkeypatch: pytest.MonkeyPatch):
    right = answer(tiny_model)
    (entry,) = place.iterdir()
    entry.unlink()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert np.array_equal(answer(tiny_model), right)
    assert list(place.iterdir()) == []


@pytest.mark.usefixtures("place")
def test_bytes_are_on_the_disk_before_they_have_their_name(monkeypatch: pytest.MonkeyPatch):
    happened: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (happened.append("sync"), sync(file))[1])
    monkeypatch.setattr(Path, "replace", lambda path, other: (happened.append("name"), replace(path, other))[1])
    cache.write("one", [b"graph"])
    assert happened == ["sync", "name"]


def test_what_a_killed_run_left_goes_after_a_day(place: Path):
    for name, age in (("old", 2 * 86_400), ("new", 60)):
        for entry in (place / f"{cache.UNFINISHED}{name}", place / f"{cache.UNFINISHED}{name}-folder" / "network.bin"):
            entry.parent.mkdir(parents=True, exist_ok=True)
            entry.write_bytes(b"graph")
            then = entry.stat().st_mtime - age
            os.utime(entry, (then, then))
            if entry.parent != place:
                os.utime(entry.parent, (then, then))
    cache.write("one", [b"graph"])
    left = {file.name.removeprefix(cache.UNFINISHED) for file in place.iterdir()}
    assert left == {"new", "new-folder", "one"}


@pytest.mark.skipif(os.name == "nt", reason="bits of another system")
def test_files_of_the_cache_are_as_the_umask_has_them(place: Path):
    before = os.umask(0o027)
    try:
        cache.write("one", [b"graph"])
    finally:
        os.umask(before)
    assert stat.S_IMODE((place / "one").stat().st_mode) == 0o640


def test_many_at_once_find_a_whole_network(place: Path):
    parts = [bytes([number]) * 100_000 for number in range(4)]
    cache.write("one", parts)
    found: list[tuple[bytes, ...]] = []

    def work() -> None:
        for _ in range(20):
            cache.write("one", parts)
            found.append(cache.read("one"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert set(found) == {tuple(parts)}
    assert [file.name for file in place.iterdir()] == ["one"]


@pytest.mark.parametrize(
    ("system", "place"), [("linux", ".cache/vidcolor"), ("darwin", "Library/Caches/vidcolor")], ids=["Linux", "macOS"]
)
def test_the_cache_lies_where_each_system_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, place: str
):
    monkeypatch.setattr(cache, "user_cache_path", of_system(system))
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache.folder() == tmp_path / place
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "named"))
    assert cache.folder() == tmp_path / "named" / "vidcolor"


def of_system(system: str) -> Callable[..., Path]:
    """What platformdirs says on a system."""
    kind = {"linux": unix.Unix, "darwin": macos.MacOS}[system]
    return lambda *args, **options: kind(*args, **options).user_cache_path


@pytest.mark.skipif(os.name == "nt", reason="homes are found otherwise")
def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch):
    def homeless(number: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", homeless)
    for value in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        with pytest.raises(FileNotFoundError, match="no home folder"):
            cache.folder()
        assert "no home folder" in openvino_backend.cache_problem(weights.find("default"))


def test_asking_about_a_film_or_model_makes_no_cache(place: Path):
    done = subprocess.run(
        [sys.executable, "-m", "vidcolor", "models", "show"], capture_output=True, text=True, check=True
    )
    assert done.stdout
    assert not place.exists()
