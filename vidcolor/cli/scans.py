"""`vidcolor colorize` on many files: folders, zip and tar archives, photos."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vidcolor.cli.films import film_options, film_watched, run_of
from vidcolor.cli.tally import Tally, tally
from vidcolor.cli.text import answer, check_answered, event, say
from vidcolor.errors import BusyError, SourceError, UsageError, VidcolorError
from vidcolor.filenames import fitted_name, hidden_name
from vidcolor.formats import CONTAINERS, PHOTOS, UNREAD_PHOTOS, archive_ending
from vidcolor.outputs import check_is_no_input

if TYPE_CHECKING:
    from vidcolor.archives import Entry, FolderWatcher, Source
    from vidcolor.archives.journal import Record, Run
    from vidcolor.batch.archive import Workers
    from vidcolor.batch.photos import PhotoOptions
    from vidcolor.batch.report import Gallery, Line
    from vidcolor.batch.worker import Done, Rules
    from vidcolor.cluster import ClusterWorkers
    from vidcolor.inference.colorizer import Colorizer
    from vidcolor.inference.weights import ModelHeader

WATCH_SECONDS = 2.0  # between looks at the folder
ANIMATIONS = {".gif"}  # photos that FFmpeg reads as films
MOST_TOLD = 10  # files of which one thing is said, a line each
ESTIMATE_PHOTOS = 8  # that a dry run really colors


@dataclass(frozen=True)
class Scans:
    """What the command line asks for."""

    inputs: tuple[Path, ...]
    output: Path
    options: dict[str, Any]
    as_json: bool
    quiet: bool

    @property
    def reading(self) -> list[Path]:
        """Files that are read beside the inputs: the model, and references. Raises ModelError."""
        from vidcolor.films.references import files_in
        from vidcolor.inference import weights

        references = (file for path in self.options["references"] for file in files_in(path))
        return [weights.find(self.options["model"]), *references]

    @property
    def is_archive(self) -> bool:
        """Whether the output is one file that holds all."""
        from vidcolor.archives.opening import is_archive_name

        return is_archive_name(self.output) and not self.output.is_dir()

    def report_file(self, name: str) -> Path:
        """The path of one of the report's files."""
        if not self.is_archive:
            return self.output / name
        return self.output.with_name(fitted_name(self.output.name, f".{name}"))

    @property
    def pictures(self) -> Path:
        """The folder of the report's pictures."""
        prefix = f"{self.output.name}." if self.is_archive else ""
        return self.report_file("report.html").with_name(hidden_name(f"{prefix}pictures"))


