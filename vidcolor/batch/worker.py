"""What colors one photo or film of an archive, and the rules it goes by."""

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

HUGE_PIXELS = 100_000_000  # of a file that is packed on disk
SHOWN_SIDE = 224  # pixels of the report's pictures


@dataclass(frozen=True)
class Done:
    """What became of an entry. content: the new file; None where the old one is carried over."""

    outcome: Outcome
    content: bytes | Path | None = None
    name: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    damage: str = ""  # of a film or an archive, in words
    was_done: bool = False  # by an earlier run
    pair: tuple[bytes, bytes] | None = None  # small JPEG files, before and after
    within: str = ""  # the archive that the entry lies in, where that lies in a folder itself
    passed_over: str = ""  # why the entry stays as it is though there may be pictures in it


class Films(Protocol):
    """What is to be done with films. For workers elsewhere it has to pickle."""

    def name(self, name: str) -> str:
        """What a film is called in the output."""

    def color(self, source: Path, target: Path, colorizer: Colorizer, *, is_again: bool) -> tuple[tuple[str, ...], str]:
        """One film into one file; remarks, and its damage in words. is_again: this run has begun it before."""

    def survey(self, source: Path, colorizer: Colorizer, wanted: int) -> list[Part]:
        """At most `wanted` parts that can be colored apart; none where that is impossible or not worth it."""

    def color_part(self, source: Path, target: Path, colorizer: Colorizer, part: Part, *, is_again: bool) -> None:
        """One part of the film that `color` will put together."""


@dataclass(frozen=True)
class Rules:
    """What to do with which entry. For workers elsewhere, every callable has to be one that pickles."""

    still: StillSettings
    is_recoloring: bool = False  # photos and films that have colors already
    is_copying_others: bool = True  # files that are neither photos nor films
    is_nested: bool = True  # archives in a folder are colored as archives
    largest_pixels: int = 1_000_000_000  # of a photo
    is_shown: Callable[[str], bool] = field(default=lambda _: False)  # whether small pictures are wanted of a photo
    is_overwriting: bool = False  # one photo's output
    scratch: Path = Path()  # folder for files too large for memory, on the output's disk
    films: Films | None = None  # None: they are others


