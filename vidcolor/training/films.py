"""Training frames from films: spread over the whole film, without gray frames and near duplicates.

decord reads the formats where it can be trusted; PyAV reads all others, and what decord leaves. The sample aspect
ratio is ignored: a squeezed picture has the same colors.
"""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcolor.color import LumaCoding
from vidcolor.errors import SourceError
from vidcolor.stills.rgb import Rgb, is_gray, thumbnail

if TYPE_CHECKING:
    from vidcolor.media.seeking import VideoProperties

SECONDS_BETWEEN = 2.0
MIN_FRAMES = 48  # examined in a short film; near duplicates are skipped anyway
MAX_FRAMES = 400  # a film; two hours of one would otherwise outweigh a folder of photos

# Bits of 64 that may differ between duplicates. Of 3 million pairs of unrelated photos, 3 in 100 000 are this near by
# chance; neighbors within a still shot differ by 0 to 5 bits, across a cut by 15 and more.
DUPLICATE_BITS = 8

# decord's frames equal PyAV's bit for bit in these; in MPEG streams, which have no index, it gives wrong pictures.
_DECORD_CONTAINERS = {"mov", "mp4", "matroska", "webm", "ogg"}
_DECORD_BATCH = 4  # frames decoded at once
_DECORD_SECONDS = 180.0  # to wait for a batch: decord hangs on some files (dmlc/decord#373)
_INDEXING_BYTES_A_SECOND = 20e6  # decord reads the whole file before its first frame


@dataclass(frozen=True)
class FilmFrames:
    """The frames kept of a film, each with its name FILM-STEM/NUMBER and sRGB, and how many were not kept."""

    frames: list[tuple[str, Rgb]]
    examined: int
    gray: int
    duplicates: int
    unreadable: int
    from_decord: int  # of those examined; PyAV read the others

    @property
    def kept(self) -> int:
        """How many frames were kept."""
        return len(self.frames)


def difference_hash(rgb: Rgb) -> int:
    """64-bit dHash: whether luma rises from each of 9 x 8 cells to its right neighbor."""
    cells = thumbnail(rgb, 9, 8) @ np.array((0.299, 0.587, 0.114))
    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes())


def choose_frames(
    count: int,
    rate: Fraction,
    *,
    seed: int,
    every_seconds: float = SECONDS_BETWEEN,
    least: int = 1,
    most: int = MAX_FRAMES,
) -> list[tuple[int, int]]:
    """Choose a random frame from each of equal stretches of a film: (first of the stretch, chosen frame), ascending."""
    stretches = max(1, min(most, count, max(least, round(count / float(rate) / every_seconds))))
    edges = np.linspace(0, count, stretches + 1).astype(int).tolist()
    random = np.random.default_rng(seed)
    return [(first, int(random.integers(first, end))) for first, end in pairwise(edges)]


def read_film(
    path: Path,
    *,
    short_side: int,
    seed: int = 1,
    every_seconds: float = SECONDS_BETWEEN,
    least: int = 1,
    most: int = MAX_FRAMES,
    with_decord: bool = True,
) -> FilmFrames:
    """Read frames of a film, the short side at most `short_side` pixels; the same frames each time.

    Raises SourceError for files that are not films, and for HDR films.
    """
    from vidcolor.media.seeking import frames_at, read_properties

    film = read_properties(path)
    if film.is_hdr:
        raise SourceError(f"{path}: an HDR film, whose colors would be learned faded. Convert it to SDR first.")
    scale = min(1.0, short_side / min(film.width, film.height))
    size = max(1, round(film.width * scale)), max(1, round(film.height * scale))
    wanted = choose_frames(
        film.frame_count,
        film.frame_rate,
        seed=_film_seed(path, seed),
        every_seconds=every_seconds,
        least=least,
        most=most,
    )
    selected = _FrameFilter(path.stem)
    by_decord = 0
    if with_decord and _can_use_decord(film):
        for number, rgb in _read_by_decord(path, wanted, size):
            selected.add(
                number, rgb if film.is_matrix_stated or film.matrix == "bt601" else _correct_bt601(rgb, film.matrix)
            )
            by_decord += 1
    for found in frames_at(path, wanted[by_decord:], film, size) if by_decord < len(wanted) else ():
        if found is None:
            selected.unreadable += 1
        else:
            selected.add(*found)
    return FilmFrames(selected.kept, len(wanted), selected.gray, selected.duplicates, selected.unreadable, by_decord)


