"""Format and picture sizes of a still file, read from its headers.

Nothing is decoded, and of a large file little is read, so that a file can be refused, or wait, before it takes memory.
Sources: ITU-T T.81 annex B (JPEG), W3C PNG (third edition) clause 11, GIF89a, RFC 9649 (WebP), ISO/IEC 15444-1 annexes
A and I (JPEG 2000), ISO/IEC 23008-12, 6.5.3 (AVIF, HEIF). TIFF is in tiff_tags.py.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vidcolor.errors import SourceError
from vidcolor.stills import netpbm

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000", "BMP", "PPM", "GIF")
TIFF_SIGNATURES = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
LEAST_PIXELS = 1 << 18  # that each of many pages counts as, at least: the network sees about as many
PIXELS_A_BYTE = 1000  # of pages together, for a byte of the file; a blank page of a fax has some hundreds
MOST_PAGES = 1 << 16
_SLACK_BYTES = 1 << 28  # of a file beside its pixels: metadata, a motion photo's film
_BYTES_A_PIXEL = 24  # in a PPM as text; no other format takes so many
_BEGINNING = 1 << 16  # bytes within which AVIF, HEIF and PPM state their size
_MOST_READS = 1 << 22  # of the parts of a file: some seconds
_HEIF_BRANDS = {b"heic", b"heix", b"mif1", b"msf1", b"heim", b"heis"}
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP", b"GIF8": "GIF",
    b"\0\0\0\x0cjP  ": "JPEG2000", b"\xff\x4f\xff\x51": "JPEG2000",
    **{b"P%d" % number: "PPM" for number in range(1, 7)}, **dict.fromkeys(TIFF_SIGNATURES, "TIFF"),
}  # fmt: skip

Size = tuple[int, int]  # width, height in pixels


class _BoundedReader:
    """A file that allows a limited number of reads, so that parsing ends."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, _MOST_READS

    def read(self, count: int) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ValueError("it has too many parts")
        return self._file.read(count)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()


@dataclass(frozen=True)
class Header:
    """What a file's header states. format: one of FORMATS.  sizes: of every page or frame; of TIFF none."""

    format: str
    sizes: tuple[Size, ...] = ()


def read(file: BinaryIO, name: str) -> Header:
    """Read the header of a seekable file, which is left at its start. Raises SourceError, and what damage raises."""
    start = file.read(32)
    if not start:
        raise SourceError(f"{name}: the file is empty. Copy it again.")
    kind = _detect_format(start, name)
    readers = {
        "JPEG": _read_jpeg, "PNG": _read_png, "GIF": _read_gif, "WEBP": _read_webp, "JPEG2000": _read_jpeg2000,
        "BMP": _read_bmp, "AVIF": _read_heif, "HEIF": _read_heif, "PPM": _read_ppm,
    }  # fmt: skip
    sizes = []
    for size in readers[kind](_BoundedReader(file)) if kind in readers else ():
        sizes.append(size)
        if len(sizes) > MOST_PAGES:
            raise too_many_pages(name)
    file.seek(0)
    return Header(kind, tuple(sizes))


def check(name: str, sizes: tuple[Size, ...], largest: int, file_bytes: int = 0) -> None:
    """Raise SourceError for a picture of more than `largest` pixels, or a file far too long for its pictures.

    Many pictures together may have more, as a scanned book has, unless the file is so small that it is a decompression
    bomb.
    """
    if not all(width and height for width, height in sizes):
        raise SourceError(f"{name}: the picture has no pixels.")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    if width * height > largest:
        raise _too_many_pixels(name, f"{width} x {height} =", width * height, largest)
    pixels, most = counted_pixels(sizes), max(largest, PIXELS_A_BYTE * file_bytes)
    if pixels > most:
        raise _too_many_pixels(name, f"{len(sizes)} pages or frames that count as", pixels, most)
    most_bytes = _BYTES_A_PIXEL * pixels + _SLACK_BYTES
    if file_bytes > most_bytes:
        raise SourceError(
            f"{name}: {_mega(file_bytes)} MB, where a picture of {_mega(pixels)} megapixels takes {_mega(most_bytes)} "
            "at most. Copy it again."
        )


def _too_many_pixels(name: str, found: str, pixels: int, most: int) -> SourceError:
    return SourceError(
        f"{name}: {found} {_mega(pixels)} megapixels, more than the limit of {_mega(most)}. "
        "Raise the limit (--largest-photo) if it is genuine."
    )


def counted_pixels(sizes: tuple[Size, ...]) -> int:
    """Pixels of all pictures; each of several counts as LEAST_PIXELS at least."""
    least = LEAST_PIXELS if len(sizes) > 1 else 1
    return sum(max(least, width * height) for width, height in sizes)


def too_many_pages(name: str) -> SourceError:
    """The error for a file of more than MOST_PAGES pages."""
    return SourceError(f"{name}: more than {MOST_PAGES} pages or frames, which is the limit. Split it.")


def _mega(count: int) -> str:
    return f"{count / 1e6:.6g}"


