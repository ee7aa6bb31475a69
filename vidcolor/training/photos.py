"""Training pictures: photos, archives and films, shrunk once, held in memory, handed out as random crops."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidcolor.archives.photos import Encoded, batches, encoded, is_archive, is_photo
from vidcolor.errors import ReadError, SourceError
from vidcolor.formats import FILMS
from vidcolor.stills.rgb import Rgb, decode, is_gray, read_size, resize
from vidcolor.stills.title_cards import draw_card
from vidcolor.training import films
from vidcolor.training.crops import choose_cutmix_box, make_cropper

TINY = 0.5  # short side in crops under which a photo would be mostly enlargement
_AT_ONCE = 64  # photos a thread that wait, undecoded


@dataclass(frozen=True)
class LoadReport:
    """What was taken to learn from, and what was passed over."""

    photos: int
    film_frames: int
    gray: int  # photos and frames without color, or with one tint all over
    duplicates: int  # frames too like another of their film
    unreadable: int  # photos, frames and whole films
    tiny: int  # photos too small for the crops
    skipped: tuple[tuple[str, str], ...] = ()  # name of a photo or film and what was wrong with it

    def describe(self) -> str:
        """One line for a person."""
        taken = f"{self.photos} photos" + (f" and {self.film_frames} film frames" if self.film_frames else "")
        reasons = ("gray", "duplicates", "unreadable", "tiny")
        left = ", ".join(f"{getattr(self, reason)} {reason}" for reason in reasons if getattr(self, reason))
        return f"{taken} to learn from" + (f"; skipped: {left}" if left else "")


def _hash_name(name: str) -> bytes:
    """Equal on every machine. A file's name need not be valid Unicode."""
    return hashlib.sha1(name.encode(errors="backslashreplace")).digest()


def choose_held_back(names: list[str], pattern: str, count: int) -> set[str]:
    """`count` of the names that match, chosen by their hash: the same ones on every machine."""
    matching = [name for name in names if fnmatch(name, pattern)]
    return set(sorted(matching, key=_hash_name)[:count])


def is_for_validation(name: str, share: float) -> bool:
    """Whether a picture belongs to the share kept for validation: by its name's hash, whatever else is there."""
    return int.from_bytes(_hash_name(f"validation {name}")[:4]) < share * 2**32


def split_sources(sources: list[Path]) -> tuple[list[Path], list[Path]]:
    """What holds photos, and the films: those named, and those in the folders."""
    photos, found = [], []
    for source in sources:
        if source.is_dir():
            photos.append(source)
            files = (file for file in sorted(source.rglob("*")) if not file.name.startswith("._"))
            found += [file for file in files if file.suffix.lower() in FILMS and file.is_file()]
        elif source.is_file() and source.suffix.lower() in FILMS:
            found.append(source)
        elif source.is_file() and not is_photo(source.name) and not is_archive(source):
            found.append(source)  # of a name that tells nothing: let FFmpeg look at it
        else:
            photos.append(source)
    return photos, found


