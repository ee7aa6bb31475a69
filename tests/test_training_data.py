"""Training takes photos, archives and films in any mixture, and says what it skipped."""

import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import make_film
from photo_fixtures import file_of, gray, picture

from vidcolor.archives.photos import encoded, is_archive
from vidcolor.errors import SourceError
from vidcolor.stills.rgb import Rgb, decode
from vidcolor.training import films
from vidcolor.training.films import choose_frames, difference_hash, is_gray, read_film
from vidcolor.training.photos import LoadReport, Photos, is_for_validation

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

READERS = [
    pytest.param(
        True,
        id="decord",
        marks=pytest.mark.skipif(importlib.util.find_spec("decord") is None, reason="decord has no wheel here"),
    ),
    pytest.param(False, id="PyAV"),
]


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


def test_encrypted_and_broken_members_of_a_zip_are_skipped_and_counted(tmp_path: Path):
    good, locked, broken = (file_of(picture(seed)) for seed in (1, 2, 3))
    path = zipped(tmp_path / "photos.zip", {"good.png": good, "locked.png": locked, "broken.png": broken})
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\1\2")
    entry = content.rindex(b"PK\1\2", directory, content.index(b"locked.png", directory))
    content[entry + 8] |= 1  # the flag that says encrypted
    content[content.index(broken) + 60] ^= 0xFF
    path.write_bytes(content)
    assert {name: bool(file) for name, file in encoded([path])} == {
        "good.png": True, "locked.png": False, "broken.png": False
    }  # fmt: skip
    photos = Photos([path], crop=32)
    assert photos.names == ["good.png"]
    assert photos.report == LoadReport(1, 0, 0, 0, 2, 0, (("locked.png", "unreadable"), ("broken.png", "unreadable")))


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.txz", "w:xz"), ("b", "w:gz")])
def test_tar_files_are_read_however_packed(tmp_path: Path, name: str, mode: str):
    photos = {"street/1.png": file_of(picture(1)), "../2.png": file_of(picture(2))}
    others = {"read.me": b"no", "last.zip": zipped(tmp_path / "last.zip", photos).read_bytes()}
    assert dict(encoded([tarred(tmp_path / name, mode, photos | others)])) == photos


def test_what_an_archive_is_its_bytes_say(tmp_path: Path):
    photos = {"PKW/1.png": file_of(picture(1)), "2.png": file_of(picture(2))}
    whole = tarred(tmp_path / "PK.tar", "w", photos).read_bytes()
    (tmp_path / "no-end.tar").write_bytes(whole.rstrip(b"\0") + bytes(-len(whole.rstrip(b"\0")) % 512))
    (tmp_path / "packed.tar.zst").write_bytes(zstd.compress(whole))
    with tarfile.open(tmp_path / "old.dat", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in photos.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    old = bytearray((tmp_path / "old.dat").read_bytes())
    for at in [at for at in range(0, len(old), 512) if old[at + 257 : at + 262] == b"ustar"]:
        old[at + 257 : at + 265] = bytes(8)  # as before POSIX
        old[at + 148 : at + 156] = b"%06o\0 " % (sum(old[at : at + 148]) + 8 * 32 + sum(old[at + 156 : at + 512]))
    (tmp_path / "old.dat").write_bytes(old)
    program = b"MZ this program unpacks itself" * 40 + zipped(tmp_path / "a.zip", photos).read_bytes()
    (tmp_path / "program.exe").write_bytes(program)
    (tmp_path / "comic.cbz").write_bytes((tmp_path / "a.zip").read_bytes())
    for path in sorted(tmp_path.iterdir()):
        assert is_archive(path), path
        assert list(encoded([path])) == list(photos.items()), path


def test_a_broken_header_loses_no_photos_silently(tmp_path: Path):
    photos = {f"{number}.png": file_of(picture(number)) for number in range(4)}
    path = tarred(tmp_path / "a.tar", "w", photos)
    content = bytearray(path.read_bytes())
    content[content.index(b"2.png")] ^= 1
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.tar: breaks off after 2 members \(bad checksum\)\. Copy it again"):
        Photos([path], crop=32)
    path = zipped(tmp_path / "a.zip", photos)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"its directory cannot be read .+ 4 members found .+ Copy it again\.$"):
        Photos([path], crop=32)


