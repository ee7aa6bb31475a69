"""The actor that runs in a worker's process."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vidcolor.archives import Entry
from vidcolor.batch.worker import EntryResult, Worker, WorkerOptions
from vidcolor.cluster.slots import Slot
from vidcolor.errors import DeviceError, SinkError, VidcolorError
from vidcolor.films.parts import Survey
from vidcolor.frames import Part
from vidcolor.inference.colorizer import Colorizer

LOCK_SECONDS = 120.0  # to wait for a lost machine's locks; a file server keeps them for a minute and a half


@dataclass(frozen=True)
class Work:
    """What every worker is started with. All fields must pickle."""

    load: Callable[[], Colorizer]
    options: WorkerOptions
    identity: Callable[[], object]  # gives equal values for equal version, model and options
    inputs: tuple[Path, ...]  # absolute, as is options.scratch; every machine must see them
    device: str = "auto"  # auto, all or cpu


class Actor:
    """Runs in a worker's process. Expected errors are returned, since Ray would wrap raised ones in a traceback."""

    _worker: Worker

    def open(self, work: Work, slot: Slot, token: Path, identity: object) -> list[str] | VidcolorError:
        """Load the model; gives the devices, or a DeviceError where this machine would make other colors."""
        if not slot.has_gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
            if not slot.is_alone:
                _keep_to_cores(slot)
        try:
            for path in (token, *work.inputs):
                if not path.exists():
                    return DeviceError(f"it does not see {path}. Mount the same folders at the same paths everywhere.")
            if work.identity() != identity:
                return DeviceError("its vidcolor or its model is another. Install the same on every machine.")
            self._worker = Worker(work.load(), work.options)
        except VidcolorError as error:
            return error
        return self._worker.devices

    def color_photo(self, entry: Entry, source: Path | bytes) -> EntryResult | VidcolorError:
        """See Worker."""
        return _retry_while_locked(lambda: self._worker.color_photo(entry, source), is_again=False)

    def color_film(self, entry: Entry, source: Path, target: Path, is_again: bool) -> EntryResult | VidcolorError:  # noqa: ARG002
        """See Worker."""
        return _retry_while_locked(
            lambda: self._worker.color_film(source, target, is_again=is_again), is_again=is_again
        )

    def plan_parts(
        self, source: Path, wanted: int, survey: Survey | None
    ) -> tuple[list[Part], Survey | None] | VidcolorError:
        """See Worker."""
        return _retry_while_locked(lambda: self._worker.plan_parts(source, wanted, survey), is_again=False)

    def color_part(self, source: Path, target: Path, part: Part, is_again: bool) -> VidcolorError | None:
        """See Worker."""
        return _retry_while_locked(
            lambda: self._worker.color_part(source, target, part, is_again=is_again), is_again=is_again
        )


T = TypeVar("T")


def _retry_while_locked(work: Callable[[], T], *, is_again: bool) -> T | VidcolorError:
    """Run the work; gives its result or its error. is_again: wait for the locks of a lost worker that had begun it."""
    until = time.monotonic() + (LOCK_SECONDS if is_again else 0)
    while True:
        try:
            return work()
        except SinkError as error:
            if not isinstance(error.__context__, BlockingIOError) or time.monotonic() > until:
                return error
            time.sleep(1)
        except VidcolorError as error:
            return error


def _keep_to_cores(slot: Slot) -> None:
    """Limit this process to its share of the machine's cores, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))[slot.number * slot.cores :][: slot.cores]
    if len(cores) == slot.cores:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # ended meanwhile
                os.sched_setaffinity(int(thread.name), cores)
