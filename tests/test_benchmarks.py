"""The benchmark runs, so that it cannot rot, and its figures hang together."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import av
import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def report(tiny_model: Path) -> dict:
    """What the benchmark says of half a second at 160 rows, under a tiny network."""
    options = ["--sizes", "160p", "--seconds", "0.5", "--runs", "1", "--model", tiny_model, "--json"]
    done = subprocess.run([sys.executable, BENCHMARKS / "films.py", *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_contender_is_timed_and_weighed(report: dict) -> None:
    at = report["sizes"]["160p"]
    assert at["clip"]["size"] == "284x160"
    for contender in ("vidcolor", "auto", "plain", "naive"):
        (run,) = at[contender]["runs"]
        assert run["frames"] == 12 or (contender == "naive" and 1 <= run["frames"] < 12)  # it has a time limit
        assert run["wall_seconds"] > 0
        assert run["cpu_seconds"] > 0
        assert run["peak_bytes"] > 10 << 20
    assert at["vidcolor"]["first_frame_seconds"]["median"] > 0
    assert report["first_run_ever_seconds"] > 0


def test_ratios_are_those_of_the_same_round(report: dict) -> None:
    at = report["sizes"]["160p"]
    (ours,), (plain,) = at["vidcolor"]["runs"], at["plain"]["runs"]
    found = at["ratios"]["vidcolor"]
    assert found["of_plain"]["median"] == pytest.approx(plain["wall_seconds"] / ours["wall_seconds"])
    assert found["of_naive_steady"]["median"] == pytest.approx(
        ours["steady_fps"] / at["naive"]["runs"][0]["steady_fps"]
    )


def test_the_report_names_what_it_was_measured_on(report: dict) -> None:
    assert report["machine"]["cpu"]
    assert report["machine"]["cores"] >= 1
    assert {"vidcolor", "torch", "openvino", "av"} <= set(report["versions"])
    assert report["model"]["name"] == "tiny"
    assert report["model"]["devices"]


def test_without_ffmpeg_the_plain_transcode_is_done_through_pyav(tmp_path: Path) -> None:
    clip, out = tmp_path / "clip.mp4", tmp_path / "plain.mp4"
    sample = BENCHMARKS.parent / "samples" / "clip.mp4"
    subprocess.run([sys.executable, BENCHMARKS / "clip.py", sample, clip, "284", "160", "0.5", "5"], check=True)
    subprocess.run([sys.executable, BENCHMARKS / "peers.py", "plain", clip, out], check=True)
    assert packets(out, "video") == (12, "h264")
    assert packets(out, "audio") == packets(clip, "audio")


def test_other_networks_color_a_film_frame_by_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sample, out = BENCHMARKS.parent / "samples" / "clip.mp4", tmp_path / "out.mp4"
    import_module("peers").color_film(str(sample), str(out), 0.0, lambda rgb: rgb[..., ::-1].copy())
    assert packets(out, "video")[0] >= 1
    with torch.device("meta"):
        network = import_module("rivals").DeOldify()
        assert network(torch.empty(1, 3, 336, 336)).shape == (1, 3, 336, 336)
    weights = sum(part.numel() for part in network.parameters())
    assert 200e6 < weights < 300e6


def packets(path: Path, kind: str) -> tuple[int, str]:
    """Give how many packets the first stream of a kind has, and its codec."""
    with av.open(path) as film:
        stream = film.streams.get({kind: 0})[0]
        return sum(packet.size > 0 for packet in film.demux(stream)), stream.codec_context.name


def test_photos_are_timed_beside_pillow_alone(tiny_model: Path) -> None:
    options = ["--photos", "4", "--size", "320x240", "--stored", "rgb", "--runs", "1", "--model", tiny_model, "--json"]
    done = subprocess.run([sys.executable, BENCHMARKS / "photos.py", *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (ours,), (plain,) = report["vidcolor"]["runs"], report["plain"]["runs"]
    assert ours["photos"] == plain["photos"] == report["photos"]["count"] == 4
    assert min(ours["peak_bytes"], plain["peak_bytes"]) > 10 << 20
    assert report["of_plain"]["median"] == pytest.approx(plain["wall_seconds"] / ours["wall_seconds"])
    assert report["of_plain_cpu_steady"]["median"] > 0


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.name)
def test_what_the_benchmarks_ask_of_the_package_is_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vidcolor":
            module = import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name) or find_spec(f"{node.module}.{name.name}"), (
                    f"{node.module}: {name.name}"
                )
