"""What comes while the studio works: another program's writes, new and changed photos, other requests."""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import skimage.data
from PIL import Image
from test_studio_photos import TEAL

from vidcolor.errors import UsageError
from vidcolor.inference.settings import ModelSettings
from vidcolor.studio import desk as desks
from vidcolor.studio import rendering
from vidcolor.studio.photo_desk import PhotoDesk

HINT = {"frame": 0, "frames": [0, 0], **TEAL}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(skimage.data.cat()).convert("L").save(folder / name)
    return folder


def write(scans: Path, **entries: Any) -> None:
    data = {"vidcolor_project": 1, "folder": "scans", **entries}
    scans.with_name("scans.vidcolor.json").write_text(json.dumps(data), encoding="utf-8")


def read(scans: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scans.with_name("scans.vidcolor.json").read_text(encoding="utf-8"))
    return found


def open_desk(scans: Path, colorizer: Any) -> PhotoDesk:
    return PhotoDesk(scans, ModelSettings(device="cpu"), colorizer)


def test_what_was_said_of_a_photo_that_appears_is_not_lost(scans: Path, colorizer: Any):
    late = {"hints": [{"file": "late.jpg", **TEAL}], "seen": ["late.jpg"]}
    write(scans, **late)
    desk = open_desk(scans, colorizer)
    version, told = desk.tell()
    assert told["hints"] == []
    (scans / "late.jpg").write_bytes((scans / "a.jpg").read_bytes())
    desk.look_again()
    with pytest.raises(UsageError, match="meanwhile"):
        desk.save({"hints": [], "seen": [0]}, version)
    assert late.items() <= read(scans).items()
    after, told = desk.tell()
    assert [hint["frame"] for hint in told["hints"]] == [2]
    desk.save({"hints": told["hints"], "seen": [0, 2]}, after)
    assert read(scans)["seen"] == ["a.jpg", "late.jpg"]


def test_a_place_in_pixels_moves_with_the_size_of_its_photo(scans: Path, colorizer: Any):
    write(scans, hints=[{"file": "a.jpg", "point": [200, 100], "color": "teal"}])
    desk = open_desk(scans, colorizer)
    version, told = desk.tell()
    assert told["hints"][0]["point"] == pytest.approx([200 / 451, 100 / 300])
    Image.fromarray(skimage.data.cat()).convert("L").resize((902, 600)).save(scans / "a.jpg")
    desk.look_again()
    after, told = desk.tell()
    assert told["hints"][0]["point"] == pytest.approx([200 / 902, 100 / 600])
    assert after > version


def test_a_picture_asked_for_before_a_save_is_not_kept_for_what_was_said_then(
    scans: Path, colorizer: Any, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    desk = open_desk(scans, colorizer)
    plain, predict = desk.picture(0), desk.predict
    desk._pictures.clear()

    def save_first(number: int, shown: Any) -> Any:
        monkeypatch.setattr(desk, "predict", predict)
        desk.save({"hints": [HINT]})
        return predict(number, shown)

    monkeypatch.setattr(desk, "predict", save_first)
    assert desk.picture(0) != plain
    desk.save({"hints": []})
    assert desk.picture(0) == plain


def test_another_program_may_write_during_a_save(
    scans: Path, colorizer: Any, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    write(scans, seen=["a.jpg"])
    desk = open_desk(scans, colorizer)
    load, other = desk._load_choices, [{"file": "b.jpg", "saturation": 0.5}]

    def load_slowly(project: Any) -> None:
        monkeypatch.setattr(desk, "_load_choices", load)
        write(scans, seen=["a.jpg"], choices=other)
        load(project)

    monkeypatch.setattr(desk, "_load_choices", load_slowly)
    with pytest.raises(UsageError, match="another program"):
        desk.save({"hints": [HINT]})
    assert read(scans)["choices"] == other
    assert desk.tell()[1]["choices"] == [{"frames": [1, 1], "saturation": 0.5}]


def test_another_program_may_write_just_after_a_save(
    scans: Path, colorizer: Any, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    desk, write_project = open_desk(scans, colorizer), desks.write_project

    def write_then_another(path: Path, data: dict[str, Any]) -> bytes:
        found = write_project(path, data)
        write(scans, seen=["b.jpg"])
        return found

    with monkeypatch.context() as patched:
        patched.setattr(desks, "write_project", write_then_another)
        desk.save({"hints": [HINT]})
    with pytest.raises(UsageError, match="another program"):
        desk.save({"hints": []})
    assert desk.tell()[1]["seen"] == [1]
    assert read(scans)["seen"] == ["b.jpg"]


@pytest.mark.parametrize("lines", [
    "sys.stderr.write('a word of a library\\n' * 20_000)", "print('a word of a library', flush=True)",
])  # fmt: skip
def test_a_job_that_says_more_than_its_events_is_heard_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str
):
    job = tmp_path / "job"
    job.write_text(f'#!{sys.executable}\nimport sys\n{lines}\nprint(\'{{"event": "done"}}\')\n', encoding="utf-8")
    job.chmod(0o755)
    monkeypatch.setattr(rendering, "sys", SimpleNamespace(executable=str(job)))
    desk: Any = SimpleNamespace(settings=ModelSettings(), source="film.mp4", path=tmp_path / "none", kind="film")
    run = rendering.Rendering(desk, tmp_path / "out.mp4", is_overwriting=False)
    end = time.monotonic() + 20
    while run.is_running and time.monotonic() < end:
        time.sleep(0.05)
    found = run.state()
    run.stop()
    assert (found["running"], found["facts"], found["problem"]) == (False, {"event": "done"}, "")
