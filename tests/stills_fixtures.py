"""One gray picture in every format that a scanner writes, and color to give it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from vidcolor.stills.files import open_still, write_still
from vidcolor.stills.page import Page, StillSettings
from vidcolor.stills.still import Still

HEIGHT, WIDTH = 90, 134
NAME = "vidcolor 9.9 (test)"
Y, X = np.mgrid[:HEIGHT, :WIDTH]
GRAY = np.clip((np.sin(X / 19) * np.cos(Y / 15) + 1) * 112 + np.random.default_rng(0).integers(0, 9, X.shape), 0, 255)
GRAY = GRAY.astype(np.uint8)
DEEP = GRAY.astype(np.uint16) * 256 + np.random.default_rng(1).integers(0, 256, X.shape).astype(np.uint16)
ALPHA = (X * 255 // WIDTH).astype(np.uint8)
PICTURE = Image.fromarray(GRAY)


def pillow(mode: str = "L", **options: Any) -> Callable[[Path], None]:
    return lambda path: PICTURE.convert(mode).save(path, **options)


def tiff(values: np.ndarray, **options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, values, **({"photometric": "minisblack"} | options))


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


LOSSLESS: dict[str, Callable[[Path], None]] = {
    "gray.png": pillow(),
    "rgb.png": pillow("RGB"),
    "palette.png": pillow("P"),
    "bilevel.png": pillow("1"),
    "deep.png": content(imagecodecs.png_encode(DEEP)),
    "deep rgb.png": content(imagecodecs.png_encode(np.dstack([DEEP] * 3))),
    "alpha.png": lambda path: Image.merge("LA", [PICTURE, Image.fromarray(ALPHA)]).save(path),
    "deep alpha.png": content(imagecodecs.png_encode(np.dstack([DEEP, DEEP[::-1]]))),
    "gray.tif": tiff(GRAY),
    "deep.tif": tiff(DEEP),
    "rgb deep.tif": tiff(np.dstack([DEEP] * 3), photometric="rgb", compression="lzw", predictor=2),
    "lzw.tif": tiff(GRAY, compression="lzw", predictor=2, rowsperstrip=7),
    "deflate.tif": tiff(DEEP, compression="zlib", predictor=2, rowsperstrip=11),
    "packbits.tif": tiff(GRAY, compression="packbits"),
    "white is zero.tif": tiff(255 - GRAY, photometric="miniswhite"),
    "tiles.tif": tiff(DEEP, tile=(32, 48), compression="lzw"),
    "big.tif": tiff(DEEP, bigtiff=True, byteorder=">"),
    "motorola.tif": tiff(DEEP, byteorder=">", compression="zlib"),
    "planar.tif": tiff(np.stack([GRAY] * 3), photometric="rgb", planarconfig="separate"),
    "alpha.tif": tiff(np.dstack([GRAY, ALPHA]), extrasamples=["unassalpha"], planarconfig="contig"),
    "palette.tif": pillow("P"),
    "bilevel.tif": pillow("1"),
    "fax.tif": pillow("1", compression="group4"),
    "lossless.webp": pillow(lossless=True),
    "gray.jp2": pillow(),
    "deep.jp2": lambda path: Image.fromarray(DEEP).save(path),
    "gray.bmp": pillow(),
    "gray.pgm": pillow(),
    "gray.ppm": pillow("RGB"),
    "deep.pgm": content(b"P5\n# a box of 1906\n%d %d\n65535\n" % (WIDTH, HEIGHT) + DEEP.astype(">u2").tobytes()),
    "bilevel.pbm": pillow("1"),
}
LOSSY: dict[str, Callable[[Path], None]] = {
    "gray.jpg": pillow(quality=92),
    "rgb.jpg": pillow("RGB", quality=92, subsampling=0),
    "progressive.jpg": pillow(quality=92, progressive=True),
    "cmyk.jpg": pillow("CMYK", quality=95),
    "lossy.webp": pillow(quality=90),
    "gray.avif": pillow(quality=95),
    "lossy.jp2": pillow(quality_mode="rates", quality_layers=[4], irreversible=True),
    "jpeg.tif": pillow(compression="jpeg", quality=92),
}


def color_for(page: Page) -> np.ndarray:
    """Stands in for the model: warm to the left, cold to the right of the upright picture."""
    h, w = page.lightness(96).shape
    ab = np.empty((2, h // 2, w // 2), np.float32)
    ab[0], ab[1] = 12, np.linspace(30, -30, w // 2)
    return ab


def colored(source: Path, target: Path, **settings: Any) -> tuple[Still, tuple[str, ...]]:
    with open_still(source) as still:
        losses = write_still(still, [color_for(page) for page in still.pages], target, StillSettings(NAME, **settings))
    return still, losses


def lightness_of(path: Path) -> list[np.ndarray]:
    """L* of every page at full size."""
    with open_still(path) as still:
        return [page.space.lightness_of(page.rows(0, page.size[0])) for page in still.pages]


def sepia(deep: bool) -> np.ndarray:
    light = (DEEP if deep else GRAY).astype(np.float64) / (65535 if deep else 255)
    rgb = np.stack([light**0.8, light, light**1.25], axis=2)
    return np.rint(rgb * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
