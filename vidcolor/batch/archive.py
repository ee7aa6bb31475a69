"""Many photos and films, from a source of entries to a target that can be killed and gone on with.

Workers color what the source holds, and results reach the target in the source's order. On one machine a pool of
threads reads, paints and packs photos, while one thread feeds the network with whatever waits, and films are colored
one after another, each on all devices. Workers elsewhere may color films beside the rest: those that lie in a folder
and go to a folder need no order.
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
from vidcolor.batch.worker import Done, Rules
from vidcolor.batch.workers import Workers
from vidcolor.errors import DeviceError, SinkError, SourceError, VidcolorError
from vidcolor.printable import printable

MOST_LISTED = 20  # failures in an archive that lies in a folder

OnEntry = Callable[[Entry, Done], None]


def colorize_archive(
    entries: Iterable[Entry],
    target: Target,
    workers: Workers,
    rules: Rules,
    on_entry: OnEntry,
) -> None:
    """Color what can be colored, carry over the rest, and tell `on_entry` of each, in archives that lie in it, too.

    That comes in the source's order, but for films that need none: see Workers.films_any_time. One bad entry never
    stops the others. Raises SinkError when the target cannot be written any more, DeviceError.
    """
    beside = _Beside(target, workers, rules)

    def submit(entry: Entry) -> Future[Done] | None:
        if entry.refusal or entry.kind in ("directory", "link"):
            return None
        if not _due(entry, target, rules):
            return completed_future(Done("skipped", was_done=True))
        if reason := target.why_kept(entry):  # asked last: it reads what would be replaced
            return completed_future(Done("kept", notes=(reason,), was_done=True))
        if entry.kind != "photo":
            return None
        target.check(entry)
        return workers.photo(entry, entry.path or entry.read())

    def settle(entry: Entry, result: Callable[[], Done]) -> None:
        on_entry(entry, _settled(entry, result, target))

    in_turn = in_order(
        beside.leave(_links_last(entries, target)), submit, window=workers.ahead, window_bytes=workers.ahead_bytes
    )
    for entry, future in in_turn:
        settle(entry, future.result if future else partial(_in_turn, entry, target, workers, rules, on_entry))
        for film, result in beside.finished():
            settle(film, result)
    for film, result in beside.rest():
        settle(film, result)


def _links_last(entries: Iterable[Entry], target: Target) -> Iterator[Entry]:
    """Links become files in a folder: after the files that they lead to, by links of links too."""
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


class _Beside:
    """Films that are colored beside the rest, and written when they are done."""

    def __init__(self, target: Target, workers: Workers, rules: Rules) -> None:
        self._target, self._workers, self._rules = target, workers, rules
        self._under_way: dict[Future[Done], tuple[Entry, str]] = {}

    def leave(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Begin the films that need no order; the other entries."""
        is_possible = self._workers.films_any_time and isinstance(self._target, FolderTarget)
        for entry in entries:
            is_film = entry.kind == "film" and self._rules.films is not None and not entry.refusal
            if (
                is_possible
                and is_film
                and entry.path
                and self._target.why_due(entry)
                and not self._target.why_kept(entry)
            ):
                self._begin(entry, entry.path)
            else:
                yield entry

    def _begin(self, entry: Entry, path: Path) -> None:
        assert self._rules.films is not None
        name = self._rules.films.name(entry.name)
        try:
            self._target.check(entry, name)
            future = self._workers.film(entry, path, self._target.scratch_path(entry, name))
        except VidcolorError as error:
            future = Future()
            future.set_exception(error)
        self._under_way[future] = entry, name

    def finished(self) -> Iterator[tuple[Entry, Callable[[], Done]]]:
        """Those that are done by now."""
        for future in [future for future in self._under_way if future.done()]:
            entry, name = self._under_way.pop(future)
            yield entry, partial(_named, entry, name, future)

    def rest(self) -> Iterator[tuple[Entry, Callable[[], Done]]]:
        """All others, as they end."""
        while self._under_way:
            wait(self._under_way, return_when=FIRST_COMPLETED)
            yield from self.finished()


def _said(name: str, reason: str) -> str:
    return reason if name in reason else f"{name}: {reason}"


def _settled(entry: Entry, result: Callable[[], Done], target: Target) -> Done:
    """Bring one entry's result to the target."""
    try:
        done = result()
        if done.was_done:
            return done
        said = "; ".join(done.notes)
        if done.content is not None:
            target.write(
                entry, done.content, done.outcome, name=done.name, reason=said, seconds=done.seconds, damage=done.damage
            )
        elif done.outcome == "skipped":
            target.skip(entry, said)
        else:
            done = replace(done, outcome=target.copy(entry, done.outcome, reason=said))
    except SinkError as error:
        if not isinstance(error, RefusedError):
            raise
        return _failed(entry, target, str(error))
    except DeviceError:
        raise  # a lost GPU is no photo's fault
    except VidcolorError as error:
        return _failed(entry, target, _named_once(entry, str(error), entry.path))
    except Exception as error:  # of a decoder or of numpy, on a file that nobody thought of: the others go on
        return _failed(entry, target, f"unexpected {type(error).__name__}: {error}")
    return done


