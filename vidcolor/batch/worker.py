"""A worker: colors one photo or film of a batch with a loaded model."""

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol, Self

from vidcolor import outputs
from vidcolor.archives import Entry
from vidcolor.archives.journal import Outcome
from vidcolor.color import Floats
from vidcolor.filenames import scratch_name
from vidcolor.films.tone import film_tone
from vidcolor.frames import Part
from vidcolor.inference.colorizer import Colorizer
from vidcolor.painting.tone import IN_COLOR
from vidcolor.stills.encode import encode_jpeg
from vidcolor.stills.files import open_in_turn, write_still
from vidcolor.stills.page import StillSettings
from vidcolor.stills.rgb import thumbnail_jpeg
from vidcolor.stills.still import Still

HUGE_PIXELS = 100_000_000  # files of as many pixels are encoded on disk instead of in memory
THUMBNAIL_SIDE = 224  # long side in pixels of the report's thumbnails


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

    def plan_parts(self, source: Path, colorizer: Colorizer, wanted: int) -> list[Part]:
        """Plan at most `wanted` parts that can be colored apart; none where that is impossible or not worth it."""

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
    overwrite: bool = False  # replace an existing output of write_colored_photo
    scratch: Path = Path()  # folder for files too large for memory, on the output's disk
    films: FilmColorizer | None = None  # None: films are treated as other files


class BatchingPredictor:
    """Batches waiting pictures of equal size for the network, in a thread of its own. A context manager."""

    def __init__(self, colorizer: Colorizer):
        self._colorizer = colorizer
        self._waiting: SimpleQueue[tuple[Floats, Future[Floats]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """Short side in pixels that the network looks at."""
        return self._colorizer.size

    def predict(self, lightness_hw: Floats) -> Floats:
        """L* (h, w), 0..100 -> a*b* (2, h/stride, w/stride). Blocks until its batch is done. Raises DeviceError."""
        future: Future[Floats] = Future()
        self._waiting.put((lightness_hw, future))
        return future.result()

    def _work(self) -> None:
        held: list[tuple[Floats, Future[Floats]]] = []
        while True:
            while not held or not self._waiting.empty():
                if (item := self._waiting.get()) is None:
                    return
                held.append(item)
            shape = held[0][0].shape
            batch = [item for item in held if item[0].shape == shape][: self._colorizer.batch_size]
            taken = {id(item) for item in batch}
            held = [item for item in held if id(item) not in taken]
            try:
                results = self._colorizer.predict([lightness for lightness, _ in batch])
            except BaseException as error:  # raised in the waiting threads
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), ab in zip(batch, results, strict=True):
                future.set_result(ab)

    def close(self) -> None:
        """End the thread."""
        self._waiting.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_colored_photo(
    source: Path, target: Path, colorizer: Colorizer, options: WorkerOptions
) -> tuple[Outcome, tuple[str, ...]]:
    """Color a photo file into another of the same format; gives the outcome and remarks.

    A photo in color is copied unless options.recolor. Raises SourceError, SinkError, DeviceError.
    """
    with BatchingPredictor(colorizer) as network, open_in_turn(source, largest_pixels=options.largest_pixels) as still:
        colors = _PageColors(still, network, options)
        with outputs.replacing(target, overwrite=options.overwrite) as partial:
            losses = write_still(still, colors, partial, options.still)
    return ("colored", (*colors.kept_colors, *losses)) if colors.count else ("kept", (IN_COLOR,))


class Worker:
    """Colors photos and films with one model. Several threads may color photos at once."""

    def __init__(self, colorizer: Colorizer, options: WorkerOptions) -> None:
        self.devices = colorizer.devices
        self._colorizer, self._options = colorizer, options
        self._network = BatchingPredictor(colorizer)

    def color_photo(self, entry: Entry, source: Path | bytes) -> EntryResult:
        """Decode, color and encode one photo file. Raises VidcolorError, and whatever a decoder raises."""
        return _colorize_entry(entry, source, self._network, self._options)

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

    def plan_parts(self, source: Path, wanted: int) -> list[Part]:
        """Plan at most `wanted` parts of a film; none where it is kept or cannot be split. Raises VidcolorError."""
        return [] if self._is_kept(source) else self._films.plan_parts(source, self._colorizer, wanted)

    def color_part(self, source: Path, target: Path, part: Part, *, is_again: bool = False) -> None:
        """Color one part, which `film` joins with the others. Raises VidcolorError."""
        self._films.colorize_part(source, target, self._colorizer, part, is_again=is_again)

    def _is_kept(self, source: Path) -> bool:
        return not self._options.recolor and film_tone(source) == "color"

    @property
    def _films(self) -> FilmColorizer:
        assert self._options.films is not None
        return self._options.films

    def close(self) -> None:
        """End the network's thread."""
        self._network.close()


class _PageColors:
    """Iterates over the a*b* of a file's pages; None for pages that keep their colors.

    count: pages colored so far.  thumbnails: JPEG files of the first page, before and after, if wanted.
    """

    def __init__(
        self, still: Still, network: BatchingPredictor, options: WorkerOptions, *, is_shown: bool = False
    ) -> None:
        self._still, self._network, self._options, self._is_shown = still, network, options, is_shown
        self._begun: list[Floats | None] = []
        self.count = 0
        self._shares: list[float] = []  # of each mixed page: the share of its area that keeps its colors
        self.thumbnails: tuple[bytes, bytes] | None = None
        self._rest = (self._color(number) for number in range(len(still.pages)))

    def has_any(self) -> bool:
        """Whether any page is to be colored. Predicts no further than the first one."""
        for ab in self._rest:
            self._begun.append(ab)
            if ab is not None:
                return True
        return False

    @property
    def kept_colors(self) -> tuple[str, ...]:
        """How much color mixed pages keep, as remarks."""
        if not self._shares:
            return ()
        of = "it" if self.count == 1 else f"{len(self._shares)} pages"
        return (f"{max(1, round(100 * sum(self._shares) / len(self._shares)))} % of {of} had color and keeps it",)

    def __iter__(self) -> Iterator[Floats | None]:
        yield from self._begun
        yield from self._rest

    def _color(self, number: int) -> Floats | None:
        page = self._still.pages[number]
        if not self._options.recolor and page.tone == "color":
            return None
        ab = self._network.predict(page.lightness(self._network.size))
        self.count += 1
        if page.colored_regions is not None and not self._options.recolor:
            self._shares.append(page.colored_regions.share)
        is_plain = page.tone == "gray" and page.bits == 8 and page.orientation == 1 and not page.alpha
        if self._is_shown and number == 0 and is_plain:  # decoding both files would take longer
            before, after = (encode_jpeg(page.preview(shown, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))) for shown in (None, ab))
            self.thumbnails = before, after
        return ab


