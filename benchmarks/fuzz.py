"""Run the real commands on damaged and hostile files: each must end with one line and touch nothing else.

`python benchmarks/fuzz.py --minutes 10 --seed 1` prints a Markdown table; README.md beside it says how to read it.
A file is kept in `--keep`, with the command, if that ends by a traceback, a signal or a time limit, takes too much
memory, or changes a file that it should not. The same seed makes the same trials, as far as the time allows.
"""

import argparse
import hashlib
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
HANGING_SECONDS = 180.0
MOST_MIB = 3072  # of one command, whatever it is given
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, 1 << 63)
PHOTOS = ("jpg", "png", "tif", "gif", "webp", "bmp", "pgm", "jp2")
FILMS = ("mkv", "mp4", "avi", "ts", "webm", "mov")


def mutated(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The same with one to six changes."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        if not found:
            break
        chance.choice(CHANGES)(found, others, chance)
    return bytes(found)


def _place(found: bytearray, chance: random.Random) -> int:
    """Where: at the beginning, at the end, or anywhere."""
    near = min(len(found), 512)
    return chance.choice(
        (chance.randrange(near), len(found) - 1 - chance.randrange(near), chance.randrange(len(found)))
    )


def _flip(found: bytearray, _: list[bytes], chance: random.Random) -> None:
    for _ in range(chance.choice((1, 4, 32))):
        found[_place(found, chance)] ^= 1 << chance.randrange(8)


def _cut_off(found: bytearray, _: list[bytes], chance: random.Random) -> None:
    del found[chance.randrange(len(found)) :]


def _cut_out(found: bytearray, _: list[bytes], chance: random.Random) -> None:
    at = _place(found, chance)
    del found[at : at + chance.choice((1, 2, 4, 100, 4096))]


def _repeat(found: bytearray, _: list[bytes], chance: random.Random) -> None:
    at, count = _place(found, chance), chance.choice((1, 4, 64, 4096))
    found[at:at] = found[at : at + count] * chance.choice((1, 2, 50))


def _blank(found: bytearray, _: list[bytes], chance: random.Random) -> None:
    at = _place(found, chance)
    count = min(chance.choice((4, 512, 65536)), len(found) - at)
    found[at : at + count] = bytes((chance.choice((0, 0xFF)),)) * count


def _number(found: bytearray, _: list[bytes], chance: random.Random) -> None:
    """A number of 1, 2, 4 or 8 bytes becomes an extreme one."""
    form = chance.choice((">B", ">H", "<H", ">I", "<I", ">Q", "<Q"))
    size = struct.calcsize(form)
    at = _place(found, chance)
    found[at : at + size] = struct.pack(form, chance.choice(EXTREMES) & ((1 << 8 * size) - 1))


def _digits(found: bytearray, _: list[bytes], chance: random.Random) -> None:
    """A number in letters, as JSON, tar and PNM have them, becomes another."""
    places = [at for at, byte in enumerate(found[: 1 << 20]) if 0x30 <= byte <= 0x39]
    if places:
        at = chance.choice(places)
        found[at : at + 1] = chance.choice((b"9", b"-1", b"1e9", b"99999999999", b"null", b"NaN", b"\\u001b"))


def _splice(found: bytearray, others: list[bytes], chance: random.Random) -> None:
    """The rest is another file's."""
    other = chance.choice(others)
    found[_place(found, chance) :] = other[chance.randrange(len(other)) :] if other else b""


CHANGES: tuple[Callable[[bytearray, list[bytes], random.Random], None], ...] = (
    _flip, _flip, _cut_off, _cut_out, _repeat, _blank, _number, _number, _number, _digits, _splice,
)  # fmt: skip


@dataclass
class Kind:
    """What became of the trials of one kind."""

    files: int = 0
    commands: int = 0
    exits: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    peak_mib: float = 0.0
    longest_seconds: float = 0.0


class Fuzzer:
    """Makes trials in a folder, runs them, and notes how they end."""

    def __init__(self, folder: Path, keep: Path, seed: int) -> None:
        self._folder, self._keep, self._chance = folder, keep, random.Random(seed)
        self._good = folder / "good"
        subprocess.run([sys.executable, __file__, "--make", self._good], check=True)
        self._model = self._good / "tiny.safetensors"
        self._box, self._outside = folder / "box", folder / "outside"
        self._outside.mkdir()
        (self._outside / "precious.jpg").write_bytes((self._good / "photo.jpg").read_bytes())
        self.kinds: defaultdict[str, Kind] = defaultdict(Kind)
        self._number = 0

    def trials(self) -> Iterator[Callable[[], None]]:
        """One after another, without end: every kind in turn."""
        while True:
            yield from (
                self._photos, self._film, self._models, self._archive, self._films, self._journal, self._cache,
                self._data,
            )  # fmt: skip

    def _mutations(self, names: list[str], count: int, folder: Path) -> None:
        """So many damaged files of these names in a folder."""
        folder.mkdir(parents=True)
        whole = {name: (self._good / name).read_bytes() for name in names}
        for number in range(count):
            name = self._chance.choice(names)
            content = mutated(whole[name], list(whole.values()), self._chance)
            (folder / f"{number:03}-{name}").write_bytes(content)

    def _photos(self) -> None:
        box = self._emptied()
        self._mutations([f"photo.{suffix}" for suffix in PHOTOS], 40, box / "in")
        self._run("photos in a folder", 40, "in", "-o", "out", "--model", self._model, "-q")

    def _films(self) -> None:
        box = self._emptied()
        self._mutations([f"film.{suffix}" for suffix in FILMS], 8, box / "in")
        self._run("films in a folder", 8, "in", "-o", "out", "--model", self._model, "-q", "--preset", "ultrafast")

    def _film(self) -> None:
        box, suffix = self._emptied(), self._chance.choice(FILMS)
        self._mutations([f"film.{suffix}"], 1, box / "in")
        film = f"in/000-film.{suffix}"
        self._run("one film", 1, "info", film)
        self._run("one film", 0, "info", film, "--json")
        self._run("one film", 0, "preview", film, "-o", "sheet.png", "--models", self._model)
        self._run("one film", 0, film, "-o", "out.mkv", "--model", self._model, "-q")

    def _archive(self) -> None:
        box, name = self._emptied(), self._chance.choice(("box.zip", "box.tar", "box.tar.gz"))
        self._mutations([name], 1, box / "in")
        output = self._chance.choice(("out", "out.zip", "out.tar"))
        self._run("archives", 1, f"in/000-{name}", "-o", output, "--model", self._model, "-q")

    def _models(self) -> None:
        box = self._emptied()
        self._mutations(["tiny.safetensors"], 4, box / "in")
        for number in range(4):
            model = f"in/{number:03}-tiny.safetensors"
            self._run("models", 1, "models", "show", model)
            self._run("models", 0, self._good / "photo.jpg", "-o", f"{number}.jpg", "--model", model, "-q")

    def _journal(self) -> None:
        """An output folder whose journal, and one whose unfinished film, was damaged."""
        box = self._emptied()
        shutil.copytree(self._good / "done", box / "out")
        journal = box / "out" / ".vidcolor-journal.jsonl"
        journal.write_bytes(mutated(journal.read_bytes(), [journal.read_bytes()], self._chance))
        self._run("journals", 1, self._good / "scans", "-o", "out", "--model", self._model, "-q")

    def _cache(self) -> None:
        """The cache of converted networks, damaged."""
        box = self._emptied()
        shutil.copytree(self._good / "cache", box / "cache")
        for file in sorted(path for path in (box / "cache").rglob("*") if path.is_file()):
            file.write_bytes(mutated(file.read_bytes(), [b"other"], self._chance))
        self._run(
            "caches", 1, self._good / "photo.jpg", "-o", "out.jpg", "--model", self._model, "-q", cache=box / "cache"
        )

    def _data(self) -> None:
        box = self._emptied()
        self._mutations(
            [f"photo.{suffix}" for suffix in ("jpg", "png", "tif", "webp")] + ["box.zip", "box.tar"], 12, box / "in"
        )
        self._run("evaluate", 12, "evaluate", "in", "--model", self._model)
        self._run("compare", 0, "compare", "in", self._good / "scans", "-o", "page.html")

    def _emptied(self) -> Path:
        shutil.rmtree(self._box, ignore_errors=True)
        self._box.mkdir()
        return self._box

    def _run(self, kind: str, files: int, *arguments: object, cache: Path | None = None) -> None:
        """One command in the box, and what is wrong with how it ended."""
        found, before = self.kinds[kind], _fingerprint(self._good, self._outside)
        inputs = _fingerprint(self._box / "in")
        command = [sys.executable, "-m", "vidcolor", *map(str, arguments)]
        environment = os.environ | {"XDG_CACHE_HOME": str(cache or self._folder / "cache")}
        began = time.monotonic()
        child = subprocess.Popen(
            command, cwd=self._box, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="backslashreplace",
        )  # fmt: skip
        said, code, peak = _ended(child)
        seconds, is_hanging = time.monotonic() - began, code is None
        found.files += files
        found.commands += 1
        found.longest_seconds, found.peak_mib = max(found.longest_seconds, seconds), max(found.peak_mib, peak)
        found.exits["none" if code is None else str(code)] += 1
        faults = [
            fault
            for fault, is_met in (
                ("hangs", is_hanging),
                ("tracebacks", "Traceback" in said),
                ("unexpected", "unexpected" in said),
                ("signals", code is not None and code < 0),
                ("other exits", code is not None and code > 2),
                ("silent failures", code in (1, 2) and not said.strip()),
                ("memory", peak > MOST_MIB),
                ("files outside", before != _fingerprint(self._good, self._outside)),
                ("inputs changed", inputs != _fingerprint(self._box / "in")),
                ("half-written", bool(_left(self._box))),
            )
            if is_met
        ]
        found.faults.update(faults)
        if faults:
            self._number += 1
            kept = self._keep / f"{self._number:03}-{'-'.join(faults).replace(' ', '_')}"
            shutil.copytree(self._box, kept, symlinks=True)
            (kept / "command.txt").write_text(" ".join(map(str, arguments)) + "\n\n" + said)

    def table(self) -> str:
        """How it went, in Markdown."""
        rows = [
            "| what | files | commands | exits | faults | longest | peak |",
            "| --- | ---: | ---: | --- | --- | ---: | ---: |",
        ]
        for name, kind in self.kinds.items():
            exits, faults = (
                ", ".join(f"{key}: {count}" for key, count in sorted(found.items()))
                for found in (kind.exits, kind.faults)
            )
            rows.append(
                f"| {name} | {kind.files} | {kind.commands} | {exits} | {faults or 'none'} "
                f"| {kind.longest_seconds:.1f} s | {kind.peak_mib:.0f} MiB |"
            )
        return "\n".join(rows)


def _ended(child: "subprocess.Popen[str]") -> tuple[str, int | None, float]:
    """What a command said, its exit code (None: it had to be killed), and its peak in MiB."""
    said: list[str] = []
    assert child.stderr is not None
    reading = threading.Thread(target=lambda pipe=child.stderr: said.append(pipe.read()))
    reading.start()
    killing = threading.Timer(HANGING_SECONDS, child.kill)
    killing.start()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    is_killed = not killing.is_alive()
    killing.cancel()
    reading.join()
    child.stderr.close()
    return "".join(said), None if is_killed else child.returncode, usage.ru_maxrss / 1024


def _fingerprint(*folders: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _left(box: Path) -> list[Path]:
    """Hidden files of unfinished work beside outputs, but for what a next run goes on from."""
    return [path for path in box.rglob(".vidcolor-*.partial*") if path.is_file()]


def make(folder: Path) -> None:
    """Small sound files of every kind, made here. Runs in a process of its own, as it loads what `vidcolor` loads."""
    import io
    import tarfile
    import zipfile
    from fractions import Fraction

    import av
    import numpy as np
    import torch
    from PIL import Image

    from vidcolor import cli
    from vidcolor.inference import weights
    from vidcolor.networks import build

    folder.mkdir(parents=True)
    chance = np.random.default_rng(1)
    gray = chance.integers(0, 256, (12, 16), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    image, exif = Image.fromarray(gray), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "an old photo"
    pages = {"save_all": True, "append_images": [image.rotate(90), image]}
    for suffix, options in {
        "jpg": {"exif": exif, "comment": b"found in the attic"}, "png": {"exif": exif}, "webp": {"exif": exif},
        "bmp": {}, "pgm": {}, "jp2": {}, "tif": pages | {"compression": "tiff_lzw"}, "gif": pages | {"duration": 40},
    }.items():  # fmt: skip
        image.save(folder / f"photo.{suffix}", **options)
    for suffix in FILMS:
        webm = suffix == "webm"
        with av.open(str(folder / f"film.{suffix}"), "w") as film:
            picture = film.add_stream(
                "libvpx-vp9" if webm else "mpeg4" if suffix == "avi" else "libx264", rate=Fraction(25)
            )
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
            sound = film.add_stream("libopus" if webm else "mp2" if suffix in ("avi", "ts") else "aac", rate=48000)
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(np.roll(gray, number, 1), "gray").reformat(format="yuv420p")
                film.mux(picture.encode(frame))
            film.mux(picture.encode())
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 960 * 2), np.int16), "s16", "stereo")
            frame.sample_rate = 48000
            for _ in range(10):
                film.mux(sound.encode(frame))
            film.mux(sound.encode())
    members = [f"photo.{suffix}" for suffix in ("jpg", "png", "tif")] + ["film.mkv"]
    with zipfile.ZipFile(folder / "box.zip", "w", zipfile.ZIP_DEFLATED) as box:
        for name in members:
            box.write(folder / name, f"album/{name}")
    for name, mode in (("box.tar", "w"), ("box.tar.gz", "w:gz")):
        with tarfile.open(folder / name, mode, format=tarfile.PAX_FORMAT) as tar:
            for member in members:
                tar.add(folder / member, f"album ü/{member}")
            link = tarfile.TarInfo("album ü/again.jpg")
            link.type, link.linkname = tarfile.LNKTYPE, "album ü/photo.jpg"
            tar.addfile(link, io.BytesIO())
    torch.manual_seed(1)
    config = {"width": 4, "depth": 3}
    network = build("pix2pix", config)
    weights.save(folder / "tiny.safetensors", network, weights.ModelHeader("pix2pix", config, "tiny", "0", size=64))
    (folder / "scans").mkdir()
    for number in range(4):
        Image.fromarray(np.roll(gray, number, 0)).save(folder / "scans" / f"{number:03}-photo.jpg")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    if cli.run([str(folder / "scans"), "-o", str(folder / "done"), "--model", str(folder / "tiny.safetensors"), "-q"]):
        raise SystemExit("the sound files cannot be colored")


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for what shows a fault")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.make:
        make(asked.make)
        return
    until = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        fuzzer = Fuzzer(Path(folder), asked.keep.resolve(), asked.seed)
        for trial in fuzzer.trials():
            if time.monotonic() > until:
                break
            trial()
    print(fuzzer.table())
    sys.exit(1 if any(kind.faults for kind in fuzzer.kinds.values()) else 0)


if __name__ == "__main__":
    main()
