"""The result of a batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidcolor.batch.report import FileResult, RunFacts
from vidcolor.printable import printable


@dataclass(frozen=True)
class BatchResult:
    """The result of `colorize_files`."""

    inputs: tuple[Path, ...]  # as they were given
    output: Path  # the folder or archive
    model: str  # its name
    devices: tuple[str, ...] = ()  # names of what the network ran on, for people
    seconds: float = 0.0  # that this run took
    report: Path | None = None  # report.html; report.json lies beside it.  None: not written yet
    counts: dict[str, int] = field(default_factory=dict)  # files by outcome (see FileResult), of this run alone
    damaged: int = 0  # damaged films that this run colored as far as they decode
    done_before: int = 0  # files that an earlier run had finished
    files: tuple[FileResult, ...] = ()  # all files, including those of earlier runs
    is_complete: bool = False  # True: no input failed, and no input archive is cut off

    def facts(self) -> RunFacts:
        """The run as a whole, as reports show it."""
        return RunFacts(
            inputs=list(map(str, self.inputs)), output=str(self.output), model=self.model, devices=list(self.devices),
            seconds=round(self.seconds, 1),
        )  # fmt: skip


def describe_uncolored(uncolored: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield one line for each reason why files are not colored, however many they are. uncolored: names by reason."""
    for why, names in uncolored.items():
        others = f" and {len(names) - 1:,} other{'s' if len(names) > 2 else ''}" if len(names) > 1 else ""
        yield f"{printable(names[0])}{others}: not colored: {why}"
