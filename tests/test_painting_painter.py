"""The picture's lightness survives any color, at any depth, in any space; hues survive the gamut's edge."""

import cv2
import numpy as np
import pytest

from vidcolor import color
from vidcolor.errors import ShapeError
from vidcolor.painting.painter import SRGB, Painter, RgbSpace

ADOBE = RgbSpace(
    np.linspace(0, 1, 4096) ** (563 / 256),  # Adobe RGB (1998), 4.3.4.2 and its D65 primaries, white divided out
    ((0.60676, 0.19521, 0.19803), (0.29738, 0.62735, 0.07527), (0.02482, 0.06492, 0.91026)),
)
SPACES = {
    "srgb": SRGB,
    "adobe": ADOBE,
    "dot gain": RgbSpace(np.linspace(0, 1, 256) ** 1.75),
    "linear": RgbSpace(np.arange(2.0)),
}


def grays(bits: int, shape: tuple[int, int] = (257, 300)) -> np.ndarray:
    """Every gray, or a fair draw of them, in no order."""
    random = np.random.default_rng(bits)
    return random.integers(0, 1 << bits, shape).astype(np.uint8 if bits == 8 else np.uint16)


def colors(strength: float, shape: tuple[int, int] = (17, 20)) -> np.ndarray:
    """Every hue at up to this chroma."""
    random = np.random.default_rng(3)
    angle, chroma = random.uniform(0, 2 * np.pi, shape), random.uniform(0, strength, shape)
    return np.stack([chroma * np.cos(angle), chroma * np.sin(angle)]).astype(np.float32)


