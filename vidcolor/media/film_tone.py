"""Whether a film is grey, toned or has colours of its own, judged by frames from all over it."""

from collections import Counter
from pathlib import Path

from vidcolor.media.frames_at import looks, survey
from vidcolor.tone import SHORT_SIDE, Tone, tone_of

LOOKS = 12  # frames looked at


def film_tone(path: Path) -> Tone:
    """The tone of most of its frames; "grey" where they disagree, so that it is coloured. Raises SourceError."""
    film = survey(path)
    shrink = SHORT_SIDE / min(film.width, film.height)
    size = max(1, round(film.width * shrink)), max(1, round(film.height * shrink))
    tones = Counter(map(tone_of, looks(path, film, LOOKS, size)))
    return next((tone for tone, count in tones.items() if 2 * count > tones.total()), "grey")
