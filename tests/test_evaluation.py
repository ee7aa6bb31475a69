"""Photo metrics against known values, and the measuring of photos."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

from vidcolor.errors import ShapeError, SourceError
from vidcolor.evaluation.neutrals import Neutrals
from vidcolor.evaluation.photo_metrics import Features, Gaussian, colorfulness, de00, frechet_distance, psnr, ssim
from vidcolor.evaluation.photos import evaluate, recolor
from vidcolor.evaluation.sources import count_photos, read_photos, split_sources, spread_evenly
from vidcolor.evaluation.stability import measure_instability, perturb
from vidcolor.evaluation.stocks import STOCKS, render_panchromatic
from vidcolor.inference.colorizer import Colorizer
from vidcolor.stills.rgb import Rgb, is_gray

RANDOM = np.random.default_rng(11)


def test_psnr_and_ssim_of_a_known_difference():
    truth = RANDOM.integers(20, 200, (32, 32, 3), dtype=np.uint8)
    assert psnr(truth + 5, truth) == pytest.approx(10 * np.log10(255**2 / 25))
    assert psnr(truth, truth) == float("inf")
    assert ssim(truth, truth) == 1


@pytest.mark.parametrize("size", [(7, 7), (31, 50), (64, 9)])
def test_ssim_is_that_of_scikit_image(size: tuple[int, int]):
    one, other = (RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(2))
    assert ssim(one, other) == pytest.approx(structural_similarity(other, one, channel_axis=2, data_range=255))


def test_ssim_refuses_what_is_smaller_than_its_window():
    with pytest.raises(ShapeError, match="6x9"):
        ssim(np.zeros((9, 6, 3), np.uint8), np.zeros((9, 6, 3), np.uint8))


def test_de00_tells_of_colors_alone_and_most_of_grays():
    codes = (119, 119, 119), (128, 117, 112), (200, 40, 40), (209, 29, 35)
    gray, brown, red, redder = (np.full((8, 8, 3), rgb, np.uint8) for rgb in codes)
    assert de00(gray, gray) == 0
    lighter = np.full((8, 8, 3), 180, np.uint8)
    assert de00(lighter, gray) == pytest.approx(0, abs=0.01)
    first, second = (rgb2lab(each)[0, 0] for each in (brown, gray))
    first[0] = second[0]
    assert de00(brown, gray) == pytest.approx(float(deltaE_ciede2000(first, second)), abs=1e-6)
    moved = [
        np.linalg.norm(np.diff([rgb2lab(each)[0, 0, 1:] for each in pair], axis=0))
        for pair in ((brown, gray), (redder, red))
    ]
    assert moved[0] < moved[1]
    assert de00(brown, gray) > 2 * de00(redder, red)


def test_colorfulness_of_flat_red_is_as_computed_by_hand():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 100  # rg = 100, yb = 50, no variance: 0.3 * sqrt(100**2 + 50**2)
    assert colorfulness(red) == pytest.approx(33.541, abs=0.001)
    assert colorfulness(np.full((8, 8, 3), 77, np.uint8)) == 0


def test_one_tint_all_over_is_gray_and_two_colors_are_not():
    luma = RANDOM.integers(0, 200, (64, 64, 1), dtype=np.uint8)
    sepia = (luma * np.array((1.0, 0.95, 0.88))).astype(np.uint8)
    assert is_gray(np.repeat(luma, 3, axis=2))
    assert is_gray(sepia)
    two = np.concatenate([np.full((64, 32, 3), (150, 100, 90)), np.full((64, 32, 3), (90, 100, 150))], axis=1)
    assert not is_gray(two.astype(np.uint8))


def test_frechet_distance_of_known_gaussians():
    one = Gaussian(np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    other = Gaussian(np.array([3.0, 0.0, 4.0]), np.diag([4.0, 4.0, 1.0]))
    assert frechet_distance(one, other) == pytest.approx(25 + 1 + 0 + 4)
    assert frechet_distance(other, one) == pytest.approx(30)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_features_are_1280_tell_pictures_apart_and_do_not_depend_on_the_batch():
    features = Features()
    pictures = [RANDOM.integers(0, 255, (40, 60 + more, 3), dtype=np.uint8) for more in range(6)]
    together = features.extract(pictures)
    assert together.shape == (6, 1280)
    assert np.abs(together[0] - together[1]).max() > 0.01
    assert np.allclose(together, np.concatenate([features.extract([picture]) for picture in pictures]), atol=1e-5)
    flat = features.extract([np.full((50, 50, 3), 128, np.uint8)])[0]
    # Measured before its batch norms were taken into its convolutions.
    assert flat[[302, 1208, 295, 1100]] == pytest.approx((2.99113, 2.83851, 2.31225, 2.22849), abs=1e-4)


def test_luma_is_rec601():
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert render_panchromatic(rgb).tolist() == [[76, 150, 29, 255]]


def test_numbers_are_evenly_spread():
    assert spread_evenly(10, 3) == [1, 5, 8]
    assert spread_evenly(4, 9) == [0, 1, 2, 3]
    assert spread_evenly(0, 5) == []


def save(path: Path, rgb: Rgb) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path)
    return path


def photo(seed: int, size: tuple[int, int] = (40, 52)) -> Rgb:
    """A colorful picture."""
    y, x = np.mgrid[: size[0], : size[1]] / 9 + seed
    waves = [np.sin(x + shift) * np.cos(y * (1 + shift)) for shift in (0.0, 0.7, 1.9)]
    return (np.stack(waves, axis=2) * 90 + 128).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six photos of two shapes, one broken file, one tiny, one gray."""
    for number in range(6):
        save(tmp_path / "data" / "ab"[number % 2] / f"{number}.png", photo(number, ((40, 52), (52, 40))[number % 2]))
    (tmp_path / "data" / "broken.jpg").write_bytes(b"no photo")
    save(tmp_path / "data" / "gray.png", np.repeat(photo(9)[..., :1], 3, axis=2))
    save(tmp_path / "data" / "tiny.png", photo(9)[:5, :5])
    return tmp_path / "data"


