"""The packaged models' graphs: up to date, to the bit what a conversion gives, and free of torch."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidcolor.inference import openvino_backend, packaged_graphs, weights
from vidcolor.inference.openvino_runtime import load_openvino
from vidcolor.networks.guidance import DETAIL, NUMBERS

SLOW = pytest.mark.slow
MODELS = weights.packaged_models()
NETWORKS = [
    ("default", "colors"), ("default", "guidance"), ("free", "colors"),
    *(pytest.param("default", part, marks=SLOW) for part in openvino_backend.PARTS if part != "guidance"),
]  # fmt: skip
COLOR_PHOTO = """
import sys
from vidcolor import colorize_photo
hints = [{"point": [0.5, 0.5], "size": [1, 1], "color": "navy"}]
colorize_photo(sys.argv[1], sys.argv[2], device="cpu", hints=hints)
print("torch" in sys.modules)
"""


def read(core: Any, model: str, network: str) -> Any:
    path = weights.find(model)
    return packaged_graphs.read(core, path, network, openvino_backend._graph_key(path))


@pytest.mark.parametrize("model", [model.stem for model in MODELS])
def test_graphs_are_of_these_weights_and_this_code(model: str):
    assert read(load_openvino().Core(), model, "colors") is not None, "out of date: run `python models/convert.py`"


@pytest.mark.parametrize(("model", "network"), NETWORKS)
def test_a_graph_gives_what_a_conversion_gives(
    model: str, network: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    core, made = load_openvino().Core(), {}

    def keep(_: Any, name: str, make: Callable[[], Any]) -> Any:
        made[name] = openvino_backend._serialize(make(), str(tmp_path))
        return core.read_model(*made[name])

    monkeypatch.setattr(openvino_backend, "_read_or_make", keep)

    def load() -> Any:
        path = weights.find(model)
        if network == "colors":
            return openvino_backend._load_converted(core, path, 0)
        return openvino_backend._load_part(network, core, path, 0)

    assert read(core, model, network) is not None
    packaged = load()
    monkeypatch.setattr(packaged_graphs, "read", lambda *_: None)
    converted = load()
    random = np.random.default_rng(1)
    inputs = {
        "guidance": [(4 * NUMBERS, 8, 12), (DETAIL, 16, 24), (2, 16, 24), (3, 16, 24)],
        "tinter": [(1, 64, 96), (223, 1, 1)],
    }  # fmt: skip
    shapes = inputs.get(network, [(1, 64, 96)])
    given = [random.random((1, *shape), np.float32) * (100 if shape[0] == 1 else 1) for shape in shapes]
    for precision in ("f32", "bf16"):
        found = []
        for graph in (packaged, converted):
            sized = graph.clone()
            sized.reshape({port: list(part.shape) for port, part in zip(sized.inputs, given, strict=True)})
            compiled = core.compile_model(sized, "CPU", {"INFERENCE_PRECISION_HINT": precision})
            answer = compiled(given)
            found.append([np.array(answer[port]) for port in compiled.outputs])
        assert len(found[0]) == len(found[1])
        for one, other in zip(*found, strict=True):
            assert np.array_equal(one, other), precision


def test_other_models_and_graphs_of_other_weights_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    core, model = load_openvino().Core(), weights.find("free")
    assert packaged_graphs.read(core, model, "colors", "other weights") is None
    assert packaged_graphs.read(core, model, "looker", openvino_backend._graph_key(model)) is None
    assert packaged_graphs.read(core, tmp_path / model.name, "colors", openvino_backend._graph_key(model)) is None
    broken = tmp_path / "free.openvino.xml"
    broken.write_text("<net>", encoding="utf-8")
    monkeypatch.setattr(packaged_graphs, "path_of", lambda _: broken)
    assert packaged_graphs.read(core, model, "colors", openvino_backend._graph_key(model)) is None


def test_the_first_run_needs_no_torch(tmp_path: Path):
    photo = Path(__file__).parents[1] / "samples" / "photos" / "dahlgren.jpg"
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", COLOR_PHOTO, str(photo), str(tmp_path / "out.jpg")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_without_torch_photos_are_colored_and_the_rest_says_what_it_lacks(tmp_path: Path):
    photos = Path(__file__).parents[1] / "samples" / "photos"
    without = "import sys; sys.modules['torch'] = None; from vidcolor import cli; sys.exit(cli.run(sys.argv[1:]))"

    def run(*arguments: object) -> tuple[int, str]:
        command = [sys.executable, "-c", without, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    code, said = run(photos / "dahlgren.jpg", "-o", tmp_path / "out.jpg", "--device", "cpu")
    assert code == 0, said
    code, said = run("train", photos, "-o", tmp_path / "mine.safetensors", "--minutes", "1")
    assert code == 1
    assert said.endswith("vidcolor: PyTorch is not installed, and this needs it: pip install torch torchvision\n")
