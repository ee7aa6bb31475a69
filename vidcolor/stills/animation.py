"""Writing of animations frame by frame, with one painted frame in memory at a time.

GIF's blocks: GIF89a specification, clauses 17 to 27.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import GifImagePlugin, Image

Frame = tuple[Image.Image, int]  # RGB or RGBA, milliseconds

_KEEP, _TO_BACKGROUND = 1, 2  # GIF disposal methods


class LazyAnimation(Image.Image):
    """A Pillow image whose frames are made when a writer seeks to them, and dropped when it moves on.

    times: milliseconds of the frames so far; it grows with every frame and is the writer's `duration`.
    """

    def __init__(self, frames: Iterator[Frame], count: int) -> None:
        super().__init__()
        self.n_frames, self.is_animated = count, True
        self.times: list[int] = []
        self._frames = frames
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Advance to a frame. Seeking back does nothing; writers only do it to restore the image."""
        if frame >= self.n_frames:
            raise EOFError("no more frames")
        while len(self.times) <= frame:
            picture, time = next(self._frames)
            self._mode, self._size, self.im = picture.mode, picture.size, picture.im
            self.times.append(time)

    def tell(self) -> int:
        """The current frame."""
        return len(self.times) - 1


def write_gif(file: BinaryIO, frames: Iterator[Frame], loop: int | None, comment: bytes) -> None:
    """Write a GIF of at least one frame, each with a palette of its own.

    loop: how many times it plays; 0: forever; None: once.
    """
    picture, time = next(frames)
    file.write(b"GIF89a" + struct.pack("<HHBBB", *picture.size, 0x70, 0, 0))
    if loop is not None:
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loop, 0))
    parts = [comment[at : at + 255] for at in range(0, len(comment), 255)]
    file.write(b"!\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0")
    before: Any = None  # on screen before the frame; None: nothing
    while True:
        following = next(frames, None)
        # A transparent frame would show the one before it.
        is_cleared = following is not None and following[0].mode == "RGBA"
        pixels = np.asarray(picture)
        box = None if is_cleared or before is None else _changed_box(before, pixels)
        _write_frame(file, pixels, box, time, _TO_BACKGROUND if is_cleared else _KEEP)
        before = None if is_cleared or picture.mode == "RGBA" else pixels
        if following is None:
            file.write(b";")
            return
        picture, time = following


def _changed_box(before: Any, after: Any) -> tuple[slice, slice]:
    """Rows and columns of the box in which two RGB pictures differ; one pixel where they are equal."""
    differs = (before != after).any(axis=2)
    if not differs.any():
        return slice(0, 1), slice(0, 1)
    spans = [np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0)]
    return slice(spans[0][0], spans[0][-1] + 1), slice(spans[1][0], spans[1][-1] + 1)


def _write_frame(file: BinaryIO, pixels: Any, box: tuple[slice, slice] | None, time: int, disposal: int) -> None:
    part = np.ascontiguousarray(pixels if box is None else pixels[box])
    options: dict[str, Any] = {"duration": time, "disposal": disposal, "include_color_table": True}
    if part.shape[2] == 4:
        coded = Image.fromarray(np.ascontiguousarray(part[..., :3])).quantize(255)
        places = np.where(part[..., 3] < 128, 255, np.asarray(coded)).astype(np.uint8)
        palette = coded.getpalette() or []
        coded = Image.fromarray(places)
        coded.putpalette(bytes(palette).ljust(768, b"\0"))
        options["transparency"] = 255
    else:
        coded = Image.fromarray(part).quantize(256)
    offset = (0, 0) if box is None else (int(box[1].start), int(box[0].start))
    file.write(b"".join(GifImagePlugin.getdata(coded, offset, **options)))


def save_animation(painted: LazyAnimation, kind: str, **options: Any) -> bytes:
    """Encode an animation with Pillow."""
    file = io.BytesIO()
    painted.save(file, kind, save_all=True, duration=painted.times, **options)
    return file.getvalue()
