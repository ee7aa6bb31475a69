"""A film job that dies at any point is gone on with, and ends as one that never died."""

import json
import os
import random
import re
import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from media_fixtures import make_film, make_shots, packets, times

from vidcolor import cli
from vidcolor.errors import SinkError, UsageError, VidcolorError
from vidcolor.films.job import FilmOptions
from vidcolor.frames import ResumePoint, checksum_of
from vidcolor.media.film_ledger import FilmLedger
from vidcolor.media.segment_files import make_packet
from vidcolor.media.segments import ChangedError, SegmentStore
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource
from vidcolor.run import Run
from vidcolor.steady import Steadiness
from vidcolor.steady.key_frames import MAX_EVERY, MAX_INTERVAL, KeyPlanner

RUN = Run("model", {"--crf": "18"}, "1 2")
UNEVEN = [0, 1, 2, 3, 9, 10, 11, 30, 31, 32, 33, 34, 35, 36, 60, 61, 62, 63, 90, 91, 92, 93, 94, 95, 96, 97, 98]
CONTAINERS = {
    "mp4": ["--codec", "h264"],
    "mov": ["--codec", "prores"],
    "mkv": ["--codec", "ffv1"],
    "webm": ["--codec", "vp9", "--convert-audio", "opus"],
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
    for module in ("films.pipeline", "steady.checkpoints"):
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
    if suffix != "webm":  # whose sound is made anew
        assert packets(whole, "audio") == packets(part, "audio")
    assert whole.read_bytes() == part.read_bytes()
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
    for module in ("films.pipeline", "steady.checkpoints"):
        monkeypatch.setattr(f"vidcolor.{module}.SEGMENT_FRAMES", segment)
    film = make_shots(tmp_path / "film.mkv", [5, 265])
    options = ["--codec", "ffv1", "--every", str(MAX_EVERY)]
    whole, part = tmp_path / "whole.mkv", tmp_path / "part.mkv"
    assert run(film, "-o", whole, "-q", *options, model=tiny_model) == 0
    interrupted(film, part, options, tiny_model, frames)
    with np.load(next((tmp_path / ".vidcolor-part.mkv").glob("*.state.npz"))) as state:
        assert {name.partition("/")[0] for name in state} == {"planner", "carrier", "shots"}
        assert any(name.startswith("carrier/between") for name in state)  # frames wait
    assert run(film, "-o", part, "-q", *options, model=tiny_model) == 0
    assert pictures(whole) == pictures(part)


@pytest.mark.parametrize("every", [MAX_EVERY + 1, 240, 1000, 10**8])
def test_a_rhythm_that_would_hold_too_many_frames_is_refused(every: int, film: Path, tmp_path: Path, capsys):
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "--every", str(every)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"every {every}" in line
    assert f"{MAX_EVERY} at most" in line
    for make in (lambda: FilmOptions(every=every), lambda: Steadiness(every=every), lambda: KeyPlanner(every)):
        with pytest.raises(UsageError, match=f"{MAX_EVERY} at most"):
            make()
    assert MAX_INTERVAL <= MAX_EVERY  # what auto takes
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_segments_of_uneven_pace_keep_every_time(suffix: str, tmp_path: Path, tiny_model: Path):
    source = make_film(tmp_path / "in.mkv", pts=UNEVEN, time_base=Fraction(1, 50))
    out = tmp_path / f"out.{suffix}"
    interrupted(source, out, ["--preset", "medium"], tiny_model, 18)
    assert run(source, "-o", out, "-q", "--preset", "medium", model=tiny_model) == 0
    assert times(out) == times(source)


SOUNDS = {  # source, output, codec
    "aac in mkv": ("mkv", "mkv", "aac"),
    "aac into mp4": ("mkv", "mp4", "aac"),
    "opus": ("mkv", "webm", "libopus"),
    "pcm into avi": ("mkv", "avi", "pcm_s16le"),
    "pcm into mov": ("mkv", "mov", "pcm_s16le"),
}


def sound_of(path: Path) -> list[Any]:
    """Every packet of sound: its stream, times, flag and bytes."""
    with av.open(str(path)) as file:
        return [
            (packet.stream_index, packet.pts, packet.dts, packet.duration, packet.time_base, packet.is_keyframe,
             bytes(packet))
            for packet in file.demux(file.streams.audio) if packet.size
        ]  # fmt: skip


@pytest.mark.parametrize("way", SOUNDS)
def test_sound_of_a_film_gone_on_with_is_that_of_one_that_never_stopped(way: str, tmp_path: Path, tiny_model: Path):
    """It is copied anew from the source, which must be the same; see test_media_identity.py."""
    before, after, codec = SOUNDS[way]
    film = make_film(tmp_path / f"in.{before}", pts=range(3, 63), sound=[{}, {"language": "eng"}], sound_codec=codec)
    whole, part = tmp_path / f"whole.{after}", tmp_path / f"part.{after}"
    assert run(film, "-o", whole, "-q", model=tiny_model) == 0
    for frames in (9, 40):
        interrupted(film, part, [], tiny_model, frames)
    assert run(film, "-o", part, "-q", model=tiny_model) == 0
    assert sound_of(part) == sound_of(whole)
    assert {stream for stream, *_ in sound_of(part)} == {1, 2}
    copied = [content for *_, content in sorted(sound_of(part), key=lambda packet: packet[0])]
    assert b"".join(copied) == b"".join(content for *_, content in sorted(sound_of(film), key=lambda packet: packet[0]))


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
            place = ResumePoint(number + 1, *whole[number])
            assert [(frame.pts, checksum_of(frame.luma)) for frame in source.frames(place)] == whole[number + 1 :]
            wrong = ResumePoint(
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
            packet = make_packet(
                bytes([number, index]) * 9, 10 * number + index, index, 1, Fraction(1, 25), is_key=index == 0
            )
            made.write(packet)
        if number < count:
            made.finish(ResumePoint(10 * (number + 1), 7, 8), 5, {"a": np.arange(number + 1)})
    made._file.close()
    made._ledger.close()  # as a kill would


def test_the_store_gives_back_what_was_finished(tmp_path: Path):
    filled(tmp_path)
    found = store(tmp_path)
    assert (found.frames, found.first_pts, found.resume_point) == (30, 5, ResumePoint(30, 7, 8))
    kept = [
        (packet.pts, packet.dts, packet.duration, bytes(packet), packet.is_keyframe)
        for packet in found.packets(Fraction(1, 25))
    ]
    assert kept == [(10 * n + i, i, 1, bytes([n, i]) * 9, i == 0) for n in range(3) for i in range(3)]
    assert found.state()["a"].tolist() == [0, 1, 2]
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "000000.packets", "000000.state.npz", "000001.packets", "000001.state.npz", "000002.packets",
        "000002.state.npz", "ledger",
    ]  # fmt: skip
    found.close(is_done=True)
    assert not list(tmp_path.iterdir())


def flip(path: Path, place: int, bits: int = 1) -> None:
    """Change one byte, and neither size nor time."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


HARMS = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"0"),
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "other": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(400)),
    "flipped at its begin": lambda path: flip(path, 0),
    "flipped in a length": lambda path: flip(path, 24),
    "flipped in the middle": lambda path: flip(path, path.stat().st_size // 2, 0x80),
    "flipped at its end": lambda path: flip(path, -1),
}


def repaired(folder: Path, number: int, frames: int) -> None:
    """The store goes back to `frames`, says so, and what it has is right."""
    found = store(folder)
    try:
        assert found.frames == frames
        assert found.warnings == [f"segment {number} of the work kept was damaged; made again from frame {frames}"]
        kept = [(packet.pts, bytes(packet)) for packet in found.packets(Fraction(1, 25))]
        assert kept == [(10 * n + i, bytes([n, i]) * 9) for n in range(frames // 10) for i in range(3)]
        assert found.resume_point == (ResumePoint(frames, 7, 8) if frames else None)
        assert found.state().get("a", np.empty(0)).tolist() == list(range(frames // 10))
    finally:
        found.close(is_done=False)
    again = store(folder)
    assert (again.frames, again.warnings) == (frames, [])
    again.close(is_done=False)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_segment_is_made_again_and_those_before_it_kept(harm: str, number: int, tmp_path: Path):
    filled(tmp_path)
    HARMS[harm](tmp_path / ".vidcolor-out.mkv" / f"{number - 1:06}.packets")
    repaired(tmp_path, number, 10 * (number - 1))


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_state_costs_its_segment_alone(harm: str, tmp_path: Path):
    filled(tmp_path)
    HARMS[harm](tmp_path / ".vidcolor-out.mkv" / "000002.state.npz")
    repaired(tmp_path, 3, 20)


@pytest.mark.parametrize(("line", "frames"), [(0, 0), (1, 0), (2, 10), (3, 20)])
def test_a_damaged_line_of_the_ledger_leaves_no_gap_in_the_film(line: int, frames: int, tmp_path: Path):
    filled(tmp_path)
    ledger = tmp_path / ".vidcolor-out.mkv" / "ledger"
    flip(ledger, sum(map(len, ledger.read_bytes().splitlines(keepends=True)[:line])) + 9)
    repaired(tmp_path, frames // 10 + 1, frames)


def test_states_grow_sparse_with_age(tmp_path: Path):
    filled(tmp_path, 60)
    found = store(tmp_path)
    kept = sorted(int(path.name[:6]) for path in found.folder.glob("*.npz"))
    assert kept[-8:] == list(range(52, 60))
    assert len(kept) < 25
    assert all((after - before) * 4 <= max(4, 60 - before) for before, after in pairwise(kept))
    found.close(is_done=False)
    HARMS["gone"](tmp_path / ".vidcolor-out.mkv" / "000031.packets")
    found = store(tmp_path)
    assert 10 * 24 <= found.frames <= 10 * 31
    assert found.state()["a"].tolist() == list(range(found.frames // 10))
    found.close(is_done=True)


def as_of_0_1_0(folder: Path) -> None:
    """What vidcolor 0.1.0 left: no checksums, and the last state alone."""
    with FilmLedger(folder / "ledger", folder) as ledger:
        made, run = list(ledger.segments), ledger.run
        ledger.clear()
        ledger.begin(run)
        for segment in made:
            fields = {name: value for name, value in vars(segment).items() if not name.endswith("crc32")}
            ledger._write(ledger._line(fields))
    for segment in made[:-1]:
        (folder / segment.state).unlink()


def test_what_0_1_0_left_is_gone_on_with(tmp_path: Path):
    filled(tmp_path)
    as_of_0_1_0(tmp_path / ".vidcolor-out.mkv")
    found = store(tmp_path)
    assert (found.frames, found.warnings, len(found.state()["a"])) == (30, [], 3)
    found.close(is_done=False)


@pytest.mark.parametrize(("name", "harm"), [
    *((name, harm) for name in ("000001.packets", "000002.state.npz") for harm in ("cut", "gone", "empty", "other")),
    ("000001.packets", "flipped in a length"),
    ("000002.state.npz", "flipped in the middle"),
])  # fmt: skip
def test_what_0_1_0_left_damaged_is_begun_anew(name: str, harm: str, tmp_path: Path):
    filled(tmp_path)
    as_of_0_1_0(tmp_path / ".vidcolor-out.mkv")
    HARMS[harm](tmp_path / ".vidcolor-out.mkv" / name)
    found = store(tmp_path)
    assert (found.frames, len(found.warnings), found.state()) == (0, 1, {})
    found.close(is_done=False)


@pytest.mark.parametrize(("name", "harm", "frames"), [
    ("000001.packets", "flipped in the middle", 8),
    ("000001.packets", "flipped in a length", 8),
    ("000002.state.npz", "empty", 16),
    ("000002.state.npz", "cut", 16),
    ("000000.packets", "gone", 0),
])  # fmt: skip
def test_a_film_whose_kept_work_was_damaged_is_the_same_film(
    name: str, harm: str, frames: int, film: Path, tmp_path: Path, tiny_model: Path, capsys
):
    whole, part = tmp_path / "whole.mp4", tmp_path / "part.mp4"
    assert run(film, "-o", whole, "-q", model=tiny_model) == 0
    interrupted(film, part, [], tiny_model, 25)
    HARMS[harm](tmp_path / ".vidcolor-part.mp4" / name)
    capsys.readouterr()
    assert run(film, "-o", part, "--json", model=tiny_model) == 0
    told = capsys.readouterr().out
    assert f"made again from frame {frames}." in told
    assert json.loads(told.splitlines()[-1])["done_before"] == frames
    assert pictures(whole) == pictures(part)
    assert packets(whole, "audio") == packets(part, "audio")


@pytest.mark.parametrize(("run", "said"), [
    (Run("model", {"--crf": "18"}, "other"), "the input has changed"),
    (Run("other", {"--crf": "18"}, "1 2"), "the model has changed"),
    (Run("model", {"--crf": "20"}, "1 2"), "--crf was 18, is 20"),
    (Run("model", {"--crf": "18", "--size": "64"}, "1 2"), "--size was -, is 64"),
])  # fmt: skip
def test_the_store_tells_runs_apart(run: Run, said: str, tmp_path: Path):
    filled(tmp_path)
    with pytest.raises(ChangedError, match=said):
        store(tmp_path, run=run)
    again = store(tmp_path, run=run, resume=False)
    assert again.frames == 0
    again.close(is_done=False)


@pytest.mark.parametrize(("before", "now", "said"), [
    ({"precision": "bf16"}, {"precision": "fp32"}, ["precision was bf16, is fp32"]),
    ({"backend": "openvino 1"}, {"backend": "torch 2 on cpu"}, ["backend was openvino 1, is torch 2 on cpu"]),
    ({"--precision": "auto"}, {"precision": "fp32", "backend": "openvino 1"}, []),  # 0.1.0 did not know
    ({"--precision": "bf16"}, {"precision": "fp32", "backend": "openvino 1"}, ["precision was bf16, is fp32"]),
    ({"--precision": "fp32"}, {"precision": "fp32", "backend": "openvino 1"}, []),
])  # fmt: skip
def test_machines_are_told_apart(before: dict[str, str], now: dict[str, str], said: list[str]):
    assert Run("model", now, "1 2").changes(Run("model", before, "1 2")) == said


def begun_elsewhere(film: Path, out: Path, model: Path, monkeypatch: pytest.MonkeyPatch, **elsewhere: Any) -> None:
    """Interrupted on a machine where these things of the package are others."""
    with monkeypatch.context() as patch:
        for name, thing in elsewhere.items():
            patch.setattr(f"vidcolor.{name.replace('__', '.')}", thing)
        interrupted(film, out, ["--device", "cpu"], model, 20)


OTHERS = {
    "precision": ({"inference.openvino_backend__has_bf16": lambda _: False}, "precision was fp32, is bf16"),
    "backend": ({"inference.backends__find_spec": lambda _: None}, r"backend was torch \S+ on cpu, is openvino \S+"),
    "FFmpeg": ({"films.job__film_versions": lambda: "PyAV 1"}, "film libraries was PyAV 1, is PyAV "),
    "OpenCV": ({"films.job__cv2": SimpleNamespace(__version__="1.0")}, "OpenCV was 1.0, is "),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_another_machine_began_is_not_gone_on_with(
    what: str, film: Path, tmp_path: Path, tiny_model: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    elsewhere, said = OTHERS[what]
    out = tmp_path / "out.mkv"
    begun_elsewhere(film, out, tiny_model, monkeypatch, **elsewhere)
    monkeypatch.setattr("vidcolor.inference.openvino_backend.has_bf16", lambda _: True)
    monkeypatch.setattr("vidcolor.inference.mixing.open_backend", None)  # no network is loaded to find out
    capsys.readouterr()
    assert run(film, "-o", out, "-q", "--device", "cpu", model=tiny_model) == 1
    told = capsys.readouterr().err
    assert re.search(f"16 frames of it were made with other inputs or settings and cannot be resumed: .*{said}", told)


def test_auto_is_what_it_becomes(film: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    """Another machine of the kind goes on, and so does the option that says what auto came to."""
    out = tmp_path / "out.mkv"
    begun_elsewhere(film, out, tiny_model, monkeypatch, **{"inference.openvino_backend__has_bf16": lambda _: False})
    assert run(film, "-o", out, "-q", "--precision", "fp32", "--device", "cpu,cpu", model=tiny_model) == 0


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


@pytest.mark.slow
@pytest.mark.timeout(900)  # twenty kills took 241 s beside other work
def test_kills_at_random_points_end_in_the_same_film(kills: int, tmp_path: Path, tiny_model: Path):
    """Real kills of the real command; segments have their real length there."""
    frames = max(720, 110 * kills)
    source = make_film(
        tmp_path / "in.mkv",
        pts=range(frames),
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
    while killed < kills:
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
    for colored in [*ended, part]:
        assert pictures(colored) == pictures(whole)
        assert packets(colored, "audio") == packets(whole, "audio")
    assert len(pictures(whole)) == frames


class LedgerFirst:
    """os.scandir, with the ledger as the first entry."""

    def __init__(self, folder: Any, *, scandir: Any = os.scandir) -> None:
        with scandir(folder) as found:
            self._found = sorted(found, key=lambda entry: entry.name != "ledger")

    def __enter__(self) -> Any:
        return iter(self._found)

    def __exit__(self, *_: object) -> None: ...


def test_a_done_store_goes_although_its_open_ledger_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As on Windows, where an open file stays."""
    filled(tmp_path)
    found, plain = store(tmp_path), os.unlink

    def unlink(path: Any, **options: Any) -> None:
        if Path(path).name == "ledger" and found._ledger._fd >= 0:
            raise PermissionError(13, "in use")
        plain(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", unlink)
        patched.setattr(os, "scandir", LedgerFirst)
        found.close(is_done=True)
    assert not os.path.lexists(found.folder)
