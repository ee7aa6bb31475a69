"""A list of films is a job like a folder: what is finished is skipped."""

import json
import multiprocessing
from pathlib import Path

import pytest
from media_fixtures import make_film

from vidcolor import cli
from vidcolor.archives.journal import Journal
from vidcolor.archives.names import JOURNAL_NAME
from vidcolor.films.finished import FinishedFilms
from vidcolor.films.naming import FilmJob
from vidcolor.run import Run

RUN = Run("model", {"--crf": "18"})


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    found = [tmp_path / name for name in ("a.mkv", "b.mkv", "c.mkv")]
    for path in found:
        make_film(path)
    return found


def run(films: list[Path], out: Path, *options: str, model: Path) -> int:
    return cli.run([*map(str, films), "-o", str(out), *options, "--model", str(model), "--preset", "ultrafast"])


def test_a_list_that_was_interrupted_goes_on_with_the_rest(tmp_path: Path, films: list[Path], tiny_model: Path, capsys):
    out, torn = tmp_path / "out", films[2].read_bytes()
    films[2].write_bytes(b"torn")
    assert run(films, out, "-q", model=tiny_model) == 1
    before = [(out / name).stat().st_ino for name in ("a.mkv", "b.mkv")]
    films[2].write_bytes(torn)
    capsys.readouterr()
    assert run(films, out, "--json", model=tiny_model) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["input"] for event in events if event["event"] == "passed"] == [str(path) for path in films[:2]]
    assert [event["input"] for event in events if event["event"] == "done"] == [str(films[2])]
    assert [(out / name).stat().st_ino for name in ("a.mkv", "b.mkv")] == before
    assert run(films, out, "-q", model=tiny_model) == 0


def test_what_is_not_as_it_was_made_is_no_finished_film(tmp_path: Path, films: list[Path], tiny_model: Path, capsys):
    out = tmp_path / "out"
    assert run(films, out, "-q", model=tiny_model) == 0
    (out / "a.mkv").write_bytes(b"cut by hand")
    films[1].touch()
    assert run(films, out, "-q", model=tiny_model) == 1
    said = capsys.readouterr().err
    assert "a.mkv: exists already" in said
    assert "b.mkv: exists already" in said
    assert "c.mkv" not in said
    assert (out / "a.mkv").read_bytes() == b"cut by hand"
    assert run(films, out, "-q", "--saturation", "0.5", model=tiny_model) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "c.mkv: exists already" in said
    assert "--saturation was 1.0, is 0.5" in said


def add_film(folder: Path, number: int) -> None:
    job = FilmJob(folder / f"{number}.mkv", folder / "out" / f"{number}.mkv")
    FinishedFilms(folder / "out", RUN).add(job)


def test_runs_beside_each_other_note_their_films_in_turn(tmp_path: Path):
    (tmp_path / "out").mkdir()
    for number in range(8):
        for folder in (tmp_path, tmp_path / "out"):
            (folder / f"{number}.mkv").write_bytes(b"film")
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may wait for ever
    others = [context.Process(target=add_film, args=(tmp_path, number)) for number in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join()
        assert other.exitcode == 0
    with Journal(tmp_path / "out" / JOURNAL_NAME) as journal:
        assert len(journal.records) == 8
        assert len(journal.runs) == 1
