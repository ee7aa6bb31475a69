"""One photo into one file or array: by which settings, and what is refused; for the command and the API."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vidcolor import __version__, outputs
from vidcolor.archives.journal import Outcome
from vidcolor.batch.worker import Rules, colorize_photo
from vidcolor.errors import ShapeError, UsageError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.weights import ModelHeader
from vidcolor.painting.painter import Rgb
from vidcolor.stills.files import open_in_turn
from vidcolor.stills.page import Page, StillSettings, make_page
from vidcolor.stills.raster import raster_from_array
from vidcolor.stills.upright import turn_upright


@dataclass(frozen=True)
class PhotoOptions:
    """How photos are colored and written, by the names and with the defaults of the command's options."""

    recolor: bool = False  # photos that have colors already
    quality: int | None = None
    subsampling: str | None = None
    largest_photo: float = 1000.0  # megapixels; larger ones are refused
    overwrite: bool = False

    @property
    def largest_pixels(self) -> int:
        """Of one page."""
        return round(self.largest_photo * 1e6)

    def still(self, software: str) -> StillSettings:
        """How the file is written. software: for its tags."""
        return StillSettings(software, self.quality, self.subsampling, self.recolor)

    @staticmethod
    def software(header: ModelHeader) -> str:
        """What the files' tags say of who colored them."""
        return f"vidcolor {__version__}, colour by model {header.name} {header.version}"


@dataclass(frozen=True)
class PhotoResult:
    """What became of a photo. outcome: "colored", or "kept" where it had colors.  notes: what there is to say."""

    output: Path
    outcome: Outcome
    notes: tuple[str, ...] = ()


def color_photo(source: Path, target: Path, options: PhotoOptions, colorizer: Colorizer) -> PhotoResult:
    """One photo into one file of the same format. Raises VidcolorError."""
    if source.suffix.lower() != target.suffix.lower():
        raise UsageError(f"{target}: a photo keeps its format; name it {target.with_suffix(source.suffix).name}.")
    outputs.check(target, overwrite=options.overwrite, inputs=[source])
    rules = Rules(
        options.still(options.software(colorizer.header)), options.recolor, largest_pixels=options.largest_pixels,
        is_overwriting=options.overwrite,
    )  # fmt: skip
    return PhotoResult(target, *colorize_photo(source, target, colorizer, rules))


def color_file(source: Path, options: PhotoOptions, colorizer: Colorizer) -> Rgb:
    """The first picture of a photo file, upright: (H, W, 3), or (H, W, 4) where it has alpha, of the file's depth.

    Colors that it has are not asked for. Raises SourceError.
    """
    with open_in_turn(source, largest_pixels=options.largest_pixels) as still:
        page = still.pages[0]
        picture: Rgb = turn_upright(_painted(page, colorizer), page.orientation)
    return picture


def color_array(values: Any, colorizer: Colorizer) -> Rgb:
    """A picture of uint8 or uint16 in sRGB: (H, W), or (H, W, 1 to 4), where 2 and 4 have alpha -> as `color_file`.

    Raises ShapeError.
    """
    values = np.asarray(values)
    is_picture = values.ndim == 2 or (values.ndim == 3 and 1 <= values.shape[2] <= 4)
    if values.dtype not in (np.uint8, np.uint16) or not is_picture or not values.size:
        raise ShapeError(f"found {values.dtype} {values.shape}, needed uint8 or uint16, (H, W) or (H, W, 1 to 4).")
    return _painted(make_page(raster_from_array(values, None), 1), colorizer)


def _painted(page: Page, colorizer: Colorizer) -> Rgb:
    (ab,) = colorizer.predict([page.lightness(colorizer.size)])
    page = replace(page, colored_regions=None, original_rgb=None)
    painted: Rgb = np.concatenate([strip for _, strip in page.paint_strips(ab)])
    return painted
