"""Turn color clips gray, color them again with every steadying method, and compare quality, steadiness and speed.

`python benchmarks/steady.py FILM...` prints a Markdown table for each film and one of their means. Warp errors and
drifts are measured along Farnebäck's flow; the filters use DIS. Drifts are ratios to those of per frame. Times are
CPU-milliseconds per frame of the network and the steadying, without decoding and painting. `--own-colors` uses the
film's own chroma, which may flicker, instead of the network's.
"""

import argparse
import tempfile
import time
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from vidcolor.choices import AveragingMode
from vidcolor.color import Floats, LumaCoding, chroma_levels, luma_table, rgb_to_lab
from vidcolor.evaluation.film_methods import FilmMethod, read_chroma
from vidcolor.evaluation.films import FilmScore, average_reports, evaluate_film
from vidcolor.films.pipeline import view_of
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, PictureFormat
from vidcolor.inference.colorizer import Colorizer, paint
from vidcolor.media.source import FilmSource
from vidcolor.steady.cuts import detect_cuts
from vidcolor.steady.palette import KEY_INTERVAL
from vidcolor.steady.propagation import propagate
from vidcolor.steady.shot import ShotSteadier, is_needless
from vidcolor.steady.smoothing import smooth

REMEMBERED = 256  # opinions, so that the network is asked once for all ways
EMA = 0.8  # share of the frame before in the foil
STRIDE = 4  # network pixels for one of a*b*
Predict = Callable[[Sequence[Floats]], list[Floats]]
Stage = Callable[[Iterable[Floats], Predict, int], Iterator[Floats]]  # L*, network, its batch -> a*b*


def opinions(lightness: Iterable[Floats], predict: Predict, batch: int) -> Iterator[tuple[Floats, Floats]]:
    frames = iter(lightness)
    while part := list(islice(frames, batch)):
        yield from zip(part, predict(part), strict=True)


def per_frame(lightness: Iterable[Floats], predict: Predict, batch: int) -> Iterator[Floats]:
    return (ab for _, ab in opinions(lightness, predict, batch))


def ema(lightness: Iterable[Floats], predict: Predict, batch: int) -> Iterator[Floats]:
    """Plain exponential average, begun anew at cuts."""
    asked: deque[Floats] = deque()

    def seen() -> Iterator[Floats]:
        for frame, ab in opinions(lightness, predict, batch):
            asked.append(ab)
            yield frame

    average = None
    for is_start in detect_cuts(seen()):
        ab = asked.popleft()
        average = ab if is_start or average is None else EMA * average + (1 - EMA) * ab
        yield average


def steadied(mode: AveragingMode) -> Stage:
    return lambda lightness, predict, batch: smooth(opinions(lightness, predict, batch), mode)


def by_keys(every: int | None) -> Stage:
    return lambda lightness, predict, _: propagate(lightness, predict, every)


def by_shot(colorizer: Colorizer) -> Stage:
    def color(lightness: Iterable[Floats], predict: Predict, batch: int) -> Iterator[Floats]:
        steadier = ShotSteadier(ask=lambda frame: predict([frame])[0])
        before, numbers = None, iter(range(10**9))
        frames = iter(lightness)
        while group := list(islice(frames, batch)):
            places = {place: next(numbers) for place in range(len(group))}
            pairs = zip(places.values(), [before, *group], group, strict=False)
            asked = [place for place, pair in enumerate(pairs) if not is_needless(*pair)]
            colors = dict(zip(asked, predict([group[place] for place in asked]), strict=True))
            for place, number in places.items():
                likeness = colorizer.listener.liken([group[place]])[0][1] if number % KEY_INTERVAL == 0 else None
                yield from steadier.push(group[place], colors.get(place), None, likeness)
            before = group[-1]
        yield from steadier.finish()

    return color


def make_stages(colorizer: Colorizer) -> dict[str, Stage]:
    return {
        "per frame": per_frame, f"EMA {EMA}": ema, "smooth": steadied("smooth"), "flow": steadied("flow"),
        "shot": by_shot(colorizer), "every 4": by_keys(4), "every 8": by_keys(8), "every auto": by_keys(None),
    }  # fmt: skip


