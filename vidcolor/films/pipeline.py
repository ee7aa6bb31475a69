"""A film from source to sink: decoding, the network, steadying, painting and encoding overlap through bounded queues.

Every stage takes an iterator and gives one; the end of the iterator flushes the stage, so none can lose its last
frames. Memory depends on the length of the queues, not of the film.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from typing import Protocol, TypeVar

from vidcolor.color import Floats
from vidcolor.films.color_shots import Shots, has_color
from vidcolor.films.predictors import Choose, LightFrame, Predictors
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, PictureFormat, ResumePoint
from vidcolor.inference.colorizer import Colorizer, View, paint
from vidcolor.overlap import prefetch
from vidcolor.steady import Steadiness
from vidcolor.steady.checkpoints import SEGMENT_FRAMES, Checkpoints, PendingItems
from vidcolor.steady.cuts import CutDetector, CutState
from vidcolor.steady.key_frames import MAX_INTERVAL, PlannedFrame
from vidcolor.steady.matching import Match
from vidcolor.steady.references import CorrectorState
from vidcolor.steady.shot import is_needless
from vidcolor.steady.state import Arrays, from_arrays

T = TypeVar("T")
ColorFrame = tuple[Frame, Floats]  # a frame and its a*b*
# A frame, its L* and a*b* (None where the network was not asked), its colors by what is known, and its likeness.
Predicted = tuple[Frame, Floats, Floats | None, Match | None, Floats | None]
DECODED_AHEAD = 2  # frames that wait for the network, beyond its batch
PLANNED_AHEAD = 8  # frames that wait for the network to color the key frame before them
KEYS_A_DEVICE = 2  # key frames that a device works on at once: all frames between them are held
PAINTED_AHEAD = 2  # frames that wait for the encoder


class Source(Protocol):
    """A film to read frames from."""

    @property
    def info(self) -> FilmInfo:
        """What the film is."""

    def frames(self, after: ResumePoint | None = None) -> Iterator[Frame]:
        """Every frame, in the order shown. after: leave out the frames up to this point."""


class Sink(Protocol):
    """An output for colored frames, which may hold frames of an earlier run."""

    frames_written: int
    resume_point: ResumePoint | None  # the last frame of the earlier run; None where there is none
    state: Arrays  # the last that `end_segment` was given; empty where there is none

    def write(self, colored: ColoredFrame) -> None:
        """Encode the next frame."""

    def end_segment(self, state: Arrays) -> None:
        """Commit everything written so far, so that a later run can resume here.

        state: of the stages that color frames, to resume with.
        """


class Overlap(Protocol):
    """A way to let a stage run at most `depth` items ahead of the next one."""

    def __call__(self, items: Iterator[T], depth: int, /) -> Iterator[T]:
        """Yield the items unchanged."""


def no_overlap(items: Iterator[T], _: int, /) -> Iterator[T]:
    """Let every stage work only when the next one asks it for an item."""
    return items


def run_pipeline(
    source: Source,
    sink: Sink,
    colorizer: Colorizer,
    steadiness: Steadiness,
    on_frame: Callable[[int], None],
    until: int | None = None,
    shots: Shots | None = None,
    on_references: Callable[[CorrectorState], None] = lambda _: None,
    choose: Choose | None = None,
    notes_shots: bool = False,
) -> int:
    """Color every frame of `source` that `sink` does not have yet; returns how many frames the sink has then.

    on_frame: called with that number after every frame.  until: stop after that many frames of the film.
    shots: decides which frames keep the colors that they have; it is given as at the film's start, and restored to
    where the sink resumes. None: no frame does.  on_references: called at the film's end with what each did.
    choose: the colorizer of a frame, by its number; None: `colorizer` for all.  notes_shots: tell the sink with which
    frames shots start.
    """
    count, checkpoints = sink.frames_written, Checkpoints(sink.frames_written, sink.state)
    if until is not None and count >= until:
        return count
    # Closed from the last stage to the first, so that no thread still decodes when the source closes its file.
    with ExitStack() as stages:

        def overlap(items: Iterator[T], depth: int, /) -> Iterator[T]:
            return stages.enter_context(closing(prefetch(items, depth)))

        frames = overlap(source.frames(sink.resume_point), DECODED_AHEAD)
        colored = colored_frames(
            frames, source.info, colorizer, steadiness, overlap, checkpoints, shots, on_references, choose, notes_shots
        )
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
    overlap: Overlap = no_overlap,
    checkpoints: Checkpoints | None = None,
    shots: Shots | None = None,
    on_references: Callable[[CorrectorState], None] = lambda _: None,
    choose: Choose | None = None,
    notes_shots: bool = False,
) -> Iterator[ColoredFrame]:
    """Every frame with its chroma, in order.

    checkpoints: where an earlier run ended, and where the stages' states are noted.  shots and the rest: see
    `run_pipeline`.
    """
    picture, view, checkpoints = info.picture, view_of(info), checkpoints or Checkpoints(is_resumable=False)
    light_frames: Iterator[LightFrame] = ((frame, colorizer.lightness(frame.luma, picture, view)) for frame in frames)
    if notes_shots:
        light_frames = overlap(_mark_starts(light_frames, checkpoints), DECODED_AHEAD)
    if shots is not None:
        light_frames = overlap(_mark_kept(light_frames, shots, picture, checkpoints), DECODED_AHEAD)
    predictors = Predictors(colorizer, steadiness, picture, view, choose)
    if steadiness.every == 1:
        predicted = _predict(light_frames, colorizer.batch_size, predictors, checkpoints.first, steadiness.first_number)
        predictions = overlap(predicted, 2)
        if steadiness.mode == "off":
            colors: Iterator[ColorFrame] = ((frame, ab) for frame, _, ab, _, _ in predictions if ab is not None)
        else:
            colors = overlap(
                _average(predictions, steadiness, predictors.ask, checkpoints, on_references), PAINTED_AHEAD
            )
    else:
        planned = overlap(_plan_keys(light_frames, steadiness, checkpoints), PLANNED_AHEAD)
        colors = overlap(
            _carry(planned, len(colorizer.devices), predictors, steadiness, checkpoints, on_references), PAINTED_AHEAD
        )
    return overlap((_paint(frame, ab, picture, view) for frame, ab in colors), PAINTED_AHEAD)


def view_of(info: FilmInfo) -> View:
    """Pixel shape and rotation, as the film is shown."""
    return View(info.sample_aspect_ratio or View.sample_aspect_ratio, info.rotation_degrees // 90 % 4)


def _mark_starts(light_frames: Iterable[LightFrame], checkpoints: Checkpoints) -> Iterator[LightFrame]:
    """Mark the frames with which shots start; yields every frame."""
    found = checkpoints.initial_state("starts")
    detector = CutDetector(from_arrays(CutState, found) if found else CutState())
    waiting = PendingItems[LightFrame](len(detector.state.pending))

    def decide() -> Iterator[tuple[LightFrame, bool]]:
        for number, (frame, lightness) in enumerate(light_frames, start=checkpoints.first + 1):
            decided = detector.push(lightness)
            checkpoints.record("starts", number, detector)
            yield from waiting.put((frame, lightness), decided)
        yield from waiting.match(detector.finish())

    for place, ((frame, lightness), is_start) in enumerate(decide()):
        yield replace(frame, starts_shot=is_start or (place == 0 and checkpoints.begins_at_cut)), lightness


def _mark_kept(
    light_frames: Iterable[LightFrame], shots: Shots, picture: PictureFormat, checkpoints: Checkpoints
) -> Iterator[LightFrame]:
    """Mark the frames that keep their own colors; yields every frame."""
    shots.restore(checkpoints.initial_state("shots"))
    waiting = PendingItems[LightFrame](shots.undecided)
    for number, (frame, lightness) in enumerate(light_frames, start=checkpoints.first + 1):
        decided = shots.push(lightness, has_color(frame, picture))
        checkpoints.record("shots", number, shots)
        yield from map(_mark, waiting.put((frame, lightness), decided))
    yield from map(_mark, waiting.match(shots.finish()))


def _mark(decided: tuple[LightFrame, bool]) -> LightFrame:
    (frame, lightness), is_kept = decided
    return replace(frame, keeps_chroma=is_kept), lightness


def _paint(frame: Frame, ab: Floats, picture: PictureFormat, view: View) -> ColoredFrame:
    if frame.keeps_chroma and frame.chroma is not None:
        return ColoredFrame(frame, *frame.chroma())
    return ColoredFrame(frame, *paint(frame.luma, ab, picture, view))


def _predict(
    light_frames: Iterable[LightFrame],
    batch_size: int,
    predictors: Predictors,
    first: int,
    number: int,
) -> Iterator[Predicted]:
    """Predict a*b* batch by batch, also by what is known. No batch crosses the end of a segment.

    first: frames of the film before.  number: of the film's first frame.
    """
    remaining = iter(light_frames)
    before: Floats | None = None
    while batch := list(islice(remaining, min(batch_size, SEGMENT_FRAMES - first % SEGMENT_FRAMES))):
        shown = [lightness for _, lightness in batch]
        pairs = zip(range(first, first + len(batch)), [before, *shown], shown, strict=False)
        needless = [place for place, each in enumerate(pairs) if predictors.may_skip and is_needless(*each)]
        numbers = range(number + first, number + first + len(batch))
        answers = zip(batch, predictors.predict(batch, numbers, needless), strict=True)
        first, before = first + len(batch), shown[-1]
        if first % SEGMENT_FRAMES == 0:
            before = None  # a resumed run knows of no frame before
        yield from ((*frame, *prediction) for frame, prediction in answers)


def _average(
    predictions: Iterable[Predicted],
    steadiness: Steadiness,
    ask: Callable[[Floats], Floats],
    checkpoints: Checkpoints,
    on_references: Callable[[CorrectorState], None],
) -> Iterator[ColorFrame]:
    """Average the network's predictions over time.  ask: the network about one more frame."""
    smoother = steadiness.smoother(checkpoints.initial_state("steadier"), checkpoints.first, ask)
    waiting = PendingItems[Frame](smoother.waiting)
    for number, (frame, lightness, ab, match, likeness) in enumerate(predictions, start=checkpoints.first + 1):
        ready = smoother.push(lightness, ab, match, likeness)
        checkpoints.record("steadier", number, smoother)  # before the frames pass on
        yield from waiting.put(frame, ready)
    yield from waiting.match(smoother.finish())
    on_references(smoother.state.guide)


