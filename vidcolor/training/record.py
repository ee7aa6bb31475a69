"""A run's log: JSON lines, TensorBoard events, grids of pictures, and loss curves as a PNG."""

import json
import math
import re
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vidcolor.stills.rgb import Rgb, write_png
from vidcolor.training.photos import LoadReport

# Fields that say where in the run, not what was measured.
POSITION_FIELDS = {"event", "step", "progress", "epoch", "images", "minutes", "crop", "time"}

EVENTS = {"steps": ("steps",), "epoch": ("beginning", "epoch", "validation", "end")}  # of a curve
FEW_POINTS = 40  # of a curve, up to which each is marked


class Record:
    """The files of a run: log.jsonl, skipped.txt and grids always; TensorBoard events and curves.png where their
    packages are installed.
    """

    def __init__(self, folder: Path):
        """folder: made if it is missing; a log in it stays until the run begins, or goes on."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._log = (folder / "log.jsonl").open("a+", encoding="utf-8")
        self._tensorboard: Any = None  # until the run begins, or goes on

    def write_report(self, report: LoadReport) -> None:
        """Write every skipped photo and film, and why it was skipped."""
        lines = (f"{why}\t{name}\n" for name, why in report.skipped)
        (self._folder / "skipped.txt").write_text("".join(lines), encoding="utf-8", errors="backslashreplace")

    def write_beginning(self, facts: dict[str, Any]) -> None:
        """Write the validation losses before the first step, as the first record."""
        self._cut(-1)
        self._write("beginning", facts)

    def write_resumption(self, facts: dict[str, Any]) -> None:
        """Go on where the run's state was saved: what came after it will come again."""
        self._cut(facts["step"])

    def _cut(self, step: int) -> None:
        """Remove the records after a step, and hide TensorBoard's."""
        self._log.seek(0)
        kept = [line for line in self._log if _step_of(line) <= step]
        self._log.truncate(0)
        self._log.writelines(kept)
        self._log.flush()
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._tensorboard = SummaryWriter(str(self._folder), purge_step=step + 1)

    def write_end(self, facts: dict[str, Any]) -> None:
        """Write the validation losses after the last step."""
        self._write("end", facts)

    def write_losses(self, facts: dict[str, Any]) -> None:
        """Write mean losses of some steps."""
        self._write("steps", facts)

    def write_epoch(self, facts: dict[str, Any], grid: Rgb) -> None:
        """Write an epoch's mean losses, its validation losses, and the grid of fixed pictures."""
        self._write("epoch", facts)
        self._write_grid(facts, grid)

    def write_validation(self, facts: dict[str, Any], grid: Rgb) -> None:
        """Write the validation losses within an epoch, and the grid."""
        self._write("validation", facts)
        self._write_grid(facts, grid)

    def _write_grid(self, facts: dict[str, Any], grid: Rgb) -> None:
        name = f"step-{facts['step']:07}.png"
        write_png(self._folder / "grids" / name, grid)
        if self._tensorboard is not None:
            self._tensorboard.add_image("input, prediction, truth", grid, facts["step"], dataformats="HWC")

    def _write(self, event: str, facts: dict[str, Any]) -> None:
        self._log.write(json.dumps({"event": event} | facts | {"time": round(time.time(), 1)}) + "\n")
        self._log.flush()
        for name, value in facts.items():
            if self._tensorboard is not None and name not in POSITION_FIELDS:
                self._tensorboard.add_scalar(f"{event}/{name}", value, facts["step"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()
        if self._tensorboard is not None:
            self._tensorboard.close()
        if find_spec("matplotlib"):
            plot_losses(self._folder / "log.jsonl", self._folder / "curves.png")


def _step_of(line: str) -> float:
    """The step of a record; infinity for a line that a power cut left unfinished."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def plot_losses(log: Path, picture: Path) -> None:
    """Plot the losses of a log over its steps: generator, discriminator, and validation per epoch, its PSNR apart."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    reports = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    groups: list[tuple[str, list[str]]] = []
    parts = (
        ("steps", "loss_G"), ("steps", "loss_D"), ("epoch", "validation_(?!psnr)"), ("epoch", "validation_psnr"),
    )  # fmt: skip
    for event, pattern in parts:
        of_event = [report for report in reports if report.get("event") in EVENTS[event]]
        if names := sorted({name for report in of_event for name in report if re.match(pattern, name)}):
            groups.append((event, names))
    if not groups:
        return
    figure = Figure(figsize=(9, 3.2 * len(groups)), layout="constrained")
    for number, (event, names) in enumerate(groups, start=1):
        axes = figure.add_subplot(len(groups), 1, number)
        for name in names:
            told = [report for report in reports if report["event"] in EVENTS[event] and name in report]
            points = [(report["step"], report[name]) for report in told]
            marker = "o" if len(points) < FEW_POINTS else None  # a single point has no line
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1, markersize=3, marker=marker)
        axes.set_xlabel("step")
        axes.set_ylabel("dB" if names == ["validation_psnr"] else "loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(str(picture), dpi=110)
