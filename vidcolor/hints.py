"""Hints: colors that a person says of points, strokes and regions of a film or photo, in a JSON file.

    {"size": [1280, 720], "hints": [
        {"frame": 120, "point": [412, 300], "color": "navy"},
        {"time": "0:01:02.5", "stroke": [[40, 80], [90, 85]], "width": 6, "color": "#8b5a2b"},
        {"frame": 120, "region": [[0, 0], [1280, 0], [1280, 200], [0, 200]], "color": "gray"}]}

Lightness stays the picture's own: of a color hue and strength are taken, or its a*b* where these are said. Shapes: h w
positions of a*b*.
"""

import json
import math
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from PIL import ImageColor

from vidcolor.color import Floats, move_to_lightness, picture_to_lab
from vidcolor.counts import counted
from vidcolor.errors import UsageError, closest_name, unreadable
from vidcolor.timecode import parse_timecode

MAX_BYTES = 64_000_000
MAX_HINTS, MAX_POINTS = 100_000, 100_000  # in a file; in a shape
SHAPES = {"point": 1, "stroke": 2, "region": 3}  # and the fewest points of each
KEYS = (*SHAPES, "color", "frame", "time", "frames", "width", "size", "file", "page")
FINER = 4  # times: shapes are drawn so much larger than a*b*
CONTRADICTION = 10.0  # a*b*: two colors so far apart are not meant for one place
MAX_SECONDS = 1e7
MAX_TOLD = 3  # contradictions, and files that are not there, told one by one

Point = tuple[float, float]


@dataclass(frozen=True)
class Hint:
    """One color, said of one place."""

    name: str  # for people: the file and the hint's number in it
    shape: str  # point, stroke or region
    points: tuple[Point, ...]  # x and y in units of `size`, from the top left of the picture as it is shown
    ab: tuple[float, float]
    lightness: float | None  # L* 0..100 of a color by name or code; None: a*b* were said, which hold at any lightness
    size: tuple[float, float] | None = None  # width and height that points are counted in; None: the picture's pixels
    width: float = 0.0  # of a stroke or a point, in the same units; 0: the thinnest
    frame: int | None = None  # of the film, from 0
    seconds: float | None = None  # into the film
    frames: tuple[int, int] | None = None  # first and last of the film that it speaks of; None: all that look alike
    file: str | None = None  # name of the film or photo; None: of the only one
    page: int = 1  # of the photo's file, from 1

    def is_for(self, name: str) -> bool:
        """Whether it is for a file of this name or path in the source."""
        if self.file is None:
            return True
        asked, given = (PurePosixPath(composed(path).replace("\\", "/")) for path in (self.file, name))
        return given.parts[-len(asked.parts) :] == asked.parts


@dataclass(frozen=True)
class Drawing:
    """Hints as known colors of a picture."""

    ab_2hw: Floats
    known_hw: Floats  # 1 where a hint is, 0 where none is
    contradictions: tuple[str, ...] = ()  # of two hints that say different colors of one place, in words


def composed(name: str) -> str:
    """A name with accents in their letters, as people type it; older disks of macOS list them apart."""
    return unicodedata.normalize("NFC", name)


def read_hints(path: Path) -> list[Hint]:
    """Read a file of hints. Raises ReadError, UsageError with the place of a fault."""
    return parse_hints(read_json(path), str(path))


