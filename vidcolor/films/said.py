"""What is said of a film's frames, by choices, stills and hints: which frames a change of it concerns.

The colors of a shot depend on nothing that is said of other shots alone.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidcolor.films.project import Project
from vidcolor.inference import palettes
from vidcolor.inference.settings import ModelSettings
from vidcolor.run import LAST_FRAME
from vidcolor.steady import Steadiness
from vidcolor.steady.references import Reference

Saying = tuple[int, int, str]  # first and last frame of the output, and a hash of what is said


def said_of_frames(
    project: Project | None, settings: ModelSettings, steadiness: Steadiness
) -> tuple[Saying, ...] | None:  # fmt: skip
    """All that is said of frames, in order; None where a shot's colors depend on other shots, too.

    settings: of the whole film's model.  Raises ModelError.
    """
    if steadiness.has_shot_memory:
        return None
    first = steadiness.first_number
    found = [*_choices(project, settings), *(entry for still in steadiness.references for entry in _reference(still))]
    return tuple((begin - first, end - first, what) for begin, end, what in found)


def _choices(project: Project | None, settings: ModelSettings) -> Iterator[Saying]:
    for choice in project.choices if project else ():
        model = choice.apply(settings).identity() if choice.model is not None else None
        palette = palettes.digest(choice.palette) if choice.palette is not None else None
        yield choice.first, choice.last, _hash(json.dumps([model, choice.saturation, palette]).encode())


def _reference(still: Reference) -> Iterator[Saying]:
    """A still or hint: of the frames that it speaks of, and of its own."""
    picture = still.picture
    arrays: list[NDArray[Any]] = [
        picture.gray,
        picture.ab_2hw,
        still.lightness_hw,
        *([] if still.known_hw is None else [still.known_hw]),
    ]
    facts = [still.number, still.spreads, still.frames, *([array.shape, str(array.dtype)] for array in arrays)]
    what = _hash(json.dumps(facts).encode(), *(np.ascontiguousarray(array).tobytes() for array in arrays))
    first, last = still.frames or (0, LAST_FRAME)
    yield first, last, what
    if still.number is not None and not first <= still.number <= last:
        yield still.number, still.number, what


def _hash(*content: bytes) -> str:
    digest = hashlib.sha256()
    for part in content:
        digest.update(part)
    return digest.hexdigest()
