"""What lies on the studio's desk: pictures, in the colors of their project, and what the network knows of them.

Shapes: h w of a*b*.
"""

import itertools
import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from vidcolor import outputs
from vidcolor.color import Floats
from vidcolor.errors import UsageError, VidcolorError, unreadable
from vidcolor.films.project import FORMAT, MARK, Project, default_path, write_project
from vidcolor.hints import Hint
from vidcolor.inference.chosen import LoadedColorizers
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.settings import ModelSettings
from vidcolor.planes import network_size, shrink
from vidcolor.stills.display import encode_jpeg, fit
from vidcolor.studio.folder import MOST_PHOTOS, photos_beside
from vidcolor.studio.pictures import SIDE, THUMBNAIL, Shown, css_color, keep

KEPT_PICTURES, KEPT_THUMBNAILS = 100, 4000  # most recent, in memory
QUALITY, THUMBNAIL_QUALITY, PALETTE_QUALITY = 88, 70, 95
STOP_SECONDS = 2.0
LIKELY = 6  # colors offered for a place
LIKELY_APART = 12.0  # a*b*: how far they differ from each other at least


class Desk(ABC):
    """A film or a folder of photos, its project, and the networks that color it. For several threads.

    Pictures have numbers: frames of a film, or photos of a folder, from 0. What the page says of them, and is told,
    names these numbers.
    """

    kind: str  # "film" or "photos"
    source_key: str  # of the project: "film" or "folder"
    said_keys: tuple[str, ...]  # of the project: what the page says

    def __init__(self, source: Path, settings: ModelSettings, colorizer: Colorizer, project: Path | None) -> None:
        """project: its file; None: the one beside the source.

        Raises SourceError, and ReadError, UsageError for a project that cannot be used.
        """
        self.source, self.settings = Path(os.path.abspath(source)), settings  # noqa: PTH100 - of `..`, but no links
        self.colorizer = colorizer
        self.path = Path(os.path.abspath(project)) if project else default_path(self.source)  # noqa: PTH100
        self.loaded = LoadedColorizers(settings, colorizer)
        self.asking, self._saving = threading.RLock(), threading.Lock()  # the networks; the project's file
        self._telling = threading.RLock()  # the project and its version, which change together
        self._pictures: OrderedDict[Any, bytes] = OrderedDict()
        self._thumbnails: OrderedDict[Any, bytes] = OrderedDict()
        self.is_surveyed, self.problem = False, ""
        self._why_unread = ""  # of a project that was changed by another program
        self.stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self.version, self.looks = 0, 0  # rise with every change of the project, and of the source
        self._written = self._read_file()
        self.project = self._open_project()
        self.check(self.project)

    def _open_project(self) -> Project:
        """The project's file as it is now; a new one where there is none."""
        if not self.path.exists():
            return Project.parse({MARK: FORMAT, self.source_key: self.source.name}, self.path)
        return Project.read(self.path)

    def refresh(self) -> str:
        """Read the project anew, if another program changed it; gives why it cannot be, "" if nothing is wrong."""
        with self._between_saves() as is_free:
            if is_free:
                try:
                    self._refresh()
                    self._why_unread = ""
                except VidcolorError as error:
                    self._why_unread = str(error)
        return self._why_unread

    @contextmanager
    def _between_saves(self) -> Iterator[bool]:
        """Keep the project from being saved, without waiting; gives whether none is under way."""
        is_free = self._saving.acquire(blocking=False)
        try:
            yield is_free
        finally:
            if is_free:
                self._saving.release()

    def _refresh(self) -> None:
        content = self._read_file()
        if content == self._written:
            return
        project = self._open_project()
        if self._read_file() != content:
            return  # it is being changed: it is read next time
        self.check(project)
        with self.asking:
            self._load_choices(project)
            self._take(project, content)

    def _take(self, project: Project, content: bytes | None) -> int:
        self._written = content
        with self._telling:
            self.take_project(project)
            self.version += 1
            return self.version

    def _read_file(self) -> bytes | None:
        """The project's file; None where there is none."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(self.path, error) from error

    @abstractmethod
    def read(self, number: int) -> Shown:
        """A picture. Raises UsageError for one that there is not, SourceError for one that cannot be read."""

    def state_of(self, number: int) -> object:  # noqa: ARG002 - of a film nothing is read anew
        """What changes when a picture's file does."""
        return None

    def said_of(self, number: int) -> object:  # noqa: ARG002 - any change may change all frames
        """What changes when something else is said of a picture."""
        return self.version

    @abstractmethod
    def predict(self, number: int, shown: Shown) -> Floats:
        """The a*b* of a picture by the project, (2, h, w). Called by one thread at a time."""

    @abstractmethod
    def survey(self) -> None:
        """Look at everything, in a thread of its own, until `stopped`. Raises VidcolorError."""

    @abstractmethod
    def warm(self) -> None:
        """Ask all networks once. Raises VidcolorError."""

    @abstractmethod
    def check(self, project: Project) -> None:
        """Raise UsageError for a project that does not fit, or has hints that the page cannot show."""

    def check_new(self, project: Project) -> None:  # noqa: B027 - `check` may do all of it
        """Raise UsageError for hints that the project before did not have and that cannot be drawn."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What the page is told of the source and its shots or photos."""

    def tell(self) -> tuple[int, dict[str, list[Any]]]:
        """The version of the project and what is said in it, see `said`: of one and the same moment."""
        with self._telling:
            said = self.said()  # first: it may raise the version
            return self.version, said

    @abstractmethod
    def said(self) -> dict[str, list[Any]]:
        """What is said, by `said_keys`, as the page takes it: with numbers, and in shares of the picture."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Entries of the project that are found, not said."""

    @abstractmethod
    def entry_of(self, key: str, said: list[Any]) -> list[Any]:
        """An entry of the project from what the page says. Raises UsageError."""

    @abstractmethod
    def own_palettes(self) -> list[Path]:
        """Photos in color of the source itself."""

    @abstractmethod
    def palette_name(self, number: int) -> str:
        """The name, without a suffix, of the palette that a picture becomes."""

    @abstractmethod
    def why_changed(self) -> str:
        """What happened to the source, in words; "" for nothing."""

    # Threads

    def start(self) -> None:
        """Begin to look at everything, in threads of their own."""
        for work in (self._survey, self._warm):
            thread = threading.Thread(target=work, name=work.__name__, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop it. seconds: that threads may take to end."""
        self.stopped.set()
        for thread in self._threads:
            thread.join(seconds)

    def _warm(self) -> None:
        with suppress(VidcolorError):
            self.warm()

    def _survey(self) -> None:
        try:
            self.survey()
        except Exception as error:
            known = isinstance(error, VidcolorError)
            self.problem = str(error) if known else f"unexpected {type(error).__name__}: {error}. Please report it."
        finally:
            self.is_surveyed = True

    # Pictures

    def picture(
        self, number: int, *, side: int = SIDE, is_gray: bool = False, choice: ModelSettings | None = None
    ) -> bytes:
        """A picture as a JPEG file: in gray, in the colors of the project, or of a choice without hints."""

        def find_key() -> tuple[object, ...]:
            said = None if is_gray or choice else self.said_of(number)
            return number, side, is_gray, choice, self.state_of(number), said

        key = find_key()
        is_small = side <= THUMBNAIL
        where, most = (self._thumbnails, KEPT_THUMBNAILS) if is_small else (self._pictures, KEPT_PICTURES)
        if (kept := where.get(key)) is not None:
            return kept
        rgb = fit(self._paint(number, is_gray=is_gray, choice=choice), side)
        jpeg = encode_jpeg(rgb, THUMBNAIL_QUALITY if is_small else QUALITY)
        return keep(where, key, jpeg, most) if key == find_key() else jpeg  # something was said meanwhile

    def _paint(self, number: int, *, is_gray: bool, choice: ModelSettings | None) -> Any:
        shown = self.read(number)
        return shown.rgb_HW3 if is_gray else shown.paint(self.color(number, shown, choice))

    def color(self, number: int, shown: Shown, choice: ModelSettings | None = None) -> Floats:
        """The a*b* of a picture, by the project, or by a choice without hints: (2, h, w)."""
        with self.asking:
            if choice is None:
                return self.predict(number, shown)
            colorizer = self.loaded.load(choice)
            return colorizer.predict([lightness_for(shown, colorizer)])[0]

    # What is known of a place

    def likely_colors(self, number: int, x: float, y: float) -> list[str]:
        """Colors that the network holds for likely at a place, as CSS; x, y: shares of width and height, 0..1."""
        shown = self.read(number)
        with self.asking:
            shares_Khw, bins_2K = self.colorizer.listener.believe(lightness_for(shown, self.colorizer))
        rows, columns = shares_Khw.shape[1:]
        row, column = min(rows - 1, int(y * rows)), min(columns - 1, int(x * columns))
        chosen: list[Floats] = []
        for index in np.argsort(-shares_Khw[:, row, column]):
            color = bins_2K[:, index]
            if all(float(np.hypot(*(color - other))) >= LIKELY_APART for other in chosen):
                chosen.append(color)
            if len(chosen) == LIKELY:
                break
        return [css_color(shown.lightness_at(x, y), color) for color in chosen]

    def color_at(self, number: int, x: float, y: float) -> str:
        """The color of a place as it is shown, as CSS."""
        shown = self.read(number)
        ab = self.color(number, shown)
        row, column = (min(side - 1, int(share * side)) for share, side in zip((y, x), ab.shape[1:], strict=True))
        return css_color(shown.lightness_at(x, y), ab[:, row, column])

    # Palettes

    def palettes(self) -> list[str]:
        """Photos that are offered as palettes, by their names from the project's folder: kept ones first."""
        kept = sorted(self._palette_folder.glob("*.jpg"))[:MOST_PHOTOS]
        files = [*kept, *self.own_palettes()[:MOST_PHOTOS], *photos_beside(self.source)]
        return [Path(os.path.relpath(file, self.path.parent)).as_posix() for file in files]

    def keep_palette(self, number: int) -> str:
        """Keep the colors of a picture as they are now, as a photo for palettes; gives its name. Raises SinkError."""
        jpeg = encode_jpeg(self._paint(number, is_gray=False, choice=None), PALETTE_QUALITY)
        folder, name = self._palette_folder, self.palette_name(number)
        folder.mkdir(exist_ok=True)
        for count in itertools.count(1):  # what was kept before may have been chosen
            file = folder / f"{name}{f'-{count}' if count > 1 else ''}.jpg"
            if not file.exists():
                outputs.write(file, jpeg, overwrite=False)
            if file.read_bytes() == jpeg:
                break
        return f"{folder.name}/{file.name}"

    @property
    def _palette_folder(self) -> Path:
        return self.path.with_name(f"{self.path.name.removesuffix('.json')}.palettes")

    # The project

    def save(self, said: dict[str, Any], version: int | None = None) -> int:
        """Write the project with what the page says; gives its version.

        Raises UsageError, SinkError, SourceError for a bad palette.

        version: that the page had before; None: the newest.
        """
        with self._saving:
            self._check_unchanged()
            if version not in (None, self.version):
                raise UsageError("something else was said meanwhile, in another window. Do that again.")
            if unknown := [key for key in said if key not in self.said_keys]:
                raise UsageError(f"{unknown[0]!r} is nothing that is said of {self.kind}.")
            data: dict[str, Any] = {MARK: FORMAT, self.source_key: self.source.name} | self.facts()
            for key in self.said_keys:
                if not isinstance(value := said.get(key, []), list):
                    raise UsageError(f"{key} are no list.")
                if key in said:
                    data[key] = self.entry_of(key, value)
                elif key in self.project.data:
                    data[key] = self.project.data[key]
            data |= {key: value for key, value in self.project.data.items() if key not in data}
            project = Project.parse(data, self.path)
            self.check(project)
            self.check_new(project)
            with self.asking:
                self._load_choices(project)
                self._check_unchanged()  # networks may have taken their time
                return self._take(project, write_project(self.path, data))

    def _check_unchanged(self) -> None:
        """Raise UsageError if another program changed the project, which is read anew."""
        if self._read_file() != self._written:
            self._refresh()
            raise UsageError(f"{self.path.name} was changed by another program, and was read anew. Do that again.")

    def _load_choices(self, project: Project) -> None:
        """Load what a project chose and the one before did not, or say why not. Raises VidcolorError."""
        for choice in project.choices:
            if choice not in self.project.choices:
                self.loaded.load(choice.apply(self.settings))

    def take_project(self, project: Project) -> None:
        """Go on with a project. Called by one thread at a time."""
        self.project = project


def in_shares(data: dict[str, Any], hint: Hint, shown: tuple[int, int]) -> dict[str, Any]:
    """A hint's entry with points and width in shares of the picture.  shown: its width and height in pixels."""
    if data.get("size") == [1, 1]:
        return data
    width, height = hint.size or shown
    points = [[x / width, y / height] for x, y in hint.points]
    kept = {key: value for key, value in data.items() if key not in (hint.shape, "size", "width")}
    place = points[0] if hint.shape == "point" else points
    return kept | {hint.shape: place, "size": [1, 1]} | ({"width": hint.width / width} if hint.width else {})


def small_size(width: int, height: int, colorizer: Colorizer) -> tuple[int, int]:
    """Rows and columns that a network sees of a picture."""
    return network_size(height, width, colorizer.size)


def lightness_for(shown: Shown, colorizer: Colorizer) -> Floats:
    """What a colorizer's network sees of a picture: (h, w)."""
    height, width = shown.lightness_HW.shape
    return np.ascontiguousarray(shrink(shown.lightness_HW, small_size(width, height, colorizer)))


def check_source(project: Project, source: Path) -> None:
    """Raise UsageError for the project of another source."""
    if source.is_dir() != project.is_of_folder or Path(project.film).name != source.name:
        raise UsageError(f"{project.path}: is the project of {project.film}, not of {source.name}.")
