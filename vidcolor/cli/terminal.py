"""What is seen of a running job: a bar, JSON lines, nothing; and what of it is written down."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

from vidcolor.cli.log import LOG, film_progress
from vidcolor.cli.text import agrees, answer, check_answered, event, say
from vidcolor.cli.timecode import duration

EVENT_SECONDS = 0.5  # at most one progress event in this time


class Reporter(Protocol):
    """Told of what happens, in order."""

    def start(self, **facts: Any) -> None:
        """A film begins."""

    def advance(self, frames: int) -> None:
        """So many frames of it are done."""

    def warn(self, message: str) -> None:
        """Something the user should know."""

    def done(self, **facts: Any) -> None:
        """The film is finished."""

    def passed(self, **facts: Any) -> None:
        """An earlier run has finished the film."""

    def plan(self, **facts: Any) -> None:
        """What would be done to a film."""

    def fail(self, message: str) -> None:
        """The film could not be finished."""

    def confirm(self, message: str) -> bool:
        """Whether to begin anew, after what was found; no where nobody can be asked."""

    def __enter__(self) -> Self:
        """Take the terminal."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""


class JsonReporter:
    """One JSON object a line on stdout, nothing else there."""

    def __init__(self) -> None:
        self._last = 0.0
        self._began = 0.0
        self._total: int | None = None
        self._done_before = 0

    def start(self, **facts: Any) -> None:
        """See Reporter."""
        self._began, self._total = time.monotonic(), facts.get("frames")
        self._done_before = facts.get("done_before", 0)
        event("start", **facts)

    def advance(self, frames: int) -> None:
        """See Reporter."""
        now = time.monotonic()
        if now - self._last < EVENT_SECONDS:
            return
        self._last = now
        fps = (frames - self._done_before) / max(now - self._began, 1e-6)
        left = (self._total - frames) / fps if self._total and self._total >= frames else None
        event("progress", frames=frames, total=self._total, fps=round(fps, 2), seconds_left=left and round(left, 1))

    def warn(self, message: str) -> None:
        """See Reporter."""
        event("warning", message=message)

    def done(self, **facts: Any) -> None:
        """See Reporter."""
        event("done", **facts)

    def passed(self, **facts: Any) -> None:
        """See Reporter."""
        event("passed", **facts)

    def plan(self, **facts: Any) -> None:
        """See Reporter."""
        event("plan", **facts)
        check_answered()

    def fail(self, message: str) -> None:
        """See Reporter."""
        event("error", message=message)
        say(f"vidcolor: {message}")

    def confirm(self, message: str) -> bool:  # noqa: ARG002 - nobody is asked
        """See Reporter."""
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class QuietReporter:
    """Only failures and warnings, on stderr."""

    def start(self, **facts: Any) -> None:
        """See Reporter."""

    def advance(self, frames: int) -> None:
        """See Reporter."""

    def warn(self, message: str) -> None:
        """See Reporter."""
        say(f"vidcolor: warning: {message}")

    def done(self, **facts: Any) -> None:
        """See Reporter."""

    def passed(self, **facts: Any) -> None:
        """See Reporter."""

    def plan(self, **facts: Any) -> None:
        """See Reporter."""
        _print_plan(facts)

    def fail(self, message: str) -> None:
        """See Reporter."""
        say(f"vidcolor: {message}")

    def confirm(self, message: str) -> bool:  # noqa: ARG002 - nobody is asked
        """See Reporter."""
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class RichReporter:
    """A progress bar with frames, speed and time left on stderr; plain lines where stderr is no terminal."""

    def __init__(self) -> None:
        from vidcolor.cli.bars import Bars
        from vidcolor.cli.console import Terminal

        self._console = Terminal(stderr=True)
        self._bars = Bars(self._console)
        self._began = 0.0
        self._done_before = 0
        self._task: Any = None
        self._waiting: Any = None

    def start(self, **facts: Any) -> None:
        """See Reporter."""
        self._began, self._done_before = time.monotonic(), facts.get("done_before", 0)
        self._end_waiting()
        self._task = self._bars.begin(_last_part(facts["input"]), facts.get("frames"), self._done_before)
        if self._done_before:
            self._bars.tell(f"{facts['output']}: going on after frame {self._done_before}.")

    def advance(self, frames: int) -> None:
        """See Reporter."""
        fps = (frames - self._done_before) / max(time.monotonic() - self._began, 1e-6)
        self._bars.update(self._task, completed=frames, facts=f"{fps:.1f} fps")

    def warn(self, message: str) -> None:
        """See Reporter."""
        self._bars.tell(f"warning: {message}", style="yellow")

    def done(self, **facts: Any) -> None:
        """See Reporter."""
        self._bars.update(self._task, total=facts["frames"], completed=facts["frames"])
        self._bars.tell(f"{facts['output']}: {_work_done(facts)}")

    def passed(self, **facts: Any) -> None:
        """See Reporter."""
        self._bars.tell(f"{facts['output']}: done before")

    def plan(self, **facts: Any) -> None:
        """See Reporter."""
        self._end_waiting()
        _print_plan(facts)

    def fail(self, message: str) -> None:
        """See Reporter."""
        self._end_waiting()
        if self._task is not None:
            self._bars.stop_task(self._task)
        self._bars.tell(f"vidcolor: {message}", style="red")

    def confirm(self, message: str) -> bool:
        """See Reporter."""
        if not (sys.stdin.isatty() and self._console.is_terminal):
            return False
        self._bars.stop()
        is_wanted = agrees(f"{message} Begin anew?")
        self._bars.start()
        return is_wanted

    def __enter__(self) -> Self:
        self._waiting = self._bars.begin("starting", None)  # the first film waits for the network
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_waiting()
        self._bars.stop()

    def _end_waiting(self) -> None:
        if self._waiting is not None:
            self._bars.remove_task(self._waiting)
            self._bars.refresh()
            self._waiting = None


