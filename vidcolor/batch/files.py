"""`colorize_files`: folders, zip and tar archives and single files into a folder or an archive, by one call."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from vidcolor.archives import Entry, FolderWatcher, Source, Target, open_source, open_target
from vidcolor.archives.journal import Record
from vidcolor.archives.opening import is_archive_name
from vidcolor.batch.entries import colorize_entries
from vidcolor.batch.films import ignore_progress
from vidcolor.batch.observer import BatchObserver
from vidcolor.batch.options import BatchOptions
from vidcolor.batch.pages import make_thumbnails
from vidcolor.batch.report import FileResult, Gallery, choose_path, write_html, write_json
from vidcolor.batch.result import BatchResult, describe_uncolored
from vidcolor.batch.worker import EntryResult, WorkerOptions
from vidcolor.batch.worker_options import make_worker_options
from vidcolor.batch.workers import LocalWorkers, Workers
from vidcolor.counts import counted
from vidcolor.errors import BusyError, SinkError, SourceError, VidcolorError
from vidcolor.filenames import fitted_name, hidden_name
from vidcolor.formats import CONTAINERS, PHOTOS, archive_ending
from vidcolor.inference.colorizer import Colorizer

WATCH_SECONDS = 2.0  # between two scans of the folder
MOST_TOLD = 10  # changed outputs that get a warning of their own

OpenWorkers = Callable[[WorkerOptions], AbstractContextManager[Workers]]


def colorize_files(
    inputs: Sequence[Path],
    output: Path,
    options: BatchOptions | None = None,
    *,
    colorizer: Colorizer | None = None,
    open_workers: OpenWorkers | None = None,
    observer: BatchObserver | None = None,
) -> BatchResult:
    """Color folders, single files and patterns, or one archive, into a folder or an archive.

    One bad file never stops the others: its outcome is "failed" in the result. After an interruption the same call
    resumes.

    colorizer: the loaded options.model; None: it is loaded and closed here.  open_workers: starts workers on other
    machines instead.  Raises VidcolorError where the run as a whole cannot start or continue.
    """
    with Batch(inputs, output, options or BatchOptions(), colorizer, open_workers, observer) as batch:
        return batch.run()


def watch_folder(
    inputs: Sequence[Path],
    output: Path,
    options: BatchOptions | None = None,
    *,
    colorizer: Colorizer | None = None,
    open_workers: OpenWorkers | None = None,
    observer: BatchObserver | None = None,
) -> NoReturn:
    """Color new files in the folders as `colorize_files` does, until an exception such as KeyboardInterrupt.

    Waits while another run writes to the output, and while an input cannot be reached.
    """
    with Batch(inputs, output, options or BatchOptions(), colorizer, open_workers, observer, is_watching=True) as batch:
        batch.watch()


class Batch:
    """One run, which keeps its workers between passes over the inputs. A context manager."""

    def __init__(
        self,
        inputs: Sequence[Path],
        output: Path,
        options: BatchOptions,
        colorizer: Colorizer | None,
        open_workers: OpenWorkers | None,
        observer: BatchObserver | None,
        *,
        is_watching: bool = False,
    ) -> None:
        """See colorize_files."""
        self._inputs, self._output, self._options = tuple(inputs), output, options
        self._colorizer, self._open_workers = colorizer, open_workers
        self._observer, self._is_watching = observer or BatchObserver(), is_watching
        self._counts, self._damaged, self._done_before = Counter[str](), 0, 0
        self._total: int | None = None
        self._workers: Workers | None = None  # started once the output is open
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def run(self) -> BatchResult:
        """Process the inputs once."""
        self._start()
        result = self._run_pass(None)
        self._observer.batch_finished(result)
        return result

    def watch(self) -> NoReturn:
        """Process the inputs whenever files are new, until an exception."""
        began, watcher, waits_for = time.monotonic(), FolderWatcher(), ""
        self._start()
        result = self._make_result()
        try:
            while True:
                try:
                    with self._open_source() as source:
                        is_due = watcher.scan(source)
                    if is_due:
                        result = self._run_pass(watcher)
                    waits_for = ""
                except (BusyError, SourceError) as error:  # until the other run ends or the drive is back
                    if waits_for != str(error):
                        self._observer.warning(f"{error} Waiting.")
                    waits_for = str(error)
                time.sleep(WATCH_SECONDS)
        finally:
            self._observer.batch_finished(replace(result, seconds=time.monotonic() - began))

    def _start(self) -> None:
        """Count the inputs and load the model before anything is written."""
        self._options.check_whole_films()
        self._said = self._options.read_said()  # a fault in it is told before anything is done
        if self._output.suffix.lower() in {*CONTAINERS, *PHOTOS} and not self._output.is_dir():
            raise SinkError(
                f"{self._output}: is named like one film or photo; many files go to a folder, or to an archive such as"
                f" {self._output.stem}.zip."
            )
        self._total = None if self._is_watching else self._count()
        self._observer.batch_started(self._total)
        self._header = self._options.model.read_header()
        if self._open_workers is None and self._colorizer is None:
            self._colorizer = self._options.model.load()
            self._stack.callback(self._colorizer.close)
        self._run = self._options.run_identity(is_apart=not _is_archive(self._output))

    def _open_source(self) -> Source:
        return open_source(self._inputs, output=self._output)

    def _count(self) -> int | None:
        with self._open_source() as source:
            if source.form.startswith("tar."):  # counting would decompress the whole archive
                return None
            return sum(entry.kind != "directory" for entry in source)

    def _run_pass(self, watcher: FolderWatcher | None) -> BatchResult:
        """Process the inputs once. watcher: selects the files that are ready; None: all."""
        began, options = time.monotonic(), self._options
        gallery = Gallery(_thumbnail_folder(self._output), self._total)
        with ExitStack() as stack:
            source = stack.enter_context(self._open_source())
            target = stack.enter_context(
                open_target(
                    self._output, source, self._run, overwrite=options.overwrite, resume=options.resume,
                    reading=options.files_read,
                )
            )  # fmt: skip
            if target.changes:
                made_by = f"was made by another run ({'; '.join(target.changes)})"
                self._observer.warning(f"{self._output}: what {made_by} is made again.")
            summary = _PassSummary(target, gallery, self._observer, is_watching=self._is_watching)
            watch = ignore_progress if self._open_workers else self._observer.watch_film
            worker_options = make_worker_options(
                options, self._output, self._said, software=options.photos.software_tag(self._header),
                is_shown=gallery.wants, watch=watch,
            )  # fmt: skip
            workers = self._start_workers(worker_options)
            entries = iter(source) if watcher is None else watcher.take_ready(source)
            numbers: dict[str, int] = {}  # positions in the source, as workers may finish in another order
            entries = _number_entries(entries, numbers) if workers.are_films_unordered else entries
            colorize_entries(entries, target, workers, worker_options, summary.add)
        idle = () if self._is_watching else worker_options.said.idle(summary.seen)
        for message in (*source.damage, *target.notes, *workers.notes, *summary.remarks(), *idle):
            self._observer.warning(message)
        workers.notes.clear()
        records = list(target.records.values())
        if workers.are_films_unordered:
            records.sort(key=lambda record: numbers.get(record.name, -1))
        files = tuple(_file_result(record, summary.changed.get(record.name, "")) for record in records)
        self._counts += summary.counts
        self._damaged += summary.damaged
        self._done_before += summary.done_before
        is_complete = not source.damage and not any(
            _is_incomplete(file) for file in files if file.name in summary.present
        )
        result = self._make_result(
            devices=tuple(workers.devices), seconds=time.monotonic() - began, files=files, is_complete=is_complete
        )
        return replace(result, report=_write_report(result, gallery))

    def _start_workers(self, worker_options: WorkerOptions) -> Workers:
        """Start the workers in the first pass and keep them; worker_options must be equal in every pass."""
        if self._workers is None:
            if self._open_workers is not None:
                self._workers = self._stack.enter_context(self._open_workers(worker_options))
            else:
                assert self._colorizer is not None
                self._workers = self._stack.enter_context(LocalWorkers(self._colorizer, worker_options))
        return self._workers

    def _make_result(
        self, *, devices: tuple[str, ...] = (), seconds: float = 0.0, files: tuple[FileResult, ...] = (),
        is_complete: bool = False,
    ) -> BatchResult:  # fmt: skip
        return BatchResult(
            self._inputs, self._output, self._header.name, devices, seconds, None, dict(self._counts), self._damaged,
            self._done_before, files, is_complete,
        )  # fmt: skip


class _PassSummary:
    """Counts and remarks on the files of one pass, passed on to the observer."""

    def __init__(self, target: Target, gallery: Gallery, observer: BatchObserver, *, is_watching: bool) -> None:
        self._target, self._gallery, self._observer, self._is_watching = target, gallery, observer, is_watching
        self.present: set[str] = set()  # names in this pass; records of earlier runs may name files that are gone
        self.seen: set[str] = set()  # names in this pass, those in nested archives too
        self.changed: dict[str, str] = {}  # name: remark, for outputs that somebody changed since they were made
        self.counts, self.damaged, self.done_before = Counter[str](), 0, 0
        self._uncolored: dict[str, list[str]] = {}  # reason: names

    def add(self, entry: Entry, done: EntryResult) -> None:
        """Count an entry's result and tell the observer."""
        self.seen.add(f"{done.archive}/{entry.name}" if done.archive else entry.name)
        if done.why_uncolored:
            self._uncolored.setdefault(done.why_uncolored, []).append(
                f"{done.archive}/{entry.printable_name}".lstrip("/")
            )
        if done.damage and entry.kind == "archive":
            self._observer.warning(done.damage)
        if done.archive:
            self._observer.archived_file_finished(done.archive)
            return
        self.present.add(entry.name)
        self._keep_thumbnails(entry, done)
        if done.was_done and done.notes:
            self.changed[entry.name] = "; ".join(done.notes)
        if entry.kind == "directory" or (done.was_done and self._is_watching):
            return
        is_damaged = bool(done.damage) and entry.kind == "film"
        if done.was_done:
            self.done_before += 1
        else:
            self.counts[done.outcome] += 1
            self.damaged += is_damaged
        notes = (*entry.notes, *done.notes)
        self._observer.file_finished(
            entry.printable_name, done.outcome, notes, was_done=done.was_done, is_damaged=is_damaged
        )

    def remarks(self) -> Iterator[str]:
        """Yield a line for each changed output, then for each reason why files stay uncolored."""
        for name in islice(self.changed, MOST_TOLD):
            yield f"{name}: {self.changed[name]}"
        if len(self.changed) > MOST_TOLD:
            more = len(self.changed) - MOST_TOLD
            yield f"{counted(more, 'more was', 'more were')} changed since made, and kept so; see the report"
        yield from describe_uncolored(self._uncolored)

    def _keep_thumbnails(self, entry: Entry, done: EntryResult) -> None:
        """Keep thumbnails for the report; make them again where a power cut has lost them."""
        if done.thumbnails is not None:
            self._gallery.add(entry.name, *done.thumbnails)
            return
        if not done.was_done or not self._gallery.wants(entry.name) or self._gallery.has(entry.name):
            return
        record = self._target.find_record(entry.name)
        if record is None or record.outcome != "colored" or record.output is None or entry.kind != "photo":
            return
        output = self._target.output / record.output
        with suppress(OSError, VidcolorError):
            if output.is_file() and (entry.path or entry.can_reopen):
                pair = make_thumbnails(entry.path or entry.read(), output)
                if pair is not None:
                    self._gallery.add(entry.name, *pair)


