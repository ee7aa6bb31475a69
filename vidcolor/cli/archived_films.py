"""Films among the files of an archive: what its workers do with them."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from vidcolor.cli.films import color_film, film_run, film_settings, film_source, steadiness
from vidcolor.jobs import FALLBACK_SUFFIX, FILM_SUFFIXES

if TYPE_CHECKING:
    from vidcolor.colorizer import Colorizer
    from vidcolor.frames import Part


@dataclass(frozen=True)
class ArchivedFilms:
    """See worker.Films. options: of the command."""

    options: dict[str, Any]

    def name(self, name: str) -> str:
        """Its own name where its container can be written."""
        path = PurePosixPath(name)
        return name if path.suffix.lower() in FILM_SUFFIXES else str(path.with_suffix(FALLBACK_SUFFIX))

    def color(self, source: Path, target: Path, colorizer: "Colorizer", *, is_again: bool) -> tuple[str, ...]:
        """What this run has begun it goes on with, even if it was told to leave alone what others did."""
        return color_film(source, target, options=self._options(is_again=is_again), colorizer=colorizer)

    def survey(self, source: Path, colorizer: "Colorizer", wanted: int) -> "list[Part]":
        """See Films."""
        from vidcolor.parts import survey

        with film_source(source, self._options()) as film:
            return survey(film, colorizer, steadiness(self.options, film.info), wanted)

    def color_part(self, source: Path, target: Path, colorizer: "Colorizer", part: "Part", *, is_again: bool) -> None:
        """See Films."""
        from vidcolor.media.part_sink import PartSink
        from vidcolor.media.segments import ChangedError
        from vidcolor.media.trial import settle
        from vidcolor.pipeline import colorize_film

        options = self._options(is_again=is_again)
        with film_source(source, options) as film, ExitStack() as stack:
            settled = settle(film.examined, target, replace(film_settings(options), overwrite=True))
            run = film_run(film, self.options, settled.identity)

            def entered(*, resume: bool) -> PartSink:
                return stack.enter_context(PartSink(target, film, settled.settings, part, run=run, resume=resume))

            try:
                sink = entered(resume=options["resume"])
            except ChangedError:
                sink = entered(resume=False)
            held = replace(steadiness(options, film.info), first_number=sink.frames_written)
            colorize_film(film, sink, colorizer, held, lambda _: None, until=part.end)

    def _options(self, *, is_again: bool = False) -> dict[str, Any]:
        return self.options | {"start": None, "end": None, "resume": self.options["resume"] or is_again}
