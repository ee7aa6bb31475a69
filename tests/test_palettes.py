"""A palette: another photo's range of colors, where the network is unsure, for any model."""

from pathlib import Path

import numpy as np
import pytest
from media_fixtures import make_film
from PIL import Image

import vidcolor
from vidcolor import cli
from vidcolor.errors import SourceError, UsageError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.listening import Listener
from vidcolor.inference.palettes import MAX_BIAS, digest, read_bias
from vidcolor.inference.settings import ModelSettings

RANDOM = np.random.default_rng(5)
SHARES = RANDOM.random((6, 8, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of soft shapes: one in teal and orange, one in green, and one in gray."""
    folder = tmp_path_factory.mktemp("palettes")
    for name, dark, light in (
        ("teal", (10, 70, 90), (240, 170, 90)), ("green", (20, 50, 20), (150, 200, 140)),
        ("gray", (20,) * 3, (230,) * 3),
    ):  # fmt: skip
        colors = np.array(dark) * (1 - SHARES) + np.array(light) * SHARES
        photo = Image.fromarray(colors.astype(np.uint8)).resize((256, 192), Image.Resampling.BICUBIC)
        photo.save(folder / f"{name}.png")
    return folder


def lightness(seed: int = 7) -> np.ndarray:
    small = np.random.default_rng(seed).random((5, 7)) * 255
    smooth = Image.fromarray(small.astype(np.uint8)).resize((256, 192), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32) * np.float32(100 / 255)


def mean_color(palette: Path | None, model: str = "default", **options: object) -> np.ndarray:
    with Colorizer.load(model, device="cpu", palette=palette, **options) as colorizer:
        (ab,) = colorizer.predict([lightness()])
    return ab.mean(axis=(1, 2))


def test_colors_move_toward_the_palette(folder: Path):
    plain, green = mean_color(None), mean_color(folder / "green.png")
    teal = mean_color(folder / "teal.png")
    assert green[0] < plain[0] - 2  # a*, green
    assert green[0] < teal[0] - 2


def test_a_photos_own_palette_brings_its_picture_nearer(folder: Path):
    from vidcolor.color import picture_to_lab

    light, a, b = picture_to_lab(np.asarray(Image.open(folder / "teal.png").convert("RGB")))
    truth = np.stack([plane.reshape(48, 4, 64, 4).mean(axis=(1, 3)) for plane in (a, b)])
    errors = []
    for palette in (None, folder / "teal.png"):
        with Colorizer.load(device="cpu", palette=palette) as colorizer:
            (ab,) = colorizer.predict([np.asarray(light, np.float32)])
        errors.append(float(np.square(ab - truth).sum(axis=0).mean()))
    assert errors[1] < 0.95 * errors[0]


def test_any_model_moves_by_as_much_as_the_packaged_one(folder: Path, tiny_model: Path):
    light = lightness()
    moved = []
    for model in (str(tiny_model), "default"):
        found = []
        for palette in (None, folder / "green.png"):
            with Colorizer.load(model, device="cpu", palette=palette, size=192) as colorizer:
                found.append(colorizer.predict([light])[0].mean(axis=(1, 2)))
        moved.append(found[1] - found[0])
    np.testing.assert_allclose(*moved, atol=0.05)


def test_saturation_counts_for_what_the_palette_brings_too(folder: Path):
    full, half = (mean_color(folder / "green.png", saturation=saturation) for saturation in (1.0, 0.5))
    np.testing.assert_allclose(half, full / 2, atol=0.02)


def test_looking_and_likening_have_the_palette_too(folder: Path):
    with Colorizer.load(device="cpu", palette=folder / "green.png") as colorizer:
        (plain,) = colorizer.predict([lightness()])
        (looked,), _ = colorizer.predict_and_look([lightness()])
        (likened,), _ = colorizer.predict_and_liken([lightness()], [0])
    np.testing.assert_allclose(looked, plain, atol=0.2)
    np.testing.assert_allclose(likened, plain, atol=0.2)


def test_openvino_and_torch_agree_on_a_palette(folder: Path, monkeypatch: pytest.MonkeyPatch):
    with_openvino = Listener("cpu", "fp32")
    bias = read_bias(folder / "teal.png", with_openvino)
    monkeypatch.setattr("vidcolor.inference.listening.uses_openvino", lambda *_: False)
    with_torch = Listener("cpu", "fp32")
    np.testing.assert_allclose(read_bias(folder / "teal.png", with_torch), bias, atol=2e-3)
    (one,), (other,) = (each.tint([lightness()], bias) for each in (with_openvino, with_torch))
    np.testing.assert_allclose(one, other, atol=0.02)


def test_no_factor_is_beyond_the_greatest(folder: Path):
    bias = read_bias(folder / "green.png", Listener("cpu", "fp32"))
    assert np.abs(bias).max() <= MAX_BIAS
    assert bias.min() < 0 < bias.max()


def test_the_palette_is_part_of_what_decides_colors(folder: Path, tmp_path: Path):
    settings = ModelSettings(palette=folder / "green.png")
    copy = tmp_path / "copy.png"
    copy.write_bytes((folder / "green.png").read_bytes())
    assert settings.color_options == ModelSettings(palette=copy).color_options
    assert settings.color_options != ModelSettings(palette=folder / "teal.png").color_options
    assert settings.color_options != ModelSettings().color_options
    assert settings.files_read[-1] == folder / "green.png"


def test_other_machines_find_the_palette(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    assert ModelSettings(palette=Path("green.png")).for_other_machines().palette == folder / "green.png"


def test_a_palette_that_cannot_be_used_is_told(folder: Path, tmp_path: Path):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    thin = tmp_path / "thin.png"
    Image.fromarray(np.random.default_rng(2).integers(0, 255, (1, 6000, 3), np.uint8)).save(thin)
    for palette, said in (
        (folder / "gray.png", "without colors"), (text, "not a picture"), (thin, "too narrow"), (tmp_path, "a folder"),
    ):  # fmt: skip
        with pytest.raises(SourceError, match=said):
            vidcolor.Colorizer(palette=palette)
    with pytest.raises(SourceError, match="cannot be read"):
        digest(tmp_path / "missing.png")


def test_a_loaded_colorizer_brings_its_palette(folder: Path):
    gray = np.asarray(lightness() * 2.55, np.uint8)
    with vidcolor.Colorizer(palette=folder / "green.png") as colorizer:
        colored = vidcolor.colorize_photo(gray, model=colorizer)
        with pytest.raises(UsageError, match="palette"):
            vidcolor.colorize_photo(gray, model=colorizer, palette=folder / "teal.png")
    np.testing.assert_array_equal(colored, vidcolor.colorize_photo(gray, palette=folder / "green.png"))
    assert (colored != vidcolor.colorize_photo(gray)).any()


def test_the_command_takes_a_palette(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = []
    for name, options in (("plain", []), ("green", ["--palette", str(folder / "green.png")])):
        out = tmp_path / f"{name}.png"
        assert cli.run([str(folder / "gray.png"), "-o", str(out), *options]) == 0
        found.append(np.asarray(Image.open(out).convert("RGB"), np.int16))
    greener = [(picture[..., 1] - picture[..., 0]).mean() for picture in found]
    assert greener[1] > greener[0] + 2
    refused = tmp_path / "no.png"
    assert cli.run([str(folder / "teal.png"), "-o", str(refused), "--palette", str(folder / "gray.png")]) == 1
    assert "without colors makes no palette" in capsys.readouterr().err
    assert not refused.exists()


def test_a_palette_is_not_written_over(folder: Path, tmp_path: Path):
    teal = str(folder / "teal.png")
    before = (folder / "teal.png").read_bytes()
    assert cli.run([str(folder / "gray.png"), "-o", teal, "--palette", teal, "--overwrite"]) == 2
    assert (folder / "teal.png").read_bytes() == before
    film, palette = make_film(tmp_path / "film.mkv"), tmp_path / "palette.mkv"
    palette.write_bytes(before)
    assert cli.run([str(film), "-o", str(palette), "--palette", str(palette), "--overwrite"]) == 2
    assert palette.read_bytes() == before