def read_json(path: Path) -> Any:
    """Read a JSON file that a person may have written. Raises ReadError, UsageError with the place of a fault."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path}: is too large to be what it should.")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no text; a JSON file is needed.") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}, column {error.colno}: is not JSON ({error.msg}).") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nesting as deep
        raise UsageError(f"{path}: is not JSON that can be read.") from error


def parse_hints(data: Any, name: str = "hints") -> list[Hint]:
    """Hints from what a JSON file holds: a list of them, or an object with `hints` and `size`. Raises UsageError.

    name: of the file, for people.
    """
    if isinstance(data, list | tuple):
        data = {"hints": list(data)}
    if not isinstance(data, dict) or not isinstance(data.get("hints"), list):
        raise UsageError(f'{name}: needs a list of hints, or {{"hints": [...]}}.')
    _check_keys(data, ("hints", "size"), name)
    found = data["hints"]
    if not found:
        raise UsageError(f"{name}: has no hints.")
    if len(found) > MAX_HINTS:
        raise UsageError(f"{name}: has {counted(len(found), 'hint')}; {MAX_HINTS} at most.")
    size = _parse_size(data["size"], name) if "size" in data else None
    hints = [_parse_hint(one, f"{name}, hint {number}", size) for number, one in enumerate(found, start=1)]
    _check_units(hints, name)
    return hints


def _check_units(hints: Sequence[Hint], name: str) -> None:
    """Raise UsageError for points that are shares of the picture, though it is not said."""
    numbers = [number for hint in hints if hint.size is None for point in hint.points for number in point]
    if numbers and max(numbers) <= 1 and any(number % 1 for number in numbers):
        raise UsageError(f'{name}: its points are pixels, all of the first one; for shares say "size": [1, 1].')


def check_named(hints: Sequence[Hint]) -> None:
    """Raise UsageError for a hint that names no file, where there are several."""
    for hint in hints:
        if hint.file is None:
            raise UsageError(
                f'{hint.name}: names no file; of several films or photos, say which ("file": "reel1.mkv").'
            )


def hints_for(hints: Sequence[Hint], name: str, origin: object) -> list[Hint]:
    """The hints for a photo of this name. origin: of the hints, for people. Raises UsageError where there are none."""
    found = [hint for hint in hints if hint.is_for(name)]
    if not found:
        raise UsageError(f"{origin}: has no hint for {name}{_told_files(hints)}.")
    return found


def _told_files(hints: Sequence[Hint]) -> str:
    """What files hints are for, in words."""
    files = list(dict.fromkeys(hint.file for hint in hints if hint.file is not None))
    return (
        f"; they are for {', '.join(files[:MAX_TOLD])}{' and others' if len(files) > MAX_TOLD else ''}" if files else ""
    )


def idle_hints(hints: Sequence[Hint], names: Collection[str]) -> list[str]:
    """A line for each file that hints name and that is not among these names; a few."""
    by_file = {hint.file: hint for hint in reversed(hints)}
    idle = [hint for hint in by_file.values() if not any(hint.is_for(name) for name in names)]
    told = [f"{hint.name} is for {hint.file}, which is not there" for hint in idle[::-1][:MAX_TOLD]]
    more = counted(len(idle) - MAX_TOLD, "more file that hints name is", "more files that hints name are")
    return told + ([f"{more} not there"] if len(idle) > MAX_TOLD else [])


def draw(hints: Sequence[Hint], picture: tuple[int, int], lightness_hw: Floats) -> Drawing:
    """Draw the hints of one picture; where two meet, the later one holds.

    picture: its width and height in pixels as it is shown.  lightness: L* 0..100 of it, at the size that is drawn.
    Raises UsageError for a hint outside of it.
    """
    rows, columns = lightness_hw.shape
    ab, known = np.zeros((2, rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    owner = np.full((rows, columns), -1)
    contradictions: dict[tuple[int, int], str] = {}
    for index, hint in enumerate(hints):
        sure = _draw_shape(hint, picture, rows, columns)
        for other in np.unique(owner[(sure >= 0.5) & (owner >= 0)]).tolist():
            if math.dist(hints[other].ab, hint.ab) > CONTRADICTION:
                told = f"{hint.name} lies over another color, of {hints[other].name}; the later one holds"
                contradictions.setdefault((other, index), told)
        ab += sure * (_color_at(hint, lightness_hw) - ab)
        known = np.maximum(known, sure)
        owner[sure >= 0.5] = index
    ab[:, known == 0] = 0
    remarks = list(contradictions.values())
    if len(remarks) > MAX_TOLD:
        more = counted(len(remarks) - MAX_TOLD, "more hint lies", "more hints lie")
        remarks = [*remarks[:MAX_TOLD], f"{more} over other colors"]
    return Drawing(ab, known, tuple(remarks))


def _color_at(hint: Hint, lightness_hw: Floats) -> Floats:
    """A hint's a*b* at a picture's lightness: (2, h, w)."""
    if hint.lightness is None:
        return np.broadcast_to(np.array(hint.ab, np.float32)[:, None, None], (2, *lightness_hw.shape))
    levels = np.arange(101, dtype=np.float32)
    lightness, a, b = (np.full_like(levels, value) for value in (hint.lightness, *hint.ab))
    tables = move_to_lightness(lightness, a, b, levels)
    return np.stack([np.interp(lightness_hw, levels, table) for table in tables]).astype(np.float32)


def _draw_shape(hint: Hint, picture: tuple[int, int], rows: int, columns: int) -> Floats:
    """How far each position belongs to a hint, 0..1; at least one does in full."""
    width, height = hint.size or picture
    for x, y in hint.points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise UsageError(
                f"{hint.name}: {x:g}, {y:g} lies outside of the picture, which is {width:g}x{height:g}; points are"
                " counted from its top left."
            )
    scale: Any = np.array([columns / width, rows / height])
    points = np.array(hint.points) * scale * FINER
    fine = np.zeros((rows * FINER, columns * FINER), np.uint8)
    corners = np.clip(np.floor(points), 0, np.array(fine.shape[::-1]) - 1).astype(np.int32)
    if hint.shape == "region":
        cv2.fillPoly(fine, [corners[:, None]], 1)
    else:
        thickness = max(1, round(min(hint.width * float(scale.min()), rows + columns) * FINER))
        if len(corners) == 1:
            cv2.circle(fine, tuple(map(int, corners[0])), thickness // 2, 1, -1)
        else:
            cv2.polylines(fine, [corners[:, None]], isClosed=False, color=1, thickness=thickness)
    covered = fine.reshape(rows, FINER, columns, FINER).mean(axis=(1, 3), dtype=np.float32)
    if hint.shape != "region" or covered.max() < 1:  # thinner than a position: whatever it touches
        return np.asarray(covered > 0, np.float32)
    return np.asarray(covered >= 0.5, np.float32)


def _parse_hint(data: Any, name: str, size: tuple[float, float] | None) -> Hint:
    if not isinstance(data, dict):
        raise UsageError(f'{name}: is no object such as {{"point": [412, 300], "color": "navy"}}.')
    _check_keys(data, KEYS, name)
    shapes = [shape for shape in SHAPES if shape in data]
    if len(shapes) != 1:
        found = f"has {' and '.join(shapes)}; one of them is a hint" if shapes else f"needs one of {', '.join(SHAPES)}"
        raise UsageError(f"{name}: {found}.")
    if "color" not in data:
        raise UsageError(f'{name}: needs a color, such as "navy", "#1f2a44" or [a*, b*].')
    if "frame" in data and "time" in data:
        raise UsageError(f"{name}: has a frame and a time; one is enough.")
    shape = shapes[0]
    size = _parse_size(data["size"], name) if "size" in data else size
    points = _parse_points(data[shape], shape, name)
    file = data.get("file")
    if file is not None and (not isinstance(file, str) or not file):
        raise UsageError(f"{name}: its file {str(file)[:40]!r} is no name.")
    frame = _parse_whole(data["frame"], f"{name}: its frame", 0) if "frame" in data else None
    page = _parse_whole(data.get("page", 1), f"{name}: its page", 1)
    frames = _parse_frames(data["frames"], name) if "frames" in data else None
    width = _parse_number(data.get("width", 0), f"{name}: its width")
    if width < 0 or (width and shape == "region"):
        raise UsageError(f"{name}: its width {width:g} is none: points and strokes have one, of 0 or more.")
    seconds = _parse_time(data["time"], name) if "time" in data else None
    ab, lightness = _parse_color(data["color"], name)
    return Hint(name, shape, points, ab, lightness, size, width, frame, seconds, frames, file, page)


def _check_keys(data: dict[Any, Any], known: Sequence[str], name: str) -> None:
    for key in data:
        if key not in known:
            near = closest_name(str(key), known)
            hint = f"did you mean {near}?" if near else f"there is {', '.join(known)}."
            raise UsageError(f"{name}: {str(key)[:40]!r} is unknown; {hint}")


def _parse_points(data: Any, shape: str, name: str) -> tuple[Point, ...]:
    pairs = [data] if shape == "point" else data
    if not _is_list(pairs) or not all(_is_list(pair) and len(pair) == 2 for pair in pairs):
        raise UsageError(f"{name}: its {shape} is no {'[x, y]' if shape == 'point' else 'list of [x, y]'}.")
    if not SHAPES[shape] <= len(pairs) <= MAX_POINTS:
        needed = f"{SHAPES[shape]} or more" if len(pairs) < SHAPES[shape] else f"{MAX_POINTS} at most"
        raise UsageError(f"{name}: its {shape} has {counted(len(pairs), 'point')}; it needs {needed}.")
    return tuple((_parse_number(x, f"{name}: x"), _parse_number(y, f"{name}: y")) for x, y in pairs)


def _is_list(data: Any) -> bool:
    return isinstance(data, list | tuple)


def _parse_frames(data: Any, name: str) -> tuple[int, int]:
    if not _is_list(data) or len(data) != 2:
        raise UsageError(f"{name}: its frames are no [first, last].")
    first, last = (_parse_whole(number, f"{name}: its frames", 0) for number in data)
    if first > last:
        raise UsageError(f"{name}: its frames [{first}, {last}] end before they begin.")
    return first, last


def _parse_size(data: Any, name: str) -> tuple[float, float]:
    if not _is_list(data) or len(data) != 2:
        raise UsageError(f"{name}: its size is no [width, height].")
    width, height = (_parse_number(side, f"{name}: its size") for side in data)
    if min(width, height) < 1e-3:
        raise UsageError(f"{name}: its size {width:g}x{height:g} is none.")
    return width, height


def _parse_number(data: Any, name: str) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float) or not abs(data) <= 1e9:  # NaN neither
        raise UsageError(f"{name} {str(data)[:40]!r} is no number.")
    return float(data)


def _parse_whole(data: Any, name: str, least: int) -> int:
    if isinstance(data, bool) or not isinstance(data, int) or not least <= data <= 1_000_000_000:
        raise UsageError(f"{name} {str(data)[:40]!r} is no whole number from {least}.")
    return data


def _parse_time(data: Any, name: str) -> float:
    if isinstance(data, str):
        try:
            return parse_timecode(data)
        except ValueError as error:
            raise UsageError(f"{name}: its time {data[:40]!r} {error}") from error
    seconds = _parse_number(data, f"{name}: its time")
    if not 0 <= seconds <= MAX_SECONDS:
        raise UsageError(f"{name}: its time {seconds:g} is no time of a film.")
    return seconds


def _parse_color(data: Any, name: str) -> tuple[tuple[float, float], float | None]:
    """The a*b* of a CSS color, and its L*; or [a*, b*], and None."""
    if _is_list(data):
        if len(data) != 2:
            raise UsageError(f'{name}: its color is no [a*, b*]; red, green and blue are "rgb(200, 30, 30)".')
        a, b = (_parse_number(value, f"{name}: its color") for value in data)
        if max(abs(a), abs(b)) > 128:
            raise UsageError(f"{name}: its color [{a:g}, {b:g}] is none; a* and b* lie between -128 and 128.")
        return (a, b), None
    if not isinstance(data, str):
        raise UsageError(f'{name}: its color {str(data)[:40]!r} is no CSS color such as "navy", and no [a*, b*].')
    try:
        rgb = ImageColor.getrgb(data.strip())
        if not all(0 <= code <= 255 for code in rgb):  # of rgb(300, 0, 0)
            raise ValueError(data)
    except (ValueError, OverflowError) as error:
        near = closest_name(data, ImageColor.colormap)
        hint = f"did you mean {near}?" if near else 'write a CSS name, "#1f2a44" or [a*, b*].'
        raise UsageError(f"{name}: color {data[:40]!r} is unknown; {hint}") from error
    planes = picture_to_lab(np.array(rgb[:3], np.uint8).reshape(1, 1, 3))
    lightness, red_green, yellow_blue = (round(float(plane[0, 0]), 2) for plane in planes)
    return (red_green, yellow_blue), lightness
