"""The list of a film's finished segments, on disk."""

from dataclasses import asdict, dataclass
from typing import Any

from vidcolor.ledger import Ledger
from vidcolor.run import Run


@dataclass(frozen=True)
class Segment:
    """A finished segment. Its fields are stored in ledgers.

    file, state: names of its files.  size: of `file`, in bytes.  first_pts: of the whole film's first frame.
    end: frames up to its last one.  last_pts, checksum: of its last frame.  packets_crc32, state_crc32: of its files;
    None where vidcolor 0.1.0 wrote them.
    """

    file: str
    size: int
    first_pts: int
    end: int
    last_pts: int
    checksum: int
    state: str
    packets_crc32: int | None = None
    state_crc32: int | None = None


class FilmLedger(Ledger):
    """The ledger's lines: the run, then its segments."""

    def _reset(self) -> None:
        self.run: Run | None = None
        self.segments: list[Segment] = []
        self._ends: list[int] = []  # of the lines of segments that were read

    def _take(self, fields: dict[str, Any], end: int) -> None:
        if "run" in fields:
            self.run = Run(**fields["run"])
        else:
            self.segments.append(Segment(**fields))
            self._ends.append(end)

    def begin(self, run: Run) -> None:
        """Write the first line."""
        self._write(self._line({"run": run.as_fields()}))
        self.run = run

    def add(self, *segments: Segment) -> None:
        """Write lines of finished segments, and wait until they are on the disk."""
        self._write(b"".join(self._line(asdict(segment)) for segment in segments))
        self.sync()
        self.segments.extend(segments)

    def truncate(self, count: int) -> None:
        """Drop the lines of all segments but the first `count`, of those that were read."""
        self.cut(self._ends[count - 1]) if count else self.clear()
