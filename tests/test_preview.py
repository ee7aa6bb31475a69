"""Shots are found and shown, and what is exported can be corrected and given back."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vidcolor import cli
from vidcolor.frames import Frame
from vidcolor.media.source import FilmSource
from vidcolor.preview import Shot, evenly

SHOTS = 3
LENGTH = 10


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots of still, quite different pictures."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    random = np.random.default_rng(3)
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for _ in range(SHOTS):
            grey = random.integers(20, 230, (12, 16), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            for _ in range(LENGTH):
                rgb = np.ascontiguousarray(np.repeat(grey[..., None], 3, 2))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode(None))
    return path


def run(*arguments: object, model: Path) -> int:
    return cli.run([*map(str, arguments), "--model", str(model)])


def test_a_sheet_shows_each_shot_before_and_after(film: Path, tmp_path: Path, tiny_model: Path, capsys):
    sheet = tmp_path / "sheet.png"
    assert run("preview", film, "-o", sheet, model=tiny_model) == 0
    assert "3 of 3 shots" in capsys.readouterr().err
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    middle = pixels.shape[1] // 2
    assert np.ptp(pixels[:, : middle - 20], axis=2).max() <= 2  # before: grey
    assert np.ptp(pixels[:, middle + 20 :], axis=2).max() > 20
    assert run("preview", film, "-o", sheet, model=tiny_model) == 1  # not overwritten


def test_exported_stills_are_numbered_and_given_back_change_nothing_but_what_was_corrected(
    film: Path, tmp_path: Path, tiny_model: Path
):
    stills = tmp_path / "stills"
    assert run("preview", film, "--export-references", stills, model=tiny_model) == 0
    assert sorted(path.name for path in stills.iterdir()) == [f"frame_{LENGTH * shot:06d}.png" for shot in range(SHOTS)]
    (stills / "frame_000000.png").unlink()
    (stills / "frame_000020.png").unlink()
    with Image.open(stills / "frame_000010.png") as image:
        grey = np.asarray(image.convert("L"))
    red = np.stack([np.minimum(grey + 60, 255), grey // 2, grey // 2], axis=2).astype(np.uint8)
    Image.fromarray(red).save(stills / "frame_000010.png")
    outs = []
    for options in ([], ["--reference", stills]):
        out = tmp_path / f"out{len(options)}.mkv"
        assert run(film, "-o", out, "-q", "--codec", "ffv1", *options, model=tiny_model) == 0
        with FilmSource(out) as source:
            outs.append([frame.native.to_ndarray(format="rgb24").astype(int) for frame in source.frames()])
    plain, guided = outs
    for number in range(SHOTS * LENGTH):
        change = np.abs(plain[number] - guided[number]).mean()
        redness = (guided[number][..., 0] - guided[number][..., 1]).mean()
        if LENGTH <= number < 2 * LENGTH:
            assert change > 10
            assert redness > 30
        else:
            assert change < 0.5, number


def test_a_folder_with_files_is_left_alone(film: Path, tmp_path: Path, tiny_model: Path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert run("preview", film, "--export-references", tmp_path, model=tiny_model) == 2
    assert "has files already" in capsys.readouterr().err
    assert run("preview", film, model=tiny_model) == 2


@pytest.mark.parametrize(("count", "most"), [(0, 3), (2, 3), (3, 3), (7, 3), (100, 3), (5, 24)])
def test_shots_are_chosen_from_all_over_the_film(count: int, most: int):
    frame = Frame(np.zeros((2, 2), np.uint8), 0)
    chosen = [shot.number for shot in evenly((Shot(number, frame) for number in range(count)), most)]
    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen))
    if count > most:
        assert chosen[-1] >= count // 2
