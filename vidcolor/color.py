"""Color science: sRGB, CIE Lab, Y'CbCr. Functions of pixels take NumPy arrays and torch tensors alike.

Units: sRGB and linear components 0..1; L* 0..100; a*, b* about -110..110; Y' 0..1 from black to white;
Cb, Cr -0.5..0.5. Integer code values appear only where a function says so.
Sources: IEC 61966-2-1 (sRGB), CIE 15:2004 (Lab, D65 white), ITU-R BT.601-7, BT.709-6, BT.2020-2, BT.2100-2; Ottosson
2020, A perceptual color space for image processing (Oklab).
"""

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidcolor.frames import PictureFormat, Plane

Array = Any  # numpy.ndarray or torch.Tensor: both offer the operators and functions used here
Floats = NDArray[np.float32]

# Linear sRGB -> XYZ with the D65 white divided out of each row, so that white maps to (1, 1, 1).
RGB_TO_XYZ = (
    (0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883),
)
XYZ_TO_RGB = tuple(tuple(row) for row in np.linalg.inv(np.array(RGB_TO_XYZ)).tolist())
# Linear sRGB -> linear BT.2020 (ITU-R BT.2087-0, table 1).
RGB_TO_BT2020 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))
LAB_EPSILON = 0.008856  # below this, Lab's cube root is a straight line (CIE 15:2004, 8.2.1.1)
REC601_LUMA = (0.299, 0.587, 0.114)
LUMA_WEIGHTS = {"bt601": REC601_LUMA, "bt709": (0.2126, 0.7152, 0.0722), "bt2020": (0.2627, 0.6780, 0.0593)}
SDR_WHITE_NITS = 203.0  # where HDR pictures put paper white (ITU-R BT.2408-7, 2.1)
CHROMA_ROUNDS = 6  # iterations of the search for L*; each makes the error about ten times smaller
# Linear sRGB -> the cube of cone responses -> Oklab (Ottosson 2020).
LINEAR_TO_CONES = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip
CONES_TO_OKLAB = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
])  # fmt: skip
CONES_TO_LINEAR, OKLAB_TO_CONES = np.linalg.inv(LINEAR_TO_CONES), np.linalg.inv(CONES_TO_OKLAB)
LIGHT_STEPS, GAMUT_STEPS, GAMUT_MARGIN = 14, 8, 2e-3  # of the search for a color at another lightness
HLG_WHITE = 0.75  # SDR_WHITE_NITS as an HLG code


def _namespace(array: Array) -> Any:
    torch = sys.modules.get("torch")
    kind = getattr(torch, "Tensor", None)  # of a torch that another thread is importing there may be none yet
    return torch if kind is not None and isinstance(array, kind) else np


def _apply_matrix(matrix: tuple[tuple[float, ...], ...], components: list[Array]) -> list[Array]:
    return [sum(k * v for k, v in zip(row, components, strict=True)) for row in matrix]


