"""How `vidcolor`'s work grows with a film's length and with its size: CPU time, and the line that fits it.

`python benchmarks/growth.py` prints two Markdown tables; README.md says how to read them.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import correlation, linear_regression, median

from films import MIB, SAMPLE, SAMPLE_GRAIN, Bench, Timing, rows_of, say

Points = list[tuple[float, Timing]]  # by what grows: frames, or megapixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=lambda text: [float(part) for part in text.split(",")], default="5,10,20,40")
    parser.add_argument("--rows", type=int, default=480, help="height of the clips that grow in length")
    parser.add_argument("--sizes", type=rows_of, default="240p,360p,480p,720p,1080p", help="of clips of 10 seconds")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="every run's figures instead of the tables")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vidcolor-benchmark-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        bench = Bench(SAMPLE, SAMPLE_GRAIN, "default", 10.0, asked.runs, Path(folder))
        by_frames: Points = []
        for seconds in asked.lengths:
            by_frames += measure(replace(bench, seconds=seconds), asked.rows, lambda frames, _: frames)
        by_size: Points = []
        for rows in asked.sizes:
            by_size += measure(bench, rows, lambda _, size: size)
    if asked.json:
        found = {"frames": by_frames, "megapixels": by_size}
        print(json.dumps({name: [(at, vars(timing)) for at, timing in points] for name, points in found.items()}))
        return
    print(table("frames", by_frames, [timing.cpu_seconds for _, timing in by_frames], "CPU-seconds of the command"))
    print(table("megapixels", by_size, [t.steady_cpu_seconds * 1e3 for _, t in by_size], "CPU-ms a frame, steady"))


def measure(bench: Bench, rows: int, place: Callable[[int, float], float]) -> Points:
    """Color the clip so many times. place: where on the curve it is, by its frames and megapixels."""
    clip, facts = bench.clip(rows)
    width, height = map(int, facts["size"].split("x"))
    bench.vidcolor(clip, facts["frames"])  # prepares the network for this size
    points = []
    for number in range(bench.runs):
        say(f"{facts['size']}, {facts['frames']} frames, run {number + 1} of {bench.runs}")
        points.append((place(facts["frames"], width * height / 1e6), bench.vidcolor(clip, facts["frames"])))
    return points


def table(what: str, points: Points, costs: list[float], title: str) -> str:
    """One row for each place on the curve, and the line through all runs."""
    places = [at for at, _ in points]
    line, fit = linear_regression(places, costs), correlation(places, costs) ** 2
    lines = [f"| {what} | {title} | the line there | peak MiB |", "| ---: | ---: | ---: | ---: |"]
    for at in dict.fromkeys(places):
        cost = median(each for place, each in zip(places, costs, strict=True) if place == at)
        peak = median(timing.peak_bytes for place, timing in points if place == at)
        lines.append(f"| {at:.4g} | {cost:.2f} | {line.intercept + line.slope * at:.2f} | {peak / MIB:.0f} |")
    lines += ["", f"The line: {line.intercept:.3g} + {line.slope:.3g} for each of the {what}; R² {fit:.4f}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
