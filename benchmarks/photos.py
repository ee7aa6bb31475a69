"""Speed and memory of `vidcolor` on a folder of photos, beside Pillow decoding and re-encoding them alone, in one run.

`python benchmarks/photos.py` prints a Markdown table; README.md beside it says how to read it.
As in films.py, every program runs in its own process, and this process stays small on purpose.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from films import MIB, cell, cpu_seconds, machine, say, spread, steady, versions

from vidcolor.inference import weights

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "samples" / "photos"
GRAIN = 4.0  # code values; an enlarged photo without is too smooth and too cheap to code
QUALITY = 90


@dataclass
class Timing:
    """One run of one contender."""

    photos: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    steady_photos_a_second: float  # in the middle of the run
    steady_cpu_seconds: float  # a photo, likewise


def make(folder: str, count: str, width: str, height: str, stored: str) -> None:
    """Gray JPEG files: the sample photos, enlarged under grain of a fixed seed."""
    import cv2
    import numpy as np
    from PIL import Image

    size, random = (int(width), int(height)), np.random.default_rng(1906)
    sources = sorted(SAMPLES.iterdir())
    grain = (random.standard_normal((size[1] + 64, size[0] + 64), np.float32) * GRAIN).astype(np.float32)
    for number in range(int(count)):
        gray = np.asarray(Image.open(sources[number % len(sources)]).convert("L"))
        large = cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
        top, left = random.integers(0, 64, 2)
        large += grain[top : top + size[1], left : left + size[0]]
        picture = Image.fromarray(np.clip(large + 0.5, 0, 255).astype(np.uint8))
        picture.convert("RGB" if stored == "rgb" else "L").save(Path(folder, f"{number:03}.jpg"), quality=QUALITY)


def plain(folder: str, target: str) -> None:
    """Pillow alone: decode, and save as RGB at the same quality, in as many threads as vidcolor takes."""
    from PIL import Image

    def work(path: Path) -> None:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            file = io.BytesIO()
            (image if image.mode == "RGB" else image.convert("RGB")).save(file, "JPEG", quality=QUALITY)
        Path(target, path.name).write_bytes(file.getvalue())

    Path(target).mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(work, path) for path in sorted(Path(folder).iterdir())]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            print(json.dumps({"event": "progress", "done": done}), flush=True)


def run(command: list[str | Path], target: Path, photos: int) -> Timing:
    """Run a contender that writes a folder, and watch it."""
    ticks: list[tuple[float, int, float]] = []  # seconds, photos, CPU-seconds
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "progress":
                ticks.append((time.perf_counter() - began, event["done"], cpu_seconds(process.pid)))
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        written = len(list(target.glob("*.jpg")))
        if process.returncode or written != photos:
            errors.seek(0)
            sys.exit(f"{command}: exit {process.returncode}, wrote {written} of {photos}\n{errors.read()[-2000:]}")
    shutil.rmtree(target)
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    pace, cpu_a_photo = steady(ticks, photos, wall, cpu)
    return Timing(photos, wall, cpu, peak, pace, cpu_a_photo if cpu_a_photo > 0 else cpu / photos)


def benchmark(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything that there is to report."""
    width, height = asked.size
    source, target = folder / "in", folder / "out"
    source.mkdir()
    say("making the photos")
    script = [sys.executable, HERE / "photos.py"]
    made = [*script, "make", source, asked.photos, width, height, asked.stored]
    subprocess.run(list(map(str, made)), check=True)
    ours = [sys.executable, "-m", "vidcolor", source, "-o", target, "--model", asked.model, "--json"]
    warm = folder / "warm"
    warm.mkdir()
    shutil.copy(source / "000.jpg", warm)
    run([*ours[:3], warm, *ours[4:]], target, 1)  # converts the network, once
    rounds = []
    for number in range(asked.runs):
        say(f"round {number + 1} of {asked.runs}")
        rounds.append((run(ours, target, asked.photos), run([*script, "plain", source, target], target, asked.photos)))
    header = weights.read_header(weights.find(asked.model))
    pairs = [[asdict(timing) for timing in pair] for pair in rounds]
    return {
        "machine": machine(),
        "versions": versions() | {"pillow": _version("pillow"), "simplejpeg": _version("simplejpeg")},
        "model": {"name": header.name, "version": header.version, "size": header.size},
        "photos": {
            "count": asked.photos, "size": f"{width}x{height}", "stored": asked.stored, "quality": QUALITY,
            "megabytes": sum(path.stat().st_size for path in source.iterdir()) / asked.photos / 1e6,
        },
        "vidcolor": summary([pair[0] for pair in rounds]),
        "plain": summary([pair[1] for pair in rounds]),
        "of_plain": spread(b["wall_seconds"] / a["wall_seconds"] for a, b in pairs),
        "of_plain_steady": spread(a["steady_photos_a_second"] / b["steady_photos_a_second"] for a, b in pairs),
        "of_plain_cpu_steady": spread(b["steady_cpu_seconds"] / a["steady_cpu_seconds"] for a, b in pairs),
    }  # fmt: skip


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not there"


