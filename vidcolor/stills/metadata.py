"""Splicing of everything beside the pixels, byte for byte, from one file into another of the same format.

Each `splice_` function takes the source file, the colored file as an encoder wrote it, and what changes. It returns
the colored file with the source's other parts, and a sentence for each part that could not be copied.
Sources: ITU-T T.81 annex B (JPEG), W3C PNG (third edition) clause 11, ISO/IEC 15444-1 annex I (JPEG 2000).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from vidcolor.stills import exif

_ICC, _XMP, _MPF, _IRB = b"ICC_PROFILE\0", b"http://ns.adobe.com/xap/1.0/\0", b"MPF\0", b"Photoshop 3.0\0"
_IRB_THUMBNAILS = {1033, 1036}
_PNG_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"hIST", b"bKGD", b"sBIT", b"iCCP", b"eXIf"}
_COLOR_CLAIMS = {b"sRGB", b"gAMA", b"cHRM", b"cICP"}
_JP2_PIXEL_BOXES = {b"jP  ", b"ftyp", b"jp2h", b"jp2c", b"jp2i"}
_EXIF_UUID = b"JpgTiffExif->JP2"


@dataclass(frozen=True)
class Changes:
    """What changes in the metadata.

    software: for the tag of the software.  thumbnail: a small JPEG of the colored picture.  icc_before, icc: the
    profiles of the source and of the colored picture.
    """

    software: str
    thumbnail: bytes | None
    icc_before: bytes | None
    icc: bytes | None


def exif_of(found: bytes | None, content: bytes, kind: str) -> bytes:
    """The EXIF block of a file. found: what Pillow read of it."""
    if kind == "JPEG2000":
        boxes = jp2_boxes(content) if content[4:8] == b"jP  " else ()
        return next((data[16:] for name, data in boxes if name == b"uuid" and data.startswith(_EXIF_UUID)), b"")
    return (found or b"").removeprefix(exif.PREFIX)


def splice_jpeg(source: bytes, colored: bytes, changes: Changes) -> tuple[bytes, tuple[str, ...]]:
    """Splice APP segments and comments into a JPEG file."""
    kept, losses, block = [], [], b""
    for marker, data in jpeg_segments(source):
        if marker == 0xE1 and data.startswith(exif.PREFIX):
            block = block or data[len(exif.PREFIX) :]
        elif (marker == 0xE0 and data.startswith(b"JFXX")) or marker == 0xEE or data.startswith((_ICC, _MPF)):
            continue  # MPF's offsets lead to pictures behind the first; see trailers.py
        elif marker == 0xED and data.startswith(_IRB):
            kept.append((marker, _IRB + remove_thumbnails(data[len(_IRB) :])))
        elif 0xE0 <= marker <= 0xEF or marker == 0xFE:
            kept.append((marker, data))
    edited = exif.edit(block, changes.software, changes.thumbnail)
    if len(edited) > exif.LARGEST and changes.thumbnail:
        edited = exif.edit(block, changes.software, None)
    if len(edited) > exif.LARGEST:
        losses.append("The EXIF block is full: it could not take the tag that names the software.")
        edited = block
    first = 1 if kept and kept[0][0] == 0xE0 else 0
    kept.insert(first, (0xE1, exif.PREFIX + edited))
    kept += [(0xE2, part) for part in _icc_parts(changes.icc)]
    pixels = b"".join(_segment(m, d) for m, d in jpeg_segments(colored) if not 0xE0 <= m <= 0xEF)
    scan = start_of_scan(colored)
    return b"\xff\xd8" + b"".join(_segment(*part) for part in kept) + pixels + colored[scan:], tuple(losses)


def jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and data of every segment before the first scan."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA:
            return
        length = struct.unpack_from(">H", content, at + 2)[0]
        yield marker, content[at + 4 : at + 2 + length]
        at += 2 + length


def start_of_scan(content: bytes) -> int:
    """The offset of the first SOS marker, or of the first bytes that are no segment."""
    return 2 + sum(4 + len(data) for _, data in jpeg_segments(content))


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _icc_parts(icc: bytes | None) -> list[bytes]:
    parts = [icc[at : at + 65_000] for at in range(0, len(icc), 65_000)] if icc else []
    return [_ICC + bytes((number, len(parts))) + part for number, part in enumerate(parts, 1)]


def remove_thumbnails(resources: bytes) -> bytes:
    """Remove the thumbnails from Photoshop's image resources."""
    kept, at = b"", 0
    while at + 12 <= len(resources) and resources[at : at + 4] == b"8BIM":
        number = struct.unpack_from(">H", resources, at + 4)[0]
        named = at + 6 + (resources[at + 6] + 2) // 2 * 2
        end = named + 4 + (struct.unpack_from(">I", resources, named)[0] + 1) // 2 * 2
        if number not in _IRB_THUMBNAILS:
            kept += resources[at:end]
        at = end
    return kept + resources[at:]


