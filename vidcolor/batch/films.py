"""Films among the files of an archive or on a cluster: whole, or in parts; what workers do with them."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from vidcolor.filenames import fitted_name
from vidcolor.films import parts
from vidcolor.films.job import FilmOptions, FilmStart, color_film, resumed
from vidcolor.films.pipeline import colorize_film
from vidcolor.formats import CONTAINERS, FALLBACK_CONTAINER
from vidcolor.frames import Part
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.encoder_trial import choose_encoder
from vidcolor.media.part_sink import PartSink

# Told of a film that is colored as a whole, by name; gives what is then told how many frames of it there are.
FilmWatch = Callable[[str, FilmStart], Callable[[int], None]]


def unwatched(name: str, start: FilmStart) -> Callable[[int], None]:  # noqa: ARG001
    """Tell nobody how far a film is."""
    return lambda _: None


@dataclass(frozen=True)
class ArchivedFilms:
    """See worker.Films. Films are colored from end to end, over whatever has the output's name."""

    options: FilmOptions
    watch: FilmWatch = field(default=unwatched)

    def name(self, name: str) -> str:
        """Its own name where its container can be written."""
        path = PurePosixPath(name)
        if path.suffix.lower() in CONTAINERS:
            return name
        return str(path.with_name(fitted_name(path.stem, FALLBACK_CONTAINER)))

    def color(self, source: Path, target: Path, colorizer: Colorizer, *, is_again: bool) -> tuple[tuple[str, ...], str]:
        """What this run has begun it goes on with, even if it was told to leave alone what others did."""
        tell: list[Callable[[int], None]] = []  # from its start on
        done = color_film(
            source, target, self._whole(is_again=is_again), lambda: colorizer, may_begin_anew=lambda _: True,
            on_start=lambda start: tell.append(self.watch(source.name, start)), on_frame=lambda frames: tell[0](frames),
            is_judged=True,
        )  # fmt: skip
        damage = done.damage.describe()
        return (*done.warnings, *((f"damaged: {damage}",) if damage else ())), damage

    def survey(self, source: Path, colorizer: Colorizer, wanted: int) -> list[Part]:
        """See Films."""
        with self._whole().source(source, source) as film:
            held, keeps_color = self.options.steadiness(film.info), self.options.shots(film) is not None
            return parts.plan_parts(film, colorizer, held, wanted, keeps_color=keeps_color)

    def color_part(self, source: Path, target: Path, colorizer: Colorizer, part: Part, *, is_again: bool) -> None:
        """See Films."""
        options = self._whole(is_again=is_again)
        with options.source(source, target) as film, ExitStack() as stack:
            settled = choose_encoder(film.examined, target, options.output)
            run = options.run(film, settled.identity)

            def make(resume: bool) -> PartSink:
                return PartSink(target, film, settled.settings, part, run=run, resume=resume)

            sink = resumed(stack, make, options.resume, lambda _: True)
            held = replace(options.steadiness(film.info), first_number=sink.frames_written)
            colorize_film(film, sink, colorizer, held, lambda _: None, until=part.end, shots=options.shots(film))

    def _whole(self, *, is_again: bool = False) -> FilmOptions:
        return replace(self.options, start=None, end=None, overwrite=True, resume=self.options.resume or is_again)
