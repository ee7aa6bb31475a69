"""Training pictures out of films: frames spread over the whole film, without those that teach nothing new or no color.

decord reads where it can be trusted, PyAV everywhere else and for whatever decord leaves. The shape of a pixel (SAR)
is ignored: a squeezed picture has the same colors.
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
MIN_FRAMES = 48  # looked at in a short film; those that are alike are passed over anyway
MAX_FRAMES = 400  # a film; two hours of one would otherwise outweigh a folder of photos

# Bits of 64 that may differ between frames that count as one. In 3 million pairs of unrelated photos 3 in 100 000 are
# as near by accident; neighbors within a still shot differ by 0 to 5 bits, across a cut by 15 and more.
DUPLICATE_BITS = 8

# decord's frames equal PyAV's bit for bit in these; in MPEG streams, which have no index, it gives wrong pictures.
_DECORD_CONTAINERS = {"mov", "mp4", "matroska", "webm", "ogg"}
_DECORD_BATCH = 4  # frames decoded before the first is handed on
_DECORD_SECONDS = 180.0  # without a batch, then it is given up: it is known to hang on some files (dmlc/decord#373)
_INDEXING_BYTES_A_SECOND = 20e6  # decord reads the whole file before its first frame


@dataclass(frozen=True)
class FilmFrames:
    """What a film gave: FILM-STEM/NUMBER and sRGB of the frames kept, and how many were not."""

    frames: list[tuple[str, Rgb]]
    examined: int
    gray: int
    duplicates: int
    unreadable: int
    from_decord: int  # of those looked at, the rest by PyAV

    @property
    def kept(self) -> int:
        """Frames to learn from."""
        return len(self.frames)


def difference_hash(rgb: Rgb) -> int:
    """64 bits: whether luma rises from each of 9 x 8 cells to the next on the right."""
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
    """Equal stretches of a film, each cut off at a random frame: (first of the stretch, frame chosen), ascending."""
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
    """Frames of a film with the short side at most `short_side` pixels; the same ones each time.

    Raises SourceError for what is no film, and for HDR films.
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
    sieve = _FrameFilter(path.stem)
    by_decord = 0
    if with_decord and _can_use_decord(film):
        for number, rgb in _read_by_decord(path, wanted, size):
            sieve.add(
                number, rgb if film.is_matrix_stated or film.matrix == "bt601" else _correct_bt601(rgb, film.matrix)
            )
            by_decord += 1
    for found in frames_at(path, wanted[by_decord:], film, size) if by_decord < len(wanted) else ():
        if found is None:
            sieve.unreadable += 1
        else:
            sieve.add(*found)
    return FilmFrames(sieve.kept, len(wanted), sieve.gray, sieve.duplicates, sieve.unreadable, by_decord)


def _film_seed(path: Path, seed: int) -> int:
    """A seed of its own for every film."""
    return int.from_bytes(hashlib.sha1(f"{seed} {path.name}".encode(errors="backslashreplace")).digest()[:8])


class _FrameFilter:
    """Keeps frames that have color and differ from all kept before."""

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
    """Correct a picture decoded as BT.601, which decord takes for granted where the film states no matrix."""
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
    """Frames as far as decord gives them: number and sRGB; see `frames_at` for which.

    decord runs in a process of its own, as it may hang with Python's lock held, and then nothing else helps.
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
        except BrokenPipeError:  # it ended before it read the request
            return
        finally:
            watchdog.cancel()
            process.kill()


def serve_decord() -> None:
    """The other side of `_by_decord`: a request on stdin, frames on stdout; ends where decord fails."""
    import decord

    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not mix with the frames
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
