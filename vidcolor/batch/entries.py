"""Colors the entries of a source into a target; an interrupted run can be resumed.

Workers color the entries, and results reach the target in the source's order. On one machine a pool of threads decodes,
paints and encodes photos while one thread batches them for the network; films are colored one at a time, each on all
devices. Workers of a cluster color films at the same time as other entries: films that go from a folder to a folder
need no order.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from vidcolor.archives import Entry, RefusedError, Target, completed_future, in_order, open_source, reopen_target
from vidcolor.archives.entries import why_unread
from vidcolor.archives.folder_target import FolderTarget
from vidcolor.archives.journal import Outcome
from vidcolor.batch.worker import EntryResult, WorkerOptions
from vidcolor.batch.workers import Workers
from vidcolor.errors import DeviceError, SinkError, SourceError, VidcolorError
from vidcolor.printable import printable

MOST_LISTED = 20  # failures that are listed for one nested archive

OnEntry = Callable[[Entry, EntryResult], None]


def colorize_entries(
    entries: Iterable[Entry],
    target: Target,
    workers: Workers,
    options: WorkerOptions,
    on_entry: OnEntry,
) -> None:
    """Color photos and films and copy other entries; call `on_entry` with each result, nested archives included.

    Results come in the source's order, except for films where Workers.are_films_unordered. One bad entry never stops
    the others. Raises SinkError when the target can no longer be written, DeviceError.
    """
    unordered = _UnorderedFilms(target, workers, options)

    def submit(entry: Entry) -> Future[EntryResult] | None:
        if entry.refusal or entry.kind in ("directory", "link"):
            return None
        if not _why_due(entry, target, options):
            return completed_future(EntryResult("skipped", was_done=True))
        if reason := target.why_kept(entry):  # checked last, because it reads the file that would be replaced
            return completed_future(EntryResult("kept", notes=(reason,), was_done=True))
        if entry.kind != "photo":
            return None
        target.check(entry)
        return workers.color_photo(entry, entry.path or entry.read())

    def write(entry: Entry, result: Callable[[], EntryResult]) -> None:
        on_entry(entry, _write_result(entry, result, target))

    ordered = in_order(
        unordered.submit_films(_move_links_last(_add_said(entries, options), target)),
        submit,
        window=workers.ahead,
        window_bytes=workers.ahead_bytes,
    )
    for entry, future in ordered:
        process = partial(_process_in_order, entry, target, workers, options, on_entry)
        write(entry, future.result if future else process)
        for film, result in unordered.pop_finished():
            write(film, result)
    for film, result in unordered.wait_for_rest():
        write(film, result)


def _add_said(entries: Iterable[Entry], options: WorkerOptions) -> Iterator[Entry]:
    for entry in entries:
        said = options.said.identity_for(entry)
        yield replace(entry, said=said) if said else entry


def _move_links_last(entries: Iterable[Entry], target: Target) -> Iterator[Entry]:
    """Yield links after all other entries where the target is a folder: there a link becomes a copy of its file.

    Chains of links are resolved to the file at their end.
    """
    if not isinstance(target, FolderTarget):
        yield from entries
        return
    links: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind == "link" and not entry.refusal:
            links[entry.name] = entry
        else:
            yield entry
    for entry in links.values():
        leads_to, steps = entry.same_as, 0
        while leads_to in links and steps <= len(links):
            leads_to, steps = links[leads_to].same_as, steps + 1
        yield replace(entry, same_as=leads_to)


class _UnorderedFilms:
    """Films that are colored at the same time as other entries and written as soon as each is done."""

    def __init__(self, target: Target, workers: Workers, options: WorkerOptions) -> None:
        self._target, self._workers, self._options = target, workers, options
        self._under_way: dict[Future[EntryResult], tuple[Entry, str]] = {}

    def submit_films(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Submit the films that need no order, and yield all other entries."""
        is_possible = self._workers.are_films_unordered and isinstance(self._target, FolderTarget)
        for entry in entries:
            is_film = entry.kind == "film" and self._options.films is not None and not entry.refusal
            if (
                is_possible
                and is_film
                and entry.path
                and self._target.why_due(entry)
                and not self._target.why_kept(entry)
            ):
                self._submit(entry, entry.path)
            else:
                yield entry

    def _submit(self, entry: Entry, path: Path) -> None:
        assert self._options.films is not None
        name = self._options.films.output_name(entry.name)
        try:
            self._target.check(entry, name)
            future = self._workers.color_film(entry, path, self._target.scratch_path(entry, name))
        except VidcolorError as error:
            future = Future()
            future.set_exception(error)
        self._under_way[future] = entry, name

    def pop_finished(self) -> Iterator[tuple[Entry, Callable[[], EntryResult]]]:
        """Take the films that are done by now; a callable gives the result or raises the error."""
        for future in [future for future in self._under_way if future.done()]:
            entry, name = self._under_way.pop(future)
            yield entry, partial(_wait_and_rename, entry, name, future)

    def wait_for_rest(self) -> Iterator[tuple[Entry, Callable[[], EntryResult]]]:
        """Wait for the remaining films and yield each as it ends."""
        while self._under_way:
            wait(self._under_way, return_when=FIRST_COMPLETED)
            yield from self.pop_finished()


