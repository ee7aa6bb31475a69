"""Photos in the studio: what is shown and said of them, and what the command makes of it."""

import json
import pickle
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import skimage.data
from PIL import Image
from starlette.testclient import TestClient
from test_studio import HOST, surveyed

from vidcolor import cli
from vidcolor.batch.files import Batch, colorize_files
from vidcolor.batch.options import BatchOptions
from vidcolor.errors import UsageError
from vidcolor.films.job import FilmOptions
from vidcolor.films.project import Project
from vidcolor.inference.settings import ModelSettings
from vidcolor.stills.rgb import decode
from vidcolor.studio.photo_desk import PhotoDesk, spread
from vidcolor.studio.server import make_app

NAMES = ["1931/cup.png", "cat.jpg", "cup.png", "kodachrome.jpg", "torn.jpg"]
TEAL = {"point": [0.5, 0.5], "size": [1, 1], "width": 0.1, "color": "teal"}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "1931").mkdir(parents=True)
    Image.fromarray(skimage.data.coffee()[::2, ::2]).convert("L").save(folder / "cup.png")
    Image.fromarray(skimage.data.coffee()[::2, ::2]).convert("L").save(folder / "1931" / "cup.png")
    Image.fromarray(skimage.data.cat()).convert("L").save(folder / "cat.jpg")
    Image.fromarray(skimage.data.astronaut()[::2, ::2]).save(folder / "kodachrome.jpg")
    (folder / "torn.jpg").write_bytes((folder / "cat.jpg").read_bytes()[:200])
    (folder / "notes.txt").write_text("box 7", encoding="utf-8")
    return folder


@pytest.fixture
def client(scans: Path, colorizer: Any):
    with surveyed(PhotoDesk(scans, ModelSettings(device="cpu"), colorizer)) as asked:
        yield asked


def picture(client: TestClient, number: int, **asked: Any) -> np.ndarray:
    answer = client.get("picture", params={"frame": number, **asked})
    assert answer.status_code == 200, answer.text
    found = decode(answer.content)
    assert found is not None
    return found.astype(int)


def save(client: TestClient, **entries: Any) -> Any:
    answer = client.put("project", json=entries)
    assert answer.status_code == 200, answer.text
    return json.loads((Path(client.get("state").json()["folder"]) / "scans.vidcolor.json").read_text(encoding="utf-8"))


def test_photos_are_listed_with_what_is_found_of_them(client: TestClient):
    state = client.get("state").json()
    assert state["kind"] == "photos"
    assert [shot["name"] for shot in state["shots"]] == NAMES
    kinds = {shot["name"]: shot["kind"] for shot in state["shots"]}
    assert kinds == dict(zip(NAMES, ["picture", "picture", "picture", "color", "broken"], strict=True))
    assert "torn.jpg" in state["shots"][4]["problem"]
    unsure = [shot["unsure"] for shot in state["shots"]]
    assert all(value > 1 for value in unsure[:3])
    assert unsure[3:] == [0, 0]
    assert state["shots"][1]["aspect"] == pytest.approx(451 / 300, abs=0.01)
    assert state["palettes"] == ["scans/kodachrome.jpg"]


def test_a_photo_in_color_keeps_its_colors(client: TestClient):
    assert np.abs(picture(client, 3) - picture(client, 3, gray="")).max() == 0
    assert np.ptp(picture(client, 3), axis=2).mean() > 20
    assert client.get("picture", params={"frame": 4}).status_code == 400
    assert "torn.jpg" in client.get("picture", params={"frame": 4}).json()["problem"]
    assert client.get("picture", params={"frame": 9}).status_code == 400


def test_a_hint_is_for_its_photo_alone(client: TestClient):
    before = [picture(client, number) for number in (0, 2)]
    data = save(client, hints=[{**TEAL, "frame": 2, "frames": [2, 2]}], choices=[{"frames": [0, 0], "saturation": 0}])
    assert data["hints"] == [{"file": "cup.png", **TEAL}]
    assert data["choices"] == [{"file": "1931/cup.png", "saturation": 0}]
    after = [picture(client, number) for number in (0, 2)]
    assert np.ptp(after[0], axis=2).max() <= 6
    y, x = np.array(after[1].shape[:2]) // 2
    assert after[1][y, x, 1] - after[1][y, x, 0] > before[1][y, x, 1] - before[1][y, x, 0] + 20
    (shown,) = client.get("state").json()["hints"]
    assert (shown["frame"], shown["frames"], shown["point"]) == (2, [2, 2], [0.5, 0.5])
    assert client.get("clip", params={"first": 0, "last": 0}).status_code == 400
    assert client.put("project", json={"hints": [{**TEAL, "frame": 7, "frames": [7, 7]}]}).status_code == 400
    assert client.put("project", json={"shots": []}).status_code == 400


