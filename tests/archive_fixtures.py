"""Photo archives made on the spot, the same for the same seed, and a little pipeline to run, kill and run again."""

import io
import os
import random
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from vidcolor.archives import Entry, RefusedError, in_order, open_source, open_target
from vidcolor.archives.compression import _COMPRESSORS
from vidcolor.errors import SourceError
from vidcolor.run import Run

EPOCH = 1_600_000_000  # seconds; the oldest file's time
TAR_SUFFIXES = (".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst")
RUN = Run("model", {"--crf": "18"})

_FORMATS = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF", "bmp": "BMP", "gif": "GIF", "webp": "WEBP", "pgm": "PPM"}
_FOLDERS = ("", "1906/", "1906/album one/", "familie/Großmutter/", "deep/er/and/deeper/")
_STEMS = ("scan", "Bild ü", "100% [copy]", "写真", "a.b.c", "-dash", 'quote\'d "x"')


def picture(kind: str, form: str, chance: random.Random) -> bytes:
    """A tiny picture: "gray", "sepia" or "color"."""
    from PIL import Image, ImageOps

    size = (chance.randint(8, 24), chance.randint(8, 24))
    gray = Image.frombytes("L", size, chance.randbytes(size[0] * size[1]))
    image = gray
    if kind == "sepia":
        image = ImageOps.colorize(gray, "#201000", "#fff0d0")
    elif kind == "color":
        image = Image.frombytes("RGB", size, chance.randbytes(3 * size[0] * size[1]))
    content = io.BytesIO()
    (image.convert("L") if form == "PPM" else image).save(content, form)
    return content.getvalue()


def files(count: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Names and contents: nine tenths good photos, the rest what lies in every real archive."""
    chance = random.Random(seed)
    for number in range(count):
        folder, stem = chance.choice(_FOLDERS), f"{chance.choice(_STEMS)} {number:05}"
        suffix, form = chance.choice(list(_FORMATS.items()))
        content = picture(chance.choice(("gray", "gray", "sepia", "color")), form, chance)
        match number % 20:
            case 7:
                content = content[: len(content) // 2]
            case 9:
                content, suffix = (b"", "jpg") if number % 40 == 9 else (b"no picture at all\n", "jpg")
            case 13:
                content, suffix = b"notes\n" * number, chance.choice(("txt", "pdf", "zip"))
            case 17:
                content, stem = chance.randbytes(100), "._" + stem
            case 19:
                suffix = suffix.upper()
        yield f"{folder}{stem}.{suffix}", content


def make_folder(path: Path, count: int = 60, seed: int = 1) -> Path:
    path.mkdir(parents=True)
    for number, (name, content) in enumerate(files(count, seed)):
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o640 if number % 3 else 0o444)
        os.utime(file, (EPOCH + number, EPOCH + number))
    return path


def make_zip(path: Path, count: int = 60, seed: int = 1) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"found in the attic"
        for number, (name, content) in enumerate(files(count, seed)):
            info = zipfile.ZipInfo(name, (1999, 12, 31, 23, number % 60, 2 * (number % 30)))
            info.compress_type = zipfile.ZIP_STORED if number % 2 else zipfile.ZIP_DEFLATED
            info.external_attr = (0o100640 if number % 3 else 0o100444) << 16
            info.comment = f"number {number}".encode() if number % 5 == 0 else b""
            archive.writestr(info, content)
    return path


def make_tar(path: Path, count: int = 60, seed: int = 1) -> Path:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted({folder.rstrip("/") for folder in _FOLDERS[1:]}):
            archive.addfile(member(name, kind=tarfile.DIRTYPE, mode=0o750))
        for number, (name, content) in enumerate(files(count, seed)):
            info = member(name, len(content), mtime=EPOCH + number + (0.25 if number % 4 == 0 else 0))
            archive.addfile(info, io.BytesIO(content))
    return write_packed(path, plain.getvalue())


def member(name: str, size: int = 0, **fields) -> tarfile.TarInfo:
    """A tar's header. kind is the type."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode, info.type = size, EPOCH, 0o640, fields.pop("kind", tarfile.REGTYPE)
    info.uid, info.gid, info.uname, info.gname = 1234, 567, "oma", "familie"
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def write_packed(path: Path, content: bytes) -> Path:
    """Write a tar in the packing of its name."""
    packing = path.name.rpartition(".")[2]
    if packing in _COMPRESSORS:
        packer = _COMPRESSORS[packing]()
        content = packer.compress(content) + packer.flush()
    path.write_bytes(content)
    return path


def make(path: Path, count: int = 60, seed: int = 1) -> Path:
    """A folder, zip or tar by the name."""
    makers = {"": make_folder, ".zip": make_zip, ".cbz": make_zip}
    return makers.get(path.suffix, make_tar)(path, count, seed)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but those that a journal or a running job keeps."""
    found = {}
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".vidcolor-")]
        for name in names:
            if not name.startswith(".vidcolor-"):
                path = Path(root, name)
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def invert(content: bytes) -> bytes:
    """What stands for coloring."""
    if not content:
        raise SourceError("an empty file.")
    return content.translate(_INVERTED)


_INVERTED = bytes(range(255, -1, -1))


def process(
    source_path: Path, output: Path, *, run: Run = RUN, pause: float = 0.0, log: Path | None = None, threads: int = 2,
    **options,
) -> tuple[dict[str, int], list[str]]:  # fmt: skip
    """Invert every photo, copy the rest: counts of outcomes, and lines about what went wrong."""
    lines = []

    def paint(entry: Entry, content: bytes) -> bytes:
        if log is not None:
            with log.open("a") as file:
                file.write(f"{entry.name}\n")
        time.sleep(pause * (0.5 + entry.size % 2))  # so that they finish out of order
        return invert(content)

    def submit(entry: Entry) -> Future[bytes] | None:
        if entry.kind != "photo" or entry.refusal:
            return None
        return pool.submit(paint, entry, entry.read())

    with (
        ThreadPoolExecutor(threads) as pool,
        open_source([source_path], output=output) as source,
        open_target(output, source, run, **options) as target,
    ):
        due = (entry for entry in source if target.why_due(entry))
        for entry, future in in_order(due, submit, window=4):
            lines += entry.notes
            try:
                if entry.refusal:
                    lines.append(f"{entry.printable_name}: {entry.refusal}.")
                    target.skip(entry, entry.refusal)
                elif future is None:
                    target.copy(entry)
                else:
                    target.write(entry, future.result(), seconds=pause)
            except (SourceError, RefusedError) as error:
                lines.append(str(error))
                target.fail(entry, str(error))
    return dict(target.counts), lines + source.damage + target.notes


def names_in(path: Path) -> list[str]:
    """Members of an archive, in their order."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return archive.namelist()
    with open_source([path]) as source:
        return [entry.raw_name.decode("utf-8", "surrogateescape") for entry in source]


if __name__ == "__main__":
    process(Path(sys.argv[1]), Path(sys.argv[2]), log=Path(sys.argv[3]), pause=float(sys.argv[4]))
