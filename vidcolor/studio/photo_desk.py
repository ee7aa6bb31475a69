"""A folder of photos on the studio's desk."""

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vidcolor.archives import open_source
from vidcolor.color import Floats
from vidcolor.errors import SourceError, UsageError, VidcolorError
from vidcolor.films.project import Choice, Project
from vidcolor.hints import Hint, draw
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.listening import Known, known_size
from vidcolor.inference.settings import ModelSettings
from vidcolor.planes import shrink
from vidcolor.printable import printable
from vidcolor.studio.desk import Desk, check_source, in_shares, lightness_for
from vidcolor.studio.folder import status_of
from vidcolor.studio.pictures import Shown, ShownPhoto, keep, read_photo

KEPT_PHOTOS = 24  # most recent, in memory
WATCH_SECONDS = 5.0  # between two looks for new and changed files


@dataclass(frozen=True)
class FoundPhoto:
    """A photo of the folder."""

    name: str  # from the folder
    path: Path
    kind: str = "picture"  # "picture", "color" for one that keeps its colors, "broken"
    unsure: float | None = None  # how far likely colors lie apart, a*b*, mean over the picture; None: not known yet
    aspect: float = 1.5  # width over height
    problem: str = ""  # why it cannot be read
    status: tuple[int, int] | None = None  # of its file, when it was looked at


