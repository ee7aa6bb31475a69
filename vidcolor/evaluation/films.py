"""Measure models on color films: remove the color, let the model predict it, compare quality and steadiness.

Frames are measured with a short side of at most 256 pixels; every method keeps the film's luma.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidcolor.color import Floats, LumaCoding, chroma_levels, luma_table
from vidcolor.errors import SourceError
from vidcolor.evaluation.film_methods import FilmMethod, MethodRun, SharedFrames, keep_color, leave_gray
from vidcolor.evaluation.film_metrics import (
    ColorDistributionConsistency,
    CutDetector,
    Drift,
    Luma,
    Motion,
    Trails,
    WarpError,
)
from vidcolor.evaluation.photo_metrics import colorfulness, de00_in_lab, psnr, to_lab
from vidcolor.films.pipeline import view_of
from vidcolor.frames import ColoredFrame, Frame, PictureFormat, Plane
from vidcolor.media.seeking import read_properties, sample_frames
from vidcolor.media.source import FilmSource
from vidcolor.overlap import prefetch
from vidcolor.planes import look_up
from vidcolor.stills.rgb import Rgb, is_gray

MEASURED_SIDE = 256  # pixels, short side: a model's usual input, and a limit on the optical flow's time
DE00_STEP = 6  # frames from one whose CIEDE2000 is measured to the next: it takes long
PSNR_CEILING = 58.9  # dB, of rounding to 8 bits; else one black frame would make the mean infinite
DECODED_AHEAD = 4
SAMPLED_FRAMES = 12  # by which a film is known to be gray


@dataclass(frozen=True)
class FilmScore:
    """Means over the frames of a film, or over several films with equal weights."""

    film: str  # its name; "" for the mean of several
    name: str  # of the method
    films: int  # that the means are over
    frames: int  # that were measured
    cuts: int  # in the films
    psnr: float  # dB, mean over frames; infinite for the truth
    de00: float  # CIEDE2000 of its colors under the true L*, mean over some of the frames: see DE00_STEP
    colorfulness: float  # Hasler and Süsstrunk's measure
    colorfulness_gap: float  # |mean colorfulness - that of the truth|; of several films the mean of their gaps
    cdc: float  # color distribution consistency, see film_metrics.ColorDistributionConsistency
    warp_error: float  # of R, G and B along the motion, see film_metrics.WarpError.rgb
    chroma_warp_error: float  # the same of Cb and Cr, 8-bit codes, see film_metrics.WarpError.chroma
    drift_12: float  # the same between frames 12 apart, see film_metrics.Drift; NaN where no shot is so long
    drift_24: float  # between frames 24 apart; NaN where no shot is so long
    drift_48: float  # between frames 48 apart; NaN where no shot is so long
    seconds: float | None  # of the coloring alone; None for gray and truth
    frames_per_second: float | None  # speed of the coloring alone; None for gray and truth


@dataclass(frozen=True)
class FilmReport:
    """A film's scores: gray, each method, truth."""

    scores: list[FilmScore]
    damage: str  # what was wrong with the file, in words; "" for nothing


def is_gray_film(path: Path) -> bool:
    """Whether a film has no color or a single tint, by sampled frames. Raises SourceError."""
    seen = list(sample_frames(path, read_properties(path), SAMPLED_FRAMES, (64, 64)))
    return bool(seen) and all(map(is_gray, seen))


def evaluate_film(
    path: Path,
    methods: Mapping[str, FilmMethod],
    *,
    on_pictures: Callable[[int, str, Mapping[str, Rgb]], None] = lambda *_: None,
    on_frame: Callable[[int, int | None], None] = lambda *_: None,
) -> FilmReport:
    """Measure gray, each method and the truth on one film, in one pass with constant memory.

    on_pictures: called with each frame's number, the film's name, and the frame by method as measured (sRGB, shrunk).
    on_frame: called with the frames done and in total (None: unknown).
    Raises SourceError for a film that cannot be read or has no color; ShapeError for a method that changes the frames.
    """
    if is_gray_film(path):
        raise SourceError(f"{path}: a gray film, without true color to measure against. Give a color film.")
    with FilmSource(path) as source, closing(prefetch(source.frames(), DECODED_AHEAD)) as decoded, ExitStack() as stack:
        shared = SharedFrames(decoded, len(methods) + 3)
        runs = {
            name: MethodRun(name, way, source.info, shared, reader)
            for reader, (name, way) in enumerate({"gray": leave_gray, **methods, "truth": keep_color}.items(), start=1)
        }
        for lane in runs.values():
            stack.callback(lane.close)
        evaluator = _FilmEvaluator(source.info.picture, runs)
        turns = view_of(source.info).quarter_turns
        on_frame(0, source.info.frame_count)
        for count, frame in enumerate(shared.read(0), start=1):
            pictures = evaluator.measure(frame)
            on_pictures(count - 1, path.name, {name: np.rot90(rgb, turns) for name, rgb in pictures.items()})
            on_frame(count, source.info.frame_count)
        for lane in runs.values():
            lane.finish()
        return FilmReport(evaluator.scores(path.name), source.damage.describe())


