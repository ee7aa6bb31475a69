"""A film job that dies at any point is gone on with, and ends as one that never died."""

import json
import random
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_fixtures import make_film, make_shots, packets, times

from vidcolor import cli
from vidcolor.errors import SinkError, UsageError, VidcolorError
from vidcolor.films import FilmOptions
from vidcolor.frames import Place, checksum_of
from vidcolor.media import segments
from vidcolor.media.segments import ChangedError, FilmRun, SegmentStore
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource
from vidcolor.steady import Steadiness
from vidcolor.steady.keys import FURTHEST, MOST_EVERY, KeyPlanner

KILLS, FRAMES = 20, 2200
RUN = FilmRun("1 2", "model", {"--crf": "18"})
UNEVEN = [0, 1, 2, 3, 9, 10, 11, 30, 31, 32, 33, 34, 35, 36, 60, 61, 62, 63, 90, 91, 92, 93, 94, 95, 96, 97, 98]
CONTAINERS = {
    "mp4": ["--codec", "h264"],
    "mov": ["--codec", "prores"],
    "mkv": ["--codec", "ffv1"],
    "webm": ["--codec", "vp9"],
    "avi": ["--codec", "h264"],
    "m4v": ["--codec", "hevc", "--preset", "ultrafast"],
}
WAYS = {
    "off": ["--steady", "off"],
    "smooth": ["--steady", "smooth"],
    "flow": [],
    "auto": ["--every", "auto", "--shot-memory"],
    "every 3": ["--every", "3"],
}


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of eight frames, in this process."""
    for module in ("pipeline", "steady.marks"):
        monkeypatch.setattr(f"vidcolor.{module}.SEGMENT_FRAMES", 8)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With sound, subtitles and chapters, so that everything has to meet again."""
    return make_film(
        tmp_path_factory.mktemp("film") / "film.mkv", pts=range(30), sound=[{"language": "deu"}, {"language": "eng"}],
        subtitles=[(100, 600, b"Guten Tag")], chapters=[(0, 500, "one"), (500, 1200, "two")],
    )  # fmt: skip


def run(*arguments: object, model: Path) -> int:
    return cli.run([*map(str, arguments), "--model", str(model)])


def pictures(path: Path) -> list[tuple[Fraction, bytes]]:
    """When every frame is shown, and all of its planes."""
    with FilmSource(path) as source:
        return [(frame.pts * source.info.time_base, frame.native.to_ndarray().tobytes()) for frame in source.frames()]


