"""Many photos and films, from a source of entries to a target that can be killed and gone on with.

Workers colour what the source holds, and results reach the target in the source's order. On one machine a pool of
threads reads, paints and packs photos, while one thread feeds the network with whatever waits, and films are coloured
one after another, each on all devices. Workers elsewhere may colour films beside the rest: those that lie in a folder
and go to a folder need no order.
"""

import hashlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from types import TracebackType
from typing import Literal, Protocol, Self

from vidcolor.color import Floats
from vidcolor.colorizer import Colorizer
from vidcolor.errors import DeviceError, SinkError, SourceError, VidcolorError
from vidcolor.media.archives import Entry, RefusedError, Target, in_order, ready
from vidcolor.media.archives.folder_target import FolderTarget
from vidcolor.media.film_tone import film_tone
from vidcolor.media.photos import thumbnail_jpeg
from vidcolor.media.stills import Page, Still, StillSettings, jpeg_of, open_still, write_still

FILES_AHEAD = 3  # a thread, under way or waiting for their turn to be written
BYTES_AHEAD = 1 << 28  # of photos under way or waiting for their turn, a worker
HUGE_PIXELS = 100_000_000  # of a file that is packed on disk
HELD_PIXELS = 200_000_000  # of all photos under way together, but for one that is larger by itself
SHOWN_SIDE = 224  # pixels of the report's pictures
IN_COLOR = "in colour already; --recolor colours it anew"

Outcome = Literal["colored", "kept", "copied", "skipped", "failed"]


@dataclass(frozen=True)
class Done:
    """What became of an entry. content: the new file; None where the old one is carried over."""

    outcome: Outcome
    content: bytes | Path | None = None
    name: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    was_done: bool = False  # by an earlier run
    pair: tuple[bytes, bytes] | None = None  # small JPEG files, before and after


@dataclass(frozen=True)
class Rules:
    """What to do with which entry. For workers elsewhere, every callable has to be one that pickles."""

    still: StillSettings
    is_recoloring: bool = False  # photos and films that have colours already
    is_copying_others: bool = True  # files that are neither photos nor films
    largest_pixels: int = 1_000_000_000  # of a photo
    is_shown: Callable[[str], bool] = field(default=lambda _: False)  # whether small pictures are wanted of a photo
    scratch: Path = Path()  # folder for files too large for memory, on the output's disk
    # Source, target, model, whether this run has begun it before -> remarks. None: films are others.
    color_film: Callable[[Path, Path, Colorizer, bool], tuple[str, ...]] | None = None
    film_name: Callable[[str], str] = field(default=lambda name: name)  # what a film's file is called in the output


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


class Room:
    """How many pixels may be held in memory together."""

    def __init__(self, pixels: int):
        self._free, self._all = pixels, pixels
        self._changed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for so many; one that is larger than all waits until it is alone."""
        wanted = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()


def colorize_photo(source: Path, target: Path, colorizer: Colorizer, rules: Rules) -> tuple[Outcome, tuple[str, ...]]:
    """One photo file into another of the same format; what became of it, and what there is to say.

    A photo that has colours is copied unless the rules say otherwise. Raises SourceError, SinkError, DeviceError.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        with Network(colorizer) as network, open_still(source, largest_pixels=rules.largest_pixels) as still:
            wanted = _wanted(still, rules)
            losses = write_still(still, _colors(still, wanted, network), partial, rules.still)
        partial.replace(target)
    except OSError as error:
        raise SinkError(f"{target}: cannot be written ({error.strerror}).") from error
    finally:
        partial.unlink(missing_ok=True)
    return ("colored", losses) if wanted else ("kept", (IN_COLOR,))


class Worker:
    """A model, and what colours photos and films by it. Photos may come from several threads at once."""

    def __init__(self, colorizer: Colorizer, rules: Rules) -> None:
        self.devices = colorizer.devices
        self._colorizer, self._rules = colorizer, rules
        self._network, self._room = Network(colorizer), Room(HELD_PIXELS)

    def photo(self, entry: Entry, source: Path | bytes) -> Done:
        """One photo file, read, coloured and packed again. Raises VidcolorError, and what decoders raise."""
        return _photo(entry, source, self._network, self._rules, self._room)

    def film(self, source: Path, target: Path, *, is_again: bool = False) -> Done:
        """One film into the file `target`, or nothing where it is kept. is_again: this run has begun it before.

        Raises VidcolorError.
        """
        assert self._rules.color_film is not None
        began = time.monotonic()
        target.unlink(missing_ok=True)
        if not self._rules.is_recoloring and film_tone(source) == "color":
            return Done("kept", notes=(IN_COLOR,))
        notes = self._rules.color_film(source, target, self._colorizer, is_again)
        return Done("colored", target, notes=notes, seconds=time.monotonic() - began)

    def close(self) -> None:
        """Let the network's thread go."""
        self._network.close()


