"""Still images in every format: what comes out has the same lightness, depth, pages and tags, and color."""

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, JpegImagePlugin
from stills_fixtures import (
    DEEP,
    GRAY,
    HEIGHT,
    LOSSLESS,
    LOSSY,
    PICTURE,
    color_for,
    colored,
    sepia,
)

from vidcolor.stills.decode import decode_frame
from vidcolor.stills.files import open_still, write_still


@pytest.mark.parametrize("name", LOSSLESS)
def test_lightness_and_depth_survive_and_color_comes(name: str, tmp_path: Path):
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


def test_a_file_without_color_to_give_is_copied_byte_for_byte(tmp_path: Path):
    for name in ("gray.jpg", "gray.png", "lzw.tif"):
        (LOSSLESS | LOSSY)[name](tmp_path / name)
        with open_still(tmp_path / name) as still:
            write_still(still, [None], tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == (tmp_path / name).read_bytes()


def test_contents_and_open_files_are_read_as_paths_are(tmp_path: Path):
    for name in ("gray.jpg", "lzw.tif"):
        (LOSSLESS | LOSSY)[name](tmp_path / name)
        data = (tmp_path / name).read_bytes()
        outputs = []
        for source in (tmp_path / name, data, io.BytesIO(data)):
            with open_still(source, name) as still:
                target = io.BytesIO()
                write_still(still, [color_for(page) for page in still.pages], target)
            outputs.append(target.getvalue())
        assert outputs[0] == outputs[1] == outputs[2]


def test_jpeg_keeps_its_quantization_subsampling_and_way_of_coding(tmp_path: Path):
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


@pytest.mark.parametrize("shape", [(90, 134), (89, 133), (17, 64), (33, 31), (1, 1), (2, 3)])
def test_planes_and_rgb_give_the_same_jpeg_but_for_rounding(shape: tuple[int, int], monkeypatch: Any):
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(GRAY[: shape[0], : shape[1]])).save(data, "JPEG", quality=96)
    outputs, contents = [], []
    for has_planes in (True, False, True):
        monkeypatch.setattr("vidcolor.stills.jpeg.has_simplejpeg", lambda has_planes=has_planes: has_planes)
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
def test_the_network_sees_the_picture_upright_and_color_lands_where_it_saw_it(orientation: int, tmp_path: Path):
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
    values = np.dstack([GRAY, GRAY // 2, GRAY // 3])
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig", extrasamples=[0, 0])
    with open_still(tmp_path / "a.tif") as still:
        assert len(still.losses) == 1
        assert "channels" in still.losses[0]


def test_pages_keep_their_own_depth_resolution_and_name(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(
            GRAY, compression="zlib", resolution=(300, 300), extratags=[(285, 2, 0, "front", True)], metadata=None
        )
        file.write(DEEP, resolution=(1200, 600), extratags=[(285, 2, 0, "back", True)], metadata=None)
        file.write(sepia(False), photometric="rgb", metadata=None)
    with open_still(tmp_path / "a.tif") as still:
        write_still(still, [color_for(still.pages[0]), color_for(still.pages[1]), None], tmp_path / "b.tif")
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
        assert any("256 colors" in loss for loss in losses) == (name == "a.gif")
        with Image.open(tmp_path / f"out {name}") as new:
            times = []
            for number in range(new.n_frames):
                new.seek(number)
                new.load()
                times.append(new.info["duration"])
        assert times == [120, 250]


def test_the_small_copy_in_exif_shows_the_colored_picture(tmp_path: Path):
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


def test_large_tiff_pages_come_out_as_small_ones_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Read in bands, any of them: the same pixels, whatever the packing."""
    from vidcolor.stills import tiff as module

    rows = {"gray.tif", "lzw.tif", "tiles.tif", "alpha.tif", "planar.tif", "white is zero.tif", "motorola.tif"}
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


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux alone")
def test_memory_does_not_grow_with_the_picture(tmp_path: Path):
    """64 megapixels in strips: 64 MB in, 192 MB out, neither ever in memory."""
    script = """
import resource, sys, numpy as np
from pathlib import Path
from vidcolor.stills.decode import decode_frame
from vidcolor.stills.files import open_still, write_still
import tifffile
rows = (np.arange(16 * 16000).reshape(16, 16000) // 700 % 250).astype(np.uint8).tobytes()
tifffile.imwrite(sys.argv[1], (rows for _ in range(250)), shape=(4000, 16000), dtype=np.uint8, rowsperstrip=16)
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_still(Path(sys.argv[1])) as still:
    write_still(still, [np.full((2, 64, 64), 9, np.float32)], Path(sys.argv[2]))
print(start // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    start, most = map(int, done.stdout.split())
    assert most - start < 200, f"{most - start} MB"


@pytest.mark.parametrize("size", [(1, 1), (7, 40), (5, 5)])
def test_small_gray_photos_stored_as_rgb(size: tuple[int, int]):
    file = io.BytesIO()
    Image.new("RGB", size, (99, 99, 99)).save(file, "JPEG")
    with Image.open(io.BytesIO(file.getvalue())) as image:
        raster = decode_frame(image, file.getvalue(), "JPEG")
    assert raster.values.shape == size[::-1]
    assert np.abs(raster.values.astype(int) - 99).max() <= 1
