"""After a change of a film's project only changed shots are made anew, and the film is what a fresh run makes."""

import errno
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_fixtures import make_shots
from PIL import Image
from skimage import data

from vidcolor import cli
from vidcolor.errors import SinkError
from vidcolor.films.job import FilmOptions, FilmResult, FilmStart, colorize_film_file
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.film_ledger import FilmLedger
from vidcolor.media.segments import ChangedError
from vidcolor.media.source import FilmSource

SHOTS = (18, 13, 5, 26, 9, 21, 12, 9)  # frames
FRAMES = sum(SHOTS)
BEGINS = [0, *accumulate(SHOTS)]
SEGMENT = 8  # frames, here
WAYS: dict[str, dict[str, Any]] = {
    "shot": {},
    "flow": {"steady": "flow"},
    "off": {"steady": "off"},
    "auto": {"every": None},
    "recolor": {"recolor": True},
    "part": {"start": 1.0, "end": 3.5},
}


def shot(place: int) -> list[int]:
    return [BEGINS[place], BEGINS[place + 1] - 1]


def choice(place: int, saturation: float = 0.2) -> dict[str, Any]:
    return {"frames": shot(place), "saturation": saturation}


def hint(place: int, color: str = "navy", **more: Any) -> dict[str, Any]:
    return {"frame": BEGINS[place] + 2, "point": [0.4, 0.3], "size": [1, 1], "color": color, **more}


class StopError(Exception):
    """An end in the middle."""


