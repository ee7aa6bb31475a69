"""Detection of data behind a picture's end, which is not copied: further pictures, a motion photo's film, anything."""

import io
import re

from vidcolor.counts import counted
from vidcolor.stills import header, metadata, netpbm

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # of a segment, among coded pixels (T.81, B.1.1.2)
_PADDING = b"\0\xff\t\r\n "


def trailing_losses(content: bytes, kind: str) -> tuple[str, ...]:
    """A sentence on the data behind a file's picture; none where there is nothing, or padding."""
    rest = content[_find_end(content, kind) :]
    if not rest.strip(_PADDING):
        return ()
    if b"\xff\xd8\xff" in rest or kind == "PPM":
        return ("Further pictures behind the first (multi-picture format) are not carried over.",)
    if b"ftyp" in rest[:256]:
        return ("The film behind the picture (motion photo) is not carried over.",)
    are = "is" if len(rest) == 1 else "are"
    return (f"{counted(len(rest), 'byte')} behind the picture's end {are} not carried over.",)


def _find_end(content: bytes, kind: str) -> int:
    match kind:
        case "JPEG":
            return _find_jpeg_end(content)
        case "PNG":
            return content.find(b"IEND", 8) + 8
        case "GIF":
            return header.find_gif_end(io.BytesIO(content))
        case "WEBP":
            return 8 + int.from_bytes(content[4:8], "little")
        case "PPM":
            return netpbm.find_end(content)
    return len(content)  # other formats are boxes up to their end


def _find_jpeg_end(content: bytes) -> int:
    """The offset behind EOI."""
    at = metadata.start_of_scan(content)
    while found := _MARKER.search(content, at):
        at = found.end()
        marker = content[at - 1]
        if marker == 0xD9:
            return at
        if marker != 1:
            at += int.from_bytes(content[at : at + 2])
    return len(content)
