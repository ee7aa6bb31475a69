"""Reading and writing of TIFF directories, entry by entry, so that every tag keeps its type and bytes.

Source: TIFF 6.0, section 2; BigTIFF as in libtiff.gitlab.io/libtiff/specification/bigtiff.html.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from vidcolor.errors import SourceError
from vidcolor.stills.header import MOST_PAGES, too_many_pages

ASCII, SHORT, LONG, UNDEFINED, LONG8 = 2, 3, 4, 7, 16
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {SHORT: "H", LONG: "I", LONG8: "Q"}
DIRECTORIES = {34665, 34853, 40965}  # EXIF, GPS, interoperability
BITS = 258
_MOST_ENTRIES = 4096
_DEEPEST = 2  # EXIF in a page, interoperability in EXIF


@dataclass(frozen=True)
class Layout:
    """Byte order and offset size of a file. order: "<" or ">".  big: 64-bit offsets (BigTIFF)."""

    order: str
    big: bool

    @property
    def offset(self) -> str:
        """The struct code of an offset."""
        return self.order + ("Q" if self.big else "I")

    def header(self, first: int) -> bytes:
        """The file's first bytes, pointing to the first directory."""
        mark = b"II" if self.order == "<" else b"MM"
        if self.big:
            return mark + struct.pack(self.order + "HHHQ", 43, 8, 0, first)
        return mark + struct.pack(self.order + "HI", 42, first)


@dataclass(frozen=True)
class Entry:
    """A tag. data: its values as stored.  inner: the entries of a directory that the tag points to."""

    kind: int
    count: int
    data: bytes
    inner: "dict[int, Entry] | None" = None


@dataclass(frozen=True)
class Directory:
    """A page's directory. values: each tag's first number, 0 for tags without numbers."""

    place: int
    values: dict[int, int]


def layout_of(start: bytes) -> Layout:
    """How numbers lie in the file that begins so."""
    order = "<" if start[:2] == b"II" else ">"
    return Layout(order, struct.unpack(order + "H", start[2:4])[0] == 43)


def read_chain(file: BinaryIO, layout: Layout, name: str, most: int | None = None) -> tuple[list[Directory], bool]:
    """Read the directories of all pages, in order; also whether the last one's link leads out of the file.

    most: pages to read; the rest is ignored.
    Raises SourceError for links that form a loop, and for more than MOST_PAGES.
    """
    file.seek(8 if layout.big else 4)
    found: list[Directory] = []
    numbers_of: dict[int, int] = {}
    try:
        place = struct.unpack(layout.offset, file.read(8 if layout.big else 4))[0]
        while place and len(found) != most:
            if place in numbers_of:
                raise SourceError(
                    f"{name}: its pages form a loop: page {len(found)} leads back to page {numbers_of[place]}. "
                    "Copy it again, or save its pages as single pictures."
                )
            if len(found) == MOST_PAGES:
                raise too_many_pages(name)
            directory, following = _read_directory(file, place, layout)
            found.append(directory)
            numbers_of[place], place = len(found), following
    except struct.error:
        return found, True
    return found, False


def _read_directory(file: BinaryIO, place: int, layout: Layout) -> tuple[Directory, int]:
    rows, following = _read_entries(file, place, layout)
    values = {}
    for code, kind, number, value in rows:
        letter = {1: "B", SHORT: "H", LONG: "I", LONG8: "Q"}.get(kind, "")
        if code == BITS and _SIZES.get(kind, 0) * number > len(value):
            file.seek(struct.unpack(layout.offset, value)[0])
            value = file.read(8)
        is_here = letter and number and (_SIZES[kind] * number <= len(value) or code == BITS)
        values[code] = struct.unpack_from(layout.order + letter, value)[0] if is_here else 0
    return Directory(place, values), following


