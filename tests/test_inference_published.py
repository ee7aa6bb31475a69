"""Published colorizers answer as they do in their own programs; what is none of them is told in one line."""

import os
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from media_fixtures import make_film
from onnx import TensorProto
from published_fixtures import SIDE, export_onnx, make_ddcolor, make_onnx, random_state
from torch import nn
from torch.nn import functional as F

from vidcolor import choices, cli
from vidcolor.color import lab_to_rgb, rgb_to_lab
from vidcolor.errors import DeviceError, ModelError
from vidcolor.inference import weights
from vidcolor.inference.backends import open_backend
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.onnx_runtime import OnnxRuntime
from vidcolor.inference.published import files
from vidcolor.inference.published.asking import make_inputs
from vidcolor.inference.published.kinds import KINDS
from vidcolor.networks.eccv16 import Eccv16, published_name
from vidcolor.networks.siggraph17 import Siggraph17


def lightness(rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    return (50 + 45 * np.sin(x / 9) * np.cos(y / 7)).astype(np.float32)


def resize(planes: np.ndarray, rows: int, columns: int) -> np.ndarray:
    picture = torch.from_numpy(np.ascontiguousarray(planes, np.float32))[None]
    return F.interpolate(picture, (rows, columns), mode="bilinear", antialias=True)[0].numpy()


def gray_rgb(gray: np.ndarray) -> np.ndarray:
    return np.stack(lab_to_rgb(gray, np.zeros_like(gray), np.zeros_like(gray)))


def halve(planes: np.ndarray) -> np.ndarray:
    return F.avg_pool2d(torch.from_numpy(np.ascontiguousarray(planes))[None], 2)[0].numpy()


def expected(path: Path, gray: np.ndarray, kind: str, side: int) -> np.ndarray:
    """a*b* as the project's own program computes them, at half the picture's size."""
    rgb = gray_rgb(resize(gray[None], side, side)[0])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    factor = 255 if kind == "deoldify" else 1
    (found,) = session.run(None, {"picture": (rgb[None] * factor).astype(np.float32)})
    ab = found[0] if kind == "ddcolor" else np.stack(rgb_to_lab(*np.clip(found[0] / 255, 0, 1))[1:])
    return halve(resize(ab, *gray.shape))


@pytest.mark.parametrize("shape", [(64, 64), (96, 128), (72, 200)])
@pytest.mark.parametrize("side", [SIDE, None])
@pytest.mark.parametrize(("kind", "outputs", "scale"), [("ddcolor", 2, 40.0), ("deoldify", 3, 2.0)])
def test_an_onnx_file_answers_as_in_its_own_program(
    kind: str, outputs: int, scale: float, side: int | None, shape: tuple[int, int], tmp_path: Path
):
    path = make_onnx(tmp_path / "net.onnx", outputs, side=side, scale=scale)
    header = weights.read_header(path)
    assert (header.generator, header.name) == (kind, "net")
    assert header.size == side or {"ddcolor": 512, "deoldify": 256}[kind]
    gray = lightness(*shape)
    with Colorizer.load(str(path), device="cpu", precision="fp32") as colorizer:
        (found,) = colorizer.predict([gray])
    wanted = expected(path, gray, kind, side or min(shape) // 32 * 32)
    assert found.shape == wanted.shape
    assert np.ptp(wanted) > 5
    # Both average where a picture gets smaller, but not in the same way.
    assert shape != (SIDE, SIDE) or np.abs(found - wanted).max() < 0.02
    assert np.abs(found - wanted).mean() < 0.03 * np.ptp(wanted)


def test_half_precision_and_weights_beside_the_file_are_read(tmp_path: Path):
    gray = lightness(SIDE, SIDE)
    answers = []
    for name, options in (
        ("plain", {}),
        ("half", {"kind": TensorProto.FLOAT16}),
        ("beside", {"external": "beside.onnx.data"}),
    ):
        path = make_onnx(tmp_path / f"{name}.onnx", 2, **options)
        with Colorizer.load(str(path), device="cpu", precision="fp32") as colorizer:
            answers += colorizer.predict([gray])
    assert np.abs(answers[1] - answers[0]).max() < 0.02 * np.ptp(answers[0])
    assert np.array_equal(answers[2], answers[0])


@pytest.fixture(scope="module")
def ddcolor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DDColor's weights as published: under "params"."""
    path = tmp_path_factory.mktemp("ddcolor") / "ddcolor_tiny.pth"
    torch.save({"params": make_ddcolor().state_dict()}, path)
    return path


def test_weights_of_ddcolor_answer_as_by_spandrel(ddcolor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    header = weights.read_header(ddcolor)
    assert (header.generator, header.size, header.name) == ("ddcolor", 512, "ddcolor_tiny")
    side = 128
    shown = lightness(side, side)[None, None]
    with torch.inference_mode():
        wanted = make_ddcolor()(torch.from_numpy(gray_rgb(shown[0, 0]))[None]).numpy()
    span = np.ptp(wanted)
    assert 10 < span < 400
    by_openvino = open_backend(ddcolor, "cpu", "fp32").ask(shown)
    assert np.abs(by_openvino - wanted).max() < 1e-3 * span
    as_safetensors = tmp_path / "ddcolor.safetensors"
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in make_ddcolor().state_dict().items()}, as_safetensors)
    assert weights.read_header(as_safetensors).generator == "ddcolor"
    monkeypatch.setattr("vidcolor.inference.backends.find_spec", lambda _: None)  # no OpenVINO
    by_torch = open_backend(as_safetensors, "cpu", "fp32").ask(shown)
    assert np.abs(by_torch - wanted).max() < 1e-3 * span


def test_a_second_run_needs_no_torch_and_no_spandrel(ddcolor: Path, monkeypatch: pytest.MonkeyPatch):
    gray = lightness(128, 128)
    with Colorizer.load(str(ddcolor), device="cpu", precision="fp32", size=128) as colorizer:
        (first,) = colorizer.predict([gray])
    files._identify.cache_clear()
    monkeypatch.setattr("vidcolor.inference.published.state_dicts.read", None)
    with Colorizer.load(str(ddcolor), device="cpu", precision="fp32", size=128) as colorizer:
        assert np.array_equal(colorizer.predict([gray])[0], first)


def test_the_published_weights_of_eccv16_fit(tmp_path: Path):
    """Names and shapes as in colorization_release_v2-9b330a0b.pth."""
    network = Eccv16()
    state = {published_name(name): value for name, value in random_state(network).items()}
    state["model_out.weight"].mul_(20)
    assert {name: tuple(state[name].shape) for name in ("model1.0.weight", "model8.0.weight", "model8.6.weight")} == {
        "model1.0.weight": (64, 1, 3, 3), "model8.0.weight": (512, 256, 4, 4), "model8.6.weight": (313, 256, 1, 1)
    }  # fmt: skip
    assert tuple(state["model_out.weight"].shape) == (2, 313, 1, 1)
    assert "model7.6.running_var" in state
    path = tmp_path / "colorization_release_v2-9b330a0b.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    check_against(path, "eccv16", network, 1)


def test_the_published_weights_of_siggraph17_fit(tmp_path: Path):
    """Names and shapes as in siggraph17-df00044c.pth."""
    network = Siggraph17()
    state = random_state(network)
    shapes = {"model1.0.weight": (64, 4, 3, 3), "model8up.0.weight": (512, 256, 4, 4), "model8.5.bias": (256,),
              "model10.1.weight": (128, 128, 3, 3), "model_class.0.weight": (529, 256, 1, 1),
              "model_out.0.weight": (2, 128, 1, 1)}  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    path = tmp_path / "siggraph17-df00044c.pth"
    torch.save(state, path)
    check_against(path, "siggraph17", network, 4)


def check_against(path: Path, kind: str, network: nn.Module, channels: int) -> None:
    """Compare what the file's colorizer says with the network's own answer."""
    header = weights.read_header(path)
    assert (header.generator, header.size) == (kind, 256)
    gray = lightness(64, 96)
    shown = np.zeros((1, channels, 64, 96), np.float32)
    shown[0, 0] = gray
    with torch.inference_mode():
        wanted = network.eval()(torch.from_numpy(shown))[0].numpy()
    assert np.ptp(wanted) > 5
    with Colorizer.load(str(path), device="cpu", precision="fp32") as colorizer:
        (found,) = colorizer.predict([gray])
    assert found.shape == (2, 32, 48)
    wanted = halve(wanted) if wanted.shape[1] == 64 else resize(wanted, 32, 48)
    assert np.abs(found - wanted).max() < 1e-3 * np.ptp(wanted)


def test_siggraph17_as_onnx_with_hints_as_inputs(tmp_path: Path):
    class ThreeInputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Siggraph17()
            self.network.load_state_dict(random_state(self.network))

        def forward(self, picture: torch.Tensor, hints: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.network(torch.cat((picture, hints, mask), dim=1))

    inputs = {name: torch.zeros(1, count, 64, 64) for name, count in (("l", 1), ("hints", 2), ("mask", 1))}
    path = export_onnx(ThreeInputs(), tmp_path / "siggraph17.onnx", inputs)
    assert weights.read_header(path).generator == "siggraph17"
    shown = lightness(64, 96)[None, None]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = {"l": shown, "hints": np.zeros((1, 2, 64, 96), np.float32), "mask": np.zeros_like(shown)}
    (wanted,) = session.run(None, fed)
    found = open_backend(path, "cpu", "fp32").ask(shown)
    assert np.abs(found - wanted).max() < 1e-3 * np.ptp(wanted)


def test_onnxruntime_answers_as_openvino(tmp_path: Path):
    for outputs in (2, 3):
        path = make_onnx(tmp_path / f"net{outputs}.onnx", outputs, side=None)
        shown = np.stack([lightness(64, 64), 100 - lightness(64, 64)])[:, None]
        inputs = make_inputs(files.identify(path), shown)
        found = OnnxRuntime(path, "cpu").run(inputs)
        wanted = open_backend(path, "cpu", "fp32").ask(shown)
        assert np.abs(found - wanted).max() < 1e-4 * np.ptp(wanted)


def test_a_gpu_without_onnxruntime_for_it_is_told(tmp_path: Path):
    path = make_onnx(tmp_path / "net.onnx", 2)
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is for GPUs")
    with pytest.raises(DeviceError, match="onnxruntime-gpu, or try --device cpu"):
        OnnxRuntime(path, "cuda:0")


def test_a_film_is_colored_by_it(tmp_path: Path):
    film = make_film(tmp_path / "film.mkv", pts=range(6))
    model = make_onnx(tmp_path / "artistic.onnx", 2)
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "-q", "--model", str(model)]) == 0
    assert (tmp_path / "out.mkv").stat().st_size > 0


