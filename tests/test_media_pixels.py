"""Luma that goes through FFmpeg's conversions is the film's, at every width and every time."""

from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import flat_chroma, make_film, noise_frame

from vidcolor.frames import PictureFormat
from vidcolor.media.encoder_frames import FrameBuilder
from vidcolor.media.encoders import Encoding
from vidcolor.media.pixels import Layout, layout_of, luma_of, reformat, to_planar
from vidcolor.media.probe import examine
from vidcolor.media.source import FilmSource

WIDTHS = (*range(640, 657), 1828)
RUNS = 20
HEIGHT = 72  # enough for a slice for every thread of a large machine


def luma_in(frame: av.VideoFrame) -> np.ndarray:
    return luma_of(frame, layout_of(frame.format.name)).copy()


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_luma_survives_every_change_of_subsampling_every_time(bits: int, chroma: str):
    deep = "" if bits == 8 else f"{bits}le"
    source = f"yuv{chroma}p{deep}"
    for width in WIDTHS:
        frame = noise_frame(width, HEIGHT, source, width)
        wanted = luma_in(frame)
        for target in ("420", "422", "444"):
            if target == chroma:
                continue
            for _ in range(RUNS):
                found = luma_in(reformat(frame, format=f"yuv{target}p{deep}", src_color_range=1, dst_color_range=1))
                assert np.array_equal(found, wanted), f"{source} to {target}, {width} wide"


@pytest.mark.parametrize("name", ["rgb24", "gbrp", "rgb48le", "gbrp10le", "gbrp12le", "gbrp16le", "bgra"])
def test_rgb_becomes_the_same_luma_every_time(name: str):
    layout = layout_of(name)
    for width in WIDTHS:
        frame = noise_frame(width, HEIGHT, name, width)
        picture = picture_of(width, layout)
        first = luma_in(to_planar(frame, layout, picture))
        assert first[-1].any()
        for _ in range(RUNS - 1):
            assert np.array_equal(luma_in(to_planar(frame, layout, picture)), first), f"{width} wide"


def picture_of(width: int, layout: Layout) -> PictureFormat:
    return PictureFormat(width, HEIGHT, layout.bits, layout.chroma_shift, full_range=False, matrix="bt709")


@pytest.mark.parametrize("width", [642, 648, 650, 1828])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("yuv420p10le", "yuv444p10le"),
        ("yuv422p10le", "yuv420p10le"),
        ("yuv420p", "yuv444p"),
        ("gray10le", "yuv444p10le"),
    ],
)
def test_what_is_encoded_has_the_films_luma(tmp_path: Path, source: str, target: str, width: int):
    film = make_film(tmp_path / "in.mkv", pix_fmt=source, size=(width, HEIGHT), pts=range(4))
    examined = examine(film)
    builder = FrameBuilder(examined, Encoding("ffv1", "ffv1", target, interlaced=False, options={}))
    with FilmSource(film) as opened:
        for frame in opened.frames():
            for _ in range(RUNS):
                assert np.array_equal(luma_in(builder.build(flat_chroma(opened.info, frame))), frame.luma)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_gray_is_painted_with_its_own_luma_at_every_width(tmp_path: Path, bits: int):
    deep = "" if bits == 8 else f"{bits}le"
    for width in WIDTHS:
        film = make_film(tmp_path / "in.mkv", pix_fmt=f"gray{deep}", size=(width, HEIGHT), pts=range(2))
        builder = FrameBuilder(examine(film), Encoding("ffv1", "ffv1", f"yuv444p{deep}", interlaced=False, options={}))
        with FilmSource(film) as opened:
            for frame in opened.frames():
                colored = flat_chroma(opened.info, frame)
                assert all(np.array_equal(luma_in(builder.build(colored)), frame.luma) for _ in range(RUNS)), width
        film.unlink()
