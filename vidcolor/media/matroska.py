"""The pixel shape and cropping in a Matroska or WebM header, which FFmpeg takes from fields that PyAV cannot set.

The muxer is given a padded track name; here the padding becomes DisplayWidth and DisplayHeight, in place, so that
nothing else in the file moves. Element numbers: RFC 9559, section 5.
"""

import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from vidcolor.frames import Crop

# Room for sizes and crops, a longer length field of their parent, and a Void of 2 bytes or more.
NAME_PADDING = " " * 64
_HEAD_BYTES = 1 << 20
_SEGMENT, _TRACKS, _TRACK_ENTRY = 0x18538067, 0x1654AE6B, 0xAE
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_CHAPTERS, _EDITION, _CHAPTER, _CHAPTER_UID, _CHAPTER_START, _CHAPTER_END = (
    0x1043A770, 0x45B9, 0xB6, 0x73C4, 0x91, 0x92,
)  # fmt: skip
_CHAPTER_DISPLAY, _CHAPTER_NAME, _CHAPTER_LANGUAGE = 0x80, 0x85, 0x437C
_CODEC_ID = 0x86
_ASPECT_RATIO = 3  # a DisplayUnit
_CRC32, _VOID, _NAME, _VIDEO = 0xBF, 0xEC, 0x536E, 0xE0
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xB0, 0xBA
_CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)  # PixelCropLeft, Top, Right, Bottom


def codec_ids(path: Path) -> dict[int, str]:
    """The CodecID of every track, by FFmpeg's stream index; empty for a file that is not Matroska."""
    try:
        head, entries = _track_entries(path)
    except (OSError, StopIteration, IndexError):
        return {}
    return {
        index: bytes(head[first:last]).rstrip(b"\0").decode("ascii", "replace")
        for index, (_, start, end, _) in enumerate(entries)
        for number, first, last, _ in _elements(head, start, end)
        if number == _CODEC_ID
    }


def crop_of(path: Path, index: int) -> Crop | None:
    """The pixels of track `index`, from 0, that are not shown; None where all are, or the file is not as expected."""
    try:
        head, entries = _track_entries(path)
        _, start, end, _ = entries[index]
        _, start, end, _ = next(entry for entry in _elements(head, start, end) if entry[0] == _VIDEO)
    except (OSError, StopIteration, IndexError):
        return None
    sizes = {number: int.from_bytes(head[first:last], "big") for number, first, last, _ in _elements(head, start, end)}
    crop = Crop(*(sizes.get(number, 0) for number in _CROPS))
    return crop if crop.is_valid_for(sizes.get(_PIXEL_WIDTH, 0), sizes.get(_PIXEL_HEIGHT, 0)) else None


def _track_entries(path: Path) -> tuple[bytearray, list[tuple[int, int, int, int]]]:
    """A file's head, and the positions of its track entries. Raises OSError, StopIteration, IndexError."""
    with path.open("rb") as file:
        head = bytearray(file.read(_HEAD_BYTES))
    return head, [entry for entry in _elements(head, *_find_tracks(head)) if entry[0] == _TRACK_ENTRY]


def write_picture(file: BinaryIO, shape: Fraction, crop: Crop | None = None) -> bool:
    """Write display size and cropping into the first video track of a finished file.

    shape: of a pixel, width / height. False if the header is not as expected.
    """
    file.seek(0)
    head = bytearray(file.read(_HEAD_BYTES))
    try:
        tracks_start, tracks_end = _find_tracks(head)
        entry_start, entry_end = next(
            (start, end)
            for number, start, end, _ in _elements(head, tracks_start, tracks_end)
            if number == _TRACK_ENTRY and any(found[0] == _VIDEO for found in _elements(head, start, end))
        )
    except (StopIteration, IndexError):
        return False
    reshaped = _rewrite_entry(head, entry_start, entry_end, shape, crop)
    if reshaped is None:
        return False
    head[entry_start:entry_end] = reshaped
    _renew_checksum(head, tracks_start, tracks_end)
    file.seek(tracks_start)
    file.write(head[tracks_start:tracks_end])
    return True


