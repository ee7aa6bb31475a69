"""Stages that run at the same time: each takes an iterator and gives one, through a small bounded queue."""

import threading
from collections.abc import Generator, Iterator
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def prefetch(items: Iterator[T], depth: int) -> Generator[T]:
    """The same items, made by a thread that runs at most `depth` ahead; its error is raised here, in its place."""
    queue: Queue[tuple[T, BaseException | None]] = Queue(depth)
    stop = threading.Event()

    def put(item: T, error: BaseException | None = None) -> None:
        while not stop.is_set():
            try:
                queue.put((item, error), timeout=0.1)
            except Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    break
            put(_END)
        except BaseException as error:  # handed to the thread that waits for it
            put(_END, error)
        finally:
            if (close := getattr(items, "close", None)) is not None:
                close()

    thread = threading.Thread(target=work, name="vidcolor-ahead", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item, error = queue.get(timeout=0.2)  # wakes now and then, so that Ctrl-C is heard on every system
            except Empty:
                continue
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        try:
            thread.join()
        except BaseException:  # Ctrl-C while it closes: what the thread reads must not be closed under it
            thread.join()
            raise
