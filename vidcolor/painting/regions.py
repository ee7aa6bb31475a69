"""Detection of mixed scans, which are gray in one part and colored in another.

Examples: a photo on an album's page, in a red border, with a stamp on it, beside a ruler or a printed color target.
Color photos have gray places too. A mixed scan differs in two ways: its photo is strictly of one tone wherever it has
detail, and its colors are those of things that people lay beside photos or print on them: paper without detail around
convex pieces, rectangles, plain stickers, thin strokes. Colors of any other shape (a tinted dress, a face) make it a
color photo, which is left as it is. Thresholds are from 595 color photos, none of which counts as mixed, and scans of
eleven kinds, composed of 39 old photos in five tones, JPEG at quality 70 to 93.

Shapes: h w of the small picture that is examined, its short side SHORT_SIDE to twice that; H W of the whole picture, r
rows of it.
"""

from dataclasses import dataclass, field
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor import color
from vidcolor.color import Floats
from vidcolor.painting.tone import tone_curve, tone_of

SHORT_SIDE = 256  # pixels of the small picture, at least
WINDOW = 1 / 8  # of the short side
DETAIL = 8.0  # L*: standard deviation in a window that shows something
TEXTURE = 1.5  # L*: the same in five pixels; paper and skies are below
STRAIGHT = (1.0, 0.12)  # a*b* of a window from a line over L*, where it may be of one tone: fixed, and per chroma
STRICT = (1.0, 0.05)  # root mean square of a*b* from the tone in a window of the photo: the same
OFF_TONE = (4.0, 0.1)  # a*b* from the tone, from which a color is no part of it: the same
LEAST_PHOTO = 0.05  # of the picture, in such windows
STRICT_SHARE = 0.5  # of the windows with detail and without other colors
LEAST_OTHER = 0.02  # of a window: that many make it one with other colors
ROUNDS = 3  # in which the tone is found
CURVE_PIXELS = 8000  # are enough to know it by
SPECK = 0.0003  # of the picture: less is noise
EXPLAINED = 0.88  # of the colors, at least
PAPER = (0.03, 0.6)  # of the picture; and of a part, that which is of its color
PAPER_CHROMA = 9.6  # a*b* from its color
PLAIN = 4.0  # L*: standard deviation in five pixels of three quarters of a paper or a sticker
PIECE = (0.01, 0.9)  # of the picture, what lies on a paper; and of its hull, at least
THING = 0.3  # of the picture, at most
RECTANGLE = (0.84, 0.4)  # of the rectangle, a thing's hull; and of the hull, what has color
ROUND = 0.93  # of its hull, a plain sticker
PATCH = 0.01  # of the picture, at most
STROKE = 0.02  # of the short side: half a stroke's width
GAP = 0.05  # of the short side, between patches of a target
PHOTO = (0.03, 2.5, 30.0)  # a rectangle that is a photo of another tone: of the picture, long to short side, chroma