class Photos:
    """Photos and film frames in memory at the size that training crops need.

    names, rgb: those to train on.  validation_names, validation_rgb: the share kept apart.  intake: what was taken
    and what was passed over, both lists together.
    """

    def __init__(
        self,
        sources: list[Path],
        *,
        crop: int,
        hold_back: tuple[str, int] | None = None,
        threads: int = 1,
        validation_share: float = 0.0,
        seed: int = 1,
        with_decord: bool = True,
        on_film: Callable[[Path], None] = lambda _: None,
        zoom: float = 1.0,
    ):
        """crop: side in pixels.  hold_back: pattern and count of pictures to leave out, for evaluation.

        validation_share: of the pictures, 0..1.  seed: which frames of films.  on_film: told before each film is read.
        zoom: see crops_of.
        Raises SourceError where nothing is left to train on.
        """
        self.crop, self._cropper = crop, make_cropper(crop, zoom)
        self._faults: Counter[str] = Counter()
        self._skipped: list[tuple[str, str]] = []
        holding_photos, holding_frames = split_sources(sources)
        photo_names = [name for name, _ in encoded(holding_photos)] if hold_back else []
        frames: list[tuple[str, Rgb]] = []
        for film in holding_frames:
            on_film(film)
            frames += self._read_film(film, seed, with_decord)
        left_out = choose_held_back(photo_names + [name for name, _ in frames], *hold_back) if hold_back else set()
        photos = list(self._read_photos(holding_photos, left_out, threads))
        frames = [(name, rgb) for name, rgb in frames if name not in left_out]
        self.report = LoadReport(
            photos=len(photos),
            film_frames=len(frames),
            **{fault: self._faults[fault] for fault in ("gray", "duplicates", "unreadable", "tiny")},
            skipped=tuple(self._skipped),
        )
        everything = photos + frames
        kept = [entry for entry in everything if not is_for_validation(entry[0], validation_share)]
        apart = [entry for entry in everything if is_for_validation(entry[0], validation_share)]
        self.names = [name for name, _ in kept]
        self.rgb = [rgb for _, rgb in kept]
        self.validation_names = [name for name, _ in apart]
        self.validation_rgb = [rgb for _, rgb in apart]
        self.unreadable = self.report.unreadable
        if not self.rgb:
            raise SourceError(f"{', '.join(map(str, sources))}: {self._explain_nothing()}")

    def _explain_nothing(self) -> str:
        if self.validation_rgb:
            return "every picture fell into the validation share. Give more pictures or a smaller share."
        found = ", ".join(f"{count} {fault}" for fault, count in sorted(self._faults.items()))
        return "no readable photo" + (f" or film frame to learn from ({found})." if found else ".")

    def _skip(self, name: str, why: str) -> None:
        self._faults[why] += 1
        self._skipped.append((name, why))

    def _read_film(self, film: Path, seed: int, with_decord: bool) -> list[tuple[str, Rgb]]:
        try:
            read = films.read_film(
                film,
                short_side=self._cropper.max_short_side,
                seed=seed,
                least=films.MIN_FRAMES,
                with_decord=with_decord,
            )
        except ReadError:
            raise  # a film that is there tomorrow must not be missing from what is learned
        except SourceError as error:
            self._faults["unreadable"] += 1
            self._skipped.append((film.name, str(error)))
            return []
        self._faults += Counter(gray=read.gray, duplicates=read.duplicates, unreadable=read.unreadable)
        return [
            (name, resize(rgb, short_side=self._stored_side(name, min(rgb.shape[:2])), least=self.crop))
            for name, rgb in read.frames
        ]

    def _read_photos(self, sources: list[Path], left_out: set[str], threads: int) -> Iterator[tuple[str, Rgb]]:
        files = ((name, content) for name, content in encoded(sources) if name not in left_out)
        with ThreadPoolExecutor(threads) as pool:
            for batch in batches(files, _AT_ONCE * threads):
                for (name, _), found in zip(batch, pool.map(self._decode_photo, batch), strict=True):
                    if isinstance(found, str):
                        self._skip(name, found)
                    else:
                        yield name, found

    def _decode_photo(self, photo: Encoded) -> Rgb | str:
        """A photo as it is kept, or why it is not."""
        name, content = photo
        size = read_size(content)
        if size is None:
            return "unreadable"
        if min(size) < TINY * self.crop:
            return "tiny"
        rgb = decode(content, short_side=self._stored_side(name, min(size)), least=self.crop)
        if rgb is None:
            return "unreadable"
        return "gray" if is_gray(rgb) else rgb

    def _stored_side(self, name: str, short_side: int) -> int:
        share = _hash_name(f"{self.crop} {name}")[0] / 255
        return self._cropper.stored_side(short_side, share)

    def validation_crops(self) -> NDArray[np.uint8]:
        """The middle of every picture kept apart: (N, crop, crop, 3)."""
        return self._center_crops(self.validation_rgb)

    def fixed_crops(self, count: int) -> NDArray[np.uint8]:
        """The middle of some pictures to train on, the same ones each time: (N, crop, crop, 3)."""
        chosen = sorted(range(len(self.names)), key=lambda index: _hash_name(self.names[index]))[:count]
        return self._center_crops([self.rgb[index] for index in chosen])

    def _center_crops(self, pictures: list[Rgb]) -> NDArray[np.uint8]:
        crops = np.empty((len(pictures), self.crop, self.crop, 3), np.uint8)
        for index, picture in enumerate(pictures):
            crops[index] = self._cropper.center_crop(picture)
        return crops

    def batches(
        self,
        batch: int,
        seed: int,
        weights: NDArray[np.float64] | None = None,
        *,
        start: int = 0,
        part: tuple[int, int] = (0, 1),
        title_cards: float = 0.0,
        cutmix: float = 0.0,
    ) -> Iterator[NDArray[np.uint8]]:
        """Endless random crops (batch, crop, crop, 3), half of them mirrored; every photo once a round.

        weights: how many times a photo comes in a round (1 is usual), to favor rare kinds.
        start: batches to pass over. Batch n is the same whether the run began with it or not.
        part: number and count of equal parts, of which one process gets its own.
        cards: share of the crops, 0..1, that are drawn leaders and titles instead, which have no color.
        cutmix: share of the crops, 0..1, a part of which shows the same part of the batch's next crop.
        """
        counts = np.ones(len(self.rgb)) if weights is None else weights
        pending = np.empty(0, dtype=np.int64)
        rounds = 0
        for number in count():
            while len(pending) < batch:
                pending = np.concatenate([pending, _shuffle_round(counts, np.random.default_rng((seed, 0, rounds)))])
                rounds += 1
            chosen, pending = pending[:batch], pending[batch:]
            if number >= start:
                own = range(part[0] * batch // part[1], (part[0] + 1) * batch // part[1])
                yield self._make_batch(
                    chosen, own, np.random.default_rng((seed, 1, number)), title_cards=title_cards, cutmix=cutmix
                )

    def _make_batch(
        self, chosen: NDArray[np.int64], own: range, random: np.random.Generator, *, title_cards: float, cutmix: float
    ) -> NDArray[np.uint8]:
        """The `own` places of a batch of the chosen photos; what is drawn by chance is drawn for all places."""
        sections = [self._cropper.choose_region(self.rgb[index], random) for index in chosen]
        places = np.flatnonzero(random.random(len(chosen)) < title_cards).tolist()
        drawn = {place: draw_card(random, self.crop) for place in places}
        mixed = np.flatnonzero(random.random(len(chosen)) < cutmix).tolist()
        foreign = {place: choose_cutmix_box(self.crop, random) for place in mixed}
        following = {at: (at + 1) % len(chosen) for at in own if at in foreign}
        wanted = {*own, *following.values()}
        crops = {at: drawn[at] if at in drawn else self._cropper.cut(sections[at]) for at in wanted}
        batch = np.stack([crops[at] for at in own])
        for at, other in following.items():
            batch[at - own.start][foreign[at]] = crops[other][foreign[at]]
        return batch


def _shuffle_round(counts: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """Photo numbers in random order, each as often as its count says on average."""
    copies = np.floor(counts + random.random(len(counts))).astype(np.int64)
    return random.permutation(np.repeat(np.arange(len(counts)), copies))