def splice_png(source: bytes, colored: bytes, changes: Changes) -> tuple[bytes, tuple[str, ...]]:
    """Splice ancillary chunks into a PNG file."""
    before, after, block, seen_pixels, losses = b"", b"", b"", False, []
    depth, kind = source[24], source[25]
    for name, data in png_chunks(source):
        seen_pixels = seen_pixels or name == b"IDAT"
        if name == b"eXIf":
            block = data
        elif name in (b"bKGD", b"sBIT") and depth >= 8 and kind in (0, 4):
            size = 2 if name == b"bKGD" else 1
            before += _chunk(name, data[:size] * 3 + data[size:])
        elif name in (b"bKGD", b"sBIT") and kind in (2, 6):
            before += _chunk(name, data)
        elif name == b"bKGD":
            losses.append("The background color of a PNG with a palette or few bits is not carried over.")
        elif name not in _PNG_PIXEL_CHUNKS and not (name in _COLOR_CLAIMS and changes.icc != changes.icc_before):
            before, after = (
                (before, after + _chunk(name, data)) if seen_pixels else (before + _chunk(name, data), after)
            )
    if changes.icc:
        before = _chunk(b"iCCP", b"icc\0\0" + zlib.compress(changes.icc)) + before
    before += _chunk(b"eXIf", exif.edit(block, changes.software, changes.thumbnail))
    chunks = list(png_chunks(colored))
    pixels = b"".join(_chunk(name, data) for name, data in chunks if name == b"IDAT")
    whole = colored[:8] + _chunk(*chunks[0]) + before + pixels + after + _chunk(b"IEND", b"")
    return whole, tuple(losses)


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and data of every chunk."""
    at = 8
    while at + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        yield name, content[at + 8 : at + 8 + length]
        if name == b"IEND":
            return
        at += 12 + length


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def splice_jp2(source: bytes, colored: bytes, changes: Changes) -> tuple[bytes, tuple[str, ...]]:
    """Splice the boxes around the code stream into a JP2 file."""
    if source[4:8] != b"jP  ":
        return colored, ("A bare JPEG 2000 code stream has no room for metadata or for the tag of the software.",)
    kept, block = b"", b""
    for name, data in jp2_boxes(source):
        if name == b"uuid" and data.startswith(_EXIF_UUID):
            block = data[16:]
        elif name not in _JP2_PIXEL_BOXES:
            kept += _box(name, data)
    kept += _box(b"uuid", _EXIF_UUID + exif.edit(block, changes.software, changes.thumbnail))
    old_header = dict(jp2_boxes(source)).get(b"jp2h", b"")
    resolution = dict(jp2_boxes(old_header)).get(b"res ")
    whole = b""
    for name, data in jp2_boxes(colored):
        if name == b"jp2h":
            inner = b"".join(_box(*_replace_profile(inner, changes.icc)) for inner in jp2_boxes(data))
            data = inner + (_box(b"res ", resolution) if resolution else b"")
        if name == b"jp2c":
            whole += kept
        whole += _box(name, data)
    return whole, ()


def jp2_boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every box."""
    at = 0
    while at + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", content, at + 8)[0], 16
        end = at + length if length else len(content)
        yield name, content[at + head : end]
        at = end


def jp2_profile(content: bytes) -> bytes | None:
    """The ICC profile of a JP2 file."""
    header = dict(jp2_boxes(content)).get(b"jp2h", b"") if content[4:8] == b"jP  " else b""
    color = dict(jp2_boxes(header)).get(b"colr", b"")
    return color[3:] if color[:1] == b"\2" else None


def _replace_profile(box: tuple[bytes, bytes], icc: bytes | None) -> tuple[bytes, bytes]:
    return (b"colr", b"\2\0\0" + icc) if box[0] == b"colr" and icc else box


def _box(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data) + 8, name) + data


def webp_chunks(content: bytes, at: int = 12) -> dict[bytes, bytes]:
    """The last chunk of every kind by its name (RFC 9649, 2.3); chunks of animation frames are empty."""
    found: dict[bytes, bytes] = {}
    while at + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, at)
        if name == b"ANMF":
            found[content[at + 24 : at + 28]] = b""
        found[name] = b"" if name == b"ANMF" else content[at + 8 : at + 8 + length]
        at += 8 + (length + 1) // 2 * 2
    return found
