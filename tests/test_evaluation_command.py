"""`vidcolor evaluate`: tables, rows, sheet, refusals."""

import csv
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli
from vidcolor.cli import evaluate as command_module
from vidcolor.evaluation.contact_sheet import ContactSheet
from vidcolor.evaluation.report import to_csv
from vidcolor.evaluation.stocks import STOCKS

PHOTO_KEYS = {
    "kind", "name", "photos", "psnr", "de00", "ssim", "colorfulness", "colorfulness_gap", "distance_closed",
    "feature_distance", "seconds", "psnr_by_category", "unreadable", "without_color",
}  # fmt: skip
FILM_KEYS = {
    "kind", "film", "name", "films", "frames", "cuts", "psnr", "de00", "colorfulness", "colorfulness_gap", "cdc",
    "warp_error", "chroma_warp_error", "drift_12", "drift_24", "drift_48", "seconds", "frames_per_second",
}  # fmt: skip


def run(*args: str | Path) -> int:
    return cli.run(["evaluate", *map(str, args)])


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_film(tmp_path / "film.mkv", pts=tuple(range(6)), size=(64, 48), has_color=True)


def test_photos_and_films_give_a_row_for_every_way_and_number(
    photos: Path, film: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    target = tmp_path / "rows.csv"
    assert run(photos, film, "--model", tiny_model, "--size", "64", "--limit", "5", "--json", "--csv", target) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["kind"], row["name"]) for row in rows] == [
        (kind, name) for kind in ("photos", "film") for name in ("gray", str(tiny_model), "truth")
    ]
    assert set(rows[0]) == PHOTO_KEYS
    assert set(rows[3]) == FILM_KEYS
    assert {row["photos"] for row in rows[:3]} == {5}
    assert {row["frames"] for row in rows[3:]} == {6}
    assert rows[1]["seconds"] > 0
    assert rows[4]["frames_per_second"] > 0
    assert rows[2]["psnr"] is None  # JSON has no infinity
    table = list(csv.DictReader(target.read_text(encoding="utf-8").splitlines()))
    assert [row["name"] for row in table] == [row["name"] for row in rows]
    assert float(table[0]["psnr"]) == rows[0]["psnr"]
    assert float(table[4]["chroma_warp_error"]) == rows[4]["chroma_warp_error"]
    assert table[0]["psnr_by_category.street"] == str(rows[0]["psnr_by_category"]["street"])


