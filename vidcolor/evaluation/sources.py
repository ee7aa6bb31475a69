"""Photos and films to measure, found in folders, archives and files."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from vidcolor.archives.photos import Encoded, batches, encoded, is_archive, is_photo
from vidcolor.errors import SourceError
from vidcolor.evaluation.photo_metrics import SSIM_WINDOW
from vidcolor.formats import FILMS
from vidcolor.stills.rgb import Rgb, decode

_DECODED_AT_ONCE = 8


@dataclass(frozen=True)
class Sources:
    """Sources of photos (folders, archives, files), and the films."""

    photos: tuple[Path, ...]
    films: tuple[Path, ...]


def split_sources(data: list[Path]) -> Sources:
    """Split photos from films; folders are searched for both. A file of an unknown kind counts as a film.

    Raises SourceError for a missing file.
    """
    photos, films = [], []
    for source in data:
        if source.is_dir():
            photos.append(source)
            films += [file for file in sorted(source.rglob("*")) if _is_film(file)]
        elif not source.is_file():
            raise SourceError(f"{source}: no such file or folder.")
        elif source.suffix.lower() in FILMS or not (is_photo(source.name) or is_archive(source)):
            films.append(source)
        else:
            photos.append(source)
    return Sources(tuple(photos), tuple(films))


def _is_film(file: Path) -> bool:
    return file.suffix.lower() in FILMS and not file.name.startswith("._") and file.is_file()


def count_photos(photos: tuple[Path, ...]) -> int:
    """Count the photos. Folders are only listed; archives are read through."""
    count = 0
    for source in photos:
        if source.is_dir():
            count += sum(is_photo(file.name) and file.is_file() for file in source.rglob("*"))
        else:
            count += sum(1 for _ in encoded([source]))
    return count


def spread_evenly(count: int, wanted: int) -> list[int]:
    """Choose at most `wanted` of the numbers below `count`, evenly spread and ascending."""
    wanted = min(count, wanted)
    return [(2 * index + 1) * count // (2 * wanted) for index in range(wanted)]


def read_photos(photos: tuple[Path, ...], numbers: set[int] | None = None) -> Iterator[tuple[int, str, Rgb | None]]:
    """Yield number, name and picture of every photo, or of the given numbers.

    The picture is None where the photo is damaged or too small for SSIM's window.
    """
    numbering: list[int] = []

    def wanted() -> Iterator[Encoded]:
        for number, file in enumerate(encoded(list(photos))):
            if numbers is None or number in numbers:
                numbering.append(number)
                yield file

    with ThreadPoolExecutor() as pool:
        for batch in batches(wanted(), _DECODED_AT_ONCE):
            pictures = pool.map(decode, [content for _, content in batch])
            for (name, _), picture in zip(batch, pictures, strict=True):
                is_measurable = picture is not None and min(picture.shape[:2]) >= SSIM_WINDOW
                yield numbering.pop(0), name, picture if is_measurable else None
