"""Whatever name is legal for a file works, up to the last byte: nothing is made beside it under a longer one."""

import errno
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from archive_fixtures import tree
from media_fixtures import lumas, make_film
from PIL import Image

from vidcolor import cli
from vidcolor.archives.names import JOURNAL_NAME
from vidcolor.cli.param_types import Existing
from vidcolor.errors import SourceError
from vidcolor.filenames import fitted_name
from vidcolor.films.naming import plan_jobs
from vidcolor.frames import ResumePoint
from vidcolor.media.segment_files import make_packet
from vidcolor.media.segments import SegmentStore, find_parts, part_path
from vidcolor.run import Run

LONGEST = 255  # bytes
WIDE = "写"  # three bytes


def name_of(ending: str, letter: str = "x", longest: int = LONGEST) -> str:
    """The longest name with an ending."""
    room = longest - len(ending)
    name = letter * (room // len(letter.encode()))
    return name + "x" * (room - len(name.encode())) + ending


def photo(path: Path) -> Path:
    values = np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def run(*arguments: object, model: Path | None = None) -> int:
    return cli.run([*map(str, arguments), *(("--model", str(model)) if model else ())])


@pytest.mark.parametrize("letter", ["x", WIDE])
@pytest.mark.parametrize("longest", [LONGEST - 7, LONGEST])
def test_photos_with_the_longest_names_are_colored(tmp_path: Path, tiny_model: Path, letter: str, longest: int) -> None:
    name = name_of(".png", letter, longest)
    source = photo(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    assert run(source, "-o", tmp_path / "out" / name, model=tiny_model) == 0
    assert run(source.parent, "-o", tmp_path / "colored", "-q", model=tiny_model) == 0
    for folder in ("out", "colored"):
        with Image.open(tmp_path / folder / name) as picture:
            assert picture.mode == "RGB"


@pytest.mark.parametrize("suffix", [".zip", ".cbz", ".tar", ".tar.gz"])
def test_archives_with_the_longest_names_are_written_and_gone_on_with(
    tmp_path: Path, tiny_model: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = name_of(suffix, WIDE)
    photo(tmp_path / "in" / name_of(".png"))
    (tmp_path / "in" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    assert run(tmp_path / "in", "-o", tmp_path / name, "-q", model=tiny_model) == 1
    reports = [path for path in tmp_path.iterdir() if path.name.endswith(".report.json")]
    assert json.loads(reports[0].read_text())["counts"] == {"colored": 1, "failed": 1}
    capsys.readouterr()
    assert run(tmp_path / "in", "-o", tmp_path / name, "--json", model=tiny_model) == 1  # what failed is tried again
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["done_before"] == 1
    (tmp_path / "in" / "torn.jpg").unlink()
    assert run(tmp_path / "in", "-o", tmp_path / name, "-q", "--overwrite", "--no-resume", model=tiny_model) == 0
    assert run(tmp_path / name, "-o", tmp_path / "again", "-q", model=tiny_model) == 0
    assert set(tree(tmp_path / "again")) >= {name_of(".png"), "report.json", "report.html"}
    left = [path.name for path in tmp_path.iterdir() if path.name not in ("in", "again", name)]
    assert sorted(path.rpartition(".report")[2] for path in left) == [".html", ".json"]


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".ts"])
def test_films_with_the_longest_names_are_colored(tmp_path: Path, tiny_model: Path, ending: str) -> None:
    film = make_film(tmp_path / "film.mkv", pts=range(8))
    name = name_of(ending, WIDE)
    (tmp_path / "in").mkdir()
    shutil.copy(film, tmp_path / "in" / name)
    written = name if ending != ".ts" else fitted_name(name.removesuffix(".ts"), ".mkv")
    assert len(written.encode()) <= LONGEST
    assert run(tmp_path / "in" / name, "-o", f"{tmp_path / 'one'}/", "-q", model=tiny_model) == 0
    assert run(tmp_path / "in", "-o", tmp_path / "all", "-q", "--recolor", model=tiny_model) == 0
    for folder in ("one", "all"):
        assert len(lumas(tmp_path / folder / written)) == 8
    assert {path.name for path in (tmp_path / "one").iterdir()} == {written, JOURNAL_NAME}


def test_two_long_names_with_one_beginning_stay_two(tmp_path: Path) -> None:
    films = [Path("x" * 251 + letter + ".ts") for letter in "ab"]
    targets = {job.target.name for job in plan_jobs(films, f"{tmp_path}/")}
    assert len(targets) == 2
    assert all(len(target) == LONGEST and target.endswith(".mkv") for target in targets)


def test_parts_of_films_with_the_longest_names_are_found_and_joined(tmp_path: Path) -> None:
    for name in (name_of(".mkv"), name_of("y.mkv"), "short.mkv"):
        film, run_ = tmp_path / name, Run("model", {}, "film")
        for first in (0, 8):
            part = SegmentStore(part_path(film, first), run_)
            part.write(make_packet(b"packet", first, first, 1, Fraction(1, 25), is_key=True))
            part.finish(ResumePoint(first + 8, 7, 8), 5, {"a": np.arange(3)})
            part.close(is_done=False)
        assert find_parts(film) == [part_path(film, 0), part_path(film, 8)]
        whole = SegmentStore(film, run_)
        for begun in find_parts(film):
            whole.adopt(begun)
        assert whole.frames == 16
        whole.close(is_done=True)
    assert not list(tmp_path.iterdir())


def _zip(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"notes")
    return path


def _tar(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return path


@pytest.mark.parametrize("make", [_zip, _tar])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_gets_a_number_that_fits(
    tmp_path: Path, tiny_model: Path, make: Callable[[Path, list[str]], Path]
) -> None:
    name = name_of(".txt")
    source = make(tmp_path / "in.archive", [name, name, name.upper()])
    source = source.rename(tmp_path / ("in.zip" if make is _zip else "in.tar"))
    assert run(source, "-o", tmp_path / "out", "-q", model=tiny_model) == 0
    names = {path.name for path in (tmp_path / "out").iterdir() if path.suffix.lower() == ".txt"}
    assert len(names) == 3
    assert max(len(name) for name in names) == LONGEST


def test_pages_and_sheets_with_the_longest_names_are_written(tmp_path: Path, tiny_model: Path) -> None:
    one, other = photo(tmp_path / "in" / "a.png"), photo(tmp_path / "in" / "b.png")
    film = make_film(tmp_path / "film.mkv", pts=range(8))
    page, sheet = tmp_path / name_of(".html"), tmp_path / name_of(".png")
    assert run("compare", one, other, "-o", page) == 0
    assert run("preview", film, "-o", sheet, "--models", tiny_model) == 0
    average = tmp_path / name_of(".safetensors")
    assert run("models", "average", tiny_model, tiny_model, "-o", average) == 0
    exported = tmp_path / name_of(".xml")
    assert run("export", tiny_model, "-o", exported, "--format", "openvino") == 0
    for path in (page, sheet, average, exported):
        assert path.stat().st_size > 100


def test_a_pattern_is_taken_where_the_system_takes_it_for_no_name(monkeypatch: pytest.MonkeyPatch):
    """Windows has no name with `*`, and its shells do not replace it by files."""

    def stat(_: Path) -> None:
        raise OSError(errno.EINVAL, "the file name is incorrect")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stat)
        assert Existing().convert("scans/*.jpg", None, None) == Path("scans/*.jpg")
        with pytest.raises(SourceError, match="cannot be read"):
            Existing().convert("scans", None, None)
