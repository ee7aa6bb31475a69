"""Makes the options of workers from the options of a batch."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vidcolor.batch.films import BatchFilmColorizer, FilmWatch, ignore_progress
from vidcolor.batch.options import BatchOptions
from vidcolor.batch.said import Said
from vidcolor.batch.worker import WorkerOptions


def make_worker_options(
    options: BatchOptions,
    output: Path,
    said: Said,
    *,
    software: str,
    is_shown: Callable[[str], bool] = lambda _: False,
    watch: FilmWatch = ignore_progress,
) -> WorkerOptions:
    """Make the WorkerOptions for a batch.

    said: of its files, the same as long as it runs.  software: for the files' tags.  is_shown: whether thumbnails of a
    photo are wanted, by name.  watch: see FilmWatch; for workers on other machines it must pickle.
    """
    photos, films = options.photos, options.films
    if said.project is not None and said.project.is_of_folder:
        films = replace(films, project=None)
    return WorkerOptions(
        still=photos.still_settings(software),
        recolor=photos.recolor,
        copies_others=options.others == "copy",
        opens_nested=options.nested,
        largest_pixels=photos.largest_pixels,
        wants_thumbnails=is_shown,
        scratch=output if output.is_dir() else output.parent,
        said=said,
        films=BatchFilmColorizer(films, watch),
    )
