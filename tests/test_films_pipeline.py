"""Frames go through every way of steadying once, in order, with their own luma; overlap changes nothing."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_fixtures import make_film, make_shots
from PIL import Image

import vidcolor
from vidcolor import cli
from vidcolor.errors import SourceError, UsageError, VidcolorError
from vidcolor.films.pipeline import colored_frames, run_pipeline
from vidcolor.films.references import load_references
from vidcolor.frames import ColoredFrame, Frame, ResumePoint
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.frame_clock import FrameClock
from vidcolor.media.source import FilmSource
from vidcolor.overlap import prefetch
from vidcolor.steady import Steadiness
from vidcolor.steady.key_frames import MAX_EVERY, MAX_INTERVAL
from vidcolor.steady.state import Arrays

WAYS = {
    "off": Steadiness("off"),
    "smooth": Steadiness("smooth"),
    "flow": Steadiness(),
    "every 3": Steadiness(every=3),
    "auto": Steadiness(every=None),
    "memory": Steadiness(every=None, has_shot_memory=True),
}


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[ColoredFrame] = []
        self.frames_written = 0
        self.state: Arrays = {}
        self.resume_point: ResumePoint | None = None

    def write(self, colored: ColoredFrame) -> None:
        self.frames.append(colored)

    def end_segment(self, state: Arrays) -> None:
        self.state = state


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mkv", pts=range(27))


@pytest.mark.parametrize("way", WAYS)
def test_every_frame_comes_once_in_order_whatever_overlaps(way: str, film: Path, tiny_model: Path):
    with Colorizer.load(str(tiny_model), device="cpu,cpu", batch_size=2) as colorizer, FilmSource(film) as source:
        times = [frame.pts for frame in source.frames()]
        sink, counted = Kept(), []
        assert run_pipeline(source, sink, colorizer, WAYS[way], counted.append) == len(times) == 27
        assert counted == list(range(1, 28))
        assert [colored.frame.pts for colored in sink.frames] == times
        plain = list(colored_frames(source.frames(), source.info, colorizer, WAYS[way]))
    for one, other in zip(sink.frames, plain, strict=True):
        assert np.array_equal(one.frame.luma, other.frame.luma)
        assert np.array_equal(one.cb, other.cb)
        assert np.array_equal(one.cr, other.cr)


def test_a_stage_that_fails_ends_the_film_and_all_threads(film: Path, tiny_model: Path):
    before, begun = set(threading.enumerate()), set[threading.Thread]()
    with Colorizer.load(str(tiny_model)) as colorizer, FilmSource(film) as source:

        def broken(_: ColoredFrame) -> None:
            begun.update(thread for thread in set(threading.enumerate()) - before if thread.name == "vidcolor-ahead")
            raise VidcolorError("the disk is full")

        sink = Kept()
        sink.write = broken  # type: ignore[method-assign]
        with pytest.raises(VidcolorError, match="disk"):
            run_pipeline(source, sink, colorizer, Steadiness(every=None), lambda _: None)
    assert begun
    for thread in begun:
        thread.join(10)
    assert not any(thread.is_alive() for thread in begun)


def at_depth(depth: int, items: Iterator[Any], _: int) -> Iterator[Any]:
    return prefetch(items, depth)


def test_ahead_of_a_stage_gives_the_same(film: Path, tiny_model: Path):
    with Colorizer.load(str(tiny_model)) as colorizer, FilmSource(film) as source:
        shallow = list(
            colored_frames(source.frames(), source.info, colorizer, Steadiness(), lambda items, _: prefetch(items, 1))
        )
        deep = list(
            colored_frames(source.frames(), source.info, colorizer, Steadiness(), lambda items, _: prefetch(items, 30))
        )
    assert all(np.array_equal(one.cb, other.cb) for one, other in zip(shallow, deep, strict=True))


def still(path: Path, *, is_colored: bool = True) -> Path:
    rgb = np.full((48, 64, 3), 90, np.uint8)
    if is_colored:
        rgb[:, :32] = (200, 60, 40)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(rgb).save(path)
    return path


def test_stills_are_read_from_pictures_folders_and_lists(tmp_path: Path, film: Path):
    with FilmSource(film) as source:
        info = source.info
    assert info.frame_rate is not None
    single = still(tmp_path / "any name.png")
    still(tmp_path / "stills" / "frame_000012.png")
    still(tmp_path / "stills" / "other.jpg")
    times = tmp_path / "times.txt"
    times.write_text("# time, still\n0:00:01 any name.png\n0.5, stills/other.jpg\n")
    found = load_references((single, tmp_path / "stills", times), info, FrameClock(film))
    assert [reference.number for reference in found] == [
        None,
        12,
        None,
        round(info.frame_rate),
        round(info.frame_rate / 2),
    ]
    assert all(reference.picture.ab_2hw[:, :, :20].max() > 20 for reference in found)


@pytest.mark.parametrize(("name", "kind", "said"), [
    ("gray.png", SourceError, "without colors"),
    ("torn.png", SourceError, "not a picture"),
    ("none", UsageError, "no pictures"),
    ("times.txt", UsageError, "line 1"),
    ("film.mkv", UsageError, "a still is"),
])  # fmt: skip
def test_what_is_no_still_is_refused(name: str, kind: type, said: str, tmp_path: Path, film: Path):
    still(tmp_path / "gray.png", is_colored=False)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    (tmp_path / "none").mkdir()
    (tmp_path / "times.txt").write_text("at noon: still.png\n")
    with FilmSource(film) as source, pytest.raises(kind, match=said):
        load_references((tmp_path / name,), source.info, FrameClock(film))


@pytest.mark.parametrize("every", [12, MAX_EVERY])
def test_frames_are_held_for_one_rhythm_and_little_more(every: int, tmp_path: Path, tiny_model: Path):
    film = make_shots(tmp_path / "film.mkv", [250])
    taken = 0
    with Colorizer.load(str(tiny_model)) as colorizer, FilmSource(film) as source:

        def counted() -> Iterator[Frame]:
            nonlocal taken
            for frame in source.frames():
                taken += 1
                yield frame

        colored = colored_frames(counted(), source.info, colorizer, Steadiness(every=every))
        held = max(taken - given for given, _ in enumerate(colored))
    assert every < held <= every + 2 * MAX_INTERVAL + 4


@pytest.mark.parametrize("options", [["--every", "0"], ["--every", "often"], ["--steady", "off", "--every", "auto"]])
def test_the_command_refuses_what_makes_no_sense(options: list[str], tmp_path: Path, film: Path, tiny_model: Path):
    out = tmp_path / "out.mkv"
    assert cli.run([str(film), "-o", str(out), "--model", str(tiny_model), *options]) == 2
    assert not out.exists()


def test_a_painted_layer_is_a_still(tmp_path: Path, film: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    """Opaque where something was painted; the film's own frame says what is under it."""
    with FilmSource(film) as source:
        gray = next(source.frames()).luma
    layer = np.zeros((*gray.shape, 4), np.uint8)
    columns = gray.shape[1] // 2
    layer[:, :columns] = (30, 60, 200, 255)
    Image.fromarray(layer).save(tmp_path / "frame_000000.png")
    command = [str(film), "-q", "--model", str(tiny_model), "--codec", "ffv1", "-o"]
    assert cli.run([*command, str(tmp_path / "plain.mkv")]) == 0
    assert cli.run([*command, str(tmp_path / "out.mkv"), "--reference", str(tmp_path / "frame_000000.png")]) == 0
    pictures = []
    for name in ("plain.mkv", "out.mkv"):
        with FilmSource(tmp_path / name) as source:
            pictures.append(next(source.frames()).native.to_ndarray(format="rgb24").astype(int))
    change = np.abs(pictures[1] - pictures[0]).mean(axis=(0, 2))
    assert change[: columns - 8].mean() > 4 * change[columns + 8 :].mean()
    assert pictures[1][:, : columns - 8, 2].mean() > pictures[1][:, : columns - 8, 0].mean() + 10  # blue
    (tmp_path / "frame_000000.png").rename(tmp_path / "layer.png")
    assert cli.run([*command, str(tmp_path / "no.mkv"), "--reference", str(tmp_path / "layer.png")]) == 2
    assert "is partly transparent" in capsys.readouterr().err


