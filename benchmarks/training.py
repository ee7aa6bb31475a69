"""How many crops a second `vidcolor train` learns from, and where the time goes: the same run with parts left out.

`python benchmarks/training.py PHOTOS...` prints a Markdown table; README.md says how to read it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from vidcolor.training.recipes import NO_AGING

STEPS, BATCH = 100, 16  # the second half of the steps is timed
NO_PERCEPTION = ("perceptual_weight=0", "perceptual_finer=0")
FROZEN = 'stages=[{"crop": 128, "share": 1.0, "frozen_blocks": 99}]'
SMALL = 'stages=[{"crop": 96, "share": 1.0, "frozen_blocks": 99}]'
WITHOUT_AGING = f"aging={json.dumps(asdict(NO_AGING))}"
VARIANTS: dict[str, tuple[str, ...]] = {
    "recipe `fine-tune`": (),
    "without aging": (WITHOUT_AGING,),
    "without second views": ("consistency=0",),
    "without perceptual terms": NO_PERCEPTION,
    "without them, encoder frozen": (*NO_PERCEPTION, FROZEN),
    "without them, encoder frozen, crops of 96": (*NO_PERCEPTION, SMALL),
}


def measure(photos: list[Path], fields: tuple[str, ...], threads: int, preload: str) -> float:
    """Crops a second in the second half of a short run.  preload: a library for LD_PRELOAD, or an empty text."""
    with tempfile.TemporaryDirectory(prefix="vidcolor-benchmark-") as folder:
        command = [sys.executable, "-m", "vidcolor", "train", *photos, "--init", "default", "--json", "--overwrite"]
        command += ["-o", f"{folder}/model.safetensors", "--run-folder", f"{folder}/run", "--steps", str(STEPS)]
        command += [
            "--batch-size",
            str(BATCH),
            "--threads",
            str(threads),
            *(part for value in fields for part in ("--set", value)),
        ]
        env = os.environ | {"OMP_NUM_THREADS": str(threads)} | ({"LD_PRELOAD": preload} if preload else {})
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, env=env)
        events = [json.loads(line) for line in Path(folder, "run", "log.jsonl").read_text().splitlines()]
    first, last = [event for event in events if event["event"] == "steps"][-2:]
    return float((last["images"] - first["images"]) / (last["time"] - first["time"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--preload", default="", help="a memory allocator to try, such as libtcmalloc_minimal.so.4")
    asked = parser.parse_args()
    print("| | crops a second | milliseconds a crop |\n| --- | ---: | ---: |")
    runs = {title: (fields, "") for title, fields in VARIANTS.items()}
    if asked.preload:
        runs[f"recipe `fine-tune`, {Path(asked.preload).name}"] = ((), asked.preload)
    for title, (fields, preload) in runs.items():
        rate = measure(asked.photos, fields, asked.threads, preload)
        print(f"| {title} | {rate:.1f} | {1000 / rate:.1f} |", flush=True)


if __name__ == "__main__":
    main()
