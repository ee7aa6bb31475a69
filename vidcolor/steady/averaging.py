"""The network's predictions for a shot, averaged along its motion.

Shapes: h w of a*b*. A prediction is the a*b* (2, h, w) that the network gives a frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vidcolor.color import Floats
from vidcolor.steady.links import Link, lightness_at
from vidcolor.steady.motion import Gray

CONFLICT_DISTANCE = (
    40.0  # a*b*: unexplained color so far from the prediction belongs to another object; it is no flicker
)
MIN_RANGE = 1.0  # a*b*: how far a color may lie from the prediction's regression at its lightness
WINDOW = 1 / 4  # of the short side: the neighborhood of the regression
LIGHTNESS_NOISE = 4.0  # (L*)^2, added to the variance of lightness
VIVIDNESS_LIMIT = 1.2  # largest factor, up or down, that restores a shot's colorfulness


@dataclass(frozen=True)
class Memory:
    """What an average remembers."""

    max_weight: int = 20  # predictions at most; over so many the shot's amount of color is measured too
    unexplained: float = 0.95  # share of its weight that it keeps where luma does not explain it
    deviations: float = (
        1.5  # standard deviations, plus MIN_RANGE, that an unexplained color may lie from the prediction
    )


FROM_THE_PAST = Memory()


@dataclass(frozen=True)
class Average:
    """The running average of a shot's colors, aligned to its newest picture."""

    ab_2hw: Floats
    weight_hw: Floats  # predictions that each pixel's color rests on, 1 to Memory.max_weight
    wanted_color: float  # mean colorfulness of the shot's predictions
    found_color: float  # mean colorfulness of its averages, which contradicting predictions make duller

    @classmethod
    def start(cls, predicted_2hw: Floats) -> "Average":
        """The average after a shot's first frame."""
        amount = colorfulness(predicted_2hw)
        return cls(predicted_2hw, np.ones(predicted_2hw.shape[1:], np.float32), amount, amount)

    def update(
        self, predicted_2hw: Floats, link: Link, now: Gray, *, memory: Memory = FROM_THE_PAST,
        weight_hw: Floats | None = None,
    ) -> "Average":  # fmt: skip
        """The average with one more prediction, aligned to the picture `now`, to which `link` leads.

        weight: predictions that it counts for; None: one.
        """
        warped = link.warp_ab(self.ab_2hw)
        clipped = clip_variance(
            predicted_2hw, warped, lightness_at(now, link.trust_hw.shape), deviations=memory.deviations
        )
        clipped += link.trust_hw * (warped - clipped)
        conflict = np.square(clipped - predicted_2hw).sum(axis=0) * np.float32(-1 / CONFLICT_DISTANCE**2)
        weight = link.warp(self.weight_hw) * np.maximum(link.trust_hw, memory.unexplained * cv2.exp(conflict))
        own = np.float32(1) if weight_hw is None else weight_hw
        ab = (weight * clipped + own * predicted_2hw) / (weight + own)
        step = 1 / memory.max_weight
        wanted = self.wanted_color + step * (colorfulness(predicted_2hw) - self.wanted_color)
        found = self.found_color + step * (colorfulness(ab) - self.found_color)
        return Average(ab, np.minimum(weight + own, np.float32(memory.max_weight)), wanted, found)

    @property
    def vivid_2hw(self) -> Floats:
        """The average's a*b*, scaled to the mean colorfulness of the shot's predictions."""
        ratio = self.wanted_color / max(self.found_color, 1e-3)
        return self.ab_2hw * np.float32(np.clip(ratio, 1 / VIVIDNESS_LIMIT, VIVIDNESS_LIMIT))


def clip_variance(
    predicted_2hw: Floats,
    warped_2hw: Floats,
    lightness_hw: Floats,
    *,
    deviations: float = FROM_THE_PAST.deviations,
    weight_hw: Floats | None = None,
) -> Floats:
    """Clip warped colors to the range that the prediction has near by, at the same lightness.

    Variance clipping (Salvi 2016, "An Excursion in Temporal Supersampling"), but about the prediction's linear
    regression on lightness (the guided filter of He et al. 2010) instead of its mean, so that a dark object before a
    bright ground keeps its own range.

    deviations: half the range, in standard deviations.  weight: how much each pixel of the prediction counts.
    """
    window = round_to_odd(WINDOW * min(lightness_hw.shape))
    total = np.float32(1) if weight_hw is None else cv2.blur(weight_hw, (window, window))

    def mean(values: Floats) -> Floats:
        weighted = values if weight_hw is None else weight_hw * values
        return np.asarray(cv2.blur(weighted, (window, window)) / total, np.float32)

    mean_lightness = mean(lightness_hw)
    variance_lightness = np.maximum(
        mean(lightness_hw * lightness_hw) - mean_lightness * mean_lightness, 0
    ) + np.float32(LIGHTNESS_NOISE)
    clipped = np.empty_like(warped_2hw)
    for plane, predicted in enumerate(predicted_2hw):
        mean_predicted = mean(predicted)
        covariance = mean(predicted * lightness_hw) - mean_predicted * mean_lightness
        slope = covariance / variance_lightness
        expected = mean_predicted + slope * (lightness_hw - mean_lightness)
        variance = np.maximum(mean(predicted * predicted) - mean_predicted * mean_predicted - slope * covariance, 0)
        half_range = deviations * np.sqrt(variance) + np.float32(MIN_RANGE)
        np.clip(warped_2hw[plane], expected - half_range, expected + half_range, out=clipped[plane])
    return clipped


def colorfulness(ab_2hw: Floats) -> float:
    """Root mean square of a* and b*: distance from gray and variety in one number."""
    return float(np.sqrt(np.mean(np.square(ab_2hw))))


def variety(ab_2hw: Floats) -> float:
    """Colorfulness as Hasler and Suesstrunk define it, on a*b*: mostly how far colors differ from each other."""
    return float(np.sqrt(ab_2hw.var(axis=(1, 2)).sum()) + 0.3 * np.hypot(*ab_2hw.mean(axis=(1, 2))))


def round_to_odd(pixels: float) -> int:
    """An odd number of pixels, for a window."""
    return int(pixels) // 2 * 2 + 1