def perfect(truths: Path):
    """A way that knows the truth."""
    known = {render_panchromatic(rgb).tobytes(): rgb for _, _, rgb in read_photos((truths,)) if rgb is not None}

    def color(lumas: Sequence[np.ndarray], /, *, seen: Any = None) -> list[Rgb]:  # noqa: ARG001
        return [known[luma.tobytes()] for luma in lumas]

    return color


def test_gray_a_perfect_model_and_truth_have_the_scores_they_must_have(folder: Path):
    report = evaluate([folder], {"perfect": perfect(folder)})
    gray, model, truth = report.scores
    assert [score.name for score in report.scores] == ["gray", "perfect", "truth"]
    assert (report.photos, report.found) == (6, 9)
    assert (sorted(report.unreadable), report.gray) == (["broken.jpg", "tiny.png"], ["gray.png"])
    pictures = [picture for _, name, picture in read_photos((folder,)) if "/" in name]
    by_hand = [psnr(np.repeat(render_panchromatic(rgb)[..., None], 3, axis=2), rgb) for rgb in pictures]
    assert gray.psnr == pytest.approx(np.mean(by_hand))
    assert gray.colorfulness == 0
    assert gray.colorfulness_gap == pytest.approx(np.mean([colorfulness(rgb) for rgb in pictures]))
    assert gray.distance_closed == 0
    for score in (model, truth):
        assert (score.psnr, score.ssim, score.colorfulness_gap) == (float("inf"), 1, 0)
        assert score.distance_closed == pytest.approx(1, abs=1e-3)
    assert set(gray.psnr_by_category) == {"a", "b"}
    assert np.mean(list(gray.psnr_by_category.values())) == pytest.approx(gray.psnr)  # three photos in each
    assert model.seconds is not None
    assert model.seconds > 0
    assert (gray.seconds, truth.seconds) == (None, None)


def test_a_limit_measures_photos_spread_over_the_set(folder: Path):
    seen = []
    report = evaluate([folder / "a"], {}, limit=1, on_pictures=lambda number, name, _: seen.append((number, name)))
    assert (report.photos, report.found) == (1, 3)
    assert seen == [(1, "2.png")]


def test_pictures_come_with_their_own_names(folder: Path):
    seen: dict[str, Rgb] = {}
    evaluate([folder], {}, on_pictures=lambda _, name, pictures: seen.update({name: pictures["truth"]}))
    assert np.array_equal(seen["a/4.png"], photo(4))
    assert np.array_equal(seen["b/5.png"], photo(5, (52, 40)))


def test_progress_ends_at_all_photos(folder: Path):
    told = []
    evaluate([folder], {}, on_photo=lambda done, total: told.append((done, total)))
    assert told[-1] == (9, 9)


def test_a_model_gives_every_photo_its_own_size_and_color(tiny_model: Path):
    lumas = [render_panchromatic(photo(1)), render_panchromatic(photo(2, (52, 40))), render_panchromatic(photo(3))]
    with Colorizer.load(str(tiny_model), device="cpu") as colorizer:
        together = recolor(lumas, colorizer)
        alone = [recolor([luma], colorizer)[0] for luma in lumas]
    for luma, one, other in zip(lumas, together, alone, strict=True):
        assert one.shape == (*luma.shape, 3)
        assert np.array_equal(one, other)
        assert colorfulness(one) > 0


@pytest.mark.parametrize(("name", "content"), [("broken.png", b"nothing"), ("notes.txt", b"words")])
def test_no_color_photo_is_an_error_in_words(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match="needs color photos"):
        evaluate([tmp_path], {})


