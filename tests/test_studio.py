"""The studio's answers: shots, pictures, colors, the project; and what it refuses."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import skimage.data
from media_fixtures import make_film
from PIL import Image
from starlette.testclient import TestClient

from vidcolor import cli
from vidcolor.cli.studio import _listen
from vidcolor.errors import UsageError
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.source import FilmSource
from vidcolor.stills.rgb import decode
from vidcolor.studio.desk import Desk
from vidcolor.studio.film_desk import FilmDesk
from vidcolor.studio.server import make_app

HOST = "127.0.0.1:8765"
SHOTS = (14, 11, 15)


def write_film(path: Path, pictures: Sequence[np.ndarray], lengths: Sequence[int] = SHOTS) -> Path:
    """A film in gray, a shot for each picture."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for picture, length in zip(pictures, lengths, strict=True):
            gray = np.asarray(Image.fromarray(picture).convert("L").resize((260, 170)))
            for at in range(length):
                planes = np.full((192, 192), 128, np.uint8)
                planes[:128] = 16 + 0.86 * gray[20:148, at : at + 192]
                out.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(stream.encode())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_film(tmp_path / "film.mp4", [skimage.data.astronaut(), skimage.data.cat(), skimage.data.coffee()])
    Image.fromarray(skimage.data.coffee()[::4, ::4]).save(tmp_path / "kodachrome.jpg")
    return tmp_path


@contextmanager
def surveyed(desk: Desk) -> Iterator[TestClient]:
    """Asks a studio that has looked at everything."""
    desk.start()
    app = make_app(desk, (HOST,), "secret")
    with TestClient(app, base_url=f"http://{HOST}/secret/") as asked:
        for _ in range(600):
            if asked.get("state").json()["surveyed"]:
                break
            time.sleep(0.05)
        yield asked
    desk.stop(60)
    app.state.pages.close()


@pytest.fixture
def client(folder: Path, colorizer: Any):
    with surveyed(FilmDesk(folder / "film.mp4", ModelSettings(device="cpu"), colorizer)) as asked:
        yield asked


def save(client: TestClient, **entries: Any) -> Any:
    return client.put("project", json=entries)


def picture(client: TestClient, frame: int, **asked: Any) -> np.ndarray:
    answer = client.get("picture", params={"frame": frame, **asked})
    assert answer.status_code == 200, answer.text
    found = decode(answer.content)
    assert found is not None
    return found.astype(int)


HINT = {"frame": 5, "point": [0.5, 0.6], "size": [1, 1], "width": 0.05, "color": "teal", "frames": [0, 13]}


def test_black_and_blank_shots_are_marked(tmp_path: Path, colorizer: Any):
    shown = [np.full((200, 300), level, np.uint8) for level in (0, 160)]
    for kind, picture in zip(("black", "blank"), shown, strict=True):
        film = write_film(tmp_path / f"{kind}.mp4", [picture, skimage.data.coffee()], (10, 12))
        desk = FilmDesk(film, ModelSettings(device="cpu"), colorizer)
        desk._survey()
        assert desk.shots[0].kind == kind
        assert desk.shots[-1].last == 21


def test_shots_are_found(client: TestClient):
    found = client.get("state").json()
    assert [(shot["first"], shot["last"], shot["kind"]) for shot in found["shots"]] == [
        (0, 13, "picture"), (14, 24, "picture"), (25, 39, "picture"),
    ]  # fmt: skip
    assert found["palettes"] == ["kodachrome.jpg"]
    assert {"default", "free"} <= set(found["models"])
    assert found["problem"] == ""


def test_pictures_keep_the_films_lightness_and_hints_change_their_color(client: TestClient):
    gray, before = picture(client, 5, gray=""), picture(client, 5)
    assert np.ptp(gray, axis=2).max() <= 6
    assert np.ptp(before, axis=2).mean() > 8
    answer = save(client, hints=[HINT])
    assert answer.json() == {"version": 1}
    after = picture(client, 5)
    assert (after[76, 96, 1] - after[76, 96, 0]) > (before[76, 96, 1] - before[76, 96, 0]) + 20
    assert np.abs(after.mean(axis=2) - gray.mean(axis=2)).mean() < 12
    assert np.abs(picture(client, 30) - picture(client, 30, model="default")).max() <= 3  # another shot stays
    reach = client.get("reach", params={"first": 0, "last": 13}).json()
    assert [each["frame"] for each in reach] == list(range(14))
    assert max(each["share"] for each in reach) > 0.05


