"""Stills as people see them: upright, in sRGB, 8 bit; the same for learning, measuring, references and comparing."""

import io
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from stills_fixtures import DEEP, GRAY, HEIGHT, LOSSLESS, LOSSY, WIDTH

from vidcolor.evaluation.sources import read_photos
from vidcolor.films.references import _load_picture
from vidcolor.stills.display import read_photo
from vidcolor.stills.files import open_still
from vidcolor.stills.profiles import _make_rgb_profile
from vidcolor.stills.rgb import decode, read_size, thumbnail_jpeg
from vidcolor.stills.upright import read_upright
from vidcolor.training.photos import Photos

LINEAR = _make_rgb_profile(b"curv" + bytes(8), bytes(40))  # an RGB profile with a straight tone curve


def scene(width: int = 120, height: int = 80) -> np.ndarray:
    """Red to the left, blue below."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.rint(np.stack([230 - 180 * x, 60 + 80 * x * y, 30 + 200 * y], axis=2)).astype(np.uint8)


def turned(orientation: int, kind: str, **options: Any) -> bytes:
    """The scene, stored so that EXIF's orientation makes it upright."""
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose
    image = Image.fromarray(scene())
    if orientation > 1:
        image = image.transpose(Image.Transpose(undone[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif, **options)
    return file.getvalue()


def linear_file(path: Path) -> Path:
    """The scene's light as it is, under a profile that says so."""
    light = np.where(scene() / 255 <= 0.04045, scene() / 255 / 12.92, ((scene() / 255 + 0.055) / 1.055) ** 2.4)
    Image.fromarray(np.rint(light * 255).astype(np.uint8)).save(path, icc_profile=LINEAR)
    return path


def off(found: Any, wanted: Any) -> float:
    return float(np.abs(np.asarray(found, float) - np.asarray(wanted, float)).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_are_upright(kind: str, orientation: int):
    content = turned(orientation, kind, **({"lossless": True} if kind == "WEBP" else {}))
    with Image.open(io.BytesIO(content)) as image:  # the test's own making is right
        assert off(ImageOps.exif_transpose(image).convert("RGB"), scene()) < 4
    assert off(read_upright(content), scene()) < 4


def test_all_who_read_photos_read_them_upright_and_by_their_profile(tmp_path: Path):
    (tmp_path / "turned.jpg").write_bytes(turned(6, "JPEG", quality=95, subsampling=0))
    linear_file(tmp_path / "linear.png")
    for name in ("turned.jpg", "linear.png"):
        path, allowed = tmp_path / name, 4
        assert off(decode(path), scene()) < allowed
        assert off(decode(path.read_bytes()), scene()) < allowed
        assert off(read_photo(path, 120), scene()) < allowed
        thumbnail = Image.open(io.BytesIO(thumbnail_jpeg(path, 120) or b""))
        assert off(thumbnail, scene()) < 2 * allowed
        ((_, _, measured),) = read_photos((path,))
        assert off(measured, scene()) < allowed
        learned = Photos([path], crop=64).rgb[0]
        assert learned.shape[1] > learned.shape[0]
        assert off(Image.fromarray(learned).resize((120, 80)), scene()) < 2 * allowed
        reference = _load_picture(path, None)
        ab = reference.picture.ab_2hw
        assert ab.shape[2] > ab.shape[1]
        assert ab[0, :, 0].mean() > ab[0, :, -1].mean() + 20  # red to the left


def test_plain_photos_are_read_as_they_were(tmp_path: Path):
    """Neither a profile of sRGB itself nor reading at half size changes a code."""
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    large = Image.fromarray(scene(1200, 800))
    large.save(tmp_path / "a.jpg", quality=90, icc_profile=srgb)
    with Image.open(tmp_path / "a.jpg") as image:
        image.draft("RGB", (200, 200))
        wanted = image.convert("RGB").resize((150, 100), Image.Resampling.BICUBIC, reducing_gap=2.0)
    assert np.array_equal(decode(tmp_path / "a.jpg", short_side=100), np.asarray(wanted))


@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
def test_every_format_and_depth_is_shown(name: str, tmp_path: Path):
    (LOSSLESS | LOSSY)[name](tmp_path / name)
    wanted = np.repeat(GRAY[..., None], 3, axis=2)
    if name in ("bilevel.png", "bilevel.tif", "fax.tif", "bilevel.pbm"):
        wanted = np.repeat(np.asarray(Image.fromarray(GRAY).convert("1").convert("L"))[..., None], 3, axis=2)
    assert off(read_upright(tmp_path / name), wanted) < (6 if name in LOSSY else 1)
    assert read_size(tmp_path / name) == (WIDTH, HEIGHT)


def test_large_tiff_pages_are_shown_small_band_by_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tifffile.imwrite(tmp_path / "a.tif", scene(600, 400), photometric="rgb", rowsperstrip=16, compression="zlib")
    monkeypatch.setattr("vidcolor.stills.tiff.HELD_PIXELS", 1000)
    monkeypatch.setattr("vidcolor.stills.tiff.BAND_PIXELS", 12_000)
    small = read_upright(tmp_path / "a.tif", min_short_side=80)
    assert small.shape == (80, 120, 3)
    assert off(small, scene()) < 2


def packed(values: np.ndarray, bits: int, *, photometric: str, alpha: bool = False) -> bytes:
    file = io.BytesIO()
    options = {"extrasamples": ["unassalpha"]} if alpha else {}
    tifffile.imwrite(
        file, values, bitspersample=bits, photometric=photometric, planarconfig="contig", metadata=None, **options
    )
    return file.getvalue()


@pytest.mark.parametrize("bits", [2, 4, 6, 10, 12, 14])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tiff_of_any_depth_is_as_light_as_it_is(bits: int, channels: int):
    """White is white and alpha whole, whatever the number of bits."""
    top = (1 << bits) - 1
    plane = np.rint(DEEP.astype(float) / 65535 * top).astype(np.uint8 if bits < 8 else np.uint16)
    plane[0, 0], plane[0, 1] = top, 0
    has_alpha = channels in (2, 4)
    clear = np.full_like(plane, top)
    clear[-1] = 0
    values = np.dstack([plane] * (3 if channels > 2 else 1) + [clear] * has_alpha)
    kind = "rgb" if channels > 2 else "minisblack"
    content = packed(values if channels > 1 else values[..., 0], bits, photometric=kind, alpha=has_alpha)
    full = 255 if bits < 8 else 65535
    with open_still(content) as still:
        page = still.pages[0]
        rows = page.rows(0, HEIGHT).astype(float)
        assert page.bits == (8 if bits < 8 else 16)
        assert np.abs(rows - plane / top * full).max() <= 0.5
        if has_alpha:
            assert page.alpha is not None
            assert (page.alpha(0, HEIGHT)[:-1] == full).all()
            assert (page.alpha(HEIGHT - 1, HEIGHT) == 0).all()
    assert off(read_upright(content)[..., 0], plane / top * 255) < 1


@pytest.mark.parametrize("bits", [4, 12])
def test_jpeg_2000_of_any_depth_is_as_light_as_it_is(bits: int):
    top = (1 << bits) - 1
    plane = np.rint(DEEP.astype(float) / 65535 * top).astype(np.uint8 if bits < 8 else np.uint16)
    plane[0, 0] = top
    content = imagecodecs.jpeg2k_encode(plane, level=0, reversible=True, codecformat="jp2", bitspersample=bits)
    with open_still(content) as still:
        full = (1 << still.pages[0].bits) - 1
        assert np.abs(still.pages[0].rows(0, HEIGHT).astype(float) - plane / top * full).max() <= 0.5


def test_white_is_zero_with_alpha_keeps_its_alpha():
    content = bytearray(packed(np.dstack([GRAY, GRAY // 2]), 8, photometric="minisblack", alpha=True))
    at = content.index(struct.pack("<HHI", 262, 3, 1))
    content[at + 8] = 0
    with open_still(bytes(content)) as still:
        assert np.array_equal(still.pages[0].rows(0, HEIGHT), 255 - GRAY)
        assert still.pages[0].alpha is not None
        assert np.array_equal(still.pages[0].alpha(0, HEIGHT), GRAY // 2)