def _read_entries(file: BinaryIO, place: int, layout: Layout) -> tuple[list[tuple[int, int, int, bytes]], int]:
    """Read the table at `place`: code, kind, count, value or offset of each tag; and the next table's offset.

    Raises struct.error where the table is cut off.
    """
    order = layout.order
    file.seek(place)
    count = struct.unpack(order + ("Q" if layout.big else "H"), file.read(8 if layout.big else 2))[0]
    if count > _MOST_ENTRIES:
        raise struct.error(f"a directory of {count} tags")
    table = file.read((20 if layout.big else 12) * count)
    following = file.read(8 if layout.big else 4)
    rows = list(struct.iter_unpack(order + ("HHQ8s" if layout.big else "HHI4s"), table))
    if len(rows) < count:
        raise struct.error("a directory that is cut off")
    return rows, struct.unpack(layout.offset, following)[0] if len(following) == (8 if layout.big else 4) else 0


def read(file: BinaryIO, place: int, layout: Layout, most: int, depth: int = 0) -> dict[int, Entry]:
    """Read the tags of the directory at `place`, with EXIF and GPS directories; without damaged entries.

    most: bytes of all tags. Raises ValueError for more, struct.error where the directory is cut off.
    """
    entries: dict[int, Entry] = {}
    for code, kind, number, value in _read_entries(file, place, layout)[0]:
        size = _SIZES.get(kind, 0) * number
        data = value[:size]
        if code in entries or not size:
            continue
        if size > len(value):
            most -= size
            if most < 0:
                raise ValueError("its tags hold more than the whole file does")
            file.seek(struct.unpack(layout.offset, value)[0])
            data = file.read(size)
        if len(data) < size:
            continue
        inner = None
        if code in DIRECTORIES and kind in (LONG, 13, LONG8, 18) and number == 1:
            if depth == _DEEPEST:
                continue
            place = struct.unpack(layout.order + ("I" if size == 4 else "Q"), data)[0]
            inner = read(file, place, layout, most, depth + 1)
        entries[code] = Entry(kind, number, data, inner)
    return entries


def number_entry(kind: int, values: list[int], layout: Layout) -> Entry:
    """A tag of SHORT, LONG or LONG8 numbers."""
    return Entry(kind, len(values), struct.pack(f"{layout.order}{len(values)}{_CODES[kind]}", *values))


def text_entry(value: bytes) -> Entry:
    """An ASCII tag."""
    return Entry(ASCII, len(value) + 1, value + b"\0")


def write(file: BinaryIO, entries: dict[int, Entry], layout: Layout) -> tuple[int, int]:
    """Append a directory and its data; its offset, and that of its link to the next directory."""
    wide = 8 if layout.big else 4
    rows = []
    for code, entry in sorted(entries.items()):
        kind, count, data = entry.kind, entry.count, entry.data
        if entry.inner is not None:
            kind, count = (LONG8, 1) if layout.big else (LONG, 1)
            data = struct.pack(layout.offset, write(file, entry.inner, layout)[0])
        if len(data) > wide:
            data = struct.pack(layout.offset, append(file, data))
        rows.append(
            struct.pack(layout.order + ("HHQ" if layout.big else "HHI"), code, kind, count) + data.ljust(wide, b"\0")
        )
    head = struct.pack(layout.order + ("Q" if layout.big else "H"), len(rows)) + b"".join(rows)
    place = append(file, head + bytes(wide))
    return place, place + len(head)


def append(file: BinaryIO, data: bytes) -> int:
    """Append data at an even offset, which is returned."""
    place = file.seek(0, 2)
    if place % 2:
        file.write(b"\0")
        place += 1
    file.write(data)
    return place


class Writer:
    """Writes a TIFF file page by page."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self._file, self.layout = file, layout
        file.write(layout.header(0))
        self._link = 8 if layout.big else 4  # where the next page's offset is written

    def add(self, tags: dict[int, Entry]) -> None:
        """Add a page whose pixels are written."""
        place, following = write(self._file, tags, self.layout)
        self._file.seek(self._link)
        self._file.write(struct.pack(self.layout.offset, place))
        self._link = following