def test_likely_colors_differ_and_the_color_of_a_place_is_told(client: TestClient):
    likely = client.get("likely", params={"frame": 5, "x": 0.5, "y": 0.4}).json()
    assert 3 <= len(likely) == len(set(likely))
    color = client.get("color", params={"frame": 5, "x": 0.5, "y": 0.4}).json()
    seen = picture(client, 5)[51, 96]
    assert np.abs(seen - [int(color[place : place + 2], 16) for place in (1, 3, 5)]).max() < 40


def test_a_project_is_saved_read_again_and_used_by_the_command(client: TestClient, folder: Path, colorizer: Any):
    choices = [{"frames": [25, 39], "saturation": 0}]
    save(client, hints=[HINT], choices=choices)
    data = json.loads((folder / "film.vidcolor.json").read_text(encoding="utf-8"))
    assert data["shots"] == [[0, 13], [14, 24], [25, 39]]
    assert data["frames"] == 40
    again = FilmDesk(folder / "film.mp4", ModelSettings(device="cpu"), colorizer)
    assert again.project.data["hints"] == [HINT]
    assert not np.ptp(picture(client, 30), axis=2).max() > 6
    project, out = folder / "film.vidcolor.json", folder / "out.mp4"
    assert cli.run([str(folder / "film.mp4"), "-o", str(out), "--project", str(project), "--quiet"]) == 0
    with FilmSource(out) as source:
        chroma = [np.stack([plane.astype(float) for plane in frame.chroma()]) for frame in source.frames()]
    assert np.abs(chroma[32] - 128).mean() < 0.5
    assert np.abs(chroma[5] - 128).mean() > 2


def test_choices_are_shown_before_they_are_taken(client: TestClient):
    plain = picture(client, 5, side=240)
    for asked in ({"model": "free"}, {"saturation": "0.5"}, {"palette": "kodachrome.jpg"}):
        assert np.abs(picture(client, 5, side=240, **asked) - plain).mean() > 0.5
    assert client.get("state").json()["version"] == 0


@pytest.mark.parametrize(("path", "asked"), [
    ("picture", {"frame": 99}), ("picture", {"frame": -1}), ("picture", {"frame": "x"}), ("likely", {"x": 2}),
    ("picture", {"frame": 1, "saturation": 9}), ("picture", {"frame": 1, "palette": "../film.mp4"}),
    ("picture", {"frame": 1, "model": "/etc/passwd"}), ("color", {"frame": 1, "x": "nan"}),
])  # fmt: skip
def test_what_cannot_be_is_told_in_one_line(client: TestClient, path: str, asked: dict[str, Any]):
    answer = client.get(path, params=asked)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["problem"]


@pytest.mark.parametrize("entries", [
    {"hints": [{"frame": 1, "point": [5, 5], "color": "navvy"}]}, {"hints": [{"point": [0, 0], "color": "red"}]},
    {"hints": [{"frame": 1, "point": [4000, 5], "color": "red"}]}, {"hints": [HINT | {"frame": 4000}]},
    {"choices": [{"frames": [0, 5], "model": "/etc/passwd"}]}, {"choices": [{"frames": [0, 5], "palette": "../x.png"}]},
    {"choices": [{"frames": [5, 0]}]}, {"choices": 5}, {"hints": "x"}, {"hints": None}, {"choices": None},
])  # fmt: skip
def test_a_bad_project_changes_nothing(client: TestClient, folder: Path, entries: dict[str, Any]):
    save(client, hints=[HINT])
    before = (folder / "film.vidcolor.json").read_bytes()
    answer = save(client, **entries)
    assert answer.status_code == 400
    assert answer.json()["problem"]
    assert (folder / "film.vidcolor.json").read_bytes() == before
    assert client.get("state").json()["version"] == 1
    assert picture(client, 5).any()