def _film_seed(path: Path, seed: int) -> int:
    """The seed for one film, from the run's seed and the film's name."""
    return int.from_bytes(hashlib.sha1(f"{seed} {path.name}".encode(errors="backslashreplace")).digest()[:8])


class _FrameFilter:
    """Keeps frames that have color and differ from all frames kept before."""

    def __init__(self, stem: str):
        self._stem = stem
        self._hashes: list[int] = []
        self.kept: list[tuple[str, Rgb]] = []
        self.gray = self.duplicates = self.unreadable = 0

    def add(self, number: int, rgb: Rgb) -> None:
        if is_gray(rgb):
            self.gray += 1
            return
        mine = difference_hash(rgb)
        if any((mine ^ other).bit_count() <= DUPLICATE_BITS for other in self._hashes):
            self.duplicates += 1
            return
        self._hashes.append(mine)
        self.kept.append((f"{self._stem}/{number:06d}", rgb))


def _correct_bt601(rgb: Rgb, matrix: str) -> Rgb:
    """Correct a picture decoded as BT.601, which decord assumes where the film states no matrix."""
    red, green, blue = np.moveaxis(rgb.astype(np.float32) / 255, 2, 0)
    components = LumaCoding(matrix).ycc_to_rgb(*LumaCoding("bt601").rgb_to_ycc(red, green, blue))
    corrected: Rgb = np.clip(np.rint(np.stack(components, axis=2) * 255), 0, 255).astype(np.uint8)
    return corrected


def _can_use_decord(film: "VideoProperties") -> bool:
    return (
        film.bits == 8
        and not _DECORD_CONTAINERS.isdisjoint(film.container.split(","))
        and bool(sys.executable)
        and importlib.util.find_spec("decord") is not None
    )


def _read_by_decord(path: Path, wanted: Sequence[tuple[int, int]], size: tuple[int, int]) -> Iterator[tuple[int, Rgb]]:
    """Yield number and sRGB of frames until decord fails; see `frames_at` for which frames.

    decord runs in its own process: it may hang with Python's lock held.
    """
    width, height = size
    request = json.dumps({"path": str(path.resolve()), "wanted": wanted, "width": width, "height": height})
    home = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
    with subprocess.Popen(
        [sys.executable, "-c", "from vidcolor.training.films import serve_decord; serve_decord()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        patience = _DECORD_SECONDS + path.stat().st_size / _INDEXING_BYTES_A_SECOND
        watchdog = threading.Timer(patience, process.kill)
        watchdog.start()
        try:
            process.stdin.write(request.encode())
            process.stdin.close()
            while True:
                head = process.stdout.read(8)
                pixels = process.stdout.read(width * height * 3)
                if len(head) < 8 or len(pixels) < width * height * 3:
                    return
                watchdog.cancel()
                yield int.from_bytes(head), np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
                watchdog = threading.Timer(_DECORD_SECONDS, process.kill)
                watchdog.start()
        except OSError:  # EPIPE, or EINVAL on Windows: the process ended before it read the request
            return
        finally:
            watchdog.cancel()
            process.kill()


def serve_decord() -> None:
    """The child process of `_read_by_decord`: reads a request on stdin, writes frames to stdout."""
    import decord

    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # other prints must not mix with the frames
    request = json.load(sys.stdin)
    reader = decord.VideoReader(request["path"], width=request["width"], height=request["height"])
    keys = np.array(reader.get_key_indices())
    numbers = []
    for first, last in request["wanted"]:
        before = keys[(keys >= first) & (keys <= last)]
        numbers.append(int(before[-1]) if len(before) else last)
    for start in range(0, len(numbers), _DECORD_BATCH):
        batch = numbers[start : start + _DECORD_BATCH]
        for number, rgb in zip(batch, reader.get_batch(batch).asnumpy(), strict=True):
            answer.write(number.to_bytes(8) + rgb.tobytes())
        answer.flush()
