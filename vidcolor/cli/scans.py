"""`vidcolor colorize` on many files: folders, zip and tar archives, photos."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcolor import __version__
from vidcolor.cli.films import film_options, film_watched
from vidcolor.cli.lines import answer, check_answered, event, say
from vidcolor.cli.tally import Tally, tally
from vidcolor.errors import UsageError
from vidcolor.jobs import DECIDING, FILM_SUFFIXES

if TYPE_CHECKING:
    from vidcolor.archive import Workers
    from vidcolor.cluster import ClusterWorkers
    from vidcolor.colorizer import Colorizer
    from vidcolor.journal import Record, Run
    from vidcolor.media.archives import Entry, Source
    from vidcolor.photos import PhotoOptions
    from vidcolor.report import Gallery, Line
    from vidcolor.weights import ModelHeader
    from vidcolor.worker import Done, Rules

WATCH_SECONDS = 2.0  # between looks at the folder, and the age at which a file counts as written
ANIMATIONS = {".gif"}  # photos that FFmpeg reads as films
ESTIMATE_PHOTOS = 8  # that a dry run really colours


@dataclass(frozen=True)
class Scans:
    """What the command line asks for."""

    inputs: tuple[Path, ...]
    output: Path
    options: dict[str, Any]
    as_json: bool
    quiet: bool

    @property
    def is_archive(self) -> bool:
        """Whether the output is one file that holds all."""
        from vidcolor.media.archives.opening import is_archive_name

        return is_archive_name(self.output) and not self.output.is_dir()

    @property
    def report_base(self) -> tuple[Path, str]:
        """Folder and beginning of the names of the report's files."""
        return (self.output.parent, f"{self.output.name}.") if self.is_archive else (self.output, "")


def are_scans(inputs: tuple[Path, ...], output: Path) -> bool:
    """Whether this is work for an archive: a folder, an archive, a pattern, or a photo is among the inputs.

    An animation that is to become a film is one. Raises UsageError where photos are to become one.
    """
    if output.suffix.lower() in FILM_SUFFIXES and not output.is_dir():
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
    from vidcolor.media.archives.opening import is_archive

    return path.is_file() and is_archive(path)


def _is_photo(path: Path) -> bool:
    from vidcolor.media.stills import SUFFIXES

    return path.suffix.lower() in SUFFIXES


def _is_pattern(path: Path) -> bool:
    return any(sign in str(path) for sign in "*?[") and not path.exists()


def colorize_scans(scans: Scans, load: Callable[[], "Colorizer"]) -> bool:
    """Colour everything; whether all went well. Raises VidcolorError where nothing can be done at all."""
    if len(scans.inputs) == 1 and _is_photo(scans.inputs[0]) and _is_photo(scans.output) and not scans.output.is_dir():
        if scans.options["cluster"]:
            raise UsageError("--cluster shares out many files; one photo is done sooner without it.")
        _one_photo(scans, load())
        return True
    with ExitStack() as stack:
        if scans.options["cluster"]:
            from vidcolor.cluster import connected

            stack.enter_context(connected(scans.options["cluster"]))
        counts = None if scans.options["watch"] else _counted(scans)
        total = sum(counts.values()) if counts is not None else None
        shown = stack.enter_context(tally(total, as_json=scans.as_json, quiet=scans.quiet))
        crew = Crew(scans, load, stack)
        while True:
            all_is_well = _pass(scans, crew, shown)
            if not scans.options["watch"]:
                return all_is_well
            time.sleep(WATCH_SECONDS)


class Crew:
    """Who does the work, for as long as the command runs."""

    def __init__(self, scans: Scans, load: Callable[[], "Colorizer"], stack: ExitStack) -> None:
        """load: gives the model; it pickles.  stack: closes what is begun here.

        Raises ModelError, DeviceError, UsageError: before anything is written.
        """
        from vidcolor import weights

        self._scans, self._load, self._stack = scans, load, stack
        self.header = weights.read_header(weights.find(scans.options["model"]))
        self._local = None if scans.options["cluster"] else load()
        self._workers: Workers | None = None  # begun when the output is there

    def workers(self, rules: "Rules") -> "Workers":
        """The same every time. rules: whatever is in them but the pictures' folder must not change."""
        from vidcolor.archive import LocalWorkers

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
    from vidcolor.photos import color_photo

    source, target = scans.inputs[0], scans.output
    done = color_photo(source, target, _photo_options(scans), colorizer)
    shown = tally(1, as_json=scans.as_json, quiet=scans.quiet)
    shown.entry(str(source), done.outcome, done.notes)
    if not scans.quiet and not scans.as_json:
        say("; ".join((f"{target}: {done.outcome}", *done.notes)))


