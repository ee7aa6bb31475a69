"""Decides which shots of a film have colors already, while the film streams by.

A shot is judged by its first frames, and again where the frames that follow are of the other kind for a while: after a
dissolve or a fade from black. Nothing before the shot counts, so that parts of a film can be judged apart.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from vidcolor import color
from vidcolor.color import Floats, LumaCoding
from vidcolor.counts import counted
from vidcolor.frames import Frame, PictureFormat
from vidcolor.painting.tone import SHORT_SIDE, tone_of
from vidcolor.planes import look_up, shrink
from vidcolor.steady.cuts import CutDetector, CutState
from vidcolor.steady.state import Arrays, from_arrays

AHEAD = 6  # frames that a shot is judged by
NEUTRAL = 0.01  # Cb and Cr -0.5..0.5: a frame with less everywhere is gray


def has_color(frame: Frame, picture: PictureFormat) -> bool:
    """Whether a frame has colors of its own: more than gray or one tone."""
    if frame.chroma is None:
        return False
    scale = min(1.0, SHORT_SIDE / min(picture.width, picture.height))
    size = max(1, round(picture.height * scale)), max(1, round(picture.width * scale))
    cb, cr = (color.chroma_levels(shrink(plane, size), picture) for plane in frame.chroma())
    if max(float(np.abs(cb).max()), float(np.abs(cr).max())) < NEUTRAL:
        return False
    luma = look_up(shrink(frame.luma, size), color.luma_table(picture.bits, picture.full_range))
    rgb = np.stack(LumaCoding(picture.matrix).ycc_to_rgb(luma, cb, cr), axis=2)
    return tone_of(np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)) == "color"


@dataclass(frozen=True)
class ShotState:
    """Everything that later decisions depend on: plain values, stored so that the film can be resumed."""

    cuts: CutState = field(default_factory=CutState)
    waiting: tuple[bool, ...] = ()  # whether each frame has color whose shot is not known yet
    shot: tuple[bool, ...] = ()  # whether each undecided frame of the newest shot has color
    is_new: bool = True  # no frame of that shot is decided
    is_kept: bool = False  # the decision on the frame before
    kept_shots: int = 0
    kept_frames: int = 0


class Shots:
    """Decides for every frame whether it keeps its colors, at most AHEAD and two frames late."""

    def __init__(self, state: ShotState = ShotState()) -> None:
        self._state, self._detector = state, CutDetector(state.cuts)

    @property
    def state(self) -> ShotState:
        """The state after the last frame."""
        return replace(self._state, cuts=self._detector.state)

    def restore(self, arrays: Arrays) -> None:
        """Resume from the stored state of an earlier run; empty at the film's start."""
        if arrays:
            self._state = from_arrays(ShotState, arrays)
            self._detector = CutDetector(self._state.cuts)

    @property
    def undecided(self) -> int:
        """How many frames wait for a decision."""
        return len(self._state.waiting) + len(self._state.shot)

    def describe(self) -> str:
        """What was kept, for people; empty where nothing was."""
        found = self._state
        if not found.kept_frames:
            return ""
        shots = counted(found.kept_shots, "shot is", "shots are")
        return f"{shots} in color already and kept ({counted(found.kept_frames, 'frame')}); --recolor colors them anew"

    def push(self, lightness_hw: Floats, has_color: bool) -> list[bool]:
        """Take the next frame; gives the decisions on the oldest undecided frames that can be made now."""
        self._state = replace(self._state, waiting=(*self._state.waiting, has_color))
        return self._assign(self._detector.push(lightness_hw))

    def finish(self) -> list[bool]:
        """End the film; gives the decisions that are left."""
        return [*self._assign(self._detector.finish()), *self._decide(is_whole=True)]

    def _assign(self, starts: list[bool]) -> list[bool]:
        decided = []
        for is_start in starts:
            if is_start:
                decided += self._decide(is_whole=True)
                self._state = replace(self._state, is_new=True)
            state = self._state
            self._state = replace(state, waiting=state.waiting[1:], shot=(*state.shot, state.waiting[0]))
            decided += self._decide(is_whole=False)
        return decided

    def _decide(self, *, is_whole: bool) -> list[bool]:
        """Decide frames of the newest shot, as far as that can be. is_whole: the shot has no more frames."""
        decided: list[bool] = []
        while len(self._state.shot) >= AHEAD or (is_whole and self._state.shot):
            state = self._state
            ahead, is_kept = state.shot[:AHEAD], state.is_kept
            if state.is_new:
                is_kept = 2 * sum(ahead) > len(ahead)
            elif len(ahead) == AHEAD and is_kept not in ahead:
                is_kept = not is_kept
            begins = is_kept and (state.is_new or not state.is_kept)
            self._state = replace(
                state, shot=state.shot[1:], is_new=False, is_kept=is_kept,
                kept_shots=state.kept_shots + begins, kept_frames=state.kept_frames + is_kept,
            )  # fmt: skip
            decided.append(is_kept)
        return decided
