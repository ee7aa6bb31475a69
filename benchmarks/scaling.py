"""Measure the speed of several devices, and check that they make the same colors.

`python benchmarks/scaling.py FILM` colors a film's frames, without writing them, first on one core or GPU and then on
several: `--devices cpu,cpu` (a core for each replica), `--devices cuda:0,cuda:1`. It prints a Markdown table: frames
per second of the whole path up to the encoder and of the network alone, and both as a share of ideal scaling.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from films import machine

from vidcolor.films.pipeline import colored_frames
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.source import FilmSource
from vidcolor.overlap import prefetch
from vidcolor.steady import Steadiness

ROUNDS = 3
NETWORK_BATCHES = 12


def measure(film: Path, devices: str, frames: int) -> dict[str, Any]:
    """Frames a second of both, and what the colors were."""
    digest = hashlib.sha256()
    with Colorizer.load(device=devices) as colorizer, FilmSource(film) as source:
        for _ in islice(colored_frames(source.frames(), source.info, colorizer, Steadiness()), 2):
            pass  # makes the networks ready
        began, count = time.perf_counter(), 0
        wanted = islice(source.frames(), frames)
        for colored in colored_frames(wanted, source.info, colorizer, Steadiness(), prefetch):
            digest.update(colored.cb.tobytes() + colored.cr.tobytes())
            count += 1
        whole = count / (time.perf_counter() - began)
        lightness = [np.full((192, 352), 50, np.float32)] * colorizer.batch_size
        colorizer.predict(lightness)
        began = time.perf_counter()
        for _ in range(NETWORK_BATCHES):
            colorizer.predict(lightness)
        network = NETWORK_BATCHES * len(lightness) / (time.perf_counter() - began)
    return {"whole": whole, "network": network, "colors": digest.hexdigest()}


def apart(film: Path, devices: str, frames: int, cores: set[int]) -> dict[str, Any]:
    """The same in a process of its own, which keeps to these cores; none: to all."""
    command = [sys.executable, __file__, str(film), "--devices", devices, "--frames", str(frames), "--measure"]
    keep = (lambda: os.sched_setaffinity(0, cores)) if cores else None
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, preexec_fn=keep)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--devices", default="cpu,cpu")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.film, asked.devices, asked.frames)))
        return
    names = asked.devices.split(",")
    cores = sorted(os.sched_getaffinity(0))
    rows: list[dict[str, list[float]]] = [{"whole": [], "network": []} for _ in names]
    colors = set()
    for _ in range(ROUNDS):
        for count, row in enumerate(rows, start=1):
            kept = set(cores[:count]) if names[0] == "cpu" else set()
            found = apart(asked.film, ",".join(names[:count]), asked.frames, kept)
            colors.add(found["colors"])
            for part, seen in row.items():
                seen.append(found[part])
    print(f"- Machine: {machine()['cpu']}, {len(cores)} cores")
    print(f"- Colors: {'the same' if len(colors) == 1 else 'DIFFER'}\n")
    print("| devices | frames/s, decoding to painting | of ideal | frames/s, network alone | of ideal |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for count, row in enumerate(rows, start=1):
        cells = []
        for part, seen in row.items():
            share = median(many / one for many, one in zip(seen, rows[0][part], strict=True)) / count
            cells.append(f"{median(seen):.1f} | {share:.2f}")
        print(f"| {','.join(names[:count])} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
