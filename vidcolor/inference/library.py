"""The user's own models: files that were added under a name, each in a folder with its facts.

A model is added completely or not at all, and never over another.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vidcolor import outputs
from vidcolor.errors import ModelError, SinkError, UsageError, closest_name
from vidcolor.formats import MODELS
from vidcolor.inference.published import facts, files
from vidcolor.inference.published.facts import Facts
from vidcolor.system import cache

_UNFINISHED = ".adding-"
_STALE_SECONDS = 24 * 3600.0
MAX_NAME, MAX_NAME_BYTES = 64, 200  # letters; bytes, as file systems take 255


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
    """Names of the added models, also of damaged ones."""
    with suppress(ModelError, OSError):
        return sorted(place.name for place in folder().iterdir() if _is_name(place.name) and _is_model(place))
    return []


def _is_model(place: Path) -> bool:
    return (place / facts.NAME).is_file()


def find(name: str) -> Path | None:
    """Find an added model's file; None where there is none of this name. Raises ModelError for damaged facts."""
    if not _is_name(name):
        return None
    try:
        place = folder() / name
    except ModelError:
        return None
    found = facts.read(place)
    return None if found is None else place / found.file


def is_added(path: Path) -> bool:
    """Whether a file is an added model's. Raises ModelError for damaged facts."""
    return facts.read_of(path) is not None


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
    return (
        len(name) <= MAX_NAME
        and len(os.fsencode(name)) <= MAX_NAME_BYTES
        and re.fullmatch(r"[^\W_][\w.\-]*", name) is not None
        and not name.endswith(".")
    )


def check_free(name: str) -> None:
    """Raise ModelError for a name that is taken."""
    place = folder() / name
    if _is_model(place):
        raise ModelError(
            f"a model {name!r} is there already: {place}. Give another --name, or `vidcolor models remove {name}`."
        )
    if os.path.lexists(place):
        raise ModelError(f"{place}: is in the way, and no model; move it, or give another --name.")


def add(path: Path, known: Facts, name: str, check: Callable[[Path], object]) -> Path:
    """Copy a model file and what belongs to it into the folder, with its facts; gives the copy's path.

    check: called with the copy before it gets its name; what it raises keeps the model out.
    Raises ModelError for a name that is taken, SinkError where it cannot be written.
    """
    place = folder() / name
    check_free(name)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(place.parent)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=place.parent) as temporary:
            made = Path(temporary) / name
            made.mkdir()
            for part in files.files_of(path):
                outputs.copy(part, made / part.name)
            facts.write(made, replace(known, sha256=files.digest(path)))
            check(made / path.name)
            for part in made.iterdir():
                outputs.sync(part)
            outputs.sync_folder(made)
            check_free(name)  # of another that was added meanwhile
            made.rename(place)
            outputs.sync_folder(place.parent)
    except SinkError as error:  # names the hidden copy
        cause = error.error if isinstance(error, outputs.WriteError) else None
        raise (outputs.write_failure(place, cause) if cause else error) from error
    except OSError as error:
        check_free(name)
        raise outputs.write_failure(place, error) from error
    return place / path.name


def _remove_stale(place: Path) -> None:
    """Remove what a run that was killed a day ago left unfinished."""
    for left in place.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left)


def remove(name: str) -> Path:
    """Remove an added model, also a damaged one; gives the folder that it had. Raises ModelError, SinkError."""
    place = folder() / name
    if not _is_name(name) or not _is_model(place):
        there = names()
        hint = f"; did you mean {near}?" if (near := closest_name(name, there)) else "."
        raise ModelError(f"no model {name!r} was added{hint} There is: {', '.join(there) or 'none'}.")
    try:
        aside = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.parent))
        place.rename(aside / "model")  # at once gone for others
        shutil.rmtree(aside)
    except OSError as error:
        raise outputs.write_failure(place, error) from error
    return place