def test_impossible_colors_do_no_harm(tmp_path: Path):
    """A random network's a*b* may go to 10**15, beyond what a*b* can be computed with."""
    film = make_film(tmp_path / "film.mkv", pts=range(3))
    model = make_onnx(tmp_path / "wild.onnx", 2, scale=1e16)
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "-q", "--model", str(model)]) == 0


def test_int8_of_it(tmp_path: Path):
    path = make_onnx(tmp_path / "net.onnx", 2, side=None)
    gray = lightness(SIDE, SIDE)
    answers = []
    for precision in ("fp32", "int8"):
        with Colorizer.load(str(path), device="cpu", precision=precision) as colorizer:
            answers += colorizer.predict([gray])
    assert np.abs(answers[0] - answers[1]).mean() < 0.05 * np.ptp(answers[0])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"outputs": 3, "enlarges": True}, "An upscaler"),
        ({"outputs": 3, "enlarges": True, "side": None}, "An upscaler"),
        ({"outputs": 21}, "gives 21.*A segmentation"),
        ({"outputs": 2, "side": 8}, "looks at 8 pixels"),
        ({"outputs": 2, "side": 4096}, "looks at 4096 pixels"),
        ({"outputs": 2, "inputs": 4}, "needed 3 in"),
    ],
)
def test_networks_for_other_tasks_are_refused(options: dict, told: str, tmp_path: Path):
    path = make_onnx(tmp_path / "net.onnx", **options)
    with pytest.raises(ModelError, match=told):
        weights.read_header(path)


