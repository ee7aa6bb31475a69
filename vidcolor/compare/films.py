"""A film before and after: the first frames of its shots, and a short clip."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from vidcolor.color import LumaCoding, lightness_table
from vidcolor.compare.matches import Match
from vidcolor.compare.pictures import LEAST_BYTES, THUMBNAIL, byte_count, make_pair, resize_to_larger
from vidcolor.compare.settings import Settings
from vidcolor.counts import counted
from vidcolor.errors import SourceError
from vidcolor.films.preview import Shot, choose_evenly, find_shots
from vidcolor.frames import FilmInfo, Plane
from vidcolor.media.display import encode_clip, frame_to_rgb
from vidcolor.media.source import FilmSource
from vidcolor.page import Clip, Pair
from vidcolor.planes import network_size, shrink
from vidcolor.stills.display import encode_jpeg, fit, resize_to
from vidcolor.stills.rgb import Rgb

CLIP_SIDE = 720  # pixels, long side of a clip
CLIP_BYTES = 4_000_000  # of a clip at most
FEWEST = 6  # frames to show of a film that has fewer shots
CUT_SIDE = 192  # pixels, short side of the pictures in which cuts are found; 96 are needed


def film_pairs(files: Match, settings: Settings, budget: int, problems: list[str]) -> list[Pair]:
    """The clip, then frames in order. budget: bytes at most.  problems: sentences are added.  Raises SourceError."""
    most = max(1, min(settings.shots, budget // LEAST_BYTES))
    with FilmSource(files.before) as source:
        found = _ShotFinder(source)
        moments = found.find_moments(most)
    pairs = []
    if settings.clip_seconds and budget > 4 * LEAST_BYTES:
        at = settings.at if settings.at is not None else float(found.longest_at)
        try:
            pairs.append(_make_clip(files, at, settings.clip_seconds, min(CLIP_BYTES, budget // 2)))
            budget -= byte_count(pairs[-1])
        except SourceError as error:
            problems.append(f"no clip: {error}")
    missing = 0
    for number, (time, name) in enumerate(moments):
        both = _read_both(files, time, settings.side)
        if both is None:
            missing += 1
            continue
        before, after = both
        pairs.append(make_pair(name, before, after, settings.side, budget // (len(moments) - number)))
        budget -= byte_count(pairs[-1])
    if missing:
        late = f"{missing} of the {counted(len(moments), 'moment')} to show {'comes' if missing == 1 else 'come'}"
        problems.append(f"{files.after} is shorter than {files.before}: {late} after its end.")
    return pairs


class _ShotFinder:
    """Finds the shots of a film while it is decoded, and where the longest begins."""

    def __init__(self, source: FilmSource) -> None:
        self._source = source
        self.longest_at = Fraction(0)

    def find_moments(self, most: int) -> list[tuple[Fraction, str]]:
        """Times to show and their captions: the starts of shots, and evenly spaced times where shots are few."""
        chosen = choose_evenly(self._find_shots(), most)
        found = [
            (time, f"{clock(time)}, frame {shot.number}")
            for shot in chosen
            for time in [self._source.time_of(shot.frame)]
        ]
        more = max(0, min(FEWEST, most) - len(found))
        end = Fraction(self._source.info.duration_seconds or 0)
        between = [end * (2 * number + 1) / (2 * more) for number in range(more)]
        return sorted(found + [(time, clock(time)) for time in between])

    def _find_shots(self) -> Iterator[Shot]:
        begun, longest = Fraction(0), Fraction(0)
        end = Fraction(self._source.info.duration_seconds or 0)
        for shot in find_shots(self._source, lightness_of(self._source.info)):
            time = self._source.time_of(shot.frame)
            if time - begun > longest:
                self.longest_at, longest = begun, time - begun
            begun = time
            yield shot
        if end - begun > longest:
            self.longest_at = begun


def lightness_of(info: FilmInfo) -> Callable[[Plane], Any]:
    """A function from a luma plane (H, W) to its small L* (h, w), in which cuts are found."""
    picture = info.picture
    table = lightness_table(picture.bits, picture.full_range, LumaCoding(picture.matrix, picture.transfer))
    size = network_size(picture.height, picture.width, CUT_SIDE)
    return lambda luma: table[shrink(luma, size)]


def _read_both(files: Match, time: Fraction, longest: int) -> tuple[Rgb, Rgb] | None:
    """The frame on screen at a time, before and after, the long side `longest` pixels; None where a film has ended."""
    with FilmSource(files.before) as before, FilmSource(files.after) as after:
        if (frame := before.frame_at(time)) is None:
            return None
        same = after.frame_at(before.time_of(frame), is_from_other_film=True)
        if same is None:
            return None
        return frame_to_rgb(frame.native, before.info, longest), frame_to_rgb(same.native, after.info, longest)


def _make_clip(files: Match, at: float, seconds: float, most_bytes: int) -> Pair:
    """A clip of both films from a time on, before above after."""
    poster: list[Rgb] = []

    def stack() -> Iterator[tuple[Fraction, Rgb]]:
        for time, before, after in _pair_frames(files, at, seconds):
            pictures = resize_to_larger(before, after)
            height, width = (side // 2 * 2 for side in pictures[0].shape[:2])
            even = [resize_to(picture, (max(2, width), max(2, height))) for picture in pictures]
            if not poster or time <= seconds / 2:
                poster[:] = even
            yield time, np.concatenate(even)

    content = encode_clip(stack(), seconds, most_bytes)
    small = [encode_jpeg(fit(picture, THUMBNAIL), 80) for picture in poster]
    height, width = poster[0].shape[:2]
    name = f"{clock(at)} to {clock(at + seconds)}"
    return Pair(name, small[0], small[1], clip=Clip(content, width, 2 * height))


def _pair_frames(files: Match, at: float, seconds: float) -> Iterator[tuple[Fraction, Rgb, Rgb]]:
    """Frames before, with seconds from the first one, each with the frame after that is shown at its time."""
    sources = [FilmSource(path, start=at, end=at + seconds) for path in (files.before, files.after)]
    with sources[0] as before, sources[1] as after:
        early = 1 / (2 * (before.info.frame_rate or Fraction(25)))
        waiting = _read_timed(after)
        _, shown = next(waiting)
        following = next(waiting, None)
        first = None
        for time, frame in _read_timed(before):
            first = time if first is None else first
            while following is not None and following[0] <= time + early:
                _, shown = following
                following = next(waiting, None)
            yield time - first, frame, shown


def _read_timed(source: FilmSource) -> Iterator[tuple[Fraction, Rgb]]:
    for frame in source.frames():
        yield source.time_of(frame), frame_to_rgb(frame.native, source.info, CLIP_SIDE)


def clock(seconds: float | Fraction) -> str:
    """H:MM:SS.t, or M:SS.t where that is enough."""
    minutes, rest = divmod(round(float(seconds), 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
