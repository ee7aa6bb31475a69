"""Training takes photos, archives and films in any mixture, and says what it passed over."""

import io
import tarfile
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vidcolor.errors import SourceError
from vidcolor.media.photos import Rgb, decode, encoded


def picture(seed: int, width: int = 96, height: int = 72) -> Rgb:
    """Soft patches of colour, others for every seed."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC))


def grey(seed: int) -> Rgb:
    return np.repeat(picture(seed).mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)


def film(path: Path, pictures: Sequence[Rgb], *, codec: str = "libx264", rate: int = 5) -> Path:
    options = {"crf": "8", "preset": "fast", "g": "12", "bf": "2"} if codec == "libx264" else {}
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for number, rgb in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def file_of(rgb: Rgb, kind: str = "png") -> bytes:
    content = io.BytesIO()
    Image.fromarray(rgb).save(content, kind)
    return content.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, mode: str, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


# Archives


def test_a_zips_hostile_names_are_only_names(tmp_path: Path):
    (tmp_path / "in").mkdir()
    members = {"../../evil.png": file_of(picture(1)), "/etc/evil.png": file_of(picture(2)), "notes.txt": b"no"}
    source = zipped(tmp_path / "in" / "photos.zip", members | {"__MACOSX/._evil.png": b"no", "folder/": b""})
    found = dict(encoded([source]))
    assert set(found) == {"../../evil.png", "/etc/evil.png"}
    assert np.array_equal(decode(found["../../evil.png"]), picture(1))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [source]


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.txz", "w:xz"), ("b", "w:gz")])
def test_tar_files_are_read_however_packed(tmp_path: Path, name: str, mode: str):
    photos = {"street/1.png": file_of(picture(1)), "../2.png": file_of(picture(2))}
    others = {"read.me": b"no", "last.zip": zipped(tmp_path / "last.zip", photos).read_bytes()}
    assert dict(encoded([tarred(tmp_path / name, mode, photos | others)])) == photos


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_an_unreadable_archive_is_one_clear_error(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"this is no archive " * 100)
    with pytest.raises(SourceError, match=rf"{name}: not a readable zip or tar archive\. Copy it again\.$"):
        list(encoded([tmp_path / name]))


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz")])
def test_an_archive_that_breaks_off_is_one_clear_error(tmp_path: Path, name: str, mode: str):
    noise = np.random.default_rng(1).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    path = tarred(tmp_path / name, mode, {f"{number}.png": file_of(noise) for number in range(4)})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(
        SourceError, match=r"(breaks off after \d photos|not a readable zip or tar archive)\. Copy it again\.$"
    ):
        list(encoded([path]))


@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged TIFF tags
def test_damaged_photos_never_raise():
    random = np.random.default_rng(3)
    for kind in ("png", "jpeg", "webp", "tiff", "bmp"):
        whole = np.frombuffer(file_of(picture(1), kind), np.uint8)
        for _ in range(30):
            broken = whole.copy()
            broken[random.integers(0, len(broken), 12)] = random.integers(0, 256, 12)
            decode(broken[: random.integers(1, len(broken) + 1)].tobytes(), short_side=32)
