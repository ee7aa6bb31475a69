"""Gray photos with colors around or on them are told from color photos; the gray is colored, the colors stay."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from stills_fixtures import color_for, colored

import vidcolor
from vidcolor.stills.files import open_still, write_still
from vidcolor.stills.page import StillSettings

HEIGHT, WIDTH = 520, 700
Y, X = np.mgrid[:HEIGHT, :WIDTH]


def photo(tone: str = "gray") -> np.ndarray:
    """Something with light and shade everywhere, with grain: (HEIGHT, WIDTH, 3)."""
    light = 0.5 + 0.22 * np.sin(X / 31) * np.cos(Y / 43) + 0.12 * np.sin((X + 2 * Y) / 11) + 0.1 * ((X // 60) % 2)
    light = np.clip(light + np.random.default_rng(3).normal(0, 0.02, light.shape), 0.02, 0.98)
    red, blue = {"gray": (1.0, 1.0), "sepia": (0.85, 1.2), "cyan": (1.1, 0.9)}[tone]
    return np.rint(np.stack([light**red, light, light**blue], axis=2) * 255).astype(np.uint8)


def ground(margin: int, color: tuple[int, int, int], of: np.ndarray, below: int = 0) -> np.ndarray:
    """A picture on plain paper with some grain."""
    size = (of.shape[0] + 2 * margin + below, of.shape[1] + 2 * margin, 3)
    paper = np.clip(np.array(color) + np.random.default_rng(5).normal(0, 2, size), 0, 255).astype(np.uint8)
    paper[margin : margin + of.shape[0], margin : margin + of.shape[1]] = of
    return paper


def target(columns: int = 12) -> np.ndarray:
    """A row of patches, some of them gray."""
    patches = np.random.default_rng(2).integers(30, 230, (2, columns, 3)).astype(np.uint8)
    patches[:, 1::4] = patches[:, 1::4, :1]
    return patches.repeat(36, axis=0).repeat(40, axis=1)


def stamped(picture: np.ndarray, color: tuple[int, int, int] = (170, 25, 35)) -> np.ndarray:
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.circle(mask, (430, 300), 110, 255, 7)
    cv2.circle(mask, (430, 300), 80, 255, 4)
    cv2.putText(mask, "ARCHIV", (365, 312), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 255, 4)
    share = mask[..., None] / 255 * 0.85
    return (picture * (1 - share) + picture * (np.array(color) / 255) * share).astype(np.uint8)


def scan(kind: str, tone: str = "gray") -> tuple[np.ndarray, list[tuple[slice, slice]], list[tuple[slice, slice]]]:
    """A scan, and rows and columns of parts of it that are gray, and of parts that have colors."""
    picture = photo(tone)
    inside = (slice(100, 500), slice(100, 600))
    if kind == "target":
        made = ground(40, (248, 248, 248), picture, below=110)
        made[580:652, 60:540] = target()
        return made, [inside], [(slice(584, 648), slice(64, 536))]
    if kind == "ruler":
        made = ground(40, (240, 240, 240), picture, below=90)
        made[575:630, 60:660] = (228, 200, 50)
        made[575:600, 64:656:12] = made[575:600, 65:656:12] = 20
        return made, [inside], [(slice(602, 628), slice(64, 656))]
    if kind == "red border":
        return (
            ground(48, (172, 26, 30), picture),
            [inside],
            [(slice(0, 40), slice(0, 700)), (slice(0, 600), slice(0, 40))],
        )
    if kind == "album":
        page = ground(60, (104, 72, 46), np.concatenate([picture[:, :330], picture[:, 370:]], axis=1)[:, :660])
        page[:, 60 + 310 : 60 + 350] = page[:, 5:45]
        return (
            page,
            [(slice(90, 540), slice(90, 340))],
            [(slice(0, 640), slice(0, 52)), (slice(0, 640), slice(378, 402))],
        )
    assert kind == "stamp"
    return stamped(picture), [(slice(20, 160), slice(20, 680))], []


def in_jpeg(picture: np.ndarray, path: Path, **options: Any) -> Path:
    Image.fromarray(picture).save(path, **({"quality": 88, "subsampling": "4:2:0"} | options))
    return path


def chroma(picture: np.ndarray) -> np.ndarray:
    return np.ptp(picture.astype(int), axis=2)


@pytest.mark.parametrize("tone", ["gray", "sepia"])
@pytest.mark.parametrize("kind", ["target", "ruler", "red border", "album", "stamp"])
@pytest.mark.parametrize("form", ["scan.jpg", "scan.tif", "scan.png"])
def test_what_is_gray_of_a_mixed_scan_is_painted_and_colors_stay(kind: str, tone: str, form: str, tmp_path: Path):
    made, gray, own = scan(kind, tone)
    source, target = tmp_path / form, tmp_path / f"out {form}"
    if form.endswith("jpg"):
        in_jpeg(made, source)
    elif form.endswith("tif"):
        tifffile.imwrite(source, made, photometric="rgb", compression="lzw")
    else:
        Image.fromarray(made).save(source)
    before, _ = colored(source, target)
    assert before.pages[0].tone == "mixed"
    old, new = (np.asarray(Image.open(path).convert("RGB")) for path in (source, target))
    for part in gray:
        assert np.median(np.abs(new[part].astype(int) - old[part]).max(axis=2)) > 10  # painted
    for part in own:
        off = np.abs(new[part].astype(int) - old[part])
        assert off.mean() < 2 if form.endswith("jpg") else off.max() == 0
    if kind == "stamp" and form.endswith("png"):
        is_ink = (old[..., 0].astype(int) - old[..., 1] > 60) & (old[..., 0].astype(int) - old[..., 2] > 60)
        assert is_ink.sum() > 500
        assert (new[is_ink] == old[is_ink]).mean() > 0.9


def test_recolor_paints_all_of_a_mixed_scan(tmp_path: Path):
    made, _, own = scan("red border")
    Image.fromarray(made).save(tmp_path / "scan.png")
    colored(tmp_path / "scan.png", tmp_path / "anew.png", is_recoloring=True)
    new = np.asarray(Image.open(tmp_path / "anew.png"))
    assert all(np.abs(new[part].astype(int) - made[part]).mean() > 20 for part in own)


@pytest.mark.parametrize("name", ["deep.tif", "turned.jpg", "alpha.png", "large.tif"])
def test_mixed_scans_of_any_make_keep_their_colors(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made, gray, own = scan("red border")
    source, target = tmp_path / name, tmp_path / f"out {name}"
    if name == "deep.tif":
        tifffile.imwrite(source, made.astype(np.uint16) * 257, photometric="rgb")
    elif name == "large.tif":
        monkeypatch.setattr("vidcolor.stills.tiff.HELD_PIXELS", 1000)
        monkeypatch.setattr("vidcolor.stills.tiff.BAND_PIXELS", 60_000)
        tifffile.imwrite(source, made, photometric="rgb", rowsperstrip=50, compression="zlib")
    elif name == "alpha.png":
        Image.fromarray(np.dstack([made, np.full(made.shape[:2], 255, np.uint8)])).save(source)
    else:
        exif = Image.Exif()
        exif[274] = 6
        in_jpeg(made, source, quality=95, exif=exif)
    before, _ = colored(source, target)
    assert before.pages[0].tone == "mixed"
    read = tifffile.imread if name.endswith("tif") else lambda path: np.asarray(Image.open(path).convert("RGB"))
    old, new = (read(path).astype(float) for path in (source, target))
    scale = 257 if name == "deep.tif" else 1
    assert all(np.median(np.abs(new[part] - old[part]).max(axis=2)) > 10 * scale for part in gray)
    allowed = 2 if name.endswith("jpg") else 0
    assert all(np.abs(new[part] - old[part]).mean() <= allowed for part in own)


def test_a_photo_on_sepia_tone_with_white_around_it_is_still_painted_whole(tmp_path: Path):
    Image.fromarray(ground(30, (250, 250, 250), photo("sepia"))).save(tmp_path / "scan.png")
    with open_still(tmp_path / "scan.png") as still:
        assert still.pages[0].tone == "toned"


def test_color_photos_with_gray_parts_are_no_mixed_scans(tmp_path: Path):
    bear = photo()
    lab = cv2.cvtColor(bear.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    shade = np.exp(-(((X - 420) / 150) ** 2 + ((Y - 260) / 110) ** 2))
    lab[..., 1] += 18 * shade + 2 * np.sin(X / 90)  # light is never of one color outdoors
    lab[..., 2] += 26 * shade + 3 * np.cos(Y / 70)
    outdoors = (np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255).astype(np.uint8)
    tinted = cv2.cvtColor(photo().astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    for x, y, a, b in ((200, 200, 20, 14), (480, 300, -9, -22)):
        cheek = np.exp(-((((X - x) / 70) ** 2 + ((Y - y) / 90) ** 2) ** 2))
        tinted[..., 1] += a * cheek
        tinted[..., 2] += b * cheek
    by_hand = (np.clip(cv2.cvtColor(tinted, cv2.COLOR_LAB2RGB), 0, 1) * 255).astype(np.uint8)
    printed = ground(40, (250, 250, 250), outdoors)
    for picture in (outdoors, by_hand, printed):
        in_jpeg(picture, tmp_path / "photo.jpg", quality=75)
        with open_still(tmp_path / "photo.jpg") as still:
            assert still.pages[0].tone == "color"


def test_the_report_says_how_much_of_a_scan_keeps_its_color(tmp_path: Path, tiny_model: Path):
    made, _, _ = scan("red border")
    in_jpeg(made, tmp_path / "scan.jpg")
    with vidcolor.Colorizer(tiny_model) as colorizer:
        done = vidcolor.colorize_photo(tmp_path / "scan.jpg", tmp_path / "out.jpg", model=colorizer)
        anew = vidcolor.colorize_photo(tmp_path / "scan.jpg", tmp_path / "anew.jpg", model=colorizer, recolor=True)
    assert done.outcome == anew.outcome == "colored"
    assert [note for note in done.notes if note.endswith("% of it had color and keeps it")]
    assert not [note for note in anew.notes if "keeps it" in note]


def test_a_thumbnail_of_a_mixed_scan_shows_its_colors(tmp_path: Path):
    made, _, _ = scan("red border")
    small, exif = io.BytesIO(), Image.Exif()
    Image.fromarray(made).resize((160, 120)).save(small, "JPEG")
    in_jpeg(made, tmp_path / "scan.jpg", exif=exif)
    with open_still(tmp_path / "scan.jpg") as still:
        shown = still.pages[0].preview(color_for(still.pages[0]), (120, 160))
        write_still(still, [color_for(still.pages[0])], io.BytesIO(), StillSettings())
    red = shown[:3].astype(int)
    assert (red[..., 0] - red[..., 1]).mean() > 100
