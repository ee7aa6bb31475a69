"""Numbered pictures as a film: frame_000001.png, frame_000002.png, ... shown at a rate.

The film is named by an address, a path that holds the pattern and the rate: `scans/frame_%06d.png@24` or, for
24000/1001 frames a second, `...@24000:1001`.
"""

import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from av.container import InputContainer

from vidcolor.errors import SourceError, UsageError
from vidcolor.formats import NUMBERED_PICTURES
from vidcolor.media.pyav import open_pictures

_ADDRESS = re.compile(r"(?P<pattern>.*%0?\d*d[^/\\]*)@(?P<rate>\d+(:\d+)?)")
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\.[^.\d]+)")
_COUNTER = re.compile(r"%(0(?P<digits>\d+))?d")


def is_address(path: Path) -> bool:
    """Whether a path means numbered pictures at a rate."""
    return _ADDRESS.fullmatch(str(path)) is not None


def shown_name(path: Path) -> str:
    """What people call a film: its path, or the folder of its numbered pictures."""
    found = _ADDRESS.fullmatch(str(path))
    return str(path) if found is None else str(Path(found["pattern"]).parent)


def sequence_address(source: Path, rate: Fraction) -> Path:
    """The address of the pictures in a folder, or of a pattern such as frame_%06d.png.

    Raises UsageError where there are none or a number is missing, and for a rate that is not above 0.
    """
    if rate <= 0:
        raise UsageError(f"{rate} frames a second: needs a rate above 0, such as 24 or 24000/1001.")
    pattern = source if _COUNTER.search(source.name) else _pattern_in(source)
    _numbers(pattern)
    said = str(rate.numerator) if rate.denominator == 1 else f"{rate.numerator}:{rate.denominator}"
    return Path(f"{pattern}@{said}")


def open_sequence(path: Path) -> InputContainer:
    """Open an address with FFmpeg. Raises UsageError, SourceError, and the errors of PyAV."""
    found = _ADDRESS.fullmatch(str(path))
    assert found is not None
    pattern = Path(found["pattern"])
    options = {"framerate": found["rate"].replace(":", "/"), "start_number": str(_numbers(pattern)[0])}
    return open_pictures(pattern, options)


def pictures_of(path: Path) -> list[Path]:
    """The pictures of an address, in order. Raises UsageError, SourceError."""
    found = _ADDRESS.fullmatch(str(path))
    assert found is not None
    return list(_pictures(Path(found["pattern"])).values())


def _pattern_in(folder: Path) -> Path:
    """The pattern that most of a folder's numbered pictures follow."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: --fps needs a folder of numbered pictures, or a pattern such as frame_%06d.png.")
    parts = [found for file in folder.iterdir() if (found := _NUMBERED.fullmatch(file.name))]
    parts = [found for found in parts if found["after"].lower() in NUMBERED_PICTURES]
    kinds = [(found["before"], len(found["number"]), found["after"]) for found in parts]
    if not kinds:
        raise UsageError(f"{folder}: no numbered pictures such as frame_000001.png in it.")
    before, digits, after = max(set(kinds), key=kinds.count)
    return folder / f"{before}%0{digits}d{after}"


def _numbers(pattern: Path) -> list[int]:
    """The numbers of the pattern's pictures, rising and without a gap. Raises UsageError, SourceError."""
    return list(_pictures(pattern))


def _pictures(pattern: Path) -> dict[int, Path]:
    """The pictures of a pattern by number. Raises UsageError, SourceError."""
    counter = _COUNTER.search(pattern.name)
    assert counter is not None
    figures = rf"\d{{{counter['digits']},}}" if counter["digits"] else r"\d+"
    before, after = pattern.name[: counter.start()], pattern.name[counter.end() :]
    name = re.compile(f"{re.escape(before)}({figures}){re.escape(after)}")
    folder = pattern.parent
    found = (name.fullmatch(file.name) for file in folder.iterdir()) if folder.is_dir() else ()
    pictures = {int(match[1]): folder / match[0] for match in found if match}
    if not pictures:
        raise UsageError(f"{pattern}: no picture of this pattern there.")
    for one, following in pairwise(sorted(pictures)):
        if following != one + 1:
            raise SourceError(
                f"{pattern}: picture {one + 1} is missing ({following - one - 1} in a row). Scan it again, or number"
                " the pictures without gaps."
            )
    return dict(sorted(pictures.items()))
