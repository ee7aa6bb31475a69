"""A film's project: choices, hints and stills of its shots, in one file that a person can read and change."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import skimage.data
from PIL import Image

import vidcolor
from vidcolor import cli
from vidcolor.errors import UsageError
from vidcolor.films.project import Project, default_path, write_project
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.source import FilmSource

SHOTS = (14, 11, 15)
BORDERS = [0, 14, 25, 40]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots in gray."""
    path = tmp_path_factory.mktemp("project") / "film.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        pictures = skimage.data.astronaut(), skimage.data.coffee(), skimage.data.cat()
        for picture, length in zip(pictures, SHOTS, strict=True):
            gray = np.asarray(Image.fromarray(picture).convert("L").resize((180, 120)))
            for at in range(length):
                planes = np.full((144, 128), 128, np.uint8)
                planes[:96] = gray[12:108, at : at + 128]
                out.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(stream.encode())
    return path


def write(path: Path, **entries: Any) -> Path:
    path.write_text(json.dumps({"vidcolor_project": 1, "film": "film.mkv", **entries}), encoding="utf-8")
    return path


def chroma(path: Path) -> np.ndarray:
    with FilmSource(path) as source:
        return np.stack([np.stack([plane.astype(float) for plane in frame.chroma()]) for frame in source.frames()])


def amounts(path: Path) -> list[float]:
    """Mean distance from gray of each shot."""
    away = np.abs(chroma(path) - 128).mean(axis=(1, 2, 3))
    return [float(away[first:end].mean()) for first, end in pairwise(BORDERS)]


def color(film: Path, out: Path, model: Path, *more: object) -> list[float]:
    command = [film, "-o", out, "--model", model, "--codec", "ffv1", "--quiet", *more]
    assert cli.run([str(part) for part in command]) == 0
    return amounts(out)


@pytest.mark.parametrize("way", [(), ("--steady", "flow"), ("--steady", "off"), ("--every", "4")])
def test_each_shot_is_colored_as_was_chosen(way: tuple[str, ...], film: Path, tiny_model: Path, tmp_path: Path):
    choices = [
        {"frames": [0, 13], "saturation": 0}, {"frames": [14, 24], "saturation": 0.25},
        {"frames": [25, 39], "saturation": 3}, {"frames": [25, 39], "saturation": 1},
    ]  # fmt: skip
    project = write(tmp_path / "film.vidcolor.json", choices=choices)
    plain = color(film, tmp_path / "plain.mkv", tiny_model, *way)
    chosen = color(film, tmp_path / "chosen.mkv", tiny_model, *way, "--project", project)
    assert chosen[0] == 0
    assert 0.1 < chosen[1] / plain[1] < 0.5
    assert chosen[2] == pytest.approx(plain[2], rel=0.05)


def test_a_choice_of_another_model_and_its_size(film: Path, tiny_model: Path, tmp_path: Path):
    project = write(tmp_path / "p.json", choices=[{"frames": [14, 24], "model": "default"}])
    plain, other = tmp_path / "plain.mkv", tmp_path / "other.mkv"
    color(film, plain, tiny_model)
    color(film, other, tiny_model, "--project", project)
    moved = np.abs(chroma(plain) - chroma(other)).mean(axis=(1, 2, 3))
    assert moved[14:25].min() > 1
    assert moved[:14].max() < 0.5 * moved[14:25].min()
    assert moved[25:].max() < 0.5 * moved[14:25].min()


