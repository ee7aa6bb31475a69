"""Still images in every format: what comes out has the same lightness, depth, pages and tags, and colour."""

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, JpegImagePlugin

from vidcolor.errors import ShapeError, SourceError
from vidcolor.media.stills import Page, Still, StillSettings, open_still, write_still
from vidcolor.paint import SRGB

HEIGHT, WIDTH = 90, 134
NAME = "vidcolor 9.9 (test)"
Y, X = np.mgrid[:HEIGHT, :WIDTH]
GREY = np.clip((np.sin(X / 19) * np.cos(Y / 15) + 1) * 112 + np.random.default_rng(0).integers(0, 9, X.shape), 0, 255)
GREY = GREY.astype(np.uint8)
DEEP = GREY.astype(np.uint16) * 256 + np.random.default_rng(1).integers(0, 256, X.shape).astype(np.uint16)
ALPHA = (X * 255 // WIDTH).astype(np.uint8)
PICTURE = Image.fromarray(GREY)


def pillow(mode: str = "L", **options: Any) -> Callable[[Path], None]:
    return lambda path: PICTURE.convert(mode).save(path, **options)


def tiff(values: np.ndarray, **options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, values, **({"photometric": "minisblack"} | options))


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


LOSSLESS: dict[str, Callable[[Path], None]] = {
    "grey.png": pillow(),
    "rgb.png": pillow("RGB"),
    "palette.png": pillow("P"),
    "bilevel.png": pillow("1"),
    "deep.png": content(imagecodecs.png_encode(DEEP)),
    "deep rgb.png": content(imagecodecs.png_encode(np.dstack([DEEP] * 3))),
    "alpha.png": lambda path: Image.merge("LA", [PICTURE, Image.fromarray(ALPHA)]).save(path),
    "deep alpha.png": content(imagecodecs.png_encode(np.dstack([DEEP, DEEP[::-1]]))),
    "grey.tif": tiff(GREY),
    "deep.tif": tiff(DEEP),
    "rgb deep.tif": tiff(np.dstack([DEEP] * 3), photometric="rgb", compression="lzw", predictor=2),
    "lzw.tif": tiff(GREY, compression="lzw", predictor=2, rowsperstrip=7),
    "deflate.tif": tiff(DEEP, compression="zlib", predictor=2, rowsperstrip=11),
    "packbits.tif": tiff(GREY, compression="packbits"),
    "white is zero.tif": tiff(255 - GREY, photometric="miniswhite"),
    "tiles.tif": tiff(DEEP, tile=(32, 48), compression="lzw"),
    "big.tif": tiff(DEEP, bigtiff=True, byteorder=">"),
    "motorola.tif": tiff(DEEP, byteorder=">", compression="zlib"),
    "planar.tif": tiff(np.stack([GREY] * 3), photometric="rgb", planarconfig="separate"),
    "alpha.tif": tiff(np.dstack([GREY, ALPHA]), extrasamples=["unassalpha"], planarconfig="contig"),
    "palette.tif": pillow("P"),
    "bilevel.tif": pillow("1"),
    "fax.tif": pillow("1", compression="group4"),
    "lossless.webp": pillow(lossless=True),
    "grey.jp2": pillow(),
    "deep.jp2": lambda path: Image.fromarray(DEEP).save(path),
    "grey.bmp": pillow(),
    "grey.pgm": pillow(),
    "grey.ppm": pillow("RGB"),
    "deep.pgm": content(b"P5\n# a box of 1906\n%d %d\n65535\n" % (WIDTH, HEIGHT) + DEEP.astype(">u2").tobytes()),
    "bilevel.pbm": pillow("1"),
}
LOSSY: dict[str, Callable[[Path], None]] = {
    "grey.jpg": pillow(quality=92),
    "rgb.jpg": pillow("RGB", quality=92, subsampling=0),
    "progressive.jpg": pillow(quality=92, progressive=True),
    "cmyk.jpg": pillow("CMYK", quality=95),
    "lossy.webp": pillow(quality=90),
    "grey.avif": pillow(quality=95),
    "lossy.jp2": pillow(quality_mode="rates", quality_layers=[4], irreversible=True),
    "jpeg.tif": pillow(compression="jpeg", quality=92),
}


def colour_for(page: Page) -> np.ndarray:
    """Stands in for the model: warm to the left, cold to the right of the upright picture."""
    h, w = page.lightness(96).shape
    ab = np.empty((2, h // 2, w // 2), np.float32)
    ab[0], ab[1] = 12, np.linspace(30, -30, w // 2)
    return ab


def colored(source: Path, target: Path, **settings: Any) -> tuple[Still, tuple[str, ...]]:
    with open_still(source) as still:
        losses = write_still(still, [colour_for(page) for page in still.pages], target, StillSettings(NAME, **settings))
    return still, losses


def lightness_of(path: Path) -> list[np.ndarray]:
    """L* of every page at full size."""
    with open_still(path) as still:
        return [page.space.lightness_of(page.rows(0, page.size[0])) for page in still.pages]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lightness_and_depth_survive_and_colour_comes(name: str, tmp_path: Path):
    source, target = tmp_path / name, tmp_path / f"out {name}"
    LOSSLESS[name](source)
    before, _ = colored(source, target)
    with open_still(target) as after:
        assert after.format == before.format
        assert [page.bits for page in after.pages] == [page.bits for page in before.pages]
        if "bilevel" not in name and name != "fax.tif":
            assert [page.tone for page in after.pages] == ["color"]
        for old, new in zip(before.pages, after.pages, strict=True):
            assert (old.alpha is None) == (new.alpha is None)
            if old.alpha and new.alpha:
                assert np.array_equal(old.alpha(0, HEIGHT), new.alpha(0, HEIGHT))
            allowed = 100 / ((1 << new.bits) - 1)
            light = [page.space.lightness_of(page.rows(0, HEIGHT)) for page in (old, new)]
            assert np.abs(light[0] - light[1]).max() <= allowed + 2e-4  # of float32 light in the measurement


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_lose_no_more_than_their_codec(name: str, tmp_path: Path):
    source, target = tmp_path / name, tmp_path / f"out {name}"
    LOSSY[name](source)
    before, _ = colored(source, target)
    with open_still(target) as after:
        assert (after.format, after.pages[0].tone) == (before.format, "color")
        light = [page.space.lightness_of(page.rows(0, HEIGHT)) for page in (before.pages[0], after.pages[0])]
        assert np.sqrt(np.mean((light[0] - light[1]) ** 2)) < 2


def test_heic_comes_out_as_heic(tmp_path: Path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    PICTURE.save(tmp_path / "a.heic", quality=95)
    still, _ = colored(tmp_path / "a.heic", tmp_path / "out.heic")
    with open_still(tmp_path / "out.heic") as after:
        assert (still.format, after.format, after.pages[0].tone) == ("HEIF", "HEIF", "color")


def test_a_file_without_colour_to_give_is_copied_byte_for_byte(tmp_path: Path):
    for name in ("grey.jpg", "grey.png", "lzw.tif"):
        (LOSSLESS | LOSSY)[name](tmp_path / name)
        with open_still(tmp_path / name) as still:
            write_still(still, [None], tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == (tmp_path / name).read_bytes()


def test_contents_and_open_files_are_read_as_paths_are(tmp_path: Path):
    for name in ("grey.jpg", "lzw.tif"):
        (LOSSLESS | LOSSY)[name](tmp_path / name)
        data = (tmp_path / name).read_bytes()
        outputs = []
        for source in (tmp_path / name, data, io.BytesIO(data)):
            with open_still(source, name) as still:
                target = io.BytesIO()
                write_still(still, [colour_for(page) for page in still.pages], target)
            outputs.append(target.getvalue())
        assert outputs[0] == outputs[1] == outputs[2]


def test_jpeg_keeps_its_quantisation_subsampling_and_way_of_coding(tmp_path: Path):
    for options in ({"quality": 71}, {"quality": 96, "subsampling": 0}, {"quality": 85, "progressive": True}):
        for mode in ("L", "RGB"):
            PICTURE.convert(mode).save(tmp_path / "a.jpg", **options)
            colored(tmp_path / "a.jpg", tmp_path / "b.jpg")
            with Image.open(tmp_path / "a.jpg") as old, Image.open(tmp_path / "b.jpg") as new:
                assert new.quantization[0] == old.quantization[0]
                assert bool(new.info.get("progressive")) == bool(old.info.get("progressive"))
                expected = 2 if mode == "L" else JpegImagePlugin.get_sampling(old)
                assert JpegImagePlugin.get_sampling(new) == expected
                if mode == "RGB":
                    assert new.quantization == old.quantization


def test_grey_that_is_stored_as_colour_is_read_as_grey(tmp_path: Path):
    """Y'CbCr without chroma, and R, G, B that are equal: the same codes as in a grey file, and colour after."""
    PICTURE.save(tmp_path / "grey.jpg", quality=95)
    PICTURE.convert("RGB").save(tmp_path / "ycc.jpg", quality=95)
    PICTURE.convert("RGB").save(tmp_path / "rgb.jpg", quality=95, keep_rgb=True)
    found = []
    for name in ("grey.jpg", "ycc.jpg", "rgb.jpg"):
        with open_still(tmp_path / name) as still:
            assert still.pages[0].tone == "grey"
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


@pytest.mark.parametrize("shape", [(90, 134), (89, 133), (17, 64), (33, 31), (1, 1), (2, 3)])
def test_planes_and_rgb_give_the_same_jpeg_but_for_rounding(shape: tuple[int, int], monkeypatch: Any):
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(GREY[: shape[0], : shape[1]])).save(data, "JPEG", quality=96)
    outputs, contents = [], []
    for has_planes in (True, False, True):
        monkeypatch.setattr("vidcolor.media.stills.jpeg._has_planes", lambda has_planes=has_planes: has_planes)
        with open_still(data.getvalue()) as still:
            target = io.BytesIO()
            write_still(still, [np.full((2, 8, 8), 15, np.float32)], target)
        contents.append(target.getvalue())
        with Image.open(target) as new:
            assert new.size == shape[::-1]
            outputs.append((np.asarray(new.convert("RGB")).astype(int), new.quantization))
    assert contents[0] == contents[2]
    assert outputs[0][1] == outputs[1][1]
    assert np.abs(outputs[0][0] - outputs[1][0]).mean() < 2.5


def test_the_caller_sets_quality_and_subsampling(tmp_path: Path):
    PICTURE.save(tmp_path / "a.jpg", quality=50)
    colored(tmp_path / "a.jpg", tmp_path / "b.jpg", quality=95, subsampling="4:4:4")
    with Image.open(tmp_path / "b.jpg") as new:
        assert JpegImagePlugin.get_sampling(new) == 0
        assert new.quantization[0][0] <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_network_sees_the_picture_upright_and_colour_lands_where_it_saw_it(orientation: int, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    PICTURE.save(tmp_path / "a.png", exif=exif)
    colored(tmp_path / "a.png", tmp_path / "b.png")
    from PIL import ImageOps

    with Image.open(tmp_path / "b.png") as new:
        assert new.getexif()[0x0112] == orientation
        upright = np.asarray(ImageOps.exif_transpose(new).convert("RGB")).astype(int)
    third = upright.shape[1] // 3
    warmth = upright[..., 0] - upright[..., 2]
    assert warmth[:, :third].mean() > 15
    assert warmth[:, -third:].mean() < -5
    with open_still(tmp_path / "a.png") as still:
        seen = still.pages[0].lightness(64)
    assert (seen.shape[0] > seen.shape[1]) == (orientation >= 5)


def test_a_tiff_with_further_channels_says_that_they_are_lost(tmp_path: Path):
    values = np.dstack([GREY, GREY // 2, GREY // 3])
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig", extrasamples=[0, 0])
    with open_still(tmp_path / "a.tif") as still:
        assert len(still.losses) == 1
        assert "channels" in still.losses[0]


def sepia(deep: bool) -> np.ndarray:
    light = (DEEP if deep else GREY).astype(np.float64) / (65535 if deep else 255)
    rgb = np.stack([light**0.8, light, light**1.25], axis=2)
    return np.rint(rgb * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)


@pytest.mark.parametrize("deep", [False, True])
def test_toned_pictures_lose_their_tone_and_keep_their_lightness(deep: bool, tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", sepia(deep), photometric="rgb")
    with open_still(tmp_path / "a.tif") as still:
        page = still.pages[0]
        assert page.tone == "toned"
        before = page.space.lightness_of(page.rows(0, HEIGHT))
        write_still(still, [np.zeros((2, 8, 8), np.float32)], tmp_path / "b.tif")
    with open_still(tmp_path / "b.tif") as plain:
        assert plain.pages[0].tone == "grey"
    colored(tmp_path / "a.tif", tmp_path / "c.tif")
    for out in ("b.tif", "c.tif"):
        assert np.abs(lightness_of(tmp_path / out)[0] - before).max() <= 100 / (65535 if deep else 255) + 2e-4


def test_pages_keep_their_own_depth_resolution_and_name(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(
            GREY, compression="zlib", resolution=(300, 300), extratags=[(285, 2, 0, "front", True)], metadata=None
        )
        file.write(DEEP, resolution=(1200, 600), extratags=[(285, 2, 0, "back", True)], metadata=None)
        file.write(sepia(False), photometric="rgb", metadata=None)
    with open_still(tmp_path / "a.tif") as still:
        write_still(still, [colour_for(still.pages[0]), colour_for(still.pages[1]), None], tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as old, tifffile.TiffFile(tmp_path / "b.tif") as new:
        assert [page.bitspersample for page in new.pages] == [8, 16, 8]
        assert [page.tags[285].value for page in new.pages[:2]] == ["front", "back"]
        assert [page.resolution for page in new.pages] == [page.resolution for page in old.pages]
        assert [int(page.compression) for page in new.pages] == [8, 1, 1]
        assert np.array_equal(new.pages[2].asarray(), old.pages[2].asarray())


def test_frames_of_animations_are_pages(tmp_path: Path):
    second = PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for name, options in {"a.gif": {}, "a.webp": {"lossless": True}}.items():
        PICTURE.save(tmp_path / name, save_all=True, append_images=[second], duration=[120, 250], loop=0, **options)
        still, losses = colored(tmp_path / name, tmp_path / f"out {name}")
        assert len(still.pages) == 2
        assert any("256 colours" in loss for loss in losses) == (name == "a.gif")
        with Image.open(tmp_path / f"out {name}") as new:
            times = []
            for number in range(new.n_frames):
                new.seek(number)
                new.load()
                times.append(new.info["duration"])
        assert times == [120, 250]


def gray_profile(gamma: float) -> bytes:
    """A grey ICC profile with one gamma: the least that ICC.1 asks for."""
    curve = b"curv" + struct.pack(">IIHH", 0, 1, round(gamma * 256), 0)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    words = b"text\0\0\0\0grey\0\0\0\0"
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
def test_a_grey_profile_becomes_an_rgb_profile_with_its_curve(name: str, tmp_path: Path):
    """Codes of grey pixels stay as they were, and a colour engine sees the same grey behind them."""
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
        assert np.array_equal(values, np.dstack([GREY] * 3))


def test_an_rgb_profile_stays_and_colour_is_meant_in_it(tmp_path: Path):
    from vidcolor.media.stills.profiles import _matching, _tags

    icc = _matching(_tags(gray_profile(2.2))[b"kTRC"], gray_profile(2.2))  # any RGB profile that is not sRGB
    PICTURE.convert("RGB").save(tmp_path / "a.tif", icc_profile=icc)
    before, _ = colored(tmp_path / "a.tif", tmp_path / "b.tif")
    assert before.pages[0].space is not SRGB
    with tifffile.TiffFile(tmp_path / "b.tif") as new:
        assert new.pages[0].iccprofile == icc
    assert np.abs(lightness_of(tmp_path / "a.tif")[0] - lightness_of(tmp_path / "b.tif")[0]).max() <= 100 / 255


def test_the_small_copy_in_exif_shows_the_coloured_picture(tmp_path: Path):
    small = io.BytesIO()
    PICTURE.resize((64, 43)).save(small, "JPEG")
    data = small.getvalue()
    first = struct.pack("<HHHIHHI", 1, 0x010F, 2, 4, 0x4441, 0x4D, 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(data), 0)
    block = b"II*\0\x08\0\0\0" + first + second
    PICTURE.save(tmp_path / "a.jpg", exif=b"Exif\0\0" + block + data)
    colored(tmp_path / "a.jpg", tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as new:
        exif = new.info["exif"]
    shown = np.asarray(Image.open(io.BytesIO(exif[exif.index(b"\xff\xd8\xff") :]))).astype(int)
    assert np.abs(shown[..., 0] - shown[..., 2]).mean() > 10
    assert data not in exif


@pytest.mark.parametrize(
    "name", ["grey.jpg", "grey.png", "lzw.tif", "deep.tif", "lossless.webp", "grey.jp2", "deep.pgm"]
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
    tifffile.imwrite(tall, GREY)
    with pytest.raises(SourceError, match="limit"):
        open_still(tall.getvalue(), "tall", largest_pixels=1000)
    with pytest.raises(SourceError, match="limit"):
        open_still(b"P5 60000 60000 255\n", "bomb")


def test_samples_that_are_no_plain_numbers_are_refused():
    file = io.BytesIO()
    tifffile.imwrite(file, GREY.astype(np.float32))
    with pytest.raises(SourceError, match="16 bit"):
        open_still(file.getvalue(), "float")


def test_colour_for_the_wrong_number_of_pages_is_refused(tmp_path: Path):
    PICTURE.save(tmp_path / "a.png")
    with open_still(tmp_path / "a.png") as still, pytest.raises(ShapeError, match="pages"):
        write_still(still, [], tmp_path / "b.png")


def test_large_tiff_pages_come_out_as_small_ones_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Read in bands, any of them: the same pixels, whatever the packing."""
    from vidcolor.media.stills import tiff as module

    rows = {"grey.tif", "lzw.tif", "tiles.tif", "alpha.tif", "planar.tif", "white is zero.tif", "motorola.tif"}
    for name in rows:
        LOSSLESS[name](tmp_path / name)
        outputs = []
        for held in (module.HELD_PIXELS, 10):
            monkeypatch.setattr(module, "HELD_PIXELS", held)
            monkeypatch.setattr(module, "BAND_PIXELS", 2000)
            colored(tmp_path / name, tmp_path / "out.tif")
            outputs.append(tifffile.imread(tmp_path / "out.tif").astype(int))
        monkeypatch.undo()
        assert np.abs(outputs[0] - outputs[1]).max() <= (2 if outputs[0].max() > 255 else 1)


def test_memory_does_not_grow_with_the_picture(tmp_path: Path):
    """200 megapixels in strips: 200 MB in, 600 MB out, neither ever in memory."""
    script = """
import resource, sys, numpy as np
from pathlib import Path
from vidcolor.media.stills import open_still, write_still
import tifffile
rows = (np.arange(16 * 16000).reshape(16, 16000) // 700 % 250).astype(np.uint8).tobytes()
tifffile.imwrite(sys.argv[1], (rows for _ in range(782)), shape=(12512, 16000), dtype=np.uint8, rowsperstrip=16)
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_still(Path(sys.argv[1])) as still:
    write_still(still, [np.full((2, 64, 64), 9, np.float32)], Path(sys.argv[2]))
print(start // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    start, most = map(int, done.stdout.split())
    assert most - start < 300, f"{most - start} MB"
