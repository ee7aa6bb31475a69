"""What coloring many files would do, and how long it would take."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidcolor.archives import open_source
from vidcolor.archives.entries import why_unread
from vidcolor.batch.options import BatchOptions
from vidcolor.batch.result import remarks_on
from vidcolor.batch.rules import rules_for
from vidcolor.batch.workers import time_photos
from vidcolor.inference.colorizer import Colorizer

ESTIMATE_PHOTOS = 8  # that an estimate really colors


@dataclass(frozen=True)
class Estimate:
    """What coloring many files would do."""

    inputs: tuple[Path, ...]
    output: Path
    files: dict[str, int]  # by kind: photo, film, archive, link, other
    bytes: int
    refused: tuple[str, ...]  # a line each: files that would fail, and why
    notes: tuple[str, ...]
    photo_seconds: int | None  # for the photos; None where none could be tried
    measured_photos: int
    model: str
    devices: tuple[str, ...]


def estimate_files(
    inputs: Sequence[Path], output: Path, options: BatchOptions, load: Callable[[], Colorizer]
) -> Estimate:
    """Say what `colorize_files` would do, and how long the photos would take: some are colored for the clock alone."""
    with open_source(inputs, output=output) as source:
        entries = [entry for entry in source if entry.kind != "directory"]
        photos = [entry for entry in entries if entry.kind == "photo" and not entry.refusal]
        chosen = [entry for entry in photos if entry.can_reopen][:: max(1, len(photos) // ESTIMATE_PHOTOS)]
        colorizer = load()
        rules = rules_for(options, output, software=options.photos.software(colorizer.header))
        seconds, measured_bytes = time_photos(chosen, colorizer, rules)
        photo_bytes = sum(entry.size for entry in photos)
        passed_over: dict[str, list[str]] = {}
        for entry in entries:
            if entry.kind == "other" and (why := why_unread(entry.name)):
                passed_over.setdefault(why, []).append(entry.name)
        return Estimate(
            tuple(inputs), output, dict(Counter(entry.kind for entry in entries)), sum(entry.size for entry in entries),
            tuple(f"{entry.printable_name}: {entry.refusal}" for entry in entries if entry.refusal),
            (*(note for entry in entries for note in entry.notes), *source.damage, *remarks_on(passed_over)),
            round(seconds * photo_bytes / measured_bytes) if measured_bytes else None, len(chosen),
            colorizer.header.name, tuple(colorizer.devices),
        )  # fmt: skip
