"""Loads stills in color that a film is to follow: pictures, a folder of them, or a list of times and pictures.

A picture named frame_000123.png belongs to the film's frame 123, the first being 0. Others belong to the frames that
they resemble. Where a picture is transparent, it says nothing.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vidcolor.archives.photos import is_photo
from vidcolor.color import Floats, move_to_lightness, picture_to_lab
from vidcolor.errors import SourceError, UsageError
from vidcolor.films.preview import Shot, render_gray
from vidcolor.formats import LEARNED_PHOTOS, REFERENCE_LISTS
from vidcolor.frames import FilmInfo
from vidcolor.hints import Hint, draw
from vidcolor.inference.listening import known_size
from vidcolor.media.frame_clock import FrameClock
from vidcolor.media.seeking import frames_at, read_properties
from vidcolor.media.sequences import shown_name
from vidcolor.media.source import FilmSource
from vidcolor.planes import shrink
from vidcolor.steady.references import Reference
from vidcolor.steady.registration import register
from vidcolor.stills.rgb import Rgb, decode, is_gray
from vidcolor.stills.upright import read_opacity

SHORT_SIDE = 192  # pixels that a still is shrunk to: more than colors are carried at
WHOLE = 0.995  # share of a frame that a still covers, from which it covers all
_NUMBERED = re.compile(r"frame_(\d+)")
_LINE = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)[\s,;]+(\S.*)")


def reference_name(number: int) -> str:
    """The file name of the picture of a frame."""
    return f"frame_{number:06d}.png"


def files_in(path: Path) -> list[Path]:
    """The files that a path names: itself, or all files in the folder."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def load_references(paths: tuple[Path, ...], info: FilmInfo, clock: FrameClock) -> tuple[Reference, ...]:
    """Load the stills of a film. Raises SourceError for a bad picture, UsageError for a bad list or folder."""
    return _with_frames([reference for path in paths for reference in _load_path(path, clock)], info, clock)


def _with_frames(found: list[Reference], info: FilmInfo, clock: FrameClock) -> tuple[Reference, ...]:
    """Lay stills with a number on the film's own frame, from which their lightness is taken."""
    numbers = {still.number for still in found if still.number is not None}
    frames = _read_frames(numbers, info, clock)[0] if numbers else {}
    return tuple(
        still if still.number is None or still.number not in frames else _lay_on(still, frames[still.number])
        for still in found
    )


def _lay_on(still: Reference, lightness_hw: Floats) -> Reference:
    """A still as the film's frame shows it: an editor may have moved, cropped or repainted it."""
    if still.known_hw is not None:  # what is painted on a layer alone has nothing to be registered by
        moved = _move_colors(still.picture.ab_2hw, still.lightness_hw, lightness_hw)
        return replace(still, lightness_hw=lightness_hw, picture=replace(still.picture, ab_2hw=moved))
    found = register(still.lightness_hw, lightness_hw)
    if not found.shows_the_frame:
        said = f"{still.name} does not show the film's frame {still.number}; the film is searched for what it shows"
        return replace(still, remarks=(*still.remarks, said))
    size = lightness_hw.shape
    covered = found.coverage(still.lightness_hw.shape, size)
    is_whole = float(covered.mean()) > WHOLE
    ab = _move_colors(
        found.apply(still.picture.ab_2hw, size), found.apply(still.lightness_hw[None], size)[0], lightness_hw
    )
    laid = Reference.from_lab(still.number, lightness_hw, ab, still.name, None if is_whole else covered)
    return replace(laid, spreads=not is_whole, remarks=still.remarks)


