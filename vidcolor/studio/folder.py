"""What lies beside the studio's source."""

from pathlib import Path

from vidcolor.archives.photos import is_photo

MOST_PHOTOS = 200  # that are offered as palettes


def photos_beside(source: Path) -> list[Path]:
    """The photos in the folder of a film, or of a folder; the first MOST_PHOTOS."""
    files = (file for file in source.parent.iterdir() if is_photo(file.name) and file.is_file())
    return sorted(files)[:MOST_PHOTOS]


def status_of(file: Path) -> tuple[int, int] | None:
    """Size and time of a file; None where it is gone."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
