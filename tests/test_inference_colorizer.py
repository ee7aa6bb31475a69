"""The colorizer: any size in, the right chroma out, in order, on any device and within its memory."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidcolor import color
from vidcolor.choices import PRECISIONS
from vidcolor.color import LumaCoding
from vidcolor.errors import DeviceError, ModelError, ShapeError, UsageError
from vidcolor.frames import PictureFormat
from vidcolor.inference import openvino_backend, weights
from vidcolor.inference.backends import resolve_backend
from vidcolor.inference.colorizer import Colorizer, View, paint
from vidcolor.inference.devices import OutOfMemoryError, parse_devices
from vidcolor.inference.openvino_backend import OpenVINOBackend
from vidcolor.inference.torch_backend import TorchBackend

HEADER = weights.ModelHeader("pix2pix", {}, "fake", "0", size=64)
RANDOM = np.random.default_rng(3)


class FakeBackend:
    """Answers a = mean L*, b = 7 at stride 4; cannot hold more than `capacity` frames."""

    name = "fake"

    def __init__(self, capacity: int = 100, batch: int = 8):
        self.capacity, self.preferred_batch, self.batches = capacity, batch, []

    def __call__(self, lightness_B1hw: np.ndarray) -> np.ndarray:
        if len(lightness_B1hw) > self.capacity:
            raise OutOfMemoryError("too many.")
        self.batches.append(len(lightness_B1hw))
        b, _, h, w = lightness_B1hw.shape
        ab = np.full((b, 2, h // 4, w // 4), 7, np.float32)
        ab[:, 0] = lightness_B1hw.mean(axis=(1, 2, 3))[:, None, None]
        return ab


def picture(
    width: int, height: int, bits: int = 8, shift: tuple[int, int] = (1, 1), full: bool = False
) -> PictureFormat:
    return PictureFormat(width, height, bits, shift, full, "bt709")


def plane(p: PictureFormat, value: float | None = None) -> np.ndarray:
    top = 1 << p.bits
    if value is None:
        return RANDOM.integers(0, top, (p.height, p.width)).astype(p.dtype)
    return np.full((p.height, p.width), round(value * (top - 1)), p.dtype)


@pytest.mark.parametrize("size", [(64, 48), (427, 239), (1, 1), (2000, 30), (33, 500), (1920, 1080)])
@pytest.mark.parametrize("bits", [8, 10, 16])
def test_any_size_and_depth_comes_back_as_chroma_planes(size: tuple[int, int], bits: int):
    p = picture(*size, bits=bits)
    with Colorizer([FakeBackend()], HEADER) as colorizer:
        ((cb, cr),) = colorizer.colorize([plane(p)], p)
    assert cb.shape == cr.shape == p.chroma_size
    assert cb.dtype == p.dtype


@pytest.mark.parametrize(("capacity", "largest"), [(100, 8), (3, 2), (1, 1)])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(capacity: int, largest: int):
    backend = FakeBackend(capacity)
    shades = [np.full((32, 32), float(shade), np.float32) for shade in range(20)]
    with Colorizer([backend], HEADER) as colorizer:
        ab = colorizer.predict(shades)
    assert [round(float(one[0].mean())) for one in ab] == list(range(20))
    assert max(backend.batches) == largest


def test_a_device_that_cannot_hold_one_frame_is_an_error_not_a_gray_film():
    with Colorizer([FakeBackend(capacity=0)], HEADER) as colorizer, pytest.raises(DeviceError, match="Not one frame"):
        colorizer.predict([np.zeros((32, 32), np.float32)])


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_several_devices_share_a_batch_in_order(count: int):
    backends = [FakeBackend(batch=4) for _ in range(3)]
    shades = [np.full((32, 32), float(shade), np.float32) for shade in range(count)]
    with Colorizer(backends, HEADER) as colorizer:
        assert colorizer.batch_size == 12
        assert [round(float(one[0].mean())) for one in colorizer.predict(shades)] == list(range(count))


def test_padding_is_taken_off_again():
    header = weights.ModelHeader("pix2pix", {}, "fake", "0", size=64, multiple=128)
    with Colorizer([FakeBackend()], header) as colorizer:
        (ab,) = colorizer.predict([np.zeros((64, 160), np.float32)])
    assert ab.shape == (2, 16, 40)


def test_the_network_sees_the_picture_upright_and_undistorted():
    p = picture(720, 576)
    assert View(Fraction(64, 45)).network_size(p, 256) == (256, 448)  # 16:9 on 4:3 pixels
    assert View().network_size(p, 256) == (256, 320)
    tall = plane(picture(40, 80), 0.2)
    tall[:20] = 250
    with Colorizer([FakeBackend()], HEADER) as colorizer:
        seen = colorizer.lightness(tall, picture(40, 80), View(quarter_turns=1))
    assert seen.shape[1] > seen.shape[0]
    assert seen[:, 0].mean() > seen[:, -1].mean()  # the stored top is the left after a quarter turn anticlockwise


def test_rotated_colors_land_where_the_network_saw_them():
    p = picture(40, 80, shift=(0, 0), full=True)
    ab = np.zeros((2, 10, 20), np.float32)
    ab[0, :, :5] = 40  # red on the left, as seen upright
    _, cr = paint(plane(p, 0.5), ab, p, View(quarter_turns=1))
    assert cr[:15].mean() > 140
    assert abs(cr[40:].mean() - 128) < 2


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_painted_colors_are_the_colors_asked_for(bits: int, full: bool, matrix: str):
    p = PictureFormat(64, 64, bits, (0, 0), full, matrix)
    luma = plane(p, 0.5)
    wanted_a, wanted_b = 20.0, 30.0
    ab = np.stack([np.full((16, 16), wanted_a), np.full((16, 16), wanted_b)]).astype(np.float32)
    cb, cr = paint(luma, ab, p)
    span = (1 << bits) - 1 if full else 224 << (bits - 8)
    middle = 1 << (bits - 1)
    y = color.luma_table(bits, full)[luma]
    rgb = LumaCoding(matrix).ycc_to_rgb(y, (cb.astype(float) - middle) / span, (cr.astype(float) - middle) / span)
    _, a, b = color.rgb_to_lab(*rgb)
    step = 1.5 if bits == 8 else 0.5  # a code of chroma is about 0.8 a*b* units at 8 bit
    assert abs(a.mean() - wanted_a) < step
    assert abs(b.mean() - wanted_b) < step


def test_fast_painting_stays_near_the_exact_colors():
    """Chroma enlarged with brightness divided out, against the exact search at every pixel."""
    p = picture(192, 128, shift=(0, 0), full=True)
    y, x = np.mgrid[:128, :192]
    luma = np.clip(127 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7), 5, 250).astype(np.uint8)
    ab = np.stack(np.broadcast_arrays(25 * np.sin(x[::4, ::4] / 40), 20 * np.cos(y[::4, ::4] / 30))).astype(np.float32)
    full_a, full_b = (np.asarray(cv2.resize(one, (192, 128), interpolation=cv2.INTER_CUBIC)) for one in ab)
    coding = LumaCoding("bt709")
    exact = [chroma.astype(np.float32) for chroma in coding.chroma(luma / 255.0, full_a, full_b)]
    color.shrink_to_gamut(coding, (luma / 255.0).astype(np.float32), *exact)
    for painted, chroma in zip(paint(luma, ab, p), exact, strict=True):
        assert np.abs(painted.astype(float) - 128 - chroma * 255).mean() < 1


def test_black_and_white_stay_black_and_white():
    p = picture(64, 64, full=True)
    for value in (0.0, 1.0):
        for chroma in paint(plane(p, value), np.full((2, 16, 16), 60, np.float32), p):
            assert np.abs(chroma.astype(int) - 128).max() <= 1


def test_luma_of_another_shape_is_refused():
    with Colorizer([FakeBackend()], HEADER) as colorizer, pytest.raises(ShapeError):
        colorizer.lightness(np.zeros((10, 10), np.uint8), picture(20, 20))


@pytest.mark.parametrize("options", [{"size": 16}, {"size": 99999}, {"batch_size": 0}])
def test_impossible_settings_are_refused(options: dict[str, int]):
    with pytest.raises(UsageError):
        Colorizer([FakeBackend()], HEADER, **options)


def test_openvino_and_torch_give_the_same_picture(tiny_model: Path):
    lightness = (RANDOM.random((3, 1, 64, 96)) * 100).astype(np.float32)
    reference = TorchBackend(weights.load(tiny_model)[0], "cpu", "fp32")(lightness)
    assert np.ptp(reference) > 5  # a gray answer would agree with anything
    exact = np.abs(OpenVINOBackend(tiny_model, "fp32")(lightness) - reference)
    assert exact.max() < 0.05  # a*b* units; one 8-bit code of chroma is about 0.8
    assert exact.mean() < 0.01
    assert np.abs(OpenVINOBackend(tiny_model, "bf16")(lightness) - reference).mean() < 1.0


def test_openvino_and_torch_agree_on_the_default_model():
    model = weights.find("default")
    lightness = (50 + 40 * np.sin(np.mgrid[:256, :320][1] / 17)).astype(np.float32)[None, None]
    reference = TorchBackend(weights.load(model)[0], "cpu", "fp32")(lightness)
    assert np.abs(OpenVINOBackend(model, "fp32")(lightness) - reference).max() < 0.05


def test_the_converted_network_is_cached_and_needs_no_torch_again(tiny_model: Path):
    OpenVINOBackend(tiny_model, "fp32")
    code = (
        "import sys; from pathlib import Path; from vidcolor.inference.colorizer import Colorizer\n"
        f"Colorizer.load({str(tiny_model)!r}, device='cpu').close(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False", done.stderr


def test_saturation_scales_the_colors(tiny_model: Path):
    lightness = [(RANDOM.random((64, 64)) * 100).astype(np.float32)]
    plain, half = (Colorizer.load(str(tiny_model), device="cpu", saturation=factor) for factor in (1.0, 0.5))
    with plain, half:
        assert np.allclose(half.predict(lightness)[0], plain.predict(lightness)[0] / 2, atol=1e-3)


@pytest.mark.parametrize("saturation", [float("nan"), float("inf"), -0.1, 4.1])
def test_a_saturation_that_is_none_is_refused(tiny_model: Path, saturation: float):
    with pytest.raises(UsageError, match="saturation"):
        Colorizer.load(str(tiny_model), device="cpu", saturation=saturation)
    with Colorizer([FakeBackend()], HEADER) as colorizer, pytest.raises(UsageError, match="saturation"):
        colorizer.with_settings(size=None, saturation=saturation)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_colors_that_are_no_numbers_are_an_error_and_no_picture(value: float):
    class Broken(FakeBackend):
        def __call__(self, lightness_B1hw: np.ndarray) -> np.ndarray:
            ab = super().__call__(lightness_B1hw)
            ab[-1, 1, 3, 3] = value
            return ab

    p = picture(64, 48)
    with (
        Colorizer([Broken()], HEADER) as colorizer,
        pytest.raises(ModelError, match="'fake' gives colors that are not finite numbers"),
    ):
        colorizer.colorize([plane(p)] * 3, p)


def test_device_names():
    assert parse_devices("cpu") == ["cpu"]
    assert parse_devices("cpu, cpu") == ["cpu", "cpu"]
    assert parse_devices("auto")
    with pytest.raises(UsageError, match="unknown"):
        parse_devices("tpu")
    with pytest.raises(DeviceError, match="try --device auto"):
        parse_devices("cuda:99")


@pytest.mark.parametrize("bits", [10, 12])
def test_samples_above_the_depth_count_as_the_brightest(bits: int):
    """Damaged or badly made files hold them; the plane stays as it is, and color is that of white."""
    picture = PictureFormat(64, 48, bits, (1, 1), full_range=False, matrix="bt709")
    top, above = np.full((48, 64), (1 << bits) - 1, np.uint16), np.full((48, 64), (1 << bits) + 76, np.uint16)
    ab = np.full((2, 12, 16), 30, np.float32)
    assert all(np.array_equal(*pair) for pair in zip(paint(top, ab, picture), paint(above, ab, picture), strict=True))


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
@pytest.mark.parametrize("has_openvino", [True, False])
def test_what_will_compute_is_known_without_a_model(
    precision: str, has_openvino: bool, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    if not has_openvino:
        monkeypatch.setattr("vidcolor.inference.backends.find_spec", lambda _: None)
    told = resolve_backend("cpu,cpu", precision)
    with Colorizer.load(str(tiny_model), device="cpu", precision=precision) as colorizer:
        (device,) = colorizer.devices
    assert told.precision in device.split()
    assert told.backend.partition(" ")[0] in device
    assert told.precision in PRECISIONS[1:]


def test_what_will_compute_is_known_of_a_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vidcolor.inference.devices.gpu_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "Chip 3000")
    assert resolve_backend("cuda:0,cuda:1", "auto") == resolve_backend("cuda:1", "bf16")
    assert resolve_backend("cuda", "auto").backend.endswith(" on Chip 3000")
    assert " and torch" in resolve_backend("cpu,cuda", "fp32").backend
    with pytest.raises(DeviceError, match="int8"):
        resolve_backend("cuda", "int8")
    with pytest.raises(UsageError, match="fp8"):
        resolve_backend("cpu", "fp8")


def test_finding_out_what_will_compute_loads_no_torch():
    code = (
        "from vidcolor.inference.backends import resolve_backend; resolve_backend('cpu', 'auto');"
        " import sys; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


def test_what_is_cached_of_a_network_depends_on_the_networks_code(monkeypatch: pytest.MonkeyPatch):
    before, read = openvino_backend._network_code_hash(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == "binnet.py"))
    assert openvino_backend._network_code_hash() != before