def lab_of(rgb: np.ndarray, space: RgbSpace) -> list[np.ndarray]:
    light = space.light(8 * rgb.dtype.itemsize)[rgb]
    matrix = np.array(space.rgb_to_xyz)
    xyz = light @ (matrix / matrix.sum(1, keepdims=True)).T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)  # CIE 15:2018, 8.2.1
    return [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("strength", [10, 60, 128])
@pytest.mark.parametrize("name", SPACES)
def test_lightness_stays_within_one_code(bits: int, strength: float, name: str):
    space, gray = SPACES[name], grays(bits)
    if name == "linear":
        gray = np.maximum(gray, gray.dtype.type(10 << (bits - 8)))  # one linear code is 3.5 L* near black
    painter = Painter(colors(strength), cv2.resize(gray, (40, 30)), gray.shape, bits=bits, space=space)
    lightness = lab_of(painter.paint(gray, 0), space)[0]
    allowed = 100 / ((1 << bits) - 1) if name != "linear" else 1.3 * 100 / ((1 << bits) - 1) * 3
    assert np.abs(lightness - lab_of(np.dstack([gray] * 3), space)[0]).max() <= allowed


@pytest.mark.parametrize("bits", [8, 16])
def test_no_color_leaves_every_gray_code_as_it_was(bits: int):
    gray = grays(bits)
    painter = Painter(np.zeros((2, 8, 8), np.float32), gray, gray.shape, bits=bits)
    assert np.array_equal(painter.paint(gray, 0), np.dstack([gray] * 3))


@pytest.mark.parametrize("bits", [8, 16])
def test_colors_that_can_be_shown_are_shown(bits: int):
    """On flat fields a*b* come out as asked; 8 bit within its rounding."""
    code = 150 if bits == 8 else 150 * 257
    gray = np.full((64, 64), code, np.uint8 if bits == 8 else np.uint16)
    for a, b in ((20, 15), (-25, 10), (5, -30), (0, 40)):
        ab = np.full((2, 8, 8), 0, np.float32)
        ab[0], ab[1] = a, b
        _, found_a, found_b = lab_of(Painter(ab, gray, gray.shape, bits=bits).paint(gray, 0), SRGB)
        tolerance = 0.6 if bits == 8 else 0.01
        assert np.abs(found_a - a).max() < tolerance
        assert np.abs(found_b - b).max() < tolerance


def test_color_holds_under_detail_of_any_brightness():
    """A step edge under one color: both sides have it, as Lab means it."""
    gray = np.full((64, 64), 90, np.uint8)
    gray[:, 32:] = 180
    ab = np.zeros((2, 8, 8), np.float32)
    ab[0], ab[1] = 12, 18
    _, a, b = lab_of(Painter(ab, gray, gray.shape).paint(gray, 0), SRGB)
    assert np.hypot(a - 12, b - 18).max() < 1.5


@pytest.mark.parametrize("bits", [8, 16])
def test_impossible_colors_lose_chroma_and_keep_their_hue(bits: int):
    top = (1 << bits) - 1
    for code in (0.08, 0.3, 0.6, 0.9, 0.97):
        gray = np.full((32, 360), round(code * top), np.uint8 if bits == 8 else np.uint16)
        angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
        ab = np.broadcast_to(100 * np.stack([np.cos(angle), np.sin(angle)])[:, None], (2, 32, 360)).astype(np.float32)
        _, a, b = lab_of(Painter(ab, gray, gray.shape, bits=bits).paint(gray, 0), SRGB)
        chroma = np.hypot(a, b)[16]
        turned = np.rad2deg(np.abs(np.angle(np.exp(1j * (np.arctan2(b, a)[16] - angle)))))
        is_clear = chroma > (20 if bits == 8 else 5)  # 8-bit codes near black are coarse
        assert turned[is_clear].max() < 8  # within a pixel, steps are straight in cube roots of R, G, B, not X, Y, Z
        assert chroma.max() < 102


def test_black_and_white_take_no_color():
    gray = np.zeros((32, 32), np.uint8)
    gray[:, 16:] = 255
    ab = np.full((2, 4, 4), 50, np.float32)
    assert np.array_equal(Painter(ab, gray, gray.shape).paint(gray, 0), np.dstack([gray] * 3))


@pytest.mark.parametrize("bits", [8, 16])
def test_strips_join_without_a_seam(bits: int):
    gray = grays(bits, (700, 901))
    painter = Painter(colors(40, (22, 28)), cv2.resize(gray, (90, 70)), gray.shape, bits=bits)
    whole = painter.paint(gray, 0)
    for rows in (painter.strip_rows, 37, 1):
        tops = range(0, 700, rows) if rows > 1 else (0, 1, 333, 699)
        for top in tops:
            assert np.array_equal(painter.paint(gray[top : top + rows], top), whole[top : top + rows])


def test_finer_gray_than_the_output_is_taken_as_it_is():
    """Toned pictures come as 16-bit gray for 8-bit paint, or as light: no rounding before the painting's own."""
    fine = grays(16)
    ab = colors(40)
    expected = lab_of(np.dstack([fine] * 3), SRGB)[0]
    found = lab_of(Painter(ab, fine, fine.shape, bits=8).paint(fine, 0), SRGB)[0]
    assert np.abs(found - expected).max() <= 100 / 255
    light = SRGB.light(16)[fine].astype(np.float32)
    found = lab_of(Painter(ab, light, fine.shape, bits=16).paint(light, 0), SRGB)[0]
    assert np.abs(found - expected).max() <= 100 / 65535


def test_gray_stays_gray_on_the_tiniest_picture():
    gray = np.array([[7]], np.uint8)
    assert Painter(np.zeros((2, 16, 16), np.float32), gray, (1, 1)).paint(gray, 0).tolist() == [[[7, 7, 7]]]


def test_color_of_the_wrong_shape_is_refused():
    with pytest.raises(ShapeError, match="needs"):
        Painter(np.zeros((3, 4, 4), np.float32), np.zeros((4, 4), np.uint8), (4, 4))


def test_lab_to_xyz_of_white_is_one():
    assert np.allclose(color.lab_to_xyz(100.0, 0.0, 0.0), 1)
