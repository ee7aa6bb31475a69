"""What a person or a program sees of a training run: a live table, JSON lines, plain lines, or nothing."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from vidcolor.cli.log import LOG, Pace
from vidcolor.cli.text import event, note
from vidcolor.cli.timecode import duration
from vidcolor.printable import printable

if TYPE_CHECKING:
    from vidcolor.training.photos import Intake

MOST_SKIPPED_SHOWN = 10
LINE_SECONDS = 10.0  # at most one plain line in this time


class Display(Protocol):
    """Told of a run's events by `vidcolor train`."""

    def intake(self, intake: "Intake") -> None:
        """Photos were read."""

    def advance(self, facts: dict[str, Any]) -> None:
        """A step is done: the place in the budget."""

    def steps(self, facts: dict[str, Any]) -> None:
        """Mean losses of some steps."""

    def epoch(self, facts: dict[str, Any]) -> None:
        """Mean losses of an epoch."""

    def done(self, facts: dict[str, Any]) -> None:
        """The model is written."""

    def __enter__(self) -> Self:
        """Take the terminal."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""


class QuietDisplay:
    """Only what was passed over and the end; the log has the rest."""

    def intake(self, intake: "Intake") -> None:
        """See Display."""
        if intake.skipped:
            _tell_intake(intake)

    def advance(self, facts: dict[str, Any]) -> None:
        """See Display."""

    def steps(self, facts: dict[str, Any]) -> None:
        """See Display."""

    def epoch(self, facts: dict[str, Any]) -> None:
        """See Display."""

    def done(self, facts: dict[str, Any]) -> None:
        """See Display."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class JsonDisplay(QuietDisplay):
    """One JSON object a line on stdout, nothing else there."""

    def intake(self, intake: "Intake") -> None:
        """See Display."""
        counts = ("photos", "film_frames", "gray", "duplicates", "unreadable", "tiny")
        self._emit("intake", {name: getattr(intake, name) for name in counts} | {"skipped": list(intake.skipped)})

    def steps(self, facts: dict[str, Any]) -> None:
        """See Display."""
        self._emit("steps", facts)

    def epoch(self, facts: dict[str, Any]) -> None:
        """See Display."""
        self._emit("epoch", facts)

    def done(self, facts: dict[str, Any]) -> None:
        """See Display."""
        self._emit("done", facts)

    def _emit(self, name: str, facts: dict[str, Any]) -> None:
        event(name, **facts)


class LineDisplay(QuietDisplay):
    """A line on stderr now and then, for logs and pipes."""

    def __init__(self) -> None:
        self._last = 0.0

    def intake(self, intake: "Intake") -> None:
        """See Display."""
        _tell_intake(intake)

    def steps(self, facts: dict[str, Any]) -> None:
        """See Display."""
        if time.monotonic() - self._last >= LINE_SECONDS or facts["progress"] >= 1:
            self._last = time.monotonic()
            note(_line(facts))

    def epoch(self, facts: dict[str, Any]) -> None:
        """See Display."""
        note(f"epoch {facts['epoch']:.2f}: {_losses(facts)}")

    def done(self, facts: dict[str, Any]) -> None:
        """See Display."""
        note(_summary(facts))


