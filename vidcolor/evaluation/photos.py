"""Measure models on color photos: remove the color, let the model predict it, compare.

The path of `vidcolor colorize` is measured: 8-bit luma (BT.601, full range) in, chroma planes out. A gray row and a
truth row are added, because most metrics flatter gray.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vidcolor.color import Floats, LumaCoding
from vidcolor.counts import counted
from vidcolor.errors import SourceError
from vidcolor.evaluation.hinting import COUNTS, ColorByHints, measure_hinted
from vidcolor.evaluation.photo_metrics import Features, Gaussian, colorfulness, de00, frechet_distance, psnr, ssim
from vidcolor.evaluation.sources import count_photos, read_photos, spread_evenly
from vidcolor.evaluation.stability import measure_instability
from vidcolor.evaluation.stocks import Luma, Stock, render_panchromatic
from vidcolor.frames import PictureFormat
from vidcolor.inference.colorizer import Colorizer, paint
from vidcolor.inference.listening import Known
from vidcolor.stills.rgb import Rgb, is_gray

CODING = LumaCoding("bt601")
CHUNK_PIXELS = 1 << 25  # of photos held at once, to be sorted by shape; 100 MB
BATCH = 8  # photos colored and measured together

Photo = tuple[int, str, Rgb | None]  # number, name, and the picture if it can be read


class PhotoMethod(Protocol):
    """A method of coloring photos."""

    def __call__(self, lumas: Sequence[Luma], /, *, seen: Sequence[Luma] | None = None) -> Sequence[Rgb]:
        """Lumas of any sizes -> a picture for each, in order.  seen: inputs to predict from instead, of equal sizes."""


class Metric(Protocol):
    """A further metric, accumulated for every method."""

    name: str

    def update(self, method: str, picture: Rgb, truth: Rgb) -> None:
        """Add one picture that a method has made; `method` is "truth" for the truth itself."""

    def compute(self, method: str) -> float:
        """The value over all pictures; NaN where they are too few."""


@dataclass(frozen=True)
class Score:
    """Means over a set of photos."""

    name: str  # of the method
    photos: int  # that the means are over
    psnr: float  # dB; infinite for the truth
    de00: float  # CIEDE2000 of its colors at the true L*
    ssim: float  # -1..1: structural similarity
    colorfulness: float  # Hasler and Süsstrunk's measure
    colorfulness_gap: float  # |mean colorfulness - that of the truth|
    distance_closed: float  # 1 - feature distance to the truth / that of gray; may be negative; NaN: too few photos
    feature_distance: float  # Fréchet distance to the truth in EfficientNet-Lite2 features; not FID
    seconds: float | None  # a photo, of the coloring alone (median over batches); None for gray and truth
    psnr_by_category: dict[str, float]  # dB, by the folder that photos are in; infinite for the truth
    # Requested metrics: neutrals, lpips, fid, is, wobble; hints_1, hints_10, hints_100: PSNR with so many hints.
    further: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PhotoReport:
    """Scores of gray, each method and the truth, and counts of photos."""

    scores: list[Score]
    photos: int  # measured
    unreadable: list[str]  # names of photos that are damaged or too small
    gray: list[str]  # names of photos without color, which measure nothing
    found: int  # in the sources, before any limit


def leave_gray(lumas: Sequence[Luma], /, *, seen: Sequence[Luma] | None = None) -> list[Rgb]:  # noqa: ARG001
    """The method that adds no color."""
    return [np.repeat(luma[..., None], 3, axis=2) for luma in lumas]


def recolor(
    lumas: Sequence[Luma], /, colorizer: Colorizer, *, seen: Sequence[Luma] | None = None,
    known: Sequence[Known] | None = None,
) -> list[Rgb]:  # fmt: skip
    """The method that runs a model; neighbors of one network size form a batch.  known: colors that are said of each.

    seen: see PhotoMethod.
    """
    shown = [colorizer.lightness(luma, photo_format(luma)) for luma in (lumas if seen is None else seen)]
    pictures: list[Rgb] = []
    said = known or [Known.nothing()] * len(lumas)
    for _, alike in groupby(zip(lumas, shown, said, strict=True), key=lambda each: each[1].shape):
        group = list(alike)
        looked_at = [lightness for _, lightness, _ in group]
        colors = colorizer.guide(looked_at, colorizer.predict(looked_at), [told for _, _, told in group])
        pictures += [paint_photo(luma, found.ab_2hw) for (luma, _, _), found in zip(group, colors, strict=True)]
    return pictures


def photo_format(luma: Luma) -> PictureFormat:
    """The format of a photo of this luma: 8 bits, full range, BT.601."""
    return PictureFormat(luma.shape[1], luma.shape[0], 8, (0, 0), full_range=True, matrix=CODING.matrix)


def paint_photo(luma: Luma, ab_2hw: Floats) -> Rgb:
    """Lay a*b* of any size on a luma, as a job does: sRGB (H, W, 3)."""
    cb, cr = paint(luma, ab_2hw, photo_format(luma))
    components = CODING.ycc_to_rgb(luma / 255, (cb - 128.0) / 255, (cr - 128.0) / 255)
    rgb: Rgb = np.clip(np.rint(np.stack(components, axis=2) * 255), 0, 255).astype(np.uint8)
    return rgb


def evaluate(
    sources: list[Path],
    methods: Mapping[str, PhotoMethod],
    *,
    limit: int | None = None,
    device: str = "cpu",
    metrics: Sequence[Metric] = (),
    with_stability: bool = False,
    hinted: Mapping[str, ColorByHints] | None = None,
    stocks: Mapping[str, Stock] | None = None,
    on_pictures: Callable[[int, str, Mapping[str, Rgb]], None] = lambda *_: None,
    on_photo: Callable[[int, int], None] = lambda *_: None,
) -> PhotoReport:
    """Measure gray, each method and the truth on photos in folders, archives and files.

    limit: photos to measure, evenly spread; default all.  device: where the feature network runs, a PyTorch device.
    metrics: further metrics.  with_stability: measure `wobble` too.  hinted: by method, how it colors with hints, for
    the PSNR with some.  stocks: by way, what it is shown
    instead of plain luma; its colors are laid on plain luma all the same.
    on_pictures: called with each photo's number, name and pictures by method, in any order.
    on_photo: called with the photos done and in total.
    Raises SourceError when there is no color photo.
    """
    found = count_photos(tuple(sources))
    numbers = spread_evenly(found, found if limit is None else limit)
    evaluator = _PhotoEvaluator(
        {"gray": leave_gray, **methods},
        Features(device),
        metrics,
        stocks or {},
        hinted or {},
        with_stability=with_stability,
    )
    unreadable: list[str] = []
    without_color: list[str] = []
    done = 0
    on_photo(0, len(numbers))
    for chunk in _split_into_chunks(read_photos(tuple(sources), set(numbers))):
        usable = _select_usable(chunk, unreadable, without_color)
        done += len(chunk) - len(usable)
        for start in range(0, len(usable), BATCH):
            batch = usable[start : start + BATCH]
            pictures = evaluator.measure([name for _, name, _ in batch], [picture for _, _, picture in batch])
            for index, (number, name, _) in enumerate(batch):
                on_pictures(number, name, {way: made[index] for way, made in pictures.items()})
            done += len(batch)
            on_photo(done, len(numbers))
    left = len(numbers) - len(unreadable) - len(without_color)
    if not left:
        unread = counted(len(unreadable), "photo")
        what = f"found {unread} that cannot be read and {len(without_color)} without color"
        raise SourceError(f"{', '.join(map(str, sources))}: {what if numbers else 'found none'}; needs color photos.")
    return PhotoReport(evaluator.scores(), left, unreadable, without_color, found)


def _select_usable(chunk: list[Photo], unreadable: list[str], without_color: list[str]) -> list[tuple[int, str, Rgb]]:
    """Select the photos that can be measured, sorted by shape; names of the others are appended to the lists."""
    usable = []
    for number, name, picture in chunk:
        if picture is None:
            unreadable.append(name)
        elif is_gray(picture):
            without_color.append(name)
        else:
            usable.append((number, name, picture))
    # By shape, because compiling a network for another size takes as long as ten photos.
    return sorted(usable, key=lambda photo: (photo[2].shape[0] / photo[2].shape[1], photo[0]))


def _split_into_chunks(photos: Iterator[Photo]) -> Iterator[list[Photo]]:
    """Split photos into lists that fit in memory."""
    chunk: list[Photo] = []
    pixels = 0
    for photo in photos:
        chunk.append(photo)
        pixels += 0 if photo[2] is None else photo[2].shape[0] * photo[2].shape[1]
        if pixels >= CHUNK_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


class _Simple(NamedTuple):
    """What is measured of each photo alone."""

    psnr: float
    de00: float
    ssim: float
    colorfulness: float


@dataclass
class _PhotoMetrics:
    """Measurements of one method."""

    simple: list[_Simple] = field(default_factory=list)  # of each photo
    features: list[NDArray[np.float64]] = field(default_factory=list)  # by batch
    seconds: list[float] = field(default_factory=list)  # a photo, by batch
    instabilities: list[float] = field(default_factory=list)  # of each photo
    hinted: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # PSNR, by number of hints

    def mean(self, metric: str) -> float:
        return float(np.mean([getattr(values, metric) for values in self.simple]))


class _PhotoEvaluator:
    """Colors batches of photos by every method and measures them."""

    def __init__(
        self,
        methods: Mapping[str, PhotoMethod],
        features: Features,
        metrics: Sequence[Metric],
        stocks: Mapping[str, Stock],
        hinted: Mapping[str, ColorByHints],
        *,
        with_stability: bool,
    ) -> None:
        self._methods, self._stocks, self._hinted = methods, stocks, hinted
        self._features = features
        self._metrics = metrics
        self._with_stability = with_stability
        self._measured = {way: _PhotoMetrics() for way in (*methods, "truth")}
        self._categories: list[str] = []
        self._pool = ThreadPoolExecutor()

    def measure(self, names: list[str], truths: list[Rgb]) -> dict[str, Sequence[Rgb]]:
        """Color and measure a batch; returns the pictures by method, with the truth."""
        lumas = [render_panchromatic(truth) for truth in truths]
        pictures: dict[str, Sequence[Rgb]] = {}
        for method, color in self._methods.items():
            stock, began = self._stocks.get(method), time.perf_counter()
            pictures[method] = color(lumas, seen=[stock(truth) for truth in truths] if stock else None)
            self._measured[method].seconds.append((time.perf_counter() - began) / len(lumas))
            if self._with_stability:
                self._measured[method].instabilities += measure_instability(color, lumas, pictures[method])
            if method in self._hinted:
                for count, values in measure_hinted(self._hinted[method], names, lumas, truths).items():
                    self._measured[method].hinted[count] += values
        pictures["truth"] = truths
        self._categories += [name.split("/")[0] if "/" in name else "all" for name in names]
        for method, made in pictures.items():
            # The simple metrics run in threads while the feature network runs.
            simple = [self._pool.submit(_simple_metrics, *pair) for pair in zip(made, truths, strict=True)]
            self._measured[method].features.append(self._features.extract(made))
            for metric in self._metrics:
                for picture, truth in zip(made, truths, strict=True):
                    metric.update(method, picture, truth)
            self._measured[method].simple += [future.result() for future in simple]
        return pictures

    def scores(self) -> list[Score]:
        """Scores of each method, the truth last."""
        truth = self._measured["truth"]
        distances = _feature_distances({way: np.concatenate(tally.features) for way, tally in self._measured.items()})
        return [self._score(way, tally, truth, distances) for way, tally in self._measured.items()]

    def _score(self, method: str, measured: _PhotoMetrics, truth: _PhotoMetrics, distances: dict[str, float]) -> Score:
        categories = np.array(self._categories)
        decibels = np.array([values.psnr for values in measured.simple])
        return Score(
            name=method,
            photos=len(measured.simple),
            psnr=measured.mean("psnr"),
            de00=measured.mean("de00"),
            ssim=measured.mean("ssim"),
            colorfulness=measured.mean("colorfulness"),
            colorfulness_gap=abs(measured.mean("colorfulness") - truth.mean("colorfulness")),
            distance_closed=1 - distances[method] / distances["gray"] if distances["gray"] > 0 else float("nan"),
            feature_distance=distances[method],
            seconds=float(np.median(measured.seconds)) if method in self._methods and method != "gray" else None,
            psnr_by_category={name: float(decibels[categories == name].mean()) for name in sorted(set(categories))},
            further={metric.name: metric.compute(method) for metric in self._metrics}
            | self._mean_instability(measured)
            | self._mean_hinted(measured),
        )

    def _mean_hinted(self, measured: _PhotoMetrics) -> dict[str, float]:
        if not self._hinted:
            return {}
        found = {f"hints_{count}": measured.hinted[f"hints_{count}"] for count in COUNTS}
        return {name: float(np.mean(values)) if values else float("nan") for name, values in found.items()}

    def _mean_instability(self, measured: _PhotoMetrics) -> dict[str, float]:
        if not self._with_stability:
            return {}
        return {"wobble": float(np.mean(measured.instabilities)) if measured.instabilities else float("nan")}


def _simple_metrics(picture: Rgb, truth: Rgb) -> _Simple:
    return _Simple(psnr(picture, truth), de00(picture, truth), ssim(picture, truth), colorfulness(picture))


def _feature_distances(features: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Feature distance of each method, (N, C), to the truth; NaN for too few photos."""
    if len(features["truth"]) < 2:
        return dict.fromkeys(features, float("nan"))
    target = Gaussian.fit(features["truth"])
    distances = {way: frechet_distance(target, Gaussian.fit(each)) for way, each in features.items() if way != "truth"}
    return distances | {"truth": 0.0}
