"""`vidcolor colorize` on many files: folders, zip and tar archives, photos."""

import shlex
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from vidcolor.batch.observer import BatchObserver
from vidcolor.cli.progress import Observer, events, film_progress, make_observer
from vidcolor.cli.text import answer, check_answered, emit_event, say
from vidcolor.errors import UsageError
from vidcolor.formats import ANIMATIONS, CONTAINERS, PHOTOS, UNREAD_PHOTOS
from vidcolor.outputs import check_is_no_input

if TYPE_CHECKING:
    from vidcolor.archives.journal import Outcome
    from vidcolor.batch.estimate import Estimate
    from vidcolor.batch.options import BatchOptions
    from vidcolor.batch.result import BatchResult
    from vidcolor.films.job import FilmStart


@dataclass(frozen=True)
class ScanJob:
    """A batch as the command line asks for it."""

    inputs: tuple[Path, ...]
    output: Path
    options: "BatchOptions"
    as_json: bool = False
    quiet: bool = False
    watch: bool = False


def are_scans(inputs: tuple[Path, ...], output: Path) -> bool:
    """Whether the inputs are a batch: a folder, an archive, a pattern or a photo is among them.

    An animation that becomes a film is no batch. Raises UsageError if photos should become a film.
    """
    if output.suffix.lower() in CONTAINERS and not output.is_dir():
        if len(inputs) == 1 and inputs[0].suffix.lower() in ANIMATIONS:
            return False
        if folder := next((path for path in inputs if path.is_dir()), None):
            raise UsageError(
                f"{folder}: is a folder, and {output} would be a film. Name a folder for the output; for the numbered"
                " pictures of a film pass --fps 24."
            )
        if photo := next((path for path in inputs if _is_photo(path)), None):
            raise UsageError(
                f"{photo}: is a photo, and {output} would be a film. Name a photo, such as -o"
                f" {shlex.quote(f'{output.stem}{photo.suffix}')}, or a folder; for numbered pictures of a film pass"
                " their folder and --fps 24."
            )
    return any(path.is_dir() or _is_archive(path) or _is_photo(path) or _is_pattern(path) for path in inputs)


def are_photos(inputs: tuple[Path, ...]) -> bool:
    """Whether all inputs are single photos."""
    return all(_is_photo(path) and not path.is_dir() for path in inputs)


def _is_archive(path: Path) -> bool:
    from vidcolor.archives.opening import is_archive

    return path.is_file() and is_archive(path)


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in PHOTOS | UNREAD_PHOTOS  # unread photos are refused as photos


def _is_pattern(path: Path) -> bool:
    return any(sign in str(path) for sign in "*?[") and not path.exists()


def colorize_scans(scans: ScanJob) -> bool:
    """Color all files; return whether all went well. Raises VidcolorError if nothing can be done at all."""
    from vidcolor.batch.files import colorize_files, watch_folder

    scans.options.check_whole_films()
    if len(scans.inputs) == 1 and _is_photo(scans.inputs[0]) and _is_photo(scans.output) and not scans.output.is_dir():
        _colorize_photo(scans)
        return True
    with ExitStack() as stack:
        open_workers = None
        if scans.options.cluster:
            from vidcolor.cluster import cluster_workers

            open_workers = stack.enter_context(cluster_workers(scans.inputs, scans.options))
        renderer = make_observer(as_json=scans.as_json, quiet=scans.quiet, is_telling_all=scans.watch)
        shown = _ProgressForwarder(stack.enter_context(renderer))
        if scans.watch:
            if hasattr(signal, "SIGIO"):
                signal.signal(signal.SIGIO, signal.SIG_IGN)  # see FolderWatcher
            watch_folder(scans.inputs, scans.output, scans.options, open_workers=open_workers, observer=shown)
        return colorize_files(
            scans.inputs, scans.output, scans.options, open_workers=open_workers, observer=shown
        ).is_complete


