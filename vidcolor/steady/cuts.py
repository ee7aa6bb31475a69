"""Shot detection on a stream of small lightness pictures.

A cut is where nothing of one picture is found in the next, not even moved: patches are compared by their correlation
along the optical flow. So exposure flicker, grain, dirt, gate weave and fast motion count for little. Two more frames
tell a cut from a flash. A dissolve changes little from frame to frame and is no cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.steady.motion import FlowFinder, Gray, gray_of, warp

DELAY_FRAMES = 2  # that a decision may take; most take none
CUT_SIMILARITY = 0.25  # below it two pictures are of different shots: cuts reach 0.18, fast fights stay above 0.45
STILL_SIMILARITY = 0.7  # unmoved similarity below which optical flow is computed
PATCH = 5  # cells: side of the patches that are compared; a cell is 2x2 pixels
NOISE_VARIANCE = 4.0  # 8-bit codes squared: variance of coding noise
MAX_CONTRAST = 16.0  # 8-bit codes: largest weight of a patch, so that black dirt does not outvote the rest
MIN_CONTRAST = 3.0  # 8-bit codes: a picture with less (black, white, a title's ground) has nothing to compare


@dataclass(frozen=True)
class CutState:
    """Everything that later decisions depend on. Saved by `to_arrays`: field names are part of the format."""

    recent: tuple[Gray, ...] = field(default=())  # the shot's last two pictures with contrast, newest last
    pending: tuple[Gray, ...] = field(
        default=()
    )  # pictures that may be a flash or a new shot; the first is unlike the shot


class CutDetector:
    """Decides for every frame whether it begins another shot, at most two frames late."""

    def __init__(self, state: CutState = CutState()) -> None:
        self.state = state
        self._flow = FlowFinder()

    def push(self, lightness_hw: Floats) -> list[bool]:
        """Push the next frame, L* 0..100; get decisions on the oldest undecided frames, none to three of them."""
        return self.push_gray(gray_of(lightness_hw))

    def push_gray(self, now: Gray) -> list[bool]:
        """`push` for a picture that motion.gray_of made."""
        pending = self.state.pending
        if not pending:
            return self._compare(now)
        if contrast(now) >= MIN_CONTRAST and self._is_same_shot(now):  # the shot is back: it was a flash
            self.state = CutState(self._recent_with(now))
            return [False] * (len(pending) + 1)
        if len(pending) < DELAY_FRAMES:
            self.state = replace(self.state, pending=(*pending, now))
            return []
        return self._start_shot(pending, now)

    def finish(self) -> list[bool]:
        """End the film: decisions on the frames that are left."""
        pending, self.state = self.state.pending, replace(self.state, pending=())
        return [number == 0 for number in range(len(pending))]

    def similarity(self, before: Gray, now: Gray) -> float:
        """Correlation of the patches of two pictures, the higher of unmoved and warped: about 0 to 1."""
        unmoved = correlation(before, now)
        if unmoved >= STILL_SIMILARITY:
            return unmoved
        moved = warp(before, self._flow(now, before))
        return max(unmoved, correlation(moved, now))

    def _compare(self, now: Gray) -> list[bool]:
        if contrast(now) < MIN_CONTRAST:
            return [False]
        if not self.state.recent or self._is_same_shot(now):
            self.state = CutState(self._recent_with(now))
            return [False]
        self.state = CutState(self.state.recent, (now,))
        return []

    def _is_same_shot(self, now: Gray) -> bool:
        """Whether it is similar to one of the last two pictures; one alone may be hidden by dirt."""
        return any(self.similarity(picture, now) >= CUT_SIMILARITY for picture in reversed(self.state.recent))

    def _recent_with(self, now: Gray) -> tuple[Gray, ...]:
        return (*self.state.recent[-1:], now)

    def _start_shot(self, pending: tuple[Gray, ...], now: Gray) -> list[bool]:
        """Confirm the cut; the frames that waited are compared again, within their own shot."""
        self.state = CutState(pending[:1])
        decided = [True]
        for picture in (*pending[1:], now):
            decided += self.push_gray(picture)
        return decided


def detect_cuts(lightness: Iterator[Floats]) -> Iterator[bool]:
    """For each L* picture (h, w) of a film, whether it begins another shot; the first does not."""
    detector = CutDetector()
    for lightness_hw in lightness:
        yield from detector.push(lightness_hw)
    yield from detector.finish()


def correlation(before: Gray, now: Gray) -> float:
    """Mean over patches of their correlation coefficient, weighted by their contrast: about 0 (unlike) to 1."""
    values_before, values_now = _cells(before), _cells(now)
    mean_before, mean_now = _patch_mean(values_before), _patch_mean(values_now)
    variance_before = np.maximum(_patch_mean(values_before * values_before) - mean_before * mean_before, 0)
    variance_now = np.maximum(_patch_mean(values_now * values_now) - mean_now * mean_now, 0)
    covariance = _patch_mean(values_before * values_now) - mean_before * mean_now
    coefficients = covariance / np.sqrt((variance_before + NOISE_VARIANCE) * (variance_now + NOISE_VARIANCE))
    weights = np.minimum(np.sqrt(np.maximum(variance_before, variance_now)), MAX_CONTRAST)
    return float((coefficients * weights).sum() / (weights.sum() + 1e-3))


def contrast(picture: Gray) -> float:
    """Mean standard deviation of the patches, 8-bit codes."""
    values = _cells(picture)
    mean = _patch_mean(values)
    return float(np.sqrt(np.maximum(_patch_mean(values * values) - mean * mean, 0)).mean())


def _cells(picture: Gray) -> Floats:
    size = picture.shape[1] // 2, picture.shape[0] // 2
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _patch_mean(values: Floats) -> Floats:
    return np.asarray(cv2.blur(values, (PATCH, PATCH)), np.float32)