def run_and_read(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Color a film by a file that is none; gives the one line that is told."""
    film = make_film(tmp_path / "film.mkv", pts=range(2))
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "-q", "--model", str(path)]) == 1
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1, told
    assert not (tmp_path / "out.mkv").exists()
    return told


@pytest.mark.parametrize("suffix", [".onnx", ".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\0" * 5000, "zeros"),
        (b"<!DOCTYPE html><html><body>Sign in", "a web page"),
        (b"\n\n <html lang=en>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
        (b"\x1c\0\0\0TFL3\x14\0 ", "TensorFlow Lite"),
        (b"\x18\0\0\0PTMF\x14\0 ", "PyTorch Lite"),
        (b'{"error": "Repository not found"}', "JSON"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08\0\0\0", "gzip"),
    ],
)
def test_files_that_are_no_network_are_named(
    content: bytes, told: str, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    if suffix == ".safetensors":
        with pytest.raises(ModelError):
            weights.read_header(path)
        return
    assert told in run_and_read(path, tmp_path, capsys)


def test_a_download_that_broke_off_is_told(ddcolor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    whole = make_onnx(tmp_path / "whole.onnx", 2).read_bytes()
    for name, content in (("a.onnx", whole[:-40]), ("b.pth", ddcolor.read_bytes()[:1_000_000])):
        path = tmp_path / name
        path.write_bytes(content)
        assert "cut short" in run_and_read(path, tmp_path, capsys)


class _Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_pickle_is_not_run(
    is_zip: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.pth"
    torch.save({"params": _Attack()}, path, _use_new_zipfile_serialization=is_zip)
    assert "a pickle with code in it (posix.system)" in run_and_read(path, tmp_path, capsys)
    assert not (tmp_path / "attacked").exists()
    path.write_bytes(pickle.dumps(_Attack()))
    assert "a pickle with code in it" in run_and_read(path, tmp_path, capsys)
    assert not (tmp_path / "attacked").exists()


def test_programs_of_torch_are_told_from_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for member, told in (("net/code/__torch__.py", "TorchScript"), ("net/bytecode.pkl", "PyTorch Lite")):
        path = tmp_path / "net.pt"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("net/data.pkl", b"")
            packed.writestr("net/constants.pkl", b"")
            packed.writestr(member, b"")
        assert told in run_and_read(path, tmp_path, capsys)


def test_packed_weights_are_not_unpacked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("net/data.pkl", bytes(20 << 20))
    assert "a packed zip archive" in run_and_read(path, tmp_path, capsys)


def test_weights_that_stand_for_more_than_the_file_has_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "wide.pth"
    one = torch.zeros(1, dtype=torch.float64)
    torch.save({"model1.0.weight": one.expand(900_000_000), "model_out.weight": one}, path)
    assert "no plain tensor" in run_and_read(path, tmp_path, capsys)
    many = torch.zeros(1000)
    torch.save({f"w{number}": many for number in range(100)}, path)
    assert "stand for more than the file has" in run_and_read(path, tmp_path, capsys)


def test_damage_anywhere_is_one_line(tmp_path: Path):
    """Bytes lost or changed: no colorizer, or still one, and never anything unexpected."""
    legacy, packed = tmp_path / "legacy.pth", tmp_path / "zip.pth"
    torch.save({"a": torch.zeros(3)}, legacy, _use_new_zipfile_serialization=False)
    torch.save({"a": torch.zeros(3)}, packed)
    graph = make_onnx(tmp_path / "graph.onnx", 2)
    random = np.random.default_rng(7)
    for whole in (legacy, packed, graph):
        content = whole.read_bytes()
        path = tmp_path / f"odd{whole.suffix}"
        for number in range(60):
            damaged = bytearray(content)
            if number % 2:
                del damaged[random.integers(len(damaged)) :]
            else:
                damaged[random.integers(len(damaged))] ^= random.integers(1, 256)
            path.write_bytes(damaged)
            with suppress(ModelError):
                files.recognize(path)


def test_a_graph_of_another_form_is_no_onnx(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "noise.onnx"
    path.write_bytes(np.random.default_rng(1).bytes(2000))
    with pytest.raises(ModelError, match="cannot be read as ONNX"):
        weights.read_header(path)
    assert not capfd.readouterr().err  # OpenVINO would try its other readers, and some speak
    network = tmp_path / "net.xml"
    network.write_text('<?xml version="1.0"?><net name="n" version="11"><layers/><edges/></net>')
    with pytest.raises(ModelError, match=r"net.bin', which is not beside it"):
        weights.read_header(network)


def test_a_layer_without_bounds_is_not_built(tmp_path: Path):
    path = make_onnx(tmp_path / "net.onnx", 2, side=None, ends_with="tile")
    with pytest.raises(ModelError, match=r"its layer .* makes"):
        weights.read_header(path)


def test_weights_for_other_tasks_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from spandrel.architectures.ESRGAN import ESRGAN

    path = tmp_path / "4x-upscaler.pth"
    torch.save(ESRGAN(num_blocks=1, num_filters=8).state_dict(), path)
    assert "ESRGAN, a network for another task" in run_and_read(path, tmp_path, capsys)
    torch.save({"model": {"layers.10.shuf.conv.0.bias": torch.zeros(4)}, "opt": {}}, path)
    assert "take the same model as ONNX" in run_and_read(path, tmp_path, capsys)
    torch.save([1, 2], path)
    assert "holds a list" in run_and_read(path, tmp_path, capsys)
    torch.save({"model1.0.weight": torch.zeros(3), "model_out.weight": torch.zeros(2)}, path)
    assert "do not fit eccv16" in run_and_read(path, tmp_path, capsys)


def test_weights_that_ask_for_more_than_a_network_has_build_nothing(tmp_path: Path):
    state = make_ddcolor().state_dict()
    state["decoder.last_shuf.conv.0.weight_orig"] = torch.zeros(1 << 20, 1, 1, 1)
    path = tmp_path / "huge.pth"
    torch.save(state, path)
    with pytest.raises(ModelError, match="do not fit ddcolor"):
        open_backend(path, "cpu", "fp32")(np.zeros((1, 1, 64, 64), np.float32))


@pytest.mark.parametrize("place", ["../weights.bin", "/etc/hostname", "deep/weights.bin", "link.bin"])
def test_weights_in_other_folders_are_not_read(place: str, tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    path = make_onnx(folder / "net.onnx", 2, external="a" * len(place))
    inside = folder / ("a" * len(place))
    path.write_bytes(path.read_bytes().replace(inside.name.encode(), place.encode()))
    if place == "link.bin":
        inside.rename(tmp_path / "weights.bin")
        (folder / place).symlink_to(tmp_path / "weights.bin")
    else:
        (folder / "deep").mkdir()
        (folder / "deep" / "weights.bin").write_bytes(inside.read_bytes())
        (tmp_path / "weights.bin").write_bytes(inside.read_bytes())
    with pytest.raises(ModelError, match="outside of its own folder"):
        weights.read_header(path)


def test_the_command_offers_what_there_is():
    assert tuple(KINDS) == choices.KINDS


def test_what_needs_our_own_model_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = str(make_onnx(tmp_path / "artistic.onnx", 2))
    assert cli.run(["export", model, "--format", "onnx", "-o", str(tmp_path / "x.onnx")]) == 1
    assert "only colors" in capsys.readouterr().err