def _work_done(facts: dict[str, Any]) -> str:
    """How much of a film was worked, and how fast; of one that is kept there is no speed."""
    if facts.get("outcome") == "kept":
        return f"copied as it is in {facts['seconds']:.1f} s"
    return f"{facts['frames']} frames in {facts['seconds']:.1f} s, {facts['fps']:.1f} fps"


def _print_plan(facts: dict[str, Any]) -> None:
    """A dry run's findings, on stdout: they are what was asked for."""
    frames = facts["frames"] if facts["frames"] is not None else "an unknown number of"
    answer(f"{facts['input']} -> {facts['output']}")
    answer(f"  picture    {frames} frames as {facts['codec']} {facts['pixel_format']} in {facts['container']}")
    for stream in facts["streams"]:
        name = f" {stream['name']}" if stream["name"] else ""
        answer(f"  stream {stream['index']:<3} {stream['kind']}, {stream['codec']}{name}: {stream['action']}")
    for warning in facts["warnings"]:
        answer(f"  warning    {warning}")
    answer(f"  model      {facts['model']} on {', '.join(facts['devices'])}")
    minutes, seconds = divmod(facts["seconds"] or 0, 60)
    took = f"{minutes} min {seconds} s" if facts["seconds"] is not None else "unknown, the film's length is"
    answer(f"  time       about {took} (measured {facts['fps']} frames a second)")


def _last_part(path: object) -> str:
    return str(path).replace("\\", "/").rsplit("/", 1)[-1]


class LoggedReporter:
    """Writes down what another reporter is told."""

    def __init__(self, shown: Reporter) -> None:
        self._shown = shown
        self._progress: Callable[[int], None] = lambda _: None
        self._outcomes = Counter[str]()

    def start(self, **facts: Any) -> None:
        """See Reporter."""
        done_before = facts.get("done_before", 0)
        going_on = f", going on after frame {done_before}" if done_before else ""
        LOG.info(
            "%s -> %s: %s frames, on %s%s", facts["input"], facts["output"], facts["frames"] or "an unknown number of",
            ", ".join(facts["devices"]), going_on,
        )  # fmt: skip
        self._progress = film_progress(_last_part(facts["input"]), facts["frames"], done_before)
        self._shown.start(**facts)

    def advance(self, frames: int) -> None:
        """See Reporter."""
        self._progress(frames)
        self._shown.advance(frames)

    def warn(self, message: str) -> None:
        """See Reporter."""
        LOG.warning("%s", message)
        self._shown.warn(message)

    def done(self, **facts: Any) -> None:
        """See Reporter."""
        self._outcomes["done"] += 1
        LOG.info(
            "%s: done, %d frames in %s, %.1f a second", facts["output"], facts["frames"], duration(facts["seconds"]),
            facts["fps"],
        )  # fmt: skip
        self._shown.done(**facts)

    def passed(self, **facts: Any) -> None:
        """See Reporter."""
        self._outcomes["done before"] += 1
        LOG.info("%s: done before", facts["output"])
        self._shown.passed(**facts)

    def plan(self, **facts: Any) -> None:
        """See Reporter."""
        LOG.info("%s -> %s: a dry run", facts["input"], facts["output"])
        self._shown.plan(**facts)

    def fail(self, message: str) -> None:
        """See Reporter."""
        self._outcomes["failed"] += 1
        LOG.error("%s", message)
        self._shown.fail(message)

    def confirm(self, message: str) -> bool:
        """See Reporter."""
        is_wanted = self._shown.confirm(message)
        LOG.info("%s Begin anew? %s.", message, "Yes" if is_wanted else "No")
        return is_wanted

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__(kind, error, trace)
        if self._outcomes:
            LOG.info("films: %s", ", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.items()))


def reporter(*, as_json: bool, quiet: bool) -> Reporter:
    """The one that the options ask for; what it is told is written down, too."""
    if as_json:
        return LoggedReporter(JsonReporter())
    return LoggedReporter(QuietReporter() if quiet else RichReporter())


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar with the time left, on a terminal."""
    from vidcolor.cli.bars import Bars
    from vidcolor.cli.console import Terminal

    with Bars(Terminal(stderr=True), transient=True) as bars:
        task = bars.begin(what, None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
