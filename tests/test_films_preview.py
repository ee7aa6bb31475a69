"""Shots are found and shown, and what is exported can be corrected and given back."""

import os
import shlex
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli
from vidcolor.cli import COMMANDS
from vidcolor.cli.next_command import color_command, tell_next
from vidcolor.films.preview import Shot, choose_evenly
from vidcolor.frames import Frame
from vidcolor.media.source import FilmSource

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
            gray = random.integers(20, 230, (12, 16), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            for _ in range(LENGTH):
                rgb = np.ascontiguousarray(np.repeat(gray[..., None], 3, 2))
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
    assert np.ptp(pixels[:, : middle - 20], axis=2).max() <= 2  # before: gray
    assert np.ptp(pixels[:, middle + 20 :], axis=2).max() > 20
    assert run("preview", film, "-o", sheet, model=tiny_model) == 1  # not overwritten


def test_a_sheet_compares_models_sizes_and_saturations(film: Path, tmp_path: Path, tiny_model: Path):
    other = tmp_path / "other.safetensors"
    other.write_bytes(tiny_model.read_bytes())
    sheet, labels = tmp_path / "sheet.png", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "vidcolor.evaluation.contact_sheet.ContactSheet.add", lambda *row: labels.append((row[2], list(row[3])))
        )
        patch.setattr("vidcolor.evaluation.contact_sheet.ContactSheet.to_png", lambda _: b"")
        models = f"{tiny_model},{other}"
        assert run("preview", film, "-o", sheet, "--saturation", "0, 1", "--size", 64, model=models) == 0
    kinds = ["before", "tiny, saturation 0", "tiny, saturation 1", "other, saturation 0", "other, saturation 1"]
    assert labels == [(f"frame {10 * shot}, {shot}.0 s", kinds) for shot in range(SHOTS)]
    assert run("preview", film, "-o", sheet, "--overwrite", "--saturation", "0,1", model=tiny_model) == 0
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    third = pixels.shape[1] // 3
    assert np.ptp(pixels[:, third + 20 : 2 * third - 20], axis=2).max() <= 2  # saturation 0
    assert np.ptp(pixels[:, 2 * third + 20 :], axis=2).max() > 20


def make_shots(path: Path, shots: "list[list[float]]", rate: int = 10) -> Path:
    """Shots of still pictures. shots: the brightness of each frame, 0..1."""
    random = np.random.default_rng(5)
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for levels in shots:
            gray = random.integers(20, 230, (12, 16), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            for level in levels:
                rgb = np.ascontiguousarray(np.repeat((gray * level).astype(np.uint8)[..., None], 3, 2))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode(None))
    return path


def rows_of_the_sheet(*arguments: object, model: Path) -> list[tuple[str, dict[str, np.ndarray]]]:
    rows: list[tuple[str, dict[str, np.ndarray]]] = []
    with pytest.MonkeyPatch.context() as patch:
        sheet = "vidcolor.evaluation.contact_sheet.ContactSheet"
        patch.setattr(f"{sheet}.add", lambda *row: rows.append((row[2], dict(row[3]))))
        patch.setattr(f"{sheet}.__len__", lambda _: len(rows))
        patch.setattr(f"{sheet}.to_png", lambda _: b"")
        assert run("preview", *arguments, model=model) == 0
    return rows


def test_a_fade_from_black_is_shown_where_there_is_something_to_see(tmp_path: Path, tiny_model: Path):
    fade = [min(1.0, number / 12) for number in range(30)]
    film = make_shots(tmp_path / "film.mkv", [[1.0] * 8, fade, fade[::-1], [0.0] * 10])
    rows = rows_of_the_sheet(film, "-o", tmp_path / "sheet.png", model=tiny_model)
    means = [pictures["before"].mean() for _, pictures in rows]
    assert all(mean > 50 for mean in means)
    first = next(label for label, _ in rows[1:])
    assert 8 + 5 <= int(first.split()[1].rstrip(",")) < 8 + 20


def test_a_black_film_has_a_sheet_all_the_same(tmp_path: Path, tiny_model: Path):
    film = make_shots(tmp_path / "film.mkv", [[0.0] * 10])
    assert len(rows_of_the_sheet(film, "-o", tmp_path / "sheet.png", model=tiny_model)) == 1


def test_long_shots_are_shown_by_several_frames_as_far_as_there_is_room(tmp_path: Path, tiny_model: Path):
    film = make_shots(tmp_path / "film.mkv", [[1.0] * 10, [1.0] * 100, [1.0] * 300])
    numbers = [
        [int(label.split()[1].rstrip(",")) for label, _ in rows_of_the_sheet(
            film, "-o", tmp_path / "sheet.png", "--overwrite", "--shots", most, model=tiny_model
        )]
        for most in (24, 4, 3)
    ]  # fmt: skip
    counts = [
        [sum(low <= n < high for n in found) for low, high in ((0, 10), (10, 110), (110, 410))] for found in numbers
    ]
    assert counts == [[1, 3, 4], [1, 1, 2], [1, 1, 1]]
    assert numbers[2] == [0, 10, 110]


