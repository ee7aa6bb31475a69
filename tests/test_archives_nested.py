"""An archive in a folder is colored like a folder, under its own name, and goes on where it was."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from archive_fixtures import member, tree, write_packed
from PIL import Image

from vidcolor import cli
from vidcolor.archives import Limits
from vidcolor.batch.workers import LocalWorkers


def photo(seed: int = 1) -> bytes:
    content = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (6, 8)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(values).save(content, "png")
    return content.getvalue()


def zipped(contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as box:
        for name, content in contents.items():
            box.writestr(name, content)
    return file.getvalue()


def tarred(contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as box:
        for name, content in contents.items():
            box.addfile(member(name, len(content)), io.BytesIO(content))
    return file.getvalue()


INSIDE = {"one.png": photo(1), "album/two.png": photo(2), "notes.txt": b"notes"}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "deep").mkdir(parents=True)
    (folder / "loose.png").write_bytes(photo(3))
    (folder / "box.zip").write_bytes(zipped(INSIDE | {"inner.zip": zipped(INSIDE)}))
    write_packed(folder / "deep" / "box.tar.gz", tarred(INSIDE))
    return folder


def run(source: Path, output: Path, model: Path, *options: str) -> int:
    return cli.run([str(source), "-o", str(output), "--model", str(model), *options])


def colored(content: bytes) -> bool:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.mode == "RGB"


def in_zip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as box:
        assert box.testzip() is None
        return {name: box.read(name) for name in box.namelist()}


def in_zip_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as box:
        return {name: box.read(name) for name in box.namelist()}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".vidcolor-*") if "partial" in path.name]


def last_event(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_archives_in_a_folder_are_colored_under_their_names(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    out = tmp_path / "out"
    assert run(scans, out, tiny_model) == 0
    told = capsys.readouterr().err
    assert "box.zip/inner.zip: not colored: archives in archives are not opened" in " ".join(told.split())
    found = in_zip(out / "box.zip")
    assert list(found) == [*INSIDE, "inner.zip"]
    assert colored(found["one.png"])
    assert colored(found["album/two.png"])
    assert not colored(in_zip_of(found["inner.zip"])["one.png"])
    with tarfile.open(out / "deep" / "box.tar.gz") as box:
        content = box.extractfile("album/two.png")
        assert content is not None
        assert content.read() == found["album/two.png"]
    assert not hidden(out)
    lines = {line["name"]: line for line in json.loads((out / "report.json").read_text())["files"]}
    assert lines["box.zip"]["outcome"] == "colored"
    assert "2 colored, 2 copied" in lines["box.zip"]["reason"]
    assert run(scans, out, tiny_model, "--json") == 0
    assert last_event(capsys)["done_before"] == 3


def test_they_equal_what_they_become_alone(scans: Path, tmp_path: Path, tiny_model: Path):
    run(scans, tmp_path / "out", tiny_model, "-q")
    run(scans / "box.zip", tmp_path / "alone.zip", tiny_model, "-q")
    assert (tmp_path / "out" / "box.zip").read_bytes() == (tmp_path / "alone.zip").read_bytes()


def test_when_asked_they_are_copied_and_said(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    out = tmp_path / "out"
    assert run(scans, out, tiny_model, "--no-nested", "-q") == 0
    assert "box.zip and 1 other: not colored: archives are opened with --nested alone" in capsys.readouterr().err
    assert (out / "box.zip").read_bytes() == (scans / "box.zip").read_bytes()
    assert run(scans, out, tiny_model, "--json") == 0  # and colored later, alone
    event = last_event(capsys)
    assert (event["counts"], event["done_before"]) == ({"colored": 2}, 1)
    assert colored(in_zip(out / "box.zip")["one.png"])


def test_damage_in_them_is_told_and_only_it_is_done_again(
    scans: Path, tmp_path: Path, tiny_model: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    out, asked = tmp_path / "out", []
    real = LocalWorkers.color_photo
    monkeypatch.setattr(
        LocalWorkers, "color_photo", lambda self, entry, source: asked.append(entry.name) or real(self, entry, source)
    )
    (scans / "box.zip").write_bytes(zipped(INSIDE | {"torn.png": photo(4)[:60]}))
    for again in (False, True):
        asked.clear()
        assert run(scans, out, tiny_model, "-q") == 1
        assert "box.zip: files in it: 2 colored, 1 copied, 1 failed; torn.png: " in capsys.readouterr().err
        first = [*["album/two.png"] * 2, "loose.png", *["one.png"] * 2, "torn.png"]
        assert sorted(asked) == (["torn.png"] if again else first)
        found = in_zip(out / "box.zip")
        assert list(found) == list(INSIDE)
        assert colored(found["one.png"])
    (scans / "box.zip").write_bytes(zipped(INSIDE | {"torn.png": photo(4)}))  # copied again: another archive
    assert run(scans, out, tiny_model, "-q") == 0
    assert colored(in_zip(out / "box.zip")["torn.png"])
    assert not hidden(out)


def test_a_killed_one_goes_on_in_its_middle(
    scans: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    many = {f"{number:02}.png": photo(number) for number in range(30)}
    (scans / "box.zip").write_bytes(zipped(many))
    run(scans, tmp_path / "whole", tiny_model, "-q")
    out, asked, real = tmp_path / "out", [], LocalWorkers.color_photo

    def dying(self, entry, source):
        asked.append(entry.name)
        if len(asked) == 25:
            raise KeyboardInterrupt
        return real(self, entry, source)

    monkeypatch.setattr(LocalWorkers, "color_photo", dying)
    assert run(scans, out, tiny_model, "-q") == 130
    assert not (out / "box.zip").exists()
    assert hidden(out)
    begun = set(asked)
    assert run(scans, out, tiny_model, "-q") == 0
    assert len(begun & set(asked[25:])) < 24  # some were made before, and not again
    assert (out / "box.zip").read_bytes() == (tmp_path / "whole" / "box.zip").read_bytes()
    assert not hidden(out)


def test_what_is_no_archive_or_a_bomb_fails_alone(
    scans: Path, tmp_path: Path, tiny_model: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    (scans / "none.zip").write_bytes(b"no zip at all")
    (scans / "bomb.zip").write_bytes(zipped({"huge.png": photo(1)}))
    monkeypatch.setattr(Limits.__init__, "__defaults__", (2_000_000, 20, *Limits.__init__.__defaults__[2:]))
    assert run(scans, tmp_path / "out", tiny_model, "-q") == 1
    told = capsys.readouterr().err
    assert "vidcolor: none.zip: not a readable zip archive" in told
    assert "bomb.zip: files in it: 1 failed; " in told
    assert "huge.png: more than 20 bytes" in told
    found = tree(tmp_path / "out")
    assert "none.zip" not in found
    assert colored(found["loose.png"])


def test_a_cut_one_holds_what_was_there(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    (scans / "cut.tar").write_bytes(tarred(INSIDE)[:1800])
    assert run(scans, tmp_path / "out", tiny_model, "-q") == 1
    assert "cut.tar: breaks off after" in capsys.readouterr().err
    with tarfile.open(tmp_path / "out" / "cut.tar") as box:
        assert box.getnames() == ["one.png", "album/two.png"]
    assert run(scans, tmp_path / "out", tiny_model, "--json") == 1  # it is still cut
    assert last_event(capsys)["counts"] == {}
    (scans / "cut.tar").write_bytes(tarred(INSIDE))
    assert run(scans, tmp_path / "out", tiny_model, "-q") == 0


def test_into_an_archive_they_go_as_they_are_and_it_is_said(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    assert run(scans, tmp_path / "out.zip", tiny_model, "-q") == 0
    assert in_zip(tmp_path / "out.zip")["box.zip"] == (scans / "box.zip").read_bytes()
    assert "box.zip and 1 other: not colored: archives go to a folder alone" in capsys.readouterr().err


def test_a_dry_run_counts_them(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    (scans / "old.tga").write_bytes(b"?")
    assert run(scans, tmp_path / "out", tiny_model, "--dry-run", "--json") == 0
    plan = last_event(capsys)
    assert plan["files"] == {"archive": 2, "photo": 1, "other": 1}
    assert plan["notes"] == ["old.tga: not colored: .tga pictures are not read; save them as TIFF or PNG"]
