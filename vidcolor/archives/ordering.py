"""Results in the order of their entries, while workers finish in any order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from vidcolor.archives.entries import Entry
from vidcolor.errors import VidcolorError

R = TypeVar("R")

Waiting = tuple[Entry, Future[R] | None]


def in_order(
    entries: Iterable[Entry],
    submit: Callable[[Entry], Future[R] | None],
    *,
    window: int = 8,
    window_bytes: int = 1 << 28,
) -> Iterator[Waiting[R]]:
    """Each entry with its finished future, in order.

    submit: reads the entry and hands it to workers, or returns None for an entry that the consumer handles while the
    source is still at it; such an entry waits for all before it. What `submit` raises is raised by the future.
    window, window_bytes: the most entries, and bytes of inputs (one may be larger), that are under way or wait.
    """
    waiting: deque[tuple[Entry, Future[R]]] = deque()
    under_way_bytes = 0
    for entry in entries:
        while waiting and (len(waiting) >= window or under_way_bytes + entry.size > window_bytes):
            under_way_bytes -= waiting[0][0].size
            yield _wait(waiting.popleft())
        future = _submit(submit, entry)
        if future is None:
            while waiting:
                yield _wait(waiting.popleft())
            under_way_bytes = 0
            yield entry, None
        else:
            waiting.append((entry, future))
            under_way_bytes += entry.size
    while waiting:
        yield _wait(waiting.popleft())


def completed_future(value: R) -> Future[R]:
    """A future that is done, for results that need no worker."""
    future: Future[R] = Future()
    future.set_result(value)
    return future


def _submit(submit: Callable[[Entry], Future[R] | None], entry: Entry) -> Future[R] | None:
    try:
        return submit(entry)
    except VidcolorError as error:
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed


def _wait(item: tuple[Entry, Future[R]]) -> Waiting[R]:
    item[1].exception()  # waits
    return item
