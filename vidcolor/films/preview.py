"""Previews of a film: its shots, some pictures of each, and frames with one half in color."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.color import Floats, LumaCoding, chroma_levels, luma_table
from vidcolor.films.pipeline import DECODED_AHEAD, Source, colored_frames, view_of
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, PictureFormat, Plane
from vidcolor.inference.colorizer import Colorizer, View
from vidcolor.overlap import prefetch
from vidcolor.planes import look_up, shrink
from vidcolor.steady import Steadiness
from vidcolor.steady.checkpoints import PendingItems
from vidcolor.steady.cuts import CutDetector

LONG_SECONDS = 4.0  # of a shot, after which another of its frames is worth showing
MOST_SAMPLES = 4  # of a shot
SAMPLE_SIDE = 540  # pixels, short side of a sample: more than a cell of a sheet shows
_BLACK = 4.0  # L*, mean of a picture: below it there is nothing to see
_DIM = 0.5  # of the median of a shot's pictures: darker ones are of a fade
_HELD = 8  # samples of a shot while its length is unknown, twice as many at most

T = TypeVar("T")


@dataclass(frozen=True)
class Shot:
    """The first frame of a shot. number: of the frame, counted from 0 where the source begins."""

    number: int
    frame: Frame


@dataclass(frozen=True)
class Sample:
    """A frame of a shot, no larger than it is shown. number: as of a Shot."""

    number: int
    luma: Plane
    picture: PictureFormat  # of `luma`
    brightness: float  # mean L*


def find_shots(source: Source, lightness: Callable[[Plane], Floats]) -> Iterator[Shot]:
    """Find the film's shots while it is decoded. lightness: luma plane (H, W) -> small L* 0..100, (h, w)."""
    for shot, _ in _frames(source, lightness):
        if shot is not None:
            yield shot


def sample_shots(
    source: Source, lightness: Callable[[Plane], Floats], side: int = SAMPLE_SIDE
) -> Iterator[tuple[Shot, list[Sample]]]:
    """The film's shots, each with the frames that show it: one, or some of a long shot; none black if one is not.

    lightness: as for find_shots.  side: pixels, the least short side of a sample.
    """
    rate = source.info.frame_rate or Fraction(25)
    held: _Samples | None = None
    current: Shot | None = None
    for number, (shot, (frame, brightness)) in enumerate(_frames(source, lightness)):
        if shot is not None:
            if current is not None and held is not None:
                yield current, held.choose(rate)
            current, held = shot, _Samples(source.info.picture, side)
        if held is not None:
            held.add(number, frame, brightness)
    if current is not None and held is not None:
        yield current, held.choose(rate)


def _frames(source: Source, lightness: Callable[[Plane], Floats]) -> Iterator[tuple[Shot | None, tuple[Frame, float]]]:
    """Every frame with its mean L*, and with the shot if it is its first."""
    detector, waiting = CutDetector(), PendingItems[tuple[Frame, float]](0)

    def decide() -> Iterator[tuple[tuple[Frame, float], bool]]:
        for frame in decoded:
            seen = lightness(frame.luma)
            yield from waiting.put((frame, float(seen.mean())), detector.push(seen))
        yield from waiting.match(detector.finish())

    with closing(prefetch(source.frames(), DECODED_AHEAD)) as decoded:
        for number, (found, is_start) in enumerate(decide()):
            yield (Shot(number, found[0]) if is_start or number == 0 else None), found


class _Samples:
    """Frames of a shot, evenly spaced, while its length is unknown."""

    def __init__(self, picture: PictureFormat, side: int) -> None:
        self._picture, self._side = picture, side
        self._held: list[Sample] = []
        self._count, self._stride = 0, 1

    def add(self, number: int, frame: Frame, brightness: float) -> None:
        """Add the next frame."""
        if self._count % self._stride == 0:
            self._held.append(_shrink(number, frame.luma, self._picture, brightness, self._side))
        self._count += 1
        if len(self._held) == 2 * _HELD:
            self._held, self._stride = self._held[::2], 2 * self._stride

    def choose(self, rate: Fraction) -> list[Sample]:
        """The frames to show of the whole shot."""
        seen = [sample.brightness for sample in self._held if sample.brightness >= _BLACK]
        least = _DIM * float(np.median(seen)) if seen else 0.0
        lit = [sample for sample in self._held if sample.brightness >= least]
        return pick_evenly(lit, min(MOST_SAMPLES, 1 + int(self._count / rate / LONG_SECONDS)))


