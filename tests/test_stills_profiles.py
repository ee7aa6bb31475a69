"""What the codes of a still mean: tones, gray stored as color, and ICC profiles."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from stills_fixtures import (
    DEEP,
    GRAY,
    HEIGHT,
    PICTURE,
    colored,
    lightness_of,
    sepia,
)

from vidcolor.painting.painter import SRGB
from vidcolor.stills.files import open_still, write_still


def test_gray_that_is_stored_as_color_is_read_as_gray(tmp_path: Path):
    """Y'CbCr without chroma, and R, G, B that are equal: the same codes as in a gray file, and color after."""
    PICTURE.save(tmp_path / "gray.jpg", quality=95)
    PICTURE.convert("RGB").save(tmp_path / "ycc.jpg", quality=95)
    PICTURE.convert("RGB").save(tmp_path / "rgb.jpg", quality=95, keep_rgb=True)
    found = []
    for name in ("gray.jpg", "ycc.jpg", "rgb.jpg"):
        with open_still(tmp_path / name) as still:
            assert still.pages[0].tone == "gray"
            found.append(still.pages[0].rows(0, HEIGHT))
        colored(tmp_path / name, tmp_path / f"out {name}")
        with open_still(tmp_path / f"out {name}") as after:
            assert after.pages[0].tone == "color"
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    tinted = Image.merge("YCbCr", [PICTURE, Image.new("L", PICTURE.size, 129), Image.new("L", PICTURE.size, 128)])
    tinted.save(tmp_path / "tinted.jpg", quality=98)
    with open_still(tmp_path / "tinted.jpg") as still:
        assert still.pages[0].rows(0, HEIGHT).dtype == np.uint16  # each pixel's own light


@pytest.mark.parametrize("deep", [False, True])
def test_toned_pictures_lose_their_tone_and_keep_their_lightness(deep: bool, tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", sepia(deep), photometric="rgb")
    with open_still(tmp_path / "a.tif") as still:
        page = still.pages[0]
        assert page.tone == "toned"
        before = page.space.lightness_of(page.rows(0, HEIGHT))
        write_still(still, [np.zeros((2, 8, 8), np.float32)], tmp_path / "b.tif")
    with open_still(tmp_path / "b.tif") as plain:
        assert plain.pages[0].tone == "gray"
    colored(tmp_path / "a.tif", tmp_path / "c.tif")
    for out in ("b.tif", "c.tif"):
        assert np.abs(lightness_of(tmp_path / out)[0] - before).max() <= 100 / (65535 if deep else 255) + 2e-4


def gray_profile(gamma: float) -> bytes:
    """A gray ICC profile with one gamma: the least that ICC.1 asks for."""
    curve = b"curv" + struct.pack(">IIHH", 0, 1, round(gamma * 256), 0)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    words = b"text\0\0\0\0gray\0\0\0\0"
    tags, body = [], b""
    for name, data in ((b"kTRC", curve), (b"wtpt", white), (b"desc", words), (b"cprt", words)):
        tags.append(struct.pack(">4sII", name, 128 + 4 + 48 + len(body), len(data)))
        body += data
    header = bytearray(128)
    struct.pack_into(">I4sI4s4s4s", header, 0, 180 + len(body), b"\0\0\0\0", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header[36:40] = b"acsp"
    struct.pack_into(">3i", header, 68, 63190, 65536, 54061)
    return bytes(header) + struct.pack(">I", 4) + b"".join(tags) + body


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "deep.tif"])
def test_a_gray_profile_becomes_an_rgb_profile_with_its_curve(name: str, tmp_path: Path):
    """Codes of gray pixels stay as they were, and a color engine sees the same gray behind them."""
    profile = gray_profile(1.8)
    if name == "deep.tif":
        tifffile.imwrite(tmp_path / name, DEEP, iccprofile=profile)
    else:
        PICTURE.save(tmp_path / name, icc_profile=profile, **({"lossless": True} if name == "a.webp" else {}))
    with open_still(tmp_path / name) as still:
        assert still.pages[0].space.light(8)[128] == pytest.approx((128 / 255) ** 1.8, abs=1e-3)
        write_still(still, [np.zeros((2, 8, 8), np.float32)], tmp_path / f"out {name}")
    if name == "deep.tif":  # which Pillow does not read
        with tifffile.TiffFile(tmp_path / f"out {name}") as deep:
            icc = deep.pages[0].iccprofile
    else:
        with Image.open(tmp_path / f"out {name}") as new:
            icc, values = new.info["icc_profile"], np.asarray(new.convert("RGB"))
    opened = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    assert opened.profile.xcolor_space.strip() == "RGB"
    ramp = Image.fromarray(np.dstack([np.arange(256, dtype=np.uint8)[None]] * 3))
    seen = np.asarray(ImageCms.profileToProfile(ramp, opened, ImageCms.createProfile("sRGB"), outputMode="RGB"))[0]
    wanted = np.rint(SRGB.codes((np.arange(256) / 255) ** 1.8) * 255)
    assert np.abs(seen[8:].astype(int) - wanted[8:, None]).max() <= 2
    if name in ("a.png", "a.webp"):
        assert np.array_equal(values, np.dstack([GRAY] * 3))


def test_an_rgb_profile_stays_and_color_is_meant_in_it(tmp_path: Path):
    from vidcolor.stills.profiles import _make_rgb_profile, _read_tags

    icc = _make_rgb_profile(
        _read_tags(gray_profile(2.2))[b"kTRC"], gray_profile(2.2)
    )  # any RGB profile that is not sRGB
    PICTURE.convert("RGB").save(tmp_path / "a.tif", icc_profile=icc)
    before, _ = colored(tmp_path / "a.tif", tmp_path / "b.tif")
    assert before.pages[0].space is not SRGB
    with tifffile.TiffFile(tmp_path / "b.tif") as new:
        assert new.pages[0].iccprofile == icc
    assert np.abs(lightness_of(tmp_path / "a.tif")[0] - lightness_of(tmp_path / "b.tif")[0]).max() <= 100 / 255
