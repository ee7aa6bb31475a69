"""Makes the pictures of the README and of the model's card, by vidcolor itself: `python docs/pictures.py`."""

import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image
from skimage import data

import vidcolor
from vidcolor.inference import weights

ROOT = Path(__file__).parent.parent
FRAMES = (20, 120, 200, 262)  # of the clip
PHOTOS = ("camera.png", "expedition-1897.jpg", "dahlgren.jpg")
TRUE_PHOTOS = (data.astronaut, data.coffee, data.chelsea, data.rocket)  # scikit-image's, in color: truth is known
HEIGHT = 240  # of each picture, in pixels
GAP = 6


def main() -> None:
    """Write docs/film.jpg, docs/photos.jpg and the picture of every packaged model's card."""
    with vidcolor.Colorizer() as colorizer, tempfile.TemporaryDirectory() as folder:
        film = ROOT / "samples" / "clip.mp4"
        done = vidcolor.colorize_film(film, Path(folder) / "film.mp4", model=colorizer)
        write(ROOT / "docs" / "film.jpg", [frames_of(film), frames_of(done.output)])
        photos = [ROOT / "samples" / "photos" / name for name in PHOTOS]
        before = [np.asarray(Image.open(path).convert("RGB")) for path in photos]
        colored = [vidcolor.colorize_photo(path, model=colorizer) for path in photos]
        write(ROOT / "docs" / "photos.jpg", [before, colored])
    truths = [scaled(load()) for load in TRUE_PHOTOS]
    gray = [np.asarray(Image.fromarray(truth).convert("L").convert("RGB")) for truth in truths]
    for model in weights.packaged_models():
        with vidcolor.Colorizer(model.stem) as colorizer:
            by_model = [vidcolor.colorize_photo(picture, model=colorizer) for picture in gray]
        write(model.with_suffix(".jpg"), [gray, by_model, truths])


def frames_of(film: Path) -> list[np.ndarray]:
    """The frames to show, as RGB."""
    with av.open(film) as opened:
        return [
            frame.to_ndarray(format="rgb24") for count, frame in enumerate(opened.decode(video=0)) if count in FRAMES
        ]


def write(file: Path, rows: list[list[np.ndarray]]) -> None:
    """Rows of pictures on white, one below the other."""
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    strips = [np.hstack([part for picture in row for part in (scaled(picture), gap)][:-1]) for row in rows]
    between = np.full((GAP, strips[0].shape[1], 3), 255, np.uint8)
    sheet = np.vstack([part for strip in strips for part in (strip, between)][:-1])
    Image.fromarray(sheet).save(file, quality=85, optimize=True)


def scaled(picture: np.ndarray) -> np.ndarray:
    """At HEIGHT."""
    size = (round(picture.shape[1] * HEIGHT / picture.shape[0]), HEIGHT)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
