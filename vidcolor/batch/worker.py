"""A worker: colors the photos and films of a batch, one after the other, with a loaded model."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Protocol

from vidcolor.archives import Entry
from vidcolor.archives.journal import Outcome
from vidcolor.batch.pages import PageColors, encode_photo, make_thumbnails
from vidcolor.batch.said import Said
from vidcolor.counts import counted
from vidcolor.films.parts import Survey
from vidcolor.films.tone import film_tone
from vidcolor.frames import Part
from vidcolor.inference.batching import BatchingPredictor
from vidcolor.inference.chosen import LoadedColorizers
from vidcolor.inference.colorizer import Colorizer
from vidcolor.painting.tone import IN_COLOR
from vidcolor.stills.files import open_in_turn
from vidcolor.stills.page import StillSettings


@dataclass(frozen=True)
class EntryResult:
    """The result for one entry."""

    outcome: Outcome
    content: bytes | Path | None = None  # the new file; None: the entry's own content is copied
    name: str | None = None  # in the output, where it differs from the entry's
    notes: tuple[str, ...] = ()  # remarks, one line each
    seconds: float = 0.0  # spent on it
    damage: str = ""  # of a film or an archive, in words
    was_done: bool = False  # by an earlier run
    thumbnails: tuple[bytes, bytes] | None = None  # JPEG files, before and after
    archive: str = ""  # name of the nested archive that holds the entry; "": none
    why_uncolored: str = ""  # why an entry that may hold pictures is not colored


class FilmColorizer(Protocol):
    """Colors films, whole or in parts. For workers on other machines it must pickle."""

    def output_name(self, name: str) -> str:
        """The film's name in the output, from its name in the source."""

    def colorize(
        self, source: Path, target: Path, colorizer: Colorizer, *, is_again: bool
    ) -> tuple[tuple[str, ...], str]:
        """Color a film into a file; gives remarks, and its damage in words. is_again: this run has begun it before.

        Raises VidcolorError.
        """

    def plan_parts(
        self, source: Path, colorizer: Colorizer, wanted: int, survey: Survey | None
    ) -> tuple[list[Part], Survey | None]:
        """Plan parts that can be colored apart, none where that is impossible or not worth it; see films.parts."""

    def colorize_part(self, source: Path, target: Path, colorizer: Colorizer, part: Part, *, is_again: bool) -> None:
        """Color one part, which `colorize` joins with the others."""


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker treats entries. For workers on other machines all fields must pickle."""

    still: StillSettings
    recolor: bool = False  # color photos and films anew that are in color
    copies_others: bool = True  # copy files that are neither photos nor films; False: skip them
    opens_nested: bool = True  # color the files in archives that lie in a folder
    largest_pixels: int = 1_000_000_000  # of a page; larger photos fail
    wants_thumbnails: Callable[[str], bool] = field(default=lambda _: False)  # by a photo's name
    scratch: Path = Path()  # folder for files too large for memory, on the output's disk
    said: Said = field(default_factory=Said)
    films: FilmColorizer | None = None  # None: films are treated as other files


class Worker:
    """Colors photos and films with one model. Several threads may color photos at once."""

    def __init__(self, colorizer: Colorizer, options: WorkerOptions) -> None:
        self.devices = colorizer.devices
        self._colorizer, self._options = colorizer, options
        self._colorizers = LoadedColorizers(options.said.settings, colorizer)
        self._networks = {id(colorizer): BatchingPredictor(colorizer)}
        self._lock = Lock()

    def color_photo(self, entry: Entry, source: Path | bytes) -> EntryResult:
        """Decode, color and encode one photo file. Raises VidcolorError, and whatever a decoder raises."""
        began, is_shown = time.monotonic(), self._options.wants_thumbnails(entry.name)
        with open_in_turn(source, entry.printable_name, largest_pixels=self._options.largest_pixels) as still:
            hints, network = self._options.said.hints_for(entry), self._find_network(entry)
            colors = PageColors(still, network, hints, recolor=self._options.recolor, is_shown=is_shown)
            if not colors.has_any():
                own = None if entry.can_reopen or isinstance(source, Path) else source
                return EntryResult("kept", own, notes=(IN_COLOR,), seconds=time.monotonic() - began)
            content, losses = encode_photo(entry.name, still, colors, self._options.still, self._options.scratch)
            pair = colors.thumbnails
            if is_shown and pair is None:
                pair = make_thumbnails(still.content or source, content)
        kept = len(still.pages) - colors.count
        notes = (
            *colors.kept_colors,
            *losses,
            *colors.remarks,
            *((f"{counted(kept, 'page was', 'pages were')} in color already",) if kept else ()),
        )
        return EntryResult("colored", content, notes=notes, seconds=time.monotonic() - began, thumbnails=pair)

    def color_film(self, source: Path, target: Path, *, is_again: bool = False) -> EntryResult:
        """Color one film into the file `target`; nothing is written where it is in color and kept.

        is_again: this run has begun it before.  Raises VidcolorError.
        """
        began = time.monotonic()
        target.unlink(missing_ok=True)
        if self._is_kept(source):
            return EntryResult("kept", notes=(IN_COLOR,))
        notes, damage = self._films.colorize(source, target, self._colorizer, is_again=is_again)
        return EntryResult("colored", target, notes=notes, seconds=time.monotonic() - began, damage=damage)

    def plan_parts(self, source: Path, wanted: int, survey: Survey | None = None) -> tuple[list[Part], Survey | None]:
        """Plan parts of a film, see films.parts; none where it is kept or cannot be split. Raises VidcolorError."""
        if survey is None and self._is_kept(source):
            return [], None
        return self._films.plan_parts(source, self._colorizer, wanted, survey)

    def color_part(self, source: Path, target: Path, part: Part, *, is_again: bool = False) -> None:
        """Color one part, which `color_film` joins with the others. Raises VidcolorError."""
        self._films.colorize_part(source, target, self._colorizer, part, is_again=is_again)

    def _is_kept(self, source: Path) -> bool:
        return not self._options.recolor and film_tone(source) == "color"

    @property
    def _films(self) -> FilmColorizer:
        assert self._options.films is not None
        return self._options.films

    def _find_network(self, entry: Entry) -> BatchingPredictor:
        """The network that colors a photo."""
        colorizer = self._colorizers.load(self._options.said.settings_for(entry))
        with self._lock:
            if id(colorizer) not in self._networks:
                self._networks[id(colorizer)] = BatchingPredictor(colorizer)
            return self._networks[id(colorizer)]

    def close(self) -> None:
        """End the networks' threads."""
        for network in self._networks.values():
            network.close()
