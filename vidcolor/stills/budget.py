"""How many pixels this process holds decoded at once, whoever decodes them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

BUDGET_PIXELS = 200_000_000  # of all photos under way together, but for one that is larger by itself


class PixelBudget:
    """How many pixels may be held in memory together."""

    def __init__(self, pixels: int):
        self._free, self._all = pixels, pixels
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for so many; one that is larger than all waits until it is alone.

        A thread that holds some must not ask for more: two such threads would wait for each other.
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


PIXEL_BUDGET = PixelBudget(BUDGET_PIXELS)  # of everything that colors, learns from, measures or shows stills