class Workers(Protocol):
    """Who colours entries. Futures hold VidcolorErrors, or whatever a decoder raised."""

    films_any_time: bool  # whether films go on beside the rest, or wait for their turn
    notes: list[str]  # one line each: what is to be said of the whole

    @property
    def ahead(self) -> int:
        """Photos that may be under way, or wait for their turn to be written."""

    @property
    def ahead_bytes(self) -> int:
        """The same in bytes of their files."""

    @property
    def devices(self) -> list[str]:
        """What they run on, for people."""

    def photo(self, entry: Entry, source: Path | bytes) -> Future[Done]:
        """See Worker."""

    def film(self, entry: Entry, source: Path, target: Path) -> Future[Done]:
        """See Worker."""


class LocalWorkers:
    """The machine itself: photos on a pool of threads, a film by whoever asks for it. A context manager."""

    films_any_time, ahead_bytes = False, BYTES_AHEAD

    def __init__(self, colorizer: Colorizer, rules: Rules) -> None:
        threads = os.cpu_count() or 1
        self.ahead, self.notes = FILES_AHEAD * threads, list[str]()
        self._worker = Worker(colorizer, rules)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="photo")

    @property
    def devices(self) -> list[str]:
        """See Workers."""
        return self._worker.devices

    def photo(self, entry: Entry, source: Path | bytes) -> Future[Done]:
        """See Worker."""
        return self._pool.submit(self._worker.photo, entry, source)

    def film(self, entry: Entry, source: Path, target: Path) -> Future[Done]:  # noqa: ARG002 - see Workers
        """See Worker."""
        return ready(self._worker.film(source, target))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        self._worker.close()


def colorize_archive(
    entries: Iterable[Entry],
    target: Target,
    workers: Workers,
    rules: Rules,
    on_entry: Callable[[Entry, Done], None],
) -> None:
    """Colour what can be coloured, carry over the rest, and tell `on_entry` of each.

    That comes in the source's order, but for films that need none: see Workers.films_any_time. One bad entry never
    stops the others. Raises SinkError when the target cannot be written any more, DeviceError.
    """
    beside = _Beside(target, workers, rules)

    def submit(entry: Entry) -> Future[Done] | None:
        if entry.refusal or entry.kind == "directory":
            return None
        if not target.due(entry):
            return ready(Done("skipped", was_done=True))
        return workers.photo(entry, entry.path or entry.read()) if entry.kind == "photo" else None

    def settle(entry: Entry, result: Callable[[], Done]) -> None:
        on_entry(entry, _settled(entry, result, target))

    in_turn = in_order(beside.leave(entries), submit, window=workers.ahead, window_bytes=workers.ahead_bytes)
    for entry, future in in_turn:
        settle(entry, future.result if future else partial(_in_turn, entry, target, workers, rules))
        for film, result in beside.finished():
            settle(film, result)
    for film, result in beside.rest():
        settle(film, result)


