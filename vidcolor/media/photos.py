"""Colour photos for learning and measuring: out of folders, zip and tar archives, as sRGB arrays."""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidcolor import outputs
from vidcolor.color import rgb_to_lab
from vidcolor.errors import ReadError, SourceError
from vidcolor.media import suffixes
from vidcolor.media.archives.tar_headers import Tar
from vidcolor.media.damage import DAMAGED

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
# Archives to learn from.
ARCHIVE_SUFFIXES = {".zip", ".tar", ".tgz", ".txz", ".tbz", ".tbz2", ".gz", ".xz", ".bz2"}
FILM_SUFFIXES = suffixes.FILMS
LARGEST_MEMBER = 1 << 30  # bytes; a photo never is so large, a bomb is
WAITING_BYTES = 1 << 28  # of files out of archives that wait to be decoded

# Mean distance in a*b* of a picture's colours from their own mean, so that sepia and tinted stock count as grey too:
# they would teach one tint for everything. Of 2 473 web photos the least has 1.76; 35 of 39 black-and-white scans
# have 0.0 to 0.2, toned ones 0.55 to 2.5, a black-and-white commercial with colour noise 0.2 to 1.47.
GREY_SPREAD = 1.5

Rgb = NDArray[np.uint8]  # (H, W, 3), sRGB
Encoded = tuple[str, bytes | Path]  # name, and file content or where it lies


def is_photo(name: str) -> bool:
    """Whether a file of this name should be a photo. macOS puts files named ._photo.jpg beside them, which are not."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


def is_archive(path: Path) -> bool:
    """Whether a file is, or by its name should be, a zip or tar archive."""
    return path.suffix.lower() in ARCHIVE_SUFFIXES or _is_tar(path) or zipfile.is_zipfile(path)


def _is_tar(path: Path) -> bool:
    try:
        Tar.open(path).close()
    except tarfile.TarError:
        return False
    except DAMAGED:  # a packed one that breaks off at once
        pass
    return True


def encoded(sources: list[Path]) -> Iterator[Encoded]:
    """Name and file of every photo in folders (sorted), archives (in their order) and single files.

    A file of an archive comes as its content, which is empty where the member is encrypted or broken.
    Names are only names: nothing is unpacked.
    Raises SourceError for a source that is none of these, and for an archive that cannot be read.
    """
    for source in sources:
        if source.is_dir():
            for file in sorted(source.rglob("*")):
                if is_photo(file.name) and file.is_file():
                    yield file.relative_to(source).as_posix(), file
        elif not source.is_file():
            raise SourceError(f"{source}: no such file or folder.")
        elif is_photo(source.name):
            yield source.name, source
        elif is_archive(source):
            yield from _archived(source)
        else:
            raise SourceError(f"{source}: not a folder, a zip or tar archive, or a photo.")


def batches(files: Iterator[Encoded], most: int) -> Iterator[list[Encoded]]:
    """Lists of at most so many, and of no more content than WAITING_BYTES, but for one that is longer by itself."""
    batch: list[Encoded] = []
    waiting = 0
    for name, content in files:
        length = len(content) if isinstance(content, bytes) else 0
        if batch and (len(batch) == most or waiting + length > WAITING_BYTES):
            yield batch
            batch, waiting = [], 0
        batch.append((name, content))
        waiting += length
    if batch:
        yield batch


def _archived(source: Path) -> Iterator[tuple[str, bytes]]:
    # A tar whose last member is a zip looks like a zip, too.
    members = _zipped(source) if zipfile.is_zipfile(source) and not _is_tar(source) else _tarred(source)
    count = 0
    while True:
        try:
            member = next(members, None)
        except DAMAGED as error:
            found = f"an archive that breaks off after {count} photos" if count else "not a readable zip or tar archive"
            raise SourceError(f"{source}: {found}. Copy it again.") from error
        if member is None:
            return
        count += 1
        yield member


def _zipped(source: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            if not member.is_dir() and is_photo(member.filename):
                yield member.filename, _unzipped(archive, member)


def _unzipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > LARGEST_MEMBER:
        return b""
    try:
        return archive.read(member)
    except DAMAGED:  # RuntimeError: encrypted; NotImplementedError: a compression that Python lacks
        return b""


def _tarred(source: Path) -> Iterator[tuple[str, bytes]]:
    with Tar.open(source) as archive:
        for member in archive:
            if member.isfile() and is_photo(member.name):
                content = archive.extractfile(member) if member.size <= LARGEST_MEMBER else None
                yield member.name, content.read() if content is not None else b""


def size_of(content: bytes | Path) -> tuple[int, int] | None:
    """Width and height in pixels that a photo file states, or None where it cannot be read."""
    from vidcolor.media.stills import shown  # all that paints, which few who import this need

    try:
        return shown.size_of(content)
    except SourceError:
        return None


def decode(content: bytes | Path, *, short_side: int | None = None, least: int = 1) -> Rgb | None:
    """A photo file's first picture, upright, as sRGB, or None where it cannot be read.

    Waits until there is room for it: see stills/room.py. Raises ReadError where the system cannot read it.
    short_side: pixels to resize the short side to.  least: the least length of either side after that.
    """
    from vidcolor.media.stills import shown  # all that paints, which few who import this need

    try:
        rgb = shown.shown_in_turn(content, enough=None if short_side is None else short_side * 2)
    except ReadError:
        raise  # the drive's fault: a photo that is there tomorrow must not be missing from what is learned
    except SourceError:
        return None
    return rgb if short_side is None else resized(rgb, short_side=short_side, least=least)


def resized(rgb: Rgb, *, short_side: int, least: int = 1) -> Rgb:
    """A picture with its short side at `short_side` pixels, and no side under `least`."""
    return np.array(_resized(Image.fromarray(rgb), short_side, least))


def part_of(rgb: Rgb, box: tuple[float, float, float, float], side: int) -> Rgb:
    """The part within left, top, right, bottom (pixels, fractions too), as a square of `side` pixels."""
    return np.array(Image.fromarray(rgb).resize((side, side), Image.Resampling.BICUBIC, box=box))


def thumbnail_jpeg(content: bytes | Path, side: int = 224) -> bytes | None:
    """A photo at no more than `side` pixels, upright, as a small JPEG file; None where it cannot be read."""
    from vidcolor.media.stills import shown  # all that paints, which few who import this need

    try:
        small = Image.fromarray(shown.shown(content, enough=side * 2))
    except SourceError:
        return None
    small.thumbnail((side, side), reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return file.getvalue()


def write_png(path: Path, rgb: Rgb) -> None:
    """A picture as a PNG file, in a folder that is made where it is missing. Raises SinkError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    outputs.write(path, file.getvalue(), overwrite=True)


def thumbnail(rgb: Rgb, width: int, height: int) -> Rgb:
    """Means over a grid of width x height cells."""
    return np.array(Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX))


def is_grey(rgb: Rgb) -> bool:
    """Whether a picture has no colour, or one tint all over."""
    red, green, blue = np.moveaxis(thumbnail(rgb, 32, 32).astype(np.float32) / 255, 2, 0)  # averages colour noise away
    _, a, b = rgb_to_lab(red, green, blue)
    return float(np.hypot(a - a.mean(), b - b.mean()).mean()) < GREY_SPREAD


def _resized(image: Image.Image, short_side: int, least: int) -> Image.Image:
    scale = short_side / min(image.size)
    size = (max(least, round(image.width * scale)), max(least, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
