"""Splits a film into parts that are colored apart and equal the film colored as one.

A part is whole segments of the output. Colors begin anew at every cut, so a part is colored from the last cut before it
on; the frames before its first are dropped.
"""

from collections import deque
from itertools import pairwise

from vidcolor.films.pipeline import Source, view_of
from vidcolor.frames import Frame, Part, ResumePoint, checksum_of
from vidcolor.inference.colorizer import Colorizer
from vidcolor.steady import Steadiness
from vidcolor.steady.checkpoints import SEGMENT_FRAMES
from vidcolor.steady.cuts import CutDetector

LEAST_SEGMENTS = 2  # in a part: fewer are not worth opening the film for
MOST_RUN_UP = 0.5  # frames colored and dropped, as a share of the part before


def can_part(steadiness: Steadiness) -> bool:
    """Whether a shot's colors depend on nothing outside the shot."""
    return not steadiness.has_shot_memory and not steadiness.references


def plan_parts(
    source: Source, colorizer: Colorizer, steadiness: Steadiness, wanted: int, *, keeps_color: bool = False
) -> list[Part]:
    """Decode the film and plan at most `wanted` parts of about equal length; none where it cannot be split.

    Frames after the last part are less than a segment. keeps_color: shots that are in color stay so, which is decided
    for whole shots.
    """
    known = source.info.frame_count
    if wanted < 2 or not can_part(steadiness) or (known is not None and known < 2 * LEAST_SEGMENTS * SEGMENT_FRAMES):
        return []
    starts, frames, first_pts = _find_starts(source, colorizer, by_shot=keeps_color or steadiness.mode != "off")
    segments = frames // SEGMENT_FRAMES
    length = max(LEAST_SEGMENTS, -(-segments // wanted))
    borders = [0]
    while segments - (last := borders[-1]) >= length + LEAST_SEGMENTS:
        possible = range(last + LEAST_SEGMENTS, segments - LEAST_SEGMENTS + 1)
        good = [border for border in possible if _run_up(starts, border) <= MOST_RUN_UP * (border - last)]
        if not good:
            break
        borders.append(min(good, key=lambda border: _run_up(starts, border) + abs(border - last - length)))
    if len(borders) < 2:
        return []
    return [
        Part(first * SEGMENT_FRAMES, end * SEGMENT_FRAMES, first_pts, starts[first])
        for first, end in pairwise([*borders, segments])
    ]


def _run_up(starts: list[ResumePoint | None], border: int) -> float:
    """How many segments are colored and dropped before a part that begins at a border."""
    start = starts[border]
    return border - (start.count if start else 0) / SEGMENT_FRAMES


def _find_starts(source: Source, colorizer: Colorizer, *, by_shot: bool) -> tuple[list[ResumePoint | None], int, int]:
    """For each segment the last frame before its colors begin; the number of frames; the pts of the first frame."""
    picture, view = source.info.picture, view_of(source.info)
    detector, undecided = CutDetector(), deque[Frame | None]()  # each with the frame before it
    starts: list[ResumePoint | None] = []
    number, begun = 0, None

    def append_starts(decided: list[bool]) -> None:
        nonlocal number, begun
        for is_cut in decided:
            before, is_first = undecided.popleft(), number % SEGMENT_FRAMES == 0
            if before is not None and (is_cut or (is_first and not by_shot)):
                begun = ResumePoint(number, before.pts or 0, checksum_of(before.luma))
            if is_first:
                starts.append(begun)
            number += 1

    first_pts, last = 0, None
    for frame in source.frames():
        first_pts = first_pts if last is not None else frame.pts or 0
        undecided.append(last)
        append_starts(detector.push(colorizer.lightness(frame.luma, picture, view)))
        last = frame
    append_starts(detector.finish())
    return starts, number, first_pts
