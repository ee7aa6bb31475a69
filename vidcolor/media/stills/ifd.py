"""TIFF directories as the entries they are, so that every tag goes over with its own type and bytes.

Source: TIFF 6.0, section 2; BigTIFF as in libtiff.gitlab.io/libtiff/specification/bigtiff.html.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

ASCII, SHORT, LONG, UNDEFINED, LONG8 = 2, 3, 4, 7, 16
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {SHORT: "H", LONG: "I", LONG8: "Q"}
DIRECTORIES = {34665, 34853, 40965}  # EXIF, GPS, interoperability
_MOST_ENTRIES = 4096


@dataclass(frozen=True)
class Layout:
    """How numbers lie in a file. order: "<" or ">".  big: 64-bit offsets."""

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
    """A tag. data: its values as they lie in the file; of a directory, the entries in it."""

    kind: int
    count: int
    data: bytes
    inner: "dict[int, Entry] | None" = None


def read(file: BinaryIO, place: int, layout: Layout) -> dict[int, Entry]:
    """Tags of the directory at `place`, with those of EXIF and GPS inside. Damaged entries are left out.

    Raises struct.error where the directory is cut off.
    """
    order, wide = layout.order, 8 if layout.big else 4
    file.seek(place)
    count = struct.unpack(order + ("Q" if layout.big else "H"), file.read(8 if layout.big else 2))[0]
    table = file.read((12 + 2 * (wide - 4)) * min(count, _MOST_ENTRIES))
    entries = {}
    for row in struct.iter_unpack(order + ("HHQ8s" if layout.big else "HHI4s"), table):
        code, kind, number, value = row
        size = _SIZES.get(kind, 0) * number
        data = value[:size]
        if size > wide:
            file.seek(struct.unpack(layout.offset, value)[0])
            data = file.read(size)
        if not size or len(data) < size:
            continue
        inner = None
        if code in DIRECTORIES and kind in (LONG, 13, LONG8, 18) and number == 1:
            inner = read(file, struct.unpack(order + ("I" if size == 4 else "Q"), data)[0], layout)
        entries[code] = Entry(kind, number, data, inner)
    return entries


def numbers(kind: int, values: list[int], layout: Layout) -> Entry:
    """A tag of SHORT, LONG or LONG8 numbers."""
    return Entry(kind, len(values), struct.pack(f"{layout.order}{len(values)}{_CODES[kind]}", *values))


def text(value: bytes) -> Entry:
    """An ASCII tag."""
    return Entry(ASCII, len(value) + 1, value + b"\0")


def write(file: BinaryIO, entries: dict[int, Entry], layout: Layout) -> tuple[int, int]:
    """Append a directory and all its data. Where it lies, and where its link to the next directory does."""
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
    """Write at the file's end, at an even place; where that is."""
    place = file.seek(0, 2)
    if place % 2:
        file.write(b"\0")
        place += 1
    file.write(data)
    return place
