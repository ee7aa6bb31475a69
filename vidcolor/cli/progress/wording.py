"""Events in words, as people and the log read them."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from vidcolor.cli.progress import events
from vidcolor.cli.timecode import format_duration
from vidcolor.counts import counted
from vidcolor.errors import Remark

if TYPE_CHECKING:
    from vidcolor.training.photos import LoadReport

WORTH_SAYING = 60  # seconds
WORTH_GAIN = 0.05  # dB


def last_part(path: str) -> str:
    """The name of a file on any system."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def film_outlook(facts: events.FilmStarted) -> str:
    """How long a film will take, where that is known and worth a line; else nothing."""
    least, most = facts["expected_seconds"] or (0, 0)
    if most < WORTH_SAYING:
        return ""
    if least == most:
        return f"about {format_duration(most)} of work for the network on {', '.join(facts['devices'])}"
    return (
        f"{format_duration(least)} to {format_duration(most)} of work for the network on {', '.join(facts['devices'])},"
        " which looks at key frames (--every auto)"
    )


def film_work(facts: events.FilmFinished) -> str:
    """How many frames were written, and how fast; a film that was copied has no speed."""
    if facts["outcome"] == "kept":
        return f"copied as it is in {facts['seconds']:.1f} s"
    return f"{counted(facts['frames'], 'frame')} in {facts['seconds']:.1f} s, {facts['fps']:.1f} fps"


def still_lines(facts: events.FilmFinished) -> Iterator[str]:
    """What each reference did; those that did nothing have a warning."""
    for still in facts["stills"] or ():
        if still.frames:
            frames = counted(still.frames, "frame")
            yield f"  {still.name}: {frames} took its colors, on {still.share:.0%} of the picture on average"


def plan_lines(facts: events.FilmPlan) -> Iterator[str]:
    """The lines of a dry run on a film."""
    frames = counted(facts["frames"], "frame") if facts["frames"] is not None else "an unknown number of frames"
    yield f"{facts['input']} -> {facts['output']}"
    yield f"  picture    {frames} as {facts['codec']} {facts['pixel_format']} in {facts['container']}"
    for stream in facts["streams"]:
        name = f" {stream['name']}" if stream["name"] else ""
        yield f"  stream {stream['index']:<3} {stream['kind']}, {stream['codec']}{name}: {stream['action']}"
    for warning in facts["warnings"]:
        yield f"  {'remark ' if isinstance(warning, Remark) else 'warning'}    {warning}"
    yield f"  model      {facts['model']} on {', '.join(facts['devices'])}"
    minutes, seconds = divmod(facts["seconds"] or 0, 60)
    took = f"{minutes} min {seconds} s" if facts["seconds"] is not None else "unknown, the film's length is"
    yield f"  time       about {took} (measured {facts['fps']} frames a second)"


def file_line(name: str, said: Iterable[str]) -> str:
    """A file's name and its notes; the name is not repeated if the notes begin with it."""
    line = " ".join("; ".join(said).split())
    return line if line.startswith(name) else f"{name}: {line}".removesuffix(": ")


def passed_over(report: "LoadReport", most: int | None = None) -> Iterator[str]:
    """Photos that training skips, and why. most: the greatest number of lines; None for all."""
    for name, why in islice(report.skipped, most):
        yield f"skipped: {name}: {why}"


def training_place(facts: Mapping[str, Any]) -> str:
    """The position of a training run, and its losses."""
    elapsed = facts["minutes"] * 60
    left = elapsed / facts["progress"] - elapsed if facts["progress"] > 0 else 0.0
    return (
        f"step {facts['step']}  {facts['progress']:.1%} in {format_duration(elapsed)}, {format_duration(left)} left"
        f"  crop {facts['crop']} px  {facts['images'] / max(elapsed, 1e-6):.1f} images/s  {losses(facts)}"
    )


def epoch_length(seconds: float, steps: int) -> str:
    """How long an epoch takes."""
    return f"an epoch takes about {format_duration(seconds)}: {counted(steps, 'step')} of {seconds / steps:.2g} s"


def resumption_line(facts: Mapping[str, Any]) -> str:
    """Where an earlier run goes on."""
    return f"resuming at step {facts['step']}, after {facts['minutes']:.1f} minutes of training"


def epoch_line(facts: Mapping[str, Any]) -> str:
    """The losses of an epoch, or within one."""
    return f"epoch {facts['epoch']:.2f}: {losses(facts)}"


def losses(facts: Mapping[str, Any]) -> str:
    """The training and validation losses, by name."""
    return "  ".join(f"{name} {facts[name]:.3f}" for name in loss_names(facts))


def loss_names(facts: Mapping[str, Any]) -> list[str]:
    """The names of the facts that are losses."""
    return [name for name in facts if name.startswith(("loss", "validation", "seen"))]


def validation_summary(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Whether training helped, by the PSNR of photos that it never saw, else of some that it learned from."""
    is_unseen = "validation_psnr" in after
    name = "validation_psnr" if is_unseen else "seen_psnr"
    was, now = before.get(name, 0.0), after.get(name, 0.0)
    gain = now - was
    verdict = "it helped" if gain >= WORTH_GAIN else "it did not help" if gain <= -WORTH_GAIN else "hardly a difference"
    what = "validation" if is_unseen else "on photos it learned from (--set validation_share=0.1 keeps some apart)"
    return f"{what}: PSNR {was:.2f} dB before, {now:.2f} dB after ({gain:+.2f} dB): {verdict}."


def training_summary(facts: events.ModelWritten) -> str:
    """The output of a training run."""
    return f"{facts['output']}: {counted(facts['images'], 'crop')} in {facts['minutes']:.1f} minutes."
