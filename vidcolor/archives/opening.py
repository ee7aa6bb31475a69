"""Opening of sources and targets by their paths."""

import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vidcolor.archives.archive_target import RunMismatchError, files_of
from vidcolor.archives.compression import compression_of_name, detect_compression
from vidcolor.archives.entries import ArchiveSource, Source
from vidcolor.archives.folder_source import FolderSource, expand_pattern
from vidcolor.archives.folder_target import FolderTarget
from vidcolor.archives.limits import Limits
from vidcolor.archives.tar_headers import is_header
from vidcolor.archives.tar_source import TarSource
from vidcolor.archives.tar_target import TarTarget
from vidcolor.archives.targets import Target
from vidcolor.archives.zip_records import LOCAL_MAGIC
from vidcolor.archives.zip_source import ZipSource
from vidcolor.archives.zip_target import ZipTarget
from vidcolor.errors import SinkError, SourceError, UsageError
from vidcolor.formats import FILMS, PHOTOS, REFUSED_ARCHIVES, ZIPS, archive_ending
from vidcolor.outputs import is_same
from vidcolor.run import Run

_TAR_MAGIC, _TAR_MAGIC_OFFSET = b"ustar", 257  # POSIX.1-1988


def open_source(
    inputs: Sequence[str | Path], *, output: Path | None = None, limits: Limits | None = None,
    follow_outside: bool = False,
) -> Source:  # fmt: skip
    """Open one archive, or any number of folders, files and patterns such as `scans/**/*.tif`.

    output: skipped where it lies inside an input folder.  follow_outside: follow links out of a folder.
    Raises SourceError for what is missing or unreadable, UsageError for an archive among other inputs.
    """
    if not inputs:
        raise UsageError("no inputs are given; name a folder, an archive, or files.")
    paths = [path for pattern in inputs for path in expand_pattern(str(pattern))]
    archives = [path for path in paths if is_archive(path)]
    if archives and len(paths) > 1:
        raise UsageError(f"{archives[0]}: an archive is an input of its own; give one archive, or folders and files.")
    if not archives:
        exclude = () if output is None else files_of(output) if is_archive_name(output) else (output,)
        return FolderSource(paths, limits=limits, follow_outside=follow_outside, exclude=exclude)
    path = archives[0]
    if path.suffix.lower() in REFUSED_ARCHIVES:
        raise SourceError(f"{path}: a {path.suffix} archive, which cannot be read. Unpack it, or make a zip of it.")
    return open_archive(path, limits=limits)


def open_archive(path: Path, *, limits: Limits | None = None) -> ArchiveSource:
    """One file as the zip or tar that it is, whatever its name. Raises SourceError where it is neither."""
    return (ZipSource if _is_zip(path) else TarSource)(path, limits=limits)


def open_target(
    output: Path, source: Source, run: Run, *, overwrite: bool = False, resume: bool = True,
    reading: Sequence[Path] = (),
) -> Target:  # fmt: skip
    """Open a zip or tar by the suffix of the output's name, else a folder. Use it as a context manager.

    reading: further files that the run reads and must not change.  Raises UsageError when the output is an input.
    """
    output, inputs = Path(output), (*source.paths, *reading)
    if any(is_same(output, path) for path in inputs):
        raise UsageError(f"{output}: is an input. Choose another output; inputs are never changed.")
    if is_archive_name(output) and not output.is_dir():
        kind = ZipTarget if output.suffix.lower() in ZIPS else TarTarget
        return kind(output, source, run, overwrite=overwrite, resume=resume)
    if output.suffix.lower() in REFUSED_ARCHIVES:
        raise UsageError(f"{output}: {output.suffix} archives cannot be written. Choose .zip, .cbz or .tar.zst.")
    if output.exists() and not output.is_dir():
        raise SinkError(f"{output}: is a file; many files need a folder, or an archive such as {output}.zip.")
    return FolderTarget(output, run, overwrite=overwrite, resume=resume, inputs=inputs)


@contextmanager
def reopen_target(output: Path, source: Source, run: Run, *, resume: bool) -> Iterator[Target]:
    """Open an intermediate target: resume it, or start over where it was made from something else."""
    with ExitStack() as stack:
        try:
            target = stack.enter_context(open_target(output, source, run, overwrite=True, resume=resume))
        except RunMismatchError:
            target = stack.enter_context(open_target(output, source, run, overwrite=True, resume=False))
        yield target


def is_archive_name(path: Path) -> bool:
    """Whether a name's suffix asks for an archive that can be written."""
    return bool(archive_ending(path.name))


def is_archive(path: Path) -> bool:
    """Whether a file is an archive, by its name, or by its first bytes where it has no suffix."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return False
    if is_archive_name(path) or suffix in REFUSED_ARCHIVES:
        return True
    if suffix:
        return suffix not in PHOTOS | FILMS and compression_of_name(Path(path.stem)) is not None
    head = _head(path)
    return head.startswith(LOCAL_MAGIC) or _is_tar(head)


def holds_archive(path: Path) -> bool:
    """Whether a file is an archive by its bytes, also a zip behind a program."""
    head = _head(path)
    return _is_tar(head) or head.startswith(LOCAL_MAGIC) or zipfile.is_zipfile(path)


def _is_zip(path: Path) -> bool:
    head = _head(path)
    if _is_tar(head):  # also one whose first member has a name such as PKW/1.jpg
        return False
    if head.startswith(b"PK") or path.suffix.lower() in ZIPS:
        return True
    # A broken tar whose last member is a zip looks like a zip from behind.
    return compression_of_name(path) is None and zipfile.is_zipfile(path)


def _is_tar(head: bytes) -> bool:
    return bool(detect_compression(head)) or head[_TAR_MAGIC_OFFSET:].startswith(_TAR_MAGIC) or is_header(head)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(tarfile.BLOCKSIZE)
