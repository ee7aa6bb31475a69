"""Pictures that several threads want predicted, in batches."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from vidcolor.color import Floats
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.listening import Known


@dataclass(frozen=True)
class _Asked:
    """A picture that waits for its colors."""

    lightness_hw: Floats
    known: Known
    answer: "Future[Floats]" = field(default_factory=Future)


class BatchingPredictor:
    """Batches waiting pictures of equal size for the network, in a thread of its own. A context manager."""

    def __init__(self, colorizer: Colorizer):
        self._colorizer = colorizer
        self._waiting: SimpleQueue[_Asked | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """Short side in pixels that the network looks at."""
        return self._colorizer.size

    def predict(self, lightness_hw: Floats, known: Known | None = None) -> Floats:
        """L* (h, w), 0..100 -> a*b* (2, h/stride, w/stride). Blocks until its batch is done. Raises DeviceError.

        known: colors that the picture has for sure; the others follow them where they look alike.
        """
        asked = _Asked(lightness_hw, known or Known.nothing())
        self._waiting.put(asked)
        return asked.answer.result()

    def _work(self) -> None:
        held: list[_Asked] = []
        while True:
            while not held or not self._waiting.empty():
                if (item := self._waiting.get()) is None:
                    return
                held.append(item)
            shape = held[0].lightness_hw.shape
            batch = [item for item in held if item.lightness_hw.shape == shape][: self._colorizer.batch_size]
            taken = {id(item) for item in batch}
            held = [item for item in held if id(item) not in taken]
            try:
                shown = [item.lightness_hw for item in batch]
                predicted = self._colorizer.predict(shown)
                results = self._colorizer.guide(shown, predicted, [item.known for item in batch])
            except BaseException as error:  # raised in the waiting threads
                for item in batch:
                    item.answer.set_exception(error)
                continue
            for item, found in zip(batch, results, strict=True):
                item.answer.set_result(found.ab_2hw)

    def close(self) -> None:
        """End the thread."""
        self._waiting.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
