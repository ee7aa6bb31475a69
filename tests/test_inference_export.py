"""Exported files answer as the network does, say what they are, and are whole or not there."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from media_fixtures import make_film
from torch import nn

from vidcolor import cli
from vidcolor.errors import DeviceError, SinkError, SourceError, UsageError
from vidcolor.inference import calibration, export, weights
from vidcolor.inference.backends import open_backend
from vidcolor.inference.openvino_backend import OpenVINOBackend
from vidcolor.inference.openvino_runtime import load_openvino

CALIBRATION = Path(__file__).parent.parent / "models" / "calibration"
FACTS = ("name", "version", "generator", "config", "license", "size", "multiple", "sha256")
LIGHTNESS = np.random.default_rng(5).random((2, 1, 64, 96), np.float32) * 100


def run(*args: str | Path) -> int:
    return cli.run([str(arg) for arg in args])


def needs(package: str) -> None:
    pytest.importorskip(
        package, reason=f"{package} is optional; pip install -e '.[dev]' brings it", exc_type=ImportError
    )


def truth(model: Path, lightness: np.ndarray = LIGHTNESS) -> np.ndarray:
    network, _ = weights.load(model)
    with torch.inference_mode():
        answer: np.ndarray = network(torch.from_numpy(lightness)).numpy()
    return answer


def opened(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file's network in OpenVINO, in fp32."""
    core = load_openvino().Core()
    compiled = core.compile_model(core.read_model(str(file)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda lightness: np.asarray(compiled(lightness)[0])


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A handful of the calibration pictures, which is enough for a tiny network."""
    folder = tmp_path_factory.mktemp("few")
    for name in ("race-000.jpg", "camera.jpg", "astronaut-1.jpg", "hopper-2.jpg"):
        (folder / name).symlink_to(CALIBRATION / name)
    monkeypatch.setattr(calibration, "packaged_sources", lambda: [folder])


@pytest.mark.parametrize("name", ["out.xml", "out.onnx"])
def test_an_exported_file_answers_as_the_network_at_any_size(
    name: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    if name.endswith("onnx"):
        needs("onnx")
    assert run("export", tiny_model, "-o", tmp_path / name) == 0
    ask = opened(tmp_path / name)
    for lightness in (LIGHTNESS, LIGHTNESS[:1, :, :32, :64]):
        assert np.abs(ask(lightness) - truth(tiny_model, lightness)).max() < 0.01
    worst, mean = re.findall(r"openvino fp32 +([\d.]+) +([\d.]+)", capsys.readouterr().out)[0]
    assert float(mean) <= float(worst) < 0.01


def test_onnx_runtime_reads_it_too(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    needs("onnx")
    needs("onnxruntime")
    assert run("export", tiny_model, "-o", tmp_path / "out.onnx", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {"openvino fp32", "onnxruntime"} <= {parity["runtime"] for parity in told["parities"]}
    assert max(parity["worst"] for parity in told["parities"] if "bf16" not in parity["runtime"]) < 0.01


def test_half_weights_are_half_the_file(tiny_model: Path, tmp_path: Path):
    sizes = {}
    for precision in ("fp32", "fp16"):
        export.export(tiny_model, tmp_path / f"{precision}.xml", form="openvino", precision=precision)
        sizes[precision] = (tmp_path / f"{precision}.bin").stat().st_size
    assert sizes["fp16"] < 0.6 * sizes["fp32"]


@pytest.mark.parametrize("name", ["out.xml", "out.onnx"])
def test_eight_bits_stay_near_the_network(name: str, tiny_model: Path, tmp_path: Path):
    needs("nncf")
    form = "openvino"
    if name.endswith("onnx"):
        needs("onnx")
        form = "onnx"
    done = export.export(tiny_model, tmp_path / name, form=form, precision="int8")
    own = done.parities[0]
    assert 0 < own.mean < 2  # not the fp32 network under another name
    kinds = {layer.get_type_name() for layer in load_openvino().Core().read_model(str(tmp_path / name)).get_ops()}
    assert "FakeQuantize" in kinds


def test_files_say_which_model_they_are(tiny_model: Path, tmp_path: Path):
    header = weights.read_header(tiny_model)
    export.export(tiny_model, tmp_path / "out.xml", form="openvino")
    network = load_openvino().Core().read_model(str(tmp_path / "out.xml"))
    found = {key: network.get_rt_info(["vidcolor", key]).astype(str) for key in FACTS}
    assert found["sha256"] == header.sha256
    assert (found["name"], found["multiple"], found["license"]) == ("tiny", "32", "not stated")
    needs("onnx")
    import onnx

    export.export(tiny_model, tmp_path / "out.onnx", form="onnx")
    stated = {entry.key: entry.value for entry in onnx.load(tmp_path / "out.onnx").metadata_props}
    assert stated == {f"vidcolor.{key}": value for key, value in found.items()}


def test_the_license_is_the_cards():
    default = weights.find("default")
    assert export.metadata(default, weights.read_header(default))["license"].startswith("MIT")


@pytest.mark.parametrize("existing", ["out.xml", "out.bin"])
def test_nothing_is_replaced_unless_told(existing: str, tiny_model: Path, tmp_path: Path):
    (tmp_path / existing).write_bytes(b"precious")
    assert run("export", tiny_model, "-o", tmp_path / "out.xml") == 1
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(existing, b"precious")]
    assert run("export", tiny_model, "-o", tmp_path / "out.xml", "--overwrite") == 0
    assert np.abs(opened(tmp_path / "out.xml")(LIGHTNESS) - truth(tiny_model)).max() < 0.01


def test_a_network_that_answers_otherwise_is_not_written(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    convert = export.convert
    monkeypatch.setattr(export, "convert", lambda network: convert(nn.Sequential(network, nn.ReLU())))
    assert run("export", tiny_model, "-o", tmp_path / "out.xml") == 1
    assert list(tmp_path.iterdir()) == []
    assert "nothing was written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("missing.safetensors", "-o", "out.xml"), 1, "no such model"),
        (("MODEL", "-o", "nowhere/out.xml"), 1, "does not exist"),
        (("MODEL", "-o", "out.onnx", "--format", "openvino"), 2, "end in .xml"),
        (("MODEL", "-o", "out.pt"), 2, ".onnx (onnx) or .xml (openvino)"),
        (("MODEL", "-o", "out.onnx", "--precision", "fp16"), 2, "fp16"),
        (("MODEL", "-o", "out.xml", "--calibrate", "."), 2, "no calibration"),
        (("MODEL", "-o", "out.xml", "--precision", "int8", "--calibrate", "empty"), 1, "needs real pictures"),
        (("MODEL", "-o", "out.xml", "--precision", "int8", "--calibrate", "missing"), 1, "no such file"),
    ],
)
def test_bad_input_is_one_line_and_no_file(
    arguments: tuple[str, ...], code: int, said: str, tiny_model: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    if "int8" in arguments:
        needs("nncf")
    if "fp16" in arguments:
        needs("onnx")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run("export", *[str(tiny_model) if word == "MODEL" else word for word in arguments]) == code
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize(("package", "extra"), [("onnx", "onnx"), ("nncf", "int8")])
def test_a_missing_package_is_named(
    package: str, extra: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.setitem(sys.modules, package, None)
    name, *more = ("out.onnx",) if package == "onnx" else ("out.xml", "--precision", "int8")
    assert run("export", tiny_model, "-o", tmp_path / name, *more) == 2
    assert f"vidcolor[{extra}]" in capsys.readouterr().err


def test_precision_int8_colors_in_eight_bits_and_is_made_once(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    needs("nncf")
    backend = OpenVINOBackend(tiny_model, "int8")
    difference = np.abs(backend(LIGHTNESS) - truth(tiny_model))
    assert 0 < difference.mean() < 5
    assert backend.name == "openvino int8"
    monkeypatch.setattr(calibration, "quantize", None)
    assert np.array_equal(OpenVINOBackend(tiny_model, "int8")(LIGHTNESS), backend(LIGHTNESS))


def test_other_calibration_pictures_make_another_network(tmp_path: Path):
    before = calibration.fingerprint(calibration.packaged_sources())
    (tmp_path / "one.jpg").write_bytes((CALIBRATION / "race-000.jpg").read_bytes())
    assert calibration.fingerprint([tmp_path]) != before
    assert calibration.fingerprint(calibration.packaged_sources()) == before


def test_precision_int8_is_refused_on_gpus(tiny_model: Path):
    with pytest.raises(DeviceError, match="--device cpu"):
        open_backend(tiny_model, "cuda:0", "int8")


def test_precision_int8_without_nncf_says_how_to_get_it(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(UsageError, match=re.escape("pip install 'vidcolor[int8]'")):
        open_backend(tiny_model, "cpu", "int8")


def test_films_and_photos_are_read_as_the_network_sees_them(tmp_path: Path):
    header = weights.ModelHeader("pix2pix", {}, "tiny", "0", size=64, multiple=128)
    make_film(tmp_path / "film.mkv")
    (tmp_path / "photo.jpg").write_bytes((CALIBRATION / "camera.jpg").read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    pictures = calibration.read_lightness([tmp_path], header)
    assert len(pictures) > 5
    for picture in pictures:
        assert picture.dtype == np.float32
        assert picture.shape[:2] == (1, 1)
        assert not picture.shape[2] % 128
        assert not picture.shape[3] % 128
        assert 0 <= picture.min() < picture.max() <= 100


def test_nothing_to_calibrate_on_is_an_error(tmp_path: Path):
    with pytest.raises(SourceError, match="needs real pictures"):
        calibration.read_lightness([tmp_path], weights.ModelHeader("pix2pix", {}, "tiny", "0"))


def test_a_target_that_is_a_folder_is_refused(tiny_model: Path, tmp_path: Path):
    (tmp_path / "out.xml").mkdir()
    with pytest.raises(SinkError, match="folder"):
        export.export(tiny_model, tmp_path / "out.xml", form="openvino", overwrite=True)


def test_every_calibration_picture_is_small_and_has_a_source_and_a_license():
    rows = [line for line in (CALIBRATION / "README.md").read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    listed = {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])}
    files = sorted(CALIBRATION.glob("*.jpg"))
    assert {re.sub(r"-(part|\d|\d{3})$", "", file.stem) for file in files} == listed
    assert all(row.strip(" |").split("|")[-1].strip().startswith(("public domain", "CC0", "CC BY")) for row in rows)
    assert sum(file.stat().st_size for file in files) < 600_000


def test_openvino_sends_no_reports_of_use():
    script = (
        "from vidcolor.inference.openvino_runtime import load_openvino; load_openvino();"
        " import openvino.tools.ovc.telemetry_utils as t;"
        "print(t.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip().endswith("telemetry_stub")
