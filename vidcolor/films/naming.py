"""Plans which film goes to which output, before any work begins."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidcolor.archives.names import fold_case
from vidcolor.errors import UsageError
from vidcolor.filenames import fitted_name
from vidcolor.formats import CONTAINERS, FALLBACK_CONTAINER


@dataclass(frozen=True)
class FilmJob:
    """One film to color."""

    source: Path
    target: Path


def plan_jobs(inputs: Sequence[Path], output: str) -> list[FilmJob]:
    """Plan one job for each input: one film into a file, or any number into a folder under their own names.

    The output is a folder if it ends with a slash, exists as a folder, or there are several inputs.

    Raises UsageError if an input is a folder, two outputs would collide, or several films would go to one file.
    """
    for source in inputs:
        if source.is_dir():
            raise UsageError(f"{source}: is a folder; name its films instead, for instance {source}/*.mp4.")
    folder = Path(output)
    if not (folder.is_dir() or output.endswith(("/", "\\")) or len(inputs) > 1):
        return [FilmJob(inputs[0], folder)]
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{output}: is a file; several films need a folder to go to.")
    is_named_folder = folder.is_dir() or output.endswith(("/", "\\"))
    if folder.suffix.lower() in CONTAINERS and not is_named_folder:
        raise UsageError(f"{output}: has the name of one film, and {len(inputs)} need a folder: -o {folder.stem}/")
    jobs: dict[str, FilmJob] = {}
    for source in inputs:
        suffix = source.suffix.lower()
        target = folder / (source.name if suffix in CONTAINERS else fitted_name(source.stem, FALLBACK_CONTAINER))
        if (other := jobs.get(fold_case(target.name))) is not None:
            raise UsageError(f"{other.source} and {source} would both become {target}; color them one by one.")
        jobs[fold_case(target.name)] = FilmJob(source, target)
    return list(jobs.values())
