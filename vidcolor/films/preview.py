"""Previews of a film: its shots, one picture of each, and frames with one half in color."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.color import Floats, LumaCoding, chroma_levels, luma_table
from vidcolor.films.pipeline import DECODED_AHEAD, Source, colored_frames, view_of
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, PictureFormat, Plane
from vidcolor.inference.colorizer import Colorizer, View
from vidcolor.overlap import prefetch
from vidcolor.planes import look_up
from vidcolor.steady import Steadiness
from vidcolor.steady.checkpoints import PendingItems
from vidcolor.steady.cuts import CutDetector


@dataclass(frozen=True)
class Shot:
    """The first frame of a shot. number: of the frame, counted from 0 where the source begins."""

    number: int
    frame: Frame


def find_shots(source: Source, lightness: Callable[[Plane], Floats]) -> Iterator[Shot]:
    """Find the film's shots while it is decoded. lightness: luma plane (H, W) -> small L* 0..100, (h, w)."""
    detector, waiting = CutDetector(), PendingItems[Frame](0)

    def decide() -> Iterator[tuple[Frame, bool]]:
        for frame in decoded:
            yield from waiting.put(frame, detector.push(lightness(frame.luma)))
        yield from waiting.match(detector.finish())

    with closing(prefetch(source.frames(), DECODED_AHEAD)) as decoded:
        for number, (frame, is_start) in enumerate(decide()):
            if is_start or number == 0:
                yield Shot(number, frame)


def choose_evenly(found: Iterator[Shot], most: int) -> list[Shot]:
    """Choose at most so many shots, evenly spaced over the film; at most twice as many are held."""
    chosen: list[Shot] = []
    stride = 1
    for count, shot in enumerate(found):
        if count % stride == 0:
            chosen.append(shot)
        if len(chosen) == 2 * most:
            chosen, stride = chosen[::2], 2 * stride
    return [chosen[len(chosen) * place // most] for place in range(most)] if len(chosen) > most else chosen


def render_gray(shot: Shot, info: FilmInfo) -> NDArray[np.uint8]:
    """The shot's frame in gray: sRGB (H, W, 3) uint8, upright, with square pixels."""
    neutral: Any = np.full(info.picture.chroma_size, 1 << (info.picture.bits - 1), info.picture.dtype)
    return render(shot.frame.luma, (neutral, neutral), info.picture, view_of(info))


def render_color(shot: Shot, info: FilmInfo, colorizer: Colorizer) -> NDArray[np.uint8]:
    """The shot's frame in color: sRGB (H, W, 3) uint8, upright, with square pixels."""
    (chroma,) = colorizer.colorize([shot.frame.luma], info.picture, view_of(info))
    return render(shot.frame.luma, chroma, info.picture, view_of(info))


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
