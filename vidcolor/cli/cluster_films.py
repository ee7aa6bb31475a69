"""Films of the `colorize` command on a cluster."""

from pathlib import Path
from typing import TYPE_CHECKING

from vidcolor.cli.films import skip_finished, tell_warning
from vidcolor.cli.progress import Observer
from vidcolor.errors import UsageError, VidcolorError

if TYPE_CHECKING:
    from vidcolor.batch.options import BatchOptions
    from vidcolor.cluster.films import ClusterFilmResult
    from vidcolor.films.naming import FilmJob


def colorize_films_on_cluster(
    inputs: tuple[Path, ...], output: str, options: "BatchOptions", report: Observer, *, dry_run: bool
) -> int:
    """Color every film; gives the exit code. Raises VidcolorError where the run as a whole cannot start."""
    from vidcolor.cluster.films import colorize_films
    from vidcolor.films.naming import plan_jobs

    if options.films.start is not None or options.films.end is not None or dry_run:
        raise UsageError("--cluster colors whole films: it goes with no --start, --end, --dry-run.")
    jobs, finished = skip_finished(plan_jobs(inputs, output), output, options, report)
    if not jobs:
        return 0
    failures: list[VidcolorError] = []

    def started(job: "FilmJob", frames: int | None, devices: list[str]) -> None:
        report.film_started(
            input=str(job.source), output=str(job.target), frames=frames, done_before=0, devices=devices,
            expected_seconds=None,
        )  # fmt: skip

    def done(job: "FilmJob", result: "ClusterFilmResult") -> None:
        if finished is not None:
            finished.add(job, result.outcome)
        for note in result.notes:
            tell_warning(job, note, report)
        report.film_finished(
            input=str(job.source), output=str(job.target), frames=result.frames, seconds=round(result.seconds, 2),
            fps=round(result.frames / result.seconds, 2), done_before=0, damage=None,
            model=options.model.read_header().name, devices=result.devices,
            outcome="kept" if result.outcome == "kept" else "colored", stills=None,
        )  # fmt: skip

    def failed(job: "FilmJob", error: VidcolorError) -> None:
        failures.append(error)
        report.film_failed(input=str(job.source), output=str(job.target), message=str(error))

    colorize_films(
        jobs, options, on_start=started, on_result=done, on_failure=failed,
        on_warning=lambda note: report.warning(f"{note}."),
    )  # fmt: skip
    return 1 if failures else 0
