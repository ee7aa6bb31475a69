"""Film metrics: how steady colors are over time.

Frames are streamed, and only a few are held. Pictures are sRGB, (H, W, 3), uint8; chroma is (H, W, 2),
Cb and Cr in 8-bit codes (255 is the whole span). Both metrics flatter gray; a perfect
result has the values of the truth, which come from its noise and moving light.
"""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.color import Floats
from vidcolor.stills.rgb import Rgb

CDC_STEPS = (1, 2, 4)  # frames apart
DRIFT_LAGS = (12, 24, 48)  # frames apart; the warp error of chroma is drift at 1
ANCHOR_STEP = 12  # frames from one frame that is followed to the next
SURE = 0.99  # share of a pixel that was visible all the way
CUT_SIZE = 32, 18  # luma is compared at this width and height
MIN_CUT_CHANGE = 18.0  # 8-bit codes. Fast motion reaches 16, real cuts 30 to 65
CUT_RATIO = 3.0  # times the median change before; cuts have 3.5 and more, pans and fights up to 2.8
CUT_MEMORY = 12  # frames in that median

Luma = NDArray[np.uint8]  # (H, W)


class CutDetector:
    """Detects cuts frame by frame.

    A frame begins a shot if its luma, shrunk to 32x18 and without its mean (so that flicker is no cut), differs from
    the previous frame by more than 18 codes on average, and by more than 3 times the median of the last 12 frames.
    """

    def __init__(self) -> None:
        self._before: Floats | None = None
        self._changes: deque[float] = deque(maxlen=CUT_MEMORY)

    def __call__(self, luma: Luma) -> bool:
        """Whether the next frame, luma (H, W), follows a cut; the first frame does not."""
        cells = cv2.resize(luma, CUT_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        cells -= cells.mean()
        before, self._before = self._before, cells
        if before is None:
            return False
        change = float(np.abs(cells - before).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._changes.append(change)
        return change > max(MIN_CUT_CHANGE, CUT_RATIO * usual)


@dataclass(frozen=True)
class Motion:
    """Motion from the previous frame to this one."""

    source: tuple[Floats, Floats]  # x and y, (H, W), in pixels: where each pixel was in the previous frame
    is_visible: NDArray[np.bool_]  # (H, W), whether the pixel was visible there

    @classmethod
    def estimate(cls, before: Luma, now: Luma) -> "Motion":
        """Estimate by optical flow (Farnebäck 2003) between two 8-bit lumas (H, W).

        A pixel is hidden where forward and backward flow disagree, at motion boundaries, and outside the picture
        (Sundaram et al. 2010, with the thresholds of Ruder et al. 2016, which Lai et al. 2018 use too).
        """
        rows, columns = now.shape
        if np.array_equal(before, now):  # a repeated frame; flow in flat areas would be rounding noise
            back = forth = np.zeros((rows, columns, 2), np.float32)
        else:
            back, forth = _optical_flow(now, before), _optical_flow(before, now)
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        x, y = x + back[..., 0], y + back[..., 1]
        met = _warp(forth, (x, y))
        is_inside = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
        is_consistent = _squared_norm(back + met) <= 0.01 * (_squared_norm(back) + _squared_norm(met)) + 0.5
        slopes = np.stack([np.gradient(back, axis=axis) if back.shape[axis] > 1 else 0 * back for axis in (0, 1)])
        is_edge = np.square(slopes).sum(axis=(0, 3)) > 0.01 * _squared_norm(back) + 0.002
        return cls((x, y), is_inside & is_consistent & ~is_edge)

    @classmethod
    def still(cls, size: tuple[int, int]) -> "Motion":
        """No motion, everything visible. size: rows and columns."""
        y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
        return cls((x, y), np.ones(size, np.bool_))

    def continued(self, later: "Motion") -> "Motion":
        """The motion from where this one starts to where `later` ends, which goes on from this one's end."""
        x, y = (_warp(part, later.source) for part in self.source)
        was_visible = _warp(self.is_visible.astype(np.float32), later.source) > SURE
        return Motion((x, y), later.is_visible & was_visible)

    def warp_error(self, before: Floats, now: Floats) -> float:
        """Squared difference between this frame and the warped previous one, summed over channels, mean over visible
        pixels; NaN if none is visible.  before, now: (H, W, C).
        """
        if not self.is_visible.any():
            return float("nan")
        return float(_squared_norm(_warp(before, self.source) - now)[self.is_visible].mean())


def _optical_flow(start: Luma, end: Luma) -> Floats:
    """Displacement of each pixel of `start` in `end`: (H, W, 2), x and y.

    Not the DIS flow of the steadying itself: a filter must not be measured by its own flow.
    """
    nothing = np.zeros((*start.shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(
        start, end, nothing, pyr_scale=0.5, levels=5, winsize=15, iterations=2, poly_n=5, poly_sigma=1.1, flags=0
    )
    return np.asarray(flow, np.float32)


def _warp(picture: Floats, source: tuple[Floats, Floats]) -> Floats:
    """Warp a picture (H, W, C) by bilinear sampling at `source`."""
    return np.asarray(cv2.remap(picture, *source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _squared_norm(vectors: Floats) -> Floats:
    squared: Floats = np.einsum("...c,...c->...", vectors, vectors)
    return squared


class WarpError:
    """Warp error: change of color along the motion, mean over pairs of neighboring frames."""

    def __init__(self) -> None:
        self._rgb: list[float] = []
        self._chroma: list[float] = []
        self._before: tuple[Floats, Floats] | None = None

    def update(self, picture: Rgb, chroma: Floats, motion: Motion | None) -> None:
        """Add the next frame.  motion: from the previous frame; None at the first frame and after a cut."""
        now = np.divide(picture, 255, dtype=np.float32), chroma
        if motion is not None and self._before is not None:
            self._rgb.append(motion.warp_error(self._before[0], now[0]) / 3)
            self._chroma.append(motion.warp_error(self._before[1], now[1]))
        self._before = now

    @property
    def pairs(self) -> int:
        """Number of frame pairs measured."""
        return int(np.isfinite(self._rgb).sum())

    @property
    def rgb(self) -> float:
        """Squared difference of R, G, B in 0..1, mean over channels and visible pixels; NaN without a pair.

        As in the code of Lai et al. 2018, "Learning Blind Video Temporal Consistency". Every method has the same part
        that comes from luma.
        """
        return _mean(self._rgb)

    @property
    def chroma(self) -> float:
        """Warp error of Cb and Cr alone: root mean square distance in 8-bit codes; 0 for gray."""
        return float(np.sqrt(_mean(self._chroma)))


def _mean(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


class Trails:
    """Follows the pixels of a shot back to some of its earlier frames, by adding up the motion from frame to frame."""

    def __init__(self) -> None:
        self._trails: dict[int, Motion] = {}  # by the number of the frame that they lead to
        self._number = self._start = 0  # of the newest frame, and of its shot's first

    def update(self, motion: Motion | None, size: tuple[int, int]) -> dict[int, Motion]:
        """Add the next frame. motion: from the previous frame; None at the first frame and after a cut.

        size: rows and columns.  Gives the motion from frames DRIFT_LAGS ago to this one, by the lag.
        """
        self._number += 1
        if motion is None:
            self._trails, self._start = {}, self._number
        else:
            self._trails = {
                anchor: trail.continued(motion)
                for anchor, trail in self._trails.items()
                if self._number - anchor <= max(DRIFT_LAGS)
            }
        if (self._number - self._start) % ANCHOR_STEP == 0:
            self._trails[self._number] = Motion.still(size)
        ages = {self._number - anchor: trail for anchor, trail in self._trails.items()}
        return {lag: ages[lag] for lag in DRIFT_LAGS if lag in ages}


class Drift:
    """Drift: how far a thing's chroma has moved after some frames, along the motion, mean over pairs of frames."""

    def __init__(self) -> None:
        self._anchors: deque[Floats] = deque(maxlen=max(DRIFT_LAGS) + 1)
        self._found: dict[int, list[float]] = {lag: [] for lag in DRIFT_LAGS}

    def update(self, chroma: Floats, trails: dict[int, Motion]) -> None:
        """Add the next frame. trails: see Trails.update."""
        self._anchors.append(chroma)
        for lag, trail in trails.items():
            self._found[lag].append(trail.warp_error(self._anchors[-1 - lag], chroma))

    @property
    def by_lag(self) -> dict[int, float]:
        """Root mean square distance of Cb and Cr in 8-bit codes by frames apart; NaN without a pair, 0 for gray."""
        return {lag: float(np.sqrt(_mean(found))) for lag, found in self._found.items()}


class ColorDistributionConsistency:
    """CDC, color distribution consistency (Liu et al. 2021, "Temporally Consistent Video Colorization").

    Jensen-Shannon divergence (natural logarithm) of the 256-bin histograms of R, G and B between frames i and i + t,
    mean over channels and frames, then over t = 1, 2, 4.
    """

    def __init__(self) -> None:
        self._recent: deque[NDArray[np.float64]] = deque(maxlen=max(CDC_STEPS))
        self._divergences: dict[int, list[float]] = {step: [] for step in CDC_STEPS}

    def update(self, picture: Rgb, *, is_cut: bool) -> None:
        """Add the next frame. Pairs across a cut do not count."""
        if is_cut:
            self._recent.clear()
        channels = [cv2.calcHist([picture], [channel], None, [256], [0, 256]) for channel in range(3)]
        now = np.reshape(channels, (3, 256)).astype(np.float64) / (picture.shape[0] * picture.shape[1])
        for step in CDC_STEPS:
            if step <= len(self._recent):
                self._divergences[step].append(float(jensen_shannon(self._recent[-step], now).mean()))
        self._recent.append(now)

    @property
    def value(self) -> float:
        """CDC: 0 (all frames of a shot have the same colors) to ln 2; NaN without a pair."""
        return _mean([_mean(found) for found in self._divergences.values()])


def jensen_shannon(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Jensen-Shannon divergence along the last axis, in nats: 0 to ln 2."""
    middle = (one + other) / 2
    divergence: NDArray[np.float64] = (_relative_entropy(one, middle) + _relative_entropy(other, middle)) / 2
    return divergence


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    entropy: NDArray[np.float64] = (p * np.log(ratio)).sum(axis=-1)
    return entropy
