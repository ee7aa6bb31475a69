"""How many files are colored in one run."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from vidcolor import __version__
from vidcolor.batch.photos import PhotoOptions
from vidcolor.choices import Others
from vidcolor.films.job import FilmOptions
from vidcolor.films.references import files_in
from vidcolor.inference import weights
from vidcolor.inference.settings import ModelSettings
from vidcolor.run import Run


@dataclass(frozen=True)
class BatchOptions:
    """By the names and with the defaults of the command's options."""

    films: FilmOptions = field(default_factory=FilmOptions)  # the model, resume and overwrite are the batch's, too
    photos: PhotoOptions = field(default_factory=PhotoOptions)
    others: Others = "copy"  # files that are neither photos nor films
    nested: bool = True  # color what is in archives in a folder
    cluster: str | None = None  # address of a Ray cluster, or auto

    @property
    def model(self) -> ModelSettings:
        """Which model runs, and where."""
        return self.films.model

    @property
    def resume(self) -> bool:
        """Go on from what an earlier run did."""
        return self.films.resume

    @property
    def overwrite(self) -> bool:
        """Replace files that are not ours."""
        return self.films.overwrite

    @property
    def reading(self) -> list[Path]:
        """Files that are read beside the inputs: the model, and references. Raises ModelError."""
        references = (file for path in self.films.references for file in files_in(path))
        return [weights.find(self.model.model), *references]

    def run(self) -> Run:
        """What decides the bytes of photos and films. Raises ModelError, DeviceError, UsageError."""
        photos = {"quality": self.photos.quality, "subsampling": self.photos.subsampling}
        deciding = self.films.deciding | photos | {"recolor": self.photos.recolor, "others": self.others}
        settings = {f"--{name.replace('_', '-')}": _text(value) for name, value in deciding.items()}
        computing = (
            {} if self.cluster else self.model.resolve_backend()
        )  # every machine may compute in its own way there
        settings |= computing | {"vidcolor": __version__}
        noted = json.dumps(deciding | {"vidcolor": __version__}, sort_keys=True, default=str)
        return Run(self.model.sha256(), settings, settings_hash=hashlib.sha256(noted.encode()).hexdigest())

    def for_other_machines(self) -> "BatchOptions":
        """The same, its paths as other machines know them. Raises ModelError."""
        return replace(self, films=self.films.for_other_machines())


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
