"""Editing of EXIF blocks without moving their bytes, as maker notes hold absolute offsets.

Source: CIPA DC-008 (Exif 2.32), 4.6; the block is a TIFF file of its own (TIFF 6.0, section 2).
"""

import struct

ORIENTATION, PROCESSING_SOFTWARE, THUMBNAIL_AT, THUMBNAIL_LENGTH = 0x0112, 0x000B, 0x0201, 0x0202
_ASCII, _SHORT, _LONG = 2, 3, 4
LARGEST = 65_000  # of a block: JPEG's segments end at 65,533
PREFIX = b"Exif\0\0"

_Entry = bytes  # 12: tag, type, count, value or offset


def read_orientation(block: bytes) -> int:
    """The orientation 1..8; 1 where it is missing or the block is damaged."""
    try:
        order, place = _read_header(block)
        entries, _ = _read_directory(block, order, place)
    except (ValueError, struct.error):
        return 1
    for entry in entries:
        if struct.unpack_from(order + "HH", entry) == (ORIENTATION, _SHORT):
            value = struct.unpack_from(order + "H", entry, 8)[0]
            return value if 1 <= value <= 8 else 1
    return 1


def has_thumbnail(block: bytes) -> bool:
    """Whether the block has a thumbnail."""
    try:
        order, place = _read_header(block)
        return _read_directory(block, order, place)[1] != 0
    except (ValueError, struct.error):
        return False


def edit(block: bytes, software: str, thumbnail: bytes | None) -> bytes:
    """Set ProcessingSoftware and replace the thumbnail.

    block: a TIFF structure without "Exif\\0\\0"; empty or damaged: a new one is made.  thumbnail: a JPEG file, or None
    to drop the old one. All offsets into the old block stay valid: a new first directory is appended to it.
    """
    try:
        order, place = _read_header(block)
        entries, following = _read_directory(block, order, place)
    except (ValueError, struct.error):
        block, order, entries, following = b"II*\0" + bytes(4), "<", [], 0
    old_small = _thumbnail_span(block, order, following) if following else None
    end = len(block)
    if old_small is not None:
        start, length = old_small
        block = block[:start] if start + length >= end else block[:start] + bytes(length) + block[start + length :]
    body = bytearray(block + bytes(len(block) % 2))
    behind = 0
    if old_small is not None and thumbnail is not None:
        behind = _append_thumbnail(body, order, following, thumbnail)
    text = software.encode("ascii", "replace") + b"\0"
    at = len(body)
    body += text + bytes(len(text) % 2)
    kept = [entry for entry in entries if struct.unpack_from(order + "H", entry)[0] != PROCESSING_SOFTWARE]
    kept.append(struct.pack(order + "HHII", PROCESSING_SOFTWARE, _ASCII, len(text), at))
    struct.pack_into(order + "I", body, 4, len(body))
    body += _pack_directory(kept, order, behind)
    return bytes(body)


def _read_header(block: bytes) -> tuple[str, int]:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        raise ValueError("no TIFF structure")
    return order, struct.unpack_from(order + "I", block, 4)[0]


def _read_directory(block: bytes, order: str, place: int) -> tuple[list[_Entry], int]:
    """Entries of the directory at `place`, and the offset of the next one (0: none)."""
    count = struct.unpack_from(order + "H", block, place)[0]
    first, end = place + 2, place + 2 + 12 * count
    if end > len(block):
        raise ValueError("directory beyond the end")
    following = struct.unpack_from(order + "I", block, end)[0] if end + 4 <= len(block) else 0
    return [block[at : at + 12] for at in range(first, end, 12)], following if following < len(block) else 0


def _thumbnail_span(block: bytes, order: str, place: int) -> tuple[int, int] | None:
    """Start and length of the thumbnail that directory 1 points to; None where there is none."""
    try:
        entries, _ = _read_directory(block, order, place)
    except (ValueError, struct.error):
        return None
    values = {struct.unpack_from(order + "H", e)[0]: struct.unpack_from(order + "I", e, 8)[0] for e in entries}
    start, length = values.get(THUMBNAIL_AT, 0), values.get(THUMBNAIL_LENGTH, 0)
    return (start, length) if 0 < start < len(block) and length else None


def _append_thumbnail(body: bytearray, order: str, place: int, thumbnail: bytes) -> int:
    """Append the new thumbnail and its directory to the block; the directory's offset."""
    entries, _ = _read_directory(bytes(body) + bytes(65536), order, place)
    at = len(body)
    body += thumbnail + bytes(len(thumbnail) % 2)
    changed = {THUMBNAIL_AT: at, THUMBNAIL_LENGTH: len(thumbnail)}
    renewed = []
    for entry in entries:
        tag = struct.unpack_from(order + "H", entry)[0]
        renewed.append(struct.pack(order + "HHII", tag, _LONG, 1, changed[tag]) if tag in changed else entry)
    directory = len(body)
    body += _pack_directory(renewed, order, 0)
    return directory


def _pack_directory(entries: list[_Entry], order: str, following: int) -> bytes:
    entries = sorted(entries, key=lambda entry: struct.unpack_from(order + "H", entry)[0])
    return struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack(order + "I", following)
