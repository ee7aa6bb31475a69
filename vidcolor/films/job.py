"""One film into one file, resuming an earlier run, for the command and the API."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeVar

import cv2

from vidcolor import __version__, outputs
from vidcolor.choices import (
    CODECS,
    ENCODERS,
    HWACCELS,
    LOSSY_AUDIO,
    PRESETS,
    STEADY_MODES,
    SteadyMode,
    check_choice,
    check_within,
)
from vidcolor.films.color_shots import Shots
from vidcolor.films.pipeline import run_pipeline
from vidcolor.films.predictors import Choose, ChosenColorizers
from vidcolor.films.project import Project
from vidcolor.films.references import files_in, lay_hints_over, load_hints, load_references
from vidcolor.films.said import said_of_frames
from vidcolor.films.stills_by import make_stills, parse_command, remove_stills
from vidcolor.films.tone import film_tone
from vidcolor.frames import FilmInfo
from vidcolor.hints import read_hints
from vidcolor.inference import mixing
from vidcolor.inference.chosen import LoadedColorizers
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.settings import ModelSettings
from vidcolor.inference.trial import measure_seconds
from vidcolor.media.containers import stores_cropping
from vidcolor.media.damage import Damage
from vidcolor.media.encoder_trial import choose_encoder
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.frame_clock import FrameClock
from vidcolor.media.identity import identity_of
from vidcolor.media.plan import check_output
from vidcolor.media.probe import probe
from vidcolor.media.segments import ChangedError
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource
from vidcolor.media.versions import film_versions
from vidcolor.painting.tone import IN_COLOR
from vidcolor.run import Run
from vidcolor.steady import Steadiness
from vidcolor.steady.key_frames import MAX_INTERVAL, MIN_INTERVAL, check_every
from vidcolor.steady.references import CorrectorState, Reference
from vidcolor.timecode import MOST_SECONDS

# Fields of FilmOptions that decide the output's bytes, besides those of its model.
OUTPUT_OPTIONS = (
    "steady", "every", "shot_memory", "references", "hints", "project", "stills_by", "codec", "crf", "preset",
    "pix_fmt", "encoder", "convert_audio", "drop_audio", "start", "end", "recolor",
)  # fmt: skip
Sink = TypeVar("Sink", bound=FilmSink)


@dataclass(frozen=True)
class FilmOptions:
    """How a film is colored and written; names and defaults are those of the command's options.

    Raises UsageError for an unknown `steady` or an `every` out of range.
    """

    model: ModelSettings = field(default_factory=ModelSettings)
    steady: SteadyMode = "shot"
    every: int | None = 1  # the network predicts one frame in so many, 1 to 120; None: auto
    shot_memory: bool = False  # a shot that returns gets its colors again
    references: tuple[Path, ...] = ()  # stills, folders of stills, lists
    hints: Path | None = None  # a JSON file of points, strokes and regions with their colors
    project: Path | None = None  # a JSON file of what was decided of the film's shots, see project
    stills_by: str | None = None  # a command that makes a still of the first frame of every shot, see stills_by
    codec: str | None = None  # see choices.CODECS; None: h264, in WebM av1
    crf: int = 18  # 0 (best) to 63
    preset: str = "veryfast"  # see choices.PRESETS
    pix_fmt: str | None = None  # FFmpeg's name; None: the film's depth and subsampling
    encoder: str = "software"  # see choices.ENCODERS
    hwaccel: str = "off"  # see choices.HWACCELS
    convert_audio: str | None = None  # aac or opus, for sound that the container cannot hold losslessly
    drop_audio: bool = False
    start: float | None = None  # seconds, as a player shows them; None: the film's start
    end: float | None = None  # seconds; None: the film's end
    recolor: bool = False  # color films and shots anew that are in color
    resume: bool = True  # False: start over
    overwrite: bool = False  # replace an existing output
    keep_segments: bool = False  # leave what is encoded, so that a changed project makes only changed shots anew

    def __post_init__(self) -> None:
        for name, value, known in (
            ("steady", self.steady, STEADY_MODES), ("codec", self.codec, CODECS), ("preset", self.preset, PRESETS),
            ("encoder", self.encoder, ENCODERS), ("hwaccel", self.hwaccel, HWACCELS),
            ("convert_audio", self.convert_audio, LOSSY_AUDIO),
        ):  # fmt: skip
            check_choice(name, value, known)
        check_every(self.every)
        if self.stills_by is not None:
            parse_command(self.stills_by)
        check_within("crf", self.crf, 0, 63)
        check_within("start", self.start, 0, MOST_SECONDS)
        check_within("end", self.end, 0, MOST_SECONDS)

    @property
    def output(self) -> OutputSettings:
        """The settings of the output file."""
        return OutputSettings(
            self.codec, self.crf, self.preset, self.pix_fmt, self.overwrite, self.encoder, self.convert_audio,
            self.drop_audio,
        )  # fmt: skip

    def open_source(self, path: Path, target: Path) -> FilmSource:
        """Open the film from start to end, cropped if `target` stores no cropping. Raises UsageError, SourceError."""
        is_cropping = not stores_cropping(target)
        return FilmSource(path, start=self.start, end=self.end, hwaccel=self.hwaccel, is_cropping=is_cropping)

    def steadiness(self, info: FilmInfo) -> Steadiness:
        """The settings of temporal steadying. Raises UsageError, and SourceError for a still that cannot be read."""
        clock = FrameClock(Path(info.path))
        references = load_references(self.references, info, clock)
        if project := self.read_project(info.path):
            references += load_references(project.references, info, clock)
            references = lay_hints_over(references, load_hints(project.hints, project.path.name, info, clock))
        if self.hints is not None:
            references = lay_hints_over(references, load_hints(read_hints(self.hints), self.hints.name, info, clock))
        return Steadiness(self.steady, self.every, self.shot_memory, references, clock.number_at(self.start))

    def files_read(self, film: Path) -> list[Path]:
        """Files that are read beside the film: stills, hints, projects, palettes and models. Raises as reading them."""
        stills = [file for path in self.references for file in files_in(path)]
        project = self.read_project(film)
        said = [*([self.hints] if self.hints else []), *([self.project] if self.project else [])]
        return [*self.model.files_read, *stills, *said, *(project.files if project else [])]

    def read_project(self, film: Path | str) -> Project | None:
        """The project, if it is of this film. Raises ReadError, UsageError."""
        found = Project.read(self.project) if self.project is not None else None
        return found if found is not None and found.is_for(film) else None

    def choose(self, film: Path, colorizer: Colorizer) -> Choose | None:
        """The colorizer of each frame, where the project chose some.  colorizer: of the whole film."""
        project = self.read_project(film)
        if project is None or not project.choices:
            return None
        return ChosenColorizers(project, LoadedColorizers(self.model, colorizer))

    @property
    def output_options(self) -> dict[str, object]:
        """Options that decide the output's bytes, by name: a run with other values is not resumed."""
        return self.model.color_options | {name: getattr(self, name) for name in OUTPUT_OPTIONS}

    def run_identity(self, source: FilmSource, encoder: str = "software") -> Run:
        """Everything that decides the output's bytes. encoder: see encoder_trial.EncoderChoice.identity.

        Raises ModelError, DeviceError, UsageError.
        """
        settings = {f"--{name.replace('_', '-')}": str(value) for name, value in self.output_options.items()}
        del settings["--precision"]  # auto differs between machines; `resolve_backend` gives what it came to
        settings |= self.model.resolve_backend()
        settings |= {"OpenCV": cv2.__version__, "film libraries": film_versions()}
        stills = [file for path in self.references for file in files_in(path)]
        settings["--references"] = identity_of(*stills)
        settings["--hints"] = identity_of(self.hints) if self.hints is not None else ""
        settings["--project"] = self._project_identity(source.path)
        settings["--encoder"] = encoder  # `hardware` differs between machines
        settings["vidcolor"] = __version__
        return Run(self.model.identity(), settings, identity_of(source.path))

    def _project_identity(self, film: Path) -> str:
        """All of a project that decides colors: a hash."""
        project = self.read_project(film)
        return "" if project is None else project.identity(self.model)

    def for_other_machines(self) -> "FilmOptions":
        """A copy with paths as other machines see them. Raises ModelError."""
        references = tuple(path.absolute() for path in self.references)
        hints = self.hints.absolute() if self.hints is not None else None
        project = self.project.absolute() if self.project is not None else None
        model = self.model.for_other_machines()
        return replace(self, model=model, references=references, hints=hints, project=project)

    def may_copy(self, path: Path, target: Path) -> bool:
        """Whether a film in color may be copied to the target as it is."""
        is_whole = self.start is None and self.end is None
        return not self.recolor and is_whole and path.is_file() and path.suffix.lower() == target.suffix.lower()

    def shots(self, source: FilmSource) -> Shots | None:
        """The detector of shots in color; None where there are none or they are to be colored anew."""
        return None if self.recolor or source.examined.layout.is_gray else Shots()

    def comment(self) -> str:
        """The comment tag of the output. Raises ModelError."""
        header = self.model.read_header()
        return f"Color by vidcolor {__version__}, model {header.name} {header.version}; the luma is the original's."

    def expected_frames(self, info: FilmInfo) -> int | None:
        """Number of frames from start to end; None where the container does not tell."""
        is_whole = self.start is None and self.end is None
        if is_whole or not info.frame_rate or info.duration_seconds is None:
            return info.frame_count if is_whole else None
        end = min(self.end or info.duration_seconds, info.duration_seconds)
        return max(0, round((end - (self.start or 0.0)) * Fraction(info.frame_rate)))


