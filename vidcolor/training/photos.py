"""Training photos: read from folders and tar files, shrunk once, held in memory, handed out as random crops."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidcolor.errors import SourceError
from vidcolor.media.photos import Rgb, decode, encoded

SCALE_RANGE = (1.0, 1.5)  # short side of a stored photo in crops: how much of the scene a crop may miss


def held_back(names: list[str], pattern: str, count: int) -> set[str]:
    """`count` of the names that match, chosen by their hash: the same ones on every machine."""
    matching = [name for name in names if fnmatch(name, pattern)]
    return set(sorted(matching, key=lambda name: hashlib.sha1(name.encode()).digest())[:count])


def _stored_side(name: str, crop: int) -> int:
    """Short side at which a photo is kept, so that a crop of `crop` pixels shows most of the scene."""
    low, high = SCALE_RANGE
    share = hashlib.sha1(f"{crop} {name}".encode()).digest()[0] / 255
    return round(crop * (low + (high - low) * share**2))


class Photos:
    """Photos in memory at the size that training crops need."""

    def __init__(self, sources: list[Path], *, crop: int, hold_back: tuple[str, int] | None = None, threads: int = 1):
        """crop: side in pixels.  hold_back: pattern and count of photos to leave out, for evaluation."""
        photos = list(encoded(sources))
        left_out = held_back([name for name, _ in photos], *hold_back) if hold_back else set()
        kept = [(name, content) for name, content in photos if name not in left_out]
        with ThreadPoolExecutor(threads) as pool:
            shrunk = list(
                pool.map(lambda photo: decode(photo[1], short_side=_stored_side(photo[0], crop), least=crop), kept)
            )
        self.crop = crop
        self.names = [name for (name, _), rgb in zip(kept, shrunk, strict=True) if rgb is not None]
        self.rgb = [rgb for rgb in shrunk if rgb is not None]
        self.unreadable = len(kept) - len(self.rgb)
        if not self.rgb:
            raise SourceError(f"{', '.join(map(str, sources))}: no readable photo.")

    def batches(
        self, batch: int, seed: int, weights: NDArray[np.float64] | None = None, *, start: int = 0
    ) -> Iterator[NDArray[np.uint8]]:
        """Endless random crops (batch, crop, crop, 3), half of them mirrored; every photo once a round.

        weights: how many times a photo comes in a round (1 is usual), to favour rare kinds.
        start: batches to pass over. Batch n is the same whether the run began with it or not.
        """
        counts = np.ones(len(self.rgb)) if weights is None else weights
        pending = np.empty(0, dtype=np.int64)
        for number in count():
            while len(pending) < batch:
                pending = np.concatenate(
                    [pending, self._round(counts, np.random.default_rng((seed, 0, len(pending), number)))]
                )
            chosen, pending = pending[:batch], pending[batch:]
            if number >= start:
                random = np.random.default_rng((seed, 1, number))
                yield np.stack([self._crop(index, random) for index in chosen])

    @staticmethod
    def _round(counts: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
        copies = np.floor(counts + random.random(len(counts))).astype(np.int64)
        return random.permutation(np.repeat(np.arange(len(counts)), copies))

    def _crop(self, index: int, random: np.random.Generator) -> Rgb:
        rgb = self.rgb[index]
        top = random.integers(rgb.shape[0] - self.crop + 1)
        left = random.integers(rgb.shape[1] - self.crop + 1)
        crop = rgb[top : top + self.crop, left : left + self.crop]
        return crop[:, ::-1] if random.random() < 0.5 else crop
