"""Makes the pictures of the README from samples/, by vidcolor itself: `python docs/pictures.py`."""

import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

import vidcolor

ROOT = Path(__file__).parent.parent
FRAMES = (20, 120, 200, 262)  # of the clip
PHOTOS = ("camera.png", "expedition-1897.jpg", "dahlgren.jpg")
HEIGHT = 240  # of each picture, in pixels
GAP = 6


def main() -> None:
    """Write docs/film.jpg and docs/photos.jpg."""
    with vidcolor.Colorizer() as colorizer, tempfile.TemporaryDirectory() as folder:
        film = ROOT / "samples" / "clip.mp4"
        done = vidcolor.colorize_film(film, Path(folder) / "film.mp4", model=colorizer)
        write("film.jpg", [frames_of(film), frames_of(done.output)])
        photos = [ROOT / "samples" / "photos" / name for name in PHOTOS]
        before = [np.asarray(Image.open(path).convert("RGB")) for path in photos]
        write("photos.jpg", [before, [vidcolor.colorize_photo(path, model=colorizer) for path in photos]])


def frames_of(film: Path) -> list[np.ndarray]:
    """The frames to show, as RGB."""
    with av.open(film) as opened:
        return [
            frame.to_ndarray(format="rgb24") for count, frame in enumerate(opened.decode(video=0)) if count in FRAMES
        ]


def write(name: str, rows: list[list[np.ndarray]]) -> None:
    """Rows of pictures on white, the second below the first."""
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    strips = [np.hstack([part for picture in row for part in (scaled(picture), gap)][:-1]) for row in rows]
    between = np.full((GAP, strips[0].shape[1], 3), 255, np.uint8)
    Image.fromarray(np.vstack([strips[0], between, strips[1]])).save(ROOT / "docs" / name, quality=85, optimize=True)


def scaled(picture: np.ndarray) -> np.ndarray:
    """At HEIGHT."""
    size = (round(picture.shape[1] * HEIGHT / picture.shape[0]), HEIGHT)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
