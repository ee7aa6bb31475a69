"""Steadiness of a film's colors over time: averaged frame by frame, or carried from key frames."""

from dataclasses import dataclass

from vidcolor.choices import AveragingMode, SteadyMode
from vidcolor.errors import UsageError
from vidcolor.steady.carrying import Carrier, CarryState
from vidcolor.steady.key_frames import KeyPlanner, PlanState, check_every
from vidcolor.steady.references import Guide, Reference
from vidcolor.steady.smoothing import Steadier, SteadyState
from vidcolor.steady.state import Arrays, restored


@dataclass(frozen=True)
class Steadiness:
    """How a film's colors are held still, and what is known of them."""

    mode: SteadyMode = "flow"
    every: int | None = 1  # frames for each that the network looks at; None: as few as the measured error allows
    has_memory: bool = False  # when the film cuts back to a shot, its colors return
    references: tuple[Reference, ...] = ()
    first_number: int = 0  # of the first frame that comes, as references count them

    def __post_init__(self) -> None:
        check_every(self.every)
        if self.mode == "off" and (self.every != 1 or self.has_memory or self.references):
            raise UsageError(
                "--steady off colors each frame by itself: it goes with no --every, --shot-memory, --reference."
            )

    def steadier(self, state: Arrays) -> Steadier:
        """For every frame's opinion. state: as it was stored; empty at the film's start."""
        mode: AveragingMode = "smooth" if self.mode == "smooth" else "flow"
        begun = restored(SteadyState, state) if state else SteadyState(number=self.first_number)
        return Steadier(mode, begun, self._guide())

    def planner(self, state: Arrays) -> KeyPlanner:
        """Chooses key frames, among them those that have a still."""
        begun = restored(PlanState, state) if state else PlanState(number=self.first_number)
        return KeyPlanner(self.every, begun, keys=self._guide().numbers)

    def carrier(self, state: Arrays) -> Carrier:
        """For key frames' opinions."""
        return Carrier(restored(CarryState, state) if state else CarryState(), self._guide())

    def _guide(self) -> Guide:
        return Guide(self.references, has_memory=self.has_memory)
