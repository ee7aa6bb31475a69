"""One photo into one file or array, for the command and the API."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vidcolor import __version__, outputs
from vidcolor.archives.journal import Outcome
from vidcolor.batch.pages import PageColors, draw_known
from vidcolor.choices import SUBSAMPLINGS, check_choice, check_within
from vidcolor.errors import ShapeError, UsageError
from vidcolor.hints import Hint, hints_for, read_hints
from vidcolor.inference.batching import BatchingPredictor
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.weights import ModelHeader
from vidcolor.painting.painter import Rgb
from vidcolor.painting.tone import IN_COLOR
from vidcolor.stills.files import open_in_turn, write_still
from vidcolor.stills.page import Page, StillSettings, make_page
from vidcolor.stills.raster import raster_from_array
from vidcolor.stills.upright import turn_upright


@dataclass(frozen=True)
class PhotoOptions:
    """How photos are colored and written, by the names and with the defaults of the command's options."""

    recolor: bool = False  # color photos anew that are in color
    quality: int | None = None  # 1 to 100, of lossy formats; None: the source's
    subsampling: str | None = None  # "4:4:4", "4:2:2" or "4:2:0", of JPEG; None: the source's
    largest_photo: float = 1000.0  # megapixels of a page; larger photos are refused
    hints: Path | None = None  # a JSON file of points, strokes and regions with their colors
    overwrite: bool = False  # replace an existing output

    def __post_init__(self) -> None:
        check_within("quality", self.quality, 1, 100)
        check_choice("subsampling", self.subsampling, SUBSAMPLINGS)
        check_within("largest_photo", self.largest_photo, 1)

    @property
    def largest_pixels(self) -> int:
        """Most pixels of one page."""
        return round(self.largest_photo * 1e6)

    def still_settings(self, software: str) -> StillSettings:
        """How the file is written. software: for its tags."""
        return StillSettings(software, self.quality, self.subsampling, self.recolor)

    def read_hints(self, name: str) -> list[Hint]:
        """The hints for one photo of this name. Raises ReadError, UsageError where there are none for it."""
        if self.hints is None:
            return []
        return hints_for(read_hints(self.hints), name, self.hints)

    @staticmethod
    def software_tag(header: ModelHeader) -> str:
        """The software tag of colored files."""
        return f"vidcolor {__version__}, color by model {header.name} {header.version}"


@dataclass(frozen=True)
class PhotoResult:
    """The result of `colorize_photo` into a file."""

    output: Path  # the file that was written
    outcome: Outcome  # "colored", or "kept": the photo was in color and was copied as it is
    notes: tuple[str, ...] = ()  # remarks, one line each: what the format could not keep, colors that a part kept


def colorize_photo_file(
    source: Path, target: Path, options: PhotoOptions, colorizer: Colorizer, hints: Sequence[Hint] = ()
) -> PhotoResult:
    """Color a photo into a file of the same format; one in color is copied unless options.recolor.

    Raises UsageError for another suffix, SourceError, SinkError, DeviceError.
    """
    if source.suffix.lower() != target.suffix.lower():
        raise UsageError(f"{target}: a photo keeps its format; name it {target.with_suffix(source.suffix).name}.")
    outputs.check(target, overwrite=options.overwrite, inputs=[source, *([options.hints] if options.hints else [])])
    with BatchingPredictor(colorizer) as network, open_in_turn(source, largest_pixels=options.largest_pixels) as still:
        colors = PageColors(still, network, hints, recolor=options.recolor)
        with outputs.replacing(target, overwrite=options.overwrite) as partial:
            losses = write_still(still, colors, partial, options.still_settings(options.software_tag(colorizer.header)))
    if not colors.count:
        return PhotoResult(target, "kept", (IN_COLOR,))
    return PhotoResult(target, "colored", (*colors.kept_colors, *losses, *colors.remarks))


def colorize_to_array(source: Path, options: PhotoOptions, colorizer: Colorizer, hints: Sequence[Hint] = ()) -> Rgb:
    """Color the first page of a photo file: (H, W, 3), or (H, W, 4) with alpha, uint8 or uint16 as the file, upright.

    Colors of the file are ignored. Raises SourceError, DeviceError.
    """
    with open_in_turn(source, largest_pixels=options.largest_pixels) as still:
        page = still.pages[0]
        picture: Rgb = turn_upright(_paint(page, colorizer, hints), page.orientation)
    return picture


def colorize_array(values: Any, colorizer: Colorizer, hints: Sequence[Hint] = ()) -> Rgb:
    """Color an array: uint8 or uint16 sRGB, (H, W) or (H, W, 1 to 4), alpha last of 2 and 4 channels.

    Gives (H, W, 3), or (H, W, 4) with alpha, of the same type. Raises ShapeError, DeviceError.
    """
    values = np.asarray(values)
    is_picture = values.ndim == 2 or (values.ndim == 3 and 1 <= values.shape[2] <= 4)
    if values.dtype not in (np.uint8, np.uint16) or not is_picture or not values.size:
        raise ShapeError(f"found {values.dtype} {values.shape}, needed uint8 or uint16, (H, W) or (H, W, 1 to 4).")
    return _paint(make_page(raster_from_array(values, None), 1), colorizer, hints)


def _paint(page: Page, colorizer: Colorizer, hints: Sequence[Hint]) -> Rgb:
    for hint in hints:
        if hint.page != 1:
            raise UsageError(f"{hint.name}: its page is {hint.page}; an array is of the first page.")
    lightness = page.lightness(colorizer.size)
    (ab,) = colorizer.predict([lightness])
    if hints:
        (guided,) = colorizer.guide([lightness], [ab], [draw_known(hints, page, lightness)[0]])
        ab = guided.ab_2hw
    page = replace(page, colored_regions=None, original_rgb=None)
    painted: Rgb = np.concatenate([strip for _, strip in page.paint_strips(ab)])
    return painted
