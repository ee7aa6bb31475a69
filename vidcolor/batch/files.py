"""Many files by one call: folders, zip and tar archives, photos and films among them, into a folder or an archive."""

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
from vidcolor.batch.archive import colorize_archive
from vidcolor.batch.films import unwatched
from vidcolor.batch.observer import BatchObserver
from vidcolor.batch.options import BatchOptions
from vidcolor.batch.report import FileResult, Gallery, place, write_html, write_json
from vidcolor.batch.result import BatchResult, remarks_on
from vidcolor.batch.rules import rules_for
from vidcolor.batch.worker import SHOWN_SIDE, Done, Rules
from vidcolor.batch.workers import LocalWorkers, Workers
from vidcolor.errors import BusyError, SourceError, VidcolorError
from vidcolor.filenames import fitted_name, hidden_name
from vidcolor.formats import archive_ending
from vidcolor.inference.colorizer import Colorizer
from vidcolor.stills.rgb import thumbnail_jpeg

WATCH_SECONDS = 2.0  # between looks at the folder
MOST_TOLD = 10  # files of which one thing is said, a line each

OpenWorkers = Callable[[Rules], AbstractContextManager[Workers]]


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

    One bad file never stops the others: it is `failed` in the result. What an earlier run with the same options did is
    not done again, whatever stopped it.

    colorizer: loaded already, by options.model; else it is loaded here, and closed.  open_workers: workers on other
    machines, instead.  Raises VidcolorError where nothing can be done at all, or no more.
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
    """Color what comes into the folders, as `colorize_files` does, until an exception such as KeyboardInterrupt.

    Waits while another run writes to the output, and while an input cannot be reached.
    """
    with Batch(inputs, output, options or BatchOptions(), colorizer, open_workers, observer, is_watching=True) as batch:
        batch.watch()


class Batch:
    """One run, and the workers that it keeps between passes. A context manager."""

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
        self._workers: Workers | None = None  # begun when the output is there
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def run(self) -> BatchResult:
        """Go through the inputs once."""
        self._start()
        result = self._pass(None)
        self._observer.batch_finished(result)
        return result

    def watch(self) -> NoReturn:
        """Go through the inputs whenever something came, until an exception."""
        began, watcher, waits_for = time.monotonic(), FolderWatcher(), ""
        self._start()
        result = self._result()
        try:
            while True:
                try:
                    with self._open_source() as source:
                        is_due = watcher.scan(source)
                    if is_due:
                        result = self._pass(watcher)
                    waits_for = ""
                except (BusyError, SourceError) as error:  # the other run is done some time, and the network is back
                    if waits_for != str(error):
                        self._observer.warning(f"{error} Waiting.")
                    waits_for = str(error)
                time.sleep(WATCH_SECONDS)
        finally:
            self._observer.batch_finished(replace(result, seconds=time.monotonic() - began))

    def _start(self) -> None:
        """Read the model's header, and load it, before anything is written."""
        self._total = None if self._is_watching else self._count()
        self._observer.batch_started(self._total)
        self._header = self._options.model.read_header()
        if self._open_workers is None and self._colorizer is None:
            self._colorizer = self._options.model.load()
            self._stack.callback(self._colorizer.close)
        self._run = self._options.run()

    def _open_source(self) -> Source:
        return open_source(self._inputs, output=self._output)

    def _count(self) -> int | None:
        with self._open_source() as source:
            if source.form.startswith("tar."):  # counting would mean unpacking everything
                return None
            return sum(entry.kind != "directory" for entry in source)

    def _pass(self, watcher: FolderWatcher | None) -> BatchResult:
        """Go through the inputs once. watcher: says what of them is to be done."""
        began, options = time.monotonic(), self._options
        gallery = Gallery(_pictures_of(self._output), self._total)
        with ExitStack() as stack:
            source = stack.enter_context(self._open_source())
            target = stack.enter_context(
                open_target(
                    self._output, source, self._run, overwrite=options.overwrite, resume=options.resume,
                    reading=options.reading,
                )
            )  # fmt: skip
            if target.changes:
                made_by = f"was made by another run ({'; '.join(target.changes)})"
                self._observer.warning(f"{self._output}: what {made_by} is made again.")
            account = _Account(target, gallery, self._observer, is_watching=self._is_watching)
            watch = unwatched if self._open_workers else self._observer.watch_film
            software = options.photos.software(self._header)
            rules = rules_for(options, self._output, software=software, is_shown=gallery.wants, watch=watch)
            workers = self._open(rules)
            entries = iter(source) if watcher is None else watcher.take_ready(source)
            numbers: dict[str, int] = {}  # in the source's order, where workers finish in another
            entries = _numbered(entries, numbers) if workers.films_any_time else entries
            colorize_archive(entries, target, workers, rules, account.settle)
        for message in (*source.damage, *target.notes, *workers.notes, *account.remarks()):
            self._observer.warning(message)
        workers.notes.clear()
        records = list(target.records.values())
        if workers.films_any_time:
            records.sort(key=lambda record: numbers.get(record.name, -1))
        files = tuple(_result_of(record, account.changed.get(record.name, "")) for record in records)
        self._counts += account.counts
        self._damaged += account.damaged
        self._done_before += account.done_before
        is_complete = not source.damage and not any(_is_wrong(file) for file in files if file.name in account.present)
        result = self._result(
            devices=tuple(workers.devices), seconds=time.monotonic() - began, files=files, is_complete=is_complete
        )
        return replace(result, report=_write_report(result, gallery))

    def _open(self, rules: Rules) -> Workers:
        """The same workers in every pass. rules: whatever is in them but the pictures' folder must not change."""
        if self._workers is None:
            if self._open_workers is not None:
                self._workers = self._stack.enter_context(self._open_workers(rules))
            else:
                assert self._colorizer is not None
                self._workers = self._stack.enter_context(LocalWorkers(self._colorizer, rules))
        return self._workers

    def _result(
        self, *, devices: tuple[str, ...] = (), seconds: float = 0.0, files: tuple[FileResult, ...] = (),
        is_complete: bool = False,
    ) -> BatchResult:  # fmt: skip
        return BatchResult(
            self._inputs, self._output, self._header.name, devices, seconds, None, dict(self._counts), self._damaged,
            self._done_before, files, is_complete,
        )  # fmt: skip


