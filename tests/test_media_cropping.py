"""What players hide of a picture stays hidden: by flags where the container has them, else by cropping, luma exact."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import color_film, flat_chroma, lumas, make_film

from vidcolor import cli
from vidcolor.films.job import FilmOptions
from vidcolor.frames import Crop
from vidcolor.media import matroska, mp4
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.probe import probe
from vidcolor.media.sink import FilmSink

CROPS = (Crop(0, 20, 0, 20), Crop(3, 5, 2, 0), Crop(8, 0, 0, 0))


def cropped_film(folder: Path, suffix: str, crop: Crop, **options) -> Path:
    title = {"title": "Reel" + matroska.NAME_PADDING}
    film = make_film(folder / f"in{suffix}", size=(96, 64), **({"codec": "libx264"} | options))
    if suffix == ".mkv":
        with av.open(str(film)) as source, av.open(str(folder / "titled.mkv"), "w") as out:
            stream = out.add_stream_from_template(source.streams.video[0], opaque=True)
            stream.metadata.update(title)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
        film = (folder / "titled.mkv").replace(film)
    with film.open("r+b") as file:
        written = mp4.write_crop(file, crop) if suffix != ".mkv" else matroska.write_picture(file, Fraction(1), crop)
    assert written
    return film


def told_by_ffmpeg(path: Path) -> Crop | None:
    """As PyAV 19 tells it; 18 does not."""
    with av.open(str(path)) as container:
        sides = container.streams.video[0].codec_context.coded_side_data.get("frame_cropping")
    if sides is None:
        return None
    top, bottom, left, right = np.frombuffer(sides, "<u4").tolist()
    return Crop(left, top, right, bottom)


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("output", [".mkv", ".mp4", ".mov", ".webm"])
def test_flags_are_kept(tmp_path: Path, suffix: str, output: str, crop: Crop):
    film = cropped_film(tmp_path, suffix, crop)
    assert probe(film).crop == crop
    _, sink = color_film(film, tmp_path / f"out{output}", codec="av1" if output == ".webm" else None)
    info = probe(tmp_path / f"out{output}")
    assert (info.crop, info.picture.width, info.picture.height) == (crop, 96, 64)
    assert (info.sample_aspect_ratio or 1) == 1
    assert len(lumas(tmp_path / f"out{output}")) == 12
    assert not any("crop" in warning for warning in sink.warnings)
    if not av.__version__.startswith("18."):
        assert told_by_ffmpeg(film) == told_by_ffmpeg(tmp_path / f"out{output}") == crop


@pytest.mark.parametrize("output", [".mkv", ".mp4"])
def test_flags_are_kept_beside_a_pixel_shape(tmp_path: Path, output: str):
    crop = Crop(16, 0, 16, 0)
    film = cropped_film(tmp_path, ".mp4", crop, sar=Fraction(5, 4))
    color_film(film, tmp_path / f"out{output}", codec="h264")
    info = probe(tmp_path / f"out{output}")
    assert (info.crop, info.sample_aspect_ratio) == (crop, Fraction(5, 4))


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "gray", "yuv422p10le"])
def test_where_there_are_no_flags_the_shown_luma_is_written(tmp_path: Path, crop: Crop, pix_fmt: str):
    film = cropped_film(tmp_path, ".mkv", crop, codec="ffv1", pix_fmt=pix_fmt)
    target = tmp_path / "out.avi"
    with (
        FilmOptions().open_source(film, target) as source,
        FilmSink(target, source, OutputSettings("ffv1"), comment="") as sink,
    ):
        for frame in source.frames():
            sink.write(flat_chroma(source.info, frame))
    for before, after in zip(lumas(film), lumas(target), strict=True):
        assert np.array_equal(crop.apply(before), after)
    assert probe(target).picture.width == 96 - crop.left - crop.right
    assert sum("cropped to the" in warning for warning in sink.warnings) == 1


def test_info_shows_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    film = cropped_film(tmp_path, ".mkv", Crop(3, 5, 2, 0))
    assert cli.run(["info", str(film)]) == 0
    assert "left 3, top 5, right 2 pixels are not shown" in capsys.readouterr().out
    assert cli.run(["info", "--json", str(film)]) == 0
    assert '"crop": {"left": 3, "top": 5, "right": 2, "bottom": 0}' in capsys.readouterr().out


@pytest.mark.parametrize("crop", [Crop(48, 0, 48, 0), Crop(0, 64, 0, 0), Crop(0, 0, 0, 0), Crop(-8, 0, 16, 0)])
def test_flags_that_leave_nothing_or_hide_nothing_are_ignored(crop: Crop):
    assert not crop.is_valid_for(96, 64)


@pytest.mark.parametrize("size", [0, 5, 40, 200])
def test_files_that_are_cut_off_have_no_crop(tmp_path: Path, size: int):
    film = cropped_film(tmp_path, ".mp4", Crop(8, 0, 0, 0))
    part = tmp_path / "part.mp4"
    part.write_bytes(film.read_bytes()[:size])
    assert mp4.crop_of(part, 0) is None
    assert matroska.crop_of(part, 0) is None
    with part.open("r+b") as file:
        assert not mp4.write_crop(file, Crop(8, 0, 0, 0))
