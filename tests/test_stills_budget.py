"""How much a still may take: its size is known, and room for it found, before anything of it is decoded."""

import io
import re
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from stills_fixtures import HEIGHT, LOSSLESS, LOSSY, PICTURE, WIDTH, color_for, colored

from vidcolor.errors import SourceError
from vidcolor.stills import files
from vidcolor.stills.budget import PixelBudget
from vidcolor.stills.files import open_in_turn, open_still, write_still
from vidcolor.stills.header import MOST_PAGES
from vidcolor.stills.upright import read_size, read_upright

LIMIT = re.escape("megapixels, more than the limit of ")


def tiff_of(pages: list[tuple[int, dict[int, int]]], order: str = "<", tail: bytes = b"") -> bytes:
    """A TIFF file of directories: number of the page that each one's link leads to (0: none), and its tags.

    A tag's value below 0 is the place of a page: -1 the first. `tail` lies behind them.
    """
    lengths = [6 + 12 * len(tags) for _, tags in pages]
    places = [8 + sum(lengths[:number]) for number in range(len(pages))]
    file = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    for following, tags in pages:
        file += struct.pack(order + "H", len(tags))
        for code, value in sorted(tags.items()):
            file += struct.pack(order + "HHII", code, 4, 1, value if value >= 0 else places[-value - 1])
        file += struct.pack(order + "I", places[following - 1] if following else 0)
    return file + tail


def gray_page(width: int = 64, height: int = 64, **more: int) -> dict[int, int]:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: width * height}
    return tags | {int(code.removeprefix("tag")): value for code, value in more.items()}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("links", "found"), [((1,), "page 1 leads back to page 1"), ((2, 3, 2), "page 3 leads back to page 2")]
)
def test_pages_that_form_a_loop_are_refused(links: tuple[int, ...], found: str, order: str):
    content = tiff_of([(link, gray_page()) for link in links], order, bytes(4096))
    with pytest.raises(SourceError, match=f"its pages form a loop: {found}"):
        open_still(content, "loop.tif")
    assert read_upright(content).shape == (64, 64, 3)  # of which the first is all that is looked at


def test_directories_that_lead_to_each_other_end(tmp_path: Path):
    """EXIF's leads to GPS's and that one back, each by every name that there is: a tree without end."""
    inner = {34665: -2, 34853: -3, 40965: -2}
    content = tiff_of([(0, gray_page(tag34665=-2, tag34853=-3)), (0, inner), (0, inner)], tail=bytes(4096))
    with open_still(content) as still:
        write_still(still, [np.full((2, 8, 8), 9, np.float32)], tmp_path / "out.tif")
    assert (tmp_path / "out.tif").stat().st_size < 100_000
    assert tifffile.imread(tmp_path / "out.tif").shape == (64, 64, 3)


def test_tags_that_lie_on_each_other_are_refused():
    """Forty tags of 4,000 bytes each, all of them the same 4,000."""
    with_shared = gray_page() | {65000 + number: 0 for number in range(40)}
    content = bytearray(tiff_of([(0, with_shared)], tail=bytes(4096)))
    for at in range(10, 10 + 12 * len(with_shared), 12):
        if struct.unpack_from("<H", content, at)[0] >= 65000:
            struct.pack_into("<HII", content, at + 2, 7, 4000, len(content) - 4096)
    with pytest.raises(SourceError, match="tags hold more than the whole file"):
        open_still(bytes(content))


def many(name: str, count: int, picture: Image.Image = PICTURE) -> bytes:
    """A file of so many pages or frames, no two the same."""
    pages = [picture.point(lambda value, by=by: min(255, value + by)) for by in range(count)]
    file = io.BytesIO()
    options = {"duration": 40, "lossless": True} if name == "WEBP" else {"duration": 40} if name == "GIF" else {}
    pages[0].save(file, name, save_all=True, append_images=pages[1:], **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "AVIF"])
def test_the_pages_of_a_file_are_counted_together(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vidcolor.stills.header.PIXELS_A_BYTE", 0)
    content = many(kind, 5)
    with open_still(content, "box", largest_pixels=5 << 18) as still:
        assert len(still.pages) == 5
    for module in ("files", "tiff"):
        monkeypatch.setattr(f"vidcolor.stills.{module}.make_page", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(SourceError, match=f"^box: 5 pages .* 1.31072 {LIMIT}1.31.*--largest-photo"):
        open_still(content, "box", largest_pixels=(5 << 18) - 1)  # small pages count as what the network looks at


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "AVIF"])
def test_a_book_of_many_pages_is_no_bomb(kind: str):
    with open_still(many(kind, 5), "book", largest_pixels=PICTURE.width * PICTURE.height) as still:
        assert len([page.tone for page in still.pages]) == 5
    with pytest.raises(SourceError, match=f"^book: {PICTURE.width} x {PICTURE.height} = "):
        open_still(many(kind, 5), "book", largest_pixels=PICTURE.width * PICTURE.height - 1)