class Network:
    """One thread that asks the network for whatever pictures wait, those of a size together."""

    def __init__(self, colorizer: Colorizer):
        self._colorizer = colorizer
        self._waiting: SimpleQueue[tuple[Floats, Future[Floats]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """Short side in pixels that it looks at."""
        return self._colorizer.size

    def predict(self, lightness_hw: Floats) -> Floats:
        """L* 0..100 -> a*b* (2, h/stride, w/stride); waits. Raises DeviceError."""
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
            except BaseException as error:  # handed to those who wait
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), ab in zip(batch, results, strict=True):
                future.set_result(ab)

    def close(self) -> None:
        """Let the thread go."""
        self._waiting.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def colorize_photo(source: Path, target: Path, colorizer: Colorizer, rules: Rules) -> tuple[Outcome, tuple[str, ...]]:
    """One photo file into another of the same format; what became of it, and what there is to say.

    A photo that has colors is copied unless the rules say otherwise. Raises SourceError, SinkError, DeviceError.
    """
    with Network(colorizer) as network, open_in_turn(source, largest_pixels=rules.largest_pixels) as still:
        colors = _Colors(still, network, rules)
        with outputs.replacing(target, overwrite=rules.is_overwriting) as partial:
            losses = write_still(still, colors, partial, rules.still)
    return ("colored", (*colors.own, *losses)) if colors.count else ("kept", (IN_COLOR,))


class Worker:
    """A model, and what colors photos and films by it. Photos may come from several threads at once."""

    def __init__(self, colorizer: Colorizer, rules: Rules) -> None:
        self.devices = colorizer.devices
        self._colorizer, self._rules = colorizer, rules
        self._network = Network(colorizer)

    def photo(self, entry: Entry, source: Path | bytes) -> Done:
        """One photo file, read, colored and packed again. Raises VidcolorError, and what decoders raise."""
        return _photo(entry, source, self._network, self._rules)

    def film(self, source: Path, target: Path, *, is_again: bool = False) -> Done:
        """One film into the file `target`, or nothing where it is kept. is_again: this run has begun it before.

        Raises VidcolorError.
        """
        began = time.monotonic()
        target.unlink(missing_ok=True)
        if self._is_kept(source):
            return Done("kept", notes=(IN_COLOR,))
        notes, damage = self._films.color(source, target, self._colorizer, is_again=is_again)
        return Done("colored", target, notes=notes, seconds=time.monotonic() - began, damage=damage)

    def survey(self, source: Path, wanted: int) -> list[Part]:
        """At most so many parts of a film; none where it is kept, or cannot be parted. Raises VidcolorError."""
        return [] if self._is_kept(source) else self._films.survey(source, self._colorizer, wanted)

    def part(self, source: Path, target: Path, part: Part, *, is_again: bool = False) -> None:
        """One part, for `film` to put together. Raises VidcolorError."""
        self._films.color_part(source, target, self._colorizer, part, is_again=is_again)

    def _is_kept(self, source: Path) -> bool:
        return not self._rules.is_recoloring and film_tone(source) == "color"

    @property
    def _films(self) -> Films:
        assert self._rules.films is not None
        return self._rules.films

    def close(self) -> None:
        """Let the network's thread go."""
        self._network.close()


class _Colors:
    """A*b* of a file's pages, one after another; None for those that are not to be colored.

    count: pages that were colored so far.  small: the first one before and after, as small JPEG files, if wanted.
    """

    def __init__(self, still: Still, network: Network, rules: Rules, *, is_shown: bool = False) -> None:
        self._still, self._network, self._rules, self._is_shown = still, network, rules, is_shown
        self._begun: list[Floats | None] = []
        self.count = 0
        self._shares: list[float] = []  # of pages, that keep colors of their own
        self.small: tuple[bytes, bytes] | None = None
        self._rest = (self._color(number) for number in range(len(still.pages)))

    def is_any(self) -> bool:
        """Whether there is a page to be colored. Looks no further than to the first."""
        for ab in self._rest:
            self._begun.append(ab)
            if ab is not None:
                return True
        return False

    @property
    def own(self) -> tuple[str, ...]:
        """What mixed pages keep, in words."""
        if not self._shares:
            return ()
        of = "it" if self.count == 1 else f"{len(self._shares)} pages"
        return (f"{max(1, round(100 * sum(self._shares) / len(self._shares)))} % of {of} had color and keeps it",)

    def __iter__(self) -> Iterator[Floats | None]:
        yield from self._begun
        yield from self._rest

    def _color(self, number: int) -> Floats | None:
        page = self._still.pages[number]
        if not self._rules.is_recoloring and page.tone == "color":
            return None
        ab = self._network.predict(page.lightness(self._network.size))
        self.count += 1
        if page.colored_regions is not None and not self._rules.is_recoloring:
            self._shares.append(page.colored_regions.share)
        is_plain = page.tone == "gray" and page.bits == 8 and page.orientation == 1 and not page.alpha
        if self._is_shown and number == 0 and is_plain:  # decoding both files would take longer than painting
            before, after = (encode_jpeg(page.preview(shown, (SHOWN_SIDE, SHOWN_SIDE))) for shown in (None, ab))
            self.small = before, after
        return ab


def _photo(entry: Entry, source: Path | bytes, network: Network, rules: Rules) -> Done:
    """One photo file, read, colored and packed again."""
    began, is_shown = time.monotonic(), rules.is_shown(entry.name)
    with open_in_turn(source, entry.printable_name, largest_pixels=rules.largest_pixels) as still:
        colors = _Colors(still, network, rules, is_shown=is_shown)
        if not colors.is_any():
            return Done("kept", notes=(IN_COLOR,), seconds=time.monotonic() - began)
        content, losses = _packed(entry, still, colors, rules)
        pair = colors.small
        if is_shown and pair is None:
            pair = _pair(still.content or source, content)
    kept = len(still.pages) - colors.count
    notes = (*colors.own, *losses, *((f"{kept} pages were in color already",) if kept else ()))
    return Done("colored", content, notes=notes, seconds=time.monotonic() - began, pair=pair)


def _pair(before: bytes | Path, after: bytes | Path) -> tuple[bytes, bytes] | None:
    """Small pictures of two files."""
    found = [thumbnail_jpeg(content, SHOWN_SIDE) for content in (before, after)]
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None


def _packed(
    entry: Entry, still: Still, colors: Iterable[Floats | None], rules: Rules
) -> tuple[bytes | Path, tuple[str, ...]]:
    """The colored file, in memory or, if it is huge, in the scratch folder; and what it could not keep."""
    if still.pixels < HUGE_PIXELS:
        file = io.BytesIO()
        losses = write_still(still, colors, file, rules.still)
        return file.getvalue(), losses
    name = entry.name.replace("/", ":")  # whole: others of its last part may be under way
    path = rules.scratch / scratch_name(name)  # the same name again overwrites what a killed run left
    try:
        return path, write_still(still, colors, path, rules.still)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
