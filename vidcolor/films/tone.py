"""Whether a film is gray, toned or in color, judged by frames from all over it."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from vidcolor.media.seeking import frames_at, read_properties, sample_frames, sample_keyframes
from vidcolor.painting.tone import SHORT_SIDE, Tone, tone_of
from vidcolor.stills.rgb import Rgb

SAMPLED_FRAMES = 16
FEW_KEYFRAMES = 4
LATER = 12, 24, 36  # frames after a keyframe, where there are few: soon decoded
LEAST_CONTRAST = 4.0  # standard deviation in 8-bit codes: a frame with less (black, a fade) says nothing of a film
THROUGHOUT = 0.9  # share of frames in color, at least, of a film that is in color


def film_tone(path: Path) -> Tone:
    """The tone of most frames; "color" for a film in color throughout, "mixed" for one in part. Raises SourceError."""
    film = read_properties(path)
    shrink = SHORT_SIDE / min(film.width, film.height)
    size = max(1, round(film.width * shrink)), max(1, round(film.height * shrink))
    keyframes = list(sample_keyframes(path, film, SAMPLED_FRAMES, size))
    tones = _count_tones(picture for _, picture in keyframes)
    if len(keyframes) < FEW_KEYFRAMES and not tones["color"]:  # they may all be titles
        wanted = sorted({(number + later,) * 2 for number, _ in keyframes for later in LATER})
        tones += _count_tones(found[1] for found in frames_at(path, wanted, film, size) if found is not None)
    if not tones or tones["color"]:  # a film that may be copied is looked at more closely
        tones = _count_tones(sample_frames(path, film, SAMPLED_FRAMES, size))
    if tones["color"] and tones["color"] >= THROUGHOUT * tones.total():
        return "color"
    if tones["color"]:
        return "mixed"
    return next((tone for tone, count in tones.items() if 2 * count > tones.total()), "gray")


def _count_tones(pictures: Iterable[Rgb]) -> Counter[Tone]:
    return Counter(tone_of(picture) for picture in pictures if picture.std() > LEAST_CONTRAST)
