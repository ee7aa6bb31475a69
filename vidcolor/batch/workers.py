"""Who colors the files of a batch: workers of any kind, and those of one machine."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from vidcolor.archives import Entry, completed_future
from vidcolor.batch.worker import Done, Rules, Worker
from vidcolor.inference.colorizer import Colorizer

FILES_AHEAD = 3  # a thread, under way or waiting for their turn to be written
BYTES_AHEAD = 1 << 28  # of photos under way or waiting for their turn, a worker


class Workers(Protocol):
    """Who colors entries. Futures hold VidcolorErrors, or whatever a decoder raised."""

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
        return completed_future(self._worker.film(source, target))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)  # of a run that was ended: what is under way is enough to wait for
        self._worker.close()


def time_photos(entries: Sequence[Entry], colorizer: Colorizer, rules: Rules) -> tuple[float, int]:
    """Color some photos for the clock alone: seconds it took, and the bytes of those that could be colored."""
    worked = 0
    with LocalWorkers(colorizer, rules) as workers:
        for entry in entries[:1]:  # makes the network completed_future
            workers.photo(entry, entry.read()).exception()
        began = time.monotonic()
        futures = [(entry, workers.photo(entry, entry.read())) for entry in entries]
        for entry, future in futures:
            worked += entry.size if future.exception() is None else 0
    return time.monotonic() - began, worked
