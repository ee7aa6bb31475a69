"""Color on 8-bit gray as Y', Cb and Cr planes with half the chroma samples each way (4:2:0), as JPEG stores pictures.

Chroma is painted at its own size. Y' is then solved for at full size, so that every pixel has the light of its gray:

    light(Y' + RGB_FROM_CB * Cb + RGB_FROM_CR * Cr) = light(gray),    light(R'G'B') = sum of weight_i * curve(i)

Solving this for every pixel would be slow. In two well-chosen directions of chroma, what Y' has to give way is nearly
the sum of what each direction asks for alone, so two look-ups a pixel do; see `_Tables`. Where colors are too strong
for that, the rest is solved exactly, once for each chroma sample.
Matrix: ITU-T T.871 (JFIF), clause 7: BT.601's, full range.

Shapes: H W of luma, h w of chroma, both of the whole picture; n of samples that are corrected one by one.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor import color
from vidcolor.color import Floats
from vidcolor.frames import Plane
from vidcolor.painting.painter import Painter, RgbSpace
from vidcolor.planes import look_up

_KR, _KG, _KB = color.REC601_LUMA
# What a code of Cb and of Cr adds to R', G' and B'.
_RGB_FROM_CB = np.array([0, -2 * _KB * (1 - _KB) / _KG, 2 * (1 - _KB)])
_RGB_FROM_CR = np.array([2 * (1 - _KR), -2 * _KR * (1 - _KR) / _KG, 0])
_STRIP_PIXELS = 1 << 20  # of luma, painted at once: each call of the small ones would cost a fifth more
_UNIT = 32  # a code of Y' in the 16-bit sums
_OFFSET = 200 * _UNIT  # Y' never gives way by more, chroma never goes further
_MAX_ERROR = 0.2  # codes that a sum may be off before it is corrected
_FINE = 32  # steps of a code at which light is looked up
_NEWTON_STEPS = 6
_BISECTION_STEPS = 14  # from 32 codes down to 1/256
_SLACK = 0.1  # gray codes that a color may stand outside the gamut: less than its rounding
_HALVINGS = 6  # of the share of chroma that is kept
_GRID_BITS = 2  # low bits of codes that the grid of `_accurate_grays` leaves out


class YccPainter:
    """Paints Y', Cb and Cr of one picture."""

    def __init__(self, painter: Painter, space: RgbSpace):
        """painter: of the size of chroma, 8 bit.  space: as the painter's."""
        self._painter, self._tables = painter, _Tables.for_space(space)
        self._chroma = [_chroma_table(space, channel, painter.reach[channel > 0]) for channel in (0, 2)]

    def fill(self, luma_HW: Plane, y_HW: Plane, cb_hw: Plane, cr_hw: Plane) -> None:
        """Paint the whole picture into the given planes. luma: gray codes, of even sides, twice those of chroma."""
        step = max(1, _STRIP_PIXELS // luma_HW.shape[1] // 2)
        for top in range(0, len(cb_hw), step):
            rows = slice(top, top + step)
            luma_rows = slice(2 * rows.start, 2 * rows.stop)
            self._fill_strip(luma_HW[luma_rows], top, y_HW[luma_rows], cb_hw[rows], cr_hw[rows])

    def _fill_strip(self, luma: Any, top: int, y: Any, cb: Any, cr: Any) -> None:
        tables = self._tables
        gray = cv2.resize(luma, (luma.shape[1] // 2, len(luma) // 2), interpolation=cv2.INTER_AREA)
        places, correction = self._paint_chroma(gray, top, cb, cr), None
        if places is not None:
            correction = tables.luma_correction(*(plane.reshape(-1)[places] for plane in (gray, cb, cr)))
        across = _double_columns(cv2.addWeighted(cr, 1, cb, tables.shear, -128 * tables.shear))
        along = _double_columns(cb)
        for row in (0, 1):  # cheaper than doubling rows of chroma
            sums = _look_up_pairs(across, luma[row::2], tables.across)
            cv2.subtract(sums, _look_up_pairs(along, luma[row::2], tables.along), dst=sums)
            if correction is not None:
                pairs = sums.view(np.int16).reshape(-1, 2)
                pairs[places] = np.maximum(pairs[places] + correction[:, None], 0)
            cv2.convertScaleAbs(sums, dst=y[row::2], alpha=1 / _UNIT)

    def _paint_chroma(self, gray: Any, top: int, cb: Any, cr: Any) -> Any:
        """Paint Cb and Cr, shrunk toward gray where R, G or B would leave 0..255.

        Returns the flat indices of samples where the sums of `_Tables` are not accurate; None where all are.
        """
        tables = self._tables
        steps = self._painter.steps(top, len(gray))
        red, blue = (_look_up_pairs(step, gray, table) for step, table in zip(steps, self._chroma, strict=True))
        both = cv2.add(red, blue).view(np.uint16).reshape(*gray.shape, 2)
        codes = cv2.convertScaleAbs(both, alpha=1 / _UNIT, beta=128 - 2 * _OFFSET / _UNIT)
        edges = look_up(codes.view(np.uint16)[..., 0], tables.edges).view(np.uint8).reshape(*gray.shape, 2)
        cv2.split(codes, [cb, cr])
        is_plain = cv2.inRange(gray, *cv2.split(edges))
        if cv2.countNonZero(is_plain) == is_plain.size:
            return None
        places = np.flatnonzero(is_plain == 0)
        rows, columns = np.divmod(places, gray.shape[1])
        shades = gray[rows, columns]
        cb[rows, columns], cr[rows, columns] = tables.shrink_to_gamut(shades, cb[rows, columns], cr[rows, columns])
        return places


class _Tables:
    """Y' of every gray code under every chroma, as the difference of two look-ups.

        Y' = across[gray, Cr + shear * Cb] - along[gray, Cb]

    `across` is Y' under Cr alone, `along` what Y' loses along Cb while Cr goes down by `shear` with it. What Y' gives
    way is of second order in chroma; its mixed term vanishes where the two directions are conjugate: `_find_shear`.

    across, along: (65536,), in units of 1/32 code, by (gray << 8 | code).  edges: (65536,), by (Cr << 8 | Cb): in the
    low byte the least gray code that has room for the chroma and from which the sum is accurate, in the high byte the
    greatest.
    """

    def __init__(self, space: RgbSpace):
        weights = _luminance_weights(space)
        self._weights = weights.astype(np.float32)
        self._curve = _fine_curve(space)
        self._slope = _slope_of(self._curve)
        self.shear = _find_shear(weights)
        self.across, self.along = self._make_sums(space)
        self._darkest, self._lightest = _gamut_grays(space)
        darkest, lightest = self._accurate_grays(space)
        low, high = np.maximum(self._darkest, darkest), np.minimum(self._lightest, lightest)
        self.edges = low | high.astype(np.uint16) << 8

    @staticmethod
    @lru_cache(maxsize=8)
    def for_space(space: RgbSpace) -> "_Tables":
        """The tables of a space, made once."""
        return _Tables(space)

    def _make_sums(self, space: RgbSpace) -> list[NDArray[np.uint16]]:
        gray, code = (plane.astype(np.float32) for plane in np.mgrid[:256, -128:128])
        across = _solve_luma(space, gray, np.zeros_like(code), code)
        along = gray - _solve_luma(space, gray, code, -np.float32(self.shear) * code)
        return [
            np.rint(_OFFSET + _UNIT * plane).clip(0, 65535).astype(np.uint16).reshape(-1) for plane in (across, along)
        ]

    def _look_up_sums(self, gray: Any, cb: Any, cr: Any, cb_offset: Any) -> Any:
        """`across - along`, int32, in units. gray: integers of 32 bits or more.  cb_offset: Cb less 128."""
        across = np.rint(cr + self.shear * cb_offset).clip(0, 255).astype(np.int32)
        return self.across[gray << 8 | across].astype(np.int32) - self.along[gray << 8 | cb]

    def luma_correction(self, gray: Any, cb: Any, cr: Any) -> Any:
        """What the sums of these codes, (n,) each, fall short of the true Y', in units: (n,) int16."""
        shades, blue_offset, red_offset = (
            gray.astype(np.int32),
            cb.astype(np.float32) - 128,
            cr.astype(np.float32) - 128,
        )
        sums = self._look_up_sums(shades, cb, cr, blue_offset)
        added = [
            np.float32(b) * blue_offset + np.float32(r) * red_offset
            for b, r in zip(_RGB_FROM_CB, _RGB_FROM_CR, strict=True)
        ]
        y = self._solve_by_newton(sums.astype(np.float32) / _UNIT, added, self._curve[_FINE * shades])
        return np.rint(y * _UNIT - sums).clip(-_OFFSET, _OFFSET).astype(np.int16)

    def _solve_by_newton(self, y: Any, added: list[Any], wanted: Any) -> Any:
        """Y' whose R'G'B' = Y' + `added` has the wanted light, from a guess `y`, which is changed."""
        for _ in range(_NEWTON_STEPS):
            light, slope = np.zeros_like(y), np.full_like(y, 1e-5)
            for weight, more in zip(self._weights, added, strict=True):
                place = ((y + more) * _FINE + np.float32(0.5)).astype(np.int32).clip(0, 255 * _FINE)
                light += weight * self._curve[place]
                slope += weight * self._slope[place]
            y += np.clip((wanted - light) / slope, -16, 16)
        return y

    def _accurate_grays(self, space: RgbSpace) -> list[NDArray[np.uint8]]:
        """The darkest and lightest gray with accurate sums, by (Cr << 8 | Cb); measured on a grid of codes."""
        step = 1 << _GRID_BITS
        codes = np.arange(step // 2, 256, step)
        cr, cb, gray = np.meshgrid(codes, codes, codes, indexing="ij", sparse=True)
        found = self._look_up_sums(gray, cb, cr, cb - 128) / _UNIT
        chroma = [(plane - 128).astype(np.float32) for plane in (cb, cr)]
        wanted = _solve_luma(space, gray.astype(np.float32), *chroma)
        channels = [wanted + b * chroma[0] + r * chroma[1] for b, r in zip(_RGB_FROM_CB, _RGB_FROM_CR, strict=True)]
        is_real = (np.min(channels, axis=0) > -4 * step) & (np.max(channels, axis=0) < 255 + 4 * step)
        is_off = is_real & (np.abs(wanted - found) > _MAX_ERROR)
        half = step // 2
        darkest = np.where(is_off & (gray < 128), gray + 3 * half, 0).max(2)
        lightest = np.where(is_off & (gray >= 128), gray - half - 1, 255).min(2)
        return [
            np.repeat(np.repeat(edge, step, 0), step, 1).reshape(-1).astype(np.uint8) for edge in (darkest, lightest)
        ]

    def shrink_to_gamut(self, gray: Any, cb: Any, cr: Any) -> tuple[Any, Any]:
        """The most of this chroma that these grays, (n,) each, have room for. The share kept is bisected."""
        strong = np.flatnonzero(~self._has_room(gray, cb, cr))
        if not len(strong):
            return cb, cr
        shades, chroma = gray[strong], np.stack([cb[strong], cr[strong]]).astype(np.float32) - 128
        share, step = np.zeros(len(strong), np.float32), np.float32(0.5)
        for _ in range(_HALVINGS):
            share += step * self._has_room(shades, *self._scale_codes(chroma, share + step))
            step = step / 2
        blue, red = cb.copy(), cr.copy()
        blue[strong], red[strong] = self._scale_codes(chroma, share)
        return blue, red

    @staticmethod
    def _scale_codes(chroma: Any, share: Any) -> Any:
        return (chroma * share).astype(np.int32) + 128  # rounds toward gray

    def _has_room(self, gray: Any, cb: Any, cr: Any) -> Any:
        index = cr.astype(np.int32) << 8 | cb
        return (self._darkest[index] <= gray) & (gray <= self._lightest[index])


def _luminance_weights(space: RgbSpace) -> NDArray[np.float64]:
    """What R, G and B weigh in luminance: (3,), of sum 1."""
    row = space.rgb_to_xyz[1]
    return np.array(row) / sum(row)


def _fine_curve(space: RgbSpace) -> Floats:
    """Light of gray codes and of fractions between: (255 * _FINE + 1,)."""
    places = np.linspace(0, 1, 255 * _FINE + 1)
    return np.interp(places, np.linspace(0, 1, len(space.curve)), space.curve).astype(np.float32)


def _slope_of(curve: Floats) -> Floats:
    """The curve's slope, light a code; 0 at its ends, where channels are clipped."""
    slope = np.gradient(curve) * np.float32(_FINE)
    slope[[0, -1]] = 0
    return np.asarray(slope)


def _find_shear(weights: NDArray[np.float64]) -> float:
    """How far Cr has to go down with Cb, so that the direction (Cb, -shear * Cb) and Cr are conjugate.

    Light bends with the weighted variance of R'G'B', whose quadratic form is F = diag(w) - w w^T. Two directions u, v
    add up without a mixed term where u^T F v = 0; for u = CB - shear * CR and v = CR: shear = CB^T F CR / CR^T F CR.
    """
    form = np.diag(weights) - np.outer(weights, weights)
    return float(_RGB_FROM_CB @ form @ _RGB_FROM_CR / (_RGB_FROM_CR @ form @ _RGB_FROM_CR))


def _gamut_grays(space: RgbSpace) -> list[NDArray[np.uint8]]:
    """The darkest and the lightest gray that has room for a chroma, by (Cr << 8 | Cb). No room: 255 and 0."""
    cr, cb = np.mgrid[-128:128, -128:128].reshape(2, -1, 1)
    added = cb * _RGB_FROM_CB + cr * _RGB_FROM_CR
    weights = _luminance_weights(space)
    edges = []
    for y in (-added.min(1), 255 - added.max(1)):
        codes = np.clip((y[:, None] + added) / 255, 0, 1)
        light = np.interp(codes, np.linspace(0, 1, len(space.curve)), space.curve) @ weights
        edges.append(255 * space.codes(light))
    has_room = -added.min(1) <= 255 - added.max(1)
    darkest = np.where(has_room, np.ceil(edges[0] - _SLACK), 255).clip(0, 255).astype(np.uint8)
    lightest = np.where(has_room, np.floor(edges[1] + _SLACK), 0).clip(0, 255).astype(np.uint8)
    return [darkest, lightest]


@lru_cache(maxsize=64)
def _chroma_table(space: RgbSpace, channel: int, reach: float) -> NDArray[np.int32]:
    """The chroma that a step of red (0) or blue (2) makes, by (gray << 8 | step): low 16 bits Cb, high 16 bits Cr.

    The chroma of both steps is simply added: green bends so little under the two together that no code changes.
    """
    light, coded = space.light(8)[:, None], space.coded_roots
    wanted = np.clip(np.cbrt(light) + (np.arange(256) - 128) * (reach / 127), 0, 1) ** 3
    weights = _luminance_weights(space)
    green = np.clip(light + (light - wanted) * weights[channel] / weights[1], 0, 1)
    gray = np.broadcast_to(light, wanted.shape)
    channels = [wanted, green, gray] if channel == 0 else [gray, green, wanted]
    places = [(np.cbrt(plane) * (len(coded) - 1) + 0.5).astype(np.int32) for plane in channels]
    red, green, blue = (255 * coded[place] for place in places)
    y = _KR * red + _KG * green + _KB * blue
    cb, cr = (blue - y) / (2 - 2 * _KB), (red - y) / (2 - 2 * _KR)
    packed = [np.rint(plane * _UNIT + _OFFSET).astype(np.int64) for plane in (cb, cr)]
    for plane in packed:
        plane[0] = plane[255] = plane[:, 128] = _OFFSET
    return np.asarray(packed[0] | packed[1] << 16, np.int32).reshape(-1)


def _solve_luma(space: RgbSpace, gray: Any, cb: Any, cr: Any) -> Any:
    """Y' 0..255 of pixels with this chroma and the light of these gray codes; channels outside 0..255 count as clipped.

    By bisection to 1/256 of a code, as the curve may have any shape.
    """
    curve = _fine_curve(space)
    weights = [np.float32(weight) for weight in _luminance_weights(space)]
    added = [np.float32(b) * cb + np.float32(r) * cr for b, r in zip(_RGB_FROM_CB, _RGB_FROM_CR, strict=True)]
    wanted = curve[(_FINE * gray).astype(np.int32)]
    found, step = np.asarray(gray, np.float32), np.float32(32)
    for _ in range(_BISECTION_STEPS):
        light: Any = sum(
            weight * curve[np.clip((found + more) * _FINE + np.float32(0.5), 0, 255 * _FINE).astype(np.int32)]
            for weight, more in zip(weights, added, strict=True)
        )
        found = np.where(light > wanted, found - step, found + step)
        step = step / 2
    return np.clip(found, -63, 318)


def _double_columns(plane: Any) -> Any:
    return cv2.merge([plane, plane]).reshape(len(plane), -1)


def _look_up_pairs(low: Any, high: Any, table: Any) -> Any:
    """table[high << 8 | low] of two planes of bytes."""
    return look_up(cv2.merge([low, high]).view(np.uint16)[..., 0], table)
