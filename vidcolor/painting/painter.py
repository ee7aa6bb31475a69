"""Painting of stills: a gray plane and a*b* become RGB of the gray plane's own lightness, strip by strip.

A pixel's color is two small steps from gray on cube roots of light, as in Lab: `p` for red, `q` for blue. They do not
depend on brightness, so they can be enlarged and applied under any detail. Red and blue follow from them; green is
solved for, so that the light of all three is the light of the gray. Lightness is exact to the rounding of one channel.

Shapes: H W the still's pixels, h w the network's, r a strip's rows.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor import color
from vidcolor.color import Floats
from vidcolor.errors import ShapeError
from vidcolor.frames import Plane
from vidcolor.planes import look_up

Gray = Plane | Floats
Rgb = NDArray[np.uint8] | NDArray[np.uint16]  # (rows, W, 3)

STRIP_PIXELS = 1 << 18  # a strip's planes stay in the processor's cache
_GRID_PIXELS = 40_000  # the grid on which a*b* become (p, q) has at least as many points
_UNIT = 46_000  # light 1 in the 16-bit sums of the table path
_ZERO = 16_000  # light 0 there: red and blue together weigh up to a third, and sums may go below
_OUTSIDE = 65_535  # marks a red or blue out of range: subtracted, it makes the sum 0, which is never possible
_FINE_HALVINGS = 14  # in Lab, where the cube root of a vanishing channel is steep
_HUE_LIGHTNESS = (
    8.0,
    99.0,
)  # L* to which (p, q) are computed; nearer to black and white no color has room
_HALVINGS = 7  # of the search for the gamut's edge: inside it, within 1/128


@dataclass(frozen=True, eq=False)
class RgbSpace:
    """The meaning of code values of R, G, B and of gray.

    curve: (n,), light 0..1 of n evenly spaced codes from black to white, not falling.
    rgb_to_xyz: light of R, G, B -> X, Y, Z over the white's.
    """

    curve: NDArray[np.float64]
    rgb_to_xyz: tuple[tuple[float, ...], ...] = color.RGB_TO_XYZ

    def light(self, bits: int) -> NDArray[np.float64]:
        """Light 0..1 of every code value: (2**bits,)."""
        codes = np.linspace(0, 1, 1 << bits)
        return np.asarray(np.interp(codes, np.linspace(0, 1, len(self.curve)), self.curve), np.float64)

    def codes(self, light: NDArray[Any]) -> NDArray[np.float64]:
        """Codes 0..1 of light 0..1; where the curve is flat, the lowest of them."""
        return np.asarray(np.interp(light, *self._inverse), np.float64)

    @cached_property
    def _inverse(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        curve, first = np.unique(self.curve, return_index=True)
        return curve, first / (len(self.curve) - 1)

    def lightness_table(self, bits: int) -> Floats:
        """L* 0..100 of every gray code value: (2**bits,)."""
        return np.asarray(color.light_to_lightness(self.light(bits)), np.float32)

    def lightness_of(self, gray: Gray) -> Floats:
        """L* 0..100 of gray codes of 8 or 16 bit, or of light 0..1 as float32."""
        if gray.dtype == np.float32:
            return np.asarray(color.light_to_lightness(gray), np.float32)
        return np.asarray(self.lightness_table(8 * gray.dtype.itemsize)[gray], np.float32)

    @cached_property
    def codes_of_sums(self) -> NDArray[np.uint8]:
        """Green's code by what is left for it in the table path's sums: (65536,)."""
        sums = (np.arange(1 << 16) - _ZERO) / (_UNIT * self.rgb_to_xyz[1][1])
        return np.rint(self.codes(np.clip(sums, 0, 1)) * 255).astype(np.uint8)

    @cached_property
    def sums8(self) -> NDArray[np.uint16]:
        """The table path's sums of 8-bit gray codes."""
        return np.rint(_ZERO + _UNIT * self.light(8)).astype(np.uint16)

    @cached_property
    def coded_roots(self) -> Floats:
        """Codes 0..1 of evenly spaced cube roots of light; fine enough for a tenth of a 16-bit code."""
        return self.codes(np.linspace(0, 1, (1 << 19) + 1) ** 3).astype(np.float32)

    @cached_property
    def xyz_to_rgb(self) -> NDArray[np.float64]:
        """The inverse matrix; white to white exactly, so that gray stays gray."""
        matrix = np.array(self.rgb_to_xyz)
        inverse: NDArray[np.float64] = np.linalg.inv(matrix / matrix.sum(1, keepdims=True))  # published ones round
        return inverse