def write_chapters(file: BinaryIO, chapters: Sequence[tuple[Fraction, Fraction, str]]) -> bool:
    """Add chapters to a finished file that has none: (start, end, title), in seconds. False if it is not as expected.

    They are appended to the file; the index at its head, which has room for one more entry, points to them.
    """
    file.seek(0)
    head = bytearray(file.read(_HEAD_BYTES))
    end = file.seek(0, 2)
    try:
        segment = next(entry for entry in _elements(head, 0, len(head)) if entry[0] == _SEGMENT)
        index, spare = islice(_elements(head, segment[1], len(head)), 2)
        seek_id = _element(_SEEK_ID, _CHAPTERS.to_bytes(4, "big"))
        entry = _element(_SEEK, seek_id + _element(_SEEK_POSITION, _unsigned(end - segment[1])))
        room = spare[2] - index[2] - len(entry)
        if index[0] != _SEEK_HEAD or spare[0] != _VOID or segment[1] - segment[3] != 12 or room < 9:
            return False
        body = bytearray(_element(_SEEK_HEAD, bytes(head[index[1] : index[2]]) + entry))
        _renew_checksum(body, len(body) - (index[2] - index[1] + len(entry)), len(body))
    except (StopIteration, ValueError, IndexError):
        return False
    void = spare[2] - index[3] - len(body)
    body += bytes([_VOID, 0x01]) + (void - 9).to_bytes(7, "big") + bytes(void - 9)
    atoms = [
        _element(
            _CHAPTER,
            _element(_CHAPTER_UID, _unsigned(number))
            + _element(_CHAPTER_START, _unsigned(round(start * 10**9)) or b"\0")
            + _element(_CHAPTER_END, _unsigned(round(last * 10**9)) or b"\0")
            + _element(_CHAPTER_DISPLAY, _element(_CHAPTER_NAME, title.encode()) + _element(_CHAPTER_LANGUAGE, b"und")),
        )
        for number, (start, last, title) in enumerate(chapters, start=1)
    ]
    file.write(_element(_CHAPTERS, _element(_EDITION, b"".join(atoms))))
    size = file.tell() - segment[1]
    file.seek(segment[3] + 4)
    file.write(bytes([0x01]) + size.to_bytes(7, "big"))
    file.seek(index[3])
    file.write(body)
    return True


def _find_tracks(head: bytearray) -> tuple[int, int]:
    segment = next(start for number, start, _, _ in _elements(head, 0, len(head)) if number == _SEGMENT)
    return next((start, end) for number, start, end, _ in _elements(head, segment, len(head)) if number == _TRACKS)


def _rewrite_entry(head: bytearray, start: int, end: int, shape: Fraction, crop: Crop | None) -> bytes | None:
    """The track entry with a display size, as long as before: the name loses its padding, and a Void fills up."""
    parts = []
    for number, first, last, outer in _elements(head, start, end):
        body = bytes(head[first:last])
        if number == _NAME:
            name = body.rstrip(b" ")
            parts.append(_element(_NAME, name) if name else b"")
        elif number == _VIDEO:
            parts.append(_element(_VIDEO, _rewrite_video(head, first, last, shape, crop)))
        else:
            parts.append(bytes(head[outer:last]))
    entry = b"".join(parts)
    spare = end - start - len(entry)
    if spare < 2:
        return None
    return entry + bytes([_VOID, 0x80 | (spare - 2)]) + bytes(spare - 2)


def _rewrite_video(head: bytearray, start: int, end: int, shape: Fraction, crop: Crop | None) -> bytes:
    kept, size = b"", {}
    for number, first, last, outer in _elements(head, start, end):
        if number in (_PIXEL_WIDTH, _PIXEL_HEIGHT):
            size[number] = int.from_bytes(head[first:last], "big")
        if number not in (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT):
            kept += bytes(head[outer:last])
    width, height = size[_PIXEL_WIDTH], size[_PIXEL_HEIGHT]
    if crop is not None:
        sides = zip(_CROPS, (crop.left, crop.top, crop.right, crop.bottom), strict=True)
        kept += b"".join(_element(number, _unsigned(pixels)) for number, pixels in sides if pixels)
        width, height = (
            width - crop.left - crop.right,
            height - crop.top - crop.bottom,
        )  # the size is that of what is shown
    wide = width * shape
    if wide.denominator == 1:
        return kept + _element(_DISPLAY_WIDTH, _unsigned(wide.numerator)) + _element(_DISPLAY_HEIGHT, _unsigned(height))
    aspect = wide / height  # which no whole number of pixels has
    return (
        kept
        + _element(_DISPLAY_WIDTH, _unsigned(aspect.numerator))
        + _element(_DISPLAY_HEIGHT, _unsigned(aspect.denominator))
        + _element(_DISPLAY_UNIT, _unsigned(_ASPECT_RATIO))
    )


def _renew_checksum(head: bytearray, start: int, end: int) -> None:
    """RFC 8794, section 11.3.1: CRC-32 of everything in the parent after the checksum, little-endian."""
    number, first, last, _ = next(_elements(head, start, end))
    if number == _CRC32:
        head[first:last] = zlib.crc32(bytes(head[last:end])).to_bytes(4, "little")


def _elements(data: bytearray, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Children of a master element: number, start and end of the body, start of the element."""
    position = start
    while position < end:
        outer = position
        length = 9 - data[position].bit_length()
        number = int.from_bytes(data[position : position + length], "big")
        position += length
        length = 9 - data[position].bit_length()
        size = int.from_bytes(data[position : position + length], "big") & ((1 << 7 * length) - 1)
        position += length
        yield number, position, position + size, outer
        position += size


def _element(number: int, body: bytes) -> bytes:
    head = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(body) < 127:
        size = bytes([0x80 | len(body)])
    else:
        length = 2 if len(body) < 0x3FFF else 4
        size = (1 << 7 * length | len(body)).to_bytes(length, "big")
    return head + size + body


def _unsigned(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
