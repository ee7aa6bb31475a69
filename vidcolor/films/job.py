"""One film into one file: by which settings, and from where an earlier run left it; for the command and the API."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

import cv2

from vidcolor import __version__, outputs
from vidcolor.choices import STEADY_MODES, SteadyMode
from vidcolor.errors import UsageError
from vidcolor.films.color_shots import Shots
from vidcolor.films.pipeline import colorize_film
from vidcolor.films.references import files_in, load_references
from vidcolor.films.tone import film_tone
from vidcolor.formats import WITHOUT_CROPPING
from vidcolor.frames import FilmInfo
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.damage import Damage
from vidcolor.media.encoder_trial import choose_encoder
from vidcolor.media.encoders import OutputSettings
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
from vidcolor.steady.key_frames import check_every

# Options of FilmOptions itself that decide the output's bytes.
DECIDING = (
    "steady", "every", "shot_memory", "references", "codec", "crf", "preset", "pix_fmt", "encoder", "convert_audio",
    "drop_audio", "start", "end", "recolor",
)  # fmt: skip
Sink = TypeVar("Sink", bound=FilmSink)


@dataclass(frozen=True)
class FilmOptions:
    """How a film is colored and written, by the names and with the defaults of the command's options."""

    model: ModelSettings = field(default_factory=ModelSettings)
    steady: SteadyMode = "flow"
    every: int | None = 1  # None: auto
    shot_memory: bool = False
    references: tuple[Path, ...] = ()
    codec: str | None = None
    crf: int = 18
    preset: str = "veryfast"
    pix_fmt: str | None = None
    encoder: str = "software"
    hwaccel: str = "off"
    convert_audio: str | None = None  # aac or opus
    drop_audio: bool = False
    start: float | None = None  # seconds, as a player shows them
    end: float | None = None
    recolor: bool = False  # what is in color already
    resume: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.steady not in STEADY_MODES:
            raise UsageError(f"steady {self.steady!r} is unknown; choose one of {', '.join(STEADY_MODES)}.")
        check_every(self.every)

    @property
    def output(self) -> OutputSettings:
        """How the file is written."""
        return OutputSettings(
            self.codec, self.crf, self.preset, self.pix_fmt, self.overwrite, self.encoder, self.convert_audio,
            self.drop_audio,
        )  # fmt: skip

    def source(self, path: Path, target: Path) -> FilmSource:
        """The film, or the part of it that is asked for, as `target` can hold it. Raises UsageError, SourceError."""
        is_cropping = target.suffix.lower() in WITHOUT_CROPPING
        return FilmSource(path, start=self.start, end=self.end, hwaccel=self.hwaccel, is_cropping=is_cropping)

    def steadiness(self, info: FilmInfo) -> Steadiness:
        """How colors are held still. Raises UsageError, and SourceError for a still that cannot be read."""
        references = load_references(self.references, info)
        return Steadiness(self.steady, self.every, self.shot_memory, references, info.number_at(self.start))

    @property
    def deciding(self) -> dict[str, object]:
        """Options that decide the output's bytes, by name: what an earlier run with others made is not resumed."""
        return self.model.color_options | {name: getattr(self, name) for name in DECIDING}

    def run(self, source: FilmSource, encoder: str = "software") -> Run:
        """What decides the output, options and machine. encoder: see encoder_trial.EncoderChoice.identity.

        Raises ModelError, DeviceError, UsageError.
        """
        settings = {f"--{name.replace('_', '-')}": str(value) for name, value in self.deciding.items()}
        del settings["--precision"]  # auto is another one on another machine
        settings |= self.model.resolve_backend()
        settings |= {"OpenCV": cv2.__version__, "film libraries": film_versions()}
        stills = [file for path in self.references for file in files_in(path)]
        settings["--references"] = identity_of(*stills)
        settings["--encoder"] = encoder  # on another machine `hardware` is another one, or none
        settings["vidcolor"] = __version__
        return Run(self.model.sha256(), settings, identity_of(source.path))

    def for_other_machines(self) -> "FilmOptions":
        """The same, its paths as other machines know them. Raises ModelError."""
        references = tuple(path.absolute() for path in self.references)
        return replace(self, model=self.model.for_other_machines(), references=references)

    def may_copy(self, path: Path, target: Path) -> bool:
        """Whether a film in color can go to the target as it is."""
        is_whole = self.start is None and self.end is None
        return not self.recolor and is_whole and path.is_file() and path.suffix.lower() == target.suffix.lower()

    def shots(self, source: FilmSource) -> Shots | None:
        """What tells shots in color, where there may be some."""
        return None if self.recolor or source.examined.layout.is_gray else Shots()

    def comment(self) -> str:
        """What the film's tags will say. Raises ModelError."""
        header = self.model.read_header()
        return f"Colour by vidcolor {__version__}, model {header.name} {header.version}; the luma is the original's."

    def expected_frames(self, info: FilmInfo) -> int | None:
        """How many frames the range holds, as far as the container tells."""
        is_whole = self.start is None and self.end is None
        if is_whole or not info.frame_rate or info.duration_seconds is None:
            return info.frame_count if is_whole else None
        end = min(self.end or info.duration_seconds, info.duration_seconds)
        return max(0, round((end - (self.start or 0.0)) * Fraction(info.frame_rate)))


