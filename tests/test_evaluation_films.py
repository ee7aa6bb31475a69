"""Film metrics against known values, and the measuring of films."""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.data
from media_fixtures import make_film

from vidcolor.errors import ShapeError, SourceError
from vidcolor.evaluation.film_methods import SharedFrames, keep_color, make_model_method
from vidcolor.evaluation.film_metrics import (
    ColorDistributionConsistency,
    CutDetector,
    Motion,
    WarpError,
    jensen_shannon,
)
from vidcolor.evaluation.films import FilmScore, average_reports, evaluate_film, is_gray_film
from vidcolor.frames import ColoredFrame, FilmInfo, Frame
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.pixels import plane_view
from vidcolor.steady import Steadiness

ROWS, COLUMNS = 96, 128
Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def texture(seed: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Smooth noise, (rows, columns), uint8, about 40 to 215."""
    noise = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 30 * smooth / smooth.std(), 40, 215).astype(np.uint8)


def patches(shift: int = 0) -> np.ndarray:
    """Chroma that differs from place to place."""
    plane = np.full((ROWS, COLUMNS), 128, np.uint8)
    plane[:48, :64], plane[48:, 64:] = 150 + shift, 100 + shift
    return plane


def write_film(path: Path, frames: Sequence[Planes], pix_fmt: str = "yuv444p", matrix: int = 5) -> Path:
    """A lossless film of these Y, Cb and Cr planes."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = frames[0][0].shape[1], frames[0][0].shape[0], pix_fmt
        stream.codec_context.colorspace = matrix
        for index, planes in enumerate(frames):
            frame = av.VideoFrame(stream.width, stream.height, pix_fmt)
            for number, plane in enumerate(planes):
                plane_view(frame, number, *plane.shape, 8 * plane.itemsize)[:] = plane
            frame.pts, frame.time_base, frame.colorspace = index, Fraction(1, 25), matrix
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def scores(path: Path, ways: dict | None = None) -> dict[str, FilmScore]:
    return {score.name: score for score in evaluate_film(path, ways or {}).scores}


def test_divergence_of_known_distributions():
    one, other, even = np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([0.5, 0.5])
    assert jensen_shannon(one, other) == pytest.approx(math.log(2))
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(one, even) == pytest.approx(0.2157616, abs=1e-7)  # scipy.spatial's jensenshannon squared
    assert jensen_shannon(even, one) == pytest.approx(0.2157616, abs=1e-7)


def test_a_shifted_texture_has_no_warp_error_with_the_right_flow():
    wide = texture(1, ROWS, COLUMNS + 3)
    before, now = wide[:, 3:], wide[:, :-3]  # everything moves 3 pixels to the right
    motion = Motion.estimate(before, now)
    inside = motion.is_visible[16:-16, 16:-16]
    x = motion.source[0][16:-16, 16:-16] - np.arange(16, COLUMNS - 16)
    assert inside.mean() > 0.95
    assert x[inside].mean() == pytest.approx(-3, abs=0.05)
    gray = [np.repeat(plane[..., None], 3, axis=2).astype(np.float32) / 255 for plane in (before, now)]
    unmoved = float(((gray[1] - gray[0]) ** 2).sum(axis=2).mean())
    assert motion.warp_error(*gray) < 0.01 * unmoved
    assert not motion.is_visible[:, 0].any()  # it came in from outside


def test_what_a_moving_thing_uncovers_does_not_count():
    ground, thing = texture(1), texture(2) // 2 + 110
    before, now = ground.copy(), ground.copy()
    before[30:60, 40:70], now[30:60, 52:82] = thing[30:60, 40:70], thing[30:60, 40:70]
    assert Motion.estimate(before, now).is_visible[34:56, 43:50].mean() < 0.2  # was behind the thing


def test_a_still_shot_is_perfectly_steady(tmp_path: Path):
    film = write_film(tmp_path / "film.mkv", [(texture(1), patches(), patches(9))] * 8)
    for score in scores(film).values():
        assert (score.cdc, score.warp_error, score.chroma_warp_error) == (0, 0, 0)
        assert (score.frames, score.cuts, score.films) == (8, 0, 1)


def test_an_alternating_tint_is_seen_in_chroma_and_not_in_gray(tmp_path: Path):
    frames = [(texture(1), patches() + np.uint8(8 * (i % 2)), patches() + np.uint8(6 * (i % 2))) for i in range(8)]
    found = scores(write_film(tmp_path / "film.mkv", frames))
    # 8 and 6 codes of the 224 of limited range: 10 codes in the Cb, Cr plane, of 255 / 224.
    assert found["truth"].chroma_warp_error == pytest.approx(10 * 255 / 224, rel=1e-4)
    assert found["truth"].cdc > 0.01
    assert found["truth"].warp_error > 1e-4
    assert (found["gray"].cdc, found["gray"].warp_error, found["gray"].chroma_warp_error) == (0, 0, 0)


def test_color_drift_of_flat_frames_that_alternate_is_a_third_of_the_most():
    drift = ColorDistributionConsistency()
    for index in range(9):
        drift.update(np.full((8, 8, 3), 100 + index % 2, np.uint8), is_cut=False)
    assert drift.value == pytest.approx(math.log(2) / 3)  # t = 1 differs wholly, t = 2 and t = 4 not at all


def test_a_hard_cut_does_not_count(tmp_path: Path):
    first, second = (texture(1), patches(), patches(20)), (255 - texture(7) // 2, patches(-30), patches())
    found = scores(write_film(tmp_path / "film.mkv", [first] * 6 + [second] * 6))
    for score in found.values():
        assert score.cuts == 1
        assert (score.cdc, score.warp_error, score.chroma_warp_error) == (0, 0, 0)


def test_flicker_and_a_pan_are_no_cuts_and_another_picture_is_one():
    wide, is_cut = texture(1, ROWS, 200), CutDetector()
    for index in range(20):
        flickering = wide[:, index * 3 : index * 3 + COLUMNS].astype(int) + (25 if index % 2 else -25)
        assert not is_cut(np.clip(flickering, 0, 255).astype(np.uint8))
    blocks = np.kron(np.random.default_rng(3).integers(0, 2, (6, 8)), np.full((16, 16), 200)).astype(np.uint8)
    assert is_cut(blocks)
    assert not is_cut(blocks)


def test_warp_error_has_nothing_to_say_without_a_pair():
    error = WarpError()
    error.update(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 2), np.float32), None)
    assert error.pairs == 0
    assert math.isnan(error.rgb)
    assert math.isnan(error.chroma)