def test_only_this_machines_page_is_answered(client: TestClient):
    for headers in (
        {"host": "evil.example:8765"}, {"origin": "https://evil.example"}, {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ):  # fmt: skip
        for path in ("", "state", "picture"):
            assert client.get(path, headers=headers).status_code == 403
        assert client.put("project", json={"hints": []}, headers=headers).status_code == 403
    assert client.get("", headers={"origin": f"http://{HOST}"}).status_code == 200
    assert client.get(f"http://{HOST}/state").status_code == 404  # without the secret
    assert client.get(f"http://{HOST}/wrong/state").status_code == 404
    policy = client.get("").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_too_much_is_refused(client: TestClient):
    assert client.put("project", content=b"x" * 9_000_000).status_code == 413
    for content in (b"no json", b"[1]", b"\xff\xfe"):
        assert client.put("project", content=content).status_code == 400
        assert client.post("render", content=content).status_code == 400


@pytest.mark.parametrize("name", ["../out.mp4", "/tmp/out.mp4", "", ".hidden.mp4", "a/b.mp4", 5])
def test_outputs_lie_beside_the_film(client: TestClient, name: object):
    assert client.post("render", json={"output": name}).status_code == 400


def test_the_film_is_colored_from_the_page(client: TestClient, folder: Path):
    save(client, choices=[{"frames": [25, 39], "saturation": 0}])
    client.post("render", json={"output": "colored.mp4"})
    for _ in range(600):
        state = client.get("state").json()["rendering"]
        if not state["running"]:
            break
        time.sleep(0.1)
    assert state["problem"] == ""
    assert state["facts"]["event"] == "done"
    alone = folder / "alone.mp4"
    project = str(folder / "film.vidcolor.json")
    assert cli.run([str(folder / "film.mp4"), "-o", str(alone), "--project", project, "--quiet"]) == 0
    for one, other in zip(decode_all(folder / "colored.mp4"), decode_all(alone), strict=True):
        assert np.array_equal(one, other)
    client.post("render", json={"output": "colored.mp4"})  # which exists
    for _ in range(300):
        state = client.get("state").json()["rendering"]
        if not state["running"]:
            break
        time.sleep(0.1)
    assert "done" in str(state["facts"]) or "exists" in state["problem"]


def decode_all(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def test_a_shot_is_played_in_color(client: TestClient, tmp_path: Path):
    answer = client.get("clip", params={"first": 25, "last": 39})
    assert answer.status_code == 200
    (tmp_path / "clip.mp4").write_bytes(answer.content)
    frames = decode_all(tmp_path / "clip.mp4")
    assert len(frames) == 15
    assert np.ptp(frames[5].astype(int), axis=2).mean() > 4


def test_a_film_that_changes_is_told(client: TestClient, folder: Path):
    assert client.get("state").json()["problem"] == ""
    (folder / "film.mp4").unlink()
    assert "changed or is gone" in client.get("state").json()["problem"]


def test_a_project_that_does_not_fit_is_told(folder: Path, colorizer: Any):
    path = folder / "film.vidcolor.json"
    for data, said in (
        ({"vidcolor_project": 1, "film": "other.mp4"}, "is the project of other.mp4"),
        ({"vidcolor_project": 1, "film": "film.mp4", "frames": 99}, "of a film of 99 frames"),
        ({"vidcolor_project": 7, "film": "film.mp4"}, "newer version"),
    ):
        path.write_text(json.dumps(data), encoding="utf-8")
        with pytest.raises(UsageError, match=said):
            FilmDesk(folder / "film.mp4", ModelSettings(device="cpu"), colorizer)
    assert json.loads(path.read_text(encoding="utf-8")) == data


def test_a_folder_and_a_port_in_use_are_told(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "empty").mkdir()
    assert cli.run(["studio", str(folder / "empty")]) == 2
    assert "empty: has no photos" in capsys.readouterr().err
    assert cli.run(["studio", str(folder / "film.mp4"), "--host", "203.0.113.1", "--no-browser"]) == 2
    assert "cannot be served" in capsys.readouterr().err


def test_hints_in_pixels_are_shown_in_shares(folder: Path, colorizer: Any):
    hint = {"frame": 3, "stroke": [[96, 32], [48, 64]], "width": 24, "color": [10, -20]}
    data = {"vidcolor_project": 1, "film": "film.mp4", "hints": [hint]}
    (folder / "film.vidcolor.json").write_text(json.dumps(data), encoding="utf-8")
    (shown,) = FilmDesk(folder / "film.mp4", ModelSettings(device="cpu"), colorizer).said()["hints"]
    assert shown == {
        "frame": 3, "stroke": [[0.5, 0.25], [0.25, 0.5]], "size": [1, 1], "width": 0.125, "color": [10, -20],
    }  # fmt: skip


def test_what_is_told_and_its_version_are_of_one_moment(folder: Path, colorizer: Any, monkeypatch: pytest.MonkeyPatch):
    desk = FilmDesk(folder / "film.mp4", ModelSettings(device="cpu"), colorizer)
    said, saving = desk.said, threading.Thread(target=lambda: desk.save({"hints": [HINT]}))

    def find_while_something_is_saved() -> dict[str, list[Any]]:
        found = said()
        saving.start()
        saving.join(1)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(desk, "said", find_while_something_is_saved)
        version, told = desk.tell()
    saving.join(30)
    assert told["hints"] == []
    after, told = desk.tell()
    assert [hint["color"] for hint in told["hints"]] == ["teal"]
    assert after == version + 1


@pytest.mark.parametrize("hint", [
    {"time": 1, "point": [5, 5], "color": "red"}, {"frame": 9000, "point": [5, 5], "color": "red"},
    {"frame": 1, "point": [5000, 5], "color": "red"},
])  # fmt: skip
def test_a_project_whose_hints_cannot_be_shown_is_told_at_once(folder: Path, colorizer: Any, hint: dict[str, Any]):
    data = {"vidcolor_project": 1, "film": "film.mp4", "hints": [hint]}
    (folder / "film.vidcolor.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UsageError):
        FilmDesk(folder / "film.mp4", ModelSettings(device="cpu"), colorizer)


def test_what_another_program_wrote_is_not_written_over(client: TestClient, folder: Path):
    save(client, hints=[HINT])
    path = folder / "film.vidcolor.json"
    changed = path.read_text(encoding="utf-8").replace("teal", "navy")
    path.write_text(changed, encoding="utf-8")
    answer = save(client, hints=[])
    assert answer.status_code == 400
    assert "changed by another program" in answer.json()["problem"]
    assert path.read_text(encoding="utf-8") == changed
    assert client.get("state").json()["hints"][0]["color"] == "navy"
    assert save(client, hints=[]).status_code == 200


def test_all_frames_of_a_film_with_long_pixels_have_one_size(tmp_path: Path, colorizer: Any):
    film = make_film(tmp_path / "film.mp4", codec="libx264", size=(96, 64), sar=Fraction(3, 2))
    desk = FilmDesk(film, ModelSettings(device="cpu"), colorizer)
    desk._survey()
    assert desk.describe()["aspect"] == pytest.approx(96 * 1.5 / 64)
    assert {desk.read(number).rgb_HW3.shape for number in (0, 1, 5)} == {(64, 96, 3)}


def test_shots_that_show_the_same_are_found(tmp_path: Path, colorizer: Any):
    pictures = [
        skimage.data.astronaut(),
        skimage.data.coffee(),
        skimage.data.astronaut(),
        np.zeros((200, 300), np.uint8),
    ]
    film = write_film(tmp_path / "film.mp4", pictures, (12, 12, 12, 12))
    desk = FilmDesk(film, ModelSettings(device="cpu"), colorizer)
    desk.survey()
    assert desk.shots_like(0) == [0, 2]
    assert desk.shots_like(14) == [1]


def test_the_colors_of_a_shot_are_kept_as_a_palette(client: TestClient, folder: Path):
    name = client.post("palette", json={"frame": 30}).json()
    assert name == "film.vidcolor.palettes/frame-000030.jpg"
    kept = np.asarray(Image.open(folder / name).convert("RGB")).astype(int)
    assert np.abs(kept - picture(client, 30)).mean() < 3
    assert client.post("palette", json={"frame": 30}).json() == name
    assert client.get("state").json()["palettes"][0] == name
    save(client, choices=[{"frames": [25, 39], "saturation": 0}])
    assert client.post("palette", json={"frame": 30}).json() == "film.vidcolor.palettes/frame-000030-2.jpg"
    assert save(client, choices=[{"frames": [0, 13], "palette": name}]).status_code == 200
    assert client.get("picture", params={"frame": 0, "palette": "../secret.jpg"}).status_code == 400
    assert client.post("palette", json={"frame": "1"}).status_code == 400
    assert client.post("palette", json={"frame": 99}).status_code == 400


def test_a_film_with_odd_sides_can_be_played(tmp_path: Path, colorizer: Any):
    film = tmp_path / "odd.mkv"
    make_film(film, size=(171, 95), pix_fmt="gray", codec="ffv1")
    desk = FilmDesk(film, ModelSettings(device="cpu"), colorizer)
    app = make_app(desk, (HOST,), "secret")
    with TestClient(app, base_url=f"http://{HOST}/secret/") as asked:
        answer = asked.get("clip", params={"first": 0, "last": 5})
    assert answer.status_code == 200, answer.text
    (tmp_path / "clip.mp4").write_bytes(answer.content)
    with FilmSource(tmp_path / "clip.mp4") as clip:
        assert (clip.info.picture.width, clip.info.picture.height) == (171, 95)
    app.state.pages.close()


def test_two_studios_never_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """SO_REUSEADDR lets them on Windows, and only there."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "name", "nt")
        listening = _listen("127.0.0.1", 0)
    with listening:
        assert not listening.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
