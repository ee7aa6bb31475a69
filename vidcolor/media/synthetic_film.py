"""A short film made on the spot, to try the whole tool on, and a comparison of it with its colored copy."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from vidcolor.frames import Frame, Plane
from vidcolor.media.pyav import open_input, open_output
from vidcolor.media.source import FilmSource

_TIME_BASE = Fraction(1, 1000)  # Matroska's
_STEPS = (40, 40, 80, 20)  # milliseconds from frame to frame: a rate that varies
_SOUND_RATE = 8000
LEAST_SPREAD = 4  # of a frame's chroma, in 8-bit codes; a gray picture has none


def make_film(path: Path, lumas: Sequence[Plane]) -> None:
    """Write a lossless gray film with a tone for sound, as Matroska. lumas: (H, W) uint8, even sides."""
    height, width = lumas[0].shape
    with open_output(path, format="matroska") as out:
        picture = out.add_stream("ffv1", rate=25)
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.codec_context.time_base = _TIME_BASE
        sound = out.add_stream("pcm_s16le", rate=_SOUND_RATE, layout="mono")
        pts = 0
        for number, luma in enumerate(lumas):
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            planes[:height] = luma
            frame = VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = pts, _TIME_BASE
            out.mux(picture.encode(frame))
            pts += _STEPS[number % len(_STEPS)]
        out.mux(picture.encode(None))
        count = pts * _SOUND_RATE // 1000
        tone = 6000 * np.sin(np.arange(count) * (2 * np.pi * 440 / _SOUND_RATE))
        samples = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], "s16", "mono")
        samples.rate, samples.pts = _SOUND_RATE, 0
        out.mux(sound.encode(samples))
        out.mux(sound.encode(None))


def differences(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    """Compare frames, times, luma and sound of two films, and look for color in the second.

    Gives five pairs: what was compared, and what is wrong with it, empty where nothing is.  Raises SourceError.
    """
    extra = shifted = changed = gray = 0
    with FilmSource(before) as one, FilmSource(after) as other:
        for mine, theirs in zip_longest(one.frames(), other.frames()):
            if mine is None or theirs is None:
                extra += 1
                continue
            shifted += _time(mine, one) != _time(theirs, other)
            changed += not np.array_equal(mine.luma, theirs.luma)
            gray += _chroma_spread(theirs) < LEAST_SPREAD
    yield "frames", f"{extra} more in one than in the other" if extra else ""
    yield "timestamps", f"{shifted} frames at another time" if shifted else ""
    yield "luma", f"changed in {changed} frames" if changed else ""
    yield "sound", "" if _audio_packets(before) == _audio_packets(after) else "not the same packets"
    yield "color", f"none in {gray} frames" if gray else ""


def _time(frame: Frame, film: FilmSource) -> Fraction | None:
    return None if frame.pts is None else frame.pts * film.info.time_base


def _chroma_spread(frame: Frame) -> int:
    """Difference of the largest and smallest chroma code, in 8 bits and 4:2:0."""
    planes = frame.native.to_ndarray(format="yuv420p")
    return int(np.ptp(planes[frame.native.height :]))


def _audio_packets(path: Path) -> list[tuple[Fraction | None, bytes]]:
    with open_input(path) as film:
        return [
            (None if packet.pts is None else packet.pts * packet.time_base, bytes(packet))
            for packet in film.demux(audio=0)
            if packet.size
        ]