def _detect_format(start: bytes, name: str) -> str:
    found = next((kind for sign, kind in _SIGNATURES.items() if start.startswith(sign)), None)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        found = "WEBP"
    if start[4:8] == b"ftyp":
        found = "AVIF" if b"avif" in start[8:] or b"avis" in start[8:] else None
        found = found or ("HEIF" if start[8:12] in _HEIF_BRANDS else None)
    if found is None:
        raise SourceError(f"{name}: not a picture of a known kind. Known are {', '.join(FORMATS)}.")
    return found


def _read_jpeg(file: _BoundedReader) -> Iterator[Size]:
    file.seek(2)
    while True:
        mark = file.read(2)
        while mark == b"\xff\xff":  # fill bytes
            mark = mark[1:] + file.read(1)
        length = int.from_bytes(file.read(2))
        if len(mark) < 2 or mark[0] != 0xFF or length < 2:
            raise ValueError("broken before its size is said")
        if 0xC0 <= mark[1] <= 0xCF and mark[1] not in (0xC4, 0xC8, 0xCC):
            _, height, width = struct.unpack(">BHH", file.read(5))
            yield width, height
            return
        file.seek(length - 2, 1)


def _read_png(file: _BoundedReader) -> Iterator[Size]:
    """Every frame of an animation has the picture's size; acTL comes before the first of them."""
    file.seek(16)
    size = struct.unpack(">II", file.read(8))
    frames, at = 1, 33
    while len(head := _read_at(file, at, 12)) == 12 and head[4:8] != b"IDAT":
        if head[4:8] == b"acTL":
            frames = max(1, int.from_bytes(head[8:12]))
        at += 12 + int.from_bytes(head[:4])
    yield from (size for _ in range(frames))


def _read_at(file: _BoundedReader, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _read_bmp(file: _BoundedReader) -> Iterator[Size]:
    file.seek(14)
    head = file.read(12)
    if int.from_bytes(head[:4], "little") == 12:
        width, height = struct.unpack_from("<HH", head, 4)
    else:
        width, height = struct.unpack_from("<ii", head, 4)
    yield abs(width), abs(height)


def _read_ppm(file: _BoundedReader) -> Iterator[Size]:
    file.seek(0)
    yield netpbm.read_size(file.read(_BEGINNING))


def _read_gif(file: _BoundedReader) -> Iterator[Size]:
    """A frame has the size of the canvas so far, which frames may widen."""
    file.seek(6)
    width, height, packed = struct.unpack("<HHBxx", file.read(7))
    file.seek(3 << (packed & 7) + 1 if packed & 128 else 0, 1)
    while (block := file.read(1)) in (b"!", b",", b"\0"):
        if block == b"!":
            file.seek(1, 1)
        elif block == b",":
            left, top, wide, high, packed = struct.unpack("<HHHHB", file.read(9))
            width, height = max(width, left + wide), max(height, top + high)
            file.seek((3 << (packed & 7) + 1 if packed & 128 else 0) + 1, 1)
        if block != b"\0":
            while (length := file.read(1)) not in (b"", b"\0"):
                file.seek(length[0], 1)
        if block == b",":
            yield width, height


def find_gif_end(file: BinaryIO) -> int:
    """The offset behind a GIF's last block."""
    for _ in _read_gif(_BoundedReader(file)):
        pass
    return file.tell()


def _read_webp(file: _BoundedReader) -> Iterator[Size]:
    start = _read_at(file, 12, 18)
    if start[:4] == b"VP8L":
        bits = int.from_bytes(start[9:13], "little")
        yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return
    if start[:4] == b"VP8 ":
        width, height = struct.unpack_from("<HH", start, 14)
        yield width & 0x3FFF, height & 0x3FFF
        return
    size = tuple(int.from_bytes(start[at : at + 3], "little") + 1 for at in (12, 15))
    frames, at = 0, 12
    while len(head := _read_at(file, at, 8)) == 8:
        frames += head[:4] == b"ANMF"
        at += 8 + (int.from_bytes(head[4:], "little") + 1) // 2 * 2
        if head[:4] in (b"ANMF", b"VP8 ", b"VP8L"):
            yield size[0], size[1]
            if not frames:
                return


def _read_jpeg2000(file: _BoundedReader) -> Iterator[Size]:
    """The size of the first code stream (SIZ, A.5.1)."""
    at = 0
    while _read_at(file, at, 4) != b"\xff\x4f\xff\x51":
        head = _read_at(file, at, 16)
        length, name = struct.unpack_from(">I4s", head)
        inner = 16 if length == 1 else 8
        length = struct.unpack_from(">Q", head, 8)[0] if length == 1 else length
        if name != b"jp2c" and length < inner:
            raise ValueError("boxes without a code stream")
        at += inner if name == b"jp2c" else length
    right, bottom, left, top = struct.unpack(">4I", _read_at(file, at + 8, 16))
    yield max(0, right - left), max(0, bottom - top)


def _read_heif(file: _BoundedReader) -> Iterator[Size]:
    """The largest size that is stated: the whole picture's, where it is made of tiles."""
    start = _read_at(file, 0, _BEGINNING)
    found = [struct.unpack_from(">II", start, match.end() + 4) for match in re.finditer(b"ispe", start[:-12])]
    if not found:
        raise ValueError("its size is not said")
    width, height = max(found, key=lambda size: size[0] * size[1])
    yield width, height
