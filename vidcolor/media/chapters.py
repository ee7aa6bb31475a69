"""Chapters of the source, cut to the range that is written and put on the output's clock."""

from __future__ import annotations  # Chapter is for type checkers only

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from vidcolor.media.pyav import fraction_of, text_of

if TYPE_CHECKING:
    from av.container.core import Chapter  # lives in the type stubs alone


def cut_chapters(
    chapters: list[Chapter], start: Fraction | None, end: Fraction | None, shift_seconds: Fraction
) -> list[Chapter]:
    """The chapters within a range of the source's clock, in seconds; `shift_seconds` of it is zero in the output."""
    kept = []
    for chapter in chapters:
        base = fraction_of(chapter["time_base"]) or Fraction(1, 1000)
        first = chapter["start"] if start is None else max(chapter["start"], math.floor(start / base))
        last = chapter["end"] if end is None else min(chapter["end"], math.ceil(end / base))
        if first < last or (start is None and end is None):
            shift = math.floor(shift_seconds / base)
            cut = chapter.copy()
            cut["start"], cut["end"] = first - shift, last - shift
            kept.append(cut)
    return kept


def chapter_in_seconds(chapter: Chapter) -> tuple[Fraction, Fraction, str]:
    """Start and end in seconds, and the title."""
    base = fraction_of(chapter["time_base"]) or Fraction(1, 1000)
    return chapter["start"] * base, chapter["end"] * base, text_of(chapter["metadata"].get("title", ""))
