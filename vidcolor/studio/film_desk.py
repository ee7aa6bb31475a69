"""A film on the studio's desk: its shots as they are found, and its frames."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vidcolor.color import Floats, picture_to_lab
from vidcolor.counts import counted
from vidcolor.errors import UsageError
from vidcolor.films.known_colors import KnownColors
from vidcolor.films.pipeline import view_of
from vidcolor.films.predictors import ChosenColorizers
from vidcolor.films.preview import Shot, find_shots, render_gray
from vidcolor.films.project import Project
from vidcolor.films.references import hint_references, lay_hints_over, load_references
from vidcolor.hints import parse_hints
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.frame_clock import FrameClock
from vidcolor.media.seeking import frames_at, read_properties
from vidcolor.media.source import FilmSource
from vidcolor.planes import shrink
from vidcolor.printable import printable
from vidcolor.steady.matching import COHERENT
from vidcolor.steady.references import Reference
from vidcolor.stills.display import fit
from vidcolor.stills.rgb import Rgb
from vidcolor.studio.desk import STOP_SECONDS, Desk, check_source, in_shares, lightness_for, small_size
from vidcolor.studio.folder import status_of
from vidcolor.studio.pictures import SIDE, THUMBNAIL, Shown, keep, resize

KEPT_FRAMES = 24  # most recent, in memory
DARK, FLAT = 6.0, 3.0  # L*: mean and deviation, below which a frame counts as black, or blank
REACH_FRAMES = 24  # of a shot, at which it is measured how far hints hold
WARM_SECONDS = 60.0  # that networks wait for the first shot before they are loaded


@dataclass(frozen=True)
class FoundShot:
    """A shot of the film. Frames are counted from 0."""

    first: int
    last: int | None  # None: its end is not found yet
    seconds: float  # when it begins
    kind: str  # "picture", "black" or "blank"


class FilmDesk(Desk):
    """A film, its project and the networks that color it. For several threads."""

    kind, source_key, said_keys = "film", "film", ("choices", "hints")

    def __init__(self, film: Path, settings: ModelSettings, colorizer: Colorizer, project: Path | None = None) -> None:
        """See Desk. Raises SourceError for what is no film."""
        with FilmSource(film) as source:
            self.info = source.info
        self._status = status_of(film)
        self._clock = FrameClock(film)
        self._properties = read_properties(film)
        self._frames: OrderedDict[int, Shown] = OrderedDict()
        self._reading, self._has_shots = threading.Lock(), threading.Event()
        self.shots: list[FoundShot] = []
        self._stills: tuple[tuple[Path, ...], tuple[Reference, ...]] = ((), ())  # and their files
        self._known: tuple[int, list[tuple[Colorizer, KnownColors]]] = (-1, [])
        super().__init__(film, settings, colorizer, project)
        self._chosen = ChosenColorizers(self.project, self.loaded)

    def check(self, project: Project) -> None:
        """See Desk."""
        check_source(project, self.source)
        if None not in (project.frames, self.info.frame_count) and project.frames != self.info.frame_count:
            frames = counted(project.frames or 0, "frame")
            raise UsageError(
                f"{self.path}: is the project of a film of {frames}, but {self.source.name} has"
                f" {self.info.frame_count}. Move it away to begin a new one."
            )
        for hint in project.hints:
            if hint.frame is None:
                raise UsageError(f"{hint.name}: needs a frame in place of its time, to be shown in the studio.")
        self._references(project)  # which says what is wrong with hints and stills

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """See Desk."""
        self._has_shots.set()
        super().stop(seconds)

    # The survey

    def warm(self) -> None:
        """See Desk."""
        self._has_shots.wait(WARM_SECONDS)
        shown = self.read(0)
        lightness = shrink(shown.lightness_HW, self._small_size())
        hint = parse_hints([{"frame": 0, "point": [0, 0], "color": "gray"}])
        with self.asking:
            known = KnownColors(hint_references(hint, "", {0: lightness}, self._shown_size), self.colorizer)
            known.predict([lightness_for(shown, self.colorizer)], [0])
            self.colorizer.listener.believe(lightness)

    def survey(self) -> None:
        """See Desk."""
        view, picture = view_of(self.info), self.info.picture
        with FilmSource(self.source) as source:
            count = 0
            for shot in find_shots(source, lambda luma: self.colorizer.lightness(luma, picture, view)):
                if self.stopped.is_set():
                    return
                self._add(shot, float(source.time_of(shot.frame)))
                self._has_shots.set()
                count = shot.number
        self._end(max(count, len(self._clock.pts) - 1))

    def _add(self, shot: Shot, seconds: float) -> None:
        self._end(shot.number - 1)
        gray = render_gray(shot, self.info)
        lightness = picture_to_lab(fit(gray, THUMBNAIL))[0]
        kind = "picture" if lightness.std() > FLAT else "black" if lightness.mean() < DARK else "blank"
        self.shots.append(FoundShot(shot.number, None, seconds, kind))
        keep(self._frames, shot.number, Shown.of_gray(resize(gray, self._size)), KEPT_FRAMES)

    def _end(self, last: int) -> None:
        if self.shots:
            self.shots[-1] = replace(self.shots[-1], last=last)

    # Pictures

    def read(self, number: int) -> Shown:
        """See Desk."""
        with self._reading:
            if (kept := self._frames.get(number)) is not None:
                return kept
            if not 0 <= number < len(self._clock.pts):
                raise UsageError(f"{self.source.name} has no frame {number}.")
            found = self._seek(number) if self._clock.is_seekable else self._count_to(number)
            if found is None:
                raise UsageError(f"frame {number} of {self.source.name} cannot be decoded.")
            return keep(self._frames, number, Shown.of_gray(found), KEPT_FRAMES)

    def _seek(self, number: int) -> Rgb | None:
        found: Rgb | None = None
        for frame in frames_at(self.source, [(number, number)], self._properties, self._size, pts=self._clock.pts):
            found = frame[1] if frame is not None else None
        return found

    def _count_to(self, number: int) -> Rgb | None:
        with FilmSource(self.source) as source:
            for index, each in enumerate(source.frames()):
                if index == number:
                    picture: Rgb = resize(render_gray(Shot(number, each), source.info), self._size)
                    return picture
        return None

    @property
    def _shown_size(self) -> tuple[int, int]:
        return self._properties.width, self._properties.height

    @property
    def _size(self) -> tuple[int, int]:
        """Width and height of a picture: the film's, without the shape of its pixels."""
        scale = min(1.0, SIDE / max(self._shown_size))
        return round(self._properties.width * scale), round(self._properties.height * scale)

    def predict(self, number: int, shown: Shown) -> Floats:
        """See Desk."""
        colorizer = self._chosen(number)
        (ab,), (match,), _ = self._find_known(colorizer).predict([lightness_for(shown, colorizer)], [number])
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
        stills = self._stills
        if stills[0] != project.references:
            stills = project.references, load_references(project.references, self.info, self._clock)
            self._stills = stills
        frames = {hint.frame for hint in project.hints if hint.frame is not None}
        lightness = {number: shrink(self.read(number).lightness_HW, self._small_size()) for number in frames}
        return lay_hints_over(stills[1], hint_references(project.hints, self.path.name, lightness, self._shown_size))

    def _small_size(self) -> tuple[int, int]:
        return small_size(*self._shown_size, self.colorizer)

    def reach(self, first: int, last: int) -> list[dict[str, float]]:
        """How far hints and stills hold along a shot: some of its frames, and what share of each is known, 0..1."""
        numbers = sorted({first + (last - first) * step // (REACH_FRAMES - 1) for step in range(REACH_FRAMES)})
        found = []
        for number in numbers:
            shown = self.read(number)
            with self.asking:
                colorizer = self._chosen(number)
                _, (match,), _ = self._find_known(colorizer).predict([lightness_for(shown, colorizer)], [number])
            found.append({"frame": number, "share": round(0.0 if match is None else match.likeness, 3)})
        return found

    def shots_like(self, number: int) -> list[int]:
        """The shots, by their place in `shots`, that show what a frame shows; black and blank ones are none."""
        shown = self.read(number)
        lightness = lightness_for(shown, self.colorizer)
        nothing = np.zeros((2, *lightness.shape), np.float32)
        found = []
        with self.asking:
            known = KnownColors([Reference.from_lab(None, lightness, nothing)], self.colorizer)
        for place, shot in enumerate(list(self.shots)):
            if self.stopped.is_set():
                break
            is_own = shot.first <= number <= (shot.first if shot.last is None else shot.last)
            if shot.kind == "picture" and (is_own or self._is_like(shot.first, known)):
                found.append(place)
        return found

    def _is_like(self, number: int, known: KnownColors) -> bool:
        shown = self.read(number)
        with self.asking:
            _, (match,), _ = known.predict([lightness_for(shown, self.colorizer)], [number])
        return match is not None and match.coherence >= COHERENT

    # The project

    def take_project(self, project: Project) -> None:
        """See Desk."""
        super().take_project(project)
        self._chosen = ChosenColorizers(project, self.loaded)

    def said(self) -> dict[str, list[Any]]:
        """See Desk."""
        told = self.project.data.get("hints") or []
        hints = [in_shares(data, hint, self._shown_size) for data, hint in zip(told, self.project.hints, strict=True)]
        return {"choices": self.project.data.get("choices") or [], "hints": hints}

    def facts(self) -> dict[str, Any]:
        """See Desk."""
        shots = [[shot.first, shot.last] for shot in self.shots if shot.last is not None]
        frames = {"frames": self.info.frame_count} if self.info.frame_count is not None else {}
        return {**frames, "shots": shots if self.is_surveyed else self.project.data.get("shots", shots)}

    def entry_of(self, key: str, said: list[Any]) -> list[Any]:  # noqa: ARG002 - the page's numbers are the film's
        """See Desk."""
        return said

    # What the page is told

    def describe(self) -> dict[str, Any]:
        """See Desk."""
        return {
            "name": printable(self.source.name), "shots": [vars(shot) for shot in list(self.shots)],
            "aspect": self._aspect, "frame_rate": float(self.info.frame_rate or 25),
        }  # fmt: skip

    @property
    def _aspect(self) -> float:
        """Width over height of the film as players show it."""
        stretch = float(self.info.sample_aspect_ratio or 1)
        stretch = 1 / stretch if self.info.rotation_degrees % 180 == 90 else stretch
        return self._properties.width * stretch / self._properties.height

    @property
    def clip_codec(self) -> str:
        """The codec of played shots; browsers play H.264 with chroma of half the size alone."""
        is_even = self.info.picture.width % 2 == self.info.picture.height % 2 == 0
        return "h264" if is_even else "av1"

    def own_palettes(self) -> list[Path]:
        """See Desk."""
        return []

    def palette_name(self, number: int) -> str:
        """See Desk."""
        return f"frame-{number:06d}"

    def times_of(self, first: int, last: int) -> tuple[float, float]:
        """When a shot begins and ends, in seconds."""
        count = len(self._clock.pts)
        if not 0 <= first <= last < count:
            raise UsageError(f"{self.source.name} has no frames {first} to {last}.")
        begin, end = self._clock.time_of(first), self._clock.time_of(min(last + 1, count - 1))
        return begin, end if last + 1 < count else end + 1 / float(self.info.frame_rate or 25)

    def why_changed(self) -> str:
        """See Desk."""
        return f"{self.source.name} was changed or is gone." if status_of(self.source) != self._status else ""