class _FilmEvaluator:
    """Measures each frame of every method."""

    def __init__(self, picture: PictureFormat, runs: Mapping[str, MethodRun]) -> None:
        self._scaler = _PlaneScaler(picture)
        self._runs = runs
        self._metrics = {name: _FilmMetrics() for name in runs}
        self._is_cut = CutDetector()
        self._trails = Trails()
        self._before: Luma | None = None
        self._frames = self._cuts = 0
        self._pool = ThreadPoolExecutor(1)

    def measure(self, frame: Frame) -> dict[str, Rgb]:
        """Measure a frame; returns its pictures by method."""
        luma = self._scaler.luma(frame.luma)
        codes = np.rint(luma * 255).astype(np.uint8)
        before, self._before = self._before, codes
        is_cut = self._is_cut(codes)
        # The flow is computed once, of the film's own luma, while the methods color the frame.
        moving = None if is_cut or before is None else self._pool.submit(Motion.estimate, before, codes)
        colored = {name: self._scaler.colors(luma, lane.color(frame)) for name, lane in self._runs.items()}
        motion = None if moving is None else moving.result()
        trails = self._trails.update(motion, (codes.shape[0], codes.shape[1]))
        truth = to_lab(colored["truth"][0]) if self._frames % DE00_STEP == 0 else None
        for name, (rgb, chroma) in colored.items():
            if truth is not None:
                self._metrics[name].de00.append(de00_in_lab(rgb, truth))
            self._metrics[name].update(rgb, chroma, colored["truth"][0], motion, trails, is_cut=is_cut)
        self._frames += 1
        self._cuts += is_cut
        return {name: rgb for name, (rgb, _) in colored.items()}

    def scores(self, film: str) -> list[FilmScore]:
        """Scores of each method."""
        self._pool.shutdown()
        truth = float(np.mean(self._metrics["truth"].colorfulness))
        return [self._score(film, name, tally, truth) for name, tally in self._metrics.items()]

    def _score(self, film: str, name: str, metrics: "_FilmMetrics", true_colorfulness: float) -> FilmScore:
        mean = float(np.mean(metrics.colorfulness))
        seconds = None if name in ("gray", "truth") else self._runs[name].seconds
        return FilmScore(
            film=film, name=name, films=1, frames=self._frames, cuts=self._cuts,
            psnr=float("inf") if name == "truth" else float(np.mean(metrics.psnr)),
            de00=float(np.mean(metrics.de00)),
            colorfulness=mean, colorfulness_gap=abs(mean - true_colorfulness), cdc=metrics.cdc.value,
            warp_error=metrics.warp.rgb, chroma_warp_error=metrics.warp.chroma,
            **{f"drift_{lag}": value for lag, value in metrics.drift.by_lag.items()}, seconds=seconds,
            frames_per_second=self._frames / seconds if seconds else None,
        )  # fmt: skip


class _FilmMetrics:
    """Metrics of one method."""

    def __init__(self) -> None:
        self.psnr: list[float] = []
        self.de00: list[float] = []
        self.colorfulness: list[float] = []
        self.cdc, self.warp, self.drift = ColorDistributionConsistency(), WarpError(), Drift()

    def update(
        self, rgb: Rgb, chroma: Floats, truth: Rgb, motion: Motion | None, trails: dict[int, Motion], *, is_cut: bool
    ) -> None:
        self.psnr.append(min(psnr(rgb, truth), PSNR_CEILING))
        self.colorfulness.append(colorfulness(rgb))
        self.cdc.update(rgb, is_cut=is_cut)
        self.warp.update(rgb, chroma, motion)
        self.drift.update(chroma, trails)


class _PlaneScaler:
    """Scales planes to the size and units that are measured."""

    def __init__(self, picture: PictureFormat) -> None:
        scale = min(1.0, MEASURED_SIDE / min(picture.width, picture.height))
        self._size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        self._levels = luma_table(picture.bits, picture.full_range)
        self._coding = LumaCoding(picture.matrix, picture.transfer)
        self._picture = picture

    def luma(self, luma: Plane) -> Floats:
        """(H, W) codes -> (h, w), Y' 0..1."""
        return self._resize(look_up(luma, self._levels))

    def colors(self, luma: Floats, colored: ColoredFrame) -> tuple[Rgb, Floats]:
        """Y' (h, w) and a colored frame -> sRGB (h, w, 3) and chroma (h, w, 2) in 8-bit codes."""
        cb, cr = (self._resize(chroma_levels(plane, self._picture)) for plane in (colored.cb, colored.cr))
        tint = np.stack(self._coding.ycc_to_rgb(np.float32(0), cb, cr), axis=2)
        rgb: Rgb = np.clip(np.rint((luma[..., None] + tint) * 255), 0, 255).astype(np.uint8)  # gray stays R = G = B
        return rgb, np.stack([cb, cr], axis=2) * np.float32(255)

    def _resize(self, plane: Floats) -> Floats:
        if plane.shape == self._size[::-1]:
            return plane
        is_larger = plane.shape[0] > self._size[1]
        how = cv2.INTER_AREA if is_larger else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(plane, self._size, interpolation=how), np.float32)


def average_reports(reports: list[FilmReport]) -> list[FilmScore]:
    """Average each method's scores over several films; counts are summed."""
    return [_average_scores([report.scores[row] for report in reports]) for row in range(len(reports[0].scores))]


def _average_scores(scores: list[FilmScore]) -> FilmScore:
    def mean(name: str) -> float:
        values = [getattr(score, name) for score in scores]
        known = [value for value in values if not np.isnan(value)] if name.startswith("drift") else values
        return float(np.mean(known)) if known else float("nan")

    frames = sum(score.frames for score in scores)
    seconds = None if scores[0].seconds is None else sum(score.seconds or 0 for score in scores)
    return FilmScore(
        film="", name=scores[0].name, films=len(scores), frames=frames, cuts=sum(score.cuts for score in scores),
        psnr=mean("psnr"), de00=mean("de00"), colorfulness=mean("colorfulness"),
        colorfulness_gap=mean("colorfulness_gap"),
        cdc=mean("cdc"), warp_error=mean("warp_error"), chroma_warp_error=mean("chroma_warp_error"),
        drift_12=mean("drift_12"), drift_24=mean("drift_24"), drift_48=mean("drift_48"), seconds=seconds,
        frames_per_second=frames / seconds if seconds else None,
    )  # fmt: skip
