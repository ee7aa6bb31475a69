"""A film from source to sink: decoding, the network, steadying, painting and encoding overlap through bounded queues.

Every stage takes an iterator and gives one; the end of the iterator is the flush, so no stage can lose its tail.
Memory is the queues' length, whatever the film's.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from typing import Protocol, TypeVar

from vidcolor.color import Floats
from vidcolor.films.color_shots import Shots, has_color
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, PictureFormat, ResumePoint
from vidcolor.inference.colorizer import Colorizer, View, paint
from vidcolor.overlap import prefetch
from vidcolor.steady import Steadiness
from vidcolor.steady.checkpoints import SEGMENT_FRAMES, Checkpoints, PendingItems
from vidcolor.steady.key_frames import MAX_INTERVAL, PlannedFrame
from vidcolor.steady.state import Arrays

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

    def frames(self, after: ResumePoint | None = None) -> Iterator[Frame]:
        """Every frame, in the order of showing. after: without those up to this one."""


class Sink(Protocol):
    """What takes colored frames, and may have some of an earlier run."""

    frames_written: int
    place: ResumePoint | None  # the last of them; None where nothing was made before
    state: Arrays  # what `end_segment` was given then; empty likewise

    def write(self, colored: ColoredFrame) -> None:
        """Encode the next frame."""

    def end_segment(self, state: Arrays) -> None:
        """Make what was written so far last. state: what going on after it needs."""


class Overlap(Protocol):
    """What lets a stage run at most `depth` items ahead of the next one."""

    def __call__(self, items: Iterator[T], depth: int, /) -> Iterator[T]:
        """The same items."""


def one_by_one(items: Iterator[T], _: int, /) -> Iterator[T]:
    """No overlap: every stage works when it is asked."""
    return items


def colorize_film(
    source: Source,
    sink: Sink,
    colorizer: Colorizer,
    steadiness: Steadiness,
    on_frame: Callable[[int], None],
    until: int | None = None,
    shots: Shots | None = None,
) -> int:
    """Color every frame of `source` that `sink` does not have yet; returns their number, and tells it as it grows.

    until: stop after that many frames of the film.  shots: tells which of them keep the colors that they have; as it
    was at the film's start, it is brought to where the sink goes on. None: no frame does.
    """
    count, checkpoints = sink.frames_written, Checkpoints(sink.frames_written, sink.state)
    if until is not None and count >= until:
        return count
    # Closed from the last stage to the first, so that no thread still decodes when the source closes its file.
    with ExitStack() as stages:

        def overlap(items: Iterator[T], depth: int, /) -> Iterator[T]:
            return stages.enter_context(closing(prefetch(items, depth)))

        frames = overlap(source.frames(sink.place), DECODED_AHEAD)
        colored = colored_frames(frames, source.info, colorizer, steadiness, overlap, checkpoints, shots)
        for count, frame in enumerate(colored, start=checkpoints.first + 1):
            sink.write(frame)
            if count % SEGMENT_FRAMES == 0:
                sink.end_segment(checkpoints.pop(count))
            on_frame(count)
            if count == until:
                break
    return count


def colored_frames(
    frames: Iterator[Frame],
    info: FilmInfo,
    colorizer: Colorizer,
    steadiness: Steadiness,
    overlap: Overlap = one_by_one,
    checkpoints: Checkpoints | None = None,
    shots: Shots | None = None,
) -> Iterator[ColoredFrame]:
    """Every frame with its chroma, in order. checkpoints: where an earlier run ended, and where states are noted.

    shots: see `colorize_film`.
    """
    picture, view, checkpoints = info.picture, view_of(info), checkpoints or Checkpoints(is_resumable=False)
    seen: Iterator[Seen] = ((frame, colorizer.lightness(frame.luma, picture, view)) for frame in frames)
    if shots is not None:
        seen = overlap(_judged(seen, shots, picture, checkpoints), DECODED_AHEAD)
    if steadiness.every == 1:
        opinions = overlap(_asked(seen, colorizer, checkpoints.first), colorizer.batch_size)
        if steadiness.mode == "off":
            colors: Iterator[Colored] = ((frame, ab) for frame, _, ab in opinions)
        else:
            colors = overlap(_steadied(opinions, steadiness, checkpoints), PAINTED_AHEAD)
    else:
        planned = overlap(_planned(seen, steadiness, checkpoints), PLANNED_AHEAD)
        colors = overlap(_carried(planned, colorizer, steadiness, checkpoints), PAINTED_AHEAD)
    return overlap((_painted(frame, ab, picture, view) for frame, ab in colors), PAINTED_AHEAD)


def view_of(info: FilmInfo) -> View:
    """How the film is meant to be seen."""
    return View(info.sample_aspect_ratio or View.sample_aspect_ratio, info.rotation_degrees // 90 % 4)


def _judged(seen: Iterable[Seen], shots: Shots, picture: PictureFormat, checkpoints: Checkpoints) -> Iterator[Seen]:
    """The same, each frame marked that keeps its colors."""
    shots.go_on(checkpoints.initial_state("shots"))
    waiting = PendingItems[Seen](shots.undecided)
    for number, (frame, lightness) in enumerate(seen, start=checkpoints.first + 1):
        decided = shots.push(lightness, has_color(frame, picture))
        checkpoints.record("shots", number, shots)
        yield from map(_marked, waiting.put((frame, lightness), decided))
    yield from map(_marked, waiting.match(shots.finish()))


def _marked(decided: tuple[Seen, bool]) -> Seen:
    (frame, lightness), is_kept = decided
    return replace(frame, keeps_chroma=is_kept), lightness


def _painted(frame: Frame, ab: Floats, picture: PictureFormat, view: View) -> ColoredFrame:
    if frame.keeps_chroma and frame.chroma is not None:
        return ColoredFrame(frame, *frame.chroma())
    return ColoredFrame(frame, *paint(frame.luma, ab, picture, view))


def _asked(seen: Iterable[Seen], colorizer: Colorizer, first: int) -> Iterator[tuple[Frame, Floats, Floats]]:
    """Frames, L*, and a*b* as the network gives it, batch by batch; no batch goes over the end of a segment."""
    remaining = iter(seen)
    while batch := list(islice(remaining, min(colorizer.batch_size, SEGMENT_FRAMES - first % SEGMENT_FRAMES))):
        first += len(batch)
        opinions = colorizer.predict([lightness for _, lightness in batch])
        yield from ((*pair, ab) for pair, ab in zip(batch, opinions, strict=True))


def _steadied(
    opinions: Iterable[tuple[Frame, Floats, Floats]], steadiness: Steadiness, checkpoints: Checkpoints
) -> Iterator[Colored]:
    """The network's opinions, averaged over time."""
    steadier = steadiness.smoother(checkpoints.initial_state("steadier"))
    waiting = PendingItems[Frame](steadier.waiting)
    for number, (frame, lightness, ab) in enumerate(opinions, start=checkpoints.first + 1):
        ready = steadier.push(lightness, ab)
        checkpoints.record("steadier", number, steadier)  # before the frames pass on
        yield from waiting.put(frame, ready)
    yield from waiting.match(steadier.finish())


