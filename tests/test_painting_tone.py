"""Gray, toned and colored pictures are told apart, through JPEG too."""

import io

import numpy as np
import pytest
from PIL import Image

from vidcolor import color
from vidcolor.painting.tone import tone_of


def scene() -> np.ndarray:
    """L* of a picture with flats, gradients and noise: (128, 160)."""
    y, x = np.mgrid[:128, :160]
    lightness = 50 + 35 * np.sin(x / 17) * np.cos(y / 23) + (x > 90) * 10 - (y > 100) * 15
    return np.clip(lightness + np.random.default_rng(1).normal(0, 2, x.shape), 3, 97)


def arch(lightness: np.ndarray, center: float) -> np.ndarray:
    return np.clip(1 - ((lightness - center) / 55) ** 2, 0, 1)


TONES = {
    "sepia": lambda light: (7 * arch(light, 45), 20 * arch(light, 55) + 3),
    "cyanotype": lambda light: (2 - 6 * arch(light, 60), -30 * arch(light, 40)),
    "selenium": lambda light: (6 * arch(light, 30), -5 * arch(light, 30)),
    "two-tone": lambda light: (3 * arch(light, 80), 12 * arch(light, 85) - 8 * arch(light, 20)),
    "yellowed": lambda light: (1.5 + 0 * light, 0.12 * light),
}


def seen(lightness: np.ndarray, a: np.ndarray, b: np.ndarray, quality: int = 75) -> np.ndarray:
    """The picture after JPEG."""
    rgb = np.clip(np.stack(color.lab_to_rgb(lightness, a, b), axis=2), 0, 1)
    file = io.BytesIO()
    Image.fromarray(np.rint(rgb * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("name", TONES)
def test_toned_pictures_are_toned(name: str):
    lightness = scene()
    assert tone_of(seen(lightness, *TONES[name](lightness))) == "toned"


def test_gray_is_gray_with_noise_in_its_channels_too():
    lightness = scene()
    rgb = seen(lightness, 0 * lightness, 0 * lightness)
    assert tone_of(rgb) == "gray"
    noise = np.random.default_rng(2).normal(0, 2, rgb.shape)
    assert tone_of(np.clip(rgb + noise, 0, 255).astype(np.uint8)) == "gray"
    assert tone_of(rgb.astype(np.uint16) * 257) == "gray"


def test_muted_colors_are_colors():
    lightness = scene()
    y, x = np.mgrid[:128, :160]
    assert tone_of(seen(lightness, 8 * np.sin(x / 30), 10 * np.cos(y / 25))) == "color"


def test_hand_tinted_cheeks_make_a_color_picture():
    lightness = scene()
    a, b = 0 * lightness, 0 * lightness
    a[40:62, 60:82], b[40:62, 60:82] = 22, 14
    assert tone_of(seen(lightness, a, b)) == "color"


def test_a_flat_picture_has_a_tone():
    assert tone_of(np.full((8, 8, 3), 128, np.uint8)) == "gray"
    assert tone_of(np.full((8, 8, 3), (150, 120, 90), np.uint8)) == "toned"
