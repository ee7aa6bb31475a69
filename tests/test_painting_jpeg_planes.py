"""Y'CbCr planes keep the lightness of every pixel under any chroma, without clipping a channel."""

import cv2
import numpy as np
import pytest
from test_painting_painter import SPACES, colors

from vidcolor.painting.jpeg_planes import YccPainter
from vidcolor.painting.painter import Painter, RgbSpace


def painted(ab: np.ndarray, gray: np.ndarray, space: RgbSpace) -> tuple[np.ndarray, np.ndarray]:
    """R, G, B in code values, not rounded nor clipped, as a decoder makes them; and (Cb, Cr)."""
    size = (gray.shape[0] // 2, gray.shape[1] // 2)
    painter = Painter(ab, cv2.resize(gray, size[::-1], interpolation=cv2.INTER_AREA), size, space=space)
    y, cb, cr = np.empty_like(gray), np.empty(size, np.uint8), np.empty(size, np.uint8)
    YccPainter(painter, space).fill(gray, y, cb, cr)
    blue, red = (np.kron(plane.astype(np.float64) - 128, np.ones((2, 2))) for plane in (cb, cr))
    rgb = np.dstack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue])  # T.871, clause 7
    return rgb, np.stack([cb, cr])


def lightness(rgb: np.ndarray, space: RgbSpace) -> np.ndarray:
    light = np.interp(rgb / 255, np.linspace(0, 1, len(space.curve)), space.curve)
    y = light @ (np.array(space.rgb_to_xyz[1]) / sum(space.rgb_to_xyz[1]))
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, 24389 / 27 * y)  # CIE 15:2018, 8.2.1


def blocks(shape: tuple[int, int] = (258, 300)) -> np.ndarray:
    """Every gray, each on a block of four."""
    half = np.random.default_rng(5).integers(0, 256, (shape[0] // 2, shape[1] // 2)).astype(np.uint8)
    return np.kron(half, np.ones((2, 2), np.uint8))


@pytest.mark.parametrize("strength", [10, 60, 128])
@pytest.mark.parametrize("name", ["srgb", "adobe", "dot gain"])
def test_lightness_stays_within_one_code_under_every_color(strength: float, name: str):
    gray, space = blocks(), SPACES[name]
    rgb, _ = painted(colors(strength), gray, space)
    off = np.abs(lightness(rgb.clip(0, 255), space) - lightness(np.dstack([gray] * 3).astype(float), space))
    codes = lightness(np.dstack([np.arange(257.0)] * 3), space)[0]
    most = 1.05 if name != "adobe" else 1.35  # at the edge of a wide gamut
    assert (off <= most * np.maximum(np.diff(codes)[gray], 100 / 255)).all()
    assert rgb.min() > -1
    assert np.mean(rgb > 256.5) < 1e-4  # single pixels at the edge, where two channels are clipped


@pytest.mark.parametrize("line", [1, 2, 3])
def test_lightness_stays_under_detail(line: int):
    """Dark lines on white, light lines on dark, of a chroma that both can show."""
    gray = np.full((256, 256), 200, np.uint8)
    gray[:, 7 :: 4 + line] = 110
    gray[31 :: 4 + line] = 150
    ab = np.broadcast_to(np.array([18, 22], np.float32)[:, None, None], (2, 16, 16))
    rgb, _ = painted(ab, gray, SPACES["srgb"])
    off = np.abs(lightness(rgb, SPACES["srgb"]) - lightness(np.dstack([gray] * 3).astype(float), SPACES["srgb"]))
    assert off.max() <= 100 / 255


def test_no_color_leaves_luma_as_it_was():
    gray = np.random.default_rng(2).integers(0, 256, (64, 64)).astype(np.uint8)
    rgb, chroma = painted(np.zeros((2, 8, 8), np.float32), gray, SPACES["srgb"])
    assert np.array_equal(rgb[..., 0], gray)
    assert (chroma == 128).all()


def test_colors_are_those_of_rgb_paint():
    gray = np.full((64, 64), 150, np.uint8)
    for ab in ((20, 15), (-25, 10), (5, -30), (0, 40)):
        asked = np.broadcast_to(np.array(ab, np.float32)[:, None, None], (2, 8, 8))
        rgb, _ = painted(asked, gray, SPACES["srgb"])
        assert np.abs(rgb - Painter(asked, gray, gray.shape).paint(gray, 0)).max() < 2.5  # rounded chroma
