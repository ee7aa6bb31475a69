"""The facts of each event, by name. JSON lines contain the same facts, in the order in which they were passed."""

from typing import Any, NotRequired, TypedDict


class FilmPaths(TypedDict):
    """The paths of a film and of its output."""

    input: str
    output: str


class FilmStarted(FilmPaths):
    """frames: None if the container does not state it.  done_before: frames that an earlier run has made.
    expected_seconds: least and most, of a published model.
    """

    frames: int | None
    devices: list[str]
    done_before: NotRequired[int]
    expected_seconds: NotRequired[tuple[int, int] | None]


class FilmFinished(FilmPaths):
    """frames: in the output.  fps: of this run.  damage: counts by kind of damage."""

    frames: int
    seconds: float
    fps: float
    done_before: int
    damage: NotRequired[dict[str, Any]]
    model: NotRequired[str]
    devices: NotRequired[list[str]]
    outcome: str
    stills: NotRequired[list[dict[str, Any]]]  # name, frames, share: what each --reference did


class FilmPlan(FilmPaths):
    """The findings of a dry run. seconds: estimated time of the work; None if the film's length is unknown."""

    container: str
    codec: str
    pixel_format: str
    frames: int | None
    fps: float
    seconds: int | None
    model: str
    devices: list[str]
    streams: list[dict[str, Any]]  # index, kind, codec, name, action
    warnings: list[str]


class BatchFinished(TypedDict):
    """report: the page's path, or "none".  counts: files by outcome, of this run."""

    input: str
    output: str
    model: str
    devices: str
    seconds: float
    report: str
    counts: NotRequired[dict[str, int]]
    damaged: NotRequired[int]
    done_before: NotRequired[int]


class ModelWritten(TypedDict):
    """images: crops that the network has seen."""

    output: str
    images: int
    minutes: float
