"""Gray pictures as other film stocks and age would render them: model inputs instead of plain luma.

Each is fixed, so that figures compare; training/aging.py has random ones to learn from.

Shapes: H W pixels.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.color import REC601_LUMA
from vidcolor.stills.rgb import Rgb

Luma = NDArray[np.uint8]  # (H, W), Y' codes, full range
Stock = Callable[[Rgb], Luma]  # sRGB (H, W, 3) -> codes of the gray picture

ORTHOCHROMATIC = (0.0, 0.6, 0.4)  # blind to red, as most film before about 1930
FADED = (70, 190)  # code values of black and white
LOW_CONTRAST = 0.45
GRAIN = 14.0  # code values, standard deviation
# Old newsreels: orthochromatic, soft prints of high contrast, in which bright things glow.
NEWSREEL_LINES = 120  # that the lens and the copies left
NEWSREEL_BLACK, NEWSREEL_WHITE = 50, 206  # code values that become black and white
NEWSREEL_GLOW, NEWSREEL_GLOW_FROM, NEWSREEL_GLOW_RADIUS = 0.5, 170, 1 / 24  # share, code value, share of the short side


def to_codes(values: NDArray[np.floating]) -> Luma:
    """Round values to 8-bit codes and clip them."""
    luma: Luma = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return luma


def render_panchromatic(rgb: Rgb) -> Luma:
    """Luma by Rec. 601, as sensitive as the eye."""
    return to_codes(rgb @ np.array(REC601_LUMA))


def _render_orthochromatic(rgb: Rgb) -> Luma:
    return to_codes(rgb @ np.array(ORTHOCHROMATIC))


def _render_faded(rgb: Rgb) -> Luma:
    black, white = FADED
    return to_codes(black + render_panchromatic(rgb) * ((white - black) / 255))


def _render_low_contrast(rgb: Rgb) -> Luma:
    luma = render_panchromatic(rgb)
    return to_codes(luma.mean() + (luma - luma.mean()) * LOW_CONTRAST)


def _render_grainy(rgb: Rgb) -> Luma:
    """Add grain, the same for every picture of one size."""
    return to_codes(render_panchromatic(rgb) + np.random.default_rng(0).normal(0, GRAIN, rgb.shape[:2]))


def _render_newsreel(rgb: Rgb) -> Luma:
    """Everything at once: blind to red, glowing lights, crushed blacks and burnt skies, soft, grainy."""
    height, width = rgb.shape[:2]
    luma = _render_orthochromatic(rgb)
    over = np.clip(luma.astype(np.float32) - NEWSREEL_GLOW_FROM, 0, None)
    lit = luma + NEWSREEL_GLOW * cv2.GaussianBlur(over, (0, 0), min(height, width) * NEWSREEL_GLOW_RADIUS)
    hard = to_codes((lit - NEWSREEL_BLACK) * (255 / (NEWSREEL_WHITE - NEWSREEL_BLACK)))
    scale = min(1.0, NEWSREEL_LINES / height)
    small = max(1, round(width * scale)), max(1, round(height * scale))
    few = cv2.resize(hard.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(few, (width, height), interpolation=cv2.INTER_CUBIC)
    return to_codes(soft + np.random.default_rng(0).normal(0, GRAIN, (height, width)))


STOCKS: dict[str, Stock] = {
    "panchromatic": render_panchromatic,
    "orthochromatic": _render_orthochromatic,
    "faded": _render_faded,
    "low-contrast": _render_low_contrast,
    "grainy": _render_grainy,
    "newsreel": _render_newsreel,
}
