"""A film's shots, one picture of each, in colour: to be looked at before the whole film is worked."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.color import LumaCoding, luma_table
from vidcolor.colorizer import Colorizer, View
from vidcolor.cuts import CutDetector
from vidcolor.frames import FilmInfo, Frame, PictureFormat, Plane
from vidcolor.overlap import ahead
from vidcolor.pipeline import DECODED_AHEAD, Source, view_of


@dataclass(frozen=True)
class Shot:
    """The first frame of a shot. number: of the film's frames that came, from 0."""

    number: int
    frame: Frame


def shots(source: Source, colorizer: Colorizer) -> Iterator[Shot]:
    """The film's shots, while it is decoded."""
    picture, view = source.info.picture, view_of(source.info)
    detector, waiting, number = CutDetector(), deque[Frame](), 0
    decoded = ahead(source.frames(), DECODED_AHEAD)
    for frame in decoded:
        waiting.append(frame)
        for is_start in detector.push(colorizer.lightness(frame.luma, picture, view)):
            first = waiting.popleft()
            if is_start or number == 0:
                yield Shot(number, first)
            number += 1
    for is_start in detector.finish():
        first = waiting.popleft()
        if is_start or number == 0:
            yield Shot(number, first)
        number += 1


def evenly(found: Iterator[Shot], most: int) -> list[Shot]:
    """At most so many shots from all over the film; no more than twice as many are held."""
    kept: list[Shot] = []
    stride = 1
    for count, shot in enumerate(found):
        if count % stride == 0:
            kept.append(shot)
        if len(kept) == 2 * most:
            kept, stride = kept[::2], 2 * stride
    return [kept[len(kept) * place // most] for place in range(most)] if len(kept) > most else kept


def before_and_after(shot: Shot, info: FilmInfo, colorizer: Colorizer) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Its picture in grey and in colour: sRGB (H, W, 3), upright, with square pixels."""
    view, luma = view_of(info), shot.frame.luma
    ((cb, cr),) = colorizer.colorize([luma], info.picture, view)
    neutral = np.full_like(cb, 1 << (info.picture.bits - 1))
    return shown(luma, (neutral, neutral), info.picture, view), shown(luma, (cb, cr), info.picture, view)


def shown(luma: Plane, chroma: tuple[Plane, Plane], picture: PictureFormat, view: View) -> NDArray[np.uint8]:
    """Planes as a viewer sees them: gamma-coded RGB (H, W, 3), upright, with square pixels."""
    codes = (1 << picture.bits) - 1 if picture.full_range else 224 << (picture.bits - 8)
    levels = luma_table(picture.bits, picture.full_range)[luma]
    sides = luma.shape[::-1]
    cb, cr = (
        cv2.resize(
            (plane.astype(np.float32) - (1 << (picture.bits - 1))) / codes, sides, interpolation=cv2.INTER_LINEAR
        )
        for plane in chroma
    )
    rgb = np.stack(LumaCoding(picture.matrix, picture.transfer).ycc_to_rgb(levels, cb, cr), axis=2)
    values = np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)
    wide = max(1, round(picture.width * float(view.sample_aspect_ratio or 1)))
    if wide != picture.width:
        values = np.asarray(cv2.resize(values, (wide, picture.height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(np.rot90(values, view.quarter_turns))
