"""What a run over many files gives at its end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidcolor.batch.report import FileResult
from vidcolor.printable import printable


@dataclass(frozen=True)
class BatchResult:
    """What a run did. counts: files by outcome, of this run alone."""

    inputs: tuple[Path, ...]
    output: Path
    model: str  # its name
    devices: tuple[str, ...] = ()  # what it ran on, for people
    seconds: float = 0.0
    report: Path | None = None  # the page; report.json lies beside it
    counts: dict[str, int] = field(default_factory=dict)
    damaged: int = 0  # films that were colored as far as they decode
    done_before: int = 0  # files that an earlier run has done
    files: tuple[FileResult, ...] = ()  # every file, of earlier runs, too
    is_complete: bool = False  # no input failed, and no archive breaks off

    def facts(self) -> dict[str, object]:
        """Of the run as a whole, as reports show them."""
        return {
            "input": ", ".join(map(str, self.inputs)), "output": str(self.output), "model": self.model,
            "devices": ", ".join(self.devices), "seconds": round(self.seconds, 1),
        }  # fmt: skip


def remarks_on(passed_over: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """One line for each reason why files stay as they are, however many they are. passed_over: names by reason."""
    for why, names in passed_over.items():
        others = f" and {len(names) - 1:,} other{'s' if len(names) > 2 else ''}" if len(names) > 1 else ""
        yield f"{printable(names[0])}{others}: not colored: {why}"