class LiveDisplay(QuietDisplay):
    """A bar with the time left, and under it the losses: of the last steps, and of each epoch's mean."""

    def __init__(self) -> None:
        from rich.live import Live

        from vidcolor.cli.bars import Bars
        from vidcolor.cli.console import Terminal

        console = Terminal(stderr=True)
        self._bars = Bars(console, in_percent=True)
        self._task = self._bars.begin("reading photos", 1.0)
        self._steps: dict[str, Any] = {}
        self._epochs: list[dict[str, Any]] = []
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=2)

    def intake(self, intake: "Intake") -> None:
        """See Display."""
        self._live.console.print(printable(intake.describe()))
        for name, why in intake.skipped[:MOST_SKIPPED_SHOWN]:
            self._live.console.print(printable(f"  passed over: {name}: {why}"))

    def advance(self, facts: dict[str, Any]) -> None:
        """See Display."""
        elapsed, progress = facts["minutes"] * 60, facts["progress"]
        left = elapsed / progress - elapsed if progress > 0 else None
        speed = f"{facts['images'] / max(elapsed, 1e-6):.1f} images/s"
        where = f"epoch {facts['epoch']:.1f}, step {facts['step']}, {facts['crop']} px"
        self._bars.update(
            self._task, completed=progress, facts=speed, description=where, spent=elapsed, left=left,
        )  # fmt: skip

    def steps(self, facts: dict[str, Any]) -> None:
        """See Display."""
        self._steps = facts

    def epoch(self, facts: dict[str, Any]) -> None:
        """See Display."""
        self._epochs = [*self._epochs, facts][-3:]

    def done(self, facts: dict[str, Any]) -> None:
        """See Display."""
        self._live.console.print(printable(_summary(facts)))

    def _picture(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        shown = [(f"epoch {facts['epoch']:.1f}", facts) for facts in self._epochs] + [("now", self._steps)]
        names = sorted({name for _, facts in shown for name in facts if name.startswith(("loss", "validation"))})
        if not names:
            return self._bars
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for title, _ in shown:
            table.add_column(title, justify="right")
        for name in names:
            table.add_row(name, *(f"{facts[name]:.4f}" if name in facts else "" for _, facts in shown))
        return Group(self._bars, table)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


class LoggedDisplay:
    """Writes down what another display is told."""

    def __init__(self, shown: Display) -> None:
        self._shown, self._pace = shown, Pace()

    def intake(self, intake: "Intake") -> None:
        """See Display."""
        LOG.info("%s", intake.describe())
        for name, why in intake.skipped:
            LOG.warning("passed over: %s: %s", name, why)
        self._shown.intake(intake)

    def advance(self, facts: dict[str, Any]) -> None:
        """See Display."""
        self._shown.advance(facts)

    def steps(self, facts: dict[str, Any]) -> None:
        """See Display."""
        if self._pace.is_due():
            LOG.info("%s", _line(facts))
        self._shown.steps(facts)

    def epoch(self, facts: dict[str, Any]) -> None:
        """See Display."""
        LOG.info("epoch %.2f: %s", facts["epoch"], _losses(facts))
        self._shown.epoch(facts)

    def done(self, facts: dict[str, Any]) -> None:
        """See Display."""
        LOG.info("%s", _summary(facts))
        self._shown.done(facts)

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__(kind, error, trace)


def display(*, as_json: bool, quiet: bool) -> Display:
    """The one that the options and the terminal ask for; what it is told is written down, too."""
    import sys

    if as_json:
        return LoggedDisplay(JsonDisplay())
    if quiet:
        return LoggedDisplay(QuietDisplay())
    return LoggedDisplay(LiveDisplay() if sys.stderr.isatty() else LineDisplay())


def _tell_intake(intake: "Intake") -> None:
    """What was read, and the first of what was passed over."""
    note(intake.describe())
    for name, why in intake.skipped[:MOST_SKIPPED_SHOWN]:
        note(f"  passed over: {name}: {why}")
    if len(intake.skipped) > MOST_SKIPPED_SHOWN:
        note(f"  and {len(intake.skipped) - MOST_SKIPPED_SHOWN} more: see skipped.txt")


def _line(facts: dict[str, Any]) -> str:
    elapsed = facts["minutes"] * 60
    left = elapsed / facts["progress"] - elapsed if facts["progress"] > 0 else 0.0
    return (
        f"step {facts['step']}  {facts['progress']:.1%} in {duration(elapsed)}, {duration(left)} left  crop"
        f" {facts['crop']} px  {facts['images'] / max(elapsed, 1e-6):.1f} images/s  {_losses(facts)}"
    )


def _losses(facts: dict[str, Any]) -> str:
    shown = {name: value for name, value in facts.items() if name.startswith(("loss", "validation"))}
    return "  ".join(f"{name} {value:.3f}" for name, value in shown.items())


def _summary(facts: dict[str, Any]) -> str:
    return f"{facts['output']}: {facts['images']} crops in {facts['minutes']:.1f} minutes."
