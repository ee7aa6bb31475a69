"""Safe names for what comes out of archives: relative, POSIX, inside the output, unique."""

import os
import re
import unicodedata
from collections import defaultdict
from pathlib import PurePosixPath

from vidcolor.errors import SourceError
from vidcolor.filenames import OWN_PREFIX, fitted_name, short_suffix
from vidcolor.printable import printable

JOURNAL_NAME = ".vidcolor-journal.jsonl"  # of an output folder

_DRIVE = re.compile(r"^[A-Za-z]:")
# Windows' reserved names.
_DEVICES = re.compile(r"^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9\u00b9\u00b2\u00b3]) *(\.|$)", re.IGNORECASE)
_WINDOWS = re.compile(r'[<>:"|?*]|[. ]$')


class UnsafeNameError(SourceError):
    """A name that is not safe to write."""


def safe_name(raw: str, *, backslash_separates: bool = False, windows: bool = os.name == "nt") -> str:
    r"""Make an archive's name a relative POSIX path without `.`, `..`, drives, backslashes or control characters.

    Leading slashes are removed, as by GNU tar. Control characters become %XX, and so does a backslash, unless it
    separates folders as in zips that Windows made (APPNOTE.TXT 4.4.17.1 asks for slashes). "." is the archive itself.
    windows: also change what Windows cannot hold.  Raises UnsafeNameError for `..`, drives, NUL and empty names.
    """
    if "\0" in raw:
        raise UnsafeNameError("its name holds a NUL")
    parts = [part for part in re.split(r"[/\\]", raw) if part not in ("", ".")]
    if ".." in parts:
        raise UnsafeNameError("its name leads out of the archive by '..'")
    if parts and _DRIVE.match(parts[0]):
        raise UnsafeNameError("its name begins with a drive")
    if not raw.strip("/"):
        raise UnsafeNameError("it has no name")
    if not backslash_separates:
        parts = [part.replace("\\", "%5C") for part in raw.split("/") if part not in ("", ".")]
    parts = ["".join(f"%{ord(c):02X}" if unicodedata.category(c) == "Cc" else c for c in part) for part in parts]
    return "/".join(_escape_for_windows(part) for part in parts) if windows else "/".join(parts) or "."


def _escape_for_windows(part: str) -> str:
    part = _WINDOWS.sub(lambda found: f"%{ord(found[0]):02X}", part)
    return f"_{part}" if _DEVICES.match(part) else part


def escape_bytes(name: str) -> str:
    """Escape each byte of a name that is no text as %XX, for formats that take only text."""
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in name)


class UniqueNames:
    """Hands out each name once, also on file systems that ignore case and Unicode composition."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._listed: set[str] = set()
        self._folders: set[str] = set()
        self._counters: defaultdict[str, int] = defaultdict(lambda: 1)  # of duplicates, so that many of them stay fast

    def claim(self, name: str, *, folder: bool = False) -> str:
        """Claim the name, or `name (2).jpg` and so on where it is taken. A folder may be claimed again.

        Raises UnsafeNameError for a name below one that is a file already.
        """
        path = PurePosixPath(name)
        if fold_case(path.name).startswith(OWN_PREFIX):
            suffix = short_suffix(path.name)
            name = path.with_name(fitted_name("_" + path.name.removesuffix(suffix), suffix)).as_posix()
        self._claim_parents(fold_case(name))
        if folder and fold_case(name) in self._folders:
            return name
        unique = self._find_free(name)
        (self._folders if folder else self._files).add(fold_case(unique))
        return unique

    def is_repeated(self, folder: str) -> bool:
        """Whether this was called before with exactly this folder name."""
        repeated = folder in self._listed
        self._listed.add(folder)
        return repeated

    def claim_label(self, raw: str) -> str:
        """Claim a label for something without a safe name, for messages only."""
        text = printable(raw).strip("/.") or "unnamed"
        label = self._find_free(f"(refused) {text}")
        self._files.add(fold_case(label))
        return label

    def _find_free(self, name: str) -> str:
        path, key = PurePosixPath(name), fold_case(name)
        while fold_case(name) in self._files or fold_case(name) in self._folders:
            self._counters[key] += 1
            name = add_number(path, self._counters[key])
        return name

    def _claim_parents(self, key: str) -> None:
        parent = key.rpartition("/")[0]
        while parent and parent not in self._folders:
            if parent in self._files:
                raise UnsafeNameError("it lies inside of what is a file")
            self._folders.add(parent)
            parent = parent.rpartition("/")[0]


def add_number(path: PurePosixPath, number: int) -> str:
    """Make `dir/name (2).jpg` of `dir/name.jpg`."""
    suffix = short_suffix(path.name)
    return path.with_name(fitted_name(path.name.removesuffix(suffix), f" ({number}){suffix}")).as_posix()


def fold_case(name: str) -> str:
    """A name as file systems compare it that ignore case and Unicode composition."""
    return unicodedata.normalize("NFC", name).casefold()


def resolve_link(link: str, target: str) -> str | None:
    """Resolve a symbolic link named `link` relative to the archive's root; None when it leads outside."""
    if target.startswith("/") or "\\" in target or "\0" in target or _DRIVE.match(target):
        return None
    parts: list[str] = link.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."
