"""A folder's photos before and after, for a sheet."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vidcolor.errors import SourceError, VidcolorError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.stills.rgb import Rgb
from vidcolor.studio.desk import lightness_for
from vidcolor.studio.photo_desk import FoundPhoto, find_photos
from vidcolor.studio.pictures import read_photo


def photos_of(folder: Path) -> list[FoundPhoto]:
    """The photos of a folder, in order. Raises SourceError where there is none."""
    if found := find_photos(folder):
        return found
    raise SourceError(f"{folder}: has no photos. Name a film, or a folder of photos.")


def color_photos(
    photos: Sequence[FoundPhoto], colorizers: Mapping[str, Colorizer]
) -> Iterator[tuple[str, dict[str, Rgb] | str]]:
    """Each photo's name with its pictures, before and by each colorizer, or what is wrong with it.

    Colors that `colorize` would keep are kept: of photos in color, and of parts in color.
    """
    for photo in photos:
        try:
            shown = read_photo(photo.path).picture
            pictures = {"before": shown.rgb_HW3}
            for name, colorizer in colorizers.items():
                (ab,) = colorizer.predict([lightness_for(shown, colorizer)])
                pictures[name] = shown.paint(ab)
            yield photo.name, pictures
        except VidcolorError as error:
            yield photo.name, str(error)
