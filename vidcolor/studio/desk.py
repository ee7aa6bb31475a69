"""One film on the desk: its frames, its shots as they are found, and pictures of them in the colors of its project.

Shapes: H W of a picture as it is shown, h w of a*b*.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from vidcolor.color import Floats, lab_to_rgb, picture_to_lab
from vidcolor.errors import UsageError, VidcolorError, unreadable
from vidcolor.films.known_colors import KnownColors
from vidcolor.films.pipeline import view_of
from vidcolor.films.predictors import ChosenColorizers
from vidcolor.films.preview import Shot, find_shots, render_gray
from vidcolor.films.project import FORMAT, MARK, Project, default_path, write_project
from vidcolor.films.references import hint_references, lay_hints_over, load_references
from vidcolor.hints import Hint, parse_hints
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.listening import enlarge
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.frame_clock import FrameClock
from vidcolor.media.seeking import frames_at, read_properties
from vidcolor.media.source import FilmSource
from vidcolor.planes import network_size, shrink
from vidcolor.steady.references import Reference
from vidcolor.stills.display import encode_jpeg
from vidcolor.stills.rgb import Rgb

SIDE = 1280  # longest side of a picture, in pixels
THUMBNAIL = 240  # and of a thumbnail
KEPT_FRAMES, KEPT_PICTURES = 24, 200  # most recent, in memory
QUALITY, THUMBNAIL_QUALITY = 88, 70
DARK, FLAT = 6.0, 3.0  # L*: mean and deviation, below which a frame counts as black, or blank
REACH_FRAMES = 24  # of a shot, at which it is measured how far hints hold
WARM_SECONDS = 60.0  # that networks wait for the first shot before they are loaded
STOP_SECONDS = 2.0
LIKELY = 6  # colors offered for a place
LIKELY_APART = 12.0  # a*b*: how far they differ from each other at least


T = TypeVar("T")


@dataclass(frozen=True)
class FoundShot:
    """A shot of the film. Frames are counted from 0."""

    first: int
    last: int | None  # None: its end is not found yet
    seconds: float  # when it begins
    kind: str  # "picture", "black" or "blank"


@dataclass(frozen=True)
class Shown:
    """A frame as it is shown, in gray."""

    rgb_HW3: Rgb
    lightness_HW: Floats


class Desk:
    """A film, its project and the networks that color it. For several threads."""

    def __init__(self, film: Path, settings: ModelSettings, colorizer: Colorizer, project: Path | None = None) -> None:
        """project: its file; None: the one beside the film.

        Raises SourceError for what is no film, and ReadError, UsageError for a project that cannot be used.
        """
        film = film.absolute()
        self.film, self.settings, self._colorizer = film, settings, colorizer
        self.path = project or default_path(film)
        with FilmSource(film) as source:
            self.info = source.info
        self._status = _status(film)
        self._clock = FrameClock(film)
        self._properties = read_properties(film)
        self._frames: OrderedDict[int, Shown] = OrderedDict()
        self._pictures: OrderedDict[Any, bytes] = OrderedDict()
        self._reading, self._asking, self._saving = threading.Lock(), threading.Lock(), threading.Lock()
        self.shots: list[FoundShot] = []
        self.is_surveyed, self.problem = False, ""
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._has_shots = threading.Event()
        self.project = self._open_project()
        self._stills = load_references(self.project.references, self.info, self._clock)
        self._references(self.project)  # which says what is wrong with hints
        self._known: tuple[int, list[tuple[Colorizer, KnownColors]]] = (-1, [])
        self._chosen = ChosenColorizers(self.project, settings, colorizer)
        self.version = 0  # rises with every change of the project

    def _open_project(self) -> Project:
        self._written = self._read_file()
        if self._written is None:
            return Project.parse({MARK: FORMAT, "film": self.film.name}, self.path)
        project = Project.read(self.path)
        if not project.is_for(self.film):
            raise UsageError(f"{self.path}: is the project of {project.film}, not of {self.film.name}.")
        if None not in (project.frames, self.info.frame_count) and project.frames != self.info.frame_count:
            raise UsageError(
                f"{self.path}: is the project of a film of {project.frames} frames, but {self.film.name} has"
                f" {self.info.frame_count}. Move it away to begin a new one."
            )
        _check_frames(project)
        return project

    def _read_file(self) -> bytes | None:
        """The project's file; None where there is none."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(self.path, error) from error

    @property
    def hints(self) -> list[dict[str, Any]]:
        """The hints as the page takes them: at frames, and in shares of the picture."""
        shown = self._properties.width, self._properties.height
        said = self.project.data.get("hints") or []
        return [_in_shares(data, hint, shown) for data, hint in zip(said, self.project.hints, strict=True)]

    # The survey

    def start(self) -> None:
        """Begin to look for shots, in a thread of its own."""
        for work in (self._survey, self._warm):
            thread = threading.Thread(target=work, name=work.__name__, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop looking for shots. seconds: that threads may take to end."""
        self._stopped.set()
        self._has_shots.set()
        for thread in self._threads:
            thread.join(seconds)

    def _warm(self) -> None:
        """Load all networks, so that the first correction is shown as quickly as later ones."""
        self._has_shots.wait(WARM_SECONDS)
        with suppress(VidcolorError):
            shown = self.read(0)
            lightness = shrink(shown.lightness_HW, self._small_size())
            hint = parse_hints([{"frame": 0, "point": [0, 0], "color": "gray"}])
            size = self._properties.width, self._properties.height
            with self._asking:
                known = KnownColors(hint_references(hint, "", {0: lightness}, size), self._colorizer)
                known.predict([_lightness(shown, self._colorizer)], [0])
                self._colorizer.listener.believe(lightness)

    def _survey(self) -> None:
        view, picture = view_of(self.info), self.info.picture
        try:
            with FilmSource(self.film) as source:
                count = 0
                for shot in find_shots(source, lambda luma: self._colorizer.lightness(luma, picture, view)):
                    if self._stopped.is_set():
                        return
                    self._add(shot, float(source.time_of(shot.frame)))
                    self._has_shots.set()
                    count = shot.number
            self._end(max(count, len(self._clock.pts) - 1))
        except Exception as error:
            known = isinstance(error, VidcolorError)
            self.problem = str(error) if known else f"unexpected {type(error).__name__}: {error}. Please report it."
        finally:
            self.is_surveyed = True

    def _add(self, shot: Shot, seconds: float) -> None:
        self._end(shot.number - 1)
        gray = render_gray(shot, self.info)
        lightness = picture_to_lab(_fit(gray, THUMBNAIL))[0]
        kind = "picture" if lightness.std() > FLAT else "black" if lightness.mean() < DARK else "blank"
        self.shots.append(FoundShot(shot.number, None, seconds, kind))
        _keep(self._frames, shot.number, _show(_resize(gray, self._size)), KEPT_FRAMES)

    def _end(self, last: int) -> None:
        if self.shots:
            self.shots[-1] = replace(self.shots[-1], last=last)

    # Pictures

    def read(self, number: int) -> Shown:
        """A frame in gray. Raises UsageError for one that the film does not have."""
        with self._reading:
            if (kept := self._frames.get(number)) is not None:
                return kept
            if not 0 <= number < len(self._clock.pts):
                raise UsageError(f"{self.film.name} has no frame {number}.")
            found: Rgb | None = None
            if self._clock.is_seekable:
                wanted = [(number, number)]
                for frame in frames_at(self.film, wanted, self._properties, self._size, pts=self._clock.pts):
                    found = frame[1] if frame is not None else None
            else:
                with FilmSource(self.film) as source:
                    for index, each in enumerate(source.frames()):
                        if index == number:
                            found = _resize(render_gray(Shot(number, each), source.info), self._size)
                            break
            if found is None:
                raise UsageError(f"frame {number} of {self.film.name} cannot be decoded.")
            return _keep(self._frames, number, _show(found), KEPT_FRAMES)

    def picture(
        self, number: int, *, side: int = SIDE, is_gray: bool = False, choice: ModelSettings | None = None
    ) -> bytes:
        """A frame as a JPEG file: in gray, in the colors of the project, or of a choice without hints."""
        key = (number, side, is_gray, choice, None if is_gray or choice else self.version)
        if (kept := self._pictures.get(key)) is not None:
            return kept
        shown = self.read(number)
        rgb = shown.rgb_HW3 if is_gray else _paint(shown.lightness_HW, self._color(number, shown, choice))
        quality = QUALITY if side > THUMBNAIL else THUMBNAIL_QUALITY
        return _keep(self._pictures, key, encode_jpeg(_fit(rgb, side), quality), KEPT_PICTURES)

    @property
    def _size(self) -> tuple[int, int]:
        """Width and height of a picture: the film's, without the shape of its pixels."""
        scale = min(1.0, SIDE / max(self._properties.width, self._properties.height))
        return round(self._properties.width * scale), round(self._properties.height * scale)

    def _color(self, number: int, shown: Shown, choice: ModelSettings | None) -> Floats:
        with self._asking:
            if choice is not None:
                colorizer = self._chosen.load(choice)
                return colorizer.predict([_lightness(shown, colorizer)])[0]
            colorizer = self._chosen(number)
            known = self._find_known(colorizer)
            (ab,), (match,), _ = known.predict([_lightness(shown, colorizer)], [number])
            assert ab is not None
            return ab if match is None else match.ab_2hw

    def _find_known(self, colorizer: Colorizer) -> KnownColors:
        if self._known[0] != self.version:
            self._known = (self.version, [])
        for each, known in self._known[1]:
            if each is colorizer:
                return known
        known = KnownColors(self._references(self.project), colorizer)
        self._known[1].append((colorizer, known))
        return known

    def _references(self, project: Project) -> tuple[Reference, ...]:
        frames = {hint.frame for hint in project.hints if hint.frame is not None}
        lightness = {number: shrink(self.read(number).lightness_HW, self._small_size()) for number in frames}
        shown = self._properties.width, self._properties.height
        return lay_hints_over(self._stills, hint_references(project.hints, self.path.name, lightness, shown))

    def _small_size(self) -> tuple[int, int]:
        return network_size(self._properties.height, self._properties.width, self._colorizer.size)

    # What is known of a place

    def likely_colors(self, number: int, x: float, y: float) -> list[str]:
        """Colors that the network holds for likely at a place, as CSS; x, y: shares of width and height, 0..1."""
        shown = self.read(number)
        with self._asking:
            shares_Khw, bins_2K = self._colorizer.listener.believe(_lightness(shown, self._colorizer))
        rows, columns = shares_Khw.shape[1:]
        row, column = min(rows - 1, int(y * rows)), min(columns - 1, int(x * columns))
        height, width = shown.lightness_HW.shape
        lightness = float(shown.lightness_HW[min(height - 1, int(y * height)), min(width - 1, int(x * width))])
        chosen: list[Floats] = []
        for index in np.argsort(-shares_Khw[:, row, column]):
            color = bins_2K[:, index]
            if all(float(np.hypot(*(color - other))) >= LIKELY_APART for other in chosen):
                chosen.append(color)
            if len(chosen) == LIKELY:
                break
        return [_css(lightness, color) for color in chosen]

    def color_at(self, number: int, x: float, y: float) -> str:
        """The color of a place as it is shown, as CSS."""
        shown = self.read(number)
        ab = self._color(number, shown, None)
        place = [min(side - 1, int(share * side)) for share, side in zip((y, x), ab.shape[1:], strict=True)]
        height, width = shown.lightness_HW.shape
        lightness = float(shown.lightness_HW[min(height - 1, int(y * height)), min(width - 1, int(x * width))])
        return _css(lightness, ab[:, place[0], place[1]])

    def reach(self, first: int, last: int) -> list[dict[str, float]]:
        """How far hints and stills hold along a shot: some of its frames, and what share of each is known, 0..1."""
        numbers = sorted({first + (last - first) * step // (REACH_FRAMES - 1) for step in range(REACH_FRAMES)})
        found = []
        for number in numbers:
            shown = self.read(number)
            with self._asking:
                known = self._find_known(self._chosen(number))
                _, (match,), _ = known.predict([_lightness(shown, self._chosen(number))], [number])
            found.append({"frame": number, "share": round(0.0 if match is None else match.likeness, 3)})
        return found

    # The project

    def save(self, entries: dict[str, Any]) -> None:
        """Write the project with these entries. Raises UsageError, SinkError, and SourceError for a bad palette."""
        with self._saving:
            if self._read_file() != self._written:
                self.project = self._open_project()
                self.version += 1
                raise UsageError(f"{self.path.name} was changed by another program, and was read anew. Do that again.")
            for name in ("choices", "hints"):
                if not isinstance(entries.get(name, []), list):
                    raise UsageError(f"{name} are no list.")
            data: dict[str, Any] = {MARK: FORMAT, "film": self.film.name}
            data |= {"frames": self.info.frame_count} if self.info.frame_count is not None else {}
            shots = [[shot.first, shot.last] for shot in self.shots if shot.last is not None]
            data |= {"shots": shots or self.project.data.get("shots", [])}
            data |= {
                key: self.project.data[key] for key in ("choices", "hints", "references") if key in self.project.data
            }
            data |= {key: entries[key] for key in ("choices", "hints") if key in entries}
            project = Project.parse(data, self.path)
            _check_frames(project)
            self._references(project)  # which says what is wrong with hints
            chosen = ChosenColorizers(project, self.settings, self._colorizer)
            with self._asking:
                for choice in project.choices:
                    if choice not in self.project.choices:
                        chosen(choice.first)  # which loads what was chosen, or says why not
            write_project(self.path, data)
            self.project, self._chosen, self._written = project, chosen, self._read_file()
            self.version += 1

    def times_of(self, first: int, last: int) -> tuple[float, float]:
        """When a shot begins and ends, in seconds."""
        count = len(self._clock.pts)
        if not 0 <= first <= last < count:
            raise UsageError(f"{self.film.name} has no frames {first} to {last}.")
        begin, end = self._clock.time_of(first), self._clock.time_of(min(last + 1, count - 1))
        return begin, end if last + 1 < count else end + 1 / float(self.info.frame_rate or 25)

    @property
    def aspect(self) -> float:
        """Width over height of the film as players show it."""
        stretch = float(self.info.sample_aspect_ratio or 1)
        stretch = 1 / stretch if self.info.rotation_degrees % 180 == 90 else stretch
        return self._properties.width * stretch / self._properties.height

    def is_changed(self) -> bool:
        """Whether the film is gone, or another one than it was."""
        return _status(self.film) != self._status


def _keep(where: "OrderedDict[Any, T]", key: Any, value: T, most: int) -> T:
    """Remember a value, and forget the oldest where there are too many."""
    where[key] = value
    while len(where) > most:
        where.popitem(last=False)
    return value


def _resize(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """A picture of another (width, height)."""
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _status(film: Path) -> tuple[int, int] | None:
    """Size and time of a film's file; None where it is gone."""
    try:
        found = film.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _fit(rgb: Rgb, side: int) -> Rgb:
    """A picture of at most `side` pixels on its longest side."""
    scale = side / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _show(rgb: Rgb) -> Shown:
    lightness = np.asarray(picture_to_lab(rgb)[0], np.float32)
    gray = np.asarray(np.clip(np.stack(lab_to_rgb(lightness, 0 * lightness, 0 * lightness), axis=2), 0, 1) * 255)
    return Shown(np.rint(gray).astype(np.uint8), lightness)


def _check_frames(project: Project) -> None:
    """Raise UsageError for a hint at a time: the page shows frames."""
    for hint in project.hints:
        if hint.frame is None:
            raise UsageError(f"{hint.name}: needs a frame in place of its time, to be shown in the studio.")


def _in_shares(data: dict[str, Any], hint: Hint, shown: tuple[int, int]) -> dict[str, Any]:
    """A hint's entry with points and width in shares of the picture.  shown: its width and height in pixels."""
    width, height = hint.size or shown
    points = [[x / width, y / height] for x, y in hint.points]
    kept = {key: value for key, value in data.items() if key not in (hint.shape, "size", "width")}
    place = points[0] if hint.shape == "point" else points
    return kept | {hint.shape: place, "size": [1, 1]} | ({"width": hint.width / width} if hint.width else {})


def _lightness(shown: Shown, colorizer: Colorizer) -> Floats:
    """What a colorizer's network sees of a frame."""
    height, width = shown.lightness_HW.shape
    return np.ascontiguousarray(shrink(shown.lightness_HW, network_size(height, width, colorizer.size)))


def _paint(lightness_HW: Floats, ab_2hw: Floats) -> Rgb:
    a, b = enlarge(ab_2hw, *lightness_HW.shape)
    rgb = np.stack(lab_to_rgb(lightness_HW, a, b), axis=2)
    return np.asarray(np.rint(np.clip(rgb, 0, 1) * 255), np.uint8)


def _css(lightness: float, ab: Sequence[float] | Floats) -> str:
    rgb = np.clip(np.stack(lab_to_rgb(np.float32(lightness), np.float32(ab[0]), np.float32(ab[1]))), 0, 1)
    return "#" + "".join(f"{round(float(part) * 255):02x}" for part in rgb)
