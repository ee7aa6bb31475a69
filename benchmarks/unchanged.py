"""Check that two checkouts make the same bytes with the same commands, for changes that must change nothing.

    python benchmarks/unchanged.py ../before . samples ../films ../scans --seconds 2

The script colors a few seconds of each film under the named folders, each photo alone, and all photos as a folder, a
zip and a tar; then it tries settings, a film that one checkout begins and the other finishes, training, export,
evaluation and pages. It compares files by SHA-256 (reports without their times), exit statuses, and printed text
without times and paths. Different files or statuses end with exit code 1; different texts are only listed.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av

PHOTOS = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}
FILMS = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts", ".mpg", ".ogv", ".vob", ".wmv"}
CHANGING = re.compile(  # what differs from run to run
    r'"(seconds|seconds_left|\w*_per_second|fps|done_at|seal)": ?("[^"]*"|[\d.eE+-]+|null)|\{"event": "progress".*\n'
    r"|\d+(\.\d+)? ?(s|ms|fps|MB|GB|MiB|min|frames a second)\b|\d+:\d\d(:\d\d)?|vidcolor-seal:\w+"
    r"|<dt>seconds</dt><dd>[^<]*</dd>"
)


@dataclass(frozen=True)
class Case:
    """A command line; OUT stands for the folder that it writes into."""

    name: str
    arguments: tuple[str, ...]


def cases(files: list[Path], made: Path, seconds: float) -> Iterator[Case]:
    """Every command to be tried, shortest first within its kind."""
    films = [file for file in files if file.suffix.lower() in FILMS]
    photos = [file for file in files if file.suffix.lower() in PHOTOS]
    end = ("--end", str(seconds))
    for number, film in enumerate(films):
        yield Case(f"film {film.name}", ("colorize", str(film), "-o", f"OUT/{number}{film.suffix}", *end))
        yield Case(f"film {film.name} to Matroska", ("colorize", str(film), "-o", f"OUT/{number}.mkv", "--codec",
                                                    "ffv1", "--json", *end))  # fmt: skip
        yield Case(f"info {film.name}", ("info", str(film)))
    if films:
        first = str(films[0])
        for name, options in {
            "off": ("--steady", "off"), "smooth": ("--steady", "smooth"), "every": ("--every", "auto"),
            "memory": ("--shot-memory",), "fp32": ("--precision", "fp32", "--size", "128", "--batch-size", "3"),
            "hevc": ("--codec", "hevc", "--crf", "24", "--preset", "ultrafast", "--pix-fmt", "yuv420p10le"),
            "part": ("--start", "1", "--saturation", "1.3", "--drop-audio"), "dry": ("--dry-run",),
            "recolor": ("--recolor", "--quiet"),
        }.items():  # fmt: skip
            yield Case(f"option {name}", ("colorize", first, "-o", "OUT/film.mkv", *options, *end))
        yield Case("list of films", ("colorize", *map(str, films[:3]), "-o", "OUT/films", *end))
        yield Case("preview", ("preview", first, "-o", "OUT/sheet.png"))
        yield Case("compare", ("compare", first, first, "-o", "OUT/page.html"))
        yield Case("evaluate films", ("evaluate", first, "--json", "--limit", "24"))
    for number, photo in enumerate(photos):
        yield Case(f"photo {photo.name}", ("colorize", str(photo), "-o", f"OUT/{number}{photo.suffix}"))
    if photos:
        for name in ("scans", "scans.zip", "scans.tar"):
            target = name.replace("scans", "colored")
            yield Case(f"archive {name}", ("colorize", str(made / name), "-o", f"OUT/{target}", "--json"))
        yield Case("archive dry", ("colorize", str(made / "scans"), "-o", "OUT/colored", "--dry-run"))
        yield Case("archive recolored", ("colorize", str(made / "scans.zip"), "-o", "OUT/colored", "--recolor",
                                         "--others", "skip", "--saturation", "1.2"))  # fmt: skip
        yield Case("evaluate photos", ("evaluate", str(made / "scans.zip"), "--json"))
        yield Case("train", ("train", str(made / "scans.zip"), "-o", "OUT/model.safetensors", "--init", "default",
                             "--recipe", "fine-tune", "--epochs", "1", "--device", "cpu", "--set", "batch_size=4",
                             "--set", 'stages=[{"crop":64,"share":1.0}]', "--json"))  # fmt: skip
    yield Case("export", ("export", "default", "--format", "onnx", "-o", "OUT/model.onnx"))
    for words in ("models list", "models show default", "models verify", "", "--help", "colorize --help",
                  "train --help", "colorize missing.mp4 -o OUT/x.mp4", "colorize --crf x y -o OUT/z.mp4"):  # fmt: skip
        yield Case(f"words {words}", tuple(words.split()))


def run(checkout: Path, case: Case, out: Path, kill_after: int | None = None) -> tuple[int, str]:
    """Exit status, and what was printed, of a command of a checkout. kill_after: finished segments of the film."""
    out.mkdir(parents=True, exist_ok=True)
    arguments = [argument.replace("OUT", str(out)) for argument in case.arguments]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "2", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-m", "vidcolor", *arguments], cwd=out, env=environment, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        while kill_after is not None and process.poll() is None:
            if len(list(out.glob(".*/*.packets"))) >= kill_after:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.01)
        said = process.communicate()[0]
    return process.returncode, CHANGING.sub("~", said.replace(str(out), "OUT").replace(str(checkout), "HERE"))


def contents(out: Path) -> dict[str, str]:
    """Every file's SHA-256, by its path."""
    found = {}
    for file in sorted(path for path in out.rglob("*") if path.is_file()):
        content = file.read_bytes()
        if file.suffix in {".html", ".json", ".jsonl"} or "journal" in file.name:
            if "journal" in file.name:
                continue  # times, and checksums of lines with times
            text = content.decode(errors="replace").replace(str(out), "OUT").replace(str(out.parent), "ROOM")
            content = CHANGING.sub("~", text).encode()
        found[file.relative_to(out).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def make_archives(files: list[Path], made: Path) -> None:
    """The photos as a folder, a zip and a tar."""
    (made / "scans" / "box").mkdir(parents=True)
    photos = [file for file in files if file.suffix.lower() in PHOTOS]
    for number, photo in enumerate(photos):
        shutil.copyfile(photo, made / "scans" / ("box" if number % 2 else ".") / photo.name)
    (made / "scans" / "notes.txt").write_text("Not a picture.\n")
    for path in (made / "scans").rglob("*"):
        os.utime(path, (1e9, 1e9))  # the same in every run, as archives hold it
    with zipfile.ZipFile(made / "scans.zip", "w") as archive, tarfile.open(made / "scans.tar", "w") as tar:
        for file in sorted((made / "scans").rglob("*")):
            archive.write(file, file.relative_to(made / "scans"))
            tar.add(file, file.relative_to(made / "scans"), recursive=False)


def make_long(film: Path, target: Path) -> None:
    """Some frames of a film over and over: 900 of them, which are three segments and a bit."""
    with av.open(film) as source, av.open(target, "w") as output:
        frames = [frame.reformat(160, 120, "gray") for frame in islice(source.decode(video=0), 90)]
        stream = output.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(900):
            frame = frames[number % 90].reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def compare_resuming(before: Path, after: Path, film: Path, room: Path) -> list[str]:
    """Begin a film by one checkout, kill it after some segments, and finish it by the other."""
    wrong = []
    make_long(film, room / "long.mp4")
    case = Case("resumed", ("colorize", str(room / "long.mp4"), "-o", "OUT/film.mkv", "--size", "64"))
    status, _ = run(before, case, room / "whole")
    whole = contents(room / "whole")
    for segments in (1, 2, 3):
        out = room / f"killed-{segments}"
        run(before, case, out, kill_after=segments)
        left = sorted(path.name for path in out.iterdir())
        again, said = run(after, case, out)
        if again != status or contents(out) != whole:
            wrong.append(f"killed after {segments} segments ({', '.join(left)}): ends with {again}, {said[-200:]}")
        print(f"resumed after {segments} segments from {', '.join(left) or 'nothing'}", flush=True)
    return wrong


def main() -> int:
    """Print every difference; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout")
    parser.add_argument("after", type=Path, help="another")
    parser.add_argument("media", type=Path, nargs="+", help="folders of films and photos, and single ones")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each film")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--keep", type=Path, help="results of the first checkout, kept between runs")
    given = parser.parse_args()
    files = sorted(
        path for named in given.media for path in ([named] if named.is_file() else named.rglob("*"))
        if path.suffix.lower() in PHOTOS | FILMS
    )  # fmt: skip
    wrong, worded, tried = [], [], 0
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        make_archives(files, room / "made")
        files = [file.resolve() for file in files]
        known = json.loads(given.keep.read_text()) if given.keep and given.keep.exists() else {}
        for case in cases(files, room / "made", given.seconds):
            if given.only not in case.name:
                continue
            found, began = [], time.monotonic()
            for checkout in (given.before, given.after):
                if checkout is given.before and case.name in known:
                    found.append(known[case.name])
                    continue
                out = room / "out"  # the same place, as names may be in what is written
                status, said = run(checkout.resolve(), case, out)
                found.append([status, contents(out), said.replace(str(room), "ROOM")])
                shutil.rmtree(out)
            known[case.name] = found[0]
            if given.keep:
                given.keep.write_text(json.dumps(known))
            tried += 1
            print(f"{case.name} ({time.monotonic() - began:.0f} s)", flush=True)
            same = found[0][:2] == found[1][:2]
            if not same:
                wrong.append(case.name)
                names = {file for file in found[0][1].keys() | found[1][1].keys()
                         if found[0][1].get(file) != found[1][1].get(file)}  # fmt: skip
                print(f"{case.name}: exit {found[0][0]} and {found[1][0]}; differ: {sorted(names)}", flush=True)
                print(found[1][2][-600:], flush=True)
            elif found[0][2] != found[1][2]:
                worded.append(case.name)
                print(f"{case.name}: words differ", flush=True)
                for line in sorted(set(found[0][2].splitlines()) ^ set(found[1][2].splitlines())):
                    print(f"    {'-' if line in found[0][2].splitlines() else '+'} {line}", flush=True)
        films = [file for file in files if file.suffix.lower() in FILMS]
        if films and given.only in "resumed":
            wrong += compare_resuming(given.before.resolve(), given.after.resolve(), films[0], room)
    print(f"{tried} commands; {len(wrong)} made something else: {wrong}; {len(worded)} said it in other words")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