def _number_entries(entries: Iterable[Entry], numbers: dict[str, int]) -> Iterator[Entry]:
    """Yield the entries and store each one's position by its name."""
    for entry in entries:
        numbers[entry.name] = len(numbers)
        yield entry


def _file_result(record: Record, changed: str) -> FileResult:
    return FileResult(
        record.name, record.outcome, record.output, record.reason, (changed,) if changed else (),
        round(record.seconds, 3), record.size, record.output_size, record.damage,
    )  # fmt: skip


def _is_incomplete(file: FileResult) -> bool:
    """Whether a file failed, or is an archive that is cut off."""
    return file.outcome == "failed" or bool(file.damage and archive_ending(file.name))


def _write_report(result: BatchResult, gallery: Gallery) -> Path:
    """Write report.json and report.html into the output folder, or beside the output archive; gives the page's path."""

    def named(name: str) -> Path:
        return _report_path(result.output, name)

    page = choose_path(named, "report.html")
    write_json(choose_path(named, "report.json"), result.files, result.facts())
    write_html(page, result.files, gallery.pairs(file.name for file in result.files), result.facts())
    if _is_archive(result.output):
        gallery.clear()
    return page


def _is_archive(output: Path) -> bool:
    """Whether the output is an archive file."""
    return is_archive_name(output) and not output.is_dir()


def _report_path(output: Path, name: str) -> Path:
    return output.with_name(fitted_name(output.name, f".{name}")) if _is_archive(output) else output / name


def _thumbnail_folder(output: Path) -> Path:
    """The hidden folder of the report's thumbnails."""
    prefix = f"{output.name}." if _is_archive(output) else ""
    return _report_path(output, "report.html").with_name(hidden_name(f"{prefix}pictures"))
