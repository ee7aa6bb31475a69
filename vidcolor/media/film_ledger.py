"""The list of a film's finished segments, on disk."""

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Self

from vidcolor.frames import ResumePoint
from vidcolor.ledger import Ledger
from vidcolor.run import Run

_FILE = re.compile(r"(\d{6,9})\.packets")


@dataclass(frozen=True)
class SegmentShots:
    """Where shots begin around a segment and in it. Its fields are stored in ledgers."""

    first: int  # frames of the film before the segment
    begun: ResumePoint | None  # the frame before the shot of its first frame; None: that shot begins with the film
    cuts: tuple[ResumePoint, ...]  # the frame before each shot that begins in the segment

    @property
    def newest(self) -> ResumePoint | None:
        """The frame before the shot of its last frame; see `begun`."""
        return self.cuts[-1] if self.cuts else self.begun

    @classmethod
    def from_fields(cls, first: int, begun: dict[str, int] | None, cuts: list[dict[str, int]]) -> Self:
        """From the fields of a ledger's line."""
        return cls(first, ResumePoint(**begun) if begun else None, tuple(ResumePoint(**cut) for cut in cuts))


@dataclass(frozen=True)
class Segment:
    """A finished segment. Its fields are stored in ledgers."""

    file: str  # name of the file of its packets
    size: int  # bytes of that file
    first_pts: int  # of the whole film's first frame, in its time_base; may be negative
    end: int  # frames of the film up to its last one
    last_pts: int  # of its last frame; may be negative
    checksum: int  # CRC-32 of its last frame's luma
    state: str  # name of the file of the state of the colors after it
    packets_crc32: int | None = None  # of `file`; None where vidcolor 0.1.0 wrote it
    state_crc32: int | None = None  # of `state`; None where vidcolor 0.1.0 wrote it
    shots: SegmentShots | None = None  # None where they were not noted

    @property
    def number(self) -> int | None:
        """Its place among the film's segments, from 0; None for names that no segment has."""
        found = _FILE.fullmatch(self.file)
        return int(found[1]) if found else None


class FilmLedger(Ledger):
    """The ledger's lines: the run, then its segments, what was dropped of them, and that the film is finished."""

    def _reset(self) -> None:
        self.run: Run | None = None
        self.made: dict[int, Segment] = {}  # by number; some may be missing between
        self.has_dropped = False
        self.film_frames: int | None = None  # of the whole film, once it was finished
        self.is_finished = False  # nothing was begun since

    def _take(self, fields: dict[str, Any], end: int) -> None:
        del end
        if "finished" in fields:
            self.film_frames, self.is_finished = fields["finished"], True
            return
        self.is_finished = False
        if "dropped" in fields:
            self.has_dropped = True
            for number in fields["dropped"]:
                self.made.pop(number, None)
        if "run" in fields:
            self.run = Run(**fields["run"])
        elif "dropped" not in fields:
            shots = fields.pop("shots", None)
            segment = Segment(**fields, shots=SegmentShots.from_fields(**shots) if shots else None)
            if segment.number is not None:
                self.made[segment.number] = segment

    @property
    def segments(self) -> list[Segment]:
        """The segments from the film's first on, as far as none is missing."""
        found: list[Segment] = []
        while (segment := self.made.get(len(found))) is not None:
            found.append(segment)
        return found

    @property
    def ahead(self) -> list[Segment]:
        """The segments after a missing one, in order."""
        first = len(self.segments)
        return [self.made[number] for number in sorted(self.made) if number > first]

    def begin(self, run: Run) -> None:
        """Write the first line."""
        self._add_line({"run": run.as_fields()})

    def add(self, *segments: Segment) -> None:
        """Write lines of finished segments, and wait until they are on the disk."""
        lines = [{name: value for name, value in asdict(each).items() if name != "shots" or value} for each in segments]
        self._write(b"".join(map(self._line, lines)))
        self.sync()
        self.is_finished = False
        self.made.update((each.number, each) for each in segments if each.number is not None)

    def drop(self, numbers: Collection[int], run: Run | None = None) -> None:
        """Drop segments, before their files are changed.  run: that goes on with the others."""
        self._add_line({"dropped": sorted(numbers)} | ({"run": run.as_fields()} if run else {}))

    def finish(self, frames: int) -> None:
        """Note that the film is finished and how many frames it has."""
        self._add_line({"finished": frames})

    def _add_line(self, fields: dict[str, Any]) -> None:
        self._write(self._line(fields))
        self.sync()
        self._take(fields, 0)
