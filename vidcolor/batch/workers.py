"""The workers of a batch: the protocol, and the workers of one machine."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from vidcolor.archives import Entry, completed_future
from vidcolor.batch.worker import EntryResult, Worker, WorkerOptions
from vidcolor.inference.colorizer import Colorizer

FILES_AHEAD = 3  # photos submitted ahead of the one that is written, for each thread
BYTES_AHEAD = 1 << 28  # of photos submitted ahead, for each worker


class Workers(Protocol):
    """Colors entries in the background. Futures hold VidcolorErrors, or whatever a decoder raised."""

    are_films_unordered: bool  # whether films may run at the same time as other entries and end in any order
    notes: list[str]  # remarks on the run as a whole, one line each

    @property
    def ahead(self) -> int:
        """How many photos to submit ahead of the one that is written."""

    @property
    def ahead_bytes(self) -> int:
        """How many bytes of photo files to submit ahead."""

    @property
    def devices(self) -> list[str]:
        """Names of the devices, for people."""

    def color_photo(self, entry: Entry, source: Path | bytes) -> Future[EntryResult]:
        """See Worker."""

    def color_film(self, entry: Entry, source: Path, target: Path) -> Future[EntryResult]:
        """See Worker."""


class LocalWorkers:
    """Workers on this machine: photos on a pool of threads, a film on the caller's thread. A context manager."""

    are_films_unordered, ahead_bytes = False, BYTES_AHEAD

    def __init__(self, colorizer: Colorizer, options: WorkerOptions) -> None:
        threads = os.cpu_count() or 1
        self.ahead, self.notes = FILES_AHEAD * threads, list[str]()
        self._worker = Worker(colorizer, options)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="photo")

    @property
    def devices(self) -> list[str]:
        """See Workers."""
        return self._worker.devices

    def color_photo(self, entry: Entry, source: Path | bytes) -> Future[EntryResult]:
        """See Worker."""
        return self._pool.submit(self._worker.color_photo, entry, source)

    def color_film(self, entry: Entry, source: Path, target: Path) -> Future[EntryResult]:  # noqa: ARG002 - see Workers
        """See Worker."""
        return completed_future(self._worker.color_film(source, target))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)  # after an interruption, waits for running photos only
        self._worker.close()


def time_photos(entries: Sequence[Entry], colorizer: Colorizer, options: WorkerOptions) -> tuple[float, int]:
    """Measure coloring photos: gives the seconds, and the bytes of those that could be colored."""
    worked = 0
    with LocalWorkers(colorizer, options) as workers:
        for entry in entries[:1]:  # compiles the network before the clock starts
            workers.color_photo(entry, entry.read()).exception()
        began = time.monotonic()
        futures = [(entry, workers.color_photo(entry, entry.read())) for entry in entries]
        for entry, future in futures:
            worked += entry.size if future.exception() is None else 0
    return time.monotonic() - began, worked
