"""The journal claims what is true, notices what is torn, and lets one run at a time write."""

import errno
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest

from vidcolor import ledger
from vidcolor.archives.journal import Journal, Record
from vidcolor.errors import BusyError, SinkError
from vidcolor.ledger import parse
from vidcolor.run import Run

RUN = Run("model", {"--crf": "18"})


def record(number: int, **fields) -> Record:
    return Record(f"{number}.jpg", 10, 20, fields.pop("outcome", "colored"), **fields)


def written(path: Path, count: int = 5) -> Path:
    with Journal(path) as journal:
        journal.begin(RUN)
        for number in range(count):
            journal.append(record(number, output=f"{number}.jpg", output_size=7, output_sha256="ab", seconds=0.5))
    return path


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    with Journal(written(tmp_path / "j")) as journal:
        assert journal.runs == [RUN]
        assert list(journal.records) == [f"{number}.jpg" for number in range(5)]
        assert journal.records["3.jpg"] == record(
            3, output="3.jpg", output_size=7, output_sha256="ab", seconds=0.5, run=0
        )
        assert journal.outputs == {f"{number}.jpg" for number in range(5)}


def test_every_line_is_json_for_other_programs(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in written(tmp_path / "j").read_text().splitlines()]
    assert lines[0]["run"]["model_sha256"] == "model"
    assert lines[1]["outcome"] == "colored"


def test_a_torn_tail_is_dropped_wherever_it_was_torn(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole").read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        path = tmp_path / "torn"
        path.write_bytes(whole[:end])
        with Journal(path) as journal:
            assert len(journal.records) == 4
            journal.append(record(9))
        with Journal(path) as journal:
            assert list(journal.records) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "9.jpg"]
            assert journal.damaged_lines == 0


def test_a_line_that_was_altered_is_not_believed(tmp_path: Path) -> None:
    path = written(tmp_path / "j")
    path.write_bytes(path.read_bytes().replace(b'"name":"2.jpg"', b'"name":"7.jpg"'))
    with Journal(path) as journal:
        assert list(journal.records) == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"]
        assert journal.damaged_lines == 1
    assert parse(b"") is parse(b"{}\n") is parse(b"\0\0\0\n") is None


def test_a_group_counts_only_with_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.begin(RUN)
        journal.append(record(0), record(1, offset=100))
        journal.append(record(2), record(3, offset=200))
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\n", 0, -1) + 1])
    with Journal(path) as journal:
        journal.rollback()
        assert list(journal.records) == ["0.jpg", "1.jpg"]
        assert journal.offset == 100


def test_why_a_record_no_longer_holds(tmp_path: Path) -> None:
    with Journal(written(tmp_path / "j")) as journal:
        one = journal.records["1.jpg"]
        assert journal.why_stale(one, RUN) == ""
        assert journal.why_stale(one, Run("new", RUN.settings)) == "made before, but the model has changed"
        assert journal.why_stale(one, Run("model", {"--crf": "20"})) == "made before, but --crf was 18, is 20"
        journal.begin(Run("new", RUN.settings))
        journal.append(record(1, outcome="failed", reason="damaged"))
        assert journal.why_stale(journal.records["1.jpg"], Run("new", RUN.settings)) == "failed before: damaged"
        assert journal.why_stale(journal.records["2.jpg"], RUN) == ""


def test_odd_names_survive(tmp_path: Path) -> None:
    name = 'b\udcfc \n"quoted",\\ 写真,"sum":"0123456789abcdef"}'
    with Journal(tmp_path / "j") as journal:
        journal.begin(RUN)
        journal.append(Record(name, 1, 2, "failed", name))
    with Journal(tmp_path / "j") as journal:
        assert journal.records[name].reason == name


def test_one_run_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out" / "j"
    path.parent.mkdir()
    with Journal(path), pytest.raises(SinkError, match=r"out: another run is writing there now"), Journal(path):
        pass
    with Journal(path) as journal:
        journal.remove()
        with Journal(path):  # removed: whoever comes next has a journal of its own
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="of POSIX")
def test_the_lock_is_that_of_the_first_release_and_leaves_no_file(tmp_path: Path) -> None:
    """0.1.0 calls flock on the journal itself."""
    import fcntl

    path = written(tmp_path / "j", 1)
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BusyError, match="another run is writing there now"), Journal(path):
            pass
    with Journal(path):
        assert [entry.name for entry in tmp_path.iterdir()] == ["j"]
        with path.open("r+b") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert [entry.name for entry in tmp_path.iterdir()] == ["j"]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_network_drive_without_locks_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def lock(_: int, *, blocking: bool) -> bool:
        assert not blocking
        raise OSError(code, "no locks")

    monkeypatch.setattr(ledger, "lock_descriptor", lock)
    with Journal(written(tmp_path / "j")) as journal:
        assert len(journal.records) == 5


def hold(path: Path, ready) -> None:
    with Journal(path) as journal:
        journal.begin(RUN)
        ready.set()
        time.sleep(60)


def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=hold, args=(tmp_path / "j", ready))
    process.start()
    assert ready.wait(30)
    with pytest.raises(SinkError, match="another run"), Journal(tmp_path / "j"):
        pass
    process.kill()
    process.join()
    with Journal(tmp_path / "j") as journal:
        assert journal.runs == [RUN]


def test_failures_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot be used as journal"), Journal(tmp_path / "no" / "j"):
        pass
    path = tmp_path / "newer"
    with Journal(path) as journal:
        journal._write(journal._line({"name": "a", "invented": 1}))
    with pytest.raises(SinkError, match="newer vidcolor"), Journal(path):
        pass


def test_thousands_of_lines_load_in_a_moment(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.begin(RUN)
        journal.append(*(record(number, output="x", sha256="ab" * 32) for number in range(10_000)))
    started = time.process_time()
    with Journal(tmp_path / "j") as journal:
        assert len(journal.records) == 10_000
    assert time.process_time() - started < 2  # 0.15 s on a Zen 4 core


def test_a_journal_is_opened_as_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows turns line ends into two bytes otherwise, and a resumed run would find no whole line."""
    opened, plain, binary = [], os.open, 1 << 15
    monkeypatch.setattr(os, "O_BINARY", binary, raising=False)
    monkeypatch.setattr(os, "open", lambda path, flags, mode: opened.append(flags) or plain(path, flags, mode))
    written(tmp_path / "j")
    assert opened
    assert all(flags & binary for flags in opened)
