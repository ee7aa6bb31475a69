"""The whole job beside other colorizers' networks: a film in, a colored film out, in one run on one clip.

`python benchmarks/colorizers.py` times `vidcolor` with its own options, DeOldify's network at render factor 21 and
DDColor's large one at 512 pixels, both with random weights in eager torch, a frame at a time as their own scripts run
them, and stopped after some seconds. Needs `pip install 'vidcolor[models]'`. README.md says how to read it.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from films import MIB, SAMPLE, SAMPLE_GRAIN, Bench, Timing, run

HERE = Path(__file__).parent
OTHERS = {
    "DeOldify, render factor 21": ("deoldify", "21"),
    "DDColor, ConvNeXt-L, 512 px": ("ddcolor", "convnext-l", "512"),
    "DDColor, ConvNeXt-T, 512 px": ("ddcolor", "convnext-t", "512"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=480, help="height of the clip")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--stop", type=float, default=20.0, help="seconds after which the others are stopped")
    parser.add_argument("--json", action="store_true", help="every run's figures")
    asked = parser.parse_args()
    found: dict[str, list[Timing]] = {name: [] for name in ("vidcolor", *OTHERS)}
    with tempfile.TemporaryDirectory(prefix="vidcolor-bench-") as name:
        folder = Path(name)
        bench = Bench(SAMPLE, SAMPLE_GRAIN, "default", asked.seconds, asked.runs, folder)
        clip, facts = bench.clip(asked.rows)
        bench.vidcolor(clip, facts["frames"])  # prepares the network, once
        for _ in range(asked.runs):
            found["vidcolor"].append(bench.vidcolor(clip, facts["frames"]))
            for title, (contender, *settings) in OTHERS.items():
                command = [contender, clip, folder / "other.mp4", *settings, str(asked.stop)]
                found[title].append(run([sys.executable, HERE / "peers.py", *command]))
    if asked.json:
        print(
            json.dumps(
                {title: [vars(timing) | {"fps": timing.fps} for timing in runs] for title, runs in found.items()}
            )
        )
        return
    print(f"{facts['size']}, {facts['frames']} frames, {asked.runs} runs\n")
    print("| | fps, steady | vidcolor over it | peak MiB |\n| --- | ---: | ---: | ---: |")
    for title, runs in found.items():
        ratios = [ours.steady_fps / other.steady_fps for ours, other in zip(found["vidcolor"], runs, strict=True)]
        speed, memory = median(run.steady_fps for run in runs), median(run.peak_bytes for run in runs)
        print(f"| {title} | {speed:.2f} | {median(ratios):.0f} | {memory / MIB:.0f} |")


if __name__ == "__main__":
    main()
