"""What a person says of a batch's photos: hints, and a project's choices, each for a file by its name."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePosixPath

from vidcolor.archives import Entry
from vidcolor.counts import counted
from vidcolor.films.project import Project
from vidcolor.hints import MAX_TOLD, Hint, composed, idle_hints
from vidcolor.inference.settings import ModelSettings


@dataclass(frozen=True)
class Said:
    """All that is said. For workers on other machines it must pickle."""

    hints: tuple[Hint, ...] = ()  # of --hints, each with its file's name
    project: Project | None = None  # of photos, or of a film among the files
    settings: ModelSettings = field(default_factory=ModelSettings)  # of files for which nothing else is chosen

    def hints_for(self, entry: Entry) -> list[Hint]:
        """The hints for a photo or film of the source."""
        near = self._hints_by_name.get(_last_part(entry.name), []) if self.hints else []
        said = [hint for hint in near if hint.is_for(entry.name)]
        return said + (self._photos.hints_for(self._names_of(entry)) if self._photos and self._photos.hints else [])

    def settings_for(self, entry: Entry) -> ModelSettings:
        """The model's settings for a photo."""
        if self._photos is None or not self._photos.choices:
            return self.settings
        return self._photos.settings_for(self._names_of(entry), self.settings)

    def _names_of(self, entry: Entry) -> set[str]:
        """The names by which the project speaks of an entry."""
        assert self._photos is not None
        return self._named.intersection(self._photos.names_of(entry.name, entry.path, entry.archive))

    def idle(self, names: Collection[str]) -> list[str]:
        """A line for each file that something is said of and that is not among these names; a few."""
        told = idle_hints(self.hints, names)
        if self.project is not None and self._photos is None and not any(map(self.project.is_for, names)):
            told.append(f"{self.project.path.name} is the project of {self.project.film}, which is not there")
        if (photos := self._photos) is None:
            return told
        there = {known for name in names for known in photos.names_of(name)}
        gone = [file for file in photos.photos if file not in there]
        told += [f"{photos.path.name} speaks of {file}, which is not there" for file in gone[:MAX_TOLD]]
        more = len(gone) - MAX_TOLD
        return told + ([f"{photos.path.name} speaks of {counted(more, 'more photo')} not there"] if more > 0 else [])

    def identity_for(self, entry: Entry) -> str:
        """What is said of an entry, as a checksum; "" where that is nothing. Raises ModelError, ReadError."""
        if entry.kind == "archive":  # whose files are named as they are in it
            told = _texts(self.hints)
            if self._photos and any(file.startswith(f"{entry.name}/") for file in self._named):
                told.append(self._photos.identity(self.settings))
        elif entry.kind in ("photo", "film"):
            told = _texts(self.hints_for(entry))
            told += [self._identity_of(chosen)] if (chosen := self.settings_for(entry)) != self.settings else []
        else:
            return ""
        if self.project is not None and entry.kind != "photo" and self.project.is_for(entry.name):
            told.append(self.project.identity(self.settings))
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32] if told else ""

    def _identity_of(self, chosen: ModelSettings) -> str:
        if chosen not in self._identities:
            self._identities[chosen] = f"{chosen.identity()} {chosen.color_options}"
        return self._identities[chosen]

    @property
    def _photos(self) -> Project | None:
        """The project, if it is of photos."""
        return self.project if self.project is not None and self.project.is_of_folder else None

    @cached_property
    def _named(self) -> set[str]:
        """The photos that the project speaks of."""
        return set(self._photos.photos) if self._photos is not None else set()

    @cached_property
    def _identities(self) -> dict[ModelSettings, str]:
        return {}

    @cached_property
    def _hints_by_name(self) -> dict[str, list[Hint]]:
        found: dict[str, list[Hint]] = {}
        for hint in self.hints:
            found.setdefault(_last_part(hint.file or ""), []).append(hint)
        return found


def _last_part(name: str) -> str:
    return PurePosixPath(composed(name).replace("\\", "/")).name


def _texts(hints: Iterable[Hint]) -> list[str]:
    return [repr(replace(hint, name="")) for hint in hints]
