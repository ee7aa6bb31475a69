"""Pictures that several threads want predicted, in batches."""

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from vidcolor.color import Floats
from vidcolor.inference.colorizer import Colorizer


class BatchingPredictor:
    """Batches waiting pictures of equal size for the network, in a thread of its own. A context manager."""

    def __init__(self, colorizer: Colorizer):
        self._colorizer = colorizer
        self._waiting: SimpleQueue[tuple[Floats, Future[Floats]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """Short side in pixels that the network looks at."""
        return self._colorizer.size

    def predict(self, lightness_hw: Floats) -> Floats:
        """L* (h, w), 0..100 -> a*b* (2, h/stride, w/stride). Blocks until its batch is done. Raises DeviceError."""
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
            except BaseException as error:  # raised in the waiting threads
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), ab in zip(batch, results, strict=True):
                future.set_result(ab)

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
