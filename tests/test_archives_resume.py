"""A kill at any moment does no harm: the next run goes on, and ends with the very same bytes."""

import os
import random
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from archive_fixtures import RUN, TAR_SUFFIXES, files, invert, make, process, tree

from vidcolor.archives import open_source, open_target
from vidcolor.archives.archive_target import files_of
from vidcolor.archives.entries import kind_of
from vidcolor.archives.group_writer import _sync_with_attributes
from vidcolor.errors import SinkError, SourceError
from vidcolor.run import Run

DRIVER = Path(__file__).with_name("archive_fixtures.py")
COUNT, PAUSE_SECONDS = 300, 0.005
WINDOW = 4
AT_RISK = 20  # files of 0.05 s of work, or of an open frame


def expected(count: int) -> dict[str, bytes]:
    """What the little pipeline makes of the generator's files."""
    found = {}
    for name, content in files(count):
        if kind_of(name) != "photo":
            found[name] = content
        elif content:
            found[name] = invert(content)
    return found


@dataclass
class Killed:
    folder: Path
    straight: Path
    output: Path
    log: Path
    kills: int = 0


def kill_and_resume(folder: Path, suffix: str, kills: int) -> Killed:
    """Run the pipeline in a process of its own, kill it `kills` times, and let it come to its end."""
    source, job = (
        make(folder / f"in{suffix}", COUNT),
        Killed(folder, folder / f"a{suffix}", folder / f"b{suffix}", folder / "log"),
    )
    process(source, job.straight)
    chance, wanted = random.Random(suffix), expected(COUNT)
    while True:
        child = subprocess.Popen([sys.executable, DRIVER, source, job.output, job.log, str(PAUSE_SECONDS)])
        if job.kills == kills or not under_way(child, job.log):
            assert child.wait(250) == 0
            return job
        time.sleep(chance.uniform(0, 0.1))
        child.kill()
        if child.wait() == 0:
            return job
        job.kills += 1
        if not suffix:
            assert tree(job.output).items() <= wanted.items()  # nothing torn, nothing foreign
        elif job.output.exists():  # it was killed on its way out; the tests compare what it has made
            return job


def under_way(child: subprocess.Popen, log: Path) -> bool:
    """Wait until the process has begun to work; False when it ends without."""
    before = log.stat().st_size if log.exists() else 0
    while not log.exists() or log.stat().st_size == before:
        if child.poll() is not None:
            return False
        time.sleep(0.002)
    return True


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, kills: int) -> dict[str, Killed]:
    """All three side by side: they mostly sleep."""
    suffixes = ("", ".zip", ".tar.gz")
    folders = [tmp_path_factory.mktemp("killed") for _ in suffixes]
    with ThreadPoolExecutor(len(suffixes)) as pool:
        return dict(zip(suffixes, pool.map(kill_and_resume, folders, suffixes, repeat(kills)), strict=True))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suffix", ["", ".zip", ".tar.gz"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(killed: dict[str, Killed], kills: int, suffix: str) -> None:
    job = killed[suffix]
    assert job.kills >= min(5, kills)  # a quick machine is done before the twentieth
    if suffix:
        assert job.output.read_bytes() == job.straight.read_bytes()
    else:
        assert tree(job.output) == tree(job.straight) == expected(COUNT)
    left = [path.name for path in job.folder.rglob(".vidcolor-*") if "partial" in path.name or "name" in path.name]
    assert left == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suffix", ["", ".zip", ".tar.gz"])
def test_a_kill_costs_no_more_than_what_was_under_way(killed: dict[str, Killed], suffix: str) -> None:
    job = killed[suffix]
    photos = {name for name, content in files(COUNT) if kind_of(name) == "photo" and content}
    done = [name for name in job.log.read_text().splitlines() if name in photos]
    assert set(done) == photos
    assert len(done) <= len(photos) + job.kills * (WINDOW + AT_RISK)


class StopError(Exception):
    pass


def interrupted(source_path: Path, output: Path, after: int) -> None:
    """Do `after` entries, then break off as an exception would."""
    with (  # noqa: PT012
        pytest.raises(StopError),
        open_source([source_path], output=output) as source,
        open_target(output, source, RUN) as target,
    ):
        for number, entry in enumerate(entry for entry in source if target.why_due(entry)):
            if number == after:
                raise StopError
            if entry.kind != "photo":
                target.copy(entry)
                continue
            try:
                target.write(entry, invert(entry.read()))
            except SourceError as error:
                target.fail(entry, str(error))


@pytest.mark.parametrize("suffix", ["", ".zip", *TAR_SUFFIXES])
def test_an_interrupted_run_goes_on_wherever_it_stopped(tmp_path: Path, suffix: str) -> None:
    source, straight = make(tmp_path / f"in{suffix}", 50), tmp_path / f"a{suffix}"
    process(source, straight)
    for after in (1, 16, 17, 40, 55):
        output = tmp_path / f"b{after}{suffix}"
        if after < 50:
            interrupted(source, output, after)
            interrupted(source, output, 3)
        process(source, output)
        if suffix:
            assert output.read_bytes() == straight.read_bytes()
        else:
            assert tree(output) == tree(straight)


def test_torn_tails_of_archive_and_journal_are_cut_off(tmp_path: Path) -> None:
    source, straight, output = make(tmp_path / "in.zip", 30), tmp_path / "a.zip", tmp_path / "b.zip"
    process(source, straight)
    interrupted(source, output, 20)
    _, partial, journal = files_of(output)
    with partial.open("ab") as file:
        file.write(b"half a member")
    journal.write_bytes(journal.read_bytes() + b'{"name":"torn')
    process(source, output)
    assert output.read_bytes() == straight.read_bytes()


