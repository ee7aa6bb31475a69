"""From options to the rules that workers go by."""

from collections.abc import Callable
from pathlib import Path

from vidcolor.batch.films import ArchivedFilms, FilmWatch, unwatched
from vidcolor.batch.options import BatchOptions
from vidcolor.batch.worker import Rules


def rules_for(
    options: BatchOptions,
    output: Path,
    *,
    software: str,
    is_shown: Callable[[str], bool] = lambda _: False,
    watch: FilmWatch = unwatched,
) -> Rules:
    """What workers do with which entry. software: for the files' tags.  is_shown: of which photo pictures are wanted.

    watch: told of films; it has to pickle for workers on other machines.
    """
    photos = options.photos
    return Rules(
        still=photos.still(software),
        is_recoloring=photos.recolor,
        is_copying_others=options.others == "copy",
        is_nested=options.nested,
        largest_pixels=photos.largest_pixels,
        is_shown=is_shown,
        scratch=output if output.is_dir() else output.parent,
        films=ArchivedFilms(options.films, watch),
    )
