"""The options of a batch."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from vidcolor import __version__
from vidcolor.batch.photos import PhotoOptions
from vidcolor.choices import OTHERS, Others, check_choice
from vidcolor.errors import UsageError
from vidcolor.films.job import FilmOptions
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
    def files_read(self) -> list[Path]:
        """Files that are read in addition to the inputs: the model and references. Raises ModelError."""
        references = (file for path in self.films.references for file in files_in(path))
        said = [path for path in (self.photos.hints, self.films.project) if path is not None]
        return [*self.model.files_read, *references, *said]

    def read_hints(self) -> tuple[Hint, ...]:
        """The hints, each for a file that it names. Raises ReadError, UsageError."""
        if self.photos.hints is None:
            return ()
        found = read_hints(self.photos.hints)
        check_named(found)
        return tuple(found)

    def run_identity(self) -> Run:
        """What decides the bytes of photos and films. Raises ModelError, DeviceError, UsageError."""
        photos: dict[str, object] = {"quality": self.photos.quality, "subsampling": self.photos.subsampling}
        hints = identity_of(self.photos.hints) if self.photos.hints else ""
        photos |= {"hints": hints, "recolor": self.photos.recolor, "others": self.others}
        options = self.films.output_options | photos
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
