"""Adds a model to the user's library: recognized, copied, tried, measured."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidcolor.errors import ModelError, UsageError
from vidcolor.formats import MODELS
from vidcolor.inference import library, weights
from vidcolor.inference.published import files
from vidcolor.inference.published.facts import OWN_KIND, Facts
from vidcolor.inference.trial import SLOW_SECONDS, Trial, try_model


@dataclass(frozen=True)
class Added:
    """What was added."""

    name: str  # to call it by
    kind: str  # how it is asked, see `models add --kind`
    path: Path  # of the copy
    license: str  # of the weights, as far as it is known
    size: int  # pixels: short side of what it looks at
    seconds: float  # a frame, here
    device: str  # what it ran on, for people
    is_slow: bool  # slower than a film runs
    warning: str  # one line, or nothing


def add_model(
    file: Path, name: str | None, told: files.Told, *, tell: Callable[[str], object] = lambda _: None
) -> Added:
    """Add a model's file under a name (None: the file's), completely or not at all.

    told: what the file cannot say itself.  tell: see trial.try_model.  Raises ModelError, UsageError, SinkError.
    """
    chosen = file.stem if name is None else name
    library.check_name(chosen)
    if chosen in {path.stem for path in weights.packaged_models()}:
        raise UsageError(f"name {chosen!r}: a model in the package has it; give another --name.")
    library.check_free(chosen)
    if files.is_published(file):
        known = files.recognize(file, told).facts
    elif file.suffix.lower() == ".safetensors":
        if told != files.Told():
            raise UsageError(f"{file}: a model of vidcolor's own needs no --kind, --size or scaling.")
        weights.load(file)
        known = Facts(file.name, OWN_KIND, (1,), license="its maker's")
    elif file.is_dir():
        raise ModelError(f"{file}: is a folder; name the model's file in it.")
    else:
        raise ModelError(f"{file}: no model file by its suffix; known are {', '.join(MODELS)}.")
    trials: list[Trial] = []

    def try_copy(copy: Path) -> None:
        try:
            trials.append(try_model(str(copy), tell=tell))
        except ModelError as error:
            raise ModelError(str(error).replace(str(copy), str(file))) from error

    path = library.add(file, known, chosen, try_copy)
    (trial,) = trials
    is_slow = known.kind != OWN_KIND and trial.seconds > SLOW_SECONDS
    return Added(
        chosen, known.kind, path, known.license, trial.size, trial.seconds, trial.device, is_slow, trial.warning
    )
