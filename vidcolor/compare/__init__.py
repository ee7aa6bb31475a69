"""Films, photos and folders of them, before and after, on one page.

A film is shown by the first frames of its shots and a short clip. The page keeps to a size limit: pictures shrink, then
there are fewer of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidcolor.compare.films import film_pairs
from vidcolor.compare.matches import Match, Matches, match
from vidcolor.compare.pictures import LEAST_BYTES, byte_count, make_pair
from vidcolor.compare.settings import Settings
from vidcolor.counts import counted
from vidcolor.errors import SourceError
from vidcolor.page import Pair, document, escape, gallery
from vidcolor.stills.display import read_photo

__all__ = ["Comparison", "Match", "Matches", "Settings", "compare", "match"]

MOST_NAMED = 200  # files left out that the page names
TEXT_BYTES = 200_000  # of the page beside its pictures, about


@dataclass(frozen=True)
class Comparison:
    """The page, and the problems with what could not be shown, one sentence each."""

    html: str
    shown: int  # files
    problems: tuple[str, ...]


def compare(
    before: Path, after: Path, matches: Matches, settings: Settings, on_progress: Callable[[int, int | None], None]
) -> Comparison:
    """Read the files that match and make the page. on_progress: called with how many files are done, of how many.

    Raises SourceError where no file can be shown.
    """
    budget = settings.megabytes * 1e6 * 3 / 4 - TEXT_BYTES  # base64 makes four bytes of three
    chosen = _choose_evenly(matches.found, min(settings.pairs, max(1, int(budget / LEAST_BYTES))))
    sections: list[tuple[str, list[Pair]]] = []  # heading, pictures
    photos: list[Pair] = []
    problems: list[str] = []
    shown = 0
    weights = [1 if files.kind == "photo" else settings.shots + 6 for files in chosen]
    for number, files in enumerate(chosen):
        share = int(budget * weights[number] / sum(weights[number:]))
        try:
            pairs = (
                [_photo_pair(files, settings, share)]
                if files.kind == "photo"
                else film_pairs(files, settings, share, problems)
            )
        except SourceError as error:
            problems.append(str(error))
            continue
        while pairs and sum(map(byte_count, pairs)) > budget:  # pure noise may not shrink enough
            pairs.pop()
        budget -= sum(map(byte_count, pairs))
        shown += bool(pairs)
        if files.kind == "photo":
            photos += pairs
        else:
            sections.append((files.name if len(matches.found) > 1 else "", pairs))
        on_progress(number + 1, len(chosen))
    if photos:
        sections.append(("Photos" if sections else "", photos))
    if not shown:
        raise SourceError(" ".join(problems) or f"{before}: not one picture fits; allow for a larger page.")
    names = [path.name if before.name != after.name else path for path in (before, after)]
    heading_line = f"<p class=soft>{escape(names[0])} and {escape(names[1])}{_count_text(shown, matches)}</p>"
    pictures = "".join(f"{heading and f'<h2>{escape(heading)}</h2>'}{gallery(pairs)}" for heading, pairs in sections)
    html = document("Before and after", heading_line + pictures + _left_out_html(matches, problems))
    return Comparison(html, shown, tuple(problems))


def _choose_evenly(found: Sequence[Match], most: int) -> list[Match]:
    return [found[len(found) * place // most] for place in range(most)] if len(found) > most else list(found)


def _count_text(shown: int, matches: Matches) -> str:
    total = len(matches.found)
    if total == 1:
        return ""
    return f": all {counted(total, 'pair')}" if shown == total else f": {shown:,} of {total:,} pairs, from all over"


def _left_out_html(matches: Matches, problems: Sequence[str]) -> str:
    lists = (
        (matches.only_before, "only before"), (matches.only_after, "only after"), (problems, "could not be shown"),
    )  # fmt: skip
    return "".join(
        f"<details><summary class=soft>{len(names):,} {what}</summary><ul>"
        + "".join(f"<li>{escape(name)}</li>" for name in names[:MOST_NAMED])
        + (f"<li>and {len(names) - MOST_NAMED:,} more</li>" if len(names) > MOST_NAMED else "")
        + "</ul></details>"
        for names, what in lists
        if names
    )


def _photo_pair(files: Match, settings: Settings, budget: int) -> Pair:
    before, after = (read_photo(path, settings.side) for path in (files.before, files.after))
    return make_pair(files.name, before, after, settings.side, budget)
