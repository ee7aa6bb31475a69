"""What lies behind a picture in its file is said to be lost, once, and padding is nothing."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from stills_fixtures import LOSSLESS, LOSSY, PICTURE, colored

from vidcolor.stills.files import open_still, write_still

JPEG = io.BytesIO()
PICTURE.resize((40, 30)).save(JPEG, "JPEG")
SECOND, FILM, WORDS = JPEG.getvalue(), struct.pack(">I4s4s", 24, b"ftyp", b"mp42") + bytes(900), b"SEFH and more"
PICTURES = "Further pictures behind the first (multi-picture format) are not carried over."
CASES = {
    "nothing": (b"", ()),
    "padding": (bytes(4096), ()),
    "a picture": (SECOND, (PICTURES,)),
    "a film": (FILM, ("The film behind the picture (motion photo) is not carried over.",)),
    "something": (WORDS, ("13 bytes behind the picture's end are not carried over.",)),
}


def said(losses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(loss for loss in losses if "carried over" in loss)


@pytest.mark.parametrize("trailer", CASES)
@pytest.mark.parametrize("name", ["gray.jpg", "progressive.jpg", "gray.png", "lossless.webp", "gray.gif"])
def test_what_lies_behind_a_picture_is_said(name: str, trailer: str, tmp_path: Path):
    sources = LOSSLESS | LOSSY | {"gray.gif": lambda path: PICTURE.save(path)}
    sources[name](tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + CASES[trailer][0])
    _, losses = colored(tmp_path / name, tmp_path / f"out {name}")
    assert said(losses) == CASES[trailer][1]
    if "something" in trailer:
        assert WORDS not in (tmp_path / f"out {name}").read_bytes()


def test_pictures_of_a_multi_picture_file_are_said_once(tmp_path: Path):
    """With MPF's list of them, and without: Ultra HDR's gain maps, which Pillow takes for one picture."""
    PICTURE.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[PICTURE])
    _, losses = colored(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert said(losses) == (PICTURES,)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf hdrgm:Version="1.0"/></x:xmpmeta>'
    PICTURE.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[PICTURE], xmp=xmp)
    _, losses = colored(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert said(losses) == (PICTURES,)
    with Image.open(tmp_path / "b.jpg") as new:
        assert (new.format, getattr(new, "n_frames", 1)) == ("JPEG", 1)


def test_a_second_picture_in_a_pgm_is_said(tmp_path: Path):
    LOSSLESS["gray.pgm"](tmp_path / "a.pgm")
    (tmp_path / "a.pgm").write_bytes(2 * (tmp_path / "a.pgm").read_bytes())
    _, losses = colored(tmp_path / "a.pgm", tmp_path / "b.pgm")
    assert said(losses) == (PICTURES,)


def test_further_sizes_of_a_tiff_page_are_said_where_it_was_colored(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.asarray(PICTURE), subifds=1, metadata=None)
        file.write(np.asarray(PICTURE.resize((40, 30))), subfiletype=1, metadata=None)
    with open_still(tmp_path / "a.tif") as still:
        assert write_still(still, [None], tmp_path / "b.tif") == ()
    _, losses = colored(tmp_path / "a.tif", tmp_path / "b.tif")
    assert said(losses) == ("Further sizes of a page (SubIFDs) are not carried over.",)
