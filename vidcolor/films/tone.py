"""Whether a film is gray, toned or has colors of its own, judged by frames from all over it."""

from collections import Counter
from pathlib import Path

from vidcolor.media.seeking import looks, survey
from vidcolor.painting.tone import SHORT_SIDE, Tone, tone_of

LOOKS = 16  # frames looked at


SHOWS = 4.0  # 8-bit codes: a look with less contrast (black, a fade) says nothing of a film
THROUGHOUT = 0.9  # of the looks in color, at least, of a film that is in color


def film_tone(path: Path) -> Tone:
    """That of most of its frames; in color is what is so throughout, mixed what is so in part. Raises SourceError."""
    film = survey(path)
    shrink = SHORT_SIDE / min(film.width, film.height)
    size = max(1, round(film.width * shrink)), max(1, round(film.height * shrink))
    tones = Counter(tone_of(look) for look in looks(path, film, LOOKS, size) if look.std() > SHOWS)
    if tones["color"] and tones["color"] >= THROUGHOUT * tones.total():
        return "color"
    if tones["color"]:
        return "mixed"
    return next((tone for tone, count in tones.items() if 2 * count > tones.total()), "gray")
