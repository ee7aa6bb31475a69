"""The options of a batch."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from vidcolor import __version__
from vidcolor.batch.photos import PhotoOptions
from vidcolor.batch.said import Said
from vidcolor.choices import OTHERS, Others, check_choice
from vidcolor.errors import UsageError
from vidcolor.films.job import FilmOptions
from vidcolor.films.project import Project
from vidcolor.films.references import files_in
from vidcolor.hints import Hint, check_named, read_hints
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.identity import identity_of
from vidcolor.run import Run


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is colored; names and defaults are those of the command's options."""

    films: FilmOptions = field(default_factory=FilmOptions)  # model, resume and overwrite apply to the whole batch
    photos: PhotoOptions = field(default_factory=PhotoOptions)
    others: Others = "copy"  # what to do with files that are neither photos nor films
    nested: bool = True  # color the files in archives that lie in a folder
    cluster: str | None = None  # HOST:PORT of a Ray cluster, or auto; None: this machine

    def __post_init__(self) -> None:
        check_choice("others", self.others, OTHERS)

    def check_whole_films(self) -> None:
        """Raise UsageError if a part of a film was chosen: photos and batches are colored whole."""
        if self.films.start is not None or self.films.end is not None:
            raise UsageError(
                "--start and --end choose a part of one film; photos, folders, archives and patterns are colored whole."
            )

    @property
    def model(self) -> ModelSettings:
        """The model and its devices."""
        return self.films.model

    @property
    def resume(self) -> bool:
        """Whether to resume an earlier run."""
        return self.films.resume

    @property
    def overwrite(self) -> bool:
        """Whether to replace existing files of others."""
        return self.films.overwrite

    @property
    def _said(self) -> tuple[Path | None, Path | None]:
        return self.photos.hints, self.films.project

    @property
    def files_read(self) -> list[Path]:
        """Files that are read in addition to the inputs: the model and references. Raises ModelError."""
        references = (file for path in self.films.references for file in files_in(path))
        return [*self.model.files_read, *references, *(path for path in self._said if path is not None)]

    def read_project(self) -> Project | None:
        """The project, of photos or of a film. Raises ReadError, UsageError."""
        return Project.read(self.films.project) if self.films.project is not None else None

    def read_said(self) -> Said:
        """What is said of the files, each by its name. Raises ReadError, UsageError, ModelError."""
        hints, project = read_hints(self.photos.hints) if self.photos.hints is not None else [], self.read_project()
        check_named(hints)
        if project is not None and project.is_of_folder:
            for choice in project.choices:
                choice.apply(self.model).read_header()
        return Said(tuple(hints), project, self.model)

    def read_said_of(self, photo: Path) -> tuple[list[Hint], ModelSettings]:
        """The hints for one photo, and the settings of its model. Raises as read_said; UsageError without any hint."""
        hints, project = self.photos.read_hints(photo.name), self.read_project()
        if project is None or not project.is_of_folder:
            return hints, self.model
        names = project.names_of(photo.name, photo)
        return [*hints, *project.hints_for(names)], project.settings_for(names, self.model)

    def run_identity(self, *, is_apart: bool = False) -> Run:
        """What decides the bytes of photos and films. Raises ModelError, DeviceError, UsageError.

        is_apart: without what is said of single files, where each file's record tells that (Entry.said).
        """
        photos: dict[str, object] = {"quality": self.photos.quality, "subsampling": self.photos.subsampling}
        hints, project = ("" if is_apart or path is None else identity_of(path) for path in self._said)
        photos |= {"hints": hints, "project": project, "recolor": self.photos.recolor, "others": self.others}
        options = self.films.output_options | photos
        options["references"] = identity_of(*(file for path in self.films.references for file in files_in(path)))
        settings = {f"--{name.replace('_', '-')}": _text(value) for name, value in options.items()}
        backend = {} if self.cluster else self.model.resolve_backend()  # there each machine may use another precision
        settings |= backend | {"vidcolor": __version__}
        hashed = json.dumps(options | {"vidcolor": __version__}, sort_keys=True, default=str)
        return Run(self.model.identity(), settings, settings_hash=hashlib.sha256(hashed.encode()).hexdigest())

    def for_other_machines(self) -> "BatchOptions":
        """A copy with paths as other machines see them. Raises ModelError."""
        hints = self.photos.hints.absolute() if self.photos.hints else None
        return replace(self, films=self.films.for_other_machines(), photos=replace(self.photos, hints=hints))


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
