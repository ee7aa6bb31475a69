"""The noun that reading and writing share: an open still image file."""

from dataclasses import dataclass, field, replace

from vidcolor.stills.page import Pages
from vidcolor.stills.tiff import TiffPages


@dataclass(frozen=True)
class Still:
    """An open still image file.

    format: one of header.FORMATS.  pages: decoded when asked for; the last one stays in memory.  pixels: of all pages.
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

    def recolored(self) -> "Still":
        """The same, of whose pages none keeps colors in parts."""
        pages = Pages(len(self.pages), lambda number: replace(self.pages[number], own=None, colors=None))
        if self.reader is not None:
            self.reader.pages = pages
        return replace(self, pages=pages)

    def close(self) -> None:
        """Let the file go, where it is still read from."""
        if self.reader is not None:
            self.reader.close()

    def __enter__(self) -> "Still":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