def test_what_is_said_of_photos_that_are_gone_stays(scans: Path, colorizer: Any):
    gone = {"file": "gone.jpg", **TEAL}
    second = {"file": "cup.png", "page": 2, **TEAL}
    path = scans.with_name("scans.vidcolor.json")
    data = {"vidcolor_project": 1, "folder": "scans", "hints": [gone, second], "seen": ["gone.jpg", "cat.jpg"]}
    path.write_text(json.dumps(data), encoding="utf-8")
    desk = PhotoDesk(scans, ModelSettings(device="cpu"), colorizer)
    assert desk.said() == {"choices": [], "hints": [], "seen": [1]}
    desk.save({"hints": [{**TEAL, "frame": 1, "frames": [1, 1]}], "choices": [], "seen": [0]})
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["hints"] == [gone, second, {"file": "cat.jpg", **TEAL}]
    assert written["seen"] == ["gone.jpg", "1931/cup.png"]


def test_a_project_of_something_else_is_refused(scans: Path, colorizer: Any):
    path = scans.with_name("scans.vidcolor.json")
    for data, said in (
        ({"vidcolor_project": 1, "film": "scans"}, "is the project of scans, not"),
        ({"vidcolor_project": 1, "folder": "other"}, "is the project of other"),
        ({"vidcolor_project": 1, "folder": "scans", "shots": []}, "'shots' is unknown"),
        ({"vidcolor_project": 1, "folder": "scans", "hints": [TEAL]}, "names no file"),
        ({"vidcolor_project": 1, "folder": "scans", "choices": [{"frames": [0, 1]}]}, "is no object such as"),
        ({"vidcolor_project": 1, "folder": "scans", "hints": [{"file": "cup.png", "frame": 3, **TEAL}]}, "has a frame"),
    ):
        path.write_text(json.dumps(data), encoding="utf-8")
        with pytest.raises(UsageError, match=said):
            PhotoDesk(scans, ModelSettings(device="cpu"), colorizer)


def test_the_command_makes_what_the_studio_shows_and_only_what_changed(client: TestClient, scans: Path):
    (scans / "torn.jpg").unlink()
    project, output = scans.with_name("scans.vidcolor.json"), scans.with_name("color")
    command = [str(scans), "-o", str(output), "--project", str(project), "--quiet"]
    save(client, hints=[{**TEAL, "frame": 2, "frames": [2, 2]}])
    assert cli.run(command) == 0
    inode = {name: (output / name).stat().st_ino for name in NAMES[:4]}
    made = np.asarray(Image.open(output / "cup.png").convert("RGB")).astype(int)
    assert np.abs(made - picture(client, 2)).mean() < 4  # JPEG
    assert (output / "kodachrome.jpg").read_bytes() == (scans / "kodachrome.jpg").read_bytes()
    save(client, choices=[{"frames": [1, 1], "saturation": 0.5}], seen=[0])
    assert cli.run(command) == 0
    changed = [name for name in NAMES[:4] if (output / name).stat().st_ino != inode[name]]
    assert changed == ["cat.jpg"]
    fresh = scans.with_name("fresh")
    assert cli.run([str(scans), "-o", str(fresh), "--project", str(project), "--quiet"]) == 0
    for name in NAMES[:4]:
        assert (fresh / name).read_bytes() == (output / name).read_bytes(), name


def test_one_photo_takes_its_part_of_the_project(client: TestClient, scans: Path, capsys: pytest.CaptureFixture[str]):
    data = save(client, choices=[{"frames": [0, 0], "saturation": 0}])
    project = str(scans.with_name("scans.vidcolor.json"))
    assert data["choices"] == [{"file": "1931/cup.png", "saturation": 0}]
    for name, is_gray in (("1931/cup.png", True), ("cup.png", False)):
        target = scans.with_name("one.png")
        assert cli.run([str(scans / name), "-o", str(target), "--project", project, "--overwrite"]) == 0
        made = np.asarray(Image.open(target).convert("RGB")).astype(int)
        assert (np.ptp(made, axis=2).max() <= 3) == is_gray
    assert "no effect" not in capsys.readouterr().err