def test_what_every_still_did_is_told(tmp_path: Path, film: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    with FilmSource(film) as source:
        gray = next(source.frames()).luma
    noise = np.random.default_rng(1).integers(0, 255, (*gray.shape, 3)).astype(np.uint8)
    (tmp_path / "stills").mkdir()
    for name, rgb in (
        ("frame_000000.png", np.stack([gray, gray // 2, gray // 2], axis=2)), ("other.png", noise),
        ("frame_000999.png", noise),
    ):  # fmt: skip
        Image.fromarray(rgb).save(tmp_path / "stills" / name)
    command = [str(film), "-o", str(tmp_path / "out.mkv"), "--model", str(tiny_model)]
    assert cli.run([*command, "--reference", str(tmp_path / "stills")]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert re.search(r"frame_000000.png: [0-9]+ frames? took its colors, on [0-9]+% of the picture on average", told)
    assert "frame_000999.png did nothing: it is frame 999's, and the film's frames are 0 to 26" in told
    assert "other.png did nothing: no shot shows what it shows" in told


def test_what_stills_did_before_an_interruption_counts(tmp_path: Path, tiny_model: Path):
    film = make_film(tmp_path / "long.mkv", pts=range(300))
    with FilmSource(film) as source:
        gray = next(source.frames()).luma
    Image.fromarray(np.stack([gray, gray // 2, gray // 2], axis=2)).save(tmp_path / "frame_000000.png")

    class StopError(Exception):
        pass

    def stop(done: int, total: int | None) -> None:  # noqa: ARG001
        if done > 250:
            raise StopError

    options = {"model": tiny_model, "reference": tmp_path / "frame_000000.png"}
    whole = vidcolor.colorize_film(film, tmp_path / "whole.mkv", **options)
    with pytest.raises(StopError):
        vidcolor.colorize_film(film, tmp_path / "out.mkv", on_progress=stop, **options)
    resumed = vidcolor.colorize_film(film, tmp_path / "out.mkv", **options)
    assert resumed.done_before == 240
    assert resumed.stills == whole.stills
    assert whole.stills[0].frames >= 1
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


def test_the_command_follows_a_still(tmp_path: Path, film: Path, tiny_model: Path):
    with FilmSource(film) as source:
        gray = next(source.frames()).luma
    Image.fromarray(np.stack([gray, gray // 2, gray // 2], axis=2)).save(tmp_path / "frame_000000.png")
    found = []
    for options in ([], ["--reference", str(tmp_path / "frame_000000.png")]):
        out = tmp_path / f"out{len(options)}.mkv"
        assert cli.run([str(film), "-o", str(out), "-q", "--model", str(tiny_model), "--codec", "ffv1", *options]) == 0
        with FilmSource(out) as source:
            found.append([frame.native.to_ndarray(format="rgb24") for frame in source.frames()])
    assert len(found[0]) == len(found[1]) == 27
    redness = [rgb[0].astype(int) for rgb in found]
    assert np.abs(redness[0] - redness[1]).mean() > 2