def _move_colors(ab_2hw: Floats, lightness_hw: Floats, wanted_hw: Floats) -> Floats:
    """A still's colors at the film's lightness: what was painted dark blue is blue there, not violet."""
    columns, rows = ab_2hw.shape[:0:-1]
    before, after = (
        np.asarray(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
        for plane in (lightness_hw, wanted_hw)
    )
    return np.stack(move_to_lightness(before, ab_2hw[0], ab_2hw[1], after))


def _read_frames(
    numbers: Collection[int], info: FilmInfo, clock: FrameClock
) -> tuple[dict[int, Floats], tuple[int, int]]:
    """L* of some of a film's frames, without those beyond its end; and width and height of the film as it is shown."""
    film, path = read_properties(Path(info.path)), Path(info.path)
    scale = SHORT_SIDE / min(film.width, film.height)
    size = round(film.width * scale), round(film.height * scale)
    wanted = sorted(number for number in numbers if number < len(clock.pts))
    if clock.is_seekable:
        pictures = frames_at(path, [(number, number) for number in wanted], film, size, pts=clock.pts)
        found = dict(frame for frame in pictures if frame is not None)
    else:
        found = _decode_frames(path, set(wanted), size)
    frames = {number: np.asarray(picture_to_lab(rgb)[0], np.float32) for number, rgb in found.items()}
    return frames, (film.width, film.height)


def _decode_frames(path: Path, wanted: set[int], size: tuple[int, int]) -> dict[int, Rgb]:
    """Some of a film's frames in gray, of a (width, height); the film is decoded up to the last of them."""
    found: dict[int, Rgb] = {}
    with FilmSource(path) as source:
        for number, frame in enumerate(source.frames()):
            if number in wanted:
                shown = render_gray(Shot(number, frame), source.info)
                found[number] = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA), np.uint8)
            if len(found) == len(wanted):
                break
    return found


def load_hints(said: Sequence[Hint], origin: str, info: FilmInfo, clock: FrameClock) -> tuple[Reference, ...]:
    """Load the hints of a film, those of one frame together; none where it has none. Raises ReadError, UsageError.

    origin: the name of their file, for people.
    """
    shown = shown_name(Path(info.path))
    hints = [hint for hint in said if hint.is_for(info.path) or hint.is_for(shown)]
    if not hints:
        return ()
    for hint in hints:
        if hint.page != 1:
            raise UsageError(f"{hint.name}: has a page, but {Path(info.path).name} is a film; give it a frame or time.")
    numbered = [replace(hint, frame=_frame_of(hint, info, clock)) for hint in hints]
    frames, shown_size = _read_frames({hint.frame for hint in numbered if hint.frame is not None}, info, clock)
    for hint in numbered:
        if hint.frame not in frames:
            asked = f"frame {hint.frame}" if hint.seconds is None else f"{hint.seconds:g} s"
            last = len(clock.pts) - 1
            raise UsageError(f"{hint.name}: {asked} cannot be read; the film has frames 0 to {last}.")
    return hint_references(numbered, origin, frames, shown_size)


def hint_references(
    hints: Sequence[Hint], origin: str, frames: Mapping[int, Floats], shown_size: tuple[int, int]
) -> tuple[Reference, ...]:
    """Hints, each with a frame, as known colors; those of one frame and reach together.

    frames: their L*, by number.  shown_size: width and height of the film as it is shown. Raises UsageError for a hint
    outside of the picture.
    """
    together: dict[tuple[int, tuple[int, int] | None], list[Hint]] = {}
    for hint in hints:
        if hint.frame is not None:
            together.setdefault((hint.frame, hint.frames), []).append(hint)
    found = []
    for (number, reach), said in sorted(together.items(), key=lambda item: (item[0][0], item[0][1] or (0, 0))):
        lightness = frames[number]
        drawn = draw(said, shown_size, shrink(lightness, known_size(lightness.shape)))
        laid = Reference.from_lab(number, lightness, drawn.ab_2hw, f"{origin}, frame {number}", drawn.known_hw)
        found.append(replace(laid, spreads=True, remarks=drawn.contradictions, frames=reach))
    return tuple(found)


