"""A film from source to sink: decoding, the network, painting and encoding overlap through bounded queues.

Every stage takes an iterator and gives one; the end of the iterator is the flush, so no stage can lose its tail.
Memory is the queues' length, whatever the film's.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from queue import Empty, Full, Queue
from typing import Any, Protocol, TypeVar

from vidcolor.color import Floats
from vidcolor.colorizer import Colorizer, View, paint
from vidcolor.frames import ColoredFrame, FilmInfo, Frame

T = TypeVar("T")
_END: Any = object()
DECODED_AHEAD = 4  # frames that wait for the network, beyond its batch
PAINTED_AHEAD = 4  # frames that wait for the encoder


class Source(Protocol):
    """What gives frames."""

    @property
    def info(self) -> FilmInfo:
        """What the film is."""

    def frames(self) -> Iterator[Frame]:
        """Every frame, in the order of showing."""


class Sink(Protocol):
    """What takes coloured frames."""

    def write(self, colored: ColoredFrame) -> None:
        """Encode the next frame."""


def colorize_film(source: Source, sink: Sink, colorizer: Colorizer, on_frame: Callable[[int], None]) -> int:
    """Colour every frame of `source` into `sink`; returns their number, and tells it after each frame."""
    picture, view = source.info.picture, view_of(source.info)
    decoded = ahead(source.frames(), DECODED_AHEAD)
    predicted = ahead(_predict(decoded, colorizer, source.info, view), colorizer.batch_size)
    painted = ahead(
        (ColoredFrame(frame, *paint(frame.luma, ab, picture, view)) for frame, ab in predicted), PAINTED_AHEAD
    )
    count = 0
    # Closed from the last stage to the first, so that no thread still decodes when the source closes its file.
    with closing(decoded), closing(predicted), closing(painted):
        for count, colored in enumerate(painted, start=1):
            sink.write(colored)
            on_frame(count)
    return count


def view_of(info: FilmInfo) -> View:
    """How the film is meant to be seen."""
    return View(info.sample_aspect_ratio or View.sample_aspect_ratio, info.rotation_degrees // 90 % 4)


def _predict(
    frames: Iterable[Frame], colorizer: Colorizer, info: FilmInfo, view: View
) -> Iterator[tuple[Frame, Floats]]:
    """Frames with their a*b* as the network gives it, batch by batch."""
    remaining = iter(frames)
    while batch := list(islice(remaining, colorizer.batch_size)):
        lightness = [colorizer.lightness(frame.luma, info.picture, view) for frame in batch]
        yield from zip(batch, colorizer.predict(lightness), strict=True)


def ahead(items: Iterator[T], depth: int) -> Generator[T]:
    """The same items, made by a thread that runs at most `depth` ahead; its error is raised here, in its place."""
    queue: Queue[tuple[T, BaseException | None]] = Queue(depth)
    stop = threading.Event()

    def put(item: T, error: BaseException | None = None) -> None:
        while not stop.is_set():
            try:
                queue.put((item, error), timeout=0.1)
            except Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    break
            put(_END)
        except BaseException as error:  # handed to the thread that waits for it
            put(_END, error)
        finally:
            if (close := getattr(items, "close", None)) is not None:
                close()

    thread = threading.Thread(target=work, name="vidcolor-ahead", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item, error = queue.get(timeout=0.2)  # wakes now and then, so that Ctrl-C is heard on every system
            except Empty:
                continue
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()
