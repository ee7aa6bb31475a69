"""Estimates coloring a film: the planned output, and the time, measured on the film's first frames."""

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vidcolor.films.job import FilmOptions
from vidcolor.films.naming import FilmJob
from vidcolor.films.pipeline import run_pipeline
from vidcolor.films.tone import film_tone
from vidcolor.formats import FALLBACK_CONTAINER
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.encoder_trial import choose_encoder
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.plan import StreamPlan, plan_output
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource
from vidcolor.painting.tone import IN_COLOR
from vidcolor.steady import Steadiness

SAMPLE_SECONDS = 4.0  # how long an estimate colors the film's first frames
LEAST_SECONDS = 0.04  # of a measurement


@dataclass(frozen=True)
class FilmEstimate:
    """What coloring a film would do."""

    container: str  # FFmpeg's name
    codec: str
    pixel_format: str
    frames: int | None  # of the output; None where the container does not tell
    fps: float  # frames a second that this machine colors
    model: str  # its name
    devices: list[str]  # names for people
    streams: tuple[StreamPlan, ...]
    warnings: tuple[str, ...]  # what could not be kept, and whether the film is in color


def estimate_film(job: FilmJob, options: FilmOptions, load: Callable[[], Colorizer]) -> FilmEstimate:
    """Plan the output, and color the film's first frames to measure the speed; nothing is written to the target.

    load: loads the model, called once the plan is made.  Raises VidcolorError.
    """
    is_kept = options.may_copy(job.source, job.target) and film_tone(job.source) == "color"
    with options.open_source(job.source, job.target) as source:
        choice = choose_encoder(source.examined, job.target, options.output)
        plan, steadiness = plan_output(source.info, job.target, choice.settings), options.steadiness(source.info)
        colorizer = load()
        frames = options.expected_frames(source.info)
        fps = _measure_fps(source, colorizer, choice.settings, steadiness)
    return FilmEstimate(
        plan.container.name, plan.encoding.codec, plan.encoding.pixel_format, frames, fps, colorizer.header.name,
        colorizer.devices, tuple(plan.streams),
        (*((IN_COLOR,) if is_kept else ()), *choice.warnings, *source.warnings, *plan.warnings),
    )  # fmt: skip


def _measure_fps(source: FilmSource, colorizer: Colorizer, settings: OutputSettings, steadiness: Steadiness) -> float:
    """Frames a second of the whole pipeline on the film's first seconds, into a temporary file."""

    class EnoughError(Exception):
        """Enough frames were timed."""

    clock = {"first": 0.0, "last": 0.0, "frames": 0.0}

    def tick(count: int) -> None:
        now = time.monotonic()
        if count == 1:  # the clock starts here, as the first frame waits for the network to be compiled
            clock["first"] = now
        clock["last"], clock["frames"] = now, count
        if now - clock["first"] > SAMPLE_SECONDS:
            raise EnoughError

    with tempfile.TemporaryDirectory(prefix="vidcolor-") as folder, suppress(EnoughError):
        trial = Path(folder) / f"trial{FALLBACK_CONTAINER}"
        with FilmSink(trial, source, settings, comment="trial") as sink:
            run_pipeline(source, sink, colorizer, steadiness, tick)
    return max(clock["frames"] - 1, 1) / max(clock["last"] - clock["first"], LEAST_SECONDS)
