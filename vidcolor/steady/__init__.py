"""Temporal stability of a film's colors: averaged frame by frame, or propagated from key frames."""

from collections.abc import Callable
from dataclasses import dataclass

from vidcolor.choices import AveragingMode, SteadyMode
from vidcolor.color import Floats
from vidcolor.errors import UsageError
from vidcolor.steady.key_frames import KeyPlanner, PlanState, check_every
from vidcolor.steady.palette import KEY_INTERVAL
from vidcolor.steady.propagation import ColorPropagator, PropagationState
from vidcolor.steady.references import Reference, ReferenceCorrector
from vidcolor.steady.shot import ShotState, ShotSteadier
from vidcolor.steady.smoothing import ColorSmoother, SmoothingState
from vidcolor.steady.state import Arrays, from_arrays


@dataclass(frozen=True)
class Steadiness:
    """How a film's colors are kept stable, and the references that are known."""

    mode: SteadyMode = "shot"
    every: int | None = 1  # one frame of so many is predicted; None: as few as the measured error allows
    has_shot_memory: bool = False  # a shot's colors return when the film cuts back to it
    references: tuple[Reference, ...] = ()
    first_number: int = 0  # of the first frame, as references count frames

    def __post_init__(self) -> None:
        check_every(self.every)
        if self.mode == "off" and (self.every != 1 or self.has_shot_memory or self.references):
            raise UsageError(
                "--steady off colors each frame by itself: it goes with no --every, --shot-memory, --reference,"
                " --stills-by, --hints."
            )

    def smoother(
        self, state: Arrays, first: int = 0, ask: Callable[[Floats], Floats] | None = None
    ) -> ColorSmoother | ShotSteadier:
        """For the prediction of every frame.

        state: as `to_arrays` gave it; empty where none was saved.  first: frames of the film before.  ask: see
        ShotSteadier; needed where `may_skip`.
        """
        number = self.first_number + first
        if self.mode == "shot":
            started = from_arrays(ShotState, state) if state else ShotState(number=number)
            return ShotSteadier(started, self._corrector(), ask)
        mode: AveragingMode = "smooth" if self.mode == "smooth" else "flow"
        initial = from_arrays(SmoothingState, state) if state else SmoothingState(number=number)
        return ColorSmoother(mode, initial, self._corrector())

    @property
    def key_interval(self) -> int | None:
        """Every how many frames the palette of a shot looks at one; None: there is none."""
        return KEY_INTERVAL if self.mode == "shot" and self.every == 1 else None

    @property
    def may_skip(self) -> bool:
        """Whether the network need not be asked about every frame of which nothing is known: see shot.is_needless."""
        return self.mode == "shot" and self.every == 1 and not self.has_shot_memory

    def planner(self, state: Arrays, first: int = 0) -> KeyPlanner:
        """Chooses key frames; frames with a reference of their own are always keys. state, first: see `smoother`."""
        initial = from_arrays(PlanState, state) if state else PlanState(number=self.first_number + first)
        return KeyPlanner(self.every, initial, keys=self._corrector().numbers)

    def propagator(self, state: Arrays) -> ColorPropagator:
        """For the predictions of key frames. state: see `smoother`."""
        return ColorPropagator(from_arrays(PropagationState, state) if state else PropagationState(), self._corrector())

    def _corrector(self) -> ReferenceCorrector:
        return ReferenceCorrector(self.references, has_shot_memory=self.has_shot_memory)
