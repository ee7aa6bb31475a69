"""Speed and memory of a published colorizer: `vidcolor` beside its own way, a frame at a time in eager torch.

`python benchmarks/published.py` makes DDColor's smallest network with random weights, whose colors mean nothing and
whose work is that of the trained one; needs `pip install 'vidcolor[models]'`. README.md says how to read it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from films import MIB, SAMPLE, SAMPLE_GRAIN, Bench, Timing, run

HERE = Path(__file__).parent
EAGER_SECONDS = 20.0
MAKE_WEIGHTS = """
import sys, torch
from peers import make_ddcolor
torch.save(make_ddcolor("convnext-t").state_dict(), sys.argv[1])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=480, help="height of the clip")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip")
    parser.add_argument("--side", type=int, default=512, help="short side that the network looks at")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--eager-seconds", type=float, default=EAGER_SECONDS, help="when the eager loop is stopped")
    parser.add_argument("--json", action="store_true", help="every run's figures")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vidcolor-bench-") as name:
        folder = Path(name)
        weights = folder / "ddcolor_tiny.pth"
        subprocess.run([sys.executable, "-c", MAKE_WEIGHTS, weights], check=True, cwd=HERE)
        bench = Bench(SAMPLE, SAMPLE_GRAIN, str(weights), asked.seconds, asked.runs, folder)
        clip, facts = bench.clip(asked.rows)
        size = ["--size", str(asked.side)]
        bench.vidcolor(clip, facts["frames"], *size, "--every", "auto")  # converts and measures, once for each model
        found: dict[str, list[Timing]] = {"eager": [], "every frame": [], "auto": []}
        for _ in range(asked.runs):
            eager = ["eager", clip, folder / "eager.mp4", weights, str(asked.side), str(asked.eager_seconds)]
            found["eager"].append(run([sys.executable, HERE / "peers.py", *eager]))
            found["every frame"].append(
                bench.vidcolor(clip, min(facts["frames"], 48), *size, "--every", "1", "--end", "2")
            )
            found["auto"].append(bench.vidcolor(clip, facts["frames"], *size))
    if asked.json:
        print(
            json.dumps({name: [vars(timing) | {"fps": timing.fps} for timing in runs] for name, runs in found.items()})
        )
        return
    print(f"{facts['size']}, {facts['frames']} frames, the network at {asked.side} px\n")
    print("| | fps, steady | of eager | peak MiB |\n| --- | ---: | ---: | ---: |")
    for contender, runs in found.items():
        ratios = [ours.steady_fps / eager.steady_fps for ours, eager in zip(runs, found["eager"], strict=True)]
        speed, memory = median(run.steady_fps for run in runs), median(run.peak_bytes for run in runs)
        print(f"| {contender} | {speed:.2f} | {median(ratios):.2f} | {memory / MIB:.0f} |")


if __name__ == "__main__":
    main()
