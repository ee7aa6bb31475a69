"""Times as people write and read them."""

import re
from typing import Any

import click

from vidcolor.cli.names import ParamType


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
        match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)s?", str(value))
        if match is None:
            self.fail(f"{value!r} is no time; write seconds (90.5) or H:MM:SS (0:01:30.5).", param, ctx)
        hours, minutes, seconds = match.groups()
        return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)