def test_a_kill_between_record_and_renaming_costs_nothing(tmp_path: Path) -> None:
    source, output = make(tmp_path / "in", 10), tmp_path / "out"
    process(source, output)
    before = tree(output)
    with open_source([source]) as entries, open_target(output, entries, RUN) as target:
        last = next(record for record in reversed(target.journal.recent) if record.output)
        entry = next(entry for entry in entries if entry.name == last.name)
        temporary = target.scratch_path(entry)
    (output / last.output).rename(temporary)
    assert process(source, output)[0] == {"failed": 1}  # the empty photo, tried again
    assert tree(output) == before


def test_what_failed_is_appended_by_the_next_run(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out.zip"
    source.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (source / name).write_bytes(name.encode())
    with open_source([source]) as entries, open_target(output, entries, RUN) as target:
        for entry in entries:
            if entry.name == "b.jpg":
                target.fail(entry, "out of memory")
            else:
                target.write(entry, invert(entry.read()))
    assert zipfile.ZipFile(output).namelist() == ["a.jpg", "c.jpg"]
    assert process(source, output) == ({"colored": 1}, [])
    with zipfile.ZipFile(output) as archive:
        assert archive.namelist() == ["a.jpg", "c.jpg", "b.jpg"]
        assert archive.testzip() is None
    assert not files_of(output)[2].exists()


@pytest.mark.parametrize(
    ("run", "message"),
    [(Run("other", RUN.settings), "the model has changed"), (Run("model", {"--crf": "20"}), "--crf was 18, is 20")],
)
def test_a_partial_archive_is_not_mixed_with_another_run(tmp_path: Path, run: Run, message: str) -> None:
    source, output = make(tmp_path / "in.zip", 20), tmp_path / "out.zip"
    interrupted(source, output, 10)
    with pytest.raises(SinkError, match=message):
        process(source, output, run=run)
    process(source, output, run=run, resume=False)
    assert output.exists()


def test_a_partial_archive_is_not_mixed_with_another_source(tmp_path: Path) -> None:
    source, output = make(tmp_path / "in.zip", 20), tmp_path / "out.zip"
    interrupted(source, output, 10)
    source.unlink()
    make(source, 21)
    with pytest.raises(SinkError, match=r"in\.zip changed"):
        process(source, output)
    folder, output = make(tmp_path / "in", 20), tmp_path / "out2.zip"
    interrupted(folder, output, 20)
    next(path for path in sorted(folder.rglob("*")) if path.is_file()).touch()
    with pytest.raises(SinkError, match="changed"):
        process(folder, output)


def test_a_second_run_over_a_folder_does_only_what_changed(tmp_path: Path) -> None:
    source, output = make(tmp_path / "in", 40), tmp_path / "out"
    process(source, output)
    photos = sorted(name for name, content in files(40) if kind_of(name) == "photo" and content)
    empty = {"failed": 1}
    assert process(source, output)[0] == empty
    (source / photos[0]).chmod(0o600)
    (source / photos[0]).write_bytes(b"another picture")
    (output / photos[1]).unlink()
    assert process(source, output)[0] == empty | {"colored": 2}
    assert (output / photos[0]).read_bytes() == invert(b"another picture")
    with open_source([source]) as entries, open_target(output, entries, Run("new", RUN.settings)) as target:
        reasons = {target.why_due(entry) for entry in entries if entry.kind != "directory"}
    assert reasons == {"made before, but the model has changed", "failed before: an empty file."}


def test_a_second_run_over_thousands_is_quick(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(1000):
        (source / f"{number}.jpg").write_bytes(b"x")
    process(source, output)
    started = time.process_time()
    assert process(source, output)[0] == {}
    assert time.process_time() - started < 6  # about 0.15 s on a Zen 4 core


def test_two_runs_on_one_output_refuse_each_other(tmp_path: Path) -> None:
    source = make(tmp_path / "in", 5)
    for output in (tmp_path / "out", tmp_path / "out.zip"):
        with (
            open_source([source]) as entries,
            open_target(output, entries, RUN),
            pytest.raises(SinkError, match="another run is writing there"),
        ):
            process(source, output)


def test_an_existing_archive_is_never_replaced_unasked(tmp_path: Path) -> None:
    source, output = make(tmp_path / "in.zip", 10), tmp_path / "out.zip"
    output.write_bytes(b"mine")
    with pytest.raises(SinkError, match="--overwrite"):
        process(source, output)
    assert output.read_bytes() == b"mine"
    process(source, output, overwrite=True)
    assert zipfile.is_zipfile(output)


def test_files_that_are_not_ours_are_never_replaced_unasked(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    output.mkdir()
    (source / "a.jpg").write_bytes(b"a")
    (output / "a.jpg").write_bytes(b"mine")
    counts, lines = process(source, output)
    assert counts == {"failed": 1}
    assert "exists and is not ours" in lines[0]
    assert (output / "a.jpg").read_bytes() == b"mine"
    assert process(source, output, overwrite=True)[0] == {"colored": 1}
    shutil.rmtree(output)


def test_a_read_only_original_makes_no_read_only_file_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Which could not be replaced there by the next run."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    written = SimpleNamespace(temporary=path, entry=SimpleNamespace(mtime_ns=10**18, mode=0o444))
    with monkeypatch.context() as patched:
        patched.setattr(os, "name", "nt")
        assert _sync_with_attributes(cast(Any, written)) == (10**18, "")
    assert path.stat().st_mode & 0o200
