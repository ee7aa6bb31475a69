"""The training set: photos and film frames, shrunk once, held in memory or in a mapped file, served as random crops."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from itertools import chain, count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidcolor.archives.photos import Encoded, batches, encoded, is_archive, is_photo
from vidcolor.counts import counted
from vidcolor.errors import ReadError, SinkError, SourceError
from vidcolor.formats import FILMS
from vidcolor.stills.rgb import Rgb, decode, is_gray, read_size, resize
from vidcolor.stills.title_cards import draw_card
from vidcolor.training import films
from vidcolor.training.crops import choose_cutmix_box, make_cropper
from vidcolor.training.packed import Pack, key_of, remove_abandoned

TINY = 0.5  # short side, in crops, below which a photo would be mostly enlargement
_AT_ONCE = 64  # undecoded photos queued for each thread
_POLL_SECONDS = 0.5  # between looks for a pack that another process makes

FRAME_REASONS = "gray", "duplicates", "unreadable"  # why frames of films are skipped
REASONS = *FRAME_REASONS, "tiny"  # why pictures are skipped

Named = tuple[str, Rgb]  # a picture and its name


@dataclass(frozen=True)
class LoadReport:
    """How many pictures were loaded, and how many were skipped and why."""

    photos: int  # to learn from
    film_frames: int  # to learn from
    gray: int  # photos and frames without color, or with a single tint
    duplicates: int  # frames nearly equal to another of the same film
    unreadable: int  # photos, frames and whole films
    tiny: int  # photos too small for the crops
    skipped: tuple[tuple[str, str], ...] = ()  # name of a photo or film, and the reason

    def describe(self) -> str:
        """Summarize in one line."""
        frames = f" and {counted(self.film_frames, 'film frame')}" if self.film_frames else ""
        taken = counted(self.photos, "photo") + frames
        names = {"gray": "gray", "duplicates": "duplicate", "unreadable": "unreadable", "tiny": "tiny"}
        found = {name: getattr(self, name) for name in names}
        left = ", ".join(counted(count, names[name], name) for name, count in found.items() if count)
        return f"{taken} to learn from" + (f"; skipped: {left}" if left else "")


def _hash_name(name: str) -> bytes:
    """Hash a file's name, equally on every machine; a name need not be valid Unicode."""
    return hashlib.sha1(name.encode(errors="backslashreplace")).digest()


def choose_held_back(names: list[str], pattern: str, count: int) -> set[str]:
    """Choose `count` of the matching names by their hash: the same ones on every machine."""
    matching = [name for name in names if fnmatch(name, pattern)]
    return set(sorted(matching, key=_hash_name)[:count])


def is_for_validation(name: str, share: float) -> bool:
    """Whether a picture belongs to the validation share: decided by its name's hash alone."""
    return int.from_bytes(_hash_name(f"validation {name}")[:4]) < share * 2**32


def split_sources(sources: list[Path]) -> tuple[list[Path], list[Path]]:
    """Split sources into those that hold photos and the films, named or found in folders."""
    photos, found = [], []
    for source in sources:
        if source.is_dir():
            photos.append(source)
            files = (file for file in sorted(source.rglob("*")) if not file.name.startswith("._"))
            found += [file for file in files if file.suffix.lower() in FILMS and file.is_file()]
        elif source.is_file() and source.suffix.lower() in FILMS:
            found.append(source)
        elif source.is_file() and not is_photo(source.name) and not is_archive(source):
            found.append(source)  # the name tells nothing: let FFmpeg look at it
        else:
            photos.append(source)
    return photos, found


@dataclass
class _Told:
    """What reading told beside the pictures themselves."""

    photos: int = 0  # pictures that are photos; the others, behind them, are frames
    skipped_photos: list[tuple[str, str]] = field(default_factory=list)  # name, and a reason of LoadReport
    unreadable_films: list[tuple[str, str]] = field(default_factory=list)
    skipped_frames: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FRAME_REASONS, 0))


