"""A film from source to sink: decoding, the network, steadying, painting and encoding overlap through bounded queues.

Every stage takes an iterator and gives one; the end of the iterator is the flush, so no stage can lose its tail.
Memory is the queues' length, whatever the film's.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from typing import Protocol, TypeVar

from vidcolor.color import Floats
from vidcolor.colorizer import Colorizer, View, paint
from vidcolor.frames import ColoredFrame, FilmInfo, Frame
from vidcolor.overlap import ahead
from vidcolor.steady import Steadiness
from vidcolor.steady.carry import Carrier
from vidcolor.steady.keys import KeyPlanner, Planned
from vidcolor.steady.stream import Steadier

T = TypeVar("T")
Seen = tuple[Frame, Floats]  # a frame and its L*, as the network sees it
Colored = tuple[Frame, Floats]  # a frame and its a*b*
DECODED_AHEAD = 4  # frames that wait for the network, beyond its batch
PLANNED_AHEAD = 8  # frames that wait for the network to be asked about the key before them
KEYS_A_DEVICE = 2  # key frames that a device works at once: their frames have to be held
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


class Overlap(Protocol):
    """What lets a stage run at most `depth` items ahead of the next one."""

    def __call__(self, items: Iterator[T], depth: int, /) -> Iterator[T]:
        """The same items."""


def one_by_one(items: Iterator[T], _: int, /) -> Iterator[T]:
    """No overlap: every stage works when it is asked."""
    return items


def colorize_film(
    source: Source, sink: Sink, colorizer: Colorizer, steadiness: Steadiness, on_frame: Callable[[int], None]
) -> int:
    """Colour every frame of `source` into `sink`; returns their number, and tells it after each frame."""
    count = 0
    # Closed from the last stage to the first, so that no thread still decodes when the source closes its file.
    with ExitStack() as stages:

        def overlap(items: Iterator[T], depth: int, /) -> Iterator[T]:
            return stages.enter_context(closing(ahead(items, depth)))

        frames = overlap(source.frames(), DECODED_AHEAD)
        for count, colored in enumerate(colored_frames(frames, source.info, colorizer, steadiness, overlap), start=1):
            sink.write(colored)
            on_frame(count)
    return count


def colored_frames(
    frames: Iterator[Frame],
    info: FilmInfo,
    colorizer: Colorizer,
    steadiness: Steadiness,
    overlap: Overlap = one_by_one,
) -> Iterator[ColoredFrame]:
    """Every frame with its chroma, in order."""
    picture, view = info.picture, view_of(info)
    seen = ((frame, colorizer.lightness(frame.luma, picture, view)) for frame in frames)
    if steadiness.every == 1:
        opinions = overlap(_asked(seen, colorizer), colorizer.batch_size)
        steadier = steadiness.steadier()
        colors = _untouched(opinions) if steadier is None else overlap(_steadied(opinions, steadier), PAINTED_AHEAD)
    else:
        planned = overlap(_planned(seen, steadiness.planner()), PLANNED_AHEAD)
        colors = overlap(_carried(planned, colorizer, steadiness.carrier()), PAINTED_AHEAD)
    return overlap((ColoredFrame(frame, *paint(frame.luma, ab, picture, view)) for frame, ab in colors), PAINTED_AHEAD)


def view_of(info: FilmInfo) -> View:
    """How the film is meant to be seen."""
    return View(info.sample_aspect_ratio or View.sample_aspect_ratio, info.rotation_degrees // 90 % 4)


def _asked(seen: Iterable[Seen], colorizer: Colorizer) -> Iterator[tuple[Frame, Floats, Floats]]:
    """Frames, L*, and a*b* as the network gives it, batch by batch."""
    remaining = iter(seen)
    while batch := list(islice(remaining, colorizer.batch_size)):
        opinions = colorizer.predict([lightness for _, lightness in batch])
        yield from ((*pair, ab) for pair, ab in zip(batch, opinions, strict=True))


def _untouched(opinions: Iterable[tuple[Frame, Floats, Floats]]) -> Iterator[Colored]:
    return ((frame, ab) for frame, _, ab in opinions)


def _steadied(opinions: Iterable[tuple[Frame, Floats, Floats]], steadier: Steadier) -> Iterator[Colored]:
    """The network's opinions, averaged over time."""
    waiting: deque[Frame] = deque()
    for frame, lightness, ab in opinions:
        waiting.append(frame)
        for steady in steadier.push(lightness, ab):
            yield waiting.popleft(), steady
    for steady in steadier.finish():
        yield waiting.popleft(), steady


def _planned(seen: Iterable[Seen], planner: KeyPlanner) -> Iterator[tuple[Frame, Floats, Planned]]:
    """Frames, L*, and where their colour will come from."""
    waiting: deque[Seen] = deque()
    for pair in seen:
        waiting.append(pair)
        for plan in planner.push(pair[1]):
            yield (*waiting.popleft(), plan)
    for plan in planner.finish():
        yield (*waiting.popleft(), plan)


def _carried(
    planned: Iterable[tuple[Frame, Floats, Planned]], colorizer: Colorizer, carrier: Carrier
) -> Iterator[Colored]:
    """The network's opinions on key frames, and between them what is carried from both sides."""
    waiting: deque[Frame] = deque()
    for group in _up_to_keys(planned, KEYS_A_DEVICE * len(colorizer.devices)):
        opinions = iter(colorizer.predict([lightness for _, lightness, plan in group if plan.is_key]))
        for frame, _, plan in group:
            waiting.append(frame)
            for ab in carrier.push(plan, next(opinions) if plan.is_key else None):
                yield waiting.popleft(), ab
    for ab in carrier.finish():
        yield waiting.popleft(), ab


def _up_to_keys(
    planned: Iterable[tuple[Frame, Floats, Planned]], most: int
) -> Iterator[list[tuple[Frame, Floats, Planned]]]:
    """Frames in groups that end with the key that fills them."""
    group: list[tuple[Frame, Floats, Planned]] = []
    for item in planned:
        group.append(item)
        if sum(plan.is_key for _, _, plan in group) == most:
            yield group
            group = []
    if group:
        yield group
