"""The reports of a batch: report.html for people, report.json for programs.

The page is one self-contained file: counts, a gallery of pictures before and after, and each file that failed or has a
remark, with the reason.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain, count
from pathlib import Path
from typing import TypedDict

from vidcolor import __version__, outputs
from vidcolor.archives.journal import Outcome
from vidcolor.errors import SinkError
from vidcolor.page import Pair, document, escape, gallery

_SEAL = re.compile(rb"vidcolor-seal:([0-9a-f]{64})[^\n]*\n?\Z")  # at a report's end: SHA-256 of all before its line
GALLERY = 200  # most pictures on the page, about 15 KB each
MOST_ROWS = 5000  # of the page's table; report.json lists all files


@dataclass(frozen=True)
class FileResult:
    """The result for one file of `colorize_files`."""

    name: str  # path within the input folder or archive, with "/"
    outcome: Outcome  # kept: it was in color
    output: str | None = None  # path within the output, with "/"; None: nothing was written
    reason: str = ""  # remarks or, of a failed file, the error
    notes: tuple[str, ...] = ()  # whether somebody changed the output since it was made
    seconds: float = 0.0  # spent on the file by the run that made it
    input_bytes: int = 0  # size of the input file
    output_bytes: int | None = None  # size of the output file; None: nothing was written
    damage: str = ""  # in words, of a damaged film that was colored as far as it decodes, or of a nested archive


class RunFacts(TypedDict):
    """A run as a whole."""

    inputs: list[str]  # paths, as they were given
    output: str  # path of the folder or archive
    model: str  # its name
    devices: list[str]  # names of what the network ran on, for people
    seconds: float  # that this run took


class Report(RunFacts):
    """What report.json holds: the last run, and all files, including those of earlier runs."""

    vidcolor: str  # version that wrote the report
    counts: dict[str, int]  # files by outcome: colored, kept, copied, skipped, failed
    damaged: int  # files with damage
    files: Sequence[FileResult]  # in the order of the input
    seal: str  # SHA-256 of all before its line, which shows that nobody edited the report


def choose_path(named: Callable[[str], Path], name: str) -> Path:
    """Choose a path for a report: under `name`, or under another name if a file that we did not write is there.

    A user's own file is never replaced, nor a report that somebody edited. named: gives the path for a name.
    """
    for candidate in chain((name, f"vidcolor-{name}"), (f"vidcolor-{number}-{name}" for number in count(2))):
        path = named(candidate)
        if not path.is_symlink() and (not path.exists() or _is_ours(path)):
            return path
    raise AssertionError("there are more numbers")


def _is_ours(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    found = _SEAL.search(content[-200:])
    return found is not None and _digest(content[: content.rfind(b"\n", 0, -1) + 1]) == found[1]


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _add_seal(content: bytes, before: bytes, behind: bytes) -> bytes:
    """Append a last line with a checksum, which shows later that nobody edited the report."""
    return content + b"%bvidcolor-seal:%b%b\n" % (before, _digest(content), behind)


def is_in_gallery(name: str, total: int | None) -> bool:
    """Whether a picture belongs to the gallery: chosen by a hash of its name, about GALLERY of `total` files."""
    share = 1.0 if not total else min(1.0, GALLERY / total)
    return int.from_bytes(hashlib.sha256(name.encode(errors="backslashreplace")).digest()[:4]) < share * 2**32


def write_json(path: Path, lines: Sequence[FileResult], facts: RunFacts) -> None:
    """Write report.json. facts: of the run as a whole, see BatchResult.facts."""
    whole = Report(
        vidcolor=__version__,
        **facts,
        counts=dict(Counter(line.outcome for line in lines)),
        damaged=sum(bool(line.damage) for line in lines),
        files=lines,
        seal="",
    )
    content = json.dumps(whole, ensure_ascii=True, indent=1, default=asdict).removesuffix(' "seal": ""\n}').encode()
    outputs.write(path, _add_seal(content, b' "seal": "', b'"}'), overwrite=True)


def write_html(path: Path, lines: Sequence[FileResult], pairs: Iterable[Pair], facts: RunFacts) -> None:
    """Write report.html. pairs: the gallery.  facts: of the run as a whole, see BatchResult.facts."""
    counts = Counter[str](line.outcome for line in lines)
    listed = [line for line in lines if line.outcome == "failed" or line.reason or line.notes]
    listed.sort(key=lambda line: line.outcome != "failed")
    figures = "".join(f"<li><b>{counts[name]:,}</b> {name}</li>" for name in OUTCOMES if counts[name])
    if damaged := sum(bool(line.damage) for line in lines):
        figures += f"<li><b>{damaged:,}</b> of the films damaged</li>"
    told = {key: ", ".join(value) if isinstance(value, list) else value for key, value in facts.items()}
    details = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in told.items())
    rows = "".join(map(_row, listed[:MOST_ROWS])) or "<tr><td colspan=3>Nothing.</td></tr>"
    more = f"<p>and {len(listed) - MOST_ROWS:,} more, see report.json</p>" if len(listed) > MOST_ROWS else ""
    shown = gallery(list(pairs)) or "<p>None was colored.</p>"
    body = _BODY.format(figures=figures, details=details, rows=rows, more=more, gallery=shown)
    content = document("What vidcolor did", body).rstrip("\n").encode() + b"\n"
    outputs.write(path, _add_seal(content, b"<!-- ", b" -->"), overwrite=True)


OUTCOMES = ("colored", "kept", "copied", "skipped", "failed")


def _row(line: FileResult) -> str:
    said = "; ".join(filter(None, (line.reason, *line.notes)))
    outcome = f"<td class=outcome>{line.outcome}</td>"
    return f"<tr class={line.outcome}><td>{escape(line.name)}</td>{outcome}<td>{escape(said)}</td></tr>"


_BODY = """<ul class=figures>{figures}</ul>
<dl>{details}</dl>
<h2>Failures and remarks</h2>
<p><label>Show only <input id=filter type=search placeholder="name or reason"></label></p>
<table><thead><tr><th>file<th>outcome<th>why</thead><tbody>{rows}</tbody></table>{more}
<h2>Some of the pictures</h2>
{gallery}"""


class Gallery:
    """Thumbnails of a run, kept in a hidden folder beside the output so that a resumed run has them all."""

    def __init__(self, folder: Path, total: int | None):
        """folder: made with the first picture.  total: number of files of the run, None where unknown.

        Raises SinkError if the folder is a symbolic link.
        """
        self._folder, self._total = folder, total
        if folder.is_symlink():
            raise SinkError(f"{folder}: is a link, and nothing is written through it. Remove it.")

    def wants(self, name: str) -> bool:
        """Whether a picture belongs to the gallery."""
        return is_in_gallery(name, self._total)

    def add(self, name: str, before: bytes, after: bytes) -> None:
        """Keep a picture, as JPEG files."""
        with suppress(OSError):  # the page may lack a picture
            self._folder.mkdir(parents=True, exist_ok=True)
            for kind, jpeg in (("before", before), ("after", after)):
                partial = self._file(name, kind).with_suffix(".partial")
                outputs.create(partial)
                partial.write_bytes(jpeg)
                partial.replace(self._file(name, kind))

    def has(self, name: str) -> bool:
        """Whether both pictures are there and complete: a power cut may leave empty files."""
        return all(_is_whole(self._file(name, kind)) for kind in ("before", "after"))

    def pairs(self, names: Iterable[str]) -> list[Pair]:
        """The kept pictures in the order of the names, GALLERY at most."""
        found: list[Pair] = []
        for name in names:
            before, after = (self._file(name, kind) for kind in ("before", "after"))
            if len(found) < GALLERY and _is_whole(before) and _is_whole(after):
                found.append(Pair(name, before.read_bytes(), after.read_bytes()))
        return found

    def clear(self) -> None:
        """Delete the folder."""
        for file in (*self._folder.glob("*.jpg"), *self._folder.glob("*.partial")):
            file.unlink()
        if self._folder.is_dir():
            self._folder.rmdir()

    def _file(self, name: str, kind: str) -> Path:
        digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()
        return self._folder / f"{digest[:24]}.{kind}.jpg"


def _is_whole(picture: Path) -> bool:
    try:
        with picture.open("rb") as file:
            begins = file.read(2) == b"\xff\xd8"
            file.seek(-2, os.SEEK_END)
            return begins and file.read() == b"\xff\xd9"
    except OSError:
        return False