class PhotoDesk(Desk):
    """A folder's photos, their project and the networks that color them. For several threads."""

    kind, source_key, said_keys = "photos", "folder", ("choices", "hints", "seen")

    def __init__(
        self, folder: Path, settings: ModelSettings, colorizer: Colorizer, project: Path | None = None
    ) -> None:
        """See Desk. Raises UsageError for a folder without photos."""
        self.photos = find_photos(folder)
        if not self.photos:
            raise UsageError(f"{folder}: has no photos.")
        self._numbers = {photo.name: number for number, photo in enumerate(self.photos)}
        self._sizes: dict[int, tuple[int, int]] = {}  # of photos whose hints in pixels the page was told
        self._read: OrderedDict[int, tuple[Any, ShownPhoto]] = OrderedDict()
        self._reading = threading.Lock()
        super().__init__(folder, settings, colorizer, project)

    def check(self, project: Project) -> None:
        """See Desk."""
        check_source(project, self.source)
        for hint in project.hints:
            if hint.frame is not None or hint.seconds is not None:
                raise UsageError(f"{hint.name}: has a frame or a time, but is of a photo.")

    def check_new(self, project: Project) -> None:
        """See Desk."""
        before = set(self.project.hints)
        changed = {hint.file for hint in project.hints if hint not in before}
        for number in {self._numbers[file] for file in changed if file in self._numbers}:
            with suppress(SourceError):  # a photo that cannot be read is told by itself
                photo = self._photo(number)
                self._draw(project, number, photo, lightness_for(photo.picture, self.colorizer))

    # The survey

    def warm(self) -> None:
        """See Desk."""
        lightness = np.full((192, 256), 50, np.float32)
        with self.asking:
            (ab,) = self.colorizer.predict([lightness])
            known = Known(
                np.zeros((2, *known_size(lightness.shape)), np.float32),
                np.ones(known_size(lightness.shape), np.float32),
            )
            self.colorizer.guide([lightness], [ab], [known])

    def survey(self) -> None:
        """See Desk."""
        for number, photo in enumerate(self.photos):
            if self.stopped.is_set():
                return
            self.photos[number] = self._look(number, photo)
        self.is_surveyed = True
        while not self.stopped.wait(WATCH_SECONDS):
            self.look_again()

    def look_again(self) -> None:
        """Look at photos that were changed, are gone, or are new."""
        with suppress(VidcolorError):  # a folder that is gone is told by itself
            new = [photo for photo in find_photos(self.source) if photo.name not in self._numbers]
            with self._saving, self._telling:
                for photo in new:
                    self.photos.append(photo)
                    self._numbers[photo.name] = len(self.photos) - 1
                spoken = {*self.project.photos, *self.project.seen}
                self.version += any(photo.name in spoken for photo in new)  # what the page had before lacks it
            for number, photo in enumerate(list(self.photos)):
                if status_of(photo.path) != photo.status:
                    self.photos[number] = self._look(number, FoundPhoto(photo.name, photo.path))
                    with self._saving, self._telling:
                        self.version += self._sizes.pop(number, None) is not None
                    self.looks += 1

    def _look(self, number: int, photo: FoundPhoto) -> FoundPhoto:
        """A photo with what is found of it."""
        photo = replace(photo, status=status_of(photo.path))
        try:
            shown = self._photo(number)
        except VidcolorError as error:
            return replace(photo, kind="broken", unsure=0.0, problem=str(error))
        aspect = round(shown.size[0] / shown.size[1], 4)
        if shown.tone == "color":
            return replace(photo, kind="color", unsure=0.0, aspect=aspect)
        with self.asking:
            shares_Khw, bins_2K = self.colorizer.listener.believe(lightness_for(shown.picture, self.colorizer))
        return replace(photo, unsure=round(spread(shares_Khw, bins_2K), 2), aspect=aspect)

    # Pictures

    def read(self, number: int) -> Shown:
        """See Desk."""
        return self._photo(number).picture

    def _photo(self, number: int) -> ShownPhoto:
        if not 0 <= number < len(self.photos):
            raise UsageError(f"{self.source.name} has no photo {number}.")
        path, name = self.photos[number].path, printable(self.photos[number].name)
        with self._reading:
            status = status_of(path)
            if status is None:
                raise SourceError(f"{name}: is gone.")
            if (kept := self._read.pop(number, None)) is None or kept[0] != status:
                try:
                    kept = status, read_photo(path)
                except SourceError as error:
                    raise SourceError(str(error).replace(str(path), name)) from error
            return keep(self._read, number, kept, KEPT_PHOTOS)[1]

    def state_of(self, number: int) -> object:
        """See Desk."""
        return status_of(self.photos[number].path) if 0 <= number < len(self.photos) else None

    def said_of(self, number: int) -> object:
        """See Desk."""
        if not 0 <= number < len(self.photos):
            return None
        project, names = self.project, (self.photos[number].name,)
        return tuple(project.hints_for(names)), project.settings_for(names, self.settings)

    def predict(self, number: int, shown: Shown) -> Floats:
        """See Desk."""
        colorizer = self.loaded.load(self.project.settings_for((self.photos[number].name,), self.settings))
        lightness = lightness_for(shown, colorizer)
        (ab,) = colorizer.predict([lightness])
        known = self._draw(self.project, number, self._photo(number), lightness)
        (guided,) = colorizer.guide([lightness], [ab], [known])
        return guided.ab_2hw

    def _draw(self, project: Project, number: int, photo: ShownPhoto, lightness_hw: Floats) -> Known:
        """What a project's hints say of a photo."""
        hints = [hint for hint in project.hints_for((self.photos[number].name,)) if hint.page == 1]
        drawn = draw(hints, photo.size, shrink(lightness_hw, known_size(lightness_hw.shape)))
        return Known(drawn.ab_2hw, drawn.known_hw)

    # The project

    def said(self) -> dict[str, list[Any]]:
        """See Desk. What is said of photos that are not there, and of further pages, the page is not told."""
        self._find_sizes()
        told = dict(zip(self.said_keys, (self.project.data.get(key) or [] for key in self.said_keys), strict=True))
        choices = [
            {**_without(data, "file"), "frames": [number, number]}
            for data, choice in zip(told["choices"], self.project.choices, strict=True)
            if (number := self._number_of(choice)) is not None
        ]
        hints = [
            {
                **_without(in_shares(data, hint, self._sizes.get(number, (1, 1))), "file"),
                "frame": number,
                "frames": [number, number],
            }
            for data, hint in zip(told["hints"], self.project.hints, strict=True)
            if (number := self._number_of(hint)) is not None
        ]
        seen = [number for name in self.project.seen if (number := self._numbers.get(name)) is not None]
        return {"choices": choices, "hints": hints, "seen": seen}

    def entry_of(self, key: str, said: list[Any]) -> list[Any]:
        """See Desk. What the page was not told stays."""
        if key == "seen":
            gone = [name for name in self.project.seen if name not in self._numbers]
            return [*gone, *(self._name_of(number) for number in said)]
        told = self.project.data.get(key) or []
        objects: tuple[Hint, ...] | tuple[Choice, ...] = self.project.hints if key == "hints" else self.project.choices
        hidden = [data for data, number in zip(told, map(self._number_of, objects), strict=True) if number is None]
        return hidden + [self._entry_of_photo(entry) for entry in said]

    def _entry_of_photo(self, entry: Any) -> dict[str, Any]:
        if not isinstance(entry, dict):
            raise UsageError("what is said of a photo is no object.")
        frames = entry.get("frames")
        number = frames[0] if isinstance(frames, list) and frames else entry.get("frame")
        return {"file": self._name_of(number), **_without(entry, "frame", "frames", "file", "page")}

    def _name_of(self, number: Any) -> str:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(self.photos):
            raise UsageError(f"{self.source.name} has no photo {str(number)[:20]}.")
        return self.photos[number].name

    def _number_of(self, said: Hint | Choice) -> int | None:
        """The photo that something is said of; None where the page is not told of it."""
        number = self._numbers.get(said.file or "")
        if isinstance(said, Hint) and (said.page != 1 or (said.size is None and number not in self._sizes)):
            return None
        return number

    def _find_sizes(self) -> None:
        """Find the sizes of photos that have hints in pixels; of those that cannot be read the page is told nothing."""
        with self._between_saves() as is_free:  # what is being saved lacks them: then they are found next time
            for hint in self.project.hints if is_free else ():
                number = self._numbers.get(hint.file or "")
                if hint.size is None and number is not None and number not in self._sizes:
                    with suppress(SourceError):
                        self._sizes[number] = self._photo(number).size
                        self.version += 1  # what the page had before lacks it

    def facts(self) -> dict[str, Any]:
        """See Desk."""
        return {}

    # What the page is told

    def describe(self) -> dict[str, Any]:
        """See Desk."""
        shots = [
            {
                "first": number, "last": number, "name": printable(photo.name), "kind": photo.kind,
                "unsure": photo.unsure, "aspect": photo.aspect, "problem": photo.problem,
            }
            for number, photo in enumerate(list(self.photos))
        ]  # fmt: skip
        return {"name": printable(self.source.name), "shots": shots, "aspect": 1.5, "frame_rate": 1}

    def own_palettes(self) -> list[Path]:
        """See Desk."""
        return [photo.path for photo in list(self.photos) if photo.kind == "color"]

    def palette_name(self, number: int) -> str:
        """See Desk."""
        return PurePosixPath(self.photos[number].name).with_suffix("").as_posix().replace("/", "-")

    def why_changed(self) -> str:
        """See Desk."""
        return "" if self.source.is_dir() else f"{self.source.name} is gone."


def find_photos(folder: Path) -> list[FoundPhoto]:
    """The photos of a folder, in order. Raises SourceError."""
    with open_source([folder]) as source:
        found = [(entry.name, entry.path) for entry in source if entry.kind == "photo" and not entry.refusal]
    return [FoundPhoto(name, path.absolute()) for name, path in found if path is not None]


def spread(shares_Khw: Floats, bins_2K: Floats) -> float:
    """How far likely colors lie apart: the root of their variance in a*b*, mean over the picture."""
    mean = np.einsum("khw,ck->chw", shares_Khw, bins_2K)
    square = np.einsum("khw,k->hw", shares_Khw, (bins_2K**2).sum(0))
    return float(np.sqrt(np.maximum(0, square - (mean**2).sum(0))).mean())


def _without(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}