def test_photos_and_films_are_told_apart(tmp_path: Path, photos: Path):
    for name in ("one.jpg", "film.MKV", "._film.mkv", "strange.dat", "deep/other.mp4", "deep/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"-")
    found = split_sources([tmp_path, tmp_path / "one.jpg", tmp_path / "strange.dat", photos])
    assert found.photos == (tmp_path, tmp_path / "one.jpg", photos)
    assert found.films == (tmp_path / "deep/other.mp4", tmp_path / "film.MKV", tmp_path / "strange.dat")
    assert count_photos(found.photos) == 1 + 1 + 12
    with pytest.raises(SourceError, match="no such file"):
        split_sources([tmp_path / "absent"])


def test_a_photo_is_read_as_it_is(tmp_path: Path):
    buffer = io.BytesIO()
    Image.fromarray(photo(3)).save(buffer, "png")
    (tmp_path / "photo.png").write_bytes(buffer.getvalue())
    ((number, name, picture),) = read_photos((tmp_path / "photo.png",))
    assert (number, name) == (0, "photo.png")
    assert np.array_equal(picture, photo(3))


def test_colors_that_hold_still_do_not_wobble_and_others_do():
    luma = RANDOM.integers(0, 256, (9, 12)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)

    def painted(red: Any) -> Any:
        def color(lumas: Any) -> Any:
            return [np.stack([np.full_like(luma, red(luma)), luma // 2, luma // 2], axis=2) for luma in lumas]

        return color

    def plain(lumas: Any) -> Any:
        return [np.full((*luma.shape, 3), (180, 90, 60), np.uint8) for luma in lumas]

    def steady(lumas: Any) -> Any:  # the colors go with what is in the picture
        return [np.repeat(luma[..., None], 3, axis=2) // np.array([1, 2, 2], np.uint8) for luma in lumas]

    assert measure_instability(plain, [luma], plain([luma])) == [0.0]
    nervous = painted(lambda luma: int(luma.astype(int).sum() * 7919 % 256))
    assert measure_instability(nervous, [luma], nervous([luma]))[0] > 5
    moved = next(perturb(luma, 0))[0]
    assert np.array_equal(moved[2:, 3:], luma[:-2, :-3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidcolor.evaluation.stability.BRIGHTER", 1.0)
        patch.setattr("vidcolor.evaluation.stability.GRAIN", 0.0)
        assert measure_instability(steady, [luma], steady([luma])) == [pytest.approx(0, abs=1e-4)]


def test_color_on_what_is_gray_in_truth_is_told_and_on_nothing_else():
    truth = np.full((8, 40, 3), 128, np.uint8)
    truth[:, 10:20] = (200, 60, 40)  # colored: may become anything
    truth[:, 20:30] = 10  # too dark to tell
    made = truth.copy()
    made[:, 30:] = (150, 120, 110)
    made[:, 10:30] = (0, 0, 255)
    neutrals = Neutrals()
    for way, picture in (("model", made), ("truth", truth)):
        neutrals.update(way, picture, truth)
    _, a, b = rgb2lab(np.array([[[150, 120, 110]]], np.uint8))[0, 0]
    assert neutrals.compute("model") == pytest.approx(np.hypot(a, b) / 2, abs=0.02)  # of two equal parts one is gray
    assert neutrals.compute("truth") == pytest.approx(0, abs=0.02)
    colored = Neutrals()
    colored.update("model", made[:, 10:20], truth[:, 10:20])
    assert np.isnan(colored.compute("model"))


def test_stocks_see_as_they_are_said_to():
    red, gray = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 128, np.uint8)
    red[..., 0] = 255
    assert STOCKS["orthochromatic"](red).max() == 0 < STOCKS["panchromatic"](red).min()
    assert all(abs(STOCKS[name](gray).mean() - 128) < 4 for name in STOCKS)
    picture = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    spread = {name: stock(picture).std() for name, stock in STOCKS.items()}
    assert spread["newsreel"] != spread["grainy"]
    steps = np.repeat(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], 240, axis=0).repeat(3, axis=2)
    shown = STOCKS["newsreel"](steps).astype(float).mean(axis=0)  # without its grain
    assert shown[:40].max() < 12  # crushed blacks
    assert shown[215:].min() > 240  # burnt whites
    stripes = np.full((240, 240, 3), 100, np.uint8)
    stripes[:, ::2] = 156
    assert STOCKS["newsreel"](stripes).astype(float).mean(axis=0).std() < 8  # finer than 120 lines: none is left
    assert spread["low-contrast"] < spread["faded"] < spread["panchromatic"] < spread["grainy"]


def test_what_a_stock_shows_a_way_is_colored_on_plain_luma(photos: Path):
    seen: list[Any] = []

    def way(lumas: Any, /, *, seen: Any = None, told: Any = seen) -> Any:
        told.append((lumas, seen))
        return [np.repeat(luma[..., None], 3, axis=2) for luma in lumas]

    report = evaluate([photos], {"way": way}, stocks={"way": STOCKS["faded"]})
    assert report.scores[1].psnr == report.scores[0].psnr  # that of gray
    pairs = [(np.ptp(luma), np.ptp(each)) for lumas, shown in seen for luma, each in zip(lumas, shown, strict=True)]
    assert all(less == pytest.approx(120 / 255 * more, abs=1.5) for more, less in pairs)
    assert max(more for more, _ in pairs) > 20
