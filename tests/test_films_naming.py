"""What becomes what is settled before any work."""

from dataclasses import fields
from pathlib import Path

import pytest

from vidcolor.batch.options import BatchOptions
from vidcolor.batch.photos import PhotoOptions
from vidcolor.errors import UsageError
from vidcolor.films.job import OUTPUT_OPTIONS, FilmOptions
from vidcolor.films.naming import FilmJob, plan_jobs
from vidcolor.inference.settings import ModelSettings


def test_one_film_into_a_file():
    assert plan_jobs([Path("a.mp4")], "b.mkv") == [FilmJob(Path("a.mp4"), Path("b.mkv"))]


def test_several_films_into_a_folder_keep_their_names():
    jobs = plan_jobs([Path("x/a.mp4"), Path("b.MKV"), Path("c.ogv")], "out")
    assert [job.target for job in jobs] == [Path("out/a.mp4"), Path("out/b.MKV"), Path("out/c.mkv")]


def test_a_slash_or_an_existing_folder_means_a_folder(tmp_path: Path):
    assert plan_jobs([Path("a.mp4")], "new/")[0].target == Path("new/a.mp4")
    assert plan_jobs([Path("a.mp4")], str(tmp_path))[0].target == tmp_path / "a.mp4"


@pytest.mark.parametrize("inputs", [["x/a.mp4", "y/a.mp4"], ["A.mp4", "a.mp4"], ["a.ogv", "a.mpg"]])
def test_films_that_would_overwrite_each_other_are_refused(inputs: list[str]):
    with pytest.raises(UsageError, match="would both become"):
        plan_jobs([Path(name) for name in inputs], "out/")


def test_a_folder_as_input_and_a_file_for_several_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="is a folder"):
        plan_jobs([tmp_path], "out.mp4")
    file = tmp_path / "one.mp4"
    file.touch()
    with pytest.raises(UsageError, match="need a folder"):
        plan_jobs([Path("a.mp4"), Path("b.mp4")], str(file))


def test_every_option_of_a_film_decides_its_bytes_or_is_known_not_to():
    """An earlier run with other values of the first kind is not resumed."""
    known_not_to = {
        "model",
        "hwaccel",
        "resume",
        "overwrite",
        "keep_segments",
    }  # the model has options and an identity of its own
    names = {field.name for field in fields(FilmOptions)}
    assert set(OUTPUT_OPTIONS) | known_not_to == names
    assert not set(OUTPUT_OPTIONS) & known_not_to
    model = {field.name for field in fields(ModelSettings)}
    assert set(ModelSettings().color_options) | {"model", "device", "batch_size"} == model
    photos = {field.name for field in fields(PhotoOptions)}
    decided = {name.removeprefix("--") for name in BatchOptions().run_identity().settings}
    assert photos - {"largest_photo", "overwrite"} <= decided


def test_names_that_differ_by_composed_letters_alone_are_one_output(tmp_path: Path):
    """macOS takes both for the same file."""
    films = [tmp_path / "a" / "\u00e9.mkv", tmp_path / "b" / "e\u0301.mkv"]
    with pytest.raises(UsageError, match="would both become"):
        plan_jobs(films, f"{tmp_path}/out/")