def are_scans(inputs: tuple[Path, ...], output: Path) -> bool:
    """Whether this is work for an archive: a folder, an archive, a pattern, or a photo is among the inputs.

    An animation that is to become a film is one. Raises UsageError where photos are to become one.
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
                f"{photo}: is a photo, and {output} would be a film. Name a photo or a folder; for numbered pictures"
                " of a film pass their folder and --fps 24."
            )
    return any(path.is_dir() or _is_archive(path) or _is_photo(path) or _is_pattern(path) for path in inputs)


def _is_archive(path: Path) -> bool:
    from vidcolor.archives.opening import is_archive

    return path.is_file() and is_archive(path)


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in PHOTOS | UNREAD_PHOTOS  # those that are not read are refused as photos


def _is_pattern(path: Path) -> bool:
    return any(sign in str(path) for sign in "*?[") and not path.exists()


def colorize_scans(scans: Scans, load: Callable[[], "Colorizer"]) -> bool:
    """Color everything; whether all went well. Raises VidcolorError where nothing can be done at all."""
    if len(scans.inputs) == 1 and _is_photo(scans.inputs[0]) and _is_photo(scans.output) and not scans.output.is_dir():
        if scans.options["cluster"]:
            raise UsageError("--cluster shares out many files; one photo is done sooner without it.")
        check_is_no_input(scans.output, scans.reading)
        _one_photo(scans, load())
        return True
    with ExitStack() as stack:
        if scans.options["cluster"]:
            from vidcolor.cluster import connected

            stack.enter_context(connected(scans.options["cluster"]))
        is_watching = scans.options["watch"]
        counts = None if is_watching else _counted(scans)
        total = sum(counts.values()) if counts is not None else None
        shown = stack.enter_context(tally(total, as_json=scans.as_json, quiet=scans.quiet, is_telling_all=is_watching))
        crew = Crew(scans, load, stack)
        if is_watching:
            _watch(scans, crew, shown)
        facts, all_is_well = _pass(scans, crew, shown)
        shown.finish(facts)
        return all_is_well


def _watch(scans: Scans, crew: "Crew", shown: Tally) -> NoReturn:
    """Color what comes into the folder, until somebody ends it; then say how much it was."""
    from vidcolor.archives import FolderWatcher

    if hasattr(signal, "SIGIO"):
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # see Arrivals
    began, watcher, waits_for = time.monotonic(), FolderWatcher(), ""
    facts = _facts(scans, crew)
    try:
        while True:
            try:
                with _opened(scans) as source:
                    is_due = watcher.scan(source)
                if is_due:
                    facts = _pass(scans, crew, shown, watcher)[0]
                waits_for = ""
            except (BusyError, SourceError) as error:  # the other run is done some time, and the network is back
                if waits_for != str(error):
                    shown.note(f"{error} Waiting.")
                waits_for = str(error)
            time.sleep(WATCH_SECONDS)
    finally:
        shown.finish({"report": "none"} | facts | {"seconds": round(time.monotonic() - began, 1)})


class Crew:
    """Who does the work, for as long as the command runs."""

    def __init__(self, scans: Scans, load: Callable[[], "Colorizer"], stack: ExitStack) -> None:
        """load: gives the model; it pickles.  stack: closes what is begun here.

        Raises ModelError, DeviceError, UsageError: before anything is written.
        """
        from vidcolor.inference import weights

        self._scans, self._load, self._stack = scans, load, stack
        self.header = weights.read_header(weights.find(scans.options["model"]))
        self._local = None if scans.options["cluster"] else load()
        self._workers: Workers | None = None  # begun when the output is there

    def workers(self, rules: "Rules") -> "Workers":
        """The same every time. rules: whatever is in them but the pictures' folder must not change."""
        from vidcolor.batch.archive import LocalWorkers

        if self._workers is not None:
            return self._workers
        if self._local is not None:
            self._workers = self._stack.enter_context(LocalWorkers(self._local, rules))
        else:
            self._workers = self._stack.enter_context(self._clustered(rules))
        return self._workers

    def _clustered(self, rules: "Rules") -> "ClusterWorkers":
        from vidcolor.cluster import ClusterWorkers, Work

        inputs = tuple(path.absolute() for path in self._scans.inputs if path.exists())
        rules = replace(rules, scratch=rules.scratch.absolute())
        identity = partial(_run, self._scans)
        return ClusterWorkers(Work(self._load, rules, identity, inputs, self._scans.options["device"]))


def _one_photo(scans: Scans, colorizer: "Colorizer") -> None:
    """One photo into one file of the same format."""
    from vidcolor.batch.photos import color_photo

    source, target = scans.inputs[0], scans.output
    done = color_photo(source, target, _photo_options(scans), colorizer)
    shown = tally(1, as_json=scans.as_json, quiet=scans.quiet)
    shown.entry(str(source), done.outcome, done.notes)
    if not scans.as_json and (done.notes or not scans.quiet):  # what could not be kept is said in any case
        say("; ".join((f"{target}: {done.outcome}", *done.notes)))


