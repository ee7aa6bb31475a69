"""Ways of coloring a film, fed with one decoded stream and kept in step.

A way is what stands between decoder and encoder in the product: a stream of gray frames in, a stream of colored ones
out, of any length of look-ahead. Whatever smooths color over time is measured as one more way.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from vidcolor.errors import ShapeError, SourceError
from vidcolor.films.pipeline import colored_frames, view_of
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, PictureFormat, Plane
from vidcolor.inference.colorizer import Colorizer, paint
from vidcolor.media.pixels import layout_of, plane_view, to_planar
from vidcolor.steady import Steadiness

EMA = 0.8  # share of the frames before
FilmMethod = Callable[[Iterator[Frame], FilmInfo], Iterator[ColoredFrame]]  # every frame once, in order


def make_model_method(colorizer: Colorizer, steadiness: Steadiness) -> FilmMethod:
    """The product's own way, a stage after the other."""
    return partial(colored_frames, colorizer=colorizer, steadiness=steadiness)


def make_ema_method(colorizer: Colorizer) -> FilmMethod:
    """A foil: each frame's opinion in an exponential moving average, through cuts and along no motion."""

    def color(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
        picture, view, average = info.picture, view_of(info), None
        for frame in frames:
            (opinion,) = colorizer.predict([colorizer.lightness(frame.luma, picture, view)])
            average = opinion if average is None else EMA * average + (1 - EMA) * opinion
            yield ColoredFrame(frame, *paint(frame.luma, average, picture, view))

    return color


def leave_gray(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    """Every frame without color."""
    picture = info.picture
    neutral: Any = np.full(picture.chroma_size, 1 << (picture.bits - 1), picture.dtype)
    for frame in frames:
        yield ColoredFrame(frame, neutral, neutral)


def keep_color(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    """Every frame with the chroma that the film holds."""
    for frame in frames:
        yield ColoredFrame(frame, *read_chroma(frame, info.picture))


def read_chroma(frame: Frame, picture: PictureFormat) -> tuple[Plane, Plane]:
    """Cb and Cr as decoded, of picture.chroma_size. Raises SourceError for a frame that has none."""
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
    """One stream of frames for several readers, which may be threads; held only until the slowest has read them."""

    def __init__(self, frames: Iterator[Frame], readers: int) -> None:
        self._frames = frames
        self._lock = Lock()
        self._waiting: list[deque[Frame]] = [deque() for _ in range(readers)]
        self.seconds = [0.0] * readers  # that each reader has waited for frames

    def read(self, number: int) -> Iterator[Frame]:
        """Every frame, for reader 0, 1, ..."""
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
    """A way at work on a film, asked for one frame after the other."""

    def __init__(self, name: str, method: FilmMethod, info: FilmInfo, shared: SharedFrames, reader: int) -> None:
        self._name = name
        self._colored = method(shared.read(reader), info)
        self._shared, self._reader = shared, reader
        self._taken = 0.0

    @property
    def seconds(self) -> float:
        """Spent on coloring, without waiting for the decoder."""
        return max(0.0, self._taken - self._shared.seconds[self._reader])

    def color(self, frame: Frame) -> ColoredFrame:
        """The next frame, which must be this one. Raises ShapeError for a way that drops, repeats or moves frames."""
        found = self._next()
        if found is None or found.frame.pts != frame.pts:
            came = "its stream had ended" if found is None else f"that of {found.frame.pts} came"
            raise ShapeError(f"{self._name}: the frame of pts {frame.pts} was due, but {came}.")
        return found

    def finish(self) -> None:
        """Raises ShapeError for a way that gives more frames than it got."""
        if self._next() is not None:
            raise ShapeError(f"{self._name}: gave more frames than the film has.")

    def close(self) -> None:
        """Let go of what the way holds."""
        if (close := getattr(self._colored, "close", None)) is not None:
            close()

    def _next(self) -> ColoredFrame | None:
        began = time.perf_counter()
        found = next(self._colored, None)
        self._taken += time.perf_counter() - began
        return found
