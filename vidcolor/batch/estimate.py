"""Estimates a batch: the files by kind, those that would fail, and the time for the photos."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidcolor.archives import open_source
from vidcolor.archives.entries import why_unread
from vidcolor.batch.options import BatchOptions
from vidcolor.batch.result import describe_uncolored
from vidcolor.batch.worker_options import make_worker_options
from vidcolor.batch.workers import time_photos
from vidcolor.inference.colorizer import Colorizer

ESTIMATE_PHOTOS = 8  # that are colored to measure the speed


@dataclass(frozen=True)
class Estimate:
    """What `colorize_files` would do."""

    inputs: tuple[Path, ...]
    output: Path
    files: dict[str, int]  # by kind: photo, film, archive, link, other
    bytes: int  # of all inputs
    refused: tuple[str, ...]  # files that would fail, one line each with the reason
    notes: tuple[str, ...]  # remarks, one line each
    photo_seconds: int | None  # for all photos; None where none could be measured
    measured_photos: int  # photos that were colored for the measurement
    model: str  # its name
    devices: tuple[str, ...]  # names for people


def estimate_files(
    inputs: Sequence[Path], output: Path, options: BatchOptions, load: Callable[[], Colorizer]
) -> Estimate:
    """Estimate what `colorize_files` would do. Some photos are colored to measure the speed; nothing is written.

    load: loads the model.  Raises VidcolorError.
    """
    options.check_whole_films()
    with open_source(inputs, output=output) as source:
        entries = [entry for entry in source if entry.kind != "directory"]
        photos = [entry for entry in entries if entry.kind == "photo" and not entry.refusal]
        chosen = [entry for entry in photos if entry.can_reopen][:: max(1, len(photos) // ESTIMATE_PHOTOS)]
        colorizer = load()
        worker_options = make_worker_options(
            options, output, options.read_said(), software=options.photos.software_tag(colorizer.header)
        )
        seconds, measured_bytes = time_photos(chosen, colorizer, worker_options)
        photo_bytes = sum(entry.size for entry in photos)
        uncolored: dict[str, list[str]] = {}
        for entry in entries:
            if entry.kind == "other" and (why := why_unread(entry.name)):
                uncolored.setdefault(why, []).append(entry.name)
        return Estimate(
            tuple(inputs), output, dict(Counter(entry.kind for entry in entries)), sum(entry.size for entry in entries),
            tuple(f"{entry.printable_name}: {entry.refusal}" for entry in entries if entry.refusal),
            (*(note for entry in entries for note in entry.notes), *source.damage, *describe_uncolored(uncolored)),
            round(seconds * photo_bytes / measured_bytes) if measured_bytes else None, len(chosen),
            colorizer.header.name, tuple(colorizer.devices),
        )  # fmt: skip
