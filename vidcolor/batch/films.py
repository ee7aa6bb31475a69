"""Colors the films of a batch, whole or in parts; a worker of a cluster gets one by pickle."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from vidcolor.filenames import fitted_name
from vidcolor.films import parts
from vidcolor.films.job import FilmOptions, FilmStart, colorize_film_file, enter_sink
from vidcolor.films.pipeline import run_pipeline
from vidcolor.formats import CONTAINERS, FALLBACK_CONTAINER
from vidcolor.frames import Part
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.encoder_trial import choose_encoder
from vidcolor.media.part_sink import PartSink

# Called with a film's name and start; returns a callback for the number of frames done.
FilmWatch = Callable[[str, FilmStart], Callable[[int], None]]


def ignore_progress(name: str, start: FilmStart) -> Callable[[int], None]:  # noqa: ARG001
    """Report no progress."""
    return lambda _: None


@dataclass(frozen=True)
class BatchFilmColorizer:
    """A FilmColorizer by FilmOptions: colors films from end to end and replaces an existing output."""

    options: FilmOptions
    watch: FilmWatch = field(default=ignore_progress)

    def output_name(self, name: str) -> str:
        """The film's own name where its container can be written, else with the suffix of a container that can."""
        path = PurePosixPath(name)
        if path.suffix.lower() in CONTAINERS:
            return name
        return str(path.with_name(fitted_name(path.stem, FALLBACK_CONTAINER)))

    def colorize(
        self, source: Path, target: Path, colorizer: Colorizer, *, is_again: bool
    ) -> tuple[tuple[str, ...], str]:
        """See FilmColorizer. A film that this run has begun is resumed even with options.resume False."""
        tell: list[Callable[[int], None]] = []  # set when the film starts
        done = colorize_film_file(
            source, target, self._whole_film_options(is_again=is_again), lambda: colorizer, may_restart=lambda _: True,
            on_start=lambda start: tell.append(self.watch(source.name, start)), on_frame=lambda frames: tell[0](frames),
            is_known_not_color=True,
        )  # fmt: skip
        damage = done.damage.describe()
        return (*done.warnings, *((f"damaged: {damage}",) if damage else ())), damage

    def plan_parts(
        self, source: Path, colorizer: Colorizer, wanted: int, survey: parts.Survey | None = None
    ) -> tuple[list[Part], parts.Survey | None]:
        """See FilmColorizer."""
        if self.options.stills_by is not None:
            return [], None
        with self._whole_film_options().open_source(source, Path(self.output_name(source.name))) as film:
            held, keeps_color = self.options.steadiness(film.info), self.options.shots(film) is not None
            return parts.plan_parts(film, colorizer, held, wanted, survey, keeps_color=keeps_color)

    def colorize_part(self, source: Path, target: Path, colorizer: Colorizer, part: Part, *, is_again: bool) -> None:
        """See FilmColorizer."""
        options = self._whole_film_options(is_again=is_again)
        with options.open_source(source, target) as film, ExitStack() as stack:
            settled = choose_encoder(film.examined, target, options.output)
            run = options.run_identity(film, settled.identity)

            def make(resume: bool) -> PartSink:
                return PartSink(target, film, settled.settings, part, run=run, resume=resume)

            sink = enter_sink(stack, make, options.resume, lambda _: True)
            run_pipeline(
                film,
                sink,
                colorizer,
                options.steadiness(film.info),
                lambda _: None,
                until=part.end,
                shots=options.shots(film),
                choose=options.choose(source, colorizer),
            )

    def _whole_film_options(self, *, is_again: bool = False) -> FilmOptions:
        return replace(self.options, start=None, end=None, overwrite=True, resume=self.options.resume or is_again)