class _Beside:
    """Films that are coloured beside the rest, and written when they are done."""

    def __init__(self, target: Target, workers: Workers, rules: Rules) -> None:
        self._target, self._workers, self._rules = target, workers, rules
        self._under_way: dict[Future[Done], tuple[Entry, str]] = {}

    def leave(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Begin the films that need no order; the other entries."""
        is_possible = self._workers.films_any_time and isinstance(self._target, FolderTarget)
        for entry in entries:
            is_film = entry.kind == "film" and self._rules.color_film is not None and not entry.refusal
            if is_possible and is_film and entry.path is not None and self._target.due(entry):
                self._begin(entry, entry.path)
            else:
                yield entry

    def _begin(self, entry: Entry, path: Path) -> None:
        name = self._rules.film_name(entry.name)
        try:
            future = self._workers.film(entry, path, self._target.scratch(entry, name))
        except VidcolorError as error:
            future = Future()
            future.set_exception(error)
        self._under_way[future] = entry, name

    def finished(self) -> Iterator[tuple[Entry, Callable[[], Done]]]:
        """Those that are done by now."""
        for future in [future for future in self._under_way if future.done()]:
            entry, name = self._under_way.pop(future)
            yield entry, partial(_named, entry, name, future)

    def rest(self) -> Iterator[tuple[Entry, Callable[[], Done]]]:
        """All others, as they end."""
        while self._under_way:
            wait(self._under_way, return_when=FIRST_COMPLETED)
            yield from self.finished()


def timed(entries: Sequence[Entry], colorizer: Colorizer, rules: Rules) -> tuple[float, int]:
    """Colour some photos for the clock alone: seconds it took, and the bytes of those that could be coloured."""
    worked = 0
    with LocalWorkers(colorizer, rules) as workers:
        for entry in entries[:1]:  # makes the network ready
            workers.photo(entry, entry.read()).exception()
        began = time.monotonic()
        futures = [(entry, workers.photo(entry, entry.read())) for entry in entries]
        for entry, future in futures:
            worked += entry.size if future.exception() is None else 0
    return time.monotonic() - began, worked


def _photo(entry: Entry, source: Path | bytes, network: Network, rules: Rules, room: Room) -> Done:
    """One photo file, read, coloured and packed again."""
    began = time.monotonic()
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    with open_still(source, entry.shown, largest_pixels=rules.largest_pixels) as still:
        wanted = _wanted(still, rules)
        if not wanted:
            return Done("kept", notes=(IN_COLOR,), seconds=time.monotonic() - began)
        with room.of(max(size, sum(page.pixels for page in still.pages))):
            colors = _colors(still, wanted, network)
            content, losses = _packed(entry, still, colors, rules)
            pair = _pair(still.pages[0], colors[0], source, content) if rules.is_shown(entry.name) else None
    kept = len(still.pages) - len(wanted)
    notes = (*losses, *((f"{kept} pages were in colour already",) if kept else ()))
    return Done("colored", content, notes=notes, seconds=time.monotonic() - began, pair=pair)


def _pair(page: Page, ab: Floats | None, before: bytes | Path, after: bytes | Path) -> tuple[bytes, bytes] | None:
    """Small pictures; of grey photos from what is in memory, as decoding both files would take longer than painting."""
    if page.tone == "grey" and ab is not None and page.bits == 8 and page.orientation == 1 and not page.alpha:
        small = [jpeg_of(page.preview(colour, (SHOWN_SIDE, SHOWN_SIDE))) for colour in (None, ab)]
        return small[0], small[1]
    found = [thumbnail_jpeg(content, SHOWN_SIDE) for content in (before, after)]
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None


def _packed(
    entry: Entry, still: Still, colors: list[Floats | None], rules: Rules
) -> tuple[bytes | Path, tuple[str, ...]]:
    """The coloured file, in memory or, if it is huge, in the scratch folder; and what it could not keep."""
    if sum(page.pixels for page in still.pages) < HUGE_PIXELS:
        file = io.BytesIO()
        losses = write_still(still, colors, file, rules.still)
        return file.getvalue(), losses
    name = hashlib.sha256(entry.name.encode(errors="backslashreplace")).hexdigest()[:24]
    path = rules.scratch / f".vidcolor-{name}.partial"  # the same name again overwrites what a killed run left
    return path, write_still(still, colors, path, rules.still)


def _wanted(still: Still, rules: Rules) -> list[Page]:
    """The pages that are to be coloured."""
    return [page for page in still.pages if rules.is_recoloring or page.tone != "color"]


def _colors(still: Still, wanted: list[Page], network: Network) -> list[Floats | None]:
    """A*b* of these pages; None for the others."""
    return [network.predict(page.lightness(network.size)) if page in wanted else None for page in still.pages]


def _settled(entry: Entry, result: Callable[[], Done], target: Target) -> Done:
    """Bring one entry's result to the target."""
    try:
        done = result()
        if done.was_done:
            return done
        said = "; ".join(done.notes)
        if done.content is not None:
            target.write(entry, done.content, done.outcome, name=done.name, reason=said, seconds=done.seconds)
        elif done.outcome == "skipped":
            target.skip(entry, said)
        else:
            target.copy(entry, done.outcome, reason=said)
    except SinkError as error:
        if not isinstance(error, RefusedError):
            raise
        return _failed(entry, target, str(error))
    except DeviceError:
        raise  # a lost GPU is no photo's fault
    except VidcolorError as error:
        return _failed(entry, target, str(error))
    except Exception as error:  # of a decoder or of numpy, on a file that nobody thought of: the others go on
        return _failed(entry, target, f"unexpected {type(error).__name__}: {error}")
    return done


def _failed(entry: Entry, target: Target, reason: str) -> Done:
    target.fail(entry, reason)
    return Done("failed", notes=(reason,))


def _in_turn(entry: Entry, target: Target, workers: Workers, rules: Rules) -> Done:
    """What no worker is needed for, or what has to wait for all before it."""
    if entry.refusal:
        raise SourceError(f"{entry.refusal}.")
    if entry.kind in ("directory", "link"):
        return Done("copied", notes=entry.notes)
    if entry.kind == "film" and rules.color_film is not None:
        return _film(entry, target, workers, rules)
    if rules.is_copying_others:
        return Done("copied", notes=entry.notes)
    return Done("skipped", notes=("neither a photo nor a film", *entry.notes))


def _film(entry: Entry, target: Target, workers: Workers, rules: Rules) -> Done:
    name = rules.film_name(entry.name)
    scratch = target.scratch(entry, name)
    with entry.as_file(scratch.parent) as path:
        done = _named(entry, name, workers.film(entry, path, scratch))
        return done if done.content else replace(done, content=_moved(path, target.scratch(entry), entry))


def _named(entry: Entry, name: str, film: Future[Done]) -> Done:
    """The film once it is done, under another name where it needs one."""
    done = film.result()
    is_renamed = done.content is not None and PurePosixPath(name) != PurePosixPath(entry.name)
    return replace(done, name=name) if is_renamed else done


def _moved(unpacked: Path, scratch: Path, entry: Entry) -> Path | None:
    """The file as new content, of an entry that cannot be read again."""
    return None if entry.again else unpacked.replace(scratch)