class _ProgressForwarder(BatchObserver):
    """Forwards a batch's events to the renderer."""

    def __init__(self, renderer: Observer) -> None:
        self._renderer = renderer

    def batch_started(self, total: int | None) -> None:
        """See BatchObserver."""
        self._renderer.batch_started(total)

    def file_finished(
        self, name: str, outcome: "Outcome", notes: tuple[str, ...], *, was_done: bool = False, is_damaged: bool = False
    ) -> None:
        """See BatchObserver."""
        self._renderer.file_finished(name, outcome, notes, was_done=was_done, is_damaged=is_damaged)

    def archived_file_finished(self, archive: str) -> None:
        """See BatchObserver."""
        self._renderer.archived_file_finished(archive)

    def warning(self, message: str) -> None:
        """See BatchObserver."""
        self._renderer.warning(message)

    def watch_film(self, name: str, start: "FilmStart") -> Callable[[int], None]:
        """Return a callback that writes the film's progress to the log only."""
        return film_progress(name, start.frames, start.done_before)

    def batch_finished(self, result: "BatchResult") -> None:
        """See BatchObserver."""
        self._renderer.batch_finished(
            **result.facts(), report=str(result.report) if result.report else None, counts=result.counts,
            damaged=result.damaged, done_before=result.done_before,
        )  # fmt: skip


def _colorize_photo(scans: ScanJob) -> None:
    """Color one photo into one file of the same format."""
    from vidcolor.batch.photos import colorize_photo_file

    options, source, target = scans.options, scans.inputs[0], scans.output
    if options.cluster:
        raise UsageError("--cluster shares out many files; one photo is done sooner without it.")
    check_is_no_input(target, options.files_read)
    hints, model = options.read_said_of(source)
    began, colorizer = time.monotonic(), model.load()
    done = colorize_photo_file(source, target, options.photos, colorizer, hints)
    shown = make_observer(as_json=scans.as_json, quiet=True, is_telling_all=True)
    shown.batch_started(1)
    shown.file_finished(str(source), done.outcome, done.notes)
    shown.batch_finished(
        inputs=[str(source)], output=str(target), model=colorizer.header.name, devices=list(colorizer.devices),
        seconds=round(time.monotonic() - began, 1), report=None, counts={done.outcome: 1}, damaged=0, done_before=0,
    )  # fmt: skip
    if not scans.as_json and (done.notes or not scans.quiet):  # losses are reported even when quiet
        say("; ".join((f"{target}: {done.outcome}", *done.notes)))


def describe_scans(scans: ScanJob) -> bool:
    """Print a dry run: the files, what would be done with them, and how long it would take. Returns True."""
    from vidcolor.batch.estimate import estimate_files

    found = estimate_files(scans.inputs, scans.output, scans.options, scans.options.model.load)
    (_send_plan if scans.as_json else _print_plan)(found)
    return True


def _send_plan(found: "Estimate") -> None:
    facts = events.BatchPlan(
        inputs=list(map(str, found.inputs)), output=str(found.output), files=found.files, bytes=found.bytes,
        refused=found.refused, notes=found.notes, photo_seconds=found.photo_seconds,
        measured_photos=found.measured_photos, model=found.model, devices=list(found.devices),
    )  # fmt: skip
    emit_event("plan", **facts)
    check_answered()


def _print_plan(found: "Estimate") -> None:
    answer(f"{', '.join(map(str, found.inputs))} -> {found.output}")
    for kind, count in sorted(found.files.items()):
        answer(f"  {kind:<10} {count:,}")
    answer(f"  in all     {found.bytes / 1e6:,.1f} MB")
    for line in (*found.refused, *found.notes):
        answer(f"  remark     {line}")
    answer(f"  model      {found.model} on {', '.join(found.devices)}")
    took = found.photo_seconds
    said = "unknown; no photo could be tried" if took is None else str(timedelta(seconds=took))
    answer(f"  time       {said} for the photos (from {found.measured_photos} of them); films need their own")
