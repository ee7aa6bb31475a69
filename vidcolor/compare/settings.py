"""What the page of a comparison shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits of the page."""

    pairs: int = 60  # files at most
    shots: int = 12  # of each film at most
    side: int = 1600  # pixels, long side of a picture at most
    clip_seconds: float = 4.0  # of each film; 0: no clip
    at: float | None = None  # seconds, where the clip begins; None: with the longest shot
    megabytes: float = 25.0  # of the page at most
