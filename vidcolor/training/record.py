"""What a run leaves to look at: JSON lines, TensorBoard events, and the curves as a PNG."""

import json
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SKIPPED = {"step", "progress", "epoch", "images", "minutes", "crop", "time"}  # places in the run, not measurements


class Record:
    """The files of a run: log.jsonl always, TensorBoard events and curves.png where their packages are installed."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._log = (folder / "log.jsonl").open("a", encoding="utf-8")
        self._board: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder))

    def write(self, facts: dict[str, Any]) -> None:
        """One report of the trainer."""
        self._log.write(json.dumps(facts | {"time": round(time.time(), 1)}) + "\n")
        self._log.flush()
        for name, value in facts.items():
            if self._board is not None and name not in SKIPPED:
                self._board.add_scalar(name, value, facts["step"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()
        if self._board is not None:
            self._board.close()
        if find_spec("matplotlib"):
            plot(self._folder / "log.jsonl", self._folder / "curves.png")


def plot(log: Path, picture: Path) -> None:
    """Every loss of a log over its steps, the players of the game apart from the content."""
    from matplotlib.figure import Figure

    reports = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    names = sorted({name for report in reports for name in report if name not in SKIPPED})
    if not names:
        return
    groups = [[name for name in names if name.startswith(start)] for start in ("loss_G", "loss_D")]
    shown = [group for group in groups if group]
    figure = Figure(figsize=(9, 3.2 * len(shown)), layout="constrained")
    for number, group in enumerate(shown, start=1):
        axes = figure.add_subplot(len(shown), 1, number)
        for name in group:
            points = [(report["step"], report[name]) for report in reports if name in report]
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
        axes.set_xlabel("step")
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(str(picture), dpi=110)
