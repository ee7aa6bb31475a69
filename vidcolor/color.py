"""All colour science: sRGB, CIE Lab, Y'CbCr. Every function takes NumPy arrays or torch tensors alike.

Units: sRGB and linear components 0..1; L* 0..100; a*, b* about -110..110; Y' 0..1 from black to white.
Sources: IEC 61966-2-1 (sRGB), CIE 15:2004 (Lab, D65 white), ITU-R BT.601-7, BT.709-6, BT.2020-2.
"""

import sys
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or torch.Tensor: both offer the operators and functions used here

# Linear sRGB -> XYZ with the D65 white divided out of each row, so that white maps to (1, 1, 1).
RGB_TO_XYZ = (
    (0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883),
)
XYZ_TO_RGB = tuple(tuple(row) for row in np.linalg.inv(np.array(RGB_TO_XYZ)).tolist())
LAB_EPSILON = 0.008856  # below this cube root, Lab is linear (CIE 15:2004, 8.2.1.1)
REC601_LUMA = (0.299, 0.587, 0.114)


def _namespace(array: Array) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return torch
    return np


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


def gray_to_lightness(gray: Array) -> Array:
    """Gamma-coded grey 0..1 -> L* 0..100."""
    return 116 * _lab_f(srgb_to_linear(gray)) - 16


def rgb_to_lab(r: Array, g: Array, b: Array) -> tuple[Array, Array, Array]:
    """sRGB components 0..1 -> L* 0..100, a*, b*."""
    light = [srgb_to_linear(v) for v in (r, g, b)]
    fx, fy, fz = (_lab_f(sum(k * v for k, v in zip(row, light, strict=True))) for row in RGB_TO_XYZ)
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def lab_to_rgb(lightness: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """L* 0..100, a*, b* -> sRGB components; outside 0..1 where sRGB has no such colour."""
    fy = (lightness + 16) / 116
    xyz = [_lab_f_inverse(f) for f in (fy + a / 500, fy, fy - b / 200)]
    red, green, blue = (linear_to_srgb(sum(k * v for k, v in zip(row, xyz, strict=True))) for row in XYZ_TO_RGB)
    return red, green, blue
