"""Finds which files belong together, before and after."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidcolor.counts import counted
from vidcolor.errors import SourceError, UsageError
from vidcolor.formats import FILMS, PHOTOS, UNREAD_ARCHIVES, archive_ending

Kind = Literal["film", "photo"]


@dataclass(frozen=True)
class Match:
    """Two files that are one picture or film, before and after."""

    name: str  # for people: of the file before, in its folder
    kind: Kind
    before: Path
    after: Path


@dataclass(frozen=True)
class Matches:
    """The files of two folders that belong together, and the names of files without a counterpart."""

    found: tuple[Match, ...]
    only_before: tuple[str, ...] = ()
    only_after: tuple[str, ...] = ()


def match(before: Path, after: Path) -> Matches:
    """Pair two files, or the files of two folders: by name, or by stem where only the suffix differs.

    Raises SourceError where a path does not exist or nothing matches, UsageError for two of different kinds and for
    archives.
    """
    kinds = [_kind(path) for path in (before, after)]
    if kinds[0] != kinds[1]:
        raise UsageError(f"{before} is a {kinds[0]}, {after} a {kinds[1]}; name two films, two photos or two folders.")
    if kinds[0] != "folder":
        return Matches((Match(after.name, "film" if kinds[0] == "film" else "photo", before, after),))
    ours, theirs = (_files(folder) for folder in (before, after))
    partners = {name: name for name in ours.keys() & theirs.keys()}
    rest = [_by_stem(names.keys() - partners.keys()) for names in (ours, theirs)]
    for stem, names in rest[0].items():
        others = rest[1].get(stem, [])
        if len(names) == len(others) == 1:
            partners[names[0]] = others[0]
    if not partners:
        found = " and ".join(_describe(folder, names) for folder, names in ((before, ours), (after, theirs)))
        raise SourceError(f"nothing belongs together: {found}. Files are matched by their names in the folders.")
    return Matches(
        tuple(Match(name, _kind_of_name(name), ours[name], theirs[partners[name]]) for name in sorted(partners)),
        tuple(sorted(ours.keys() - partners.keys())),
        tuple(sorted(theirs.keys() - set(partners.values()))),
    )


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise SourceError(f"{path}: no such file or folder.")
    if archive_ending(path.name) or path.suffix.lower() in UNREAD_ARCHIVES:
        raise UsageError(f"{path}: is an archive, needed a film, a photo or a folder. Unpack it first.")
    return _kind_of_name(path.name)


def _kind_of_name(name: str) -> Kind:
    return "photo" if Path(name).suffix.lower() in PHOTOS else "film"


def _files(folder: Path) -> dict[str, Path]:
    """Photos and films by their names in the folder, without hidden files."""
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in PHOTOS | FILMS)
    names = {path.relative_to(folder).as_posix(): path for path in paths if path.is_file()}
    return {name: path for name, path in names.items() if not any(part[0] == "." for part in name.split("/"))}


def _by_stem(names: set[str]) -> dict[tuple[str, Kind], list[str]]:
    found: dict[tuple[str, Kind], list[str]] = {}
    for name in sorted(names):
        found.setdefault((Path(name).with_suffix("").as_posix(), _kind_of_name(name)), []).append(name)
    return found


def _describe(folder: Path, names: dict[str, Path]) -> str:
    return f"{folder} has {counted(len(names), 'photo or film', 'photos and films')}" + (
        f" such as {min(names)}" if names else ""
    )