def test_names_are_those_stored_and_may_come_again(tmp_path: Path):
    names = ["a/1.png", "A/1.PNG", "a/1.png", "__MACOSX/1.png", ".hidden/1.png", "b/../1.png", "C:/1.png"]
    for path in (tmp_path / "a.tar", tmp_path / "a.zip"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that come again
            with zipfile.ZipFile(path, "w") if path.suffix == ".zip" else tarfile.open(path, "w") as archive:
                for number, name in enumerate(names):
                    content = bytes([number]) * 9
                    if isinstance(archive, zipfile.ZipFile):
                        archive.writestr(name, content)
                    else:
                        member = tarfile.TarInfo(name)
                        member.size = len(content)
                        archive.addfile(member, io.BytesIO(content))
        assert list(encoded([path])) == [(name, bytes([number]) * 9) for number, name in enumerate(names)]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_an_unreadable_archive_is_one_clear_error(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"this is no archive " * 100)
    with pytest.raises(SourceError, match=rf"{name}: not a readable (zip|tar) archive \(.+\)\. Copy it again\.$"):
        Photos([tmp_path / name], crop=32)


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz")])
def test_an_archive_that_breaks_off_is_one_clear_error(tmp_path: Path, name: str, mode: str):
    noise = np.random.default_rng(1).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    path = tarred(tmp_path / name, mode, {f"{number}.png": file_of(noise) for number in range(4)})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(
        SourceError, match=r"(breaks off after \d members?|not a readable tar archive) \(.+\)\. Copy it again(; .+)?\.$"
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


def test_names_need_not_be_unicode(tmp_path: Path):
    path = tarred(tmp_path / "a.tar", "w", {f"caf\udce9/{number}.png": file_of(picture(number)) for number in range(9)})
    photos = Photos([path], crop=32, hold_back=("caf*", 2), validation_share=0.5)
    assert len(photos.names) + len(photos.validation_names) == 7


# What is worth learning


def test_gray_is_told_from_color():
    noise = np.random.default_rng(1).normal(0, 12, (288, 384, 3))
    light = gray(1)[..., :1] / 255
    assert is_gray(gray(1))
    assert is_gray(np.zeros((40, 40, 3), np.uint8))
    assert is_gray(np.clip(np.kron(gray(1), np.ones((4, 4, 1))) + noise, 0, 255).astype(np.uint8))  # color noise
    assert is_gray(np.clip(255 * light * [1.0, 0.95, 0.88], 0, 255).astype(np.uint8))  # toned print
    assert not is_gray(picture(1))
    faded = 0.88 * gray(1) + 0.12 * picture(1)
    assert not is_gray(faded.astype(np.uint8))


def test_hashes_are_near_for_the_same_view_and_far_for_others():
    random = np.random.default_rng(1)
    same = np.clip(picture(1) * 0.9 + random.normal(6, 5, picture(1).shape), 0, 255).astype(np.uint8)
    assert (difference_hash(picture(1)) ^ difference_hash(same)).bit_count() <= films.DUPLICATE_BITS
    distances = [(difference_hash(picture(1)) ^ difference_hash(picture(seed))).bit_count() for seed in range(2, 40)]
    assert min(distances) > films.DUPLICATE_BITS


def test_frames_are_chosen_all_over_the_film_and_the_same_every_time():
    chosen = choose_frames(2500, Fraction(25), seed=7)
    assert len(chosen) == 50
    assert all(first == 50 * slot and first <= last < first + 50 for slot, (first, last) in enumerate(chosen))
    assert chosen == choose_frames(2500, Fraction(25), seed=7) != choose_frames(2500, Fraction(25), seed=8)
    assert len(choose_frames(10**6, Fraction(24), seed=1)) == films.MAX_FRAMES
    assert choose_frames(1, Fraction(25), seed=1) == [(0, 0)]


# Films


@pytest.mark.parametrize("with_decord", READERS)
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.avi", "mpeg4"), ("a.h264", "libx264")],
)
def test_frames_are_those_that_their_names_say(tmp_path: Path, name: str, codec: str, with_decord: bool):
    pictures = [picture(seed) for seed in range(60)]
    path = film(tmp_path / name, pictures, codec=codec, rate=25)  # what a bare stream is taken for
    read = read_film(path, short_side=72, every_seconds=0.4, with_decord=with_decord)
    assert (read.examined, read.kept, read.unreadable) == (6, 6, 0)
    assert read.from_decord == (6 if with_decord and name in ("a.mp4", "a.mkv") else 0)
    for frame, rgb in read.frames:
        stem, number = frame.split("/")
        assert stem == "a"
        assert np.abs(rgb.astype(int) - pictures[int(number)]).mean() < 12


@pytest.mark.parametrize("with_decord", READERS)
def test_gray_frames_and_near_duplicates_are_counted_not_kept(tmp_path: Path, with_decord: bool):
    scenes = [picture(1), gray(2), picture(3), picture(1), gray(4)]
    path = film(tmp_path / "western.mkv", [scene for scene in scenes for _ in range(20)])
    read = read_film(path, short_side=72, every_seconds=2, with_decord=with_decord)
    assert (read.examined, read.kept, read.gray, read.duplicates) == (10, 2, 4, 4)
    again = read_film(path, short_side=72, every_seconds=2, with_decord=with_decord)
    assert [name for name, _ in again.frames] == [name for name, _ in read.frames]


@pytest.mark.parametrize("with_decord", READERS)
def test_frames_are_shrunk_and_a_large_film_without_a_matrix_is_bt709(tmp_path: Path, with_decord: bool):
    color = np.array([40, 170, 60], np.uint8)
    kr, kg, kb = 0.2126, 0.7152, 0.0722
    red, green, blue = color / 255
    y = kr * red + kg * green + kb * blue
    codes = (16 + 219 * y, 128 + 224 * (blue - y) / (2 * (1 - kb)), 128 + 224 * (red - y) / (2 * (1 - kr)))
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=5, options={"qp": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 600, "yuv420p"
        for number in range(2):
            frame = av.VideoFrame(640, 600, "yuv420p")
            for plane, code in zip(frame.planes, codes, strict=True):
                plane.update(bytes([round(code)]) * plane.buffer_size)
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    seen: list[Rgb] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(films, "is_gray", lambda rgb: bool(seen.append(rgb)))
        read_film(tmp_path / "a.mp4", short_side=100, with_decord=with_decord)
    assert seen[0].shape == (100, 107, 3)
    assert np.abs(seen[0].astype(int) - color).max() <= 4


@pytest.mark.skipif(os.name == "nt", reason="stands in for Python with a shell script")
@pytest.mark.parametrize("fate", ["exec sleep 60", "kill -ABRT $$", "head -c 100 /dev/zero; exec sleep 60"])
def test_when_decord_hangs_or_crashes_pyav_reads_the_film(tmp_path: Path, fate: str, monkeypatch: pytest.MonkeyPatch):
    path = film(tmp_path / "a.mp4", [picture(seed) for seed in range(30)])
    monkeypatch.setattr(films, "_can_use_decord", lambda _: True)
    monkeypatch.setattr(films, "_DECORD_SECONDS", 0.3)
    stub = tmp_path / "python"
    stub.write_text(f"#!/bin/sh\nexec sh -c '{fate}'\n")
    stub.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stub))
    read = read_film(path, short_side=72)
    assert (read.kept, read.from_decord) == (3, 0)