def test_the_tables_say_how_many_were_measured(
    photos: Path, film: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(photos, film, film, "--model", tiny_model, "--size", "64", "--limit", "5") == 0
    told = capsys.readouterr().out
    assert "5 photos of 12, evenly spread" in told
    assert "2 films, 12 frames" in told
    assert "mean of 2 films" in told
    assert "thousandths" in told


def test_a_folder_may_hold_both_and_what_cannot_be_measured_is_told(
    photos: Path, film: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "folder"
    with tarfile.open(photos) as archive:
        archive.extractall(folder, filter="data")
    (folder / "broken.jpg").write_bytes(b"no photo")
    Image.fromarray(np.full((20, 20), 90, np.uint8)).save(folder / "gray.png")
    film.rename(folder / "film.mkv")
    make_film(folder / "gray.mkv", pix_fmt="gray")
    (folder / "bad.mp4").write_bytes(b"no film")
    assert run(folder, "--model", tiny_model, "--size", "64") == 0
    told = capsys.readouterr()
    assert "12 photos, 1 unreadable left out, 1 gray left out" in told.out
    assert "1 film, 6 frames" in told.out
    for name, why in (("broken.jpg", "cannot be read"), ("gray.png", "no color"), ("gray.mkv", "gray film")):
        assert any(name in line and why in line for line in told.err.splitlines()), (name, told.err)
    assert any("bad.mp4" in line for line in told.err.splitlines())


@pytest.mark.parametrize("content", [{}, {"a.jpg": b"broken"}, {"film.mp4": b"broken"}, {"notes.txt": b"words"}])
def test_nothing_to_measure_is_one_line_and_exit_1(
    content: dict[str, bytes], tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    (tmp_path / "data").mkdir()
    for name, data in content.items():
        (tmp_path / "data" / name).write_bytes(data)
    assert run(tmp_path / "data", "--model", tiny_model) == 1
    told = capfd.readouterr()
    assert len(told.err.strip().splitlines()) == 1
    assert str(tmp_path) in told.err
    assert told.out == ""


def test_a_gray_film_alone_is_exit_1(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    film = make_film(tmp_path / "gray.mkv", pix_fmt="gray")
    assert run(film, "--model", tiny_model) == 1
    assert "gray film" in capsys.readouterr().err


def test_the_sheet_shows_photos_and_frames_by_every_way(
    photos: Path, film: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(command_module, "SHEET_PHOTOS", 3)
    target = tmp_path / "sheet.png"
    assert run(photos, film, "--model", tiny_model, "--size", "64", "--sheet", target) == 0
    with Image.open(target) as image:
        sheet = np.asarray(image).astype(int)
    # 3 photos of 120x160 and 4 frames of 48x64, at 192 lines each with a line of text, under a heading
    assert sheet.shape == (18 + 7 * (192 + 18), 8 + 3 * (256 + 8), 3)
    gray, model, truth = (sheet[18:210, 8 + 264 * column : 264 + 264 * column] for column in range(3))
    assert np.ptp(gray, axis=2).max() == 0
    assert np.ptp(model, axis=2).max() > 0
    assert np.ptp(truth, axis=2).mean() > 20
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_the_sheet_shows_what_a_film_stock_made_of_a_photo(photos: Path, tiny_model: Path, tmp_path: Path):
    target = tmp_path / "sheet.png"
    stocks = ["--stock", "panchromatic", "--stock", "orthochromatic"]
    assert run(photos, "--model", tiny_model, "--size", "64", "--limit", "1", *stocks, "--sheet", target) == 0
    with Image.open(target) as image:
        sheet = np.asarray(image).astype(int)
    width = (sheet.shape[1] - 8) // 5  # gray, orthochromatic, the model twice, truth
    gray, red_blind, *_, truth = (
        sheet[30:150, 8 + width * at : width + width * at].mean(axis=(0, 1)) for at in range(5)
    )
    assert np.ptp(red_blind) < 1 < abs(gray.mean() - red_blind.mean())
    assert np.ptp(truth) > 1


def test_the_sheet_keeps_its_order_and_cuts_long_names():
    sheet = ContactSheet()
    for place in (2, 0, 1):
        shade = np.full((50, 100, 3), 60 * place, np.uint8)
        sheet.add((0, place), "a very long name " * 30, {"gray": shade, "a model of ümläut name" * 9: shade})
    rows = np.asarray(Image.open(io.BytesIO(sheet.to_png())))
    assert [int(rows[18 + 20 + (144 + 18) * place, 40, 0]) for place in range(3)] == [0, 60, 120]


@pytest.mark.parametrize("option", ["--sheet", "--csv"])
def test_an_existing_file_is_kept_unless_told(option: str, photos: Path, tiny_model: Path, tmp_path: Path):
    target = tmp_path / "out.png"
    target.write_bytes(b"precious")
    arguments = (photos, "--model", tiny_model, "--size", "64", "--limit", "2", option, target)
    assert run(*arguments) == 1
    assert target.read_bytes() == b"precious"
    assert run(*arguments, "--overwrite") == 0
    assert target.read_bytes() != b"precious"
    assert run(*arguments[:-1], tmp_path / "absent" / "out.png") == 1


def test_rows_of_different_kinds_share_one_heading():
    text = to_csv([{"kind": "photos", "psnr": 1.5, "by": {"a": 1}}, {"kind": "film", "psnr": None, "cdc": 2}])
    assert text == "kind,psnr,by.a,cdc\nphotos,1.5,1,\nfilm,,,2\n"


def test_every_option_has_help_and_a_mention(capsys: pytest.CaptureFixture[str]):
    assert run("--help") == 0
    told = capsys.readouterr().out
    assert "vidcolor evaluate photos.tar film.mp4" in told
    guide = (Path(__file__).parent.parent / "docs" / "models.md").read_text(encoding="utf-8")
    for parameter in command_module.command.params:
        if parameter.opts[0].startswith("--"):
            assert f"`{parameter.opts[0]}`" in guide, parameter.opts
            assert parameter.help, parameter.opts
            assert len(parameter.help) <= 80


def test_wobble_is_measured_of_every_way(photos: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    assert run(photos, "--model", tiny_model, "--size", "64", "--limit", "3", "--metric", "wobble", "--json") == 0
    gray, model, truth = (json.loads(line)["wobble"] for line in capsys.readouterr().out.splitlines())
    assert gray < 0.5
    assert model > 0.5
    assert truth is None


def test_color_on_what_is_gray_is_measured_of_every_way(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shades = np.random.default_rng(5).integers(60, 200, (12, 18, 1), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    picture = shades.repeat(3, axis=2)
    picture[:, :48] = (180, 60, 40)
    picture[:, 48:96] = (40, 60, 180)
    Image.fromarray(picture).save(tmp_path / "half.png")
    asked = ("--metric", "neutrals", "--metric", "wobble")
    assert run(tmp_path / "half.png", "--model", tiny_model, "--size", "64", *asked, "--json") == 0
    gray, model, truth = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert gray["neutrals"] < 0.1 < model["neutrals"]
    assert truth["neutrals"] < 0.1
    assert model["wobble"] > 0


def test_stocks_give_a_row_each(photos: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    stocks = [option for name in STOCKS for option in ("--stock", name)]
    assert run(photos, "--model", tiny_model, "--size", "64", "--limit", "3", *stocks, "--json") == 0
    rows = {row["name"]: row["psnr"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert [f"{tiny_model} {name}" for name in STOCKS] == list(rows)[1:-1]
    assert len(set(rows.values())) == len(rows)
