"""The user's own models: files that were added under a name, each in a folder with its card.

A model is added completely or not at all, and never over another.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vidcolor import outputs
from vidcolor.errors import ModelError, UsageError
from vidcolor.formats import MODELS
from vidcolor.inference.published import files
from vidcolor.system import cache

_UNFINISHED = ".adding-"
MAX_NAME = 64  # letters


def folder() -> Path:
    """The folder of added models, which may not exist yet: VIDCOLOR_MODELS, or one of the user's data.

    Raises ModelError for a user without a home folder.
    """
    if told := os.environ.get("VIDCOLOR_MODELS"):
        return Path(told).absolute()
    try:
        return cache.data_folder() / "models"
    except OSError as error:
        raise ModelError("this user has no home folder; name a folder for models in VIDCOLOR_MODELS.") from error


def names() -> list[str]:
    """Names of the added models."""
    return [place.name for place in _places()]


def _places() -> Iterator[Path]:
    with suppress(ModelError, OSError):
        for place in sorted(folder().iterdir()):
            if not place.name.startswith(".") and (place / files.CARD).is_file():
                yield place


def find(name: str) -> Path | None:
    """Find an added model's file; None where there is none of this name. Raises ModelError for a damaged card."""
    if not _is_name(name):
        return None
    with suppress(ModelError):
        place = folder() / name / files.CARD
        if place.is_file():
            return place.parent / files.file_of_card(place)
    return None


def is_added(path: Path) -> bool:
    """Whether a file is an added model's."""
    return (path.parent / files.CARD).is_file() and files.read_card(path) is not None


def check_name(name: str) -> None:
    """Raise UsageError for a name that cannot be a model's."""
    if not _is_name(name):
        raise UsageError(
            f"name {name[:80]!r}: a model's name has letters, digits, '.', '_' and '-', {MAX_NAME} at most, and begins"
            " with a letter or digit."
        )
    if Path(name).suffix.lower() in MODELS:
        raise UsageError(f"name {name!r}: looks like a file; leave {Path(name).suffix} out.")


def _is_name(name: str) -> bool:
    return len(name) <= MAX_NAME and re.fullmatch(r"[^\W_][\w.\-]*", name) is not None and not name.endswith(".")


def check_free(name: str) -> None:
    """Raise ModelError for a name that is taken."""
    if os.path.lexists(place := folder() / name):
        raise ModelError(
            f"a model {name!r} is there already: {place}. Give another --name, or `vidcolor models remove {name}`."
        )


def add(path: Path, card: files.Card, name: str, check: Callable[[Path], object]) -> Path:
    """Copy a model file and what belongs to it into the folder, with its card; gives the copy's path.

    check: called with the copy before it gets its name; what it raises keeps the model out.
    Raises ModelError for a name that is taken, SinkError where it cannot be written.
    """
    place = folder() / name
    check_free(name)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=place.parent) as temporary:
            made = Path(temporary) / "model"
            made.mkdir()
            for part in files.files_of(path):
                outputs.copy(part, made / part.name)
            files.write_card(made, replace(card, sha256=files.digest_of(path, card)))
            check(made / path.name)
            for part in made.iterdir():
                outputs.sync(part)
            outputs.sync_folder(made)
            made.rename(place)
            outputs.sync_folder(place.parent)
    except OSError as error:
        raise outputs.write_failure(place, error) from error
    return place / path.name


def remove(name: str) -> Path:
    """Remove an added model; gives the folder that it had. Raises ModelError, SinkError."""
    if find(name) is None:
        there = ", ".join(names()) or "none"
        raise ModelError(f"no model {name!r} was added; there is: {there}.")
    place = folder() / name
    try:
        aside = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.parent))
        place.rename(aside / "model")  # at once gone for others
        shutil.rmtree(aside)
    except OSError as error:
        raise outputs.write_failure(place, error) from error
    return place