def test_a_moving_film_s_own_noise_is_the_floor(tmp_path: Path):
    wide, cb = texture(1, ROWS, COLUMNS + 30), np.repeat(patches(), 2, axis=1)
    frames = [
        (
            np.ascontiguousarray(wide[:, 2 * i : 2 * i + COLUMNS]),
            *[np.ascontiguousarray(cb[:, 2 * i :][:, :COLUMNS])] * 2,
        )
        for i in range(8)
    ]
    found = scores(write_film(tmp_path / "film.mkv", frames), {"flickers": flickering})
    assert found["gray"].chroma_warp_error == 0
    assert found["truth"].chroma_warp_error < 0.25 * found["flickers"].chroma_warp_error
    assert found["truth"].warp_error < found["flickers"].warp_error


def test_colors_that_wander_are_seen_after_some_frames_and_not_across_a_cut(tmp_path: Path):
    still = (texture(1), patches(), patches())
    frames = [(still[0], still[1] - np.uint8(20) + np.uint8(index // 2), still[2]) for index in range(52)]
    found = scores(write_film(tmp_path / "film.mkv", frames))
    drift = found["truth"]
    for lag in (12, 24, 48):  # half a code of the 224 of limited range each frame
        assert getattr(drift, f"drift_{lag}") == pytest.approx(lag / 2 * 255 / 224, rel=1e-3)
        assert getattr(found["gray"], f"drift_{lag}") == 0
    other = (255 - texture(7) // 2, patches(-30), patches())
    short = scores(write_film(tmp_path / "short.mkv", [still] * 20 + [other] * 20))["truth"]
    assert short.cuts == 1
    assert short.drift_12 == 0
    assert math.isnan(short.drift_24)
    assert math.isnan(short.drift_48)


def test_a_film_that_follows_its_own_first_frame_is_nearer_to_the_truth(tmp_path: Path):
    wide = skimage.data.astronaut()
    rgb = [np.ascontiguousarray(wide[150:342, 6 * index : 6 * index + 256]) for index in range(14)]
    with av.open(str(tmp_path / "film.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv444p"
        for picture in rgb:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    with Colorizer.load("default", device="cpu") as colorizer:
        ways = {
            stills: make_model_method(colorizer, Steadiness("flow"), stills)
            for stills in ("none", "first", "first,last")
        }
        found = scores(tmp_path / "film.mkv", ways)
    assert found["truth"].de00 == 0
    assert found["first"].de00 < 0.6 * found["none"].de00
    assert found["first,last"].de00 < found["first"].de00 < found["gray"].de00


def test_drift_follows_what_moves(tmp_path: Path):
    wide = texture(1, ROWS, COLUMNS + 60)
    cb = cv2.GaussianBlur(texture(3, ROWS, COLUMNS + 60), (0, 0), 5) // 2 + 64
    frames = [
        tuple(np.ascontiguousarray(plane[:, index : index + COLUMNS]) for plane in (wide, cb, cb))
        for index in range(50)
    ]
    found = scores(write_film(tmp_path / "film.mkv", frames), {"fixed": fixed})
    assert found["truth"].drift_24 < 0.3 * found["fixed"].drift_24
    assert found["truth"].drift_48 < 0.4 * found["fixed"].drift_48


def fixed(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    """Colors that stay where they are in the picture, while its things move on."""
    first: ColoredFrame | None = None
    for colored in keep_color(frames, info):
        first = first or colored
        yield ColoredFrame(colored.frame, first.cb, first.cr)


def flickering(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    for index, colored in enumerate(keep_color(frames, info)):
        yield ColoredFrame(colored.frame, colored.cb + np.uint8(12 * (index % 2)), colored.cr)


def late(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    """Looks five frames ahead, as a filter over time does."""
    colored = keep_color(frames, info)
    while batch := list(islice(colored, 5)):
        yield from batch


def test_a_way_that_looks_ahead_measures_as_one_that_does_not(tmp_path: Path):
    frames = [(texture(1), patches(index), patches(-index)) for index in range(12)]
    found = scores(write_film(tmp_path / "film.mkv", frames), {"late": late})
    assert found["late"].psnr == 58.9  # the ceiling: equal frames
    for name in ("colorfulness", "colorfulness_gap", "cdc", "warp_error", "chroma_warp_error"):
        assert getattr(found["late"], name) == getattr(found["truth"], name)
    assert found["late"].frames_per_second > 0
    assert found["truth"].frames_per_second is None


def dropping(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    return (colored for index, colored in enumerate(keep_color(frames, info)) if index != 3)


def short(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    return islice(keep_color(frames, info), 5)


def repeating(frames: Iterator[Frame], info: FilmInfo) -> Iterator[ColoredFrame]:
    return chain.from_iterable([colored] * (1 + (index == 7)) for index, colored in enumerate(keep_color(frames, info)))


@pytest.mark.parametrize("way", [dropping, short, repeating])
def test_a_way_that_does_not_keep_the_frames_is_refused(tmp_path: Path, way):
    film = write_film(tmp_path / "film.mkv", [(texture(1), patches(), patches())] * 8)
    with pytest.raises(ShapeError, match="faulty"):
        evaluate_film(film, {"faulty": way})


def test_frames_are_held_no_longer_than_the_slowest_reader_needs():
    given = [Frame(np.zeros((2, 2), np.uint8), pts) for pts in range(50)]
    shared = SharedFrames(iter(given), 3)
    readers = [shared.read(number) for number in range(3)]
    for frame in given:
        assert all(next(reader) is frame for reader in readers)
        assert all(not waiting for waiting in shared._waiting)
    assert all(next(reader, None) is None for reader in readers)


def test_gray_psnr_and_the_gap_are_as_computed_by_hand(tmp_path: Path):
    luma, cb = np.full((ROWS, COLUMNS), 126, np.uint8), np.full((ROWS, COLUMNS), 128, np.uint8)
    cb[:48], cb[48:] = 128 + 28, 128 - 28
    found = scores(write_film(tmp_path / "film.mkv", [(luma, cb, np.full_like(cb, 128))] * 3))
    # BT.601: B - Y = 1.772 Cb, G - Y = -0.344136 Cb; Cb = 28 / 224 of 255
    blue, green = 1.772 * 255 / 8, 0.344136 * 255 / 8
    assert found["gray"].psnr == pytest.approx(10 * math.log10(255**2 / ((blue**2 + green**2) / 3)), abs=0.05)
    assert found["gray"].colorfulness == 0
    assert found["gray"].colorfulness_gap == found["truth"].colorfulness > 15
    assert found["truth"].psnr == math.inf


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gbrp", "nv12", "yuvj420p"])
def test_films_of_every_layout_are_measured(tmp_path: Path, pix_fmt: str):
    codec, suffix = {"yuvj420p": ("mjpeg", "mkv"), "yuv422p10le": ("ffv1", "mkv")}.get(pix_fmt, ("rawvideo", "nut"))
    film = make_film(
        tmp_path / f"film.{suffix}", pix_fmt=pix_fmt, codec=codec, pts=tuple(range(5)), size=(64, 48), has_color=True
    )
    found = scores(film, {"again": keep_color})
    assert found["again"].psnr == 58.9
    assert found["gray"].colorfulness == 0
    assert found["truth"].colorfulness > 10


def test_a_gray_film_is_said_to_be_gray(tmp_path: Path):
    stored = make_film(tmp_path / "gray.mkv", pix_fmt="gray")
    toned = write_film(
        tmp_path / "toned.mkv", [(texture(1), np.full((ROWS, COLUMNS), 120, np.uint8), patches() * 0 + 134)]
    )
    for film in (stored, toned):
        assert is_gray_film(film)
        with pytest.raises(SourceError, match="gray film"):
            evaluate_film(film, {})


def test_a_film_is_measured_small_and_shown_upright(tmp_path: Path):
    film = make_film(tmp_path / "film.mp4", codec="mpeg4", size=(640, 360), pts=(0, 1), rotation=90, has_color=True)
    shapes = []
    evaluate_film(film, {}, on_pictures=lambda number, name, by: shapes.append((number, name, by["truth"].shape)))
    assert shapes == [(0, "film.mp4", (455, 256, 3)), (1, "film.mp4", (455, 256, 3))]


def test_several_films_count_alike(tmp_path: Path):
    long = write_film(
        tmp_path / "long.mkv", [(texture(1), patches() + np.uint8(8 * (i % 2)), patches()) for i in range(9)]
    )
    short_one = write_film(tmp_path / "short.mkv", [(texture(2), patches(), patches(3))] * 3)
    reports = [evaluate_film(film, {"again": keep_color}) for film in (long, short_one)]
    gray, again, truth = average_reports(reports)
    assert (gray.films, gray.frames, gray.film) == (2, 12, "")
    assert truth.chroma_warp_error == pytest.approx(8 * 255 / 224 / 2, rel=1e-4)
    assert gray.psnr == pytest.approx(np.mean([report.scores[0].psnr for report in reports]))
    assert again.frames_per_second == pytest.approx(12 / again.seconds)


def test_a_model_is_measured_on_a_film(tmp_path: Path, tiny_model: Path):
    film = write_film(tmp_path / "film.mkv", [(texture(1), patches(), patches())] * 11)
    with Colorizer.load(str(tiny_model), device="cpu", batch_size=4) as colorizer:
        found = scores(film, {"tiny": make_model_method(colorizer, Steadiness("off"))})["tiny"]
    assert found.frames == 11
    assert found.colorfulness > 0
    assert found.chroma_warp_error == pytest.approx(0, abs=1e-3)  # a still picture gets the same color every time
