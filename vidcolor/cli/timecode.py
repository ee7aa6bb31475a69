"""Times as options and in messages."""

from typing import Any

import click

from vidcolor.cli.number_types import shorten
from vidcolor.cli.param_types import ParamType
from vidcolor.errors import UsageError
from vidcolor.timecode import parse_timecode


def format_duration(seconds: float) -> str:
    """Format seconds as H:MM:SS, or M:SS below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Timecode(ParamType[float]):
    """Seconds, also as 10s, or [H:]MM:SS[.fff]."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Text -> seconds."""
        try:
            return parse_timecode(str(value))
        except ValueError as error:
            self.fail(f"{shorten(str(value))} {error}", param, ctx)


def check_range(start: float | None, end: float | None) -> None:
    """Raise UsageError for an empty range of a film, in seconds."""
    if end is not None and end <= (start or 0.0):
        raise UsageError(f"--end {end:g} s is not after --start {start or 0:g} s; the part between is empty.")
