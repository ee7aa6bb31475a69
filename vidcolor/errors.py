"""The family of errors, and remarks. Every message is one clear line for a person."""

from collections.abc import Iterable


class VidcolorError(Exception):
    """Base of all expected failures. The message says what was found, what was needed, what to try."""


class UsageError(VidcolorError):
    """The request contradicts itself or names something that does not exist."""


class SourceError(VidcolorError):
    """The input cannot be read as a film or photo."""


class ReadError(SourceError):
    """The system could not read the input: its drive or network failed. The input itself may be intact."""


class SinkError(VidcolorError):
    """The output cannot be written."""


class BusyError(SinkError):
    """Another run is writing there now."""


class ModelError(VidcolorError):
    """A model file is missing, damaged, or not of this program."""


class DeviceError(VidcolorError):
    """The requested device is missing, or cannot hold even one frame."""


class TrainingError(VidcolorError):
    """A training run cannot continue."""


class ShapeError(VidcolorError):
    """Arrays that belong together have shapes that do not match."""


class Remark(str):
    """A warning of what nobody sees or hears, or has to act on: told to the log, reports and programs, not shown."""

    __slots__ = ()


def unreadable(name: object, error: OSError) -> ReadError:
    """What is wrong with an input file that the system cannot read. name: of the file, for people."""
    why = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    return ReadError(f"{name}: {why}.")


def closest_name(word: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant; None where none is similar. Case is ignored."""
    from difflib import get_close_matches

    by_fold = {name.casefold(): name for name in names}
    found = get_close_matches(word.casefold(), by_fold, 1)
    return by_fold[found[0]] if found else None
