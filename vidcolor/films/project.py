"""A project: what was decided about the colors of a film, shot by shot, or of a folder's photos, in a JSON file beside.

    {"vidcolor_project": 1, "film": "reel.mp4",
     "shots": [[0, 119], [120, 300]],
     "choices": [{"frames": [0, 119], "saturation": 0.8, "palette": "kodachrome.jpg"}],
     "hints": [{"frame": 40, "point": [0.4, 0.3], "size": [1, 1], "color": "navy", "frames": [0, 119]}],
     "references": ["stills/frame_000200.png"]}

Frames are counted from 0; names of files from the project's folder. `choices` give the model, saturation and palette of
some frames, the later of two; `hints` are those of vidcolor.hints. All but the first two entries may be missing.

    {"vidcolor_project": 1, "folder": "scans",
     "choices": [{"file": "1931/wedding.jpg", "saturation": 0.8}],
     "hints": [{"file": "1931/wedding.jpg", "point": [0.4, 0.3], "size": [1, 1], "color": "navy"}],
     "seen": ["1931/wedding.jpg"]}

Photos are named by their path from the folder. `seen` are those that a person has looked at and found good.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from vidcolor import outputs
from vidcolor.errors import UsageError, closest_name
from vidcolor.hints import Hint, check_named, parse_hints, read_json
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.identity import identity_of

FORMAT = 1
SUFFIX = ".vidcolor.json"
MARK = "vidcolor_project"
FILM_KEYS = (MARK, "film", "frames", "shots", "choices", "hints", "references")
FOLDER_KEYS = (MARK, "folder", "choices", "hints", "seen")
CHOICE_KEYS = ("frames", "file", "model", "saturation", "palette")


@dataclass(frozen=True)
class Choice:
    """What was chosen for some frames, or a photo. None: as for the whole film, or folder."""

    first: int = 0
    last: int = -1
    file: str | None = None  # name of a photo
    model: str | None = None
    saturation: float | None = None
    palette: Path | None = None

    def apply(self, settings: ModelSettings) -> ModelSettings:
        """The film's settings with what was chosen."""
        return replace(
            settings, model=self.model or settings.model, palette=self.palette or settings.palette,
            saturation=settings.saturation if self.saturation is None else self.saturation,
        )  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A project as it was read. Paths are whole."""

    path: Path
    film: str  # its name, or the folder's
    frames: int | None = None  # that the film had
    shots: tuple[tuple[int, int], ...] = ()  # first and last frame of each
    choices: tuple[Choice, ...] = ()
    hints: tuple[Hint, ...] = ()
    references: tuple[Path, ...] = ()
    is_of_folder: bool = False
    seen: tuple[str, ...] = ()  # photos that were found good
    data: dict[str, Any] = field(default_factory=dict, compare=False)  # as it lies in the file

    def is_for(self, film: Path | str) -> bool:
        """Whether it is the project of a film of this name."""
        return not self.is_of_folder and Path(film).name == Path(self.film).name

    def settings_of(self, number: int, settings: ModelSettings) -> ModelSettings:
        """The model's settings for a frame.  settings: of the whole film."""
        for choice in self.choices:
            if choice.first <= number <= choice.last:
                settings = choice.apply(settings)
        return settings

    def settings_for(self, photo: Collection[str], settings: ModelSettings) -> ModelSettings:
        """The model's settings for a photo, see `names_of`.  settings: of the whole folder."""
        for choice in self.choices:
            if choice.file in photo:
                settings = choice.apply(settings)
        return settings

    def hints_for(self, photo: Collection[str]) -> list[Hint]:
        """The hints for a photo, see `names_of`."""
        return [hint for hint in self.hints if hint.file in photo]

    @property
    def photos(self) -> list[str]:
        """The photos that it speaks of, by their names in it."""
        said = [*(hint.file for hint in self.hints), *(choice.file for choice in self.choices)]
        return list(dict.fromkeys(file for file in said if file is not None)) if self.is_of_folder else []

    def names_of(self, name: str, path: Path | None = None, archive: str = "") -> tuple[str, ...]:
        """The names, one or a few, by which this project of photos would speak of a file.

        name: in its source.  path: where it lies, if it is on the disk.  archive: that holds it in the folder.
        """
        if archive:
            return (f"{archive}/{name}",)
        if path is None:  # in an archive of the folder, which may hold the folder or what is in it
            return name, name.removeprefix(f"{self.film}/")
        folder, real = (self.path.parent / self.film).resolve(), path.parent.resolve() / path.name
        if real.is_relative_to(folder):
            return (real.relative_to(folder).as_posix(),)
        return tuple(real.relative_to(above).as_posix() for above in real.parents if above.name == self.film)

    def identity(self, settings: ModelSettings) -> str:
        """All of it that decides colors: a hash. Raises ModelError, ReadError."""
        said = [self.data.get(key) for key in ("choices", "hints", "references")]
        models = [choice.apply(settings).identity() for choice in self.choices]
        *_, content = identity_of(*self.files[1:]).split(" ")  # without times: a copy says the same
        return hashlib.sha256(json.dumps([said, models, content]).encode()).hexdigest()

    @property
    def files(self) -> list[Path]:
        """All files that it names."""
        return [self.path, *self.references, *(choice.palette for choice in self.choices if choice.palette is not None)]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a project. Raises ReadError, and UsageError with the place of a fault."""
        return cls.parse(read_json(path), path)

    @classmethod
    def parse(cls, data: Any, path: Path) -> Self:
        """A project from what its file holds. Raises UsageError with the place of a fault."""
        if not isinstance(data, dict) or MARK not in data:
            raise UsageError(f'{path}: is no project; one begins with {{"{MARK}": {FORMAT}, "film": ...}}.')
        if isinstance(data[MARK], bool) or data[MARK] != FORMAT:
            raise UsageError(f"{path}: is a project of a newer version ({data[MARK]!r}); this one reads {FORMAT}.")
        is_of_folder = "folder" in data
        _check_keys(data, FOLDER_KEYS if is_of_folder else FILM_KEYS, str(path))
        film = data.get("folder" if is_of_folder else "film")
        if not isinstance(film, str) or not film:
            raise UsageError(f"{path}: names no film and no folder.")
        frames = _whole(data["frames"], f"{path}: its frames") if data.get("frames") is not None else None
        hints = parse_hints(data["hints"], str(path)) if data.get("hints") not in (None, []) else []
        if is_of_folder:
            check_named(hints)
        references, seen = (_names(data.get(key), f"{path}: its {key}") for key in ("references", "seen"))
        shots = _list(data.get("shots"), f"{path}: its shots")
        choices = _list(data.get("choices"), f"{path}: its choices")
        return cls(
            path, film, frames,
            tuple(_range(shot, f"{path}, shot {place}") for place, shot in enumerate(shots, start=1)),
            tuple(
                _choice(choice, f"{path}, choice {place}", path, is_of_photo=is_of_folder)
                for place, choice in enumerate(choices, start=1)
            ),
            tuple(hints), tuple(path.parent / name for name in references), is_of_folder, tuple(seen), data,
        )  # fmt: skip


def default_path(source: Path) -> Path:
    """Where the project of a film or a folder lies."""
    return source.with_name((source.name if source.is_dir() else source.stem) + SUFFIX)


def write_project(path: Path, data: dict[str, Any]) -> bytes:
    """Write a project whole, or leave the one before: one entry a line, so that versions can be compared; gives it.

    Raises UsageError for what could not be read again, SinkError where it cannot be written.
    """
    Project.parse(data, path)
    lines = [f"  {json.dumps(key)}: {_render(value)}" for key, value in data.items()]
    content = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    outputs.write(path, content, overwrite=True)
    return content


def _render(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"    {_dump(each)}" for each in value) + "\n  ]"
    return _dump(value)


def _dump(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # names of files may be no text
        return json.dumps(value)
    return text


def _check_keys(data: dict[Any, Any], known: Sequence[str], name: str) -> None:
    for key in data:
        if key not in known:
            near = closest_name(str(key), known)
            raise UsageError(f"{name}: {str(key)[:40]!r} is unknown{f'; did you mean {near}?' if near else '.'}")


def _list(data: Any, name: str) -> Iterable[Any]:
    if data is None:
        return []
    if not isinstance(data, list):
        raise UsageError(f"{name} are no list.")
    return data


def _names(data: Any, name: str) -> list[str]:
    found = list(_list(data, name))
    if not all(isinstance(each, str) and each for each in found):
        raise UsageError(f"{name} are no names of files.")
    return found


def _whole(data: Any, name: str) -> int:
    if isinstance(data, bool) or not isinstance(data, int) or not 0 <= data <= 1_000_000_000:
        raise UsageError(f"{name} {str(data)[:40]!r} is no whole number.")
    return data


def _range(data: Any, name: str) -> tuple[int, int]:
    if not isinstance(data, list) or len(data) != 2:
        raise UsageError(f"{name}: is no [first, last].")
    first, last = (_whole(number, f"{name}:") for number in data)
    if first > last:
        raise UsageError(f"{name}: [{first}, {last}] ends before it begins.")
    return first, last


def _choice(data: Any, name: str, path: Path, *, is_of_photo: bool) -> Choice:
    of, other = ('"file": "wedding.jpg"', "frames") if is_of_photo else ('"frames": [0, 119]', "file")
    if not isinstance(data, dict) or other in data:
        raise UsageError(f'{name}: is no object such as {{{of}, "saturation": 0.8}}.')
    _check_keys(data, CHOICE_KEYS, name)
    file = data.get("file")
    if is_of_photo and (not isinstance(file, str) or not file):
        raise UsageError(f"{name}: names no file.")
    first, last = (0, -1) if is_of_photo else _range(data.get("frames"), f"{name}: its frames")
    model, saturation, palette = (data.get(key) for key in ("model", "saturation", "palette"))
    if model is not None and (not isinstance(model, str) or not model):
        raise UsageError(f"{name}: its model {str(model)[:40]!r} is no name.")
    is_number = isinstance(saturation, int | float) and not isinstance(saturation, bool)
    if saturation is not None and not (is_number and 0 <= saturation <= 4):
        raise UsageError(f"{name}: its saturation {str(saturation)[:40]!r} is no number from 0 to 4.")
    if palette is not None and (not isinstance(palette, str) or not palette):
        raise UsageError(f"{name}: its palette {str(palette)[:40]!r} is no name of a file.")
    return Choice(
        first, last, file, model, None if saturation is None else float(saturation),
        None if palette is None else path.parent / palette,
    )  # fmt: skip
