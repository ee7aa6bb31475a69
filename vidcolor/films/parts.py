"""Splits a film into parts that are colored apart and equal the film colored as one.

A part is whole segments of the output. Colors begin anew at every cut, so a part is colored from the last cut before it
on; the frames before its first are dropped. The film is looked through in stages, each up to the end of a part, so that
the first parts are colored while the rest of the film is still unknown.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from vidcolor.color import Floats
from vidcolor.films.pipeline import Source, view_of
from vidcolor.frames import Frame, Part, ResumePoint, checksum_of
from vidcolor.inference.colorizer import Colorizer
from vidcolor.steady import Steadiness
from vidcolor.steady.checkpoints import SEGMENT_FRAMES
from vidcolor.steady.cuts import CutDetector, CutState

LEAST_SEGMENTS = 2  # in a part: fewer are not worth opening the film for
MOST_RUN_UP = 0.5  # frames colored and dropped, as a share of the part before


def can_part(steadiness: Steadiness) -> bool:
    """Whether a shot's colors depend on nothing outside the shot."""
    return not steadiness.has_shot_memory and not steadiness.references


@dataclass(frozen=True)
class Survey:
    """What is known of a film that was looked through up to a frame. Pickles.

    starts: of every segment, the last frame before its colors begin; None: they begin with the film.
    """

    point: ResumePoint | None = None  # the last frame looked at; None: there was none
    first_pts: int = 0  # of the film's first frame
    starts: tuple[ResumePoint | None, ...] = ()
    begun: ResumePoint | None = None  # the last frame before the newest known cut
    cuts: CutState = field(default_factory=CutState)
    undecided: tuple[ResumePoint | None, ...] = ()  # frames that may begin a shot, each by the frame before it
    planned: int = 0  # segments in parts


def plan_parts(
    source: Source, colorizer: Colorizer, steadiness: Steadiness, wanted: int, survey: Survey | None = None, *,
    keeps_color: bool = False,
) -> tuple[list[Part], Survey | None]:  # fmt: skip
    """Decode the film up to where a part can end, and plan it; with what the next call needs, None at the film's end.

    wanted: parts of about equal length, at most; no part is planned of a film that cannot be split, and frames after
    the last part are less than a segment.  survey: of the call before.  keeps_color: shots that are in color stay so,
    which is decided for whole shots.
    """
    known = source.info.frame_count
    if wanted < 2 or not can_part(steadiness) or (known is not None and known < 2 * LEAST_SEGMENTS * SEGMENT_FRAMES):
        return [], None
    looker = _Looker(survey or Survey(), by_shot=keeps_color or steadiness.mode != "off")
    segments, length = _divide(known or 0, wanted)
    for frame in source.frames(looker.point):
        looker.push(frame, colorizer.lightness(frame.luma, source.info.picture, view_of(source.info)))
        if known and looker.has_new_segment and len(looker.starts) > looker.planned + length + length // 2:
            border = _choose_border(looker.starts, looker.planned, length, segments)
            if border is not None:
                return [looker.plan(border)], looker.survey
    looker.finish()
    segments, length = _divide(looker.number, wanted)
    parts = []
    while (border := _choose_border(looker.starts, looker.planned, length, segments)) is not None:
        parts.append(looker.plan(border))
    if looker.planned and segments > looker.planned:
        parts.append(looker.plan(segments))
    return parts, None


def _divide(frames: int, wanted: int) -> tuple[int, int]:
    """How many segments so many frames are, and how many of them a part should have."""
    segments = frames // SEGMENT_FRAMES
    return segments, max(LEAST_SEGMENTS, -(-segments // wanted))


def _choose_border(starts: Sequence[ResumePoint | None], last: int, length: int, segments: int) -> int | None:
    """The segment with which the part after the one that begins at `last` should begin; None where none is good.

    starts: of the segments that are known.  segments: of the film, or about so many.
    """
    if segments - last < length + LEAST_SEGMENTS:
        return None
    possible = range(last + LEAST_SEGMENTS, min(len(starts), segments - LEAST_SEGMENTS + 1))
    good = [border for border in possible if _run_up(starts, border) <= MOST_RUN_UP * (border - last)]
    return min(good, key=lambda border: _run_up(starts, border) + abs(border - last - length), default=None)


def _run_up(starts: Sequence[ResumePoint | None], border: int) -> float:
    """How many segments are colored and dropped before a part that begins at a border."""
    start = starts[border]
    return border - (start.count if start else 0) / SEGMENT_FRAMES


class _Looker:
    """Looks through a film for the last frame before each segment's colors begin."""

    def __init__(self, survey: Survey, *, by_shot: bool) -> None:
        """by_shot: colors begin at cuts alone; else also with each segment."""
        self._by_shot, self.planned, self.starts = by_shot, survey.planned, list(survey.starts)
        self.point, self._first_pts, self._begun = survey.point, survey.first_pts, survey.begun
        self._detector = CutDetector(survey.cuts)
        self._undecided: deque[Frame | ResumePoint | None] = deque(survey.undecided)  # each by the frame before it
        self._count = survey.point.count if survey.point else 0  # frames pushed
        self._last: Frame | ResumePoint | None = survey.point
        self.has_new_segment = False  # since the frame before

    @property
    def number(self) -> int:
        """Frames that are decided."""
        return self._count - len(self._undecided)

    @property
    def survey(self) -> Survey:
        """What is known so far."""
        waiting = tuple(_point_of(frame, self.number + place) for place, frame in enumerate(self._undecided))
        point, cuts = _point_of(self._last, self._count), self._detector.state
        return Survey(point, self._first_pts, tuple(self.starts), self._begun, cuts, waiting, self.planned)

    def push(self, frame: Frame, lightness_hw: Floats) -> None:
        """Look at the next frame."""
        if self._last is None:
            self._first_pts = frame.pts or 0
        self._undecided.append(self._last)
        self._last, self._count = frame, self._count + 1
        self._decide(self._detector.push(lightness_hw))

    def finish(self) -> None:
        """The film has no more frames."""
        self._decide(self._detector.finish())

    def plan(self, border: int) -> Part:
        """The part from the end of the one before to the segment `border`, which is not in it."""
        first, self.planned = self.planned, border
        return Part(first * SEGMENT_FRAMES, border * SEGMENT_FRAMES, self._first_pts, self.starts[first])

    def _decide(self, decided: list[bool]) -> None:
        self.has_new_segment = False
        for is_cut in decided:
            number = self.number
            before, is_first = self._undecided.popleft(), number % SEGMENT_FRAMES == 0
            if before is not None and (is_cut or (is_first and not self._by_shot)):
                self._begun = _point_of(before, number)
            if is_first:
                self.starts.append(self._begun)
                self.has_new_segment = True


def _point_of(frame: Frame | ResumePoint | None, count: int) -> ResumePoint | None:
    """A frame as a place to resume after. count: frames up to and including it."""
    return ResumePoint(count, frame.pts or 0, checksum_of(frame.luma)) if isinstance(frame, Frame) else frame
