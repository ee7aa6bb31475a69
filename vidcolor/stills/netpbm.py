"""PGM, PPM and PBM files, 8 and 16 bit (netpbm.sourceforge.net/doc/pgm.html)."""

import re
from typing import Any

import numpy as np

from vidcolor.color import Floats
from vidcolor.stills.page import Page
from vidcolor.stills.raster import Raster, raster_from_array

_TOKEN = re.compile(rb"(?:\s|#[^\n]*\n)*([0-9]+)")
_COMMENT = re.compile(rb"#([^\n]*)\n")


def read_size(content: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises ValueError."""
    return _read_header(content)[:2]


def _read_header(content: bytes) -> tuple[int, int, int, int]:
    """Width, height, largest code, start of the pixels."""
    at, numbers = 2, []
    for _ in range(2 if content[1:2] in b"14" else 3):
        found = _TOKEN.match(content, at)
        if found is None:
            raise ValueError("no header")
        numbers.append(int(found[1]))
        at = found.end()
    width, height, top = (*numbers, 1)[:3]
    if not 1 <= top <= 65535:
        raise ValueError(f"largest code {top}")
    return width, height, top, at + 1


def find_end(content: bytes) -> int:
    """The offset behind the first picture; of a picture in text, the end of the file."""
    width, height, top, at = _read_header(content)
    samples = {b"4": -(-width // 8) * height, b"5": width * height, b"6": width * height * 3}.get(content[1:2])
    return len(content) if samples is None else at + samples * (2 if top > 255 else 1)


def decode(content: bytes) -> Raster:
    """Decode the picture, its codes scaled to 8 or 16 bit where the largest is neither 255 nor 65535."""
    width, height, top, at = _read_header(content)
    kind, samples = content[1] - 48, width * height * (3 if content[1:2] in b"36" else 1)
    if kind == 4:
        packed = np.frombuffer(content, np.uint8, (width + 7) // 8 * height, at).reshape(height, -1)
        values: Any = 1 - np.unpackbits(packed, axis=1)[:, :width]
    elif kind > 4:
        values = np.frombuffer(content, np.uint8 if top < 256 else ">u2", samples, at)
    else:
        text = re.sub(rb"#[^\n]*\n", b" ", content[at - 1 :])
        values = np.array(text.split() if kind > 1 else re.findall(rb"[01]", text), np.uint16)[:samples]
        values = 1 - values if kind == 1 else values
    values = values.reshape((height, width, 3) if kind in (3, 6) else (height, width))
    scale = 255 if top < 256 else 65535
    if top != scale:
        values = np.rint(values.astype(np.float32) * (scale / top))
    return raster_from_array(values.astype(np.uint8 if scale == 255 else np.uint16), None)


def encode(source: bytes, page: Page, ab: Floats, software: str) -> bytes:
    """Encode a painted page as a binary PPM, with the source's comments and one that names the software."""
    head = source[: _read_header(source)[3]]
    comments = b"".join(b"#" + text + b"\n" for text in _COMMENT.findall(head))
    comments += b"# Color: " + software.encode("ascii", "replace") + b"\n"
    height, width = page.size
    pixels = b"".join(
        strip.astype(">u2" if page.bits == 16 else np.uint8).tobytes() for _, strip in page.paint_strips(ab)
    )
    return b"P6\n" + comments + b"%d %d\n%d\n" % (width, height, (1 << page.bits) - 1) + pixels