@dataclass(frozen=True)
class FilmStart:
    """What is known when the first frame is about to be colored. frames: None where the container does not tell."""

    frames: int | None
    done_before: int  # frames that an earlier run has made
    devices: list[str]


@dataclass(frozen=True)
class FilmResult:
    """What became of a film. frames: in the output.  done_before: those of them that an earlier run had made."""

    output: Path
    frames: int
    done_before: int
    model: str  # its name
    warnings: tuple[str, ...] = ()  # what could not be kept, in plain words
    damage: Damage = field(default_factory=Damage)
    outcome: Literal["colored", "kept"] = "colored"  # kept: it was in color, and was copied as it is


def color_film(
    path: Path,
    target: Path,
    options: FilmOptions,
    load: Callable[[], Colorizer],
    *,
    may_begin_anew: Callable[[str], bool] = lambda _: False,
    on_start: Callable[[FilmStart], None] = lambda _: None,
    on_frame: Callable[[int], None] = lambda _: None,
    on_warning: Callable[[str], None] = lambda _: None,
    is_judged: bool = False,
) -> FilmResult:
    """Color a film, going on from what an earlier run with the same options made.

    A film that is in color throughout is copied, and shots that are keep their colors, unless the options say
    otherwise. is_judged: it is known not to be in color throughout.

    load: gives the model, asked for when it is sure that the work can be done.  may_begin_anew: asked, with what was
    found, where that run was another.  on_frame: told how many frames of the output there are.  on_warning: told each
    warning as soon as it is known.  Raises VidcolorError; ChangedError where may_begin_anew said no.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not is_judged and options.may_copy(path, target):
        check_output(path, target, overwrite=options.overwrite)
        if film_tone(path) == "color":
            return _kept(path, target, options, on_start, on_warning)
    with options.source(path, target) as source:
        with ExitStack() as stack:
            held = options.steadiness(source.info)
            sink = _entered(stack, target, source, options, may_begin_anew)
            colorizer, done_before = load(), sink.frames_written
            on_start(FilmStart(options.expected_frames(source.info), done_before, colorizer.devices))
            first = (*source.warnings, *sink.warnings)
            for warning in first:
                on_warning(warning)
            known, known_of_source = len(sink.warnings), len(source.warnings)
            shots = options.shots(source)
            count = colorize_film(source, sink, colorizer, held, on_frame, shots=shots)
        kept = shots.describe() if shots else ""
        late = (*((kept,) if kept else ()), *source.warnings[known_of_source:], *sink.warnings[known:])
        for warning in late:
            on_warning(warning)
        return FilmResult(target, count, done_before, colorizer.header.name, (*first, *late), source.damage)


def _kept(
    path: Path, target: Path, options: FilmOptions, on_start: Callable[[FilmStart], None],
    on_warning: Callable[[str], None],
) -> FilmResult:  # fmt: skip
    """A film that is in color, copied as it is."""
    frames = probe(path).frame_count or 0
    on_start(FilmStart(frames, 0, ["no device"]))
    on_warning(IN_COLOR)
    with outputs.replacing(target, overwrite=options.overwrite) as partial:
        outputs.copy(path, partial)
    name = options.model.read_header().name
    return FilmResult(target, frames, frames, name, (IN_COLOR,), outcome="kept")


def _entered(
    stack: ExitStack,
    target: Path,
    source: FilmSource,
    options: FilmOptions,
    may_begin_anew: Callable[[str], bool],
) -> FilmSink:
    """The sink, open, with what an earlier run finished."""
    settled = choose_encoder(source.examined, target, options.output)
    run = options.run(source, settled.identity)

    def make(resume: bool) -> FilmSink:
        made = FilmSink(target, source, settled.settings, comment=options.comment(), run=run, resume=resume)
        made.warnings += settled.warnings
        return made

    return resumed(stack, make, options.resume, may_begin_anew)


def resumed(
    stack: ExitStack,
    make: Callable[[bool], AbstractContextManager[Sink]],
    resume: bool,
    may_begin_anew: Callable[[str], bool],
) -> Sink:
    """A film's sink, open, going on from what an earlier run finished. make: gives it; told whether to go on.

    Raises ChangedError where that run was another and may_begin_anew, told so, says no.
    """
    try:
        return stack.enter_context(make(resume))
    except ChangedError as error:
        if not may_begin_anew(str(error)):
            raise
        return stack.enter_context(make(False))
