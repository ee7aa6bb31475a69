"""What can go wrong, as the caller sees it: every error here is one clear line for a person."""

from collections.abc import Iterable


class VidcolorError(Exception):
    """Base of all expected failures. The message says what was found, what was needed, what to try."""


class UsageError(VidcolorError):
    """The request contradicts itself or names something that does not exist."""


class SourceError(VidcolorError):
    """The input cannot be read as a film or photo."""


class ReadError(SourceError):
    """The system could not read the input: its drive or network failed. Nothing is said of the input itself."""


class SinkError(VidcolorError):
    """The output cannot be written."""


class BusyError(SinkError):
    """Another run is writing there now."""


class ModelError(VidcolorError):
    """A model file is missing, damaged, or not one of ours."""


class DeviceError(VidcolorError):
    """The device asked for is not there, or cannot hold even one frame."""


class TrainingError(VidcolorError):
    """A training run cannot go on."""


class ShapeError(VidcolorError):
    """Arrays that belong together do not fit each other."""


def closest_name(word: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant; None where none is near. Capitals do not count."""
    from difflib import get_close_matches

    by_fold = {name.casefold(): name for name in names}
    found = get_close_matches(word.casefold(), by_fold, 1)
    return by_fold[found[0]] if found else None