def test_a_sheet_shows_a_folder_of_photos(tmp_path: Path, tiny_model: Path, capsys):
    scans, sheet = tmp_path / "my scans", tmp_path / "sheet.png"
    (scans / "deep").mkdir(parents=True)
    random = np.random.default_rng(7)
    for name in ("a.png", "deep/b.jpg", "c.tif"):
        gray = random.integers(0, 255, (12, 16), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(gray).save(scans / name)
    (scans / "torn.png").write_bytes(b"no photo")
    assert run("preview", scans, "-o", sheet, model=tiny_model) == 0
    told = capsys.readouterr().err
    assert "torn.png" in told
    assert "3 of 4 photos" in told
    assert f"next: vidcolor '{scans}' -o 'my scans-color/' --model {tiny_model}" in told.splitlines()
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    middle = pixels.shape[1] // 2
    assert np.ptp(pixels[:, : middle - 20], axis=2).max() <= 2
    assert np.ptp(pixels[:, middle + 20 :], axis=2).max() > 20
    for options in (("--clip", "1"), ("--start", "1"), ("--export-references", tmp_path / "stills")):
        assert run("preview", scans, "-o", tmp_path / "other.png", *options, model=tiny_model) == 2
    assert run("preview", tmp_path / "my scans" / "deep", "-o", tmp_path / "other.png", model=tiny_model) == 0


def test_the_command_to_run_next_is_told_and_can_be_copied(film: Path, tmp_path: Path, tiny_model: Path, capsys):
    sheet, stills = tmp_path / "sheet.png", tmp_path / "my stills"
    choice = ("--saturation", 0.7, "--size", 64)
    assert run("preview", film, "-o", sheet, "--export-references", stills, *choice, model=tiny_model) == 0
    (told,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("next: ")]
    words = shlex.split(told.removeprefix("next: "))
    assert words[:4] == ["vidcolor", str(film), "-o", "film-color.mkv"]
    assert words[4:] == ["--reference", str(stills), "--model", str(tiny_model), "--size", "64", "--saturation", "0.7"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert cli.run([*words[1:], "--quiet"]) == 0
        assert (tmp_path / "film-color.mkv").is_file()
    assert run("preview", film, "-o", sheet, "--overwrite", "--saturation", "0.5,1", model=tiny_model) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("next")]
    assert [line.partition(":")[0] for line in told] == ["next (saturation 0.5)", "next (saturation 1)"]


@pytest.mark.parametrize(
    "name", ["new\nline's.mkv", "b\udcffa\\d.mkv", "-lead.mkv", "preview", 'it\'s "a" $film.mkv', "\u200fü.mkv"]
)
def test_the_command_to_run_next_names_films_as_a_shell_reads_them(name: str, capsys):
    tell_next(color_command(Path(name), [("--model", "default")]))
    (told,) = capsys.readouterr().err.splitlines()
    script = f'vidcolor() {{ printf "%s\\0" "$@"; }}; {told.removeprefix("next: ")}'
    read = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    first, *others = map(os.fsdecode, read.split(b"\0")[:-1])
    suffix = Path(name).suffix
    assert Path(first) == Path(name)
    assert first not in COMMANDS
    assert not first.startswith("-")
    assert others == ["-o", f"{Path(name).stem}-color{suffix or '.mkv'}", "--model", "default"]


@pytest.mark.parametrize("turn", [0, 90])
def test_a_clip_is_half_in_color_and_has_the_sound(tmp_path: Path, tiny_model: Path, turn: int):
    film = make_film(
        tmp_path / "film.mp4", codec="libx264", pts=tuple(range(50)), size=(96, 64), sound=({"language": "deu"},),
        rotation=turn,
    )  # fmt: skip
    clip = tmp_path / "clip.mkv"
    assert run("preview", film, "-o", clip, "--clip", "0.8s", "--at", "1", model=tiny_model) == 0
    with FilmSource(clip) as source, FilmSource(film, start=1.0, end=1.8) as original:
        assert [stream.kind for stream in source.info.streams] == ["audio"]
        frames, before = list(source.frames()), list(original.frames())
        shown = [np.rot90(frame.native.to_ndarray(format="rgb24"), turn // 90).astype(int) for frame in frames]
    assert len(frames) == len(before) == 20
    for picture in shown:
        middle = picture.shape[1] // 2
        assert np.ptp(picture[:, : middle - 4], axis=2).mean() < 4 < np.ptp(picture[:, middle + 4 :], axis=2).mean()
        assert picture[:, middle - 1 : middle + 1].mean() > 200  # the line between
    assert run("preview", film, "-o", clip, "--clip", "1", model=tiny_model) == 1  # not overwritten


def test_what_contradicts_itself_is_refused(film: Path, tmp_path: Path, tiny_model: Path, capsys):
    clip, sheet, stills = tmp_path / "clip.mp4", tmp_path / "sheet.png", tmp_path / "stills"
    refused = (
        ("-o", clip), ("-o", sheet, "--clip", "1"), ("-o", clip, "--clip", "0"), ("-o", sheet, "--at", "1"),
        ("-o", clip, "--clip", "1", "--saturation", "0.5,1"), ("--export-references", stills, "--size", "64,96"),
        ("-o", sheet, "--saturation", "1,9"), ("-o", sheet, "--size", ""),
    )  # fmt: skip
    for options in refused:
        assert run("preview", film, *options, model=tiny_model) == 2, options
    assert len(capsys.readouterr().err.splitlines()) == len(refused)
    assert list(tmp_path.iterdir()) == []


def test_exported_stills_are_numbered_and_given_back_change_nothing_but_what_was_corrected(
    film: Path, tmp_path: Path, tiny_model: Path
):
    stills = tmp_path / "stills"
    assert run("preview", film, "--export-references", stills, model=tiny_model) == 0
    assert sorted(path.name for path in stills.iterdir()) == [f"frame_{LENGTH * shot:06d}.png" for shot in range(SHOTS)]
    (stills / "frame_000000.png").unlink()
    (stills / "frame_000020.png").unlink()
    with Image.open(stills / "frame_000010.png") as image:
        gray = np.asarray(image.convert("L"))
    red = np.stack([np.minimum(gray + 60, 255), gray // 2, gray // 2], axis=2).astype(np.uint8)
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
    chosen = [shot.number for shot in choose_evenly((Shot(number, frame) for number in range(count)), most)]
    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen))
    if count > most:
        assert chosen[-1] >= count // 2