def srgb_to_linear(v: Array) -> Array:
    """Gamma-coded sRGB 0..1 -> light 0..1."""
    xp = _namespace(v)
    return xp.where(v <= 0.04045, v / 12.92, ((xp.clip(v, 0.04045, None) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(v: Array) -> Array:
    """Light 0..1 -> gamma-coded sRGB 0..1."""
    xp = _namespace(v)
    return xp.where(v <= 0.0031308, v * 12.92, 1.055 * xp.clip(v, 0.0031308, None) ** (1 / 2.4) - 0.055)


def _lab_f(t: Array) -> Array:
    xp = _namespace(t)
    return xp.where(t > LAB_EPSILON, xp.clip(t, LAB_EPSILON, None) ** (1 / 3), 7.787 * t + 16 / 116)


def _lab_f_inverse(f: Array) -> Array:
    xp = _namespace(f)
    return xp.where(f > 0.2068966, f * f * f, (f - 16 / 116) / 7.787)


def light_to_lightness(light: Array) -> Array:
    """Relative luminance 0..1 -> L* 0..100."""
    return 116 * _lab_f(light) - 16


def gray_to_lightness(gray: Array) -> Array:
    """Gamma-coded sRGB gray 0..1 -> L* 0..100."""
    return light_to_lightness(srgb_to_linear(gray))


def rgb_to_lab(r: Array, g: Array, b: Array) -> tuple[Array, Array, Array]:
    """Gamma-coded sRGB components 0..1 -> L* 0..100, a*, b*."""
    fx, fy, fz = map(_lab_f, _apply_matrix(RGB_TO_XYZ, [srgb_to_linear(v) for v in (r, g, b)]))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def picture_to_lab(rgb_HW3: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    """An 8-bit sRGB picture (H, W, 3) -> L* 0..100, a*, b*, each (H, W)."""
    lightness, a, b = rgb_to_lab(*np.moveaxis(rgb_HW3.astype(np.float32) / 255, 2, 0))
    return lightness, a, b


def lab_to_xyz(lightness: Array, a: Array, b: Array) -> list[Array]:
    """L* 0..100, a*, b* -> X, Y, Z over the white's: 1, 1, 1 is white."""
    fy = (lightness + 16) / 116
    return [_lab_f_inverse(f) for f in (fy + a / 500, fy, fy - b / 200)]


def lab_to_light(lightness: Array, a: Array, b: Array) -> list[Array]:
    """L* 0..100, a*, b* -> linear sRGB components; outside 0..1 where sRGB has no such color."""
    return _apply_matrix(XYZ_TO_RGB, lab_to_xyz(lightness, a, b))


def lab_to_rgb(lightness: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """L* 0..100, a*, b* -> sRGB components; outside 0..1 where sRGB has no such color."""
    red, green, blue = map(linear_to_srgb, lab_to_light(lightness, a, b))
    return red, green, blue


def move_to_lightness(lightness: Floats, a: Floats, b: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """The a*, b* that colors have at another L*: of the same hue and as strong, as far as sRGB has such a color.

    At a*, b* that stay a dark blue would become violet. Hue and strength are those of Oklab.
    All arguments: of one shape; L* 0..100.
    """
    color_a, color_b = _linear_to_oklab(np.stack(lab_to_light(lightness, a, b)))[1:]
    light = np.asarray(_lab_f_inverse((wanted + 16) / 116), np.float32)
    most, least = np.ones_like(light), np.zeros_like(light)  # shares of the strength: what sRGB may lack, and has
    found = _at_light(light, color_a, color_b)
    least[_is_in_gamut(found)] = 1
    for _ in range(GAMUT_STEPS):
        share = (most + least) / 2
        found = _at_light(light, color_a * share, color_b * share)
        fits = _is_in_gamut(found)
        least, most = np.asarray(np.where(fits, share, least)), np.asarray(np.where(fits, most, share))
    found = np.clip(_at_light(light, color_a * least, color_b * least), 0, 1)
    fx, fy, fz = map(_lab_f, _apply_matrix(RGB_TO_XYZ, list(found)))
    return np.asarray(500 * (fx - fy), np.float32), np.asarray(200 * (fy - fz), np.float32)


def _at_light(light: Floats, color_a: Floats, color_b: Floats) -> Floats:
    """Linear sRGB (3, ...) of a relative luminance, with Oklab's a and b."""
    low, high = np.zeros_like(light), np.full_like(light, 1.5)
    for _ in range(LIGHT_STEPS):
        middle = (low + high) / 2
        luminance = _apply_matrix(RGB_TO_XYZ, list(_oklab_to_linear(middle, color_a, color_b)))[1]
        low, high = np.where(luminance < light, middle, low), np.where(luminance < light, high, middle)
    return _oklab_to_linear((low + high) / 2, color_a, color_b)


def _is_in_gamut(linear: Floats) -> NDArray[np.bool_]:
    return np.asarray(((linear > -GAMUT_MARGIN) & (linear < 1 + GAMUT_MARGIN)).all(axis=0))


def _linear_to_oklab(linear: Floats) -> Floats:
    cones = np.cbrt(np.einsum("ij,j...->i...", LINEAR_TO_CONES, linear))
    return np.asarray(np.einsum("ij,j...->i...", CONES_TO_OKLAB, cones), np.float32)


def _oklab_to_linear(lightness: Array, color_a: Floats, color_b: Floats) -> Floats:
    cones = np.einsum("ij,j...->i...", OKLAB_TO_CONES, np.stack([lightness, color_a, color_b])) ** 3
    return np.asarray(np.einsum("ij,j...->i...", CONES_TO_LINEAR, cones), np.float32)


def _pq_to_linear(v: Array) -> Array:
    """PQ code 0..1 -> light relative to SDR white (BT.2100-2, table 4)."""
    xp = _namespace(v)
    p = xp.clip(v, 0, None) ** (1 / 78.84375)
    return (xp.clip(p - 0.8359375, 0, None) / (18.8515625 - 18.6875 * p)) ** (1 / 0.1593017578125) * (
        1e4 / SDR_WHITE_NITS
    )


def _linear_to_pq(v: Array) -> Array:
    xp = _namespace(v)
    p = (xp.clip(v, 0, None) * (SDR_WHITE_NITS / 1e4)) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * p) / (1 + 18.6875 * p)) ** 78.84375


_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073  # BT.2100-2, table 5


def _hlg_scene(v: Array) -> Array:
    xp = _namespace(v)
    return xp.where(v <= 0.5, v * v / 3, (xp.exp((xp.clip(v, 0.5, None) - _HLG_C) / _HLG_A) + _HLG_B) / 12)


_HLG_WHITE_LIGHT = float(_hlg_scene(np.float64(HLG_WHITE)))


def _hlg_to_linear(v: Array) -> Array:
    """HLG code 0..1 -> scene light relative to SDR white; the display's own gamma is left out."""
    return _hlg_scene(v) / _HLG_WHITE_LIGHT


def _linear_to_hlg(v: Array) -> Array:
    xp = _namespace(v)
    light = xp.clip(v, 0, None) * _HLG_WHITE_LIGHT
    return xp.where(
        light <= 1 / 12, (3 * light) ** 0.5, _HLG_A * xp.log(xp.clip(12 * light, 1, None) - _HLG_B) + _HLG_C
    )


_TRANSFERS = {
    "sdr": (srgb_to_linear, linear_to_srgb),
    "pq": (_pq_to_linear, _linear_to_pq),
    "hlg": (_hlg_to_linear, _linear_to_hlg),
}


@dataclass(frozen=True)
class LumaCoding:
    """How a film codes light as Y'CbCr: its matrix ("bt601", "bt709", "bt2020") and transfer ("sdr", "pq", "hlg")."""

    matrix: str = "bt709"
    transfer: str = "sdr"

    def lightness(self, luma: Array) -> Array:
        """Y' 0..1 of a gray picture -> L* 0..100."""
        to_linear, _ = _TRANSFERS[self.transfer]
        xp = _namespace(luma)
        return xp.clip(light_to_lightness(to_linear(xp.clip(luma, 0, 1))), 0, 100)

    def rgb_to_ycc(self, r: Array, g: Array, b: Array) -> tuple[Array, Array, Array]:
        """Gamma-coded R', G', B' 0..1 -> Y' 0..1, Cb, Cr -0.5..0.5."""
        kr, kg, kb = LUMA_WEIGHTS[self.matrix]
        y = kr * r + kg * g + kb * b
        return y, (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))

    def ycc_to_rgb(self, y: Array, cb: Array, cr: Array) -> tuple[Array, Array, Array]:
        """Y' 0..1, Cb, Cr -0.5..0.5 -> gamma-coded R', G', B'."""
        red, green, blue = self.chroma_to_rgb(cb, cr)
        return y + red, y + green, y + blue

    def chroma_to_rgb(self, cb: Array, cr: Array) -> tuple[Array, Array, Array]:
        """Cb, Cr -0.5..0.5 -> what they add to Y' in R', G', B'."""
        kr, kg, kb = LUMA_WEIGHTS[self.matrix]
        red, blue = cr * (2 * (1 - kr)), cb * (2 * (1 - kb))
        return red, red * (-kr / kg) - blue * (kb / kg), blue

    def chroma(self, luma: Array, a: Array, b: Array, *, rounds: int = CHROMA_ROUNDS) -> tuple[Array, Array]:
        """Cb, Cr -0.5..0.5 that give a pixel the color a*, b* while its Y' 0..1 stays.

        A colored pixel's L* differs from a gray one's with the same Y', so L* is searched for until the
        color's own Y' is the film's, by the secant method; real colors end within one 10-bit code.
        """
        xp = _namespace(luma)
        lightness, miss, step, slope = self.lightness(luma), None, 0.0, 1.0
        for _ in range(rounds):
            y, _, _ = self._lab_to_ycc(lightness, a, b)
            found = (y - luma) * 100  # Y' is so nearly proportional to L* that this is almost a distance in L*
            if miss is not None:
                is_moving = abs(step) > 1e-6
                slope = xp.where(is_moving, xp.clip((miss - found) / xp.where(is_moving, step, 1), 0.2, 4.0), 1.0)
            step = xp.clip(found / slope, -25, 25)
            lightness, miss = lightness - step, found
        _, cb, cr = self._lab_to_ycc(lightness, a, b)
        return cb, cr

    def _lab_to_ycc(self, lightness: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
        _, from_linear = _TRANSFERS[self.transfer]
        light = lab_to_light(lightness, a, b)
        if self.matrix == "bt2020":
            light = _apply_matrix(RGB_TO_BT2020, light)
        return self.rgb_to_ycc(*map(from_linear, light))


def shrink_to_gamut(coding: LumaCoding, luma: Floats, cb: Floats, cr: Floats) -> None:
    """Scale Cb, Cr toward gray, in place, until R', G', B' lie in 0..1; the hue and Y' stay.

    luma: (H, W), Y' 0..1.  cb, cr: (H, W), -0.5..0.5, contiguous.
    """
    red, green, blue = coding.chroma_to_rgb(cb, cr)
    above = np.maximum(np.maximum(red, green), blue)
    below = np.minimum(np.minimum(red, green, out=red), blue, out=red)
    places = np.flatnonzero((above + luma > 1) | (below + luma < 0))
    if not len(places):
        return
    y, above, below = (plane.reshape(-1)[places] for plane in (luma, above, below))
    scale = np.clip(np.minimum((1 - y) / np.maximum(above, 1e-6), y / np.maximum(-below, 1e-6)), 0, 1)
    for plane in (cb, cr):
        plane.reshape(-1)[places] *= scale


@lru_cache(maxsize=8)
def luma_table(bits: int, full_range: bool) -> Floats:
    """Y' of every code value: (2**bits,), 0..1 (BT.709-6, item 4; full range as in JFIF)."""
    codes = np.arange(1 << bits, dtype=np.float32)
    if full_range:
        codes /= np.float32((1 << bits) - 1)
        return codes
    step = 1 << (bits - 8)
    levels: Floats = np.clip((codes - np.float32(16 * step)) / np.float32(219 * step), 0, 1)
    return levels


@lru_cache(maxsize=8)
def lightness_table(bits: int, full_range: bool, coding: LumaCoding) -> Floats:
    """L* of every code value of a gray picture: (2**bits,), 0..100."""
    return np.asarray(coding.lightness(luma_table(bits, full_range)), dtype=np.float32)


@lru_cache(maxsize=8)
def chroma_gain_table(bits: int, full_range: bool, coding: LumaCoding) -> Floats:
    """Chroma of a small a*b* at every luma code, relative to middle gray: (2**bits,).

    Chroma of equal a*b* grows with brightness. Enlarging chroma with this gain divided out, and putting it back at
    full size, keeps a dark line on a bright wall from taking the wall's chroma.
    """
    luma = np.maximum(luma_table(bits, full_range), 0.02)
    cb, cr = coding.chroma(luma, np.float32(4), np.float32(-4))
    middle_cb, middle_cr = coding.chroma(np.float32(0.5), np.float32(4), np.float32(-4))
    return np.asarray(np.hypot(cb, cr) / np.hypot(middle_cb, middle_cr), dtype=np.float32)


def chroma_levels(plane: Plane, picture: PictureFormat) -> Floats:
    """Code values of the picture's depth and range -> Cb or Cr, -0.5..0.5."""
    return (plane - np.float32(1 << (picture.bits - 1))) / np.float32(_chroma_span(picture))


def _chroma_span(picture: PictureFormat) -> int:
    return (1 << picture.bits) - 1 if picture.full_range else 224 << (picture.bits - 8)


def chroma_codes(chroma: Floats, picture: PictureFormat) -> Plane:
    """Cb or Cr -0.5..0.5 -> code values of the picture's depth and range."""
    codes = chroma * np.float32(_chroma_span(picture))
    codes += np.float32((1 << (picture.bits - 1)) + 0.5)  # the half rounds: the cast truncates
    np.clip(codes, 0, (1 << picture.bits) - 1, out=codes)
    return codes.astype(np.uint8) if picture.bits == 8 else codes.astype(np.uint16)
