"""Names of files that we make: hidden or temporary ones, and names short enough for the file system."""

import hashlib
import os
from pathlib import PurePosixPath

OWN_PREFIX = ".vidcolor-"  # of every name that only we may write
_LONGEST_SUFFIX = 16  # bytes
_LONGEST_NAME = 255  # bytes that file systems allow
_LONGEST_HIDDEN = 120  # bytes; some file systems (eCryptfs) allow 143


def scratch_name(name: str) -> str:
    """The hidden name under which a file is written before it gets `name`: short, always the same, with its suffix.

    It is a hash of the last part of `name`, so that it is legal wherever `name` is.
    """
    digest = hashlib.sha256(os.fsencode(PurePosixPath(name).name)).hexdigest()
    return f"{OWN_PREFIX}{digest[:24]}.partial{short_suffix(name)}"


def short_suffix(name: str) -> str:
    """The suffix with its dot, such as `.jpg` or `.tar.gz`; "" where it is too long to be one."""
    path = PurePosixPath(name)
    suffix = "".join(path.suffixes[-2:]) if PurePosixPath(path.stem).suffix.lower() == ".tar" else path.suffix
    return suffix if len(os.fsencode(suffix)) <= _LONGEST_SUFFIX else ""


def hidden_name(name: str, ending: str = "") -> str:
    """The hidden name of a file that belongs to `name`; it contains `name` where that is short enough."""
    return fitted_name(OWN_PREFIX + name, ending, longest=_LONGEST_HIDDEN)


def fitted_name(stem: str, ending: str = "", *, longest: int = _LONGEST_NAME) -> str:
    """`stem` with an ending; where that is too long for a file name, a hash replaces the end of the stem."""
    if len(os.fsencode(stem + ending)) <= longest:
        return stem + ending
    ending = f"-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]}{ending}"
    kept = stem[:longest]
    while kept and len(os.fsencode(kept + ending)) > longest:
        kept = kept[:-1]
    return kept + ending
