"""Films, and shots of films, that are in color already keep their colors, whichever way they are colored."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_fixtures import packets, plan_all

import vidcolor
from vidcolor import cli
from vidcolor.batch.films import BatchFilmColorizer
from vidcolor.films.color_shots import Shots
from vidcolor.films.job import FilmOptions, colorize_film_file
from vidcolor.films.tone import film_tone
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.source import FilmSource

SIZE = (96, 64)


def planes_of(number: int, step: int, kind: str) -> np.ndarray:
    """A frame of shot `number` as yuv420p rows: gray, toned (one hue) or in colors, moving."""
    random = np.random.default_rng(number)
    planes = np.full((96, 96), 128, np.uint8)
    luma = random.integers(30, 220, (8, 12)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    planes[:64] = np.roll(luma, 2 * step, axis=1)
    if kind == "color":
        chroma = random.integers(60, 196, (2, 8, 12)).astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
        planes[64:] = np.roll(chroma, step, axis=2).reshape(32, 96)
    if kind == "toned":
        planes[64:80], planes[80:] = 112, 142
    return planes


def make(path: Path, shots: list[tuple[str, int]], codec: str = "ffv1") -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options={"crf": "1"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = *SIZE, "yuv420p", Fraction(1, 25)
        number = 0
        for shot, (kind, length) in enumerate(shots):
            for step in range(length):
                frame = av.VideoFrame.from_ndarray(planes_of(shot, step, kind), format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(frame))
                number += 1
        out.mux(stream.encode(None))
    return path


def chroma_of(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    with FilmSource(path) as film:
        return [tuple(plane.copy() for plane in frame.chroma()) for frame in film.frames()]


def run(source: Path, target: Path, *options: Any, model: Path) -> int:
    return cli.run([str(source), "-o", str(target), "--model", str(model), *map(str, options)])


def same(before: list[Any], after: list[Any]) -> list[bool]:
    """Of which frames both chroma planes are the same, bit for bit."""
    pairs = zip(before, after, strict=True)
    return [all(np.array_equal(*planes) for planes in zip(*pair, strict=True)) for pair in pairs]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_in_color_is_kept_as_a_photo_is_and_that_is_said(
    suffix: str, tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]
):
    source = make(tmp_path / f"in{suffix}", [("color", 20), ("color", 16)], "libx264")
    assert film_tone(source) == "color"
    assert run(source, tmp_path / f"out{suffix}", "--json", model=tiny_model) == 0
    assert (tmp_path / f"out{suffix}").read_bytes() == source.read_bytes()
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [event for event in events if "in color already; --recolor" in str(event.get("message"))]
    assert events[-1]["event"] == "done"
    assert events[-1]["outcome"] == "kept"
    assert run(source, tmp_path / f"out{suffix}", "-q", model=tiny_model) == 1  # exists
    assert run(source, tmp_path / f"twin{suffix}", model=tiny_model) == 0
    said = capfd.readouterr().err
    assert "copied as it is" in said
    assert "0.0 fps" not in said
    assert run(source, tmp_path / f"anew{suffix}", "--recolor", "--codec", "h264", model=tiny_model) == 0
    assert not any(same(chroma_of(source), chroma_of(tmp_path / f"anew{suffix}")))


@pytest.mark.parametrize("options", [(), ("--steady", "off"), ("--every", "4"), ("--batch-size", "3")])
def test_shots_in_color_keep_it_to_the_bit_and_the_others_are_colored(
    options: tuple[str, ...], tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]
):
    source = make(tmp_path / "in.mkv", [("gray", 17), ("color", 13), ("toned", 12), ("gray", 8), ("color", 9)])
    assert run(source, tmp_path / "out.mkv", "--codec", "ffv1", *options, model=tiny_model) == 0
    wanted = [False] * 17 + [True] * 13 + [False] * 20 + [True] * 9
    assert same(chroma_of(source), chroma_of(tmp_path / "out.mkv")) == wanted
    said = "2 shots are in color already and kept (22 frames)"
    assert said in " ".join(capfd.readouterr().err.split())
    assert run(source, tmp_path / "anew.mkv", "--codec", "ffv1", "--recolor", *options, model=tiny_model) == 0
    assert not any(same(chroma_of(source), chroma_of(tmp_path / "anew.mkv")))


@pytest.mark.parametrize("stop", [8, 17, 20, 30])
def test_a_film_partly_in_color_goes_on_as_if_it_had_not_stopped(
    stop: int, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    for module in ("films.pipeline", "films.parts", "steady.checkpoints"):
        monkeypatch.setattr(f"vidcolor.{module}.SEGMENT_FRAMES", 8)
    source = make(tmp_path / "in.mkv", [("gray", 11), ("color", 13), ("gray", 9), ("color", 7)])
    options = {"model": tiny_model, "codec": "ffv1"}
    whole = vidcolor.colorize_film(source, tmp_path / "whole.mkv", **options)

    def stopping(frames: int, _: int | None) -> None:
        if frames > stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vidcolor.colorize_film(source, tmp_path / "out.mkv", on_progress=stopping, **options)
    done = vidcolor.colorize_film(source, tmp_path / "out.mkv", **options)
    assert done.done_before >= 8
    assert packets(tmp_path / "out.mkv", "video") == packets(tmp_path / "whole.mkv", "video")
    assert done.warnings == whole.warnings == (
        "2 shots are in color already and kept (20 frames); --recolor colors them anew",
    )  # fmt: skip


@pytest.mark.parametrize("steady", ["flow", "off"])
def test_parts_of_a_film_partly_in_color_make_the_film(
    steady: Any, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    for module in ("films.pipeline", "films.parts", "steady.checkpoints"):
        monkeypatch.setattr(f"vidcolor.{module}.SEGMENT_FRAMES", 8)
    source = make(tmp_path / "in.mkv", [("gray", 19), ("color", 17), ("gray", 23), ("color", 18)])
    films = BatchFilmColorizer(FilmOptions(ModelSettings(str(tiny_model)), codec="ffv1", steady=steady))
    with Colorizer.load(str(tiny_model)) as colorizer:
        colorize_film_file(source, tmp_path / "whole.mkv", films.options, lambda: colorizer)
        parts = plan_all(films, source, colorizer, 3)
        assert len(parts) > 1
        for part in parts:
            films.colorize_part(source, tmp_path / "out.mkv", colorizer, part, is_again=False)
        films.colorize(source, tmp_path / "out.mkv", colorizer, is_again=True)
    assert packets(tmp_path / "out.mkv", "video") == packets(tmp_path / "whole.mkv", "video")


def test_a_fade_from_black_and_a_dissolve_turn_within_a_shot():
    picture = np.random.default_rng(1).integers(5, 95, (32, 48)).astype(np.float32).repeat(2, 0).repeat(2, 1)
    shots = Shots()
    colors = [False] * 5 + [True] * 20 + [False] * 3 + [True] * 5 + [False] * 12
    decided = [kept for is_colored in colors for kept in shots.push(picture, is_colored)] + shots.finish()
    assert decided == [False] * 5 + [True] * 28 + [False] * 12  # a moment without color is none
    assert (shots.state.kept_shots, shots.state.kept_frames) == (1, 28)


def test_toned_and_gray_films_are_colored_whole(tmp_path: Path, tiny_model: Path):
    for kind in ("gray", "toned"):
        source = make(tmp_path / f"{kind}.mkv", [(kind, 14), (kind, 9)])
        done = vidcolor.colorize_film(source, tmp_path / f"out {kind}.mkv", model=tiny_model, codec="ffv1")
        assert (done.outcome, done.warnings) == ("colored", ())
        assert not any(same(chroma_of(source), chroma_of(done.output)))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "nv12", "yuvj420p", "rgb24", "yuva444p"])
def test_colors_of_every_pixel_format_are_kept(pix_fmt: str, tmp_path: Path, tiny_model: Path):
    source = tmp_path / ("in.mov" if pix_fmt == "rgb24" else "in.mkv")
    codec = {"nv12": "rawvideo", "yuvj420p": "mjpeg", "rgb24": "png"}.get(pix_fmt, "ffv1")
    with av.open(str(source), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, pix_fmt
        for number in range(12):
            kind = "color" if number >= 6 else "gray"
            frame = av.VideoFrame.from_ndarray(planes_of(number // 6, number % 6, kind), format="yuv420p")
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    vidcolor.colorize_film(source, tmp_path / "out.mkv", model=tiny_model, codec="ffv1")
    assert same(chroma_of(source), chroma_of(tmp_path / "out.mkv")) == [False] * 6 + [True] * 6