def die_after(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sink fail at a frame, as a full disk would."""
    write = FilmSink.write

    def dying(sink: FilmSink, colored: Any) -> None:
        if sink.frames_written == frames:
            raise VidcolorError("the power failed")
        write(sink, colored)

    monkeypatch.setattr(FilmSink, "write", dying)


def interrupted(film: Path, out: Path, options: list[str], model: Path, frames: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        die_after(frames, patch)
        assert run(film, "-o", out, "-q", *options, model=model) == 1
    assert not out.exists()


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_and_codec_is_gone_on_with(suffix: str, film: Path, tmp_path: Path, tiny_model: Path):
    whole, part = tmp_path / f"whole.{suffix}", tmp_path / f"part.{suffix}"
    assert run(film, "-o", whole, "-q", *CONTAINERS[suffix], model=tiny_model) == 0
    for frames in (11, 17, 29):
        interrupted(film, part, CONTAINERS[suffix], tiny_model, frames)
    assert run(film, "-o", part, "-q", *CONTAINERS[suffix], model=tiny_model) == 0
    assert pictures(whole) == pictures(part)
    assert len(pictures(part)) == 30
    if suffix != "webm":  # which does not take the film's sound
        assert packets(whole, "audio") == packets(part, "audio")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([whole.name, part.name])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("frames", [8, 9, 16, 23])
def test_steadiness_goes_on_where_it_was(way: str, frames: int, film: Path, tmp_path: Path, tiny_model: Path):
    options = ["--codec", "ffv1", *WAYS[way]]
    whole, part = tmp_path / "whole.mkv", tmp_path / "part.mkv"
    assert run(film, "-o", whole, "-q", *options, model=tiny_model) == 0
    interrupted(film, part, options, tiny_model, frames)
    assert run(film, "-o", part, "-q", *options, model=tiny_model) == 0
    assert pictures(whole) == pictures(part)


@pytest.mark.parametrize(("segment", "frames"), [(8, 9), (8, 100), (240, 250)])
def test_the_longest_rhythm_goes_on_where_it_was(
    segment: int, frames: int, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    """While a frame waits for the key after it, the stages before are up to fifteen of the short segments ahead."""
    for module in ("pipeline", "steady.marks"):
        monkeypatch.setattr(f"vidcolor.{module}.SEGMENT_FRAMES", segment)
    film = make_shots(tmp_path / "film.mkv", [5, 265])
    options = ["--codec", "ffv1", "--every", str(MOST_EVERY)]
    whole, part = tmp_path / "whole.mkv", tmp_path / "part.mkv"
    assert run(film, "-o", whole, "-q", *options, model=tiny_model) == 0
    interrupted(film, part, options, tiny_model, frames)
    with np.load(next((tmp_path / ".vidcolor-part.mkv").glob("*.state.npz"))) as state:
        assert {name.partition("/")[0] for name in state} == {"planner", "carrier"}
        assert any(name.startswith("carrier/between") for name in state)  # frames wait
    assert run(film, "-o", part, "-q", *options, model=tiny_model) == 0
    assert pictures(whole) == pictures(part)


@pytest.mark.parametrize("every", [MOST_EVERY + 1, 240, 1000, 10**30])
def test_a_rhythm_that_would_hold_too_many_frames_is_refused(every: int, film: Path, tmp_path: Path, capsys):
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "--every", str(every)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"every {every}" in line
    assert f"{MOST_EVERY} at most" in line
    for make in (lambda: FilmOptions(every=every), lambda: Steadiness(every=every), lambda: KeyPlanner(every)):
        with pytest.raises(UsageError, match=f"{MOST_EVERY} at most"):
            make()
    assert FURTHEST <= MOST_EVERY  # what auto takes
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_segments_of_uneven_pace_keep_every_time(suffix: str, tmp_path: Path, tiny_model: Path):
    source = make_film(tmp_path / "in.mkv", pts=UNEVEN, time_base=Fraction(1, 50))
    out = tmp_path / f"out.{suffix}"
    interrupted(source, out, ["--preset", "medium"], tiny_model, 18)
    assert run(source, "-o", out, "-q", "--preset", "medium", model=tiny_model) == 0
    assert times(out) == times(source)


def test_a_film_whose_end_was_reached_is_finished(film: Path, tmp_path: Path, tiny_model: Path, monkeypatch):
    out = tmp_path / "out.mkv"

    def dying(_: FilmSink) -> None:
        raise OSError("the power failed")

    with monkeypatch.context() as patch:
        patch.setattr(FilmSink, "_finish", dying)
        assert run(film, "-o", out, "-q", "--start", "0", "--end", "0.64", model=tiny_model) == 1
    assert run(film, "-o", out, "-q", "--start", "0", "--end", "0.64", model=tiny_model) == 0
    assert len(times(out)) == 16  # two whole segments, and none after


def test_what_changed_is_told_and_begun_anew_only_when_asked(film: Path, tmp_path: Path, tiny_model: Path, capsys):
    out = tmp_path / "out.mkv"
    interrupted(film, out, [], tiny_model, 20)
    capsys.readouterr()
    assert run(film, "-o", out, "-q", "--crf", "30", model=tiny_model) == 1
    told = capsys.readouterr().err
    assert "--crf was 18, is 30" in told
    assert "--no-resume" in told
    assert "16 frames" in told
    assert not out.exists()
    assert run(film, "-o", out, "-q", "--crf", "30", "--no-resume", model=tiny_model) == 0
    assert len(times(out)) == 30
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_json_tells_what_was_done_before(film: Path, tmp_path: Path, tiny_model: Path, capsys):
    out = tmp_path / "out.mkv"
    interrupted(film, out, [], tiny_model, 20)
    capsys.readouterr()
    assert run(film, "-o", out, "--json", model=tiny_model) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["done_before"] == 16
    assert events[-1]["frames"] == 30


def test_a_film_that_fails_at_once_leaves_nothing(film: Path, tmp_path: Path, tiny_model: Path):
    interrupted(film, tmp_path / "out.mkv", [], tiny_model, 5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codec", ["libx264", "ffv1", "mpeg4"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi"])
def test_a_source_goes_on_after_any_frame(codec: str, suffix: str, tmp_path: Path):
    film = make_film(
        tmp_path / f"film.{suffix}",
        pts=range(60),
        codec=codec,
        options={"g": "12", "bf": "0" if suffix == "avi" else "2"},
    )
    with FilmSource(film) as source:
        whole = [(frame.pts, checksum_of(frame.luma)) for frame in source.frames()]
    for number in (0, 11, 12, 13, 30, 58, 59):
        with FilmSource(film) as source:
            place = Place(number + 1, *whole[number])
            assert [(frame.pts, checksum_of(frame.luma)) for frame in source.frames(place)] == whole[number + 1 :]
            wrong = Place(
                number + 1, place.pts, place.checksum ^ 1
            )  # as if seeking led to a frame that is not the same
            assert [(frame.pts, checksum_of(frame.luma)) for frame in source.frames(wrong)] == whole[number + 1 :]


def store(folder: Path, **options: Any) -> SegmentStore:
    return SegmentStore(folder / "out.mkv", options.pop("run", RUN), **options)


def filled(folder: Path, count: int = 3) -> None:
    """Segments of ten frames and three packets each, then a kill in the middle of the next."""
    made = store(folder)
    for number in range(count + 1):
        for index in range(3):
            packet = segments._packet(
                bytes([number, index]) * 9, 10 * number + index, index, 1, Fraction(1, 25), is_key=index == 0
            )
            made.write(packet)
        if number < count:
            made.finish(Place(10 * (number + 1), 7, 8), 5, {"a": np.arange(number + 1)})
    made._file.close()
    made._ledger.close()  # as a kill would


def test_the_store_gives_back_what_was_finished(tmp_path: Path):
    filled(tmp_path)
    found = store(tmp_path)
    assert (found.frames, found.first_pts, found.place) == (30, 5, Place(30, 7, 8))
    kept = [
        (packet.pts, packet.dts, packet.duration, bytes(packet), packet.is_keyframe)
        for packet in found.packets(Fraction(1, 25))
    ]
    assert kept == [(10 * n + i, i, 1, bytes([n, i]) * 9, i == 0) for n in range(3) for i in range(3)]
    assert found.state()["a"].tolist() == [0, 1, 2]
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "000000.packets", "000001.packets", "000002.packets", "000002.state.npz", "ledger",
    ]  # fmt: skip
    found.close(is_done=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_segment_is_not_built_on(harm: str, tmp_path: Path):
    filled(tmp_path)
    path = tmp_path / ".vidcolor-out.mkv" / "000001.packets"
    path.write_bytes(path.read_bytes()[:-1]) if harm == "cut" else path.unlink()
    found = store(tmp_path)
    assert found.frames == 0
    found.close(is_done=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("run", "said"), [
    (FilmRun("other", "model", {"--crf": "18"}), "the film is another"),
    (FilmRun("1 2", "other", {"--crf": "18"}), "the model is another"),
    (FilmRun("1 2", "model", {"--crf": "20"}), "--crf was 18, is 20"),
    (FilmRun("1 2", "model", {"--crf": "18", "--size": "64"}), "--size was -, is 64"),
])  # fmt: skip
def test_the_store_tells_runs_apart(run: FilmRun, said: str, tmp_path: Path):
    filled(tmp_path)
    with pytest.raises(ChangedError, match=said):
        store(tmp_path, run=run)
    again = store(tmp_path, run=run, resume=False)
    assert again.frames == 0
    again.close(is_done=False)


def test_two_runs_do_not_write_one_film(tmp_path: Path):
    first = store(tmp_path)
    with pytest.raises(SinkError, match="another run"):
        store(tmp_path)
    first.close(is_done=True)


def lines(path: Path) -> int:
    """How many a file has; 0 where there is none."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def test_twenty_kills_at_random_points_end_in_the_same_film(tmp_path: Path, tiny_model: Path):
    """Real kills of the real command; segments have their real length there."""
    source = make_film(
        tmp_path / "in.mkv",
        pts=range(FRAMES),
        codec="libx264",
        options={"preset": "ultrafast"},
        sound=[{}],
        size=(64, 48),
    )
    command = [sys.executable, "-m", "vidcolor", str(source), "--model", str(tiny_model), "-q", "--every", "auto"]
    whole, part = tmp_path / "whole.mp4", tmp_path / "part.mp4"
    subprocess.run([*command, "-o", str(whole)], check=True)
    chance, ledger = random.Random(20), tmp_path / ".vidcolor-part.mp4" / "ledger"
    killed, ended = 0, []
    while killed < KILLS:
        process = subprocess.Popen([*command, "-o", str(part)])
        known, is_early = lines(ledger), chance.random() < 0.65
        while not is_early and process.poll() is None and lines(ledger) <= max(known, 1):
            time.sleep(0.01)
        try:
            process.wait(timeout=chance.uniform(0, 2.0 if is_early else 0.3))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        if part.exists():  # a fast machine is done before the last kill: the film begins anew
            ended.append(part.rename(tmp_path / f"part-{killed}.mp4"))
    subprocess.run([*command, "-o", str(part)], check=True)
    for coloured in [*ended, part]:
        assert pictures(coloured) == pictures(whole)
        assert packets(coloured, "audio") == packets(whole, "audio")
    assert len(pictures(whole)) == FRAMES
