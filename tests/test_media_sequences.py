"""Numbered pictures are colored as a film."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vidcolor import cli
from vidcolor.errors import SourceError, UsageError
from vidcolor.media.sequences import is_address, sequence_address
from vidcolor.media.source import FilmSource


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Twelve gray pictures, numbered from 86401."""
    folder = tmp_path / "scan"
    folder.mkdir()
    for number in range(12):
        shade = np.full((48, 64), 20 * number, np.uint8)
        Image.fromarray(shade).save(folder / f"reel_{86401 + number:07}.png")
    (folder / "notes.txt").write_text("reel 3")
    return folder


@pytest.mark.parametrize("given", ["", "reel_%07d.png"])
def test_pictures_become_a_film_at_the_rate(given: str, frames: Path, tmp_path: Path, tiny_model: Path):
    out = tmp_path / "film.mkv"
    arguments = [frames / given, "--fps", "24000/1001", "-o", out, "--codec", "ffv1", "--model", tiny_model]
    assert cli.run([*map(str, arguments), "-q"]) == 0
    with av.open(str(out)) as film:
        stream = film.streams.video[0]
        assert stream.average_rate == Fraction(24000, 1001)
        shades = [np.asarray(frame.to_ndarray(format="gray"))[:48, :64].mean() for frame in film.decode(stream)]
    assert len(shades) == 12
    assert np.all(np.diff(shades) > 10)


def test_sixteen_bit_pictures_keep_their_depth(tmp_path: Path):
    for number in range(3):
        Image.fromarray(np.full((32, 32), 1000 * number + 7, np.uint16)).save(tmp_path / f"f{number}.png")
    with FilmSource(sequence_address(tmp_path, Fraction(16))) as source:
        assert [int(frame.luma[0, 0]) for frame in source.frames()] == [7, 1007, 2007]


def test_a_missing_picture_is_named(frames: Path):
    (frames / "reel_0086405.png").unlink()
    with pytest.raises(SourceError, match="picture 86405 is missing"):
        sequence_address(frames, Fraction(24))


def test_what_is_no_sequence_is_refused(frames: Path, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong, rate in ((empty, 24), (tmp_path / "missing", 24), (frames / "other_%04d.png", 24), (frames, 0)):
        with pytest.raises(UsageError):
            sequence_address(wrong, Fraction(rate))
    assert cli.run([str(frames), "--fps", "often", "-o", str(tmp_path / "a.mkv")]) == 2
    assert not is_address(Path("scans/100%d.png"))
    assert is_address(Path("scans/frame_%06d.png@24000:1001"))