def _planned(
    seen: Iterable[Seen], steadiness: Steadiness, checkpoints: Checkpoints
) -> Iterator[tuple[Seen, PlannedFrame]]:
    """Frames, L*, and where their color will come from."""
    planner = steadiness.planner(checkpoints.initial_state("planner"))
    waiting = PendingItems[Seen](planner.waiting)
    for number, pair in enumerate(seen, start=checkpoints.first + 1):
        ready = planner.push(pair[1])
        checkpoints.record("planner", number, planner)
        yield from waiting.put(pair, ready)
    yield from waiting.match(planner.finish())


def _carried(
    planned: Iterable[tuple[Seen, PlannedFrame]], colorizer: Colorizer, steadiness: Steadiness, checkpoints: Checkpoints
) -> Iterator[Colored]:
    """The network's opinions on key frames, and between them what is carried from both sides."""
    carrier, number = steadiness.propagator(checkpoints.initial_state("carrier")), checkpoints.first
    waiting = PendingItems[Frame](carrier.waiting)
    for group in _up_to_keys(planned, KEYS_A_DEVICE * len(colorizer.devices), checkpoints.first):
        opinions = iter(colorizer.predict([lightness for (_, lightness), plan in group if plan.is_key]))
        for (frame, _), plan in group:
            number += 1
            ready = carrier.push(plan, next(opinions) if plan.is_key else None)
            checkpoints.record("carrier", number, carrier)
            yield from waiting.put(frame, ready)
    yield from waiting.match(carrier.finish())


def _up_to_keys(
    planned: Iterable[tuple[Seen, PlannedFrame]], most: int, first: int
) -> Iterator[list[tuple[Seen, PlannedFrame]]]:
    """Frames in groups that end with the key that fills them, or with a segment, or where they would grow too long."""
    group: list[tuple[Seen, PlannedFrame]] = []
    for number, item in enumerate(planned, start=first + 1):
        group.append(item)
        is_full = sum(plan.is_key for _, plan in group) == most or len(group) == most * MAX_INTERVAL
        if is_full or number % SEGMENT_FRAMES == 0:
            yield group
            group = []
    if group:
        yield group
