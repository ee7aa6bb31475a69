"""Times in a film as people write them."""

import re

MOST_SECONDS = 10_000_000  # four months
_TIME = re.compile(r"(?:(?:([0-9]{1,9}):)?([0-9]{1,9}):)?([0-9]{1,9}(?:\.[0-9]{0,20})?)s?")


def parse_timecode(text: str) -> float:
    """Seconds ("90.5", "10s") or [H:]MM:SS[.fff] ("0:01:30.5") -> seconds. Raises ValueError, saying what is wrong."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("is no time; write seconds (90.5) or H:MM:SS (0:01:30.5).")
    hours, minutes, seconds = match.groups()
    found = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)
    if found > MOST_SECONDS:
        raise ValueError("is later than any film lasts.")
    return found
