"""What belongs together is found, shown on one bounded page, and what is not shown is said."""

import base64
import io
import re
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli
from vidcolor.compare import Match, match
from vidcolor.compare.films import clock
from vidcolor.errors import SourceError, UsageError


def run(*arguments: object) -> int:
    return cli.run(["compare", *map(str, arguments)])


def scene(size: tuple[int, int] = (60, 80), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def embedded(page: Path, kind: str) -> list[bytes]:
    found = re.findall(rf'src="data:{kind};base64,([^"]+)"', page.read_text(encoding="utf-8"))
    return [base64.b64decode(text) for text in found]


def still_film(path: Path, levels: list[tuple[int, int, int]], *, frames: int = 10, rate: int = 10) -> Path:
    """Shots of noise in a tint, each of so many frames."""
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for seed, tint in enumerate(levels):
            gray = np.random.default_rng(seed).uniform(0.2, 1, (12, 16)).repeat(8, 0).repeat(8, 1)
            picture = np.rint(gray[..., None] * tint).astype(np.uint8)
            for _ in range(frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


def test_files_of_folders_are_matched_by_name_and_by_stem(tmp_path: Path):
    before, after = tmp_path / "before", tmp_path / "after"
    for name in ("a.jpg", "deep/b.tif", "deep/c.png", "two.jpg", "two.png", ".hidden/d.jpg", "._a.jpg"):
        save(before / name, scene())
    for name in ("a.jpg", "deep/b.png", "two.webp", "e.jpg"):
        save(after / name, scene())
    (after / "report.html").touch()
    found = match(before, after)
    assert found.found == (
        Match("a.jpg", "photo", before / "a.jpg", after / "a.jpg"),
        Match("deep/b.tif", "photo", before / "deep/b.tif", after / "deep/b.png"),
    )
    assert found.only_before == ("deep/c.png", "two.jpg", "two.png")  # which of the two became two.webp is unknown
    assert found.only_after == ("e.jpg", "two.webp")


def test_what_does_not_match_is_refused_in_one_line(tmp_path: Path, capsys):
    photo, film = save(tmp_path / "one" / "a.jpg", scene()), make_film(tmp_path / "film.mkv")
    save(tmp_path / "other" / "b.jpg", scene())
    with pytest.raises(UsageError, match="two films, two photos or two folders"):
        match(photo, film)
    with pytest.raises(SourceError, match=r"nothing belongs together: .* such as a.jpg and .* such as b.jpg"):
        match(tmp_path / "one", tmp_path / "other")
    with pytest.raises(SourceError, match="no such file"):
        match(photo, tmp_path / "none.jpg")
    (tmp_path / "box.zip").touch()
    with pytest.raises(UsageError, match="Unpack it first"):
        match(tmp_path / "box.zip", photo)
    assert run(photo, film, "-o", tmp_path / "page.html") == 2
    assert run(tmp_path / "one", tmp_path / "other", "-o", tmp_path / "page.html") == 1
    assert run(photo, photo, "-o", tmp_path / "none" / "page.html") == 1
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert not (tmp_path / "page.html").exists()


def test_photos_come_with_small_and_large_pictures_and_an_existing_page_stays(tmp_path: Path, capsys):
    gray = np.repeat(scene((900, 1200))[..., :1], 3, axis=2)
    before = save(tmp_path / "scan.png", gray)
    after = save(tmp_path / "scan-color.png", scene((900, 1200)))
    page = tmp_path / "page.html"
    assert run(before, after, "-o", page, "--side", 800) == 0
    assert "1 of 1 pair," in capsys.readouterr().err
    pictures = [Image.open(io.BytesIO(content)) for content in embedded(page, "image/jpeg")]
    assert sorted((one.size, one.mode) for one in pictures) == [
        ((560, 420), "L"), ((560, 420), "RGB"), ((800, 600), "L"), ((800, 600), "RGB"),
    ]  # fmt: skip
    assert not re.findall(r'(?:src|href)="(?!data:)|url\(|https?:', page.read_text(encoding="utf-8"))
    content = page.read_bytes()
    assert run(before, after, "-o", page) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert page.read_bytes() == content
    assert run(before, after, "-o", page, "--overwrite") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "scan-color.png", "scan.png"]


def test_the_page_keeps_to_its_size_and_says_what_it_leaves_out(tmp_path: Path, capsys):
    for number in range(12):
        for folder in ("before", "after"):
            save(tmp_path / folder / f"{number:02}.png", scene((500, 700), number))  # noise: JPEG's worst case
    (tmp_path / "before" / "torn.jpg").write_bytes(b"no picture")
    save(tmp_path / "after" / "torn.jpg", scene())
    save(tmp_path / "after" / "lone.jpg", scene())
    page = tmp_path / "page.html"
    assert run(tmp_path / "before", tmp_path / "after", "-o", page, "--megabytes", 2) == 0
    said = capsys.readouterr().err
    assert page.stat().st_size < 2.2e6
    text = page.read_text(encoding="utf-8")
    shown = text.count("<figure")
    assert 4 <= shown < 12
    assert f"{shown} of 13 pairs, from all over" in text
    assert "1 only after" in text
    assert "lone.jpg" in text
    assert f"{shown} of 13 pairs, 1 file without a counterpart" in said


def test_a_photo_that_cannot_be_read_is_named_and_the_others_are_shown(tmp_path: Path, capsys):
    for folder in ("before", "after"):
        save(tmp_path / folder / "good.png", scene())
        save(tmp_path / folder / "torn.png", scene())
    (tmp_path / "after" / "torn.png").write_bytes(b"no picture")
    page = tmp_path / "page.html"
    assert run(tmp_path / "before", tmp_path / "after", "-o", page) == 0
    assert "torn.png" in capsys.readouterr().err
    assert "1 could not be shown" in page.read_text(encoding="utf-8")
    assert run(tmp_path / "before" / "torn.png", tmp_path / "after" / "torn.png", "-o", page, "--overwrite") == 1


def test_deep_and_turned_scans_are_shown_upright_in_eight_bits(tmp_path: Path):
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, np.full((40, 60, 3), (60000, 30000, 5000), np.uint16), photometric="rgb")
    turned = Image.fromarray(np.full((60, 40), 100, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    page = tmp_path / "page.html"
    assert run(tmp_path / "turned.jpg", deep, "-o", page) == 0
    small = [Image.open(io.BytesIO(content)) for content in embedded(page, "image/jpeg")[:2]]
    after, before = (np.asarray(image).astype(int) for image in small)
    assert before.shape == (40, 60)
    assert np.abs(after - (60000 >> 8, 30000 >> 8, 5000 >> 8)).max() < 6


def test_a_film_is_shown_by_its_shots_and_a_clip_of_both_sides(tmp_path: Path):
    before = still_film(tmp_path / "before.mkv", [(200, 200, 200)] * 3)
    after = still_film(tmp_path / "after.mkv", [(220, 60, 60), (60, 220, 60), (60, 60, 220)])
    page = tmp_path / "page.html"
    assert run(before, after, "-o", page, "--shots", 3, "--clip", "0.8s", "--at", "1") == 0
    text = page.read_text(encoding="utf-8")
    captions = re.findall(r"<figcaption[^>]*>([^<]*)", text)
    assert captions == ["0:01.0 to 0:01.8", "0:00.0, frame 0", "0:01.0, frame 10", "0:02.0, frame 20"]
    large = re.findall(r"<template>(.*?)</template>", text)[1:]
    for shot, template in enumerate(large):
        jpegs = [base64.b64decode(data) for data in re.findall(r'base64,([^"]+)"', template)]
        colored, gray = (np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int) for jpeg in jpegs)
        assert colored.mean((0, 1)).argmax() == shot
        assert np.ptp(gray.mean((0, 1))) < 4
    (film,) = embedded(page, "video/mp4")
    with av.open(io.BytesIO(film)) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert len(frames) == 8
    for frame in frames:
        assert frame.shape == (192, 128, 3)
        assert np.ptp(frame[:96].mean((0, 1))) < 8
        assert frame[96:].mean((0, 1)).argmax() == 1  # the second shot


def test_films_of_other_rate_size_and_length_are_shown_as_far_as_both_go(tmp_path: Path, capsys):
    before = still_film(tmp_path / "before.mkv", [(200, 200, 200)] * 3)
    after = make_film(tmp_path / "after.mkv", size=(256, 192), pts=tuple(range(30)))  # 1.2 s at 25 frames a second
    page = tmp_path / "page.html"
    assert run(before, after, "-o", page, "--shots", 3, "--clip", "2s") == 0
    assert "1 of the 3 moments to show comes after its end" in capsys.readouterr().err
    (film,) = embedded(page, "video/mp4")
    with av.open(io.BytesIO(film)) as container:
        assert (container.streams[0].width, container.streams[0].height) == (256, 384)
        assert len(list(container.decode(video=0))) == 20
    assert run(before, after, "-o", page, "--overwrite", "--clip", "0") == 0
    assert embedded(page, "video/mp4") == []
    assert run(before, after, "-o", page, "--overwrite", "--at", "2") == 0  # where only one of them still goes on
    assert "no clip" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.0"), (8.24, "0:08.2"), (59.96, "1:00.0"), (3661.5, "1:01:01.5")]
)
def test_times_are_written_as_players_do(seconds: float, text: str):
    assert clock(seconds) == text