class Opinions:
    """What the network, or the film itself, says of a frame; each frame is asked about once."""

    def __init__(self, colorizer: Colorizer, *, is_own: bool) -> None:
        self.colorizer, self._is_own = colorizer, is_own
        self._known: OrderedDict[int, Floats] = OrderedDict()

    def lightness(self, frame: Frame, info: FilmInfo) -> Floats:
        seen = self.colorizer.lightness(frame.luma, info.picture, view_of(info))
        if self._is_own:
            self._know(seen, own_colors(frame, info.picture, (seen.shape[0] // STRIDE, seen.shape[1] // STRIDE)))
        return seen

    def __call__(self, lightness: Sequence[Floats]) -> list[Floats]:
        return [self._of(frame) for frame in lightness]

    def _of(self, lightness_hw: Floats) -> Floats:
        known = self._known.get(zlib.crc32(lightness_hw))
        return self._know(lightness_hw, self.colorizer.predict([lightness_hw])[0]) if known is None else known

    def _know(self, lightness_hw: Floats, ab_2hw: Floats) -> Floats:
        self._known[zlib.crc32(lightness_hw)] = ab_2hw
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return ab_2hw


def own_colors(frame: Frame, picture: PictureFormat, size: tuple[int, int]) -> Floats:
    """a*b* (2, h, w) of the chroma that the film holds."""
    planes = [luma_table(picture.bits, picture.full_range)[frame.luma]]
    planes += [chroma_levels(plane, picture) for plane in read_chroma(frame, picture)]
    y, cb, cr = (cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA) for plane in planes)
    rgb = LumaCoding(picture.matrix, picture.transfer).ycc_to_rgb(y, cb, cr)
    _, a, b = rgb_to_lab(*(np.clip(plane, 0, 1) for plane in rgb))
    return np.stack([a, b]).astype(np.float32)


def way(stage: Stage, opinions_of: Opinions) -> FilmMethod:
    """A stage between the decoder and the painter."""

    def color(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
        waiting: deque[Frame] = deque()

        def lightness() -> Iterator[Floats]:
            for frame in frames:
                waiting.append(frame)
                yield opinions_of.lightness(frame, info)

        for ab in stage(lightness(), opinions_of, 1):
            frame = waiting.popleft()
            yield ColoredFrame(frame, *paint(frame.luma, ab, info.picture, view_of(info)))

    return color


def costs(film: Path, opinions_of: Opinions, stages: dict[str, Stage]) -> dict[str, tuple[float, float]]:
    """For each stage the CPU-milliseconds a frame, and the share of frames that the network is asked about."""
    colorizer = opinions_of.colorizer
    with FilmSource(film) as source:
        lightness = [opinions_of.lightness(frame, source.info) for frame in islice(source.frames(), REMEMBERED)]
    found = {}
    for name, stage in stages.items():
        asked = 0

        def predict(frames: Sequence[Floats]) -> list[Floats]:
            nonlocal asked
            asked += len(frames)
            return colorizer.predict(frames)

        began = time.process_time()
        for _ in stage(lightness, predict, colorizer.batch_size):
            pass
        found[name] = 1000 * (time.process_time() - began) / len(lightness), asked / len(lightness)
    return found


def beginning(film: Path, frames: int, folder: Path) -> Path:
    """A copy of the film's first packets of pictures."""
    short = folder / f"{film.stem}.mkv"
    with av.open(str(film)) as source, av.open(str(short), "w") as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        for packet in islice((packet for packet in source.demux(stream) if packet.size), frames):
            packet.stream = copy
            sink.mux(packet)
    return short


def table(title: str, scores: list[FilmScore], cost: dict[str, tuple[float, float]]) -> str:
    base = next(score for score in scores if score.name == "per frame")
    lines = [
        f"\n**{title}**, {base.frames} frames, {base.cuts} cuts\n",
        "| way | PSNR | dE00 | colorfulness | CDC | warp error, 1e-3 | chroma warp error | of per frame's | drift 12"
        " | 24 | 48 | asked | CPU-ms |",
        f"|{' --- |' * 13}",
    ]
    for score in scores:
        milliseconds, asked = cost.get(score.name, (0.0, 0.0))
        lines.append(
            f"| {score.name} | {score.psnr:.2f} | {score.de00:.2f} | {score.colorfulness:.1f} | {score.cdc:.4f} |"
            f" {1000 * score.warp_error:.3f} | {score.chroma_warp_error:.2f} |"
            f" {score.chroma_warp_error / base.chroma_warp_error:.2f} | {score.drift_12 / base.drift_12:.2f} |"
            f" {score.drift_24 / base.drift_24:.2f} | {score.drift_48 / base.drift_48:.2f} |"
            + (f" {asked:.0%} | {milliseconds:.1f} |" if milliseconds else " | |")
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--limit", type=int, help="frames of each film")
    parser.add_argument("--own-colors", action="store_true")
    options = parser.parse_args()
    reports, spent = [], []
    with (
        Colorizer.load(options.model, device=options.device) as colorizer,
        tempfile.TemporaryDirectory() as folder,
    ):
        stages = make_stages(colorizer)
        colorizer.predict([np.full((192, 352), 50, np.float32)])
        for film in options.films:
            short = beginning(film, options.limit, Path(folder)) if options.limit else film
            opinions_of = Opinions(colorizer, is_own=options.own_colors)
            spent.append(costs(short, opinions_of, stages))
            reports.append(evaluate_film(short, {name: way(stage, opinions_of) for name, stage in stages.items()}))
            print(table(film.name, reports[-1].scores, spent[-1]), flush=True)
    if len(reports) > 1:
        mean = {name: tuple(np.mean([cost[name] for cost in spent], axis=0)) for name in stages}
        print(table("mean", average_reports(reports), mean))


if __name__ == "__main__":
    main()