def _pass(scans: Scans, crew: Crew, shown: Tally) -> bool:
    """Go through the source once; whether all went well."""
    from vidcolor.archive import colorize_archive
    from vidcolor.media.archives import open_target
    from vidcolor.report import Gallery

    began, options = time.monotonic(), scans.options
    folder, prefix = scans.report_base
    gallery = Gallery(folder / f".vidcolor-{prefix}pictures", shown.total)
    with ExitStack() as stack:
        source = stack.enter_context(_opened(scans))
        target = stack.enter_context(
            open_target(scans.output, source, _run(scans), overwrite=options["overwrite"], resume=options["resume"])
        )

        def settled(entry: "Entry", done: "Done") -> None:
            if done.pair is not None:
                gallery.add(entry.name, *done.pair)
            if entry.kind != "directory" and not (done.was_done and options["watch"]):
                shown.entry(
                    entry.shown, done.outcome, (*entry.notes, *done.notes), was_done=done.was_done,
                    is_damaged=bool(done.damage),
                )  # fmt: skip

        entries = _written(source) if options["watch"] else iter(source)
        rules = _rules(scans, crew.header, gallery)
        workers = crew.workers(rules)
        places: dict[str, int] = {}
        entries = _placed(entries, places) if workers.films_any_time else entries
        colorize_archive(entries, target, workers, rules, settled)
        for message in (*source.damage, *target.notes, *workers.notes):
            shown.note(message)
        workers.notes.clear()
        records = list(target.records.values())
        if workers.films_any_time:
            records.sort(key=lambda record: places.get(record.name, -1))
        lines = [_line(record) for record in records]
    facts: dict[str, Any] = {
        "input": ", ".join(map(str, scans.inputs)), "output": str(scans.output), "model": crew.header.name,
        "devices": ", ".join(workers.devices), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    report = _write_report(scans, lines, gallery, facts)
    if not options["watch"] or shown.counts:
        counts = {"counts": dict(shown.counts), "damaged": shown.damaged, "done_before": shown.was_done}
        shown.finish(facts | {"report": str(report)} | counts)
    return not source.damage and not any(line.outcome == "failed" for line in lines)


def _opened(scans: Scans) -> "Source":
    from vidcolor.media.archives import open_source

    return open_source(scans.inputs, output=scans.output)


def _placed(entries: "Iterable[Entry]", places: dict[str, int]) -> "Iterator[Entry]":
    """The same, noting which place each has."""
    for entry in entries:
        places[entry.name] = len(places)
        yield entry


def _written(source: "Source") -> "Iterator[Entry]":
    """Entries that nobody is writing any more, by their age."""
    for entry in source:
        if time.time() - entry.mtime_ns / 1e9 >= WATCH_SECONDS:
            yield entry


def _counted(scans: Scans) -> Counter[str] | None:
    """Files by kind; None where counting would mean unpacking everything."""
    with _opened(scans) as source:
        if source.form.startswith("tar."):
            return None
        return Counter(entry.kind for entry in source if entry.kind != "directory")


def _run(scans: Scans) -> "Run":
    """What decides the output's bytes."""
    from vidcolor import weights
    from vidcolor.journal import Run

    names = (*DECIDING, "quality", "subsampling", "recolor", "others")
    deciding = {name: scans.options[name] for name in names}
    settings = json.dumps(deciding | {"vidcolor": __version__}, sort_keys=True, default=str)
    return Run(weights.sha256(weights.find(scans.options["model"])), hashlib.sha256(settings.encode()).hexdigest())


def _rules(scans: Scans, header: "ModelHeader", gallery: "Gallery | None") -> "Rules":
    from vidcolor.archived_films import ArchivedFilms
    from vidcolor.worker import Rules

    options, asked = scans.options, _photo_options(scans)
    return Rules(
        still=asked.still(header),
        is_recoloring=asked.recolor,
        is_copying_others=options["others"] == "copy",
        largest_pixels=asked.largest_pixels,
        is_shown=gallery.wants if gallery is not None else (lambda _: False),
        scratch=scans.output if scans.output.is_dir() else scans.output.parent,
        films=ArchivedFilms(film_options(options), film_watched),
    )


def _photo_options(scans: Scans) -> "PhotoOptions":
    from vidcolor.photos import PhotoOptions

    return PhotoOptions(**{entry.name: scans.options[entry.name] for entry in fields(PhotoOptions)})


def _line(record: "Record") -> "Line":
    from vidcolor.report import Line

    return Line(
        record.name, record.outcome, record.output, record.reason, (), round(record.seconds, 3), record.size,
        record.output_size, record.damage,
    )  # fmt: skip


def _write_report(scans: Scans, lines: "list[Line]", gallery: "Gallery", facts: dict[str, Any]) -> Path:
    """report.json and report.html; beside an archive under its name."""
    from vidcolor.report import write_html, write_json

    folder, prefix = scans.report_base
    page = folder / f"{prefix}report.html"
    write_json(folder / f"{prefix}report.json", lines, facts)
    write_html(page, lines, gallery.pairs(line.name for line in lines), facts)
    if scans.is_archive:
        gallery.clear()
    return page


def describe_scans(scans: Scans, load: Callable[[], "Colorizer"]) -> bool:
    """A dry run: what is there, what would be done, and how long it would take."""
    from vidcolor.archive import timed

    with _opened(scans) as source:
        entries = [entry for entry in source if entry.kind != "directory"]
        photos = [entry for entry in entries if entry.kind == "photo" and not entry.refusal]
        chosen = [entry for entry in photos if entry.again][:: max(1, len(photos) // ESTIMATE_PHOTOS)]
        colorizer = load()
        seconds, measured_bytes = timed(chosen, colorizer, _rules(scans, colorizer.header, None))
        photo_bytes = sum(entry.size for entry in photos)
        facts = {
            "input": ", ".join(map(str, scans.inputs)), "output": str(scans.output),
            "files": dict(Counter(entry.kind for entry in entries)), "bytes": sum(entry.size for entry in entries),
            "refused": [f"{entry.shown}: {entry.refusal}" for entry in entries if entry.refusal],
            "notes": [note for entry in entries for note in entry.notes] + list(source.damage),
            "photo_seconds": round(seconds * photo_bytes / measured_bytes) if measured_bytes else None,
            "measured_photos": len(chosen), "model": colorizer.header.name, "devices": colorizer.devices,
        }  # fmt: skip
    _print_plan(facts, as_json=scans.as_json)
    return True


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
