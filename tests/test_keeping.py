"""What is not ours to change is left: inputs, the user's own files, and outputs that somebody changed since."""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidcolor import cli, outputs
from vidcolor.archives import open_source, open_target
from vidcolor.archives.archive_target import files_of
from vidcolor.filenames import OWN_PREFIX, scratch_name
from vidcolor.run import Run


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "sub" / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.jpg", "sub/x.jpg", "sub/sub/x.jpg")):
        gray = np.random.default_rng(number).integers(0, 256, (6, 9), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(gray).save(folder / name, quality=95)
    return folder


def run(*arguments: object, model: Path) -> int:
    return cli.run([*map(str, arguments), "--model", str(model), "-q"])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("inputs", "output"),
    [(["scans/a.jpg", "scans/b.jpg"], "scans"), (["scans/sub"], "scans"), (["scans", "other"], "other"),
     (["linked/a.jpg", "other/a.jpg"], "scans"), (["scans"], "scans"), (["scans/sub"], "linked")],
)  # fmt: skip
def test_no_input_is_changed_whatever_is_asked(
    scans: Path, inputs: list[str], output: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(scans.parent)
    shutil.copytree(scans, "other")
    Path("linked").symlink_to("scans")
    before = contents(scans), contents(Path("other"))
    assert run(*inputs, "-o", output, "--overwrite", model=tiny_model) in (1, 2)
    for folder, files in zip((scans, Path("other")), before, strict=True):
        assert files.items() <= contents(folder).items()


@pytest.mark.parametrize(
    ("inputs", "output", "read"),
    [("scans/a.jpg", "other/a.jpg", "other/a.jpg"), ("scans/a.jpg", "other/a.jpg", "other"),
     ("scans", "other", "other/sub/x.jpg"), ("scans", "other", "other"), ("scans", "scans/sub/old", "scans/sub")],
)  # fmt: skip
def test_a_reference_is_not_changed_whatever_is_asked(
    scans: Path, inputs: str, output: str, read: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(scans.parent)
    shutil.copytree(scans, "other")
    before = contents(Path(read)) if Path(read).is_dir() else {".": Path(read).read_bytes()}
    run(inputs, "-o", output, "--overwrite", "--reference", read, model=tiny_model)
    after = contents(Path(read)) if Path(read).is_dir() else {".": Path(read).read_bytes()}
    assert before.items() <= after.items()


def test_the_model_is_not_changed_whatever_is_asked(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    model = tmp_path / "out" / "model.safetensors"
    model.parent.mkdir()
    shutil.copy(tiny_model, model)
    (scans / model.name).write_bytes(b"another file of that name")
    assert run(scans, "-o", model.parent, "--overwrite", model=model) == 1
    assert model.read_bytes() == tiny_model.read_bytes()
    assert "model.safetensors: is an input, which is never changed" in capsys.readouterr().err
    assert (model.parent / "sub" / "x.jpg").exists()


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="folders are mounted by root")
def test_a_folder_that_is_mounted_again_in_the_output_is_not_changed(scans: Path, tmp_path: Path, tiny_model: Path):
    again = tmp_path / "out" / "sub"
    again.mkdir(parents=True)
    if subprocess.run(["mount", "--bind", scans / "sub", again], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    before = contents(scans)
    try:
        assert run(scans, "-o", tmp_path / "out", "--overwrite", model=tiny_model) == 1
    finally:
        subprocess.run(["umount", again], check=True)
    assert before.items() <= contents(scans).items()
    assert (tmp_path / "out" / "a.jpg").exists()


def test_a_folder_linked_to_from_the_input_is_not_descended_into_as_output(scans: Path, tmp_path: Path):
    out = tmp_path / "out"
    (scans / "linked").symlink_to(out)
    out.mkdir()
    (out / "old.jpg").write_bytes(b"old")
    with open_source([scans], output=out, follow_outside=True) as source:
        assert not [entry.name for entry in source if entry.name.startswith("linked/")]


def test_an_output_that_was_retouched_is_kept_and_listed(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    out = tmp_path / "out"
    assert run(scans, "-o", out, model=tiny_model) == 0
    colored = contents(out)
    grown, same_size = out / "a.jpg", out / "b.jpg"
    grown.write_bytes(b"retouched" + colored["a.jpg"])
    same_size.write_bytes(b"retouched" + colored["b.jpg"][9:])
    os.utime(same_size, ns=(time.time_ns(), time.time_ns()))
    (out / "sub" / "x.jpg").touch()  # its time alone: no change
    for options in ([], ["--saturation", "1.2"], ["--no-resume"]):
        capsys.readouterr()
        assert run(scans, "-o", out, *options, model=tiny_model) == 0
        assert grown.read_bytes().startswith(b"retouched")
        assert same_size.read_bytes().startswith(b"retouched")
        said = capsys.readouterr().err
        assert "a.jpg: changed since it was made" in said
        assert "b.jpg: changed since it was made" in said
        assert "x.jpg" not in said
        listed = {file["name"]: file["notes"] for file in json.loads((out / "report.json").read_text())["files"]}
        assert "--overwrite replaces it" in listed["a.jpg"][0]
        assert not listed["sub/x.jpg"]
    assert contents(out)["sub/x.jpg"] == colored["sub/x.jpg"]
    assert run(scans, "-o", out, "--overwrite", model=tiny_model) == 0
    assert contents(out)["a.jpg"] == colored["a.jpg"]
    assert contents(out)["b.jpg"] == colored["b.jpg"]


def test_a_failure_whose_input_is_gone_fails_no_later_run(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    out, bad = tmp_path / "out", scans / "bad.jpg"
    bad.write_bytes(b"no picture")
    for _ in range(2):
        assert run(scans, "-o", out, model=tiny_model) == 1
        assert "bad.jpg" in capsys.readouterr().err
    bad.unlink()
    assert run(scans, "-o", out, model=tiny_model) == 0
    assert capsys.readouterr().err == ""


def test_a_film_that_fails_in_a_folder_is_named_once(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    (scans / "sub" / "bad.mp4").write_bytes(b"")
    with zipfile.ZipFile(scans / "box.zip", "w") as box:
        box.writestr("torn.mp4", b"no film")
    assert run(scans, "-o", tmp_path / "out", model=tiny_model) == 1
    said = capsys.readouterr().err
    assert "vidcolor: sub/bad.mp4: the file is empty" in said
    assert "vidcolor: box.zip: files in it: 1 failed; torn.mp4: " in said
    assert OWN_PREFIX not in said
    files = json.loads((tmp_path / "out" / "report.json").read_text())["files"]
    (listed,) = (file["reason"] for file in files if file["name"] == "sub/bad.mp4")
    assert listed.startswith("sub/bad.mp4: the file is empty")


def test_what_was_retouched_within_size_and_time_is_not_replaced(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    out = tmp_path / "out"
    assert run(scans, "-o", out, model=tiny_model) == 0
    made = out / "a.jpg"
    time_of, retouched = made.stat().st_mtime_ns, b"retouched" + made.read_bytes()[9:]
    made.write_bytes(retouched)
    os.utime(made, ns=(time_of, time_of))
    assert run(scans, "-o", out, "--saturation", "1.2", model=tiny_model) == 0
    assert made.read_bytes() == retouched
    assert "a.jpg: changed since it was made" in capsys.readouterr().err


def test_a_run_that_has_nothing_to_do_reads_no_output(scans: Path, tmp_path: Path, tiny_model: Path, monkeypatch):
    out = tmp_path / "out"
    assert run(scans, "-o", out, model=tiny_model) == 0
    monkeypatch.setattr("vidcolor.archives.folder_target.sha256_of", lambda *_: pytest.fail("it was read"))
    assert run(scans, "-o", out, model=tiny_model) == 0


def test_an_output_that_was_deleted_is_made_again(scans: Path, tmp_path: Path, tiny_model: Path):
    out = tmp_path / "out"
    run(scans, "-o", out, model=tiny_model)
    before = (out / "a.jpg").read_bytes()
    (out / "a.jpg").unlink()
    assert run(scans, "-o", out, model=tiny_model) == 0
    assert (out / "a.jpg").read_bytes() == before


def test_a_report_of_the_users_own_is_left_alone(scans: Path, tmp_path: Path, tiny_model: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("my year in review")
    (scans / "report.json").write_text("{}")
    assert run(scans, "-o", out, model=tiny_model) == 0
    assert (out / "report.html").read_text() == "my year in review"
    assert (out / "report.json").read_text() == "{}"
    for name in ("vidcolor-report.html", "vidcolor-report.json"):
        (out / name).write_text((out / name).read_text() + "my notes")
    assert run(scans, "-o", out, model=tiny_model) == 0
    found = {name for name in contents(out) if "report" in name}
    assert {"vidcolor-2-report.html", "vidcolor-2-report.json"} < found
    assert run(scans, "-o", out, model=tiny_model) == 0  # ours is replaced
    assert {name for name in contents(out) if "report" in name} == found
    assert json.loads((out / "vidcolor-2-report.json").read_text())["files"]


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_an_archive_that_appears_meanwhile_is_left_alone(scans: Path, tmp_path: Path, suffix: str):
    output = tmp_path / f"out{suffix}"

    def appear() -> None:
        with open_source([scans]) as source, open_target(output, source, Run("model", {"--crf": "18"})) as target:
            for entry in source:
                target.copy(entry)
            output.write_bytes(b"mine")

    with pytest.raises(outputs.SinkError, match="appeared during the run"):
        appear()
    assert output.read_bytes() == b"mine"
    assert files_of(output)[1].stat().st_size > 1000
    output.unlink()
    appear_again: Callable[[], None] = lambda: None  # noqa: E731
    appear_again()
    with open_source([scans]) as source, open_target(output, source, Run("model", {"--crf": "18"})) as target:
        assert [entry.name for entry in source if entry.kind != "directory" and target.why_due(entry)] == []
    assert output.stat().st_size > 1000


def test_planted_links_are_not_followed(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    precious, out = tmp_path / "precious", tmp_path / "out"
    out.mkdir()
    precious.mkdir()
    (precious / "file").write_text("precious")
    for name in ("o.jpg", "report.html", "report.json", "a.jpg"):
        (out / scratch_name(name)).symlink_to(precious / "file")
    assert run(scans / "a.jpg", "-o", out / "o.jpg", model=tiny_model) == 0
    assert run(scans, "-o", out, model=tiny_model) == 0
    assert contents(precious) == {"file": b"precious"}
    shutil.rmtree(out)
    out.mkdir()
    (out / ".vidcolor-pictures").symlink_to(precious)
    assert run(scans, "-o", out, model=tiny_model) == 1
    assert ".vidcolor-pictures: is a link" in capsys.readouterr().err
    (out / ".vidcolor-pictures").unlink()
    (out / ".vidcolor-journal.jsonl").symlink_to(precious / "file")
    assert run(scans, "-o", out, model=tiny_model) == 1
    assert ".vidcolor-journal.jsonl: is a link" in capsys.readouterr().err
    assert contents(precious) == {"file": b"precious"}


def test_a_taken_name_is_told_before_the_work(scans: Path, tmp_path: Path, tiny_model: Path, monkeypatch, capsys):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("a.jpg", "film.mkv"):
        (out / name).write_text("mine")
    (scans / "film.wmv").write_bytes(b"a film, as far as its name tells")
    monkeypatch.setattr(
        "vidcolor.batch.films.BatchFilmColorizer.colorize", lambda *_, **__: pytest.fail("colored first")
    )
    assert run(scans, "-o", out, model=tiny_model) == 1
    said = capsys.readouterr().err
    assert "a.jpg: exists and is not ours" in said
    assert "film.mkv: exists and is not ours" in said
    assert (out / "a.jpg").read_text() == (out / "film.mkv").read_text() == "mine"


def test_small_pictures_that_came_back_empty_are_made_again(scans: Path, tmp_path: Path, tiny_model: Path):
    out = tmp_path / "out"
    run(scans, "-o", out, model=tiny_model)
    page = (out / "report.html").read_text().count("<img")
    pictures = sorted((out / ".vidcolor-pictures").iterdir())
    assert page == len(pictures) == 8
    for picture in pictures[:3]:
        picture.write_bytes(b"")
    assert run(scans, "-o", out, model=tiny_model) == 0
    assert (out / "report.html").read_text().count("<img") == page
