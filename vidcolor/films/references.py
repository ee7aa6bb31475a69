"""Loads stills in color that a film is to follow: pictures, a folder of them, or a list of times and pictures.

A picture named frame_000123.png belongs to the film's frame 123, the first being 0. Others belong to the frames that
they resemble. Where a picture is transparent, it says nothing.
"""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vidcolor.archives.photos import is_photo
from vidcolor.color import Floats, picture_to_lab
from vidcolor.errors import SourceError, UsageError
from vidcolor.formats import LEARNED_PHOTOS, REFERENCE_LISTS
from vidcolor.frames import FilmInfo
from vidcolor.media.seeking import frames_at, read_properties
from vidcolor.steady.references import Reference
from vidcolor.stills.rgb import decode, is_gray
from vidcolor.stills.upright import read_opacity

SHORT_SIDE = 192  # pixels that a still is shrunk to: more than colors are carried at
_NUMBERED = re.compile(r"frame_(\d+)")
_LINE = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)[\s,;]+(\S.*)")


def reference_name(number: int) -> str:
    """The file name of the picture of a frame."""
    return f"frame_{number:06d}.png"


def files_in(path: Path) -> list[Path]:
    """The files that a path names: itself, or all files in the folder."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def load_references(paths: tuple[Path, ...], info: FilmInfo) -> tuple[Reference, ...]:
    """Load the stills of a film. Raises SourceError for a bad picture, UsageError for a bad list or folder."""
    return _with_frames([reference for path in paths for reference in _load_path(path, info)], info)


def _with_frames(found: list[Reference], info: FilmInfo) -> tuple[Reference, ...]:
    """Give stills that are partly transparent the picture of the film's frame that they belong to."""
    partial = sorted({still.number for still in found if still.known_hw is not None and still.number is not None})
    if not partial:
        return tuple(found)
    film = read_properties(Path(info.path))
    scale = SHORT_SIDE / min(film.width, film.height)
    size = round(film.width * scale), round(film.height * scale)
    wanted = [(number, number) for number in partial if number < film.frame_count]
    frames = dict(frame for frame in frames_at(Path(info.path), wanted, film, size) if frame is not None)
    return tuple(
        replace(still, lightness_hw=np.asarray(picture_to_lab(frames[still.number])[0], np.float32))
        if still.known_hw is not None and still.number in frames
        else still
        for still in found
    )


def _load_path(path: Path, info: FilmInfo) -> list[Reference]:
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if is_photo(file.name))
        if not found:
            raise UsageError(f"{path}: no pictures in it; {reference_name(123)} would be that of frame 123.")
        return [_load_picture(file, _number_of(file)) for file in found]
    if path.suffix.lower() in REFERENCE_LISTS and path.is_file():
        return _load_list(path, info)
    if path.suffix.lower() in LEARNED_PHOTOS:
        return [_load_picture(path, _number_of(path))]
    raise UsageError(f"{path}: a still is a picture, a folder of pictures, or a .txt list of times and pictures.")


def _load_list(path: Path, info: FilmInfo) -> list[Reference]:
    """Load a list with lines such as `0:01:23.5 still.png`; the file lies beside the list."""
    if not info.frame_rate:
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
        found.append(_load_picture(path.parent / match[4].strip("\"'"), info.number_shown_at(time)))
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
    if known is not None and number is None:
        raise UsageError(f"{path}: is partly transparent; name it {reference_name(123)} for the film's frame 123.")
    lightness, a, b = picture_to_lab(rgb)
    ab = np.stack([a, b]).astype(np.float32)
    return Reference.from_lab(number, np.asarray(lightness, np.float32), ab, path.name, known)
