"""A limit on the decoded pixels that this process holds at once, over all threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

BUDGET_PIXELS = 200_000_000  # of all photos together; a larger one is worked alone


class PixelBudget:
    """A number of pixels that threads may hold together."""

    def __init__(self, pixels: int):
        self._free, self._all = pixels, pixels
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Hold so many pixels, after waiting until they are free; more than the whole budget waits for all of it.

        A thread that holds pixels must not reserve more: two threads would wait for each other.
        """
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


PIXEL_BUDGET = PixelBudget(BUDGET_PIXELS)  # shared by everything that decodes stills
