"""A film before and after: its shots' first frames, and a short clip."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from vidcolor.color import LumaCoding, lightness_table
from vidcolor.compare.matches import Match
from vidcolor.compare.pictures import LEAST_BYTES, THUMBNAIL, alike, bytes_of, pair_of
from vidcolor.compare.settings import Settings
from vidcolor.errors import SourceError
from vidcolor.films.preview import Shot, evenly, shots
from vidcolor.frames import FilmInfo, Plane
from vidcolor.media.display import clip, read_frame
from vidcolor.media.source import FilmSource
from vidcolor.page import Clip, Pair
from vidcolor.scaling import network_size, shrink
from vidcolor.stills.display import encode_jpeg, fit, resize_to
from vidcolor.stills.rgb import Rgb

CLIP_SIDE = 720  # pixels, long side of a clip
CLIP_BYTES = 4_000_000  # that it takes at most
FEWEST = 6  # frames of a film that has fewer shots
SEEN_SIDE = 192  # short side of what cuts are looked for in: they need 96


def film_pairs(one: Match, settings: Settings, room: int, problems: list[str]) -> list[Pair]:
    """The clip, then frames in their order."""
    most = max(1, min(settings.shots, room // LEAST_BYTES))
    with FilmSource(one.before) as source:
        found = _Shots(source)
        moments = found.moments(most)
    pairs = []
    if settings.clip_seconds and room > 4 * LEAST_BYTES:
        at = settings.at if settings.at is not None else float(found.longest_at)
        try:
            pairs.append(_clip(one, at, settings.clip_seconds, min(CLIP_BYTES, room // 2)))
            room -= bytes_of(pairs[-1])
        except SourceError as error:
            problems.append(f"no clip: {error}")
    missing = 0
    for number, (time, name) in enumerate(moments):
        both = _frames_at(one, time, settings.side)
        if both is None:
            missing += 1
            continue
        before, after = both
        pairs.append(pair_of(name, before, after, settings.side, room // (len(moments) - number)))
        room -= bytes_of(pairs[-1])
    if missing:
        shown = f"{missing} of the {len(moments)} moments to show"
        problems.append(f"{one.after} is shorter than {one.before}: {shown} come after its end.")
    return pairs


class _Shots:
    """The shots of a film, found while it is decoded, and where the longest begins."""

    def __init__(self, source: FilmSource) -> None:
        self._source = source
        self.longest_at = Fraction(0)

    def moments(self, most: int) -> list[tuple[Fraction, str]]:
        """Times to look at, and what they are called: where shots begin; between them too where they are few."""
        kept = evenly(self._each(), most)
        found = [
            (time, f"{clock(time)}, frame {shot.number}")
            for shot in kept
            for time in [self._source.time_of(shot.frame)]
        ]
        more = max(0, min(FEWEST, most) - len(found))
        end = Fraction(self._source.info.duration_seconds or 0)
        between = [end * (2 * number + 1) / (2 * more) for number in range(more)]
        return sorted(found + [(time, clock(time)) for time in between])

    def _each(self) -> Iterator[Shot]:
        begun, longest = Fraction(0), Fraction(0)
        end = Fraction(self._source.info.duration_seconds or 0)
        for shot in shots(self._source, lightness_of(self._source.info)):
            time = self._source.time_of(shot.frame)
            if time - begun > longest:
                self.longest_at, longest = begun, time - begun
            begun = time
            yield shot
        if end - begun > longest:
            self.longest_at = begun


def lightness_of(info: FilmInfo) -> Callable[[Plane], Any]:
    """Luma plane (H, W) -> L* (h, w), small: what cuts are looked for in."""
    picture = info.picture
    table = lightness_table(picture.bits, picture.full_range, LumaCoding(picture.matrix, picture.transfer))
    size = network_size(picture.height, picture.width, SEEN_SIDE)
    return lambda luma: table[shrink(luma, size)]


def _frames_at(one: Match, time: Fraction, longest: int) -> tuple[Rgb, Rgb] | None:
    """The frame on screen at a time before, and the same one after; None where a film has ended."""
    with FilmSource(one.before) as before, FilmSource(one.after) as after:
        if (frame := before.frame_at(time)) is None:
            return None
        same = after.frame_at(before.time_of(frame), is_of_another=True)
        if same is None:
            return None
        return read_frame(frame.native, before.info, longest), read_frame(same.native, after.info, longest)


def _clip(one: Match, at: float, seconds: float, most_bytes: int) -> Pair:
    """Both films from there on, before above after."""
    poster: list[Rgb] = []

    def stacked() -> Iterator[tuple[Fraction, Rgb]]:
        for time, before, after in _in_step(one, at, seconds):
            pictures = alike(before, after)
            height, width = (side // 2 * 2 for side in pictures[0].shape[:2])
            even = [resize_to(picture, (max(2, width), max(2, height))) for picture in pictures]
            if not poster or time <= seconds / 2:
                poster[:] = even
            yield time, np.concatenate(even)

    content = clip(stacked(), seconds, most_bytes)
    small = [encode_jpeg(fit(picture, THUMBNAIL), 80) for picture in poster]
    height, width = poster[0].shape[:2]
    name = f"{clock(at)} to {clock(at + seconds)}"
    return Pair(name, small[0], small[1], clip=Clip(content, width, 2 * height))


def _in_step(one: Match, at: float, seconds: float) -> Iterator[tuple[Fraction, Rgb, Rgb]]:
    """Frames before, seconds from the first on, each with the one after that is shown at its time."""
    sources = [FilmSource(path, start=at, end=at + seconds) for path in (one.before, one.after)]
    with sources[0] as before, sources[1] as after:
        early = 1 / (2 * (before.info.frame_rate or Fraction(25)))
        waiting = _timed(after)
        _, shown = next(waiting)
        following = next(waiting, None)
        first = None
        for time, frame in _timed(before):
            first = time if first is None else first
            while following is not None and following[0] <= time + early:
                _, shown = following
                following = next(waiting, None)
            yield time - first, frame, shown


def _timed(source: FilmSource) -> Iterator[tuple[Fraction, Rgb]]:
    for frame in source.frames():
        yield source.time_of(frame), read_frame(frame.native, source.info, CLIP_SIDE)


def clock(seconds: float | Fraction) -> str:
    """H:MM:SS.t, or M:SS.t where that is enough."""
    minutes, rest = divmod(round(float(seconds), 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
