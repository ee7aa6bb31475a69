"""What a run over many files did, for people and for programs: report.html and report.json.

The page is one file that needs nothing else: figures, a gallery of pictures before and after, and every file that
failed or has something to be said of, with the reason.
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

from vidcolor import __version__, outputs
from vidcolor.errors import SinkError
from vidcolor.page import Pair, document, escape, gallery

_SEAL = re.compile(rb"vidcolor-seal:([0-9a-f]{64})[^\n]*\n?\Z")  # at a report's end: SHA-256 of all before its line
GALLERY = 200  # pictures that the page shows at most, about 15 KB each
MOST_ROWS = 5000  # of the page's table; report.json has all


@dataclass(frozen=True)
class FileResult:
    """What became of one file."""

    name: str  # as the source names it
    outcome: str  # colored, kept, copied, skipped, failed
    output: str | None = None  # name in the output
    reason: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    input_bytes: int = 0
    output_bytes: int | None = None
    damage: str = ""  # of a film that was colored as far as it decodes


def place(named: Callable[[str], Path], name: str) -> Path:
    """Where a report goes: to its name, or to another where a file lies that is not a report as we wrote it.

    So neither a file of the user's is replaced nor a report that somebody wrote notes into.
    named: the path for a name.
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
    return found is not None and _seal(content[: content.rfind(b"\n", 0, -1) + 1]) == found[1]


def _seal(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _sealed(content: bytes, before: bytes, behind: bytes) -> bytes:
    """Content and a last line by which it is known again."""
    return content + b"%bvidcolor-seal:%b%b\n" % (before, _seal(content), behind)


def is_shown(name: str, total: int | None) -> bool:
    """Whether a picture belongs to the gallery: a fixed choice by name, about GALLERY of `total` files."""
    share = 1.0 if not total else min(1.0, GALLERY / total)
    return int.from_bytes(hashlib.sha256(name.encode(errors="backslashreplace")).digest()[:4]) < share * 2**32


def write_json(path: Path, lines: Iterable[FileResult], facts: dict[str, object]) -> None:
    """Everything about every file. facts: about the run (input, output, model, seconds)."""
    listed = [asdict(line) for line in lines]
    counts = Counter(line["outcome"] for line in listed)
    whole = {
        "vidcolor": __version__,
        **facts,
        "counts": dict(counts),
        "damaged": sum(bool(line["damage"]) for line in listed),
        "files": listed,
    }
    content = json.dumps(whole, ensure_ascii=True, indent=1).removesuffix("\n}").encode() + b",\n"
    outputs.write(path, _sealed(content, b' "seal": "', b'"}'), overwrite=True)


def write_html(path: Path, lines: Sequence[FileResult], pairs: Iterable[Pair], facts: dict[str, object]) -> None:
    """The page."""
    counts = Counter(line.outcome for line in lines)
    told = [line for line in lines if line.outcome == "failed" or line.reason or line.notes]
    told.sort(key=lambda line: line.outcome != "failed")
    figures = "".join(f"<li><b>{counts[name]:,}</b> {name}</li>" for name in OUTCOMES if counts[name])
    if damaged := sum(bool(line.damage) for line in lines):
        figures += f"<li><b>{damaged:,}</b> of the films damaged</li>"
    details = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
    rows = "".join(map(_row, told[:MOST_ROWS])) or "<tr><td colspan=3>Nothing.</td></tr>"
    more = f"<p>and {len(told) - MOST_ROWS:,} more, see report.json</p>" if len(told) > MOST_ROWS else ""
    shown = gallery(list(pairs)) or "<p>None was colored.</p>"
    body = _BODY.format(figures=figures, details=details, rows=rows, more=more, gallery=shown)
    content = document("What vidcolor did", body).rstrip("\n").encode() + b"\n"
    outputs.write(path, _sealed(content, b"<!-- ", b" -->"), overwrite=True)


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
    """Small pictures of a run, kept beside the output, so that a run that goes on after a kill has them all."""

    def __init__(self, folder: Path, total: int | None):
        """folder: made with the first picture.  total: files of the run, where known.

        Raises SinkError for a link, through which nothing is written.
        """
        self._folder, self._total = folder, total
        if folder.is_symlink():
            raise SinkError(f"{folder}: is a link, and nothing is written through it. Remove it.")

    def wants(self, name: str) -> bool:
        """Whether a picture is to be shown."""
        return is_shown(name, self._total)

    def add(self, name: str, before: bytes, after: bytes) -> None:
        """Keep a picture."""
        with suppress(OSError):  # the page can do without it
            self._folder.mkdir(parents=True, exist_ok=True)
            for kind, jpeg in (("before", before), ("after", after)):
                partial = self._file(name, kind).with_suffix(".partial")
                outputs.create(partial)
                partial.write_bytes(jpeg)
                partial.replace(self._file(name, kind))

    def has(self, name: str) -> bool:
        """Whether both pictures are there, and whole: a power cut may leave empty ones."""
        return all(_is_whole(self._file(name, kind)) for kind in ("before", "after"))

    def pairs(self, names: Iterable[str]) -> list[Pair]:
        """Those that are kept, in the order of the names, no more than GALLERY."""
        found: list[Pair] = []
        for name in names:
            before, after = (self._file(name, kind) for kind in ("before", "after"))
            if len(found) < GALLERY and _is_whole(before) and _is_whole(after):
                found.append(Pair(name, before.read_bytes(), after.read_bytes()))
        return found

    def clear(self) -> None:
        """Delete them."""
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
