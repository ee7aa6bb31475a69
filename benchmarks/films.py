"""Speed and memory of `vidcolor` on films, beside a plain transcode and a naive colorizer, in one run.

`python benchmarks/films.py` prints a Markdown table; README.md beside it says how to read it.
Every program runs in its own process. This process stays small on purpose: Linux counts a parent's memory as the
child's peak until the child runs its own program, so neither torch nor av is imported here.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

from vidcolor.inference import weights

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "samples" / "clip.mp4"
SAMPLE_GRAIN = 5  # code values; without it an enlarged film is too smooth and too cheap to encode
NAIVE_SECONDS = 3.0
IN_FLIGHT = 48  # frames that can wait between vidcolor's stages; the first and last of a film are not its pace
MIB = 1 << 20
OURS = {"vidcolor": "vidcolor", "auto": "vidcolor --every auto"}
PACKAGES = ("vidcolor", "torch", "openvino", "av", "numpy", "opencv-python-headless", "scikit-image")
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")  # as Linux names them


@dataclass
class Timing:
    """One run of one contender."""

    frames: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    first_frame_seconds: float | None  # from the start of the process; None where it does not tell
    steady_fps: float  # without start-up; of the whole run where the contender does not tell
    steady_cpu_seconds: float  # a frame, likewise
    facts: dict[str, Any] = field(default_factory=dict, repr=False)  # what the contender said of itself

    @property
    def fps(self) -> float:
        return self.frames / self.wall_seconds


def run(command: list[str | Path], frames: int | None = None) -> Timing:
    """Run a contender and watch it. frames: how many it must write; None: as many as it says."""
    ticks: list[tuple[float, int, float]] = []  # seconds, frames, CPU-seconds
    facts: dict[str, Any] = {}
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event.pop("event") == "progress":
                ticks.append((time.perf_counter() - began, event["frames"], cpu_seconds(process.pid)))
            else:
                facts |= event
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{' '.join(map(str, command))}: exit {process.returncode}\n{errors.read()[-2000:]}")
    written = facts.get("frames") or (ticks[-1][1] if ticks else frames)
    if written is None or (frames is not None and written != frames):
        sys.exit(f"{' '.join(map(str, command))}: wrote {written} frames, expected {frames}.")
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    first = ticks[0][0] if ticks else None
    return Timing(written, wall, cpu, peak, first, *steady(ticks, written, wall, cpu), facts)


def steady(ticks: list[tuple[float, int, float]], frames: int, wall: float, cpu: float) -> tuple[float, float]:
    """Frames a second and CPU-seconds a frame in the middle of the run, by least squares; else of the whole."""
    margin = min(IN_FLIGHT, frames // 8)
    middle = [tick for tick in ticks if margin <= tick[1] <= frames - margin]
    if len(middle) < 2:
        return frames / wall, cpu / frames
    seconds, counts, used = zip(*middle, strict=True)
    cpu_a_frame = linear_regression(counts, used).slope if used[-1] else cpu / frames
    return linear_regression(seconds, counts).slope, cpu_a_frame


def cpu_seconds(process: int) -> float:
    """CPU time that a running process has used so far; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Bench:
    """What is timed, and where its files go."""

    source: Path
    grain: int
    model: str
    seconds: float
    runs: int
    folder: Path

    def clip(self, rows: int) -> tuple[Path, dict[str, Any]]:
        """The clip at a size, and what it is."""
        path = self.folder / f"{rows}.mp4"
        columns = 2 * round(rows * 16 / 9 / 2)
        made = [sys.executable, HERE / "clip.py", self.source, path, columns, rows, self.seconds, self.grain]
        said = subprocess.run(list(map(str, made)), stdout=subprocess.PIPE, check=True, text=True)
        return path, {"size": f"{columns}x{rows}", **json.loads(said.stdout)}

    def vidcolor(self, clip: Path, frames: int, *more: str) -> Timing:
        out = self.folder / "vidcolor.mp4"
        options = ["--model", self.model, "--json", "--overwrite", *more]
        return run([sys.executable, "-m", "vidcolor", clip, "-o", out, *options], frames)

    def plain(self, clip: Path, frames: int) -> Timing:
        out = self.folder / "plain.mp4"
        if shutil.which("ffmpeg") is None:
            return run([sys.executable, HERE / "peers.py", "plain", clip, out], frames)
        encoder = ["-c:v", "libx264", "-crf", "18", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
        return run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", clip, "-c:a", "copy", *encoder, out], frames)

    def naive(self, clip: Path) -> Timing:
        model, out = weights.find(self.model), self.folder / "naive.mp4"
        return run([sys.executable, HERE / "peers.py", "naive", clip, out, model, str(NAIVE_SECONDS)])

    def measure(self, rows: int, clip: Path, facts: dict[str, Any]) -> dict[str, Any]:
        """All contenders in turn, `runs` times over, so that a noisy moment hits them alike."""
        rounds = []
        for index in range(self.runs):
            say(f"{rows}p, round {index + 1} of {self.runs}")
            frames = facts["frames"]
            auto = self.vidcolor(clip, frames, "--every", "auto")
            rounds.append((self.vidcolor(clip, frames), auto, self.plain(clip, frames), self.naive(clip)))
        ours, auto, plain, naive = zip(*rounds, strict=True)
        return {
            "clip": facts,
            "vidcolor": summary(ours),
            "auto": summary(auto),
            "plain": summary(plain),
            "naive": summary(naive),
            "ratios": {"vidcolor": ratios(ours, plain, naive), "auto": ratios(auto, plain, naive)},
        }


Timings = tuple[Timing, ...]


def ratios(ours: Timings, plain: Timings, naive: Timings) -> dict[str, dict[str, float]]:
    """Ours over the others', each within its round."""
    rounds = list(zip(ours, plain, naive, strict=True))
    return {
        "of_plain": spread(a.fps / b.fps for a, b, _ in rounds),
        "of_plain_steady": spread(a.steady_fps / b.fps for a, b, _ in rounds),
        "of_plain_cpu_steady": spread(b.cpu_seconds / b.frames / a.steady_cpu_seconds for a, b, _ in rounds),
        "of_naive_steady": spread(a.steady_fps / c.steady_fps for a, _, c in rounds),
    }


def summary(timings: Timings) -> dict[str, Any]:
    """Median and range of each figure, and every run."""
    firsts = [timing.first_frame_seconds for timing in timings if timing.first_frame_seconds is not None]
    return {
        "fps": spread(timing.fps for timing in timings),
        "steady_fps": spread(timing.steady_fps for timing in timings),
        "cpu_ms_a_frame": spread(timing.cpu_seconds / timing.frames * 1e3 for timing in timings),
        "steady_cpu_ms_a_frame": spread(timing.steady_cpu_seconds * 1e3 for timing in timings),
        "peak_mib": spread(timing.peak_bytes / MIB for timing in timings),
        "first_frame_seconds": spread(firsts) if firsts else None,
        "runs": [asdict(timing) for timing in timings],
    }


def spread(values: Iterable[float]) -> dict[str, float]:
    figures = sorted(values)
    return {"median": median(figures), "least": figures[0], "most": figures[-1]}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    if (told := Path("/proc/cpuinfo")).exists():
        lines = dict(line.split(":", 1) for line in told.read_text().splitlines() if ":" in line)
        facts = {key.strip(): value.strip() for key, value in lines.items()}
        name, flags = facts.get("model name", name), set(facts.get("flags", facts.get("Features", "")).split())
        if "model" in facts:
            name += f" (family {facts['cpu family']}, model {facts['model']})"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": name, "cores": cores, "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags]}


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}
    if shutil.which("ffmpeg"):
        told = subprocess.run(["ffmpeg", "-version"], stdout=subprocess.PIPE, check=True, text=True).stdout
        found["ffmpeg"] = told.split()[2]
    return found


