"""The facts of each event, by name: what JSON lines contain, too, in the order in which they were passed.

The comments are the descriptions in docs/schemas/, which `python docs/schemas.py` writes. Numbers are 0 or more unless
a comment gives another range.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.films.job import StillReach
    from vidcolor.media.damage import Damage


class Warned(TypedDict):
    """Somebody should know something; the job goes on."""

    message: str  # one line for people


class StillsProgress(TypedDict):
    """Another program, that of --stills-by, colors stills before the film's first frame."""

    done: int  # stills done
    total: int  # stills in all


class FilmPaths(TypedDict):
    """A film of the command."""

    input: str  # path of the film
    output: str  # path of its output


class FilmDoneBefore(FilmPaths):
    """An earlier run had finished this film."""


class FilmStarted(FilmPaths):
    """The first frame of a film is about to be colored."""

    frames: int | None  # frames of the output; None: the container does not state it
    done_before: int  # frames of them that an earlier run has made
    devices: list[str]  # names of what the network runs on, for people
    expected_seconds: tuple[int, int] | None  # least and most seconds of work, of a published model; None: unknown


class FilmProgress(TypedDict):
    """The film goes on."""

    frames: int  # frames done, those of an earlier run included
    total: int | None  # frames of the output; None: unknown
    fps: float  # frames a second, of this run
    seconds_left: float | None  # seconds that the rest will take; None: unknown


class FilmFinished(FilmPaths):
    """The film is written."""

    frames: int  # frames in the output; 0 for a copied film whose container does not state it
    seconds: float  # seconds that this run took; on a cluster, since the list of films was begun
    fps: float  # frames a second, of this run
    done_before: int  # frames that an earlier run had made
    damage: "Damage | None"  # counts of what was wrong with the input; None: unknown, as on a cluster
    model: str  # name of the model
    devices: list[str]  # names of what the network ran on, for people
    outcome: Literal["colored", "kept"]  # kept: the film was in color and was copied as it is
    stills: "Sequence[StillReach] | None"  # what each reference did; None: unknown, as on a cluster


class FilmFailed(FilmPaths):
    """The film could not be finished; the next one of the list follows."""

    message: str  # one line: what was found, what was needed, what to try


class PlannedStream(TypedDict):
    """A stream beside the picture, and what becomes of it."""

    index: int  # of the stream in the input
    kind: str  # audio, subtitle, data, attachment or video
    codec: str  # FFmpeg's name
    name: str  # language and title, for people
    action: str  # what becomes of it, in words


class FilmPlan(FilmPaths):
    """What a dry run found out about a film."""

    container: str  # FFmpeg's name of the output's format
    codec: str  # FFmpeg's name of the output's video codec
    pixel_format: str  # FFmpeg's name of the output's pixel format
    frames: int | None  # frames of the output; None: the container does not state it
    fps: float  # frames a second that this machine colors
    seconds: int | None  # seconds that the work will take; None: the film's length is unknown
    model: str  # name of the model
    devices: list[str]  # names of what the network will run on, for people
    streams: list[PlannedStream]  # all but the picture
    warnings: list[str]  # what could not be kept, one line each


class BatchPlan(TypedDict):
    """What a dry run found out about a folder, an archive or photos."""

    inputs: list[str]  # paths, as they were given
    output: str  # path of the folder or archive
    files: dict[str, int]  # how many there are of each kind: photo, film, archive, link, other
    bytes: int  # bytes of all inputs
    refused: Sequence[str]  # files that would fail, one line each with the reason
    notes: Sequence[str]  # remarks, one line each
    photo_seconds: int | None  # seconds that all photos will take; None: none could be tried
    measured_photos: int  # photos that were colored to measure the speed
    model: str  # name of the model
    devices: list[str]  # names of what the network will run on, for people


class FileFinished(TypedDict):
    """A file of a batch failed or has notes; with --watch, and of a single photo, every file."""

    name: str  # path within the input, with "/"; of a single photo as it was given
    outcome: "Outcome"  # kept: it was in color
    notes: Sequence[str]  # remarks or, of a failed file, the error


class BatchProgress(TypedDict):
    """The batch goes on."""

    done: int  # files done, those of an earlier run included
    total: int | None  # files in all; None: they could not be counted
    done_before: int  # files that an earlier run had finished
    counts: dict[str, int]  # files of this run by outcome
    files_per_second: float  # speed of this run
    seconds_left: float | None  # seconds that the rest will take; None: unknown
    within: str | None  # the archive, itself one of the files, that is being worked on; None: none
    done_within: int | None  # files done in that archive; None: none


class BatchFinished(TypedDict):
    """All files are done, and the report is written."""

    inputs: list[str]  # paths, as they were given
    output: str  # path of the folder, archive or photo
    model: str  # name of the model
    devices: list[str]  # names of what the network ran on, for people
    seconds: float  # seconds that this run took
    report: str | None  # path of report.html, with report.json beside it; None: of a single photo, or not yet written
    counts: dict[str, int]  # files of this run by outcome: colored, kept, copied, skipped, failed
    damaged: int  # damaged films that this run colored as far as they decode
    done_before: int  # files that an earlier run had finished


class TrainingPlace(TypedDict):
    """Where a training run is; fields named loss_..., validation_... and seen_... beside it are mean losses."""

    step: int  # steps done
    progress: float  # 0..1: share of the budget
    epoch: float  # rounds of all photos
    images: int  # crops that the network has seen
    minutes: float  # minutes of training, earlier runs included
    crop: int  # pixels: side of the square crops


class ModelWritten(TypedDict):
    """Training is over, and the model is written."""

    output: str  # path of the model file
    images: int  # crops that the network has seen
    minutes: float  # minutes of training, earlier runs included


class Verdict(TypedDict):
    """The last line of doctor: whether all that films need works."""

    well: bool  # whether all that films need works
    said: str  # one line for people
