"""Entries of folders, single files and glob patterns."""

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vidcolor.archives.entries import Entry, Source, kind_of, notes_of
from vidcolor.archives.limits import Limits
from vidcolor.archives.names import JOURNAL_NAME, UniqueNames, resolve_link
from vidcolor.errors import SourceError
from vidcolor.outputs import open_input

_SPECIAL_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class FolderSource(Source):
    """Everything below a folder, or several folders and files, sorted by name within each folder.

    Names are relative to a single folder; of several, each name begins with its folder's. Symbolic links to files are
    followed where they stay inside the folder; others, and links to folders, are listed as links. Every real folder is
    entered once. Raises SourceError for a path that does not exist.
    """

    form = "files"
    identity = ""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        limits: Limits | None = None,
        follow_outside: bool = False,
        exclude: Iterable[Path] = (),
    ) -> None:
        """follow_outside: also follow links out of the folder.  exclude: files and folders to skip: the output."""
        super().__init__(Path(paths[0]), limits or Limits())
        self.paths = [Path(path) for path in paths]
        for path in self.paths:
            if not path.exists():
                raise SourceError(f"{path}: no such file or folder.")
        self._follow_outside = follow_outside
        self._exclude = [Path(path) for path in exclude]
        self._excluded: dict[int, Path] = {}  # by inode
        self._entered: set[tuple[int, int]] = set()
        self._names = UniqueNames()

    def __iter__(self) -> Iterator[Entry]:
        self._excluded = {path.stat().st_ino: path for path in self._exclude if path.exists()}
        for path in self.paths:
            if not path.is_dir():
                yield self._make_entry(path, path.name, path.stat())
            elif len(self.paths) == 1:
                yield from self._walk(path, "", path.resolve())
            else:
                yield from self._walk_top(path)

    def _walk_top(self, path: Path) -> Iterator[Entry]:
        name = self._names.claim(path.resolve().name or "root", folder=True)
        yield self._make_entry(path, name, path.stat())
        yield from self._walk(path, name + "/", path.resolve())

    def _walk(self, folder: Path, prefix: str, root: Path) -> Iterator[Entry]:
        # A stack instead of recursion, for any depth.
        waiting = [self._list_folder(folder, prefix)]
        while waiting:
            item = next(waiting[-1], None)
            if item is None:
                waiting.pop()
                continue
            child, name = item
            if (excluded := self._excluded.get(child.inode())) is not None and excluded.samefile(child.path):
                continue
            entry = self._inspect(child, name, root)
            yield entry
            if entry.kind == "directory" and not entry.refusal:
                waiting.append(self._list_folder(Path(child.path), name + "/"))

    def _list_folder(self, folder: Path, prefix: str) -> Iterator[tuple[os.DirEntry[str], str]]:
        try:
            status = folder.stat()
            excluded = self._excluded.get(status.st_ino)  # reached by a link
            if (status.st_dev, status.st_ino) in self._entered or (excluded and excluded.samefile(folder)):
                return
            self._entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as found:
                children = sorted(found, key=lambda child: child.name)
        except OSError as error:
            self.damage.append(f"{folder}: cannot be listed: {error.strerror}.")
            return
        for child in children:
            yield child, prefix + child.name

    def _inspect(self, child: os.DirEntry[str], name: str, root: Path) -> Entry:
        path = Path(child.path)
        try:
            if child.is_symlink():
                return self._inspect_link(path, name, root)
            return self._make_entry(path, name, path.lstat())  # on Windows, what `child` knows may be old
        except OSError as error:
            return Entry(name, os.fsencode(name), "other", 0, 0, refusal=f"cannot be read: {error.strerror}")

    def _inspect_link(self, path: Path, name: str, root: Path) -> Entry:
        """Make the entry of a link: the file that it leads to, or the link itself."""
        real = Path(os.path.realpath(path))
        status, stays = path.lstat(), real.is_relative_to(root)
        follow = real.exists() and (stays or self._follow_outside)
        if follow and (real.is_file() or (real.is_dir() and not stays)):
            return self._make_entry(path, name, real.stat())
        refusal = ""
        if not real.exists():
            refusal = "a link that leads nowhere"
        elif not stays:
            refusal = "a link that leads out of the folder"
        elif resolve_link(name, path.readlink().as_posix()) is None:
            refusal = "a link by an absolute path; not carried"
        return Entry(
            self._names.claim(name), os.fsencode(name), "link", 0, status.st_mtime_ns, link=path.readlink().as_posix(),
            refusal=refusal, origin=status,
        )  # fmt: skip

    def _make_entry(self, path: Path, name: str, status: os.stat_result) -> Entry:
        folder = stat.S_ISDIR(status.st_mode)
        unique = self._names.claim(name, folder=folder)
        kind = "directory" if folder else kind_of(name)
        regular = stat.S_ISREG(status.st_mode)
        refusal = (
            "" if folder or regular else f"{_SPECIAL_FILES.get(stat.S_IFMT(status.st_mode), 'no file')}; not opened"
        )
        if path.name == JOURNAL_NAME:
            refusal = "the journal of an earlier output; not carried"
        return Entry(
            unique, os.fsencode(name), kind, status.st_size if regular else 0, status.st_mtime_ns,
            mode=stat.S_IMODE(status.st_mode), notes=notes_of(unique, name), refusal=refusal,
            keeps_name=unique == name, path=path if regular else None, origin=status,
            opener=(lambda: open_input(path)) if regular else None,
        )  # fmt: skip


def expand_pattern(pattern: str) -> list[Path]:
    """Files and folders that match a pattern such as `scans/**/*.tif`, sorted; the path itself where it exists.

    Raises SourceError when there are none.
    """
    if Path(pattern).exists():
        return [Path(pattern)]
    found = sorted(Path(path) for path in glob.glob(pattern, recursive=True))  # noqa: PTH207 - it may be absolute
    if not found:
        raise SourceError(f"{pattern}: no such file or folder, and as a pattern it matches none.")
    return found