def test_a_cut_off_film_gives_what_it_has(tmp_path: Path):
    path = film(tmp_path / "a.mkv", [picture(seed) for seed in range(100)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    read = read_film(path, short_side=72)
    assert read.examined == read.kept + read.unreadable
    assert read.kept >= 4
    assert read.unreadable >= 2


def test_an_hdr_film_is_refused(tmp_path: Path):
    path = make_film(tmp_path / "a.mkv", color={"colorspace": 9, "color_primaries": 9, "color_trc": 16})
    with pytest.raises(SourceError, match="an HDR film"):
        read_film(path, short_side=32)


# The mixture


@pytest.fixture
def _sparsely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short films are looked at as sparsely as long ones, so that a test can count on its fingers."""
    monkeypatch.setattr(films, "MIN_FRAMES", 1)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos and films beside a zip, a tar, a photo and a film."""
    home = tmp_path_factory.mktemp("mixture")
    westerns = home / "westerns"
    (westerns / "town").mkdir(parents=True)
    (westerns / "town" / "1.png").write_bytes(file_of(picture(1)))
    (westerns / "town" / "gray.png").write_bytes(file_of(gray(1)))
    (westerns / "town" / "cut.png").write_bytes(file_of(picture(1))[:900])
    (westerns / "town" / "small.png").write_bytes(file_of(picture(1, 12, 9)))
    film(westerns / "rio.mkv", [picture(seed) for seed in range(100, 120)])
    (westerns / "broken.mp4").write_bytes(b"\0" * 5000)
    zipped(home / "box.zip", {"box/1.png": file_of(picture(2)), "box/2.png": file_of(picture(3))})
    tarred(home / "more.tar.gz", "w:gz", {"more/1.png": file_of(picture(4))})
    (home / "one.png").write_bytes(file_of(picture(5)))
    film(home / "canyon.mp4", [picture(6)] * 20 + [gray(7)] * 10)
    return home


def sources(home: Path) -> list[Path]:
    return [home / name for name in ("westerns", "box.zip", "canyon.mp4", "more.tar.gz", "one.png")]


@pytest.mark.usefixtures("_sparsely")
@pytest.mark.parametrize("with_decord", READERS)
def test_photos_archives_and_films_are_taken_together(mixture: Path, with_decord: bool):
    told: list[str] = []
    photos = Photos(sources(mixture), crop=32, with_decord=with_decord, on_film=lambda film: told.append(film.name))
    report = photos.report
    assert (report.photos, report.film_frames) == (5, 3)
    assert (report.gray, report.duplicates, report.unreadable, report.tiny) == (2, 1, 2, 1)
    assert report.describe() == (
        "5 photos and 3 film frames to learn from; skipped: 2 gray, 1 duplicate, 2 unreadable, 1 tiny"
    )
    skipped = dict(report.skipped)
    assert skipped.keys() == {"town/gray.png", "town/cut.png", "town/small.png", "broken.mp4"}
    assert "in no format that FFmpeg reads" in skipped["broken.mp4"]
    assert photos.names[:5] == ["town/1.png", "box/1.png", "box/2.png", "more/1.png", "one.png"]
    assert [name.split("/")[0] for name in photos.names[5:]] == ["rio", "rio", "canyon"]
    assert told == ["broken.mp4", "rio.mkv", "canyon.mp4"]
    assert all(min(rgb.shape[:2]) >= 32 for rgb in photos.rgb)
    assert next(photos.batches(8, seed=1)).shape == (8, 32, 32, 3)


@pytest.mark.usefixtures("_sparsely")
def test_film_frames_can_be_held_back_by_pattern(mixture: Path):
    photos = Photos(sources(mixture), crop=32, hold_back=("rio/*", 2))
    assert not any(name.startswith("rio/") for name in photos.names)
    assert photos.report.film_frames == 1


def test_the_share_for_validation_is_settled_by_name(tmp_path: Path):
    names = [f"street/{number}.jpg" for number in range(2000)]
    assert 350 < sum(is_for_validation(name, 0.2) for name in names) < 450
    assert not any(is_for_validation(name, 0.0) for name in names)
    members = {name: file_of(picture(number)) for number, name in enumerate(names[:40])}
    few, many = (
        Photos([zipped(tmp_path / f"{count}.zip", dict(list(members.items())[:count]))], crop=32, validation_share=0.3)
        for count in (20, 40)
    )
    assert set(few.validation_names) == set(many.validation_names) & set(names[:20])
    assert sorted(few.names + few.validation_names) == sorted(names[:20])
    assert few.validation_crops().shape == (len(few.validation_names), 32, 32, 3)
    assert few.report.photos == 20


@pytest.mark.usefixtures("_sparsely")
def test_nothing_to_learn_from_is_one_clear_error(tmp_path: Path):
    (tmp_path / "gray.png").write_bytes(file_of(gray(1)))
    film(tmp_path / "gray.mkv", [gray(1)] * 10)
    with pytest.raises(SourceError, match=r"no readable photo or film frame to learn from \(2 gray\)"):
        Photos([tmp_path], crop=32)
    (tmp_path / "color.png").write_bytes(file_of(picture(1)))
    with pytest.raises(SourceError, match="every picture fell into the validation share"):
        Photos([tmp_path], crop=32, validation_share=1.0)


def test_what_is_neither_photo_nor_archive_nor_film_is_told(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("westerns")
    with pytest.raises(SourceError, match="no readable photo or film frame to learn from"):
        Photos([tmp_path / "notes.txt"], crop=32)


def test_archives_of_photos_need_neither_pyav_nor_decord(mixture: Path):
    code = (
        "import sys; sys.modules['av'] = sys.modules['decord'] = None\n"
        "from pathlib import Path; from vidcolor.training.photos import Photos\n"
        f"print(len(Photos([Path({str(mixture / 'box.zip')!r})], crop=32).names))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "2"


def test_some_crops_are_drawn_cards_without_color(photos: Path):
    stored = Photos([photos], crop=32)
    plain, mixed = (next(stored.batches(40, seed=3, title_cards=share)) for share in (0.0, 0.3))
    is_other = (plain != mixed).any(axis=(1, 2, 3))
    assert 4 <= is_other.sum() <= 20
    assert np.ptp(mixed[is_other], axis=3).max() == 0
    assert np.ptp(mixed[is_other].reshape(is_other.sum(), -1), axis=1).min() > 0  # something is drawn


def test_a_short_film_is_looked_at_closely(tmp_path: Path):
    scenes = [picture(number) for number in range(12) for _ in range(2)]  # one second, twelve pictures
    report = Photos([film(tmp_path / "short.mkv", scenes)], crop=32).report
    assert report.film_frames >= 10
    assert report.duplicates >= 10