def _named_once(entry: Entry, reason: str, path: Path | None) -> str:
    """A reason that begins with the file's path, by the name that the run has for it."""
    within = reason.removeprefix(f"{path}: ")
    return reason if within == reason else f"{entry.printable_name}: {within}"


def _failed(entry: Entry, target: Target, reason: str) -> Done:
    target.fail(entry, reason)
    return Done("failed", notes=(reason,))


def _due(entry: Entry, target: Target, rules: Rules) -> str:
    """See Target.due; an archive that an earlier run copied, as it was told, is due where it may be opened now."""
    record = target.find_record(entry.name) if _is_opened(entry, target, rules) else None
    return target.why_due(entry) or ("copied before" if record is not None and record.outcome == "copied" else "")


def _in_turn(entry: Entry, target: Target, workers: Workers, rules: Rules, on_entry: OnEntry) -> Done:
    """What no worker is needed for, or what has to wait for all before it."""
    if entry.refusal:
        raise SourceError(f"{entry.refusal}.")
    if entry.kind == "link" and not target.why_due(entry):
        return Done("skipped", was_done=True)
    if entry.kind in ("directory", "link"):
        return Done("copied", notes=entry.notes)
    if entry.kind == "film" and rules.films is not None:
        return _film(entry, target, workers, rules)
    if _is_opened(entry, target, rules):
        return _nested(entry, target, workers, rules, on_entry)
    why = _why_passed_over(entry, rules)
    if rules.is_copying_others:
        return Done("copied", notes=(*entry.notes, *filter(None, (why,))), passed_over=why)
    return Done("skipped", notes=("neither a photo nor a film", *entry.notes), passed_over=why)


def _is_opened(entry: Entry, target: Target, rules: Rules) -> bool:
    """Whether an archive is colored itself: in a folder, into a folder."""
    return rules.is_nested and entry.kind == "archive" and entry.path is not None and isinstance(target, FolderTarget)


def _why_passed_over(entry: Entry, rules: Rules) -> str:
    if entry.kind != "archive":
        return why_unread(entry.name)
    if entry.path is None:
        return "archives in archives are not opened; unpack them"
    return "archives are opened with --nested alone" if not rules.is_nested else "archives go to a folder alone"


def _nested(entry: Entry, target: Target, workers: Workers, rules: Rules, on_entry: OnEntry) -> Done:
    """An archive in a folder as one with everything in it colored, gone on with where an earlier run left it."""
    assert isinstance(target, FolderTarget)
    assert entry.path is not None
    began, output = time.monotonic(), target.reopen_archive(entry)

    def settled(inner: Entry, done: Done) -> None:
        on_entry(inner, replace(done, within=entry.printable_name))

    with open_source([entry.path]) as source, reopen_target(output, source, target.run, resume=target.resume) as made:
        colorize_archive(source, made, workers, rules, settled)
    records = list(made.records.values())
    failed = [_said(printable(record.name), record.reason) for record in records if record.outcome == "failed"]
    counts = Counter(record.outcome for record in records)
    outcome: Outcome = "failed" if failed else "colored" if counts["colored"] else "kept"
    said = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    listed = (*failed[:MOST_LISTED], *((f"and {len(failed) - MOST_LISTED} more",) if len(failed) > MOST_LISTED else ()))
    notes = (*entry.notes, f"files in it: {said}", *source.damage, *made.notes, *listed)
    damage, seconds = " ".join(source.damage), time.monotonic() - began
    return Done(outcome, output, notes=notes, seconds=seconds, damage=damage)


def _film(entry: Entry, target: Target, workers: Workers, rules: Rules) -> Done:
    assert rules.films is not None
    name = rules.films.name(entry.name)
    target.check(entry, name)
    scratch = target.scratch_path(entry, name)
    with entry.as_file(scratch.parent) as path:
        try:
            done = _named(entry, name, workers.film(entry, path, scratch))
        except SourceError as error:  # by the name that people know, not that of a copy which goes
            raise SourceError(_named_once(entry, str(error), path)) from error
        return done if done.content else replace(done, content=_moved(path, target.scratch_path(entry), entry))


def _named(entry: Entry, name: str, film: Future[Done]) -> Done:
    """The film once it is done, under another name where it needs one."""
    done = film.result()
    is_renamed = done.content is not None and PurePosixPath(name) != PurePosixPath(entry.name)
    return replace(done, name=name) if is_renamed else done


def _moved(unpacked: Path, scratch: Path, entry: Entry) -> Path | None:
    """The file as new content, of an entry that cannot be read again."""
    return None if entry.can_reopen else unpacked.replace(scratch)