def _plan_keys(
    light_frames: Iterable[LightFrame], steadiness: Steadiness, checkpoints: Checkpoints
) -> Iterator[tuple[LightFrame, PlannedFrame]]:
    """Choose key frames: frames, L*, and which key frames their color will come from."""
    planner = steadiness.planner(checkpoints.initial_state("planner"), checkpoints.first)
    waiting = PendingItems[LightFrame](planner.waiting)
    for number, pair in enumerate(light_frames, start=checkpoints.first + 1):
        ready = planner.push(pair[1])
        checkpoints.record("planner", number, planner)
        yield from waiting.put(pair, ready)
    yield from waiting.match(planner.finish())


def _carry(
    planned: Iterable[tuple[LightFrame, PlannedFrame]],
    devices: int,
    predictors: Predictors,
    steadiness: Steadiness,
    checkpoints: Checkpoints,
    on_references: Callable[[CorrectorState], None],
) -> Iterator[ColorFrame]:
    """Predict key frames, and carry their colors to the frames between them, from both sides."""
    propagator, number = steadiness.propagator(checkpoints.initial_state("carrier")), checkpoints.first
    waiting = PendingItems[Frame](propagator.waiting)
    for group in _group_by_keys(planned, KEYS_A_DEVICE * devices, checkpoints.first):
        keys = [light_frame for light_frame, plan in group if plan.is_key]
        answers = predictors.predict(keys, [plan.number for _, plan in group if plan.is_key])
        for (frame, _), plan in group:
            number += 1
            ready = propagator.push(plan, *(next(answers)[:2] if plan.is_key else ()))
            checkpoints.record("carrier", number, propagator)
            yield from waiting.put(frame, ready)
    yield from waiting.match(propagator.finish())
    on_references(propagator.state.guide)


def _group_by_keys(
    planned: Iterable[tuple[LightFrame, PlannedFrame]], most: int, first: int
) -> Iterator[list[tuple[LightFrame, PlannedFrame]]]:
    """Group frames: a group ends with its `most`-th key frame, with a segment, or where it would grow too long."""
    group: list[tuple[LightFrame, PlannedFrame]] = []
    for number, item in enumerate(planned, start=first + 1):
        group.append(item)
        is_full = sum(plan.is_key for _, plan in group) == most or len(group) == most * MAX_INTERVAL
        if is_full or number % SEGMENT_FRAMES == 0:
            yield group
            group = []
    if group:
        yield group