def summary(timings: list[Timing]) -> dict[str, Any]:
    """Median and range of each figure, and every run."""
    return {
        "photos_a_second": spread(timing.photos / timing.wall_seconds for timing in timings),
        "steady_photos_a_second": spread(timing.steady_photos_a_second for timing in timings),
        "cpu_ms_a_photo": spread(timing.cpu_seconds / timing.photos * 1e3 for timing in timings),
        "steady_cpu_ms_a_photo": spread(timing.steady_cpu_seconds * 1e3 for timing in timings),
        "peak_mib": spread(timing.peak_bytes / MIB for timing in timings),
        "runs": [asdict(timing) for timing in timings],
    }


def table(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    box, model, photos = report["machine"], report["model"], report["photos"]
    lines = [
        f"- Machine: {box['cpu']}, {box['cores']} cores, {', '.join(box['cpu_flags']) or 'no flags known'}",
        f"- Versions: {', '.join(f'{name} {number}' for name, number in report['versions'].items())}",
        f"- Model: {model['name']} {model['version']} ({model['size']} px)",
        f"- Photos: {photos['count']} JPEG files of {photos['size']}, stored as {photos['stored']},"
        f" {photos['megabytes']:.1f} MB each; {len(report['plain']['runs'])} rounds: median (least to most)",
        "",
        "| | photos/s, whole command | photos/s, steady | CPU-ms a photo, steady | peak MiB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in ("vidcolor", "plain"):
        at = report[name]
        figures = [cell(at["photos_a_second"], 2), cell(at["steady_photos_a_second"], 2)]
        figures += [cell(at["steady_cpu_ms_a_photo"], 0), cell(at["peak_mib"], 0)]
        lines.append(f"| {'vidcolor' if name == 'vidcolor' else 'Pillow alone'} | {' | '.join(figures)} |")
    ratios = (report["of_plain"], report["of_plain_steady"], report["of_plain_cpu_steady"])
    lines += [
        "",
        "| vidcolor as a ratio to Pillow alone | whole command | steady | CPU time, steady |",
        "| --- | ---: | ---: | ---: |",
        f"| | {' | '.join(cell(ratio, 2) for ratio in ratios)} |",
    ]
    return "\n".join(lines)


def size_of(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=48, help="how many")
    parser.add_argument("--size", type=size_of, default="4000x3000", help="width and height in pixels")
    parser.add_argument("--stored", choices=["gray", "rgb"], default="gray", help="how the gray photos are coded")
    parser.add_argument("--runs", type=int, default=3, help="rounds")
    parser.add_argument("--model", default="default", help="a packaged model's name or a model file")
    parser.add_argument("--json", action="store_true", help="every run's figures instead of the table")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vidcolor-benchmark-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        report = benchmark(asked, Path(folder))
    print(json.dumps(report, indent=1) if asked.json else table(report))


if __name__ == "__main__":
    parts = {"make": make, "plain": plain}
    if sys.argv[1:2] and sys.argv[1] in parts:
        parts[sys.argv[1]](*sys.argv[2:])
    else:
        main()