def test_photos_that_a_project_names_and_that_are_not_there_are_told(scans: Path, capsys: pytest.CaptureFixture[str]):
    (scans / "torn.jpg").unlink()
    project = scans.with_name("p.json")
    hints = [{"file": "lost.jpg", **TEAL}]
    project.write_text(json.dumps({"vidcolor_project": 1, "folder": "scans", "hints": hints}), encoding="utf-8")
    assert cli.run([str(scans), "-o", str(scans.with_name("color")), "--project", str(project)]) == 0
    assert "p.json speaks of lost.jpg, which is not there" in capsys.readouterr().err
    project.write_text(json.dumps({"vidcolor_project": 1, "film": "reel.mp4"}), encoding="utf-8")
    assert cli.run([str(scans), "-o", str(scans.with_name("color")), "--project", str(project)]) == 0
    assert "p.json is the project of reel.mp4, which is not there" in capsys.readouterr().err


def test_the_network_is_unsure_where_likely_colors_lie_apart():
    bins = np.array([[-40, 40, 0], [0, 0, 0]], np.float32)
    torn = np.array([0.5, 0.5, 0], np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    sure = np.array([0, 0, 1], np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    assert spread(torn, bins) == pytest.approx(40)
    assert spread(sure, bins) == pytest.approx(0, abs=1e-3)


def test_what_is_said_elsewhere_is_read_and_not_written_over(client: TestClient, scans: Path):
    project = scans.with_name("scans.vidcolor.json")
    data = save(client, seen=[1])
    project.write_text(json.dumps(data | {"hints": [{"file": "cat.jpg", **TEAL}]}), encoding="utf-8")
    state = client.get("state").json()
    assert [hint["frame"] for hint in state["hints"]] == [1]
    old = client.put("project", json={"seen": [0], "version": state["version"] - 1})
    assert "in another window" in old.json()["problem"]
    project.write_text('{"vidcolor_project": 1, "folder": "scans", ', encoding="utf-8")
    assert "is not JSON" in client.get("state").json()["problem"]
    for _ in range(2):
        assert client.put("project", json={"seen": [0]}).status_code == 400
    assert project.read_text(encoding="utf-8").endswith('"scans", ')


def test_hints_in_pixels_stay_while_their_photo_cannot_be_read(client: TestClient, scans: Path):
    project, whole = scans.with_name("scans.vidcolor.json"), (scans / "cat.jpg").read_bytes()
    hint = {"file": "torn.jpg", "point": [40, 60], "color": "navy"}
    project.write_text(json.dumps({"vidcolor_project": 1, "folder": "scans", "hints": [hint]}), encoding="utf-8")
    assert client.get("state").json()["hints"] == []
    assert save(client, hints=[], seen=[0])["hints"] == [hint]
    (scans / "torn.jpg").write_bytes(whole)
    (shown,) = client.get("state").json()["hints"]
    assert shown["point"] == pytest.approx([40 / 451, 60 / 300])
    far = {"frame": 4, "frames": [4, 4], "point": [1.5, 0.5], "size": [1, 1], "color": "navy"}
    assert "outside" in client.put("project", json={"hints": [far]}).json()["problem"]


def test_photos_that_change_are_looked_at_again(scans: Path, colorizer: Any):
    desk = PhotoDesk(scans, ModelSettings(device="cpu"), colorizer)
    desk.stopped.set()
    desk.survey()
    desk.photos = [desk._look(number, photo) for number, photo in enumerate(desk.photos)]
    before, gray = desk.picture(1), desk.picture(1, is_gray=True)
    Image.fromarray(skimage.data.astronaut()).convert("L").save(scans / "cat.jpg")
    Image.fromarray(skimage.data.rocket()).convert("L").save(scans / "rocket.jpg")
    (scans / "cup.png").unlink()
    desk.look_again()
    assert desk.looks == 3
    assert [photo.name for photo in desk.photos] == [*NAMES, "rocket.jpg"]
    assert desk.photos[1].aspect == 1
    assert desk.photos[5].unsure
    assert (desk.photos[2].kind, desk.photos[2].problem) == ("broken", "cup.png: is gone.")
    assert desk.picture(1) != before
    assert desk.picture(1, is_gray=True) != gray
    desk.look_again()
    assert desk.looks == 3


def test_names_that_are_no_text_do_no_harm(scans: Path, colorizer: Any):
    name = b"bad\xffname.jpg".decode(errors="surrogateescape")
    try:
        (scans / name).write_bytes((scans / "cat.jpg").read_bytes())
    except OSError:
        pytest.skip("this file system takes no such names")
    desk = PhotoDesk(scans, ModelSettings(device="cpu"), colorizer)
    app = make_app(desk, (HOST,), "secret")
    with TestClient(app, base_url=f"http://{HOST}/secret/") as asked:
        number = next(place for place, photo in enumerate(desk.photos) if photo.name == name)
        assert "name.jpg" in asked.get("state").json()["shots"][number]["name"]
        assert save(asked, seen=[number])["seen"] == [name]
        assert asked.get("state").json()["seen"] == [number]
    app.state.pages.close()


def test_palettes_are_found_from_a_project_elsewhere(scans: Path, colorizer: Any):
    (scans.parent / "else").mkdir()
    desk = PhotoDesk(scans, ModelSettings(device="cpu"), colorizer, scans.parent / "else" / "p.json")
    desk.photos[3] = desk._look(3, desk.photos[3])
    assert desk.palettes() == ["../scans/kodachrome.jpg"]
    desk.save({"choices": [{"frames": [2, 2], "palette": "../scans/kodachrome.jpg"}]})
    assert desk.picture(2)


def test_a_project_speaks_of_the_photo_at_its_path_alone(scans: Path, monkeypatch: pytest.MonkeyPatch):
    data = {"vidcolor_project": 1, "folder": "scans", "hints": [{"file": "cup.png", **TEAL}]}
    path = scans.with_name("scans.vidcolor.json")
    path.write_text(json.dumps(data), encoding="utf-8")
    project = Project.read(path)
    monkeypatch.chdir(scans / "1931")
    for name, at, archive, names in (
        ("scans/cup.png", scans / "scans" / "cup.png", "", ("scans/cup.png",)),
        ("cup.png", Path("cup.png"), "", ("1931/cup.png",)),
        ("cup.png", Path("../1931/cup.png"), "", ("1931/cup.png",)),
        ("cup.png", None, "box.zip", ("box.zip/cup.png",)),
        ("scans/cup.png", None, "", ("scans/cup.png", "cup.png")),
        ("cup.png", Path("/elsewhere/cup.png"), "", ()),
        ("cup.png", Path("/copy/scans/cup.png"), "", ("cup.png",)),
    ):
        assert project.names_of(name, at, archive) == names


def test_what_is_said_of_an_archive_in_the_folder(scans: Path, tmp_path: Path):
    (scans / "torn.jpg").unlink()
    with ZipFile(scans / "box.zip", "w") as box:
        box.write(scans / "cup.png", "cup.png")
    project, output = tmp_path / "scans.vidcolor.json", tmp_path / "color"
    command = [str(scans), "-o", str(output), "--project", str(project), "--quiet"]

    def color(file: str) -> tuple[bytes, bytes]:
        data = {"vidcolor_project": 1, "folder": "scans", "choices": [{"file": file, "saturation": 0}]}
        project.write_text(json.dumps(data), encoding="utf-8")
        assert cli.run(command) == 0
        with ZipFile(output / "box.zip") as made:
            return (output / "cup.png").read_bytes(), made.read("cup.png")

    loose, boxed = color("cup.png")
    assert loose != boxed
    assert color("box.zip/cup.png") == (boxed, loose)


def test_a_folder_is_watched_with_what_was_said_when_it_began(scans: Path):
    options = BatchOptions(FilmOptions(project=scans.with_name("p.json")))
    data = {"vidcolor_project": 1, "folder": "scans", "choices": [{"file": "cup.png", "saturation": 0}]}
    (scans.with_name("p.json")).write_text(json.dumps(data), encoding="utf-8")
    with Batch([scans], scans.with_name("out"), options, None, None, None) as batch:
        batch._start()
        data["choices"] = []
        scans.with_name("p.json").write_text(json.dumps(data), encoding="utf-8")
        batch._run_pass(None)
        assert np.ptp(np.asarray(Image.open(scans.with_name("out") / "cup.png").convert("RGB")), axis=2).max() <= 3
    assert pickle.loads(pickle.dumps(options.read_said())) == options.read_said()
    colorize_files([scans], scans.with_name("out"), options)
    assert np.ptp(np.asarray(Image.open(scans.with_name("out") / "cup.png").convert("RGB")), axis=2).max() > 20
