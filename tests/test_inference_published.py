"""Published colorizers as ONNX files answer as they do in their own programs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from media_fixtures import make_film
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

from vidcolor import cli
from vidcolor.color import lab_to_rgb, rgb_to_lab
from vidcolor.errors import ModelError
from vidcolor.inference import weights
from vidcolor.inference.colorizer import Colorizer

SIDE = 64


def make_onnx(
    path: Path,
    outputs: int,
    *,
    side: int | None = SIDE,
    inputs: int = 3,
    scale: float = 40.0,
    kind: int = TensorProto.FLOAT,
    enlarges: bool = False,
) -> Path:
    """A network of one convolution, with weights of a seed."""
    random = np.random.default_rng(outputs)
    number = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    weight = (random.normal(size=(outputs, inputs, 3, 3)) * scale / 9).astype(number)
    bias = random.normal(size=outputs).astype(number)
    node = helper.make_node("Conv", ["picture", "weight", "bias"], ["colors"], pads=[1, 1, 1, 1])
    if enlarges:
        weight = weight.swapaxes(0, 1)
        node = helper.make_node("ConvTranspose", ["picture", "weight", "bias"], ["colors"], strides=[2, 2])
    shape, out = (["n", channels, side or "h", side or "w"] for channels in (inputs, outputs))
    out = ["n", outputs, "h2", "w2"] if enlarges else out
    graph = helper.make_graph(
        [node], "network",
        [helper.make_tensor_value_info("picture", kind, shape)], [helper.make_tensor_value_info("colors", kind, out)],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def lightness(rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    return (50 + 45 * np.sin(x / 9) * np.cos(y / 7)).astype(np.float32)


def resize(planes: np.ndarray, rows: int, columns: int) -> np.ndarray:
    picture = torch.from_numpy(np.ascontiguousarray(planes, np.float32))[None]
    return F.interpolate(picture, (rows, columns), mode="bilinear", antialias=True)[0].numpy()


def expected(path: Path, gray: np.ndarray, kind: str, side: int) -> np.ndarray:
    """a*b* as the project's own program computes them, at half the picture's size."""
    square = resize(gray[None], side, side)[0]
    rgb = np.stack(lab_to_rgb(square, np.zeros_like(square), np.zeros_like(square)))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    factor = 255 if kind == "deoldify" else 1
    (found,) = session.run(None, {"picture": (rgb[None] * factor).astype(np.float32)})
    ab = found[0] if kind == "ddcolor" else np.stack(rgb_to_lab(*np.clip(found[0] / 255, 0, 1))[1:])
    return F.avg_pool2d(torch.from_numpy(resize(ab, *gray.shape))[None], 2)[0].numpy()


@pytest.mark.parametrize("shape", [(64, 64), (96, 128), (72, 200)])
@pytest.mark.parametrize("side", [SIDE, None])
@pytest.mark.parametrize(("kind", "outputs", "scale"), [("ddcolor", 2, 40.0), ("deoldify", 3, 2.0)])
def test_it_answers_as_in_its_own_program(
    kind: str, outputs: int, scale: float, side: int | None, shape: tuple[int, int], tmp_path: Path
):
    path = make_onnx(tmp_path / "net.onnx", outputs, side=side, scale=scale)
    header = weights.read_header(path)
    assert (header.generator, header.name, header.size) == (kind, "net", side or 256)
    gray = lightness(*shape)
    with Colorizer.load(str(path), device="cpu", precision="fp32") as colorizer:
        (found,) = colorizer.predict([gray])
    wanted = expected(path, gray, kind, side or min(shape))
    assert found.shape == wanted.shape
    assert np.ptp(wanted) > 5
    # Both average where a picture gets smaller, but not in the same way at its borders.
    assert np.abs(found - wanted).max() < (0.02 if shape == (SIDE, SIDE) else 0.1 * np.ptp(wanted))
    assert np.abs(found - wanted).mean() < 0.02 * np.ptp(wanted)


def test_a_film_is_colored_by_it(tmp_path: Path):
    film = make_film(tmp_path / "film.mkv", pts=range(6))
    model = make_onnx(tmp_path / "artistic.onnx", 2)
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "-q", "--model", str(model)]) == 0
    assert (tmp_path / "out.mkv").stat().st_size > 0


def test_verify_tries_it_and_what_needs_our_own_model_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = str(make_onnx(tmp_path / "artistic.onnx", 2))
    assert cli.run(["models", "verify", model]) == 0
    assert "artistic: sound" in capsys.readouterr().out
    assert cli.run(["export", model, "--format", "onnx", "-o", str(tmp_path / "x.onnx")]) == 1
    assert "only colors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"outputs": 3, "enlarges": True}, "An upscaler"),
        ({"outputs": 21}, "21"),
        ({"outputs": 2, "side": 8}, "looks at 8 pixels"),
        ({"outputs": 2, "inputs": 4}, "needed 3 channels"),
        ({"outputs": 2, "kind": TensorProto.FLOAT16}, "takes"),
    ],
)
def test_other_networks_are_refused(options: dict, told: str, tmp_path: Path):
    path = make_onnx(tmp_path / "net.onnx", **options)
    with pytest.raises(ModelError, match=told):
        weights.read_header(path)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/spec/v1\n"])
def test_files_that_are_no_network_are_refused(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, film = tmp_path / "net.onnx", make_film(tmp_path / "film.mkv", pts=range(2))
    path.write_bytes(content)
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "-q", "--model", str(path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
