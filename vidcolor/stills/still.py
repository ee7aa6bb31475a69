"""The type that reading and writing share: an open still image file."""

from dataclasses import dataclass, field, replace

from vidcolor.stills.page import Pages
from vidcolor.stills.tiff import TiffPages


@dataclass(frozen=True)
class Still:
    """An open still image file.

    format: one of header.FORMATS.  pages: decoded on access; the last one stays in memory.  pixels: of all pages.
    """

    name: str
    format: str
    pages: Pages
    pixels: int
    own_losses: tuple[str, ...] = ()
    content: bytes = field(repr=False, default=b"")
    reader: TiffPages | None = field(repr=False, default=None)

    @property
    def losses(self) -> tuple[str, ...]:
        """What reading could not keep so far, one sentence each."""
        return self.own_losses if self.reader is None else self.reader.losses

    def discard_colors(self) -> "Still":
        """A copy whose mixed pages are painted all over."""
        pages = Pages(
            len(self.pages), lambda number: replace(self.pages[number], colored_regions=None, original_rgb=None)
        )
        if self.reader is not None:
            self.reader.pages = pages
        return replace(self, pages=pages)

    def close(self) -> None:
        """Close the file, if pages are still read from it."""
        if self.reader is not None:
            self.reader.close()

    def __enter__(self) -> "Still":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