def lay_hints_over(stills: tuple[Reference, ...], hints: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Stills and hints; hints of a frame that has a still are laid over it, which speaks of all the rest."""
    left = {hint.number: hint for hint in hints if hint.frames is None}
    laid = tuple(_lay_over(still, left.pop(still.number, None)) for still in stills)
    return laid + tuple(left.values()) + tuple(hint for hint in hints if hint.frames is not None)


def _lay_over(still: Reference, hint: Reference | None) -> Reference:
    if hint is None or hint.known_hw is None:
        return still
    colors, columns = still.picture.ab_2hw, still.picture.ab_2hw.shape[:0:-1]
    a, b, said = (
        np.asarray(cv2.resize(plane, columns, interpolation=cv2.INTER_NEAREST), np.float32)
        for plane in (*hint.picture.ab_2hw, hint.known_hw)
    )
    colors = colors + said * (np.stack([a, b]) - colors)
    known = still.known_hw
    if known is not None:
        known = np.maximum(cv2.resize(known, columns, interpolation=cv2.INTER_AREA), said).astype(np.float32)
    return replace(
        still, picture=replace(still.picture, ab_2hw=colors), known_hw=known, name=f"{still.name} with {hint.name}",
        remarks=(*still.remarks, *hint.remarks),
    )  # fmt: skip


def _frame_of(hint: Hint, info: FilmInfo, clock: FrameClock) -> int:
    if hint.frame is not None:
        return hint.frame
    if hint.seconds is None:
        raise UsageError(f"{hint.name}: {Path(info.path).name} is a film; say at which frame or time.")
    if not clock.has_times:
        raise UsageError(f"{hint.name}: the film states no frame rate to count times by; give it a frame.")
    return clock.number_shown_at(hint.seconds)


def _load_path(path: Path, clock: FrameClock) -> list[Reference]:
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if is_photo(file.name))
        if not found:
            raise UsageError(f"{path}: no pictures in it; {reference_name(123)} would be that of frame 123.")
        return [_load_picture(file, _number_of(file)) for file in found]
    if path.suffix.lower() in REFERENCE_LISTS and path.is_file():
        return _load_list(path, clock)
    if path.suffix.lower() in LEARNED_PHOTOS:
        return [_load_picture(path, _number_of(path))]
    raise UsageError(f"{path}: a still is a picture, a folder of pictures, or a .txt list of times and pictures.")


def _load_list(path: Path, clock: FrameClock) -> list[Reference]:
    """Load a list with lines such as `0:01:23.5 still.png`; the file lies beside the list."""
    if not clock.has_times:
        raise UsageError(f"{path}: the film states no frame rate to count times by; name the stills frame_000123.png.")
    found = []
    for count, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UsageError(
                f"{path}, line {count}: {line.strip()!r} is no time and picture; write 0:01:23.5 still.png."
            )
        hours, minutes, seconds = (float(part or 0) for part in match.groups()[:3])
        time = 3600 * hours + 60 * minutes + seconds
        found.append(_load_picture(path.parent / match[4].strip("\"'"), clock.number_shown_at(time)))
    return found


def _read_known(path: Path) -> Floats | None:
    """Where a still says a color: where it is opaque. None: everywhere."""
    opacity = read_opacity(path)
    if opacity is None or opacity.min() == 1:
        return None
    scale = SHORT_SIDE / min(opacity.shape)
    size = tuple(max(1, round(side * scale)) for side in opacity.shape[::-1])
    return np.asarray(cv2.resize(opacity, size, interpolation=cv2.INTER_AREA), np.float32)


def _number_of(path: Path) -> int | None:
    match = _NUMBERED.fullmatch(path.stem.lower())
    return int(match[1]) if match else None


def _load_picture(path: Path, number: int | None) -> Reference:
    rgb = decode(path, short_side=SHORT_SIDE)
    if rgb is None:
        raise SourceError(f"{path}: not a picture that can be read. Save it as PNG or JPEG.")
    known = _read_known(path)
    if known is None and is_gray(rgb):
        raise SourceError(f"{path}: a still without colors, from which none can be taken. Color it first.")
    if known is not None and not known.any():
        raise SourceError(f"{path}: is transparent all over, and says no color. Paint on it, or leave it out.")
    if known is not None and number is None:
        raise UsageError(f"{path}: is partly transparent; name it {reference_name(123)} for the film's frame 123.")
    lightness, a, b = picture_to_lab(rgb)
    ab = np.stack([a, b]).astype(np.float32)
    return Reference.from_lab(number, np.asarray(lightness, np.float32), ab, path.name, known)
