"""Methods of coloring a film, run in step on one decoded stream.

A method is what stands between decoder and encoder: a stream of gray frames in, a stream of colored frames out, with
any look-ahead. A temporal filter is measured as one more method.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from vidcolor.choices import TrueStills
from vidcolor.color import picture_to_lab
from vidcolor.errors import ShapeError, SourceError
from vidcolor.films.pipeline import colored_frames, view_of
from vidcolor.films.references import SHORT_SIDE
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, PictureFormat, Plane
from vidcolor.inference.colorizer import Colorizer, paint
from vidcolor.media.pixels import layout_of, plane_view, to_planar
from vidcolor.media.source import FilmSource
from vidcolor.steady import Steadiness
from vidcolor.steady.references import Reference
from vidcolor.stills.rgb import resize

EMA = 0.8  # decay: share of the previous frames
FilmMethod = Callable[[Iterator[Frame], FilmInfo], Iterator[ColoredFrame]]  # every frame once, in order


def make_model_method(colorizer: Colorizer, steadiness: Steadiness, stills: TrueStills = "none") -> FilmMethod:
    """The method of `vidcolor colorize`. stills: frames that the film follows in their true colors."""
    if stills == "none":
        return partial(colored_frames, colorizer=colorizer, steadiness=steadiness)

    def color(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
        known = read_true_stills(Path(info.path), stills)
        yield from colored_frames(frames, info, colorizer, replace(steadiness, references=known))

    return color


def read_true_stills(path: Path, which: TrueStills) -> tuple[Reference, ...]:
    """Read frames of a color film as stills. Raises SourceError."""
    found: dict[int, Frame] = {}
    with FilmSource(path) as source:
        for number, frame in enumerate(source.frames()):
            found = {place: kept for place, kept in found.items() if place == 0} | {number: frame}
            if which == "first":
                break
        turns = view_of(source.info).quarter_turns
        return tuple(_to_reference(number, frame, turns) for number, frame in found.items())


def _to_reference(number: int, frame: Frame, turns: int) -> Reference:
    rgb = np.rot90(frame.native.to_ndarray(format="rgb24"), turns)
    lightness, a, b = picture_to_lab(resize(np.ascontiguousarray(rgb), short_side=SHORT_SIDE))
    return Reference.from_lab(number, np.asarray(lightness, np.float32), np.stack([a, b]).astype(np.float32))


def make_ema_method(colorizer: Colorizer) -> FilmMethod:
    """A baseline: an exponential moving average of a*b*, across cuts and without motion compensation."""

    def color(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
        picture, view, average = info.picture, view_of(info), None
        for frame in frames:
            (ab,) = colorizer.predict([colorizer.lightness(frame.luma, picture, view)])
            average = ab if average is None else EMA * average + (1 - EMA) * ab
            yield ColoredFrame(frame, *paint(frame.luma, average, picture, view))

    return color


def leave_gray(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    """The method that adds no color."""
    picture = info.picture
    neutral: Any = np.full(picture.chroma_size, 1 << (picture.bits - 1), picture.dtype)
    for frame in frames:
        yield ColoredFrame(frame, neutral, neutral)


def keep_color(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    """The method that keeps the film's own chroma."""
    for frame in frames:
        yield ColoredFrame(frame, *read_chroma(frame, info.picture))


def read_chroma(frame: Frame, picture: PictureFormat) -> tuple[Plane, Plane]:
    """Read decoded Cb and Cr, of picture.chroma_size. Raises SourceError for a gray frame."""
    native = frame.native
    layout = layout_of(native.format.name)
    if layout.is_gray:
        raise SourceError("the film is stored without color.")
    if native.format.name not in (layout.planar, layout.planar.replace("yuv", "yuvj")):
        native = to_planar(native, layout, picture)
    rows, columns = picture.chroma_size
    planes: list[Any] = [plane_view(native, plane, rows, columns, layout.bits) for plane in (1, 2)]
    return planes[0], planes[1]


class SharedFrames:
    """One stream of frames for several readers, which may be threads; frames are held until all have read them."""

    def __init__(self, frames: Iterator[Frame], readers: int) -> None:
        self._frames = frames
        self._lock = Lock()
        self._waiting: list[deque[Frame]] = [deque() for _ in range(readers)]
        self.seconds = [0.0] * readers  # that each reader has waited

    def read(self, number: int) -> Iterator[Frame]:
        """Yield every frame, for reader 0, 1, ..."""
        while True:
            began = time.perf_counter()
            with self._lock:
                if not self._waiting[number] and (frame := next(self._frames, None)) is not None:
                    for waiting in self._waiting:
                        waiting.append(frame)
                found = self._waiting[number].popleft() if self._waiting[number] else None
            self.seconds[number] += time.perf_counter() - began
            if found is None:
                return
            yield found


class MethodRun:
    """A method running on a film, one frame at a time."""

    def __init__(self, name: str, method: FilmMethod, info: FilmInfo, shared: SharedFrames, reader: int) -> None:
        self._name = name
        self._colored = method(shared.read(reader), info)
        self._shared, self._reader = shared, reader
        self._taken = 0.0

    @property
    def seconds(self) -> float:
        """Time spent on coloring, without waiting for the decoder."""
        return max(0.0, self._taken - self._shared.seconds[self._reader])

    def color(self, frame: Frame) -> ColoredFrame:
        """Color the next frame. Raises ShapeError for a method that drops, repeats or reorders frames."""
        found = self._next()
        if found is None or found.frame.pts != frame.pts:
            came = "its stream had ended" if found is None else f"that of {found.frame.pts} came"
            raise ShapeError(f"{self._name}: the frame of pts {frame.pts} was due, but {came}.")
        return found

    def finish(self) -> None:
        """Raise ShapeError for a method that gives more frames than the film has."""
        if self._next() is not None:
            raise ShapeError(f"{self._name}: gave more frames than the film has.")

    def close(self) -> None:
        """Close the method's generator."""
        if (close := getattr(self._colored, "close", None)) is not None:
            close()

    def _next(self) -> ColoredFrame | None:
        began = time.perf_counter()
        found = next(self._colored, None)
        self._taken += time.perf_counter() - began
        return found