Mask = NDArray[np.bool_]
Rgb = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class ColoredRegions:
    """The parts of a mixed scan that keep their colors.

    mask_hw: 1 where colors are kept, 0 where it is gray, between at borders.  rgb_hw3: codes of the small picture.
    """

    mask_hw: Floats
    rgb_hw3: Rgb = field(repr=False)

    @property
    def share(self) -> float:
        """Share of the picture, 0..1."""
        return float(self.mask_hw.mean())

    def overlay(self, painted_rW3: Rgb, original_rW3: Rgb, top: int, size: tuple[int, int]) -> Rgb:
        """Overlay the original colors on painted rows from `top` on of a picture of `size` (H, W).

        Except at borders, every pixel is exactly the painted or the original one.
        """
        down, across = (small / whole for small, whole in zip(self.mask_hw.shape, size, strict=True))
        to_mask = np.array([[across, 0, across / 2 - 0.5], [0, down, (top + 0.5) * down - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        share = cv2.warpAffine(
            self.mask_hw, to_mask, (size[1], len(painted_rW3)), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        painted, original = painted_rW3.astype(np.float32), original_rW3.astype(np.float32)
        mixed = np.rint(painted + share[..., None] * (original - painted)).astype(painted_rW3.dtype)
        rows: Any = np.where(share[..., None] == 1, original_rW3, mixed)
        return cast(Rgb, rows)

    def resized(self, rows: int, columns: int) -> Rgb:
        """The original colors at another size."""
        return cast(Rgb, cv2.resize(self.rgb_hw3, (columns, rows), interpolation=cv2.INTER_AREA))


def find_colored_regions(rgb: Rgb) -> ColoredRegions | None:
    """The parts of sRGB code values (h, w, 3) that keep their colors; None for anything but a mixed scan."""
    levels = np.asarray(rgb, np.float32) / np.float32(np.iinfo(rgb.dtype).max)
    planes = color.rgb_to_lab(*np.moveaxis(levels, 2, 0))
    lab: Any = np.stack([cv2.GaussianBlur(np.asarray(plane, np.float32), (0, 0), 0.8) for plane in planes])
    window = int(WINDOW * min(rgb.shape[:2])) | 1
    has_detail, chroma = _deviation(lab[0], window) > DETAIL, _mean(np.hypot(lab[1], lab[2]), window)
    may_be_photo = has_detail & (_deviation_from_line(lab, window) < _limit(STRAIGHT, chroma))
    if may_be_photo.mean() < LEAST_PHOTO:
        return None
    off, tone_chroma = _distance_from_tone(lab, may_be_photo)
    reach = _limit(OFF_TONE, tone_chroma)
    own = np.minimum(off, np.hypot(lab[1], lab[2]))  # a white ground under a sepia photo is no color
    is_own = _remove_specks(own > reach)
    is_strict = has_detail & (np.sqrt(_mean(off * off, window)) < _limit(STRICT, chroma))
    is_alone = has_detail & (_mean(is_own.astype(np.float32), window) < LEAST_OTHER)
    if not is_own.any() or is_strict.mean() < LEAST_PHOTO or is_strict.sum() < STRICT_SHARE * is_alone.sum():
        return None
    things = _ColoredThings(rgb, lab, is_own)
    if things.explained < EXPLAINED:
        return None
    return ColoredRegions(_soft_mask(things, is_own, own / reach), rgb)


def _limit(limit: tuple[float, float], chroma: Floats) -> Floats:
    return np.asarray(limit[0] + limit[1] * chroma, np.float32)


def _mean(plane: Any, window: int) -> Any:
    return cv2.blur(plane, (window, window))


def _deviation(plane: Any, window: int) -> Any:
    """Standard deviation in a window."""
    middle = _mean(plane, window)
    return np.sqrt(np.maximum(_mean(plane * plane, window) - middle * middle, 0))


def _deviation_from_line(lab: Floats, window: int) -> Any:
    """Standard deviation of a*b* in a window from their regression line over L*."""
    lightness = lab[0] - np.float32(50)
    mean_lightness = _mean(lightness, window)
    variance_lightness = np.maximum(
        _mean(lightness * lightness, window) - mean_lightness * mean_lightness, 0
    ) + np.float32(4)  # noise in flats
    residual = np.zeros_like(variance_lightness)
    for plane in lab[1:]:
        mean_plane = _mean(plane, window)
        covariance = _mean(plane * lightness, window) - mean_plane * mean_lightness
        residual += np.maximum(
            _mean(plane * plane, window) - mean_plane * mean_plane - covariance * covariance / variance_lightness, 0
        )
    return np.sqrt(residual)


def _distance_from_tone(lab: Floats, may_be_photo: Mask) -> tuple[Floats, Floats]:
    """Distance in a*b* of every pixel from the photo's tone, and that tone's chroma at the pixel."""
    is_textured = _deviation(lab[0], 5) > TEXTURE  # a paper's one color would bend the curve at its lightness
    near, off, chroma = may_be_photo & is_textured, np.hypot(lab[1], lab[2]), np.zeros_like(lab[0])
    for number in range(1 + ROUNDS):
        places = np.flatnonzero(near)
        if not len(places):
            break
        places = places[:: max(1, len(places) // CURVE_PIXELS)]
        a, b = tone_curve(*(plane.reshape(-1)[places] for plane in lab))(lab[0])
        off, chroma = np.hypot(lab[1] - a, lab[2] - b), np.hypot(a, b)
        near = is_textured & (off < _limit(OFF_TONE, chroma))
        if number == 0:
            near &= may_be_photo
    return off, chroma


def _soft_mask(things: "_ColoredThings", is_own: Mask, off: Floats) -> Floats:
    """A mask of 1 in things and strokes, falling to 0 within a pixel or two."""
    near = cv2.dilate(is_own.astype(np.uint8), _disk_kernel(2)) * ~things.photos
    strokes = cv2.dilate((np.clip(off - 0.75, 0, 1) * near).astype(np.float32), _disk_kernel(1))
    mask = np.maximum(things.solid, strokes).astype(np.float32)
    return np.asarray(np.clip(1.5 * cv2.GaussianBlur(mask, (0, 0), 0.7), 0, 1), np.float32)


class _ColoredThings:
    """The things that the colors of a scan belong to.

    solid: papers, and things with everything inside.  photos: photos of another tone.  explained: share of the colors
    that belong to things of a known kind, 0..1.
    """

    def __init__(self, rgb: Rgb, lab: Floats, is_own: Mask) -> None:
        self._rgb, self._lab, self._side = rgb, lab, min(is_own.shape)
        self._roughness = _deviation(lab[0], 5)
        self.photos = np.zeros_like(is_own)
        self.solid = self._find_papers(is_own)
        known = int((self.solid & is_own).sum())
        rest = _remove_specks(is_own & ~self.solid)
        if known:  # JPEG's chroma runs over a paper's edge: thin lines along it belong to it
            rest &= ~_morph(cv2.MORPH_DILATE, self.solid, 2) | _morph(cv2.MORPH_OPEN, rest, 2)
        total = known + int(rest.sum())
        groups = _components(_morph(cv2.MORPH_CLOSE, rest, max(1, round(GAP / 2 * self._side))))
        self.explained = (known + sum(self._classify(group, group & rest) for group in groups)) / max(1, total)

    def _find_papers(self, is_own: Mask) -> Mask:
        """Plain papers that pieces lie on."""
        papers = np.zeros_like(is_own)
        for part in _components(is_own):
            if part.mean() < PAPER[0]:
                continue
            ground = part & (self._distance_from_median(part) < PAPER_CHROMA)
            if ground.sum() < PAPER[1] * part.sum() or not self._is_plain(ground):
                continue
            ground = _morph(cv2.MORPH_CLOSE, ground, 2)
            pieces = [_fill_holes(piece) for piece in _components(~ground) if piece.mean() > PIECE[0]]
            if pieces and all(piece.sum() > PIECE[1] * _hull_area(piece) for piece in pieces):
                papers |= ground
        return papers

    def _classify(self, group: Mask, colored: Mask) -> int:
        """Classify a group, mark it in `solid` or `photos`; how many of its colored pixels are of a known kind."""
        area = int(colored.sum())
        if self._are_strokes(colored):
            return area
        if group.mean() < THING and _squareness(group) > RECTANGLE[0] and area > RECTANGLE[1] * _hull_area(group):
            if self._is_photo(group):
                self.photos |= _hull(group)
            else:
                self.solid |= _hull(group)
            return area
        if self._is_sticker(group):
            self.solid |= group
            return area
        return sum(int(part.sum()) for part in _components(colored) if self._is_small_thing(part))

    def _are_strokes(self, part: Mask) -> bool:
        inside = np.pad(part, 1, mode="edge").astype(np.uint8)
        return bool(cv2.distanceTransform(inside, cv2.DIST_L2, 3).max() <= STROKE * self._side)

    def _is_small_thing(self, part: Mask) -> bool:
        return self._are_strokes(part) or (part.mean() < PATCH and _squareness(part) > RECTANGLE[0])

    def _is_sticker(self, part: Mask) -> bool:
        """Whether a part is round and plain. Tinting lets the photo show through."""
        inside = _morph(cv2.MORPH_ERODE, part, 3)
        if not inside.any() or not self._is_plain(inside) or float(self._lab[0][inside].std()) > PLAIN:
            return False
        return bool(part.mean() < THING and part.sum() > ROUND * _hull_area(part))

    def _is_photo(self, thing: Mask) -> bool:
        """Whether a rectangle is a photo of another tone, which is painted too."""
        left, top, width, height = cv2.boundingRect(thing.astype(np.uint8))
        if thing.mean() < PHOTO[0] or max(width, height) > PHOTO[1] * min(width, height):
            return False
        inset = max(2, min(width, height) // 10)
        shown = slice(top + inset, top + height - inset), slice(left + inset, left + width - inset)
        lightness, a, b = (plane[shown] for plane in self._lab)
        if lightness.std() < DETAIL or np.median(np.hypot(a, b)) > PHOTO[2]:
            return False
        return tone_of(cast(Rgb, np.ascontiguousarray(self._rgb[shown]))) != "color"

    def _is_plain(self, part: Mask) -> bool:
        return float(np.percentile(self._roughness[part], 75)) < PLAIN

    def _distance_from_median(self, part: Mask) -> Floats:
        a, b = (plane - np.median(plane[part]) for plane in self._lab[1:])
        return np.asarray(np.hypot(a, b), np.float32)


def _disk_kernel(radius: int) -> Any:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _morph(operation: int, mask: Mask, radius: int) -> Mask:
    return cv2.morphologyEx(mask.astype(np.uint8), operation, _disk_kernel(radius)).astype(bool)


def _components(mask: Mask) -> list[Mask]:
    """Connected parts, without specks."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    least = SPECK * mask.size
    return [labels == number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= least]


def _remove_specks(mask: Mask) -> Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    is_kept = stats[:, cv2.CC_STAT_AREA] >= SPECK * mask.size
    is_kept[0] = False
    return np.asarray(is_kept[labels])


def _fill_holes(part: Mask) -> Mask:
    """A part without its holes."""
    contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(part.shape, np.uint8), contours, -1, 1, cv2.FILLED).astype(bool)


def _corners(part: Mask) -> Any:
    return cv2.convexHull(np.argwhere(part).astype(np.int32)[:, ::-1])


def _hull(part: Mask) -> Mask:
    return cv2.fillConvexPoly(np.zeros(part.shape, np.uint8), _corners(part), 1).astype(bool)


def _hull_area(part: Mask) -> int:
    return int(_hull(part).sum())


def _squareness(part: Mask) -> float:
    """Share of the smallest rectangle around a part that its hull fills."""
    corners = _corners(part)
    width, height = cv2.minAreaRect(corners)[1]
    return float((cv2.contourArea(corners) + 1) / (width * height + 1))
