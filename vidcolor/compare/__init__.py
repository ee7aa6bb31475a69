"""Films, photos and folders of them, before and after, on one page.

A film is shown by its shots' first frames and a short clip, a photo by itself. The page has a size that it keeps to:
pictures shrink, then there are fewer of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidcolor.compare.films import film_pairs
from vidcolor.compare.matches import Match, Matches, match
from vidcolor.compare.pictures import LEAST_BYTES, bytes_of, pair_of
from vidcolor.compare.settings import Settings
from vidcolor.errors import SourceError
from vidcolor.page import Pair, document, gallery, safe
from vidcolor.stills.display import read_photo

__all__ = ["Comparison", "Match", "Matches", "Settings", "compare", "match"]

MOST_NAMED = 200  # files left out that the page names
TEXT_BYTES = 200_000  # of the page that are no pictures, about


@dataclass(frozen=True)
class Comparison:
    """The page, and what could not be shown on it, one sentence each."""

    html: str
    shown: int  # files
    problems: tuple[str, ...]


def compare(
    before: Path, after: Path, matches: Matches, settings: Settings, tell: Callable[[int, int | None], None]
) -> Comparison:
    """Read what matches and make the page. tell: how many files are done, of how many.

    Raises SourceError where not one can be shown.
    """
    room = settings.megabytes * 1e6 * 3 / 4 - TEXT_BYTES  # base64 makes four bytes of three
    chosen = _spread(matches.found, min(settings.pairs, max(1, int(room / LEAST_BYTES))))
    sections: list[tuple[str, list[Pair]]] = []  # heading, pictures
    photos: list[Pair] = []
    problems: list[str] = []
    shown = 0
    weights = [1 if one.kind == "photo" else settings.shots + 6 for one in chosen]
    for number, one in enumerate(chosen):
        share = int(room * weights[number] / sum(weights[number:]))
        try:
            pairs = (
                [_photo(one, settings, share)] if one.kind == "photo" else film_pairs(one, settings, share, problems)
            )
        except SourceError as error:
            problems.append(str(error))
            continue
        while pairs and sum(map(bytes_of, pairs)) > room:  # pure noise may not shrink enough
            pairs.pop()
        room -= sum(map(bytes_of, pairs))
        shown += bool(pairs)
        if one.kind == "photo":
            photos += pairs
        else:
            sections.append((one.name if len(matches.found) > 1 else "", pairs))
        tell(number + 1, len(chosen))
    if photos:
        sections.append(("Photos" if sections else "", photos))
    if not shown:
        raise SourceError(" ".join(problems) or f"{before}: not one picture fits; allow for a larger page.")
    names = [path.name if before.name != after.name else path for path in (before, after)]
    said = f"<p class=soft>{safe(names[0])} and {safe(names[1])}{_counted(shown, matches)}</p>"
    pictures = "".join(f"{heading and f'<h2>{safe(heading)}</h2>'}{gallery(pairs)}" for heading, pairs in sections)
    html = document("Before and after", said + pictures + _left_out(matches, problems))
    return Comparison(html, shown, tuple(problems))


def _spread(found: Sequence[Match], most: int) -> list[Match]:
    return [found[len(found) * place // most] for place in range(most)] if len(found) > most else list(found)


def _counted(shown: int, matches: Matches) -> str:
    total = len(matches.found)
    if total == 1:
        return ""
    return f": all {total} pairs" if shown == total else f": {shown:,} of {total:,} pairs, from all over"


def _left_out(matches: Matches, problems: Sequence[str]) -> str:
    lists = (
        (matches.only_before, "only before"), (matches.only_after, "only after"), (problems, "could not be shown"),
    )  # fmt: skip
    return "".join(
        f"<details><summary class=soft>{len(names):,} {what}</summary><ul>"
        + "".join(f"<li>{safe(name)}</li>" for name in names[:MOST_NAMED])
        + (f"<li>and {len(names) - MOST_NAMED:,} more</li>" if len(names) > MOST_NAMED else "")
        + "</ul></details>"
        for names, what in lists
        if names
    )


def _photo(one: Match, settings: Settings, room: int) -> Pair:
    before, after = (read_photo(path, settings.side) for path in (one.before, one.after))
    return pair_of(one.name, before, after, settings.side, room)