def _colorize_entry(
    entry: Entry, source: Path | bytes, network: BatchingPredictor, options: WorkerOptions
) -> EntryResult:
    """Decode, color and encode one photo file."""
    began, is_shown = time.monotonic(), options.wants_thumbnails(entry.name)
    with open_in_turn(source, entry.printable_name, largest_pixels=options.largest_pixels) as still:
        colors = _PageColors(still, network, options, is_shown=is_shown)
        if not colors.has_any():
            return EntryResult("kept", notes=(IN_COLOR,), seconds=time.monotonic() - began)
        content, losses = _encode(entry, still, colors, options)
        pair = colors.thumbnails
        if is_shown and pair is None:
            pair = _make_thumbnails(still.content or source, content)
    kept = len(still.pages) - colors.count
    notes = (*colors.kept_colors, *losses, *((f"{kept} pages were in color already",) if kept else ()))
    return EntryResult("colored", content, notes=notes, seconds=time.monotonic() - began, thumbnails=pair)


def _make_thumbnails(before: bytes | Path, after: bytes | Path) -> tuple[bytes, bytes] | None:
    """JPEG thumbnails of two files; None where one cannot be decoded."""
    found = [thumbnail_jpeg(content, THUMBNAIL_SIDE) for content in (before, after)]
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None


def _encode(
    entry: Entry, still: Still, colors: Iterable[Floats | None], options: WorkerOptions
) -> tuple[bytes | Path, tuple[str, ...]]:
    """Encode the colored file in memory or, if it is huge, in the scratch folder; also gives what it could not keep."""
    if still.pixels < HUGE_PIXELS:
        file = io.BytesIO()
        losses = write_still(still, colors, file, options.still)
        return file.getvalue(), losses
    name = entry.name.replace("/", ":")  # the whole path: another folder may hold a file of the same name
    path = options.scratch / scratch_name(name)  # a fixed name overwrites the leftover of a killed run
    try:
        return path, write_still(still, colors, path, options.still)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