@dataclass(frozen=True)
class FilmStart:
    """What is known before the first frame is colored."""

    frames: int | None  # of the output; None where the container does not tell
    done_before: int  # frames of them that an earlier run has made
    devices: list[str]  # names for people
    expected_seconds: tuple[int, int] | None = None  # least and most, of a published model; None where unknown


@dataclass(frozen=True)
class StillReach:
    """What a reference did."""

    name: str  # of its file
    frames: int  # frames that took colors from it
    share: float  # 0..1: share of the picture that it shows, too, mean over those frames


@dataclass(frozen=True)
class FilmResult:
    """The result of `vidcolor.colorize_film`."""

    output: Path  # the file that was written
    frames: int  # in the output; of a kept film 0 where its container does not tell
    done_before: int  # frames of them that an earlier run had made
    model: str  # its name
    warnings: tuple[str, ...] = ()  # one line each, for instance what the container could not keep
    damage: Damage = field(default_factory=Damage)  # of the input; false where there is none, see its fields
    stills: tuple[StillReach, ...] = ()  # what each reference did
    outcome: Literal["colored", "kept"] = "colored"  # "kept": the film was in color and was copied as it is


def colorize_film_file(
    path: Path,
    target: Path,
    options: FilmOptions,
    load: Callable[[], Colorizer],
    *,
    may_restart: Callable[[str], bool] = lambda _: False,
    on_still: Callable[[int, int], None] = lambda *_: None,
    on_start: Callable[[FilmStart], None] = lambda _: None,
    on_frame: Callable[[int], None] = lambda _: None,
    on_warning: Callable[[str], None] = lambda _: None,
    is_known_not_color: bool = False,
) -> FilmResult:
    """Color a film into a file; an earlier run with the same options is resumed.

    A film in color is copied, and shots in color keep their colors, unless options.recolor.

    load: loads the model, called once it is certain that the work can start.  may_restart: asked, with the reason,
    whether to start over where an earlier run had other settings.  on_frame: gets the number of frames done.
    on_still: gets the stills that another program has made, and their total.
    on_warning: gets each warning as soon as it is known.  is_known_not_color: skips looking whether the film is in
    color.  Raises VidcolorError; ChangedError where may_restart returned False.
    """
    outputs.check_is_no_input(target, options.files_read(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    if not is_known_not_color and options.may_copy(path, target):
        check_output(path, target, overwrite=options.overwrite)
        if film_tone(path) == "color":
            return _copy_film(path, target, options, on_start, on_warning)
    with options.open_source(path, target) as source:
        with ExitStack() as stack:
            failures: tuple[str, ...] = ()
            if options.stills_by is not None:
                options, failures = _with_stills(path, target, options, load(), on_still)
            steadiness = options.steadiness(source.info)
            sink = _open_sink(stack, target, source, options, steadiness, may_restart)
            colorizer, done_before = load(), sink.frames_done
            frames = options.expected_frames(source.info)
            on_start(FilmStart(frames, done_before, colorizer.devices, _expected_seconds(options, frames, done_before)))
            first = (*source.warnings, *sink.warnings, *failures, *_remarks(options, path, steadiness))
            for warning in first:
                on_warning(warning)
            known, known_of_source = len(sink.warnings), len(source.warnings)
            guide, kept = _color(source, sink, colorizer, steadiness, options, on_frame)
            count = sink.frames_done
        stills = _measure_reach(steadiness, guide)
        idle = tuple(
            f"{still.name} did nothing: {_why_idle(reference, count, steadiness)}"
            for still, reference in zip(stills, steadiness.references, strict=bool(stills))
            if not still.frames
        )
        late = (*((kept,) if kept else ()), *idle, *source.warnings[known_of_source:], *sink.warnings[known:])
        for warning in late:
            on_warning(warning)
        remove_stills(target)
        return FilmResult(target, count, done_before, colorizer.header.name, (*first, *late), source.damage, stills)


def _color(
    source: FilmSource,
    sink: FilmSink,
    colorizer: Colorizer,
    steadiness: Steadiness,
    options: FilmOptions,
    on_frame: Callable[[int], None],
) -> tuple[CorrectorState | None, str]:
    """Color all frames that the sink does not have: up to finished segments that follow, and on after them.

    Gives the state of the references at the film's end, and what was kept of shots in color; nothing of both where
    frames of an earlier run are not counted in them.
    """
    guides: list[CorrectorState] = []
    choose, shots = options.choose(source.path, colorizer), options.shots(source)
    while not sink.is_whole:
        until, done, ahead = sink.next_kept, sink.frames_done, sink.frames_ahead

        def advance(count: int, done: int = done, ahead: int = ahead) -> None:
            if count + ahead > done:  # else it is made already, and colored again for those after it
                on_frame(count + ahead)

        shots = options.shots(source)
        run_pipeline(
            source, sink, colorizer, steadiness, advance, until, shots, guides.append, choose, sink.notes_shots
        )
        if until is None:
            break
        sink.take_kept()
    if sink.is_patched:
        return None, ""
    return guides[-1] if guides else None, shots.describe() if shots else ""


def _with_stills(
    path: Path, target: Path, options: FilmOptions, colorizer: Colorizer, on_still: Callable[[int, int], None]
) -> tuple[FilmOptions, tuple[str, ...]]:
    """The options with the stills that another program makes; and its failures."""
    assert options.stills_by is not None
    check_output(path, target, overwrite=options.overwrite)
    with options.open_source(path, target) as source:
        first = FrameClock(source.path).number_at(options.start)
        made = make_stills(
            options.stills_by, source, target, colorizer, first=first, is_again=not options.resume, on_still=on_still
        )
    named = {file.name for path in options.references for file in files_in(path)}  # what a person made comes first
    stills = [still for still in made.stills if still.name not in named]
    return replace(options, references=(*stills, *options.references)), made.failures


def _remarks(options: FilmOptions, path: Path, steadiness: Steadiness) -> list[str]:
    """What is odd about stills and hints before they are tried."""
    found = [remark for still in steadiness.references for remark in still.remarks]
    if options.hints is not None and not any(options.hints.name in still.name for still in steadiness.references):
        found.append(f"{options.hints} has no hint for {path.name}")
    if options.project is not None and options.read_project(path) is None:
        found.append(f"{options.project} is the project of another film, or of photos")
    return found


def _measure_reach(steadiness: Steadiness, guide: CorrectorState | None) -> tuple[StillReach, ...]:
    """What each reference did. guide: the state at the film's end, in which what earlier runs made counts; or none."""
    if guide is None:
        return ()
    found = zip_longest(guide.frames, guide.followed, fillvalue=0)
    counts = [*found, *[(0, 0.0)] * len(steadiness.references)]  # nothing is noted where none did anything
    return tuple(
        StillReach(still.name, int(frames), followed / frames if frames else 0.0)
        for still, (frames, followed) in zip(steadiness.references, counts, strict=False)
    )


def _why_idle(still: Reference, frames: int, steadiness: Steadiness) -> str:
    """Why a reference reached no frame. frames: of the film as it was colored."""
    last = steadiness.first_number + frames - 1
    if still.number is not None and not steadiness.first_number <= still.number <= last:
        return f"it is frame {still.number}'s, and the film's frames are {steadiness.first_number} to {last}"
    return "no shot shows what it shows"


def _expected_seconds(options: FilmOptions, frames: int | None, done_before: int) -> tuple[int, int] | None:
    """How long a published model's network will take at least and at most; it takes nearly all of the time."""
    if frames is None or not mixing.is_published(options.model.model):
        return None
    seconds = measure_seconds(options.model) * max(0, frames - done_before)
    fewest, most = (MAX_INTERVAL, MIN_INTERVAL) if options.every is None else (options.every, options.every)
    return round(seconds / fewest), round(seconds / most)


def copy_unchanged(source: Path, target: Path, *, overwrite: bool) -> None:
    """Copy a film as it is. Raises SourceError, SinkError."""
    with outputs.replacing(target, overwrite=overwrite) as partial:
        outputs.copy(source, partial)


def _copy_film(
    path: Path, target: Path, options: FilmOptions, on_start: Callable[[FilmStart], None],
    on_warning: Callable[[str], None],
) -> FilmResult:  # fmt: skip
    """Copy a film that is in color."""
    frames = probe(path).frame_count or 0
    on_start(FilmStart(frames, 0, ["no device"]))
    on_warning(IN_COLOR)
    copy_unchanged(path, target, overwrite=options.overwrite)
    name = options.model.read_header().name
    return FilmResult(target, frames, frames, name, (IN_COLOR,), outcome="kept")


def _open_sink(
    stack: ExitStack,
    target: Path,
    source: FilmSource,
    options: FilmOptions,
    steadiness: Steadiness,
    may_restart: Callable[[str], bool],
) -> FilmSink:
    """Open the sink with the frames that an earlier run finished."""
    choice, keeps = choose_encoder(source.examined, target, options.output), options.keep_segments
    run = options.run_identity(source, choice.identity)
    if keeps:
        run = replace(run, said=said_of_frames(options.read_project(source.path), options.model, steadiness))

    def make(resume: bool) -> FilmSink:
        sink = FilmSink(target, source, choice.settings, comment=options.comment(), run=run, resume=resume, keeps=keeps)
        sink.warnings += choice.warnings
        return sink

    return enter_sink(stack, make, options.resume, may_restart)


def enter_sink(
    stack: ExitStack,
    make: Callable[[bool], AbstractContextManager[Sink]],
    resume: bool,
    may_restart: Callable[[str], bool],
) -> Sink:
    """Enter a film's sink, resuming an earlier run. make: makes the sink, given whether to resume.

    Raises ChangedError where that run had other settings and may_restart, given the message, returns False.
    """
    try:
        return stack.enter_context(make(resume))
    except ChangedError as error:
        if not may_restart(str(error)):
            raise
        return stack.enter_context(make(False))