@dataclass
class Desk:
    """A film, and its project."""

    film: Path
    folder: Path
    colorizer: Colorizer
    asked: list[int]  # frames that the network was asked about, call by call
    done: list[int] = field(default_factory=list)  # what the newest run told
    start: FilmStart | None = None
    warnings: list[str] = field(default_factory=list)
    result: FilmResult | None = None

    @property
    def out(self) -> Path:
        return self.folder / "out.mp4"

    @property
    def kept(self) -> Path:
        return self.folder / ".vidcolor-out.mp4"

    def run(self, entries: dict[str, Any], stop: int | None = None, out: Path | None = None, **options: Any) -> int:
        """Color the film; gives how many frames the network saw. stop: end before so many frames are done."""
        project = self.folder / "film.vidcolor.json"
        project.write_text(json.dumps({"vidcolor_project": 1, "film": self.film.name, **entries}), encoding="utf-8")
        given = {"codec": "h264", "overwrite": True, "keep_segments": True, "project": project} | options
        self.done, self.warnings, before = [], [], sum(self.asked)

        def advance(done: int) -> None:
            self.done.append(done)
            if len(self.done) == stop:
                raise StopError

        def began(start: FilmStart) -> None:
            self.start = start

        self.result = colorize_film_file(
            self.film, out or self.out, FilmOptions(self.colorizer_settings, **given), lambda: self.colorizer,
            on_start=began, on_frame=advance, on_warning=self.warnings.append, is_known_not_color=True,
        )  # fmt: skip
        return sum(self.asked) - before

    @property
    def colorizer_settings(self) -> ModelSettings:
        return ModelSettings(str(self.folder.parent / "tiny.safetensors"))

    def is_as_fresh(self, entries: dict[str, Any], **options: Any) -> bool:
        """Whether the output is what a run from the start makes."""
        fresh = self.folder / "fresh" / "out.mp4"
        self.run(entries, out=fresh, **{"keep_segments": False} | options)
        assert [path.name for path in fresh.parent.iterdir()] == ["out.mp4"]
        return fresh.read_bytes() == self.out.read_bytes()


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("films.pipeline", "steady.checkpoints"):
        monkeypatch.setattr(f"vidcolor.{module}.SEGMENT_FRAMES", SEGMENT)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shots in gray, each of a picture that moves, with sound."""
    made = make_shots(tmp_path_factory.mktemp("sound") / "film.mkv", SHOTS)
    pictures = [
        np.asarray(Image.fromarray(picture).convert("L").resize((160, 90)))
        for picture in (data.astronaut(), data.coffee(), data.cat(), data.camera())
    ]
    pictures += [picture[::-1] for picture in pictures]
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with av.open(str(path), "w") as out, av.open(str(made)) as sound:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        heard = out.add_stream_from_template(sound.streams.audio[0])
        for picture, length in zip(pictures, SHOTS, strict=True):
            for at in range(length):
                planes = np.full((96, 96), 128, np.uint8)
                planes[:64] = picture[10:74, at : at + 96]
                out.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(stream.encode())
        for packet in sound.demux(sound.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = heard
                out.mux(packet)
    return path


@pytest.fixture(scope="module")
def colorizer(tiny_model: Path) -> Iterator[Colorizer]:
    with Colorizer.load(str(tiny_model)) as loaded:
        yield loaded


@pytest.fixture
def desk(
    film: Path, colorizer: Colorizer, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Desk:  # fmt: skip
    asked, predict = [0], Colorizer.predict

    def spy(self: Colorizer, lightness: Any) -> Any:
        asked.append(len(lightness))
        return predict(self, lightness)

    monkeypatch.setattr(Colorizer, "predict", spy)
    shutil.copy(tiny_model, tmp_path / "tiny.safetensors")
    (tmp_path / "work").mkdir()
    return Desk(film, tmp_path / "work", colorizer, asked)


def touched(*places: int) -> int:
    """Frames in the segments that some shots touch."""
    numbers = {frame // SEGMENT for place in places for frame in range(BEGINS[place], BEGINS[place + 1])}
    return sum(min(FRAMES, (number + 1) * SEGMENT) - number * SEGMENT for number in numbers)


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_choice_makes_its_shot_anew(way: str, desk: Desk):
    first, second = {"choices": [choice(1, 0.5)]}, {"choices": [choice(1, 0.5), choice(3, 2)]}
    desk.run(first, **WAYS[way])
    total = len(desk.done)
    assert desk.run(second, **WAYS[way]) > 0
    assert desk.start is not None
    assert len(desk.done) == touched(3) if way != "part" else len(desk.done) <= 26 + 2 * SEGMENT
    assert desk.done == list(range(desk.start.done_before + 1, total + 1))
    assert desk.result is not None
    assert desk.result.frames == total
    assert desk.is_as_fresh(second, **WAYS[way])
    assert not desk.is_as_fresh(first, **WAYS[way])  # the change is in the picture


@pytest.mark.parametrize("place", [0, 4, 7])
def test_the_first_and_the_last_shot_and_one_between_can_be_changed(place: int, desk: Desk):
    desk.run({})
    desk.run({"choices": [choice(place)]})
    assert len(desk.done) == touched(place)
    assert desk.is_as_fresh({"choices": [choice(place)]})
    desk.run({})  # and back
    assert len(desk.done) == touched(place)
    assert desk.is_as_fresh({})


def test_changes_at_several_places(desk: Desk):
    before = {"choices": [choice(0), choice(4)], "hints": [hint(6, frames=shot(6))]}
    after = {"choices": [choice(2), choice(4)], "hints": [hint(6, "green", frames=shot(6))]}
    desk.run(before)
    desk.run(after)
    assert len(desk.done) == touched(0, 2, 6)
    assert desk.is_as_fresh(after)


def test_a_hint_that_speaks_of_its_shot_makes_that_anew(desk: Desk):
    other = hint(5, "olive", frames=shot(5))
    steps: list[tuple[list[dict[str, Any]], tuple[int, ...]]] = [
        ([], ()), ([hint(1, frames=shot(1))], (1,)), ([hint(1, "red", frames=shot(1)), other], (1, 5)), ([other], (1,)),
    ]  # fmt: skip
    for hints, changed in steps:
        desk.run({"hints": hints})
        assert len(desk.done) == (touched(*changed) or FRAMES)
        assert desk.is_as_fresh({"hints": hints})
        assert not [warning for warning in desk.warnings if "did nothing" in warning]


@pytest.mark.parametrize("entry", ["hint", "still"])
def test_what_speaks_of_the_whole_film_makes_all_anew(entry: str, desk: Desk):
    Image.fromarray(data.coffee()).save(desk.folder / "still.png")
    said = {"hints": [hint(1)]} if entry == "hint" else {"references": ["still.png"]}
    desk.run({})
    desk.run(said)
    assert desk.done == list(range(1, FRAMES + 1))
    assert desk.is_as_fresh(said)


def test_what_decides_no_color_makes_nothing_anew(desk: Desk):
    said = {"choices": [choice(1)]}
    desk.run(said)
    made = desk.out.read_bytes()
    for entries in (said, {**said, "frames": FRAMES, "shots": [[0, 20]]}):
        assert desk.run(entries) == 0
        assert desk.done == []
        assert desk.out.read_bytes() == made


def test_a_film_of_one_shot_is_kept_whole(desk: Desk):
    desk.run({}, end=0.6)
    made = desk.out.read_bytes()
    assert not list(desk.kept.glob("*.npz"))  # states are larger than what is encoded
    assert desk.run({}, end=0.6) == 0
    assert desk.result is not None
    assert desk.result.frames == 15
    assert desk.out.read_bytes() == made


@pytest.mark.parametrize("what", ["removed", "moved", "other"])
def test_an_output_that_is_gone_is_put_together_again(what: str, desk: Desk):
    desk.run({})
    made = desk.out.read_bytes()
    {"removed": Path.unlink, "moved": lambda out: out.rename(desk.folder / "mine.mp4"),
     "other": lambda out: out.write_bytes(b"mine")}[what](desk.out)  # fmt: skip
    assert desk.run({}) == 0
    assert desk.out.read_bytes() == made


@pytest.mark.parametrize(("third", "stop"), [("the same", 1), ("the same", 20), ("another", 9), ("the first", 30)])
def test_a_second_run_that_ended_in_the_middle_is_gone_on_with(third: str, stop: int, desk: Desk):
    first, second = {"choices": [choice(2)]}, {"choices": [choice(0), choice(2), choice(5)]}
    last = {"the same": second, "another": {"choices": [choice(0, 2), choice(3)]}, "the first": first}[third]
    desk.run(first)
    with pytest.raises(StopError):
        desk.run(second, stop=stop)
    desk.run(last)
    assert len(desk.done) < FRAMES
    assert desk.done[-1:] in ([], [FRAMES])
    assert desk.is_as_fresh(last)


@pytest.mark.parametrize("place", [2, 7])
def test_a_run_that_ended_just_before_the_film_had_its_name(
    place: int, desk: Desk, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("vidcolor.media.sink.move", fail)
        with pytest.raises(SinkError, match="disk is full"):
            desk.run({})
    desk.run({"choices": [choice(place)]})
    assert len(desk.done) == touched(place)
    assert desk.is_as_fresh({"choices": [choice(place)]})


def test_a_killed_first_run_takes_a_changed_project(desk: Desk):
    with pytest.raises(StopError):
        desk.run({}, stop=80)
    desk.run({"choices": [choice(1)]})
    assert desk.start is not None
    assert desk.start.done_before > 50
    assert desk.is_as_fresh({"choices": [choice(1)]})


@pytest.mark.parametrize("harm", ["flipped", "gone", "line"])
def test_a_kept_segment_that_is_damaged_is_made_again(harm: str, desk: Desk):
    desk.run({})
    path = desk.kept / "000010.packets"
    if harm == "gone":
        path.unlink()
    elif harm == "flipped":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    else:
        lines = (desk.kept / "ledger").read_bytes().splitlines(keepends=True)
        lines[11] = lines[11].replace(b"0", b"1", 1)
        (desk.kept / "ledger").write_bytes(b"".join(lines))
    desk.run({"choices": [choice(1)]})
    assert len(desk.done) == touched(1) + SEGMENT
    assert desk.is_as_fresh({"choices": [choice(1)]})


def test_without_the_option_nothing_is_kept(desk: Desk):
    desk.run({})
    assert desk.kept.is_dir()
    assert desk.run({}, keep_segments=False) == 0
    assert not desk.kept.exists()
    desk.run({})
    desk.run({"choices": [choice(1)]}, keep_segments=False)
    assert not desk.kept.exists()
    assert desk.is_as_fresh({"choices": [choice(1)]})


@pytest.mark.parametrize("options", [{"crf": 30}, {"steady": "flow"}, {"resume": False}, {"shot_memory": True}])
def test_another_option_makes_all_anew(options: dict[str, Any], desk: Desk):
    desk.run({"choices": [choice(1)]})
    desk.run({"choices": [choice(2)]}, **options)
    assert desk.done == list(range(1, FRAMES + 1))
    assert desk.is_as_fresh({"choices": [choice(2)]}, **options)


def test_an_unfinished_film_with_other_options_is_not_gone_on_with(desk: Desk):
    with pytest.raises(StopError):
        desk.run({}, stop=80)
    with pytest.raises(ChangedError, match="--crf was 18, is 30"):
        desk.run({}, crf=30)


def test_with_shot_memory_a_change_makes_all_anew(desk: Desk):
    for place in (1, 2):
        desk.run({"choices": [choice(place)]}, shot_memory=True)
        assert desk.done == list(range(1, FRAMES + 1))
        assert desk.is_as_fresh({"choices": [choice(place)]}, shot_memory=True)


def test_an_output_is_not_replaced_unasked_and_what_is_kept_stays(desk: Desk):
    desk.run({})
    before = {path.name: path.read_bytes() for path in desk.kept.iterdir()}
    with pytest.raises(SinkError, match="--overwrite"):
        desk.run({"choices": [choice(1)]}, overwrite=False)
    assert {path.name: path.read_bytes() for path in desk.kept.iterdir()} == before


@pytest.mark.slow
def test_whatever_is_changed_and_wherever_a_run_ends_the_film_is_right(desk: Desk):
    draw = random.Random(7)
    for _ in range(8):
        places = draw.sample(range(len(SHOTS)), draw.randint(0, 3))
        said: dict[str, Any] = {"choices": [choice(place, draw.choice([0, 0.5, 2])) for place in places]}
        if draw.random() < 0.3:
            said["choices"].append({"frames": [draw.randrange(50), draw.randrange(50, FRAMES)], "saturation": 1.5})
        if draw.random() < 0.4:
            place = draw.randrange(len(SHOTS))
            said["hints"] = [hint(place, draw.choice(["navy", "red"]), frames=shot(place))]
        if draw.random() < 0.5:
            try:
                desk.run(said, stop=draw.randint(1, 70))
            except StopError:
                continue
        if draw.random() < 0.3 and desk.kept.exists():
            chosen = draw.choice(sorted(desk.kept.glob("*.packets")))
            chosen.write_bytes(b"")
        desk.run(said)
        assert desk.is_as_fresh(said)


def test_choices_beside_stills_are_told_apart(desk: Desk):
    """A run with other choices is no run with the same stills."""
    Image.fromarray(data.coffee()).save(desk.folder / "still.png")
    project, seen = desk.folder / "p.json", []
    with FilmSource(desk.film) as source:
        for place in (1, 2):
            said = {"choices": [choice(place)], "references": ["still.png"]}
            project.write_text(json.dumps({"vidcolor_project": 1, "film": "film.mkv", **said}), encoding="utf-8")
            seen.append(FilmOptions(desk.colorizer_settings, project=project).run_identity(source))
    assert seen[0].changes(seen[1]) == ["--project says something else"]


def test_a_ledger_without_shots_is_as_before(desk: Desk):
    with pytest.raises(StopError):
        desk.run({}, stop=80, keep_segments=False)
    text = (desk.kept / "ledger").read_text()
    assert "shots" not in text
    assert "said" not in text
    desk.run({})  # goes on with it
    assert desk.start is not None
    assert desk.start.done_before > 50
    assert desk.is_as_fresh({})
    with FilmLedger(desk.kept / "ledger", desk.out) as ledger:
        assert ledger.is_finished
        assert ledger.film_frames == FRAMES


SCRIPT = """
import os, sys
import vidcolor, vidcolor.films.pipeline, vidcolor.steady.checkpoints
vidcolor.films.pipeline.SEGMENT_FRAMES = vidcolor.steady.checkpoints.SEGMENT_FRAMES = 8
film, out, model, project, last = sys.argv[1:]
vidcolor.colorize_film(
    film, out, model=model, codec="h264", project=project, overwrite=True, keep_segments=True,
    on_progress=lambda done, _: os._exit(9) if done == int(last) else None,
)
"""


@pytest.mark.slow
def test_a_process_killed_in_the_second_run(desk: Desk):
    first, second = {"choices": [choice(2)]}, {"choices": [choice(0), choice(2), choice(5)]}
    desk.run(first)
    project = desk.folder / "film.vidcolor.json"
    project.write_text(json.dumps({"vidcolor_project": 1, "film": "film.mkv", **second}), encoding="utf-8")
    model = desk.colorizer_settings.model
    command = [sys.executable, "-c", SCRIPT, str(desk.film), str(desk.out), model, str(project), str(FRAMES - 9)]
    assert subprocess.run(command, check=False, timeout=120).returncode == 9
    desk.run(second)
    assert desk.is_as_fresh(second)


def test_the_option_is_for_films_alone(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(desk.film, folder)
    assert cli.run([str(folder), "-o", str(tmp_path / "color"), "--keep-segments", "-q"]) == 2
    assert "--keep-segments is for films" in capsys.readouterr().err
