"""The clean aperture of MP4 and MOV: which part of the picture is shown. PyAV neither reads nor writes it.

Boxes: ISO/IEC 14496-12, 4.2; the clean aperture: 12.1.4.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vidcolor.frames import Crop

_MOST_MOOV = 256 << 20  # bytes; a longer index is no film's
_ENTRY_HEAD = 8 + 78  # of a VisualSampleEntry, before the boxes in it
_WIDTH_PLACE = 8 + 24  # of width and height in it
_CLAP = struct.Struct(">I4s8i")


def crop_of(path: Path, index: int) -> Crop | None:
    """The pixels of track `index`, from 0, that are not shown; None where all are, or the file is not as expected."""
    try:
        with path.open("rb") as file:
            found = _find_moov(file)
            if found is None:
                return None
            tracks = [box for box in _boxes(found[1], 8, len(found[1])) if box[0] == b"trak"]
            _, start, end = _find_entry(found[1], tracks[index])
        moov = found[1]
        width, height = struct.unpack_from(">HH", moov, start + _WIDTH_PLACE)
        clap = next(box for box in _boxes(moov, start + _ENTRY_HEAD, end) if box[0] == b"clap")
        values = _CLAP.unpack_from(moov, clap[1])[2:]
        wide, high, across, down = (top / bottom for top, bottom in zip(values[::2], values[1::2], strict=True))
    except (OSError, IndexError, StopIteration, struct.error, ZeroDivisionError):
        return None
    left, top = round((width - wide) / 2 + across), round((height - high) / 2 + down)
    crop = Crop(left, top, round(width - wide) - left, round(height - high) - top)
    return crop if crop.is_valid_for(width, height) else None


def write_crop(file: BinaryIO, crop: Crop) -> bool:
    """Write a clean aperture into the first video track of a finished file; False unless its index stands last."""
    try:
        found = _find_moov(file)
        if found is None or found[0] + len(found[1]) != file.seek(0, 2):
            return False
        place, moov = found[0], bytearray(found[1])
        track = next(
            box for box in _boxes(moov, 8, len(moov)) if box[0] == b"trak" and b"vide" in moov[box[1] : box[2]]
        )
        *parents, entry = _find_entry_path(moov, track)
    except (StopIteration, struct.error):
        return False
    width, height = struct.unpack_from(">HH", moov, entry[1] + _WIDTH_PLACE)
    clap = _CLAP.pack(
        _CLAP.size, b"clap", width - crop.left - crop.right, 1, height - crop.top - crop.bottom, 1,
        crop.left - crop.right, 2, crop.top - crop.bottom, 2,
    )  # fmt: skip
    for start in (0, *(box[1] for box in (*parents, entry))):
        (size,) = struct.unpack_from(">I", moov, start)
        struct.pack_into(">I", moov, start, size + len(clap))
    moov[entry[2] : entry[2]] = clap
    file.seek(place)
    file.write(moov)
    return True


Box = tuple[bytes, int, int]  # kind, where it begins and ends


def _boxes(data: bytes | bytearray, start: int, end: int) -> Iterator[Box]:
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        last = start + size if size else end
        if not start + 8 <= last <= end:
            return
        yield kind, start, last
        start = last


def _find_entry_path(moov: bytes | bytearray, track: Box) -> list[Box]:
    """The boxes from a track down to the entry that describes its samples."""
    found = [track]
    for name in (b"mdia", b"minf", b"stbl", b"stsd"):
        _, start, end = found[-1]
        found.append(next(box for box in _boxes(moov, start + 8, end) if box[0] == name))
    _, start, end = found[-1]
    return [*found, next(_boxes(moov, start + 16, end))]


def _find_entry(moov: bytes, track: Box) -> Box:
    return _find_entry_path(moov, track)[-1]


def _find_moov(file: BinaryIO) -> tuple[int, bytes] | None:
    """The position and content of the index; None where there is none."""
    length, place = file.seek(0, 2), 0
    while place + 8 <= length:
        file.seek(place)
        head = file.read(16)
        size, kind = struct.unpack_from(">I4s", head)
        if size == 1:
            (size,) = struct.unpack_from(">Q", head, 8)
        size = size or length - place
        if kind == b"moov":
            file.seek(place)
            return (place, file.read(size)) if size <= _MOST_MOOV else None
        if size < 8:
            return None
        place += size
    return None