class _Account:
    """What became of the files of one pass."""

    def __init__(self, target: Target, gallery: Gallery, observer: BatchObserver, *, is_watching: bool) -> None:
        self._target, self._gallery, self._observer, self._is_watching = target, gallery, observer, is_watching
        self.present: set[str] = set()  # names; the records of an earlier run are of files that may be gone by now
        self.changed: dict[str, str] = {}  # outputs that somebody changed since, and what is said of them
        self.counts, self.damaged, self.done_before = Counter[str](), 0, 0
        self._passed_over: dict[str, list[str]] = {}  # names, by the reason

    def settle(self, entry: Entry, done: Done) -> None:
        """Note what became of an entry, and tell the observer."""
        if done.passed_over:
            self._passed_over.setdefault(done.passed_over, []).append(
                f"{done.within}/{entry.printable_name}".lstrip("/")
            )
        if done.damage and entry.kind == "archive":
            self._observer.warning(done.damage)
        if done.within:
            self._observer.archived_file_finished(done.within)
            return
        self.present.add(entry.name)
        self._show(entry, done)
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
        """Lines about the whole: outputs that were changed, and files that stay as they are."""
        for name in islice(self.changed, MOST_TOLD):
            yield f"{name}: {self.changed[name]}"
        if len(self.changed) > MOST_TOLD:
            more = len(self.changed) - MOST_TOLD
            yield f"{more} more were changed since they were made, and are kept so; see the report"
        yield from remarks_on(self._passed_over)

    def _show(self, entry: Entry, done: Done) -> None:
        """Keep small pictures for the report; make them again where a power cut has lost them."""
        if done.pair is not None:
            self._gallery.add(entry.name, *done.pair)
            return
        if not done.was_done or not self._gallery.wants(entry.name) or self._gallery.has(entry.name):
            return
        record = self._target.find_record(entry.name)
        if record is None or record.outcome != "colored" or record.output is None or entry.kind != "photo":
            return
        output = self._target.output / record.output
        with suppress(OSError, VidcolorError):
            if output.is_file() and (entry.path or entry.can_reopen):
                found = [thumbnail_jpeg(content, SHOWN_SIDE) for content in (entry.path or entry.read(), output)]
                if found[0] and found[1]:
                    self._gallery.add(entry.name, found[0], found[1])


def _numbered(entries: Iterable[Entry], numbers: dict[str, int]) -> Iterator[Entry]:
    """Pass entries on, and note by name which comes how far in."""
    for entry in entries:
        numbers[entry.name] = len(numbers)
        yield entry


def _result_of(record: Record, changed: str) -> FileResult:
    return FileResult(
        record.name, record.outcome, record.output, record.reason, (changed,) if changed else (),
        round(record.seconds, 3), record.size, record.output_size, record.damage,
    )  # fmt: skip


def _is_wrong(file: FileResult) -> bool:
    """Whether a file failed, or is an archive that breaks off."""
    return file.outcome == "failed" or bool(file.damage and archive_ending(file.name))


def _write_report(result: BatchResult, gallery: Gallery) -> Path:
    """Write report.json and report.html; beside an archive under its name."""

    def named(name: str) -> Path:
        return _report_file(result.output, name)

    page = place(named, "report.html")
    write_json(place(named, "report.json"), result.files, result.facts())
    write_html(page, result.files, gallery.pairs(file.name for file in result.files), result.facts())
    if _is_archive(result.output):
        gallery.clear()
    return page


def _is_archive(output: Path) -> bool:
    """Whether the output is one file that holds all."""
    return is_archive_name(output) and not output.is_dir()


def _report_file(output: Path, name: str) -> Path:
    return output.with_name(fitted_name(output.name, f".{name}")) if _is_archive(output) else output / name


def _pictures_of(output: Path) -> Path:
    """The folder of the report's pictures."""
    prefix = f"{output.name}." if _is_archive(output) else ""
    return _report_file(output, "report.html").with_name(hidden_name(f"{prefix}pictures"))
