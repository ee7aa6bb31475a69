"""Stills that are broken, too large or of another kind are refused in one line."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from stills_fixtures import (
    GRAY,
    LOSSLESS,
    LOSSY,
    PICTURE,
)

from vidcolor.errors import ShapeError, SourceError
from vidcolor.stills.files import open_still, write_still


@pytest.mark.parametrize(
    "name", ["gray.jpg", "gray.png", "lzw.tif", "deep.tif", "lossless.webp", "gray.jp2", "deep.pgm"]
)
def test_broken_files_are_refused_in_one_line(name: str, tmp_path: Path):
    (LOSSLESS | LOSSY)[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    cut = data[: len(data) * 6 // 10]
    for broken in (b"", b"no picture at all", cut):
        (tmp_path / "broken").write_bytes(broken)
        with pytest.raises(SourceError) as caught:
            open_still(tmp_path / "broken")
        assert str(caught.value).startswith(str(tmp_path / "broken"))
        assert "\n" not in str(caught.value)


def test_bombs_are_refused_before_they_are_decoded():
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 60_000, 60_000, 8, 0, 0, 0, 0) + b"\0\0\0\0"
    for data in (header + bytes(40), b"P5 60000 60000 255\n"):
        with pytest.raises(SourceError):
            open_still(data, "bomb")
    tall = io.BytesIO()
    tifffile.imwrite(tall, GRAY)
    with pytest.raises(SourceError, match="limit"):
        open_still(tall.getvalue(), "tall", largest_pixels=1000)
    with pytest.raises(SourceError, match="limit"):
        open_still(b"P5 60000 60000 255\n", "bomb")


def test_samples_that_are_no_plain_numbers_are_refused():
    file = io.BytesIO()
    tifffile.imwrite(file, GRAY.astype(np.float32))
    with pytest.raises(SourceError, match="16 bit"):
        open_still(file.getvalue(), "float")


def test_color_for_the_wrong_number_of_pages_is_refused(tmp_path: Path):
    PICTURE.save(tmp_path / "a.png")
    with open_still(tmp_path / "a.png") as still, pytest.raises(ShapeError, match="pages"):
        write_still(still, [], tmp_path / "b.png")
