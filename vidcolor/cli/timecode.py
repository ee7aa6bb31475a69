"""Times as people write and read them."""

import re
from typing import Any

import click

from vidcolor.cli.number_types import shortened
from vidcolor.cli.param_types import ParamType
from vidcolor.errors import UsageError

MOST_SECONDS = 10_000_000  # four months

_TIME = re.compile(r"(?:(?:([0-9]{1,9}):)?([0-9]{1,9}):)?([0-9]{1,9}(?:\.[0-9]{0,20})?)s?")


def duration(seconds: float) -> str:
    """H:MM:SS, or M:SS where that is enough."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Timecode(ParamType[float]):
    """Seconds, also as 10s, or [H:]MM:SS[.fff]."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Text -> seconds."""
        match = _TIME.fullmatch(str(value))
        if match is None:
            text = shortened(str(value))
            self.fail(f"{text} is no time; write seconds (90.5) or H:MM:SS (0:01:30.5).", param, ctx)
        hours, minutes, seconds = match.groups()
        found = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)
        if found > MOST_SECONDS:
            self.fail(f"{value!r} is later than any film lasts.", param, ctx)
        return found


def check_range(start: float | None, end: float | None) -> None:
    """Raise UsageError for a part of a film, in seconds, in which there is nothing."""
    if end is not None and end <= (start or 0.0):
        raise UsageError(f"--end {end:g} s is not after --start {start or 0:g} s; the part between is empty.")