def _prefix_name(name: str, reason: str) -> str:
    return reason if name in reason else f"{name}: {reason}"


def _write_result(entry: Entry, result: Callable[[], EntryResult], target: Target) -> EntryResult:
    """Write one entry's result to the target; an error that concerns this entry alone becomes a failed result."""
    try:
        done = result()
        if done.was_done:
            return done
        reason = "; ".join(done.notes)
        if done.content is not None:
            target.write(
                entry, done.content, done.outcome, name=done.name, reason=reason, seconds=done.seconds,
                damage=done.damage,
            )  # fmt: skip
        elif done.outcome == "skipped":
            target.skip(entry, reason)
        else:
            done = replace(done, outcome=target.copy(entry, done.outcome, reason=reason))
    except SinkError as error:
        if not isinstance(error, RefusedError):
            raise
        return _record_failure(entry, target, str(error))
    except DeviceError:
        raise  # a lost GPU concerns every entry
    except VidcolorError as error:
        return _record_failure(entry, target, _replace_path(entry, str(error), entry.path))
    except Exception as error:  # a decoder's or NumPy's, on an unforeseen file: the other entries continue
        return _record_failure(entry, target, f"unexpected {type(error).__name__}: {error}")
    return done


def _replace_path(entry: Entry, reason: str, path: Path | None) -> str:
    """Replace the path at the beginning of a reason by the entry's name."""
    within = reason.removeprefix(f"{path}: ")
    return reason if within == reason else f"{entry.printable_name}: {within}"


def _record_failure(entry: Entry, target: Target, reason: str) -> EntryResult:
    target.fail(entry, reason)
    return EntryResult("failed", notes=(reason,))


def _why_due(entry: Entry, target: Target, options: WorkerOptions) -> str:
    """Why the entry has to be processed, "" if it need not be: see Target.why_due.

    An archive that an earlier run copied without opening it is due if this run opens nested archives.
    """
    record = target.find_record(entry.name) if _opens_archive(entry, target, options) else None
    return target.why_due(entry) or ("copied before" if record is not None and record.outcome == "copied" else "")