def test_hints_and_stills_of_a_project_are_followed(film: Path, tmp_path: Path):
    (tmp_path / "stills").mkdir()
    with FilmSource(film) as source:
        gray = [frame.luma for frame in source.frames()][30]
    Image.fromarray(np.stack([gray, gray // 2, gray // 2], axis=2)).save(tmp_path / "stills" / "frame_000030.png")
    hint = {"frame": 3, "region": [[0, 0], [1, 0], [1, 1], [0, 1]], "size": [1, 1], "color": "teal", "frames": [0, 13]}
    project = write(tmp_path / "p.json", hints=[hint], references=["stills/frame_000030.png"])
    plain, out = tmp_path / "plain.mkv", tmp_path / "out.mkv"
    vidcolor.colorize_film(film, plain, codec="ffv1")
    result = vidcolor.colorize_film(film, out, codec="ffv1", project=project)
    assert [still.name for still in result.stills] == ["frame_000030.png", "p.json, frame 3"]
    red = chroma(out)[:, 1].mean(axis=(1, 2)) - chroma(plain)[:, 1].mean(axis=(1, 2))
    assert red[30] > 5
    assert red[3] < -5


def test_a_project_of_another_film_is_told_and_changes_nothing(
    film: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    project = write(tmp_path / "p.json", choices=[{"frames": [0, 99], "saturation": 0}], film="reel.mkv")
    assert min(color(film, tmp_path / "out.mkv", tiny_model, "--project", project)) > 1
    assert "p.json is the project of another film" in capsys.readouterr().err


def test_a_run_with_a_changed_project_is_not_gone_on_with(film: Path, tiny_model: Path, tmp_path: Path):
    from vidcolor.films.job import FilmOptions

    model, seen = ModelSettings(str(tiny_model)), set()
    with FilmSource(film) as source:
        for entries in ({}, {"choices": [{"frames": [0, 3], "saturation": 1}]}, {"shots": [[0, 13]]}):
            project = write(tmp_path / "p.json", **entries)
            seen.add(FilmOptions(model, project=project).run_identity(source).settings["--project"])
    assert len(seen) == 2  # which shots were found decides no color


BAD = {
    "another file": ({"hints": []}, "is no project"),
    "newer": ({"vidcolor_project": 2, "film": "a"}, "a newer version"),
    "no film": ({"vidcolor_project": 1}, "names no film"),
    "typo": ({"vidcolor_project": 1, "film": "a", "choises": []}, "did you mean choices"),
    "shots": ({"vidcolor_project": 1, "film": "a", "shots": [[0, 5], [7]]}, r"shot 2: is no \[first, last\]"),
    "backward": ({"vidcolor_project": 1, "film": "a", "shots": [[9, 5]]}, "ends before it begins"),
    "choice": ({"vidcolor_project": 1, "film": "a", "choices": [{"frames": [0, 1], "saturation": 9}]}, "from 0 to 4"),
    "no frames": ({"vidcolor_project": 1, "film": "a", "choices": [{"saturation": 1}]}, "choice 1: its frames"),
    "hint": ({"vidcolor_project": 1, "film": "a", "hints": [{"point": [1, 1]}]}, "hint 1: needs a color"),
    "references": ({"vidcolor_project": 1, "film": "a", "references": [5]}, "no names of files"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_projects_are_told_with_their_place(name: str):
    data, said = BAD[name]
    with pytest.raises(UsageError, match=said):
        Project.parse(data, Path("p.json"))


def test_a_project_is_written_one_entry_a_line_and_read_again(tmp_path: Path):
    path = default_path(tmp_path / "film.mkv")
    assert path.name == "film.vidcolor.json"
    data = {
        "vidcolor_project": 1, "film": "film.mkv", "frames": 40, "shots": [[0, 13], [14, 24]],
        "choices": [{"frames": [0, 13], "palette": "ü.jpg"}], "hints": [],
    }  # fmt: skip
    write_project(path, data)
    assert json.loads(path.read_text(encoding="utf-8")) == data
    assert '    {"frames": [0, 13], "palette": "ü.jpg"}\n' in path.read_text(encoding="utf-8")
    found = Project.read(path)
    assert found.choices[0].palette == tmp_path / "ü.jpg"
    assert found.settings_of(5, ModelSettings()).palette == tmp_path / "ü.jpg"
    assert found.settings_of(14, ModelSettings()) == ModelSettings()
    with pytest.raises(UsageError):
        write_project(path, data | {"shots": [5]})
    assert json.loads(path.read_text(encoding="utf-8")) == data


def test_other_machines_find_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from vidcolor.films.job import FilmOptions

    monkeypatch.chdir(tmp_path)
    write(tmp_path / "p.json")
    assert FilmOptions(project=Path("p.json")).for_other_machines().project == tmp_path / "p.json"
