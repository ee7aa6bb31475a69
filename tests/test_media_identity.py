"""An input that changed is another one, and a copy of it is the same."""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli
from vidcolor.media import identity
from vidcolor.media.identity import BLOCK_BYTES, BLOCKS, WHOLE_BYTES, identity_of
from vidcolor.media.sequences import sequence_address
from vidcolor.run import is_same_input as is_same


def flip(path: Path, place: int) -> None:
    """Change one byte, and neither size nor time."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def numbered(folder: Path, count: int = 5) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.new("L", (32, 32), 20 * number).save(folder / f"frame_{number:03}.bmp")
    return sequence_address(folder, Fraction(24))


@pytest.mark.parametrize("place", [0, 1, 2**19, 2**20 - 1])
def test_one_byte_of_a_short_film_is_noticed(place: int, tmp_path: Path):
    film = sparse(tmp_path / "film.mkv", 2**20)
    before = identity_of(film)
    flip(film, place)
    assert not is_same(identity_of(film), before)
    flip(film, place)
    assert is_same(identity_of(film), before)


def test_a_copy_of_a_short_film_at_another_time_is_the_same(tmp_path: Path):
    film = make_film(tmp_path / "film.mkv")
    copy = Path(shutil.copyfile(film, tmp_path / "copy.mkv"))
    os.utime(copy, (1e9, 1e9))
    assert is_same(identity_of(copy), identity_of(film))


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.75, 1])
def test_blocks_along_a_long_film_are_looked_at(share: float, tmp_path: Path):
    film = sparse(tmp_path / "film.mkv", 5 * 2**30 + 12345)
    before, size = identity_of(film), film.stat().st_size
    gap = (size - BLOCK_BYTES) // (BLOCKS - 1)
    flip(film, min(size - 1, round(share * (BLOCKS - 1)) * gap + BLOCK_BYTES // 2))
    assert not is_same(identity_of(film), before)


def test_of_a_long_film_a_few_megabytes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    film, read = sparse(tmp_path / "film.mkv", 5 * 2**30), 0
    samples = identity._sampled_blocks

    def counted(sizes: list[int]):
        nonlocal read
        for sample in samples(sizes):
            read += sample[2]
            yield sample

    monkeypatch.setattr(identity, "_sampled_blocks", counted)
    identity_of(film)
    assert 0 < read <= 4 << 20


def test_the_time_of_a_long_film_counts(tmp_path: Path):
    """A change between the blocks is told by nothing else."""
    film = sparse(tmp_path / "film.mkv", WHOLE_BYTES + 1)
    before = identity_of(film)
    assert is_same(identity_of(film), before)
    os.utime(film, (1e9, 1e9))
    assert not is_same(identity_of(film), before)


@pytest.mark.parametrize("whole_bytes", [WHOLE_BYTES, 1000], ids=["short", "long"])
def test_one_byte_of_numbered_pictures_is_noticed(whole_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(identity, "WHOLE_BYTES", whole_bytes)
    monkeypatch.setattr(identity, "BLOCK_BYTES", 64)
    address = numbered(tmp_path / "scans")
    before = identity_of(address)
    assert is_same(identity_of(address), before)
    flip(tmp_path / "scans" / "frame_000.bmp", 60)
    assert not is_same(identity_of(address), before)
    flip(tmp_path / "scans" / "frame_000.bmp", 60)
    flip(tmp_path / "scans" / "frame_004.bmp", -1 + (tmp_path / "scans" / "frame_004.bmp").stat().st_size)
    assert not is_same(identity_of(address), before)


def test_pictures_that_changed_places_are_noticed(tmp_path: Path):
    address, folder = numbered(tmp_path / "scans"), tmp_path / "scans"
    before = identity_of(address)
    (folder / "notes 1.txt").write_text("no picture of the film")
    assert is_same(identity_of(address), before)
    (folder / "frame_001.bmp").rename(folder / "aside")
    (folder / "frame_002.bmp").rename(folder / "frame_001.bmp")
    (folder / "aside").rename(folder / "frame_002.bmp")
    assert not is_same(identity_of(address), before)


@pytest.mark.parametrize("kind", ["film", "stills", "pictures"])
def test_sizes_and_status_text_0_1_0_still_speak(kind: str, tmp_path: Path):
    address = numbered(tmp_path / "scans")
    stills = sorted((tmp_path / "scans").iterdir())
    paths = {"film": stills[:1], "stills": stills, "pictures": [address]}[kind]
    old = " ".join(identity._status_text(path) for path in paths)
    if kind != "pictures":
        assert old == " ".join(f"{path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths)
    assert is_same(identity_of(*paths), old)
    assert is_same(old, identity_of(*paths))
    os.utime(stills[0], (1e9, 1e9))
    assert not is_same(identity_of(*paths), old)
    assert identity_of() == ""


def test_a_film_begun_from_other_bytes_is_not_gone_on_with(tmp_path: Path, tiny_model: Path, capsys, monkeypatch):
    from vidcolor.media.sink import FilmSink

    for module in ("films.pipeline", "steady.checkpoints"):
        monkeypatch.setattr(f"vidcolor.{module}.SEGMENT_FRAMES", 8)
    film, out = make_film(tmp_path / "film.mkv", pts=range(20)), tmp_path / "out.mkv"
    command = [str(film), "-o", str(out), "-q", "--model", str(tiny_model)]

    def dying(_: FilmSink) -> None:
        raise OSError("the power failed")

    with monkeypatch.context() as patch:
        patch.setattr(FilmSink, "_finish", dying)
        assert cli.run(command) == 1
    flip(film, film.stat().st_size * 2 // 3)
    capsys.readouterr()
    assert cli.run(command) == 1
    told = capsys.readouterr().err
    assert (
        "16 frames of it were made with other inputs or settings and cannot be resumed: the input has changed" in told
    )
    flip(film, film.stat().st_size * 2 // 3)
    os.utime(film, (1e9, 1e9))
    assert cli.run(command) == 0
