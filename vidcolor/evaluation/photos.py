"""Measure a model on colour photos: take the colour away, let the model put it back, compare.

The product's own path is measured: 8-bit luma (BT.601, full range) in, chroma planes out. Beside every model stand
the grey row (no colour at all) and the truth row, because most metrics flatter grey.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidcolor.color import REC601_LUMA, LumaCoding
from vidcolor.colorizer import Colorizer
from vidcolor.errors import SourceError
from vidcolor.evaluation.photo_metrics import Features, Gaussian, colorfulness, frechet_distance, psnr, ssim
from vidcolor.frames import PictureFormat
from vidcolor.media.photos import Rgb, decode, encoded

CODING = LumaCoding("bt601")


@dataclass(frozen=True)
class Score:
    """Means over a set of photos."""

    name: str
    photos: int
    psnr: float  # dB
    ssim: float
    colorfulness: float
    colorfulness_gap: float  # |mean colourfulness - that of the truth|
    distance_closed: float  # 1 - feature distance to the truth / that of grey; NaN for too few photos
    psnr_by_category: dict[str, float]


def read_truth(sources: list[Path]) -> Iterator[tuple[str, Rgb]]:
    """Names and pictures of every readable colour photo."""
    for name, content in encoded(sources):
        if (picture := decode(content)) is not None:
            yield name, picture


def to_luma(rgb: Rgb) -> NDArray[np.uint8]:
    """(H, W, 3) sRGB -> (H, W) Y' codes, full range."""
    luma: NDArray[np.uint8] = np.clip(np.rint(rgb @ np.array(REC601_LUMA)), 0, 255).astype(np.uint8)
    return luma


def recolor(luma: NDArray[np.uint8], colorizer: Colorizer) -> Rgb:
    """(H, W) Y' codes -> sRGB (H, W, 3) with the colours that the model gives."""
    picture = PictureFormat(luma.shape[1], luma.shape[0], 8, (0, 0), full_range=True, matrix=CODING.matrix)
    ((cb, cr),) = colorizer.colorize([luma], picture)
    components = CODING.ycc_to_rgb(luma / 255, (cb - 128.0) / 255, (cr - 128.0) / 255)
    rgb: Rgb = np.clip(np.rint(np.stack(components, axis=2) * 255), 0, 255).astype(np.uint8)
    return rgb


def evaluate(
    sources: list[Path], models: Mapping[str, Callable[[NDArray[np.uint8]], Rgb]], on_photo: Callable[[int], None]
) -> list[Score]:
    """Scores of grey, of each model and of the truth. models: name -> luma to sRGB picture.

    Raises SourceError when there is no photo.
    """
    features = Features()
    ways = {"grey": lambda luma: np.repeat(luma[..., None], 3, axis=2), **models}
    tallies = {name: _Tally() for name in ways}
    truth = _Tally()
    count = 0
    for count, (name, picture) in enumerate(read_truth(sources), start=1):
        luma = to_luma(picture)
        truth.add(name, picture, picture, features)
        for way, color in ways.items():
            tallies[way].add(name, color(luma), picture, features)
        on_photo(count)
    if not count:
        raise SourceError(f"{', '.join(map(str, sources))}: no photo found.")
    tallies["truth"] = truth
    closed = _distances_closed({way: tally.features for way, tally in tallies.items()})
    return [tally.score(way, truth, closed[way]) for way, tally in tallies.items()]


class _Tally:
    """What has been measured of one way of colouring."""

    def __init__(self) -> None:
        self.psnr: list[float] = []
        self.ssim: list[float] = []
        self.colorfulness: list[float] = []
        self.features: list[NDArray[np.float64]] = []
        self.categories: list[str] = []

    def add(self, name: str, picture: Rgb, truth: Rgb, features: Features) -> None:
        self.psnr.append(psnr(picture, truth))
        self.ssim.append(ssim(picture, truth))
        self.colorfulness.append(colorfulness(picture))
        self.features.append(features.of(picture))
        self.categories.append(name.split("/")[0] if "/" in name else "all")

    def score(self, name: str, truth: "_Tally", closed: float) -> Score:
        gap = abs(float(np.mean(self.colorfulness)) - float(np.mean(truth.colorfulness)))
        categories = {
            category: float(np.mean([p for p, c in zip(self.psnr, self.categories, strict=True) if c == category]))
            for category in sorted(set(self.categories))
        }
        return Score(
            name, len(self.psnr), float(np.mean(self.psnr)), float(np.mean(self.ssim)),
            float(np.mean(self.colorfulness)), gap, closed, categories,
        )  # fmt: skip


def _distances_closed(features: dict[str, list[NDArray[np.float64]]]) -> dict[str, float]:
    """For each way, the share of the feature distance from grey to truth that it closes; NaN for too few photos."""
    if len(features["truth"]) < 2:
        return dict.fromkeys(features, float("nan"))
    target = Gaussian.of(features["truth"])
    distances = {way: frechet_distance(Gaussian.of(each), target) for way, each in features.items() if way != "truth"}
    distances["truth"] = 0.0
    whole = distances["grey"]
    return {way: 1 - distance / whole if whole > 0 else float("nan") for way, distance in distances.items()}


def rows(scores: Iterable[Score]) -> list[list[str]]:
    """A table for people: heading first."""
    table = [["", "PSNR", "SSIM", "colourfulness", "gap", "distance closed"]]
    for score in scores:
        closed = f"{score.distance_closed:.0%}" if score.distance_closed == score.distance_closed else "-"
        decibel = "inf" if score.psnr == float("inf") else f"{score.psnr:.2f}"
        gap = f"{score.colorfulness_gap:.1f}"
        table.append([score.name, decibel, f"{score.ssim:.4f}", f"{score.colorfulness:.1f}", gap, closed])
    return table
