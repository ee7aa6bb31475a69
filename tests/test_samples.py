"""Every sample has a named source and license, and opens."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

SAMPLES = Path(__file__).parent.parent / "samples"
FILES = sorted(
    path for path in SAMPLES.rglob("*") if path.is_file() and path.name != "README.md" and not path.name.startswith(".")
)
FREE = ("public domain", "cc0", "cc by")
COLUMNS = ("file", "shows", "year", "source package", "author", "license")


def rows_of(name: str) -> list[dict[str, str]]:
    """Give the rows of the table in samples/README.md whose first cell names the file."""
    lines = (SAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in cells]
    return [row for row in rows if f"`{name}`" in row["file"]]


def test_there_is_a_clip_and_a_handful_of_photos() -> None:
    assert "clip.mp4" in {path.name for path in FILES}
    assert len([path for path in FILES if path.parent.name == "photos"]) >= 3


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_sample_is_listed_with_a_source_and_a_free_license(path: Path) -> None:
    rows = rows_of(path.relative_to(SAMPLES).as_posix())
    assert rows, f"{path.name} is not in samples/README.md"
    for row in rows:
        assert all(row.values()), f"an empty cell in {row}"
        assert row["license"].lower().startswith(FREE), row["license"]


def test_every_listed_sample_exists() -> None:
    listed = {
        line.split("`")[1]
        for line in (SAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    }
    assert listed == {path.relative_to(SAMPLES).as_posix() for path in FILES}


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "photos"], ids=lambda path: path.name)
def test_photos_open_and_are_small(path: Path) -> None:
    assert path.stat().st_size < 200_000
    with Image.open(path) as photo:
        photo.load()
        assert min(photo.size) > 150


def test_the_clip_has_sound_and_no_color() -> None:
    assert (SAMPLES / "clip.mp4").stat().st_size < 2_000_000
    with av.open(SAMPLES / "clip.mp4") as clip:
        assert len(clip.streams.audio) == 1
        frames = list(clip.decode(video=0))
    assert len(frames) == 288
    for frame in frames[::48]:
        for plane in (1, 2):
            assert np.unique(chroma(frame, plane)).tolist() == [128]


def test_the_sound_of_the_clip_is_heard_to_the_end() -> None:
    with av.open(SAMPLES / "clip.mp4") as clip:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in clip.decode(audio=0)])
    assert sound.size / 44100 == pytest.approx(288 / 15, abs=0.1)
    assert np.sqrt(np.mean(sound**2)) > 0.02


def chroma(frame: av.VideoFrame, plane: int) -> np.ndarray:
    """Give plane 1 (U) or 2 (V) without the padding at the end of its lines."""
    data = frame.planes[plane]
    return np.frombuffer(bytes(data), np.uint8).reshape(data.height, data.line_size)[:, : data.width]