def benchmark(bench: Bench, sizes: list[int]) -> dict[str, Any]:
    """Everything that there is to report."""
    say("making the clips")
    clips = {rows: bench.clip(rows) for rows in sizes}
    say("first run ever, timing begins")
    path, facts = clips[sizes[0]]
    first = bench.vidcolor(path, facts["frames"])
    header = weights.read_header(weights.find(bench.model))
    return {
        "machine": machine(),
        "versions": versions(),
        "model": {
            "name": header.name,
            "version": header.version,
            "generator": header.generator,
            "size": header.size,
            "devices": first.facts["devices"],
        },
        "source": bench.source.name,
        "grain": bench.grain,
        "plain": "ffmpeg" if shutil.which("ffmpeg") else "PyAV",
        "first_run_ever_seconds": first.first_frame_seconds,
        "sizes": {f"{rows}p": bench.measure(rows, *clips[rows]) for rows in sizes},
    }


def table(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    box, model, found = report["machine"], report["model"], report["versions"]
    one = next(iter(report["sizes"].values()))
    rounds = len(one["vidcolor"]["runs"])
    plain = "plain ffmpeg" if report["plain"] == "ffmpeg" else "plain, by PyAV (no `ffmpeg` command here)"
    lines = [
        f"- Machine: {box['cpu']}, {box['cores']} cores, {', '.join(box['cpu_flags']) or 'no flags known'}",
        f"- Versions: {', '.join(f'{name} {number}' for name, number in found.items())}",
        f"- Model: {model['name']} {model['version']} ({model['generator']}, {model['size']} px),"
        f" {', '.join(model['devices'])}; the naive pipeline runs it in torch fp32",
        f"- Clip: {report['source']} with grain {report['grain']}, {one['clip']['frames']} frames at"
        f" {one['clip']['rate']} a second; "
        + ", ".join(f"{name} {at['clip']['megabits_per_second']:.1f} Mbit/s" for name, at in report["sizes"].items()),
        f"- {rounds} rounds: median (least to most)",
        f"- First run ever, to the first frame: {report['first_run_ever_seconds']:.1f} s",
        "",
        "| size | | fps, whole command | fps, steady | CPU-ms a frame, steady | peak MiB | s to first frame |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, at in report["sizes"].items():
        for contender, title in (*OURS.items(), ("plain", plain), ("naive", "naive RGB")):
            figures = at[contender]
            cells = [
                cell(figures["fps"] if contender != "naive" else None),  # it is stopped early
                cell(figures["steady_fps"] if figures["first_frame_seconds"] else None),
                cell(figures["steady_cpu_ms_a_frame"]),
                cell(figures["peak_mib"], 0),
                cell(figures["first_frame_seconds"]),
            ]
            lines.append(f"| {name} | {title} | {' | '.join(cells)} |")
    lines += [
        "",
        "| | as a ratio | to plain, whole command | to plain, steady | to plain, CPU time | to naive, steady |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, at in report["sizes"].items():
        for contender, title in OURS.items():
            cells = [cell(ratio, 2) for ratio in at["ratios"][contender].values()]
            lines.append(f"| {name} | {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(figure: dict[str, float] | None, digits: int = 1) -> str:
    if figure is None:
        return "-"
    middle, least, most = (f"{figure[key]:.{digits}f}" for key in ("median", "least", "most"))
    return middle if least == most else f"{middle} ({least} to {most})"


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def rows_of(sizes: str) -> list[int]:
    return [int(size.removesuffix("p")) for size in sizes.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=rows_of, default="480p,720p,1080p", help="pictures 16:9, by their rows")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip")
    parser.add_argument("--runs", type=int, default=3, help="rounds at each size")
    parser.add_argument("--source", type=Path, help="a film to make the clip of, used without added grain")
    parser.add_argument("--model", default="default", help="a packaged model's name or a model file")
    parser.add_argument("--json", action="store_true", help="every run's figures instead of the table")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vidcolor-benchmark-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # so that the first run is one
        source, grain = asked.source or SAMPLE, 0 if asked.source else SAMPLE_GRAIN
        bench = Bench(source, grain, asked.model, asked.seconds, asked.runs, Path(folder))
        report = benchmark(bench, asked.sizes)
    print(json.dumps(report, indent=1) if asked.json else table(report))


if __name__ == "__main__":
    main()
