"""Stages that run at the same time, in threads joined by bounded queues."""

import threading
from collections.abc import Generator, Iterator
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def prefetch(items: Iterator[T], depth: int) -> Generator[T]:
    """Produce the items in a thread, at most `depth` ahead of the consumer, who also gets the thread's error."""
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
        except BaseException as error:  # raised in the consuming thread
            put(_END, error)
        finally:
            if (close := getattr(items, "close", None)) is not None:
                close()

    thread = threading.Thread(target=work, name="vidcolor-ahead", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item, error = queue.get(timeout=0.2)  # wakes regularly, so that Ctrl-C works on every system
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
        except BaseException:  # Ctrl-C: the thread must end before what it reads is closed
            thread.join()
            raise