@pytest.mark.parametrize(
    "name", ["gray.png", "gray.jpg", "lossless.webp", "lossy.webp", "gray.jp2", "gray.bmp", "gray.pgm", "gray.avif"]
)
def test_one_picture_is_counted_as_it_is(name: str, tmp_path: Path):
    (LOSSLESS | LOSSY)[name](tmp_path / name)
    assert read_size(tmp_path / name) == (WIDTH, HEIGHT)
    open_still(tmp_path / name, largest_pixels=WIDTH * HEIGHT).close()
    with pytest.raises(SourceError, match=rf"{WIDTH} x {HEIGHT} = 0.01206 {LIMIT}0.012059\."):
        open_still(tmp_path / name, largest_pixels=WIDTH * HEIGHT - 1)


def test_more_pages_than_anybody_scans_are_refused():
    frame = b",\0\0\0\0\1\0\1\0\0\2\2L\1\0"
    content = b"GIF89a\1\0\1\0\x80\0\0" + bytes(6) + frame * (MOST_PAGES + 1) + b";"
    with pytest.raises(SourceError, match=f"more than {MOST_PAGES} pages"):
        open_still(content)


def test_files_of_parts_without_end_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vidcolor.stills.header._MOST_READS", 1000)
    chunks = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 9, 9, 8, 0, 0, 0, 0, 0)
    chunks += (bytes(4) + b"teXt" + bytes(4)) * 2000
    for content in (b"\xff\xd8" + b"\xff\xfe\0\2" * 2000, chunks, b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\0" * 2000):
        with pytest.raises(SourceError, match="too many parts"):
            open_still(content)


def test_frames_that_widen_a_gif_are_counted_at_their_width():
    content = b"GIF89a\1\0\1\0\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\2\2L\1\0;"
    with pytest.raises(SourceError, match=f"65535 x 65535 = 4294.84 {LIMIT}1000"):
        open_still(content, largest_pixels=10**9)


def test_a_tile_that_is_larger_than_its_page_is_counted():
    tags = gray_page(tag322=60_000, tag323=60_000, tag324=8, tag325=4096)
    with pytest.raises(SourceError, match=f"60000 x 60000 = 3600 {LIMIT}1000"):
        open_still(tiff_of([(0, tags)], tail=bytes(4096)), largest_pixels=10**9)


def test_a_strip_that_says_it_is_larger_than_its_page_is_refused():
    strip = io.BytesIO()
    Image.new("L", (8000, 8000)).save(strip, "JPEG")
    tags = gray_page(tag259=7, tag273=0, tag279=len(strip.getvalue()))
    content = tiff_of([(0, tags)])
    tags[273] = len(content)
    with pytest.raises(SourceError, match="larger than the page"):
        open_still(tiff_of([(0, tags)], tail=strip.getvalue()))


class _Counted(io.BytesIO):
    """A file that says how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found


@pytest.mark.parametrize("name", ["gray.jpg", "gray.png", "lossy.webp", "gray.jp2", "gray.bmp"])
def test_a_huge_file_of_a_small_picture_is_refused_by_its_head(name: str, tmp_path: Path):
    (LOSSLESS | LOSSY)[name](tmp_path / name)
    with (tmp_path / name).open("r+b") as file:
        file.truncate(3 << 30)  # a hole, which takes no room on the disk
    before = _peak()
    with pytest.raises(SourceError, match=r"3221\.23 MB, where a picture of 0\.01206 megapixels takes 268"):
        open_still(tmp_path / name)
    assert _peak() - before < 100


def _peak() -> int:
    """Megabytes."""
    resource = pytest.importorskip("resource")
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) // 1024


def test_only_the_head_is_read_of_what_is_too_large():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1500, 1500), np.uint8)).save(file, "JPEG", quality=98)
    counted = _Counted(file.getvalue())
    with pytest.raises(SourceError, match="limit"):
        open_still(counted, largest_pixels=1_000_000)
    assert 0 < counted.taken < 2000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
def test_pillows_limit_is_the_hosts_and_not_in_the_way(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (LOSSLESS | LOSSY)[name](tmp_path / name)
    PICTURE.save(tmp_path / "plain.png")
    whole, _ = colored(tmp_path / name, tmp_path / f"a {name}")
    for limit in (100, WIDTH * HEIGHT * 2 // 3):  # refuses, and warns
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        again, _ = colored(tmp_path / name, tmp_path / f"b {name}")
        assert limit == Image.MAX_IMAGE_PIXELS
        assert np.array_equal(again.pages[0].rows(0, HEIGHT), whole.pages[0].rows(0, HEIGHT))
        assert (tmp_path / f"b {name}").read_bytes() == (tmp_path / f"a {name}").read_bytes()
        assert read_upright(tmp_path / name).shape == (HEIGHT, WIDTH, 3)
        with pytest.raises((Image.DecompressionBombError, Image.DecompressionBombWarning)):
            Image.open(tmp_path / "plain.png")


def test_an_animation_that_pillow_guards_is_refused_without_a_warning(monkeypatch: pytest.MonkeyPatch):
    contents = many("GIF", 3), many("WEBP", 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(SourceError, match=r"Image\.MAX_IMAGE_PIXELS"):
        open_still(contents[0])
    said = ""
    try:  # of a WebP file, old releases of Pillow do not ask
        with open_still(contents[1]) as still:
            assert [page.size for page in still.pages] == [(PICTURE.height, PICTURE.width)] * 3
    except SourceError as error:
        said = str(error)
    assert not said or "Image.MAX_IMAGE_PIXELS" in said


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP"])
def test_one_page_after_another_is_in_memory(kind: str, tmp_path: Path):
    """Forty pages of 2 megapixels: decoded together they would take 600 MB and more."""
    script = """
import resource, sys, numpy as np
from pathlib import Path
from vidcolor.stills.files import open_still, write_still
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_still(Path(sys.argv[1])) as still:
    colors = (np.full((2, 8, 8), 9 + number, np.float32) for number in range(len(still.pages)))
    write_still(still, colors, Path(sys.argv[2]))
print(start // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, len(still.pages))
"""
    gray = Image.fromarray(np.add.outer(np.arange(1000) // 8, np.arange(2000) // 20).astype(np.uint8))
    source = tmp_path / f"a.{kind.lower()}"
    if kind == "TIFF":
        with tifffile.TiffWriter(source) as file:
            for by in range(40):
                file.write(np.asarray(gray) + np.uint8(by), compression="zlib", metadata=None)
    else:
        source.write_bytes(many(kind, 40, gray))
    command = [sys.executable, "-c", script, str(source), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    start, most, pages = map(int, done.stdout.split())
    assert pages == 40
    assert most - start < 250, f"{most - start} MB"


def test_color_is_asked_for_page_by_page(tmp_path: Path):
    for kind in ("TIFF", "GIF"):
        with open_still(many(kind, 4)) as still:
            asked: list[Any] = []

            def colors(still: Any = still, asked: list[Any] = asked) -> Any:
                for number in range(4):
                    page = still.pages[number]
                    asked.append(page)
                    yield None if number in (0, 2) else color_for(page)

            write_still(still, colors(), tmp_path / "out")
        assert len({id(page) for page in asked}) == 4
        with open_still(tmp_path / "out") as after:
            found = [after.pages[number].tone for number in range(4)]
        assert found == ["gray", "color", "gray", "color"]


def test_frames_of_a_gif_can_be_seen_through_and_keep_their_places(tmp_path: Path):
    frames = []
    for number in range(3):
        frame = Image.new("LA", (60, 40), (0, 0))
        frame.paste(Image.new("LA", (20, 20), (90 + 40 * number, 255)), (10 * number, 10))
        frames.append(frame.convert("RGBA"))
    frames[0].save(
        tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[50, 60, 70], disposal=2, loop=3
    )
    colored(tmp_path / "a.gif", tmp_path / "b.gif")
    with Image.open(tmp_path / "a.gif") as old, Image.open(tmp_path / "b.gif") as new:
        assert (new.n_frames, new.info["loop"]) == (3, 3)
        for number in range(3):
            old.seek(number)
            new.seek(number)
            assert new.info["duration"] == old.info["duration"]
            alpha = [np.asarray(file.convert("RGBA"))[..., 3] for file in (old, new)]
            assert np.array_equal(*alpha)


def test_a_file_waits_until_there_is_room_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    PICTURE.save(tmp_path / "a.png")
    room, opened = PixelBudget(WIDTH * HEIGHT + 10), threading.Event()
    monkeypatch.setattr(files, "PIXEL_BUDGET", room)
    decoding = threading.Event()
    real = files.decode_frame
    monkeypatch.setattr(files, "decode_frame", lambda *given: (decoding.set(), real(*given))[1])

    def work() -> None:
        with open_in_turn(tmp_path / "a.png"):
            opened.set()

    thread = threading.Thread(target=work, daemon=True)
    with room.reserve(11):
        thread.start()
        assert not decoding.wait(0.5)
    assert opened.wait(60)
    thread.join(60)


def test_a_picture_larger_than_all_room_is_worked_alone():
    room, log = PixelBudget(100), list[str]()

    def work(name: str, pixels: int) -> None:
        with room.reserve(pixels):
            log.append(f"{name} in")
            threading.Event().wait(0.05)
            log.append(f"{name} out")

    threads = [
        threading.Thread(target=work, args=(name, 1000 if name == "large" else 60)) for name in ("a", "large", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(log[at].split()[0] == log[at + 1].split()[0] for at in (0, 2, 4))