def _process_in_order(
    entry: Entry, target: Target, workers: Workers, options: WorkerOptions, on_entry: OnEntry
) -> EntryResult:
    """Process an entry that needs no worker, or one that has to wait for all entries before it."""
    if entry.refusal:
        raise SourceError(f"{entry.refusal}.")
    if entry.kind == "link" and not target.why_due(entry):
        return EntryResult("skipped", was_done=True)
    if entry.kind in ("directory", "link"):
        return EntryResult("copied", notes=entry.notes)
    if entry.kind == "film" and options.films is not None:
        return _colorize_film(entry, target, workers, options)
    if _opens_archive(entry, target, options):
        return _colorize_nested(entry, target, workers, options, on_entry)
    why = _why_uncolored(entry, options)
    if options.copies_others:
        return EntryResult("copied", notes=(*entry.notes, *filter(None, (why,))), why_uncolored=why)
    return EntryResult("skipped", notes=("neither a photo nor a film", *entry.notes), why_uncolored=why)


def _opens_archive(entry: Entry, target: Target, options: WorkerOptions) -> bool:
    """Whether the entry is a nested archive to color: only from a folder to a folder."""
    return (
        options.opens_nested and entry.kind == "archive" and entry.path is not None and isinstance(target, FolderTarget)
    )


def _why_uncolored(entry: Entry, options: WorkerOptions) -> str:
    if entry.kind != "archive":
        return why_unread(entry.name)
    if entry.path is None:
        return "archives in archives are not opened; unpack them"
    return "archives are opened with --nested alone" if not options.opens_nested else "archives go to a folder alone"


def _colorize_nested(
    entry: Entry, target: Target, workers: Workers, options: WorkerOptions, on_entry: OnEntry
) -> EntryResult:
    """Color the entries of an archive that lies in a folder; an interrupted run is resumed."""
    assert isinstance(target, FolderTarget)
    assert entry.path is not None
    began, output = time.monotonic(), target.reopen_archive(entry)
    run = replace(target.run, settings={**target.run.settings, "--hints": entry.said}) if entry.said else target.run

    def settled(inner: Entry, done: EntryResult) -> None:
        on_entry(inner, replace(done, archive=entry.printable_name))

    with open_source([entry.path]) as source, reopen_target(output, source, run, resume=target.resume) as made:
        inner = (replace(each, archive=entry.name) for each in source)
        colorize_entries(inner, made, workers, options, settled)
    records = list(made.records.values())
    failed = [_prefix_name(printable(record.name), record.reason) for record in records if record.outcome == "failed"]
    counts = Counter(record.outcome for record in records)
    outcome: Outcome = "failed" if failed else "colored" if counts["colored"] else "kept"
    summary = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    listed = (*failed[:MOST_LISTED], *((f"and {len(failed) - MOST_LISTED} more",) if len(failed) > MOST_LISTED else ()))
    notes = (*entry.notes, f"files in it: {summary}", *source.damage, *made.notes, *listed)
    damage, seconds = " ".join(source.damage), time.monotonic() - began
    return EntryResult(outcome, output, notes=notes, seconds=seconds, damage=damage)


def _colorize_film(entry: Entry, target: Target, workers: Workers, options: WorkerOptions) -> EntryResult:
    assert options.films is not None
    name = options.films.output_name(entry.name)
    target.check(entry, name)
    scratch = target.scratch_path(entry, name)
    with entry.as_file(scratch.parent) as path:
        try:
            done = _wait_and_rename(entry, name, workers.color_film(entry, path, scratch))
        except SourceError as error:  # names the entry, not its temporary copy
            raise SourceError(_replace_path(entry, str(error), path)) from error
        return done if done.content else replace(done, content=_keep_unpacked(path, target.scratch_path(entry), entry))


def _wait_and_rename(entry: Entry, name: str, film: Future[EntryResult]) -> EntryResult:
    """Wait for the film; its result carries the output name where that differs from the entry's."""
    done = film.result()
    is_renamed = done.content is not None and PurePosixPath(name) != PurePosixPath(entry.name)
    return replace(done, name=name) if is_renamed else done


def _keep_unpacked(unpacked: Path, scratch: Path, entry: Entry) -> Path | None:
    """Keep the unpacked file as the content of an entry that cannot be read again; None where it can."""
    return None if entry.can_reopen else unpacked.replace(scratch)