def _pass(
    scans: Scans, crew: Crew, shown: Tally, watcher: "FolderWatcher | None" = None
) -> tuple[dict[str, Any], bool]:
    """Go through the source once; what there is to say of it, and whether all went well.

    watcher: says what of it is to be done.
    """
    from vidcolor.archives import open_target
    from vidcolor.batch.archive import colorize_archive
    from vidcolor.batch.report import Gallery

    began, options = time.monotonic(), scans.options
    gallery = Gallery(scans.pictures, shown.total)
    changed: dict[str, str] = {}  # outputs that somebody changed since
    present: set[str] = set()  # names; the records of an earlier run are of files that may be gone by now
    with ExitStack() as stack:
        source = stack.enter_context(_opened(scans))
        target = stack.enter_context(
            open_target(
                scans.output, source, _run(scans), overwrite=options["overwrite"], resume=options["resume"],
                reading=scans.reading,
            )
        )  # fmt: skip

        passed_over: dict[str, list[str]] = {}

        def settled(entry: "Entry", done: "Done") -> None:
            if done.passed_over:
                names = passed_over.setdefault(done.passed_over, [])
                names.append(f"{done.within}/{entry.printable_name}".lstrip("/"))
            if done.damage and entry.kind == "archive":
                shown.note(done.damage)
            if done.within:
                shown.within(done.within)
                return
            present.add(entry.name)
            if done.pair is not None:
                gallery.add(entry.name, *done.pair)
            elif done.was_done and gallery.wants(entry.name) and not gallery.has(entry.name):
                _show_again(scans, gallery, entry, target.records.get(entry.name))
            if done.was_done and done.notes:
                changed[entry.name] = "; ".join(done.notes)
            if entry.kind != "directory" and not (done.was_done and options["watch"]):
                shown.entry(
                    entry.printable_name, done.outcome, (*entry.notes, *done.notes), was_done=done.was_done,
                    is_damaged=bool(done.damage) and entry.kind == "film",
                )  # fmt: skip

        entries = iter(source) if watcher is None else watcher.take_ready(source)
        rules = _rules(scans, crew.header, gallery)
        workers = crew.workers(rules)
        places: dict[str, int] = {}
        entries = _placed(entries, places) if workers.films_any_time else entries
        colorize_archive(entries, target, workers, rules, settled)
    for message in (*source.damage, *target.notes, *workers.notes, *_told(changed), *_remarks(passed_over)):
        shown.note(message)
    workers.notes.clear()
    records = list(target.records.values())
    if workers.films_any_time:
        records.sort(key=lambda record: places.get(record.name, -1))
    lines = [_line(record, changed.get(record.name, "")) for record in records]
    facts = _facts(scans, crew) | {
        "devices": ", ".join(workers.devices), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    report = _write_report(scans, lines, gallery, facts)
    counts = {"counts": dict(shown.counts), "damaged": shown.damaged, "done_before": shown.was_done}
    is_well = not source.damage and not any(_is_wrong(line) for line in lines if line.name in present)
    return facts | {"report": str(report)} | counts, is_well


def _is_wrong(line: "Line") -> bool:
    """Whether a file failed, or is an archive that breaks off."""
    return line.outcome == "failed" or bool(line.damage and archive_ending(line.name))


def _facts(scans: Scans, crew: Crew) -> dict[str, Any]:
    """What the run is, before anything of it is done."""
    return {
        "input": ", ".join(map(str, scans.inputs)), "output": str(scans.output), "model": crew.header.name,
        "devices": "", "seconds": 0.0,
    }  # fmt: skip


def _told(changed: dict[str, str]) -> "Iterator[str]":
    """A line for each of the first outputs that were changed, and how many more there are."""
    for name in islice(changed, MOST_TOLD):
        yield f"{name}: {changed[name]}"
    if len(changed) > MOST_TOLD:
        yield f"{len(changed) - MOST_TOLD} more were changed since they were made, and are kept so; see the report"


def _show_again(scans: Scans, gallery: "Gallery", entry: "Entry", record: "Record | None") -> None:
    """Make small pictures again that a power cut has lost, of a photo in a folder."""
    from vidcolor.batch.worker import SHOWN_SIDE
    from vidcolor.stills.rgb import thumbnail_jpeg

    if record is None or record.outcome != "colored" or record.output is None or entry.kind != "photo":
        return
    output = scans.output / record.output
    with suppress(OSError, VidcolorError):
        if output.is_file() and (entry.path or entry.can_reopen):
            found = [thumbnail_jpeg(content, SHOWN_SIDE) for content in (entry.path or entry.read(), output)]
            if found[0] and found[1]:
                gallery.add(entry.name, found[0], found[1])


def _remarks(passed_over: dict[str, list[str]]) -> "Iterator[str]":
    """One line for each reason, however many files there are."""
    from vidcolor.printable import printable

    for why, names in passed_over.items():
        others = f" and {len(names) - 1:,} other{'s' if len(names) > 2 else ''}" if len(names) > 1 else ""
        yield f"{printable(names[0])}{others}: not colored: {why}"


def _opened(scans: Scans) -> "Source":
    from vidcolor.archives import open_source

    return open_source(scans.inputs, output=scans.output)


def _placed(entries: "Iterable[Entry]", places: dict[str, int]) -> "Iterator[Entry]":
    """The same, noting which place each has."""
    for entry in entries:
        places[entry.name] = len(places)
        yield entry


def _counted(scans: Scans) -> Counter[str] | None:
    """Files by kind; None where counting would mean unpacking everything."""
    with _opened(scans) as source:
        if source.form.startswith("tar."):
            return None
        return Counter(entry.kind for entry in source if entry.kind != "directory")


def _run(scans: Scans) -> "Run":
    return run_of(scans.options)


def _rules(scans: Scans, header: "ModelHeader", gallery: "Gallery | None") -> "Rules":
    from vidcolor.batch.films import ArchivedFilms
    from vidcolor.batch.worker import Rules

    options, asked = scans.options, _photo_options(scans)
    return Rules(
        still=asked.still(header),
        is_recoloring=asked.recolor,
        is_copying_others=options["others"] == "copy",
        is_nested=options["nested"],
        largest_pixels=asked.largest_pixels,
        is_shown=gallery.wants if gallery is not None else (lambda _: False),
        scratch=scans.output if scans.output.is_dir() else scans.output.parent,
        films=ArchivedFilms(film_options(options), film_watched),
    )


def _photo_options(scans: Scans) -> "PhotoOptions":
    from vidcolor.batch.photos import PhotoOptions

    return PhotoOptions(**{entry.name: scans.options[entry.name] for entry in fields(PhotoOptions)})


def _line(record: "Record", changed: str) -> "Line":
    from vidcolor.batch.report import Line

    return Line(
        record.name, record.outcome, record.output, record.reason, (changed,) if changed else (),
        round(record.seconds, 3), record.size, record.output_size, record.damage,
    )  # fmt: skip


def _write_report(scans: Scans, lines: "list[Line]", gallery: "Gallery", facts: dict[str, Any]) -> Path:
    """report.json and report.html; beside an archive under its name."""
    from vidcolor.batch.report import place, write_html, write_json

    page = place(scans.report_file, "report.html")
    write_json(place(scans.report_file, "report.json"), lines, facts)
    write_html(page, lines, gallery.pairs(line.name for line in lines), facts)
    if scans.is_archive:
        gallery.clear()
    return page


def describe_scans(scans: Scans, load: Callable[[], "Colorizer"]) -> bool:
    """A dry run: what is there, what would be done, and how long it would take."""
    from vidcolor.batch.archive import timed

    with _opened(scans) as source:
        entries = [entry for entry in source if entry.kind != "directory"]
        photos = [entry for entry in entries if entry.kind == "photo" and not entry.refusal]
        chosen = [entry for entry in photos if entry.can_reopen][:: max(1, len(photos) // ESTIMATE_PHOTOS)]
        colorizer = load()
        seconds, measured_bytes = timed(chosen, colorizer, _rules(scans, colorizer.header, None))
        photo_bytes = sum(entry.size for entry in photos)
        facts = {
            "input": ", ".join(map(str, scans.inputs)), "output": str(scans.output),
            "files": dict(Counter(entry.kind for entry in entries)), "bytes": sum(entry.size for entry in entries),
            "refused": [f"{entry.printable_name}: {entry.refusal}" for entry in entries if entry.refusal],
            "notes": [*(note for entry in entries for note in entry.notes), *source.damage, *_unread(entries)],
            "photo_seconds": round(seconds * photo_bytes / measured_bytes) if measured_bytes else None,
            "measured_photos": len(chosen), "model": colorizer.header.name, "devices": colorizer.devices,
        }  # fmt: skip
    _print_plan(facts, as_json=scans.as_json)
    return True


def _unread(entries: "list[Entry]") -> "Iterator[str]":
    from vidcolor.archives.entries import why_unread

    reasons: dict[str, list[str]] = {}
    for entry in entries:
        if entry.kind == "other" and (why := why_unread(entry.name)):
            reasons.setdefault(why, []).append(entry.name)
    yield from _remarks(reasons)


def _print_plan(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        event("plan", **facts)
        check_answered()
        return
    answer(f"{facts['input']} -> {facts['output']}")
    for kind, count in sorted(facts["files"].items()):
        answer(f"  {kind:<10} {count:,}")
    answer(f"  in all     {facts['bytes'] / 1e6:,.1f} MB")
    for line in (*facts["refused"], *facts["notes"]):
        answer(f"  remark     {line}")
    answer(f"  model      {facts['model']} on {', '.join(facts['devices'])}")
    took = facts["photo_seconds"]
    said = "unknown; no photo could be tried" if took is None else str(timedelta(seconds=took))
    answer(f"  time       {said} for the photos (from {facts['measured_photos']} of them); films need their own")