class Photos:
    """Photos and film frames at the size that training crops need, in memory or in a file that is mapped into it.

    names, rgb: pictures to train on.  validation_names, validation_rgb: the validation share.  report: how many
    pictures were loaded and skipped, for both lists together.
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
        pack_folder: Path | None = None,
        packs: bool = True,
    ):
        """crop: side in pixels.  hold_back: pattern and count of pictures to leave out, for evaluation.

        validation_share: of the pictures, 0..1.  seed: which frames of films.  on_film: called before a film is read.
        zoom: see make_cropper.  pack_folder: where the decoded pictures are kept, for this and later runs to map; None:
        in memory.  packs: this process writes them; the others of its machine wait for it.
        Raises SourceError where nothing is left to train on, SinkError where the pictures cannot be kept.
        """
        self.crop, self._cropper = crop, make_cropper(crop, zoom)
        told = _Told()
        photo_sources, film_files = split_sources(sources)
        films_settings = (seed, with_decord) if film_files else None  # photos are the same with any
        read = chain(
            self._read_photos(photo_sources, threads, told),
            self._read_films(film_files, seed, with_decord, on_film, told),
        )
        if pack_folder is None:
            pictures = list(read)
        else:
            pack = Pack(pack_folder, key_of(sources, {"crop": crop, "zoom": zoom, "films": films_settings}))
            pictures, told = _map(pack, read, told, writes=packs)
        held_back = _choose_held_back(pictures, told, hold_back)
        self.report = _make_report([name for name, _ in pictures], told, held_back)
        self._split_validation([named for named in pictures if named[0] not in held_back], validation_share)
        if not self.rgb:
            raise SourceError(f"{', '.join(map(str, sources))}: {self._explain_nothing()}")

    def _split_validation(self, pictures: list[Named], share: float) -> None:
        """Part the training pictures from the validation share."""
        train = [(name, rgb) for name, rgb in pictures if not is_for_validation(name, share)]
        validation = [(name, rgb) for name, rgb in pictures if is_for_validation(name, share)]
        self.names, self.rgb = [name for name, _ in train], [rgb for _, rgb in train]
        self.validation_names = [name for name, _ in validation]
        self.validation_rgb = [rgb for _, rgb in validation]

    def _explain_nothing(self) -> str:
        if self.validation_rgb:
            return "every picture fell into the validation share. Give more pictures or a smaller share."
        reasons = {reason: getattr(self.report, reason) for reason in REASONS}
        found = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()) if count)
        return "no readable photo" + (f" or film frame to learn from ({found})." if found else ".")

    def _read_films(
        self, paths: list[Path], seed: int, with_decord: bool, on_film: Callable[[Path], None], told: _Told
    ) -> Iterator[Named]:
        for path in paths:
            on_film(path)
            yield from self._read_film(path, seed, with_decord, told)

    def _read_film(self, film: Path, seed: int, with_decord: bool, told: _Told) -> Iterator[Named]:
        try:
            read = films.read_film(
                film,
                short_side=self._cropper.max_short_side,
                seed=seed,
                least=films.MIN_FRAMES,
                with_decord=with_decord,
            )
        except ReadError:
            raise  # a film that can be read tomorrow must not be left out of the training set today
        except SourceError as error:
            told.unreadable_films.append((film.name, str(error)))
            return
        for reason in told.skipped_frames:
            told.skipped_frames[reason] += getattr(read, reason)
        for name, rgb in read.frames:
            yield name, resize(rgb, short_side=self._stored_side(name, min(rgb.shape[:2])), least=self.crop)

    def _read_photos(self, sources: list[Path], threads: int, told: _Told) -> Iterator[Named]:
        with ThreadPoolExecutor(threads) as pool:
            for batch in batches(encoded(sources), _AT_ONCE * threads):
                for (name, _), found in zip(batch, pool.map(self._decode_photo, batch), strict=True):
                    if isinstance(found, str):
                        told.skipped_photos.append((name, found))
                    else:
                        told.photos += 1
                        yield name, found

    def _decode_photo(self, photo: Encoded) -> Rgb | str:
        """Decode a photo at the size it is stored at; a text says why it is skipped."""
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
        """Center crops of all validation pictures: (N, crop, crop, 3)."""
        return self._center_crops(self.validation_rgb)

    def fixed_crops(self, count: int) -> NDArray[np.uint8]:
        """Center crops of some training pictures, the same ones each time: (N, crop, crop, 3)."""
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
        """Yield random crops (batch, crop, crop, 3) without end, half of them mirrored; every photo once a round.

        weights: how often each photo appears in a round (1 is usual), to favor rare kinds.
        start: batches to skip. Batch n is the same whether the run began with it or not.
        part: rank and count of the processes, each of which gets an equal part of a batch.
        title_cards: share of the crops, 0..1, replaced by drawn leaders and titles, which have no color.
        cutmix: share of the crops, 0..1, into which a box of the batch's next crop is pasted.
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
        """Make the `own` places of a batch; random numbers are drawn for all places, so that processes agree."""
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


def _map(pack: Pack, read: Iterator[Named], told: _Told, *, writes: bool) -> tuple[list[Named], _Told]:
    """The pictures of a pack, and what reading them told. Without a pack they are read, or another process is awaited.

    Raises SinkError.
    """
    if writes:
        remove_abandoned(pack.folder)
    found = _read_pack(pack)
    while found is None and not writes:
        time.sleep(_POLL_SECONDS)
        found = _read_pack(pack)
    if found is None:
        try:
            pack.write(read, lambda: asdict(told))
        except SinkError as error:
            raise SinkError(f"{error} Decoded photos are kept there; --cache names another folder.") from error
        found = _read_pack(pack)
    if found is None:
        raise SinkError(f"{pack.path}: was changed while it was written.")
    return found


def _read_pack(pack: Pack) -> tuple[list[Named], _Told] | None:
    """The pictures of a pack, and what reading them told; None where there is no whole pack."""
    if (found := pack.read()) is None:
        return None
    with suppress(KeyError, TypeError, ValueError):  # a damaged list
        pictures, facts = found
        for name in ("skipped_photos", "unreadable_films"):
            facts[name] = [(skipped, why) for skipped, why in facts[name]]
        return pictures, _Told(**facts)
    return None


def _choose_held_back(pictures: list[Named], told: _Told, rule: tuple[str, int] | None) -> set[str]:
    """Names of the photos, readable or not, and frames that a pattern and a count hold back."""
    if rule is None:
        return set()
    return choose_held_back([name for name, _ in [*pictures, *told.skipped_photos]], *rule)


def _make_report(names: list[str], told: _Told, held_back: set[str]) -> LoadReport:
    """Report what is left when some are held back.  names: of all pictures, photos first."""
    kept = [name not in held_back for name in names]
    skipped = [(name, why) for name, why in told.skipped_photos if name not in held_back]
    reasons = Counter(told.skipped_frames) + Counter(why for _, why in skipped)
    reasons["unreadable"] += len(told.unreadable_films)
    return LoadReport(
        photos=sum(kept[: told.photos]), film_frames=sum(kept[told.photos :]),
        **{reason: reasons[reason] for reason in REASONS}, skipped=(*told.unreadable_films, *skipped),
    )  # fmt: skip


def _shuffle_round(counts: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """Shuffle photo numbers, each repeated as often as its count says on average."""
    copies = np.floor(counts + random.random(len(counts))).astype(np.int64)
    return random.permutation(np.repeat(np.arange(len(counts)), copies))