SRGB = RgbSpace(color.srgb_to_linear(np.linspace(0, 1, 1 << 16)))


class Painter:
    """Paints one picture with its a*b*: any rows, in any order."""

    def __init__(self, ab_2hw: Floats, small: Gray, size: tuple[int, int], *, bits: int = 8, space: RgbSpace = SRGB):
        """ab_2hw: a*b*, -128..127, in the orientation of the rows to paint.  small: the gray picture at any lesser
        size, as `paint` takes it.  size: (H, W).  bits: 8 or 16, of what is painted.  space: of gray and of RGB alike.

        Raises ShapeError.
        """
        if ab_2hw.ndim != 3 or ab_2hw.shape[0] != 2:
            raise ShapeError(f"a*b* is {ab_2hw.shape}; a still needs (2, rows, columns).")
        self._height, self._width = size
        self._bits, self._space = bits, space
        self._weights = (float(space.rgb_to_xyz[1][0]), float(space.rgb_to_xyz[1][2]))  # of red and blue in luminance
        self._step = _grid_step(size, ab_2hw.shape[1:])
        fields = self._fields(ab_2hw, small)
        # Grid points beyond every edge, so that strips can be enlarged with their neighbors.
        self._fields_2gg = [cv2.copyMakeBorder(field, 1, 2, 0, 0, cv2.BORDER_REPLICATE) for field in fields]
        if bits == 8:
            self._prepare_tables()

    @property
    def strip_rows(self) -> int:
        """Best number of rows to paint at once; strips should start at multiples of it."""
        return max(1, STRIP_PIXELS // self._width // self._step) * self._step

    def fill(self, luma_rW: Gray, top: int, out_rW4: NDArray[np.uint8]) -> None:
        """`paint` of 8 bits into the first three channels of `out`; the fourth is set to 255."""
        rows = self.strip_rows
        for start in range(0, len(luma_rW), rows):
            luma = np.ascontiguousarray(luma_rW[start : start + rows])
            p, q = (self._enlarge(field, top + start, len(luma)) for field in self._fields_2gg)
            self._paint_by_table(luma, p, q, out_rW4[start : start + rows])

    def paint(self, luma_rW: Gray, top: int) -> Rgb:
        """Paint rows from `top` on to RGB (r, W, 3). luma: gray codes of 8 or 16 bit, or light 0..1 as float32."""
        rows = max(1, self.strip_rows)
        strips = []
        for start in range(0, len(luma_rW), rows):
            luma = np.ascontiguousarray(luma_rW[start : start + rows])
            fields = [self._enlarge(field, top + start, len(luma)) for field in self._fields_2gg]
            strips.append(
                self._paint_by_table(luma, *fields) if self._bits == 8 else self._paint_by_formula(luma, *fields)
            )
        rgb: Any = strips[0] if len(strips) == 1 else np.concatenate(strips)
        painted: Rgb = rgb
        return painted

    def steps(self, top: int, rows: int) -> list[NDArray[np.uint8]]:
        """Steps p and q of some rows, for 8 bits: uint8 codes, 128 + 127 * step / reach."""
        return [self._enlarge(field, top, rows) for field in self._fields_2gg]

    def _fields(self, ab_2hw: Floats, small: Gray) -> list[Floats]:
        """Steps p and q on the grid: (rows, columns) each."""
        shape = (-(-self._height // self._step), -(-self._width // self._step))
        a, b = (_resample_to_grid(plane, shape, self._step, (self._height, self._width)) for plane in ab_2hw)
        shades: Any = small
        if small.dtype != np.float32 and small.shape[0] > shape[0]:
            shades = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        lightness = _resample_to_grid(self._space.lightness_of(shades), shape, self._step, (self._height, self._width))
        lightness = np.clip(lightness, *_HUE_LIGHTNESS)
        steps, is_inside = self._steps(lightness, a, b)
        if not is_inside.all():
            # Hue is defined in Lab: take the direction of a shorter color that is in gamut, at full length.
            places = ~is_inside
            inputs = [plane[places] for plane in (lightness, a, b)]
            share = self._share_in_lab(*inputs)
            found, _ = self._steps(inputs[0], inputs[1] * share, inputs[2] * share)
            for field, step in zip(steps, found, strict=True):
                field[places] = step / share
        return steps

    def _steps(self, lightness: Any, a: Any, b: Any) -> tuple[list[Any], Any]:
        """Steps p and q of colors, and which of the colors are in gamut."""
        xyz = np.stack(color.lab_to_xyz(lightness, a, b))
        light = np.tensordot(self._space.xyz_to_rgb.astype(np.float32), xyz, 1)
        gray = np.cbrt(xyz[1])
        is_inside = (light.min(0) >= 0) & (light.max(0) <= 1)
        return [np.cbrt(light[channel]) - gray for channel in (0, 2)], is_inside

    def _share_in_lab(self, lightness: Any, a: Any, b: Any) -> Any:
        low, share = np.zeros_like(lightness), np.full_like(lightness, 0.5)
        for halving in range(2, 2 + _FINE_HALVINGS):
            _, is_inside = self._steps(lightness, a * share, b * share)
            low = np.where(is_inside, share, low)
            share = share + np.where(is_inside, 0.5**halving, -(0.5**halving)).astype(np.float32)
        return np.maximum(low, np.float32(0.5**_HALVINGS))

    def _enlarge(self, field: Any, top: int, rows: int) -> Any:
        """Interpolate rows of the still from the field's grid."""
        step = self._step
        first, last = top // step, -(-(top + rows) // step)
        band = field[first : last + 2]  # the border makes grid row i row i + 1
        if step > 1:
            band = cv2.resize(band, (band.shape[1] * step, len(band) * step), interpolation=cv2.INTER_LINEAR)
        skipped = step + top - first * step
        return band[skipped : skipped + rows, : self._width]

    def _prepare_tables(self) -> None:
        """Make the tables of red and blue for every pair of (step, gray code)."""
        red, blue = self._weights
        # Rounded up to few values, so that pictures share tables.
        most = [max(float(np.abs(field).max()), 1e-3) for field in self._fields_2gg]
        reach = [2 ** (math.ceil(2 * math.log2(value)) / 2) for value in most]
        self.reach = reach
        self._fields_2gg = [
            np.rint(field * np.float32(127 / most) + 128).astype(np.uint8)
            for field, most in zip(self._fields_2gg, reach, strict=True)
        ]
        self._channels = [
            _channel_table(self._space, most, weight) for most, weight in zip(reach, (red, blue), strict=True)
        ]
        green = 1 - red - blue
        slack = 0.5 * _UNIT * green / 255  # of light at white: half a code
        self._possible = (_ZERO - 2, int(_ZERO + _UNIT * green + slack))

    def _paint_by_table(self, luma: Any, p: Any, q: Any, out: Any = None) -> NDArray[np.uint8]:
        """Paint 8 bits, fast: five look-ups a pixel."""
        shade = luma if luma.dtype == np.uint8 else look_up(luma, _TO_8)
        sums = look_up(luma, self._space.sums8 if luma.dtype == np.uint8 else self._sums16)
        channels = []
        for field, (codes, weights) in zip((p, q), self._channels, strict=True):
            index = cv2.merge([field, shade]).view(np.uint16)[..., 0]
            channels.append(look_up(index, codes))
            cv2.subtract(sums, look_up(index, weights), dst=sums)
        planes = [channels[0], look_up(sums, self._space.codes_of_sums), channels[1]]
        if out is not None:
            planes.append(np.full_like(channels[0], 255))
        rgb = cv2.merge(planes, dst=out)
        is_possible = cv2.inRange(sums, *self._possible)
        if cv2.countNonZero(is_possible) < is_possible.size:
            self._shrink_to_gamut(rgb, is_possible == 0, luma, p, q)
        return np.asarray(rgb, np.uint8)

    @cached_property
    def _sums16(self) -> NDArray[np.uint16]:
        return np.rint(_ZERO + _UNIT * self._space.light(16)).astype(np.uint16)

    def _paint_by_formula(self, luma: Any, p: Any, q: Any) -> NDArray[np.uint16]:
        """Paint 16 bits, exactly."""
        codes, outside = self._solve_green(luma, p, q)
        rgb: NDArray[np.uint16] = np.stack(codes, axis=2).astype(np.uint16)
        if outside.any():
            self._shrink_to_gamut(rgb, outside, luma, p, q)
        return rgb

    def _shrink_to_gamut(self, rgb: Any, is_outside: Any, luma: Any, *fields: Any) -> None:
        """Repaint places where a channel would leave its range, with p and q scaled down together."""
        places = np.flatnonzero(is_outside)
        shades = luma.reshape(-1)[places]
        rows, columns = np.divmod(places, luma.shape[1])
        steps = [field[rows, columns] for field in fields]
        if self._bits == 8:
            steps = [
                (step - np.float32(128)) * np.float32(most / 127) for step, most in zip(steps, self.reach, strict=True)
            ]
        p, q = steps
        kept = _share_in_gamut(self._light_and_root(shades)[1], p, q, self._weights)
        codes, _ = self._solve_green(shades, p * kept, q * kept)
        rgb[rows, columns, :3] = np.stack(codes, axis=-1)

    def _solve_green(self, luma: Any, p: Any, q: Any) -> tuple[list[Any], Any]:
        """Codes of R, G and B as floats, and where one of them had to be clipped.

        Light is a weighted sum: Y = wr R + wg G + wb B. Red and blue are (Y^(1/3) + p)^3 and (Y^(1/3) + q)^3; green is
        what their codes, once rounded, leave: G = (Y - wr R - wb B) / wg.
        """
        light, root = self._light_and_root(luma)
        light_of_code = (self._tables8 if self._bits == 8 else self._tables16)[0]
        channels, rest, outside = [], light, np.zeros(luma.shape, bool)
        for step, weight in zip((p, q), self._weights, strict=True):
            wanted = root + step
            outside |= (wanted < 0) | (wanted > 1)
            code = self._code_of_root(np.clip(wanted, 0, 1))
            rest = rest - np.float32(weight) * light_of_code[code.astype(np.int32)]
            channels.append(code)
        green = rest / np.float32(1 - sum(self._weights))
        outside |= (green < -1e-6) | (green > 1 + self._half_code)
        return [channels[0], self._code_of_root(np.cbrt(np.clip(green, 0, 1))), channels[1]], outside

    @property
    def _half_code(self) -> np.float32:
        return np.float32(0.5 / ((1 << self._bits) - 1))

    def _code_of_root(self, root: Any) -> Any:
        """The code, as a float, of light with this cube root 0..1."""
        coded = self._space.coded_roots
        place = root * np.float32(len(coded) - 1) + np.float32(0.5)
        return np.rint(coded[place.astype(np.int32)] * np.float32((1 << self._bits) - 1))

    def _light_and_root(self, luma: Any) -> tuple[Any, Any]:
        """Light of gray codes, and its cube root."""
        if luma.dtype == np.float32:
            return luma, np.cbrt(luma)
        light, root = self._tables8 if luma.dtype == np.uint8 else self._tables16
        return light[luma], root[luma]

    @cached_property
    def _tables8(self) -> tuple[Floats, Floats]:
        light = self._space.light(8)
        return light.astype(np.float32), np.cbrt(light).astype(np.float32)

    @cached_property
    def _tables16(self) -> tuple[Floats, Floats]:
        light = self._space.light(16)
        return light.astype(np.float32), np.cbrt(light).astype(np.float32)


@lru_cache(maxsize=64)
def _channel_table(space: RgbSpace, reach: float, weight: float) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """A channel's code, and its part of the sum of light, by (gray code << 8 | step code): (65536,) each."""
    light = space.light(8)
    wanted = np.cbrt(light)[:, None] + (np.arange(256) - 128) * (reach / 127)
    coded = space.coded_roots
    places = (np.clip(wanted, 0, 1) * (len(coded) - 1) + 0.5).astype(np.int32)
    codes = np.rint(coded[places] * 255).astype(np.uint8)
    codes[:, 128] = np.arange(256)  # a step of 0 keeps gray codes, whatever the curve
    codes[0], codes[255] = 0, 255  # black and white have no color
    shares = np.rint(_UNIT * weight * light[codes])
    is_outside = (wanted < 0) | (wanted > 1)
    is_outside[0] = is_outside[255] = False
    return codes.reshape(-1), np.where(is_outside, _OUTSIDE, shares).astype(np.uint16).reshape(-1)


def _share_in_gamut(root: Any, p: Any, q: Any, weights: tuple[float, float]) -> Any:
    """The largest share s, 0..1, of (p, q) that R, G and B have room for; all (n,) or all (r, W).

    Red and blue: 0 <= root + s p <= 1, and the same of q. Green: see `_green_cubic`; bisected, as it is not monotonic.
    """
    most = np.minimum(_share_in_channel(root, p), _share_in_channel(root, q))
    half, (c0, c1, c2, c3) = _green_cubic(root, p, q, weights)
    inside, share, move = np.zeros_like(root), most, most * 0.5
    for _ in range(_HALVINGS):
        is_inside = np.abs(c0 + share * (c1 + share * (c2 + share * c3))) <= half
        inside = np.where(is_inside, share, inside)
        share = np.minimum(np.where(is_inside, share + move, share - move), most)
        move = move * 0.5
    return inside


def _share_in_channel(root: Any, step: Any) -> Any:
    """The largest share 0..1 of a step that keeps root + share * step in 0..1."""
    room = np.where(step > 0, 1 - root, root)
    return np.minimum(np.ones_like(root), room / np.maximum(np.abs(step), 1e-9))


def _green_cubic(root: Any, p: Any, q: Any, weights: tuple[float, float]) -> tuple[float, tuple[Any, Any, Any, Any]]:
    """Green's weighted light as a cubic in the share s: half of its range, and coefficients c0..c3 about its middle.

    With x = root, and wr, wg, wb of sum 1:
        wg G(s) = x^3 - wr (x + s p)^3 - wb (x + s q)^3
                = wg x^3 - 3 x^2 (wr p + wb q) s - 3 x (wr p^2 + wb q^2) s^2 - (wr p^3 + wb q^3) s^3
    0 <= G <= 1 is one comparison: |wg G - wg / 2| <= wg / 2.
    """
    green = 1 - sum(weights)
    square = root * root
    c0 = green * (square * root - 0.5)
    red, blue = weights[0] * p, weights[1] * q
    c1 = -3 * square * (red + blue)
    red, blue = red * p, blue * q
    c2 = -3 * root * (red + blue)
    c3 = -(red * p + blue * q)
    return green / 2, (c0, c1, c2, c3)


def _grid_step(size: tuple[int, int], known: tuple[int, ...]) -> int:
    """Pixels between grid points: a power of two; the grid has at least as many points as a*b* and _GRID_PIXELS."""
    step = 1
    while (
        step < 16
        and (2 * step) ** 2 * _GRID_PIXELS < size[0] * size[1]
        and all(side // (2 * step) >= points for side, points in zip(size, known, strict=True))
    ):
        step *= 2
    return step


def _resample_to_grid(plane: Any, shape: tuple[int, int], step: int, size: tuple[int, int]) -> Any:
    """Resample a plane that spans `size` to a grid of cells of `step` pixels: bicubic, edges repeated."""
    plane = np.ascontiguousarray(plane, np.float32)
    if plane.shape[0] > shape[0]:
        plane = cv2.resize(plane, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    across, down = plane.shape[1] * step / size[1], plane.shape[0] * step / size[0]
    to_plane = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(plane, to_plane, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)


_TO_8 = np.rint(np.arange(1 << 16) / 257).astype(np.uint8)