def _shrink(number: int, luma: Plane, picture: PictureFormat, brightness: float, side: int) -> Sample:
    scale = side / min(picture.width, picture.height)
    if scale >= 1:
        return Sample(number, luma, picture, brightness)
    width, height = (max(4, round(length * scale / 4) * 4) for length in (picture.width, picture.height))
    return Sample(number, shrink(luma, (height, width)), replace(picture, width=width, height=height), brightness)


def pick_evenly(found: Sequence[T], most: int) -> list[T]:
    """Pick at most so many, evenly spaced, the first among them."""
    return [found[len(found) * place // most] for place in range(most)] if len(found) > most else list(found)


def share_out(shots: Sequence[Sequence[Sample]], most: int) -> list[list[Sample]]:
    """Of each shot one sample, and more of those that have more, as long as there are no more than `most`."""
    counts = [1] * len(shots)
    while sum(counts) < most:
        fullest = max(range(len(shots)), key=lambda place: len(shots[place]) / counts[place], default=0)
        if not shots or counts[fullest] >= len(shots[fullest]):
            break
        counts[fullest] += 1
    return [pick_evenly(samples, count) for samples, count in zip(shots, counts, strict=True)]


def choose_evenly(found: Iterator[T], most: int) -> list[T]:
    """Choose at most so many shots, evenly spaced over the film; at most twice as many are held."""
    chosen: list[T] = []
    stride = 1
    for count, shot in enumerate(found):
        if count % stride == 0:
            chosen.append(shot)
        if len(chosen) == 2 * most:
            chosen, stride = chosen[::2], 2 * stride
    return pick_evenly(chosen, most)


def render_gray(shot: Shot | Sample, info: FilmInfo) -> NDArray[np.uint8]:
    """A frame in gray: sRGB (H, W, 3) uint8, upright, with square pixels."""
    luma, picture = _luma_of(shot, info)
    neutral: Any = np.full(picture.chroma_size, 1 << (picture.bits - 1), picture.dtype)
    return render(luma, (neutral, neutral), picture, view_of(info))


def render_color(shot: Shot | Sample, info: FilmInfo, colorizer: Colorizer) -> NDArray[np.uint8]:
    """A frame in color: sRGB (H, W, 3) uint8, upright, with square pixels."""
    luma, picture = _luma_of(shot, info)
    (chroma,) = colorizer.colorize([luma], picture, view_of(info))
    return render(luma, chroma, picture, view_of(info))


def _luma_of(shot: Shot | Sample, info: FilmInfo) -> tuple[Plane, PictureFormat]:
    return (shot.luma, shot.picture) if isinstance(shot, Sample) else (shot.frame.luma, info.picture)


def split_frames(source: Source, colorizer: Colorizer) -> Iterator[ColoredFrame]:
    """The film with its right half in color and its left half gray, as shown, and a white line between them."""
    for colored in colored_frames(source.frames(), source.info, colorizer, Steadiness()):
        yield split(colored, source.info)


def split(colored: ColoredFrame, info: FilmInfo) -> ColoredFrame:
    """A copy whose left half, as shown, is gray."""
    picture, turns = info.picture, info.rotation_degrees // 90 % 4
    luma, cb, cr = colored.frame.luma.copy(), colored.cb.copy(), colored.cr.copy()
    seen, *chroma = (np.rot90(plane, turns) for plane in (luma, cb, cr))  # views: writing there writes in the plane
    columns = seen.shape[1]
    half_line = max(1, columns // 800)
    left, right = columns // 2 - half_line, columns // 2 + half_line
    seen[:, left:right] = (255 if picture.full_range else 235) << (picture.bits - 8)
    for plane in chroma:
        plane[:, : right * plane.shape[1] // columns] = 1 << (picture.bits - 1)
    return ColoredFrame(replace(colored.frame, luma=luma), cb, cr)


def render(luma: Plane, chroma: tuple[Plane, Plane], picture: PictureFormat, view: View) -> NDArray[np.uint8]:
    """Planes as players show them: gamma-coded RGB (H, W, 3) uint8, upright, with square pixels."""
    levels = look_up(luma, luma_table(picture.bits, picture.full_range))
    cb, cr = (
        cv2.resize(chroma_levels(plane, picture), luma.shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in chroma
    )
    rgb = np.stack(LumaCoding(picture.matrix, picture.transfer).ycc_to_rgb(levels, cb, cr), axis=2)
    values = np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)
    wide = max(1, round(picture.width * float(view.sample_aspect_ratio or 1)))
    if wide != picture.width:
        values = np.asarray(cv2.resize(values, (wide, picture.height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(np.rot90(values, view.quarter_turns))
