"""The pages of one photo file: their predicted colors, and the colored file with its thumbnails."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidcolor.color import Floats
from vidcolor.counts import counted
from vidcolor.errors import UsageError
from vidcolor.filenames import scratch_name
from vidcolor.hints import Hint, draw
from vidcolor.inference.batching import BatchingPredictor
from vidcolor.inference.listening import Known, known_size
from vidcolor.planes import shrink
from vidcolor.stills.encode import encode_jpeg
from vidcolor.stills.files import write_still
from vidcolor.stills.page import Page, StillSettings
from vidcolor.stills.rgb import thumbnail_jpeg
from vidcolor.stills.still import Still

HUGE_PIXELS = 100_000_000  # files of as many pixels are encoded on disk instead of in memory
UNTURNED = 4  # EXIF orientations above are turned by a quarter
THUMBNAIL_SIDE = 224  # long side in pixels of the report's thumbnails


class PageColors:
    """Iterates over the a*b* of a file's pages; None for pages that keep their colors.

    count: pages colored so far.  thumbnails: JPEG files of the first page, before and after, if wanted.
    """

    def __init__(
        self,
        still: Still,
        network: BatchingPredictor,
        hints: Sequence[Hint] = (),
        *,
        recolor: bool = False,
        is_shown: bool = False,
    ) -> None:
        """hints: for this file.  recolor: predict pages, and parts of pages, that are in color, too.  is_shown: whether
        to make thumbnails.
        """
        self._still, self._network, self._recolor, self._is_shown = still, network, recolor, is_shown
        self._hints = hints
        for hint in hints:
            if hint.page > len(still.pages):
                raise UsageError(f"{hint.name}: its page is {hint.page}, and the file has {len(still.pages)}.")
        self._begun: list[Floats | None] = []
        self.remarks: list[str] = []  # on hints, for people
        self.count = 0
        self._shares: list[float] = []  # of each mixed page: the share of its area that keeps its colors
        self.thumbnails: tuple[bytes, bytes] | None = None
        self._rest = (self._color(number) for number in range(len(still.pages)))

    def has_any(self) -> bool:
        """Whether any page is to be colored. Predicts no further than the first one."""
        for ab in self._rest:
            self._begun.append(ab)
            if ab is not None:
                return True
        return False

    @property
    def kept_colors(self) -> tuple[str, ...]:
        """How much color mixed pages keep, as remarks."""
        if not self._shares:
            return ()
        mixed = len(self._shares)
        of = "it" if len(self._still.pages) == 1 else counted(mixed, "page")
        return (f"{max(1, round(100 * sum(self._shares) / mixed))} % of {of} had color and keeps it",)

    def __iter__(self) -> Iterator[Floats | None]:
        yield from self._begun
        yield from self._rest

    def _color(self, number: int) -> Floats | None:
        page = self._still.pages[number]
        if not self._recolor and page.tone == "color":
            return None
        lightness, known = page.lightness(self._network.size), None
        if hints := [hint for hint in self._hints if hint.page == number + 1]:
            known, remarks = draw_known(hints, page, lightness)
            self.remarks += remarks
        ab = self._network.predict(lightness, known)
        self.count += 1
        if page.colored_regions is not None and not self._recolor:
            self._shares.append(page.colored_regions.share)
        is_plain = page.tone == "gray" and page.bits == 8 and page.orientation == 1 and not page.alpha
        if self._is_shown and number == 0 and is_plain:  # decoding both files would take longer
            before, after = (encode_jpeg(page.preview(shown, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))) for shown in (None, ab))
            self.thumbnails = before, after
        return ab


def draw_known(hints: Sequence[Hint], page: Page, lightness_hw: Floats) -> tuple[Known, tuple[str, ...]]:
    """The colors that hints say of a page, and remarks on them. lightness: as the network sees the page, upright.

    Raises UsageError for a hint that is outside of it, or has a frame or a time.
    """
    for hint in hints:
        if hint.frame is not None or hint.seconds is not None:
            raise UsageError(f"{hint.name}: has a {'time' if hint.frame is None else 'frame'}, but this is a photo.")
    height, width = page.size
    shown = (height, width) if page.orientation > UNTURNED else (width, height)
    drawn = draw(hints, shown, shrink(lightness_hw, known_size(lightness_hw.shape)))
    return Known(drawn.ab_2hw, drawn.known_hw), drawn.contradictions


def encode_photo(
    name: str, still: Still, colors: PageColors, settings: StillSettings, scratch: Path
) -> tuple[bytes | Path, tuple[str, ...]]:
    """Encode the colored file in memory or, if it is huge, in the scratch folder; also gives what it could not keep."""
    if still.pixels < HUGE_PIXELS:
        file = io.BytesIO()
        losses = write_still(still, colors, file, settings)
        return file.getvalue(), losses
    # The whole path: another folder may hold a file of the same name. Always the same: a killed run's is overwritten.
    path = scratch / scratch_name(name.replace("/", ":"))
    try:
        return path, write_still(still, colors, path, settings)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def make_thumbnails(before: bytes | Path, after: bytes | Path) -> tuple[bytes, bytes] | None:
    """JPEG thumbnails of two files; None where one cannot be decoded."""
    found = [thumbnail_jpeg(content, THUMBNAIL_SIDE) for content in (before, after)]
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None
