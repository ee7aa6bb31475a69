"""Make the film for the timings: a real one, enlarged and looped, with grain and sound; always the same bytes.

Run by films.py: `python clip.py SOURCE OUT WIDTH HEIGHT SECONDS GRAIN`; prints one JSON object about the clip.
"""

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.filter import Graph
from av.video.frame import VideoFrame

RATE = 24  # frames a second


def make(source: Path, target: Path, size: tuple[int, int], count: int, grain: int) -> None:
    """Write `count` frames as H.264 (CRF 18, veryfast), and sound as long as they last as AAC, into an MP4."""
    with av.open(target, "w") as output:
        picture = output.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "veryfast"})
        picture.width, picture.height = size
        picture.pix_fmt = "yuv420p"
        picture.codec_context.thread_type = "FRAME"
        picture.codec_context.thread_count = 2  # a fixed number: x264's bytes depend on it
        sound_rate = rate_of_sound(source)
        sound = output.add_stream("aac", rate=sound_rate) if sound_rate else None
        samples, played = endless_sound(source), 0
        for index, frame in enumerate(islice(pictures(source, size, grain), count)):
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            output.mux(picture.encode(frame))
            while sound and played * RATE < (index + 1) * sound_rate:
                heard = next(samples)
                heard.pts, heard.time_base = played, Fraction(1, sound_rate)
                output.mux(sound.encode(heard))
                played += heard.samples
        output.mux(picture.encode(None))
        if sound:
            output.mux(sound.encode(None))


def rate_of_sound(source: Path) -> int:
    """Samples a second; 0 for a silent film."""
    with av.open(source) as film:
        return film.streams.audio[0].rate if film.streams.audio else 0


def endless_sound(source: Path) -> Iterator[AudioFrame]:
    """The source's sound over and over."""
    while True:
        with av.open(source) as film:
            yield from film.decode(audio=0)


def pictures(source: Path, size: tuple[int, int], grain: int) -> Iterator[VideoFrame]:
    """The source's frames over and over, filling `size`, under grain that differs from frame to frame.

    Grain is uniform noise in luma, `grain` code values from end to end, of a fixed seed.
    """
    width, height = size
    graph = Graph()
    index = 0
    while True:
        with av.open(source) as film:
            if not index:
                graph.link_nodes(
                    graph.add_buffer(template=film.streams.video[0], time_base=Fraction(1, RATE)),
                    graph.add("scale", f"{width}:{height}:force_original_aspect_ratio=increase:flags=bicubic"),
                    graph.add("crop", f"{width}:{height}"),
                    graph.add("setsar", "1"),
                    graph.add("format", "yuv420p"),
                    graph.add("noise", f"c0_strength={grain}:c0_flags=t:all_seed=1"),
                    graph.add("buffersink"),
                ).configure()
            for frame in film.decode(video=0):
                frame.pts, frame.time_base = index, Fraction(1, RATE)
                graph.vpush(frame)
                yield graph.vpull()
                index += 1


def main(source: str, target: str, width: str, height: str, seconds: str, grain: str) -> None:
    frames, path = max(1, round(float(seconds) * RATE)), Path(target)
    make(Path(source), path, (int(width), int(height)), frames, int(grain))
    megabits = path.stat().st_size * 8e-6 * RATE / frames
    print(json.dumps({"frames": frames, "rate": RATE, "megabits_per_second": round(megabits, 2)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
