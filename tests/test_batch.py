"""Folders and archives through the whole command: nothing is lost, done twice, or torn by a kill."""

import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import archive_fixtures
import av
import numpy as np
import pytest
from archive_fixtures import files, make
from PIL import Image

from vidcolor import cli
from vidcolor.archives.journal import Journal
from vidcolor.archives.opening import open_source
from vidcolor.batch import pages
from vidcolor.color import rgb_to_lab
from vidcolor.inference.settings import ModelSettings
from vidcolor.ledger import parse

REPORTS = {"report.html", "report.json"}


def jpeg(gray: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(gray).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def scene(rows: int = 64, columns: int = 96) -> np.ndarray:
    """Something gray with light, dark and detail."""
    y, x = np.mgrid[:rows, :columns]
    return np.clip(128 + 90 * np.sin(x / 9) * np.cos(y / 7) + x - y, 0, 255).astype(np.uint8)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with a gray photo, one in color, a film, notes and rubbish."""
    folder = tmp_path / "scans"
    (folder / "album").mkdir(parents=True)
    Image.fromarray(scene()).save(folder / "album" / "gray.png")
    (folder / "album" / "gray.jpg").write_bytes(jpeg(scene(80, 60)))
    colors = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    Image.fromarray(colors).save(folder / "color.png")
    (folder / "notes.txt").write_text("found in the attic")
    (folder / "torn.jpg").write_bytes(jpeg(scene())[:200])
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Files of an output, without the report's own pictures."""
    found = archive_fixtures.tree(folder)
    return {name: content for name, content in found.items() if not name.startswith(".vidcolor-")}


def run(*arguments: object, model: Path) -> int:
    return cli.run([*map(str, arguments), "--model", str(model)])


def test_a_folder_is_mirrored_with_color(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    out = tmp_path / "out"
    assert run(scans, "-o", out, model=tiny_model) == 1  # one photo is torn
    told = capsys.readouterr().err
    assert "torn.jpg" in told
    assert set(tree(out)) == {"album/gray.png", "album/gray.jpg", "color.png", "notes.txt"} | REPORTS
    assert (out / "color.png").read_bytes() == (scans / "color.png").read_bytes()  # kept
    with Image.open(out / "album" / "gray.png") as picture:
        painted = np.asarray(picture)
    assert painted.shape == (64, 96, 3)
    assert np.ptp(painted.astype(int), axis=2).mean() > 5
    lightness, _, _ = rgb_to_lab(*np.moveaxis(painted / 255.0, 2, 0))
    wanted, _, _ = rgb_to_lab(*[scene() / 255.0] * 3)
    assert np.abs(lightness - wanted).max() <= 100 / 255


def test_the_report_has_every_file_and_pictures(scans: Path, tmp_path: Path, tiny_model: Path):
    out = tmp_path / "out"
    (scans / "<img src=x onerror=alert(1)>.jpg").write_bytes(b"no picture")
    run(scans, "-o", out, "-q", model=tiny_model)
    report = json.loads((out / "report.json").read_text())
    assert report["counts"] == {"colored": 2, "kept": 1, "copied": 1, "failed": 2}
    outcomes = {line["name"]: line["outcome"] for line in report["files"]}
    assert outcomes["torn.jpg"] == "failed"
    assert len(outcomes) == 6
    page = (out / "report.html").read_text()
    assert page.count("<figure") == 2
    assert "torn.jpg" in page
    assert "<img src=x" not in page


def test_a_second_run_does_nothing_again_but_what_changed(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    out = tmp_path / "out"
    run(scans, "-o", out, "-q", model=tiny_model)
    before = (out / "album" / "gray.png").stat().st_mtime_ns, (out / "album" / "gray.jpg").stat().st_ino
    (scans / "torn.jpg").write_bytes(jpeg(scene()))
    Image.fromarray(255 - scene()).save(scans / "album" / "gray.png")
    capsys.readouterr()
    assert run(scans, "-o", out, "--json", model=tiny_model) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["counts"] == {"colored": 2}
    assert events[-1]["done_before"] == 3
    assert (out / "album" / "gray.jpg").stat().st_ino == before[1]
    assert (out / "album" / "gray.png").stat().st_ino != before[0]


def test_other_settings_color_anew_and_are_named(scans: Path, tmp_path: Path, tiny_model: Path, capfd):
    (scans / "torn.jpg").unlink()
    out = tmp_path / "out"
    assert run(scans, "-o", out, "-q", model=tiny_model) == 0
    first = tree(out)["album/gray.png"]
    assert run(scans, "-o", out, "-q", model=tiny_model) == 0
    assert "another run" not in capfd.readouterr().err
    assert run(scans, "-o", out, "-q", "--saturation", "0.3", model=tiny_model) == 0
    assert tree(out)["album/gray.png"] != first
    assert "made by another run (--saturation was 1.0, is 0.3)" in capfd.readouterr().err


@pytest.mark.parametrize("options", [(), ("--saturation", "0.3"), ("--precision", "fp32")], ids=str)
def test_what_vidcolor_0_1_0_did_is_done(options: tuple[str, ...], scans: Path, tmp_path: Path, tiny_model: Path):
    """Its journals tell of the settings by a hash alone."""
    (scans / "torn.jpg").unlink()
    out = tmp_path / "out"
    assert run(scans, "-o", out, "-q", model=tiny_model) == 0
    rewrite_runs(out / ".vidcolor-journal.jsonl")
    assert run(scans, "-o", out, "-q", *options, model=tiny_model) == 0
    with Journal(out / ".vidcolor-journal.jsonl") as journal:
        assert not journal.damaged_lines
        made_by = {record.run for record in journal.records.values() if record.outcome == "colored"}
    assert made_by == ({1} if options else {0})


def test_precision_that_auto_came_to_is_no_other_setting(scans: Path, tmp_path: Path, tiny_model: Path, capfd):
    (scans / "torn.jpg").unlink()
    out, precision = tmp_path / "out", ModelSettings(str(tiny_model)).resolve_backend()["precision"]
    assert run(scans, "-o", out, "-q", model=tiny_model) == 0
    made = {path: path.stat().st_ino for path in out.rglob("*.png")}
    assert run(scans, "-o", out, "-q", "--precision", precision, model=tiny_model) == 0
    assert "another run" not in capfd.readouterr().err
    assert {path: path.stat().st_ino for path in out.rglob("*.png")} == made
    other = "bf16" if precision == "fp32" else "fp32"
    assert run(scans, "-o", out, "-q", "--precision", other, model=tiny_model) == 0
    assert f"--precision was {precision}, is {other}" in capfd.readouterr().err


def rewrite_runs(journal: Path) -> None:
    """Leave of a journal's runs what vidcolor 0.1.0 wrote of them."""
    lines = []
    for line in journal.read_bytes().splitlines(keepends=True):
        fields = parse(line)
        assert fields is not None
        fields.get("run", {}).pop("settings", None)
        lines.append(Journal._line(fields))
    journal.write_bytes(b"".join(lines))


def test_colors_are_made_anew_and_others_left_out_when_asked(scans: Path, tmp_path: Path, tiny_model: Path):
    out = tmp_path / "out"
    run(scans, "-o", out, "-q", "--recolor", "--others", "skip", model=tiny_model)
    assert set(tree(out)) == {"album/gray.png", "album/gray.jpg", "color.png"} | REPORTS
    assert (out / "color.png").read_bytes() != (scans / "color.png").read_bytes()


@pytest.mark.parametrize("suffix", [".zip", ".cbz", ".tar", ".tar.gz", ".tar.zst"])
def test_an_archive_becomes_an_archive(suffix: str, tmp_path: Path, tiny_model: Path):
    source, target = make(tmp_path / f"in{suffix}", 40), tmp_path / f"out{suffix}"
    assert run(source, "-o", target, "-q", model=tiny_model) == 1  # the generator's damaged files
    report = json.loads((tmp_path / f"out{suffix}.report.json").read_text())
    failed = {line["name"] for line in report["files"] if line["outcome"] == "failed"}
    assert report["counts"]["colored"] > 15
    opened = zipfile.ZipFile(target) if suffix in (".zip", ".cbz") else None
    if opened is not None:
        found = {info.filename: opened.read(info) for info in opened.infolist()}
        opened.close()
    elif suffix == ".tar.zst":
        found = None  # as .tar, which is read below
    else:
        with tarfile.open(target) as archive:
            found = {item.name: archive.extractfile(item).read() for item in archive if item.isfile()}
    if found is not None:
        assert set(found) == {name for name, _ in files(40)} - failed
        (name,) = [line["name"] for line in report["files"] if line["outcome"] == "colored"][:1]
        assert Image.open(io.BytesIO(found[name])).mode != "L"


def test_one_photo_goes_into_one_file(scans: Path, tmp_path: Path, tiny_model: Path):
    target = tmp_path / "one.jpg"
    assert run(scans / "album" / "gray.jpg", "-o", target, model=tiny_model) == 0
    with Image.open(target) as picture:
        assert picture.mode == "RGB"
    assert run(scans / "album" / "gray.jpg", "-o", target, model=tiny_model) == 1  # it exists
    assert run(scans / "album" / "gray.jpg", "-o", tmp_path / "one.png", model=tiny_model) == 2
    assert run(scans / "torn.jpg", "-o", tmp_path / "torn-out.jpg", model=tiny_model) == 1
    assert not list(tmp_path.glob("*torn-out*"))


def test_a_dry_run_writes_nothing_and_counts(scans: Path, tmp_path: Path, tiny_model: Path, capsys):
    assert run(scans, "-o", tmp_path / "out", "--dry-run", "--json", model=tiny_model) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["files"] == {"photo": 4, "other": 1}
    assert plan["photo_seconds"] >= 0
    assert not (tmp_path / "out").exists()


def test_a_hostile_archive_writes_nothing_outside(tmp_path: Path, tiny_model: Path):
    box, inner = tmp_path / "box.zip", tmp_path / "deep" / "out"
    with zipfile.ZipFile(box, "w") as archive:
        for name in ("../../evil.jpg", "/abs.jpg", "C:\\win.jpg", "good.jpg"):
            archive.writestr(name, jpeg(scene()))
    run(box, "-o", inner, "-q", model=tiny_model)
    assert {path.name for path in tmp_path.iterdir()} == {"box.zip", "deep"}
    assert "good.jpg" in tree(inner)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("suffix", "most"), [("", 20), (".zip", 5)])
def test_kills_end_with_the_same_bytes(suffix: str, most: int, kills: int, tmp_path: Path, tiny_model: Path):
    most = min(most, kills)
    source = make(tmp_path / f"in{suffix}", 200)
    straight, killed = tmp_path / f"straight{suffix}", tmp_path / f"killed{suffix}"
    run(source, "-o", straight, "-q", model=tiny_model)
    command = [sys.executable, "-m", "vidcolor", source, "-o", killed, "--model", tiny_model, "-q"]
    journal = killed / ".vidcolor-journal.jsonl" if not suffix else tmp_path / "killed.zip.journal.jsonl"
    chance = random.Random(suffix)
    killed_times = 0
    while killed_times < most and killed_at_work(command, journal, chance):
        killed_times += 1
    assert killed_times >= most // 2  # a fast machine may be done before the last
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
    if suffix:
        assert killed.read_bytes() == straight.read_bytes()
    else:
        assert without_reports(killed) == without_reports(straight)


def killed_at_work(command: list[object], journal: Path, chance: random.Random) -> bool:
    """Whether a run, killed just after it had recorded something new, was not done yet."""
    before = journal.stat().st_size if journal.exists() else 0
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while child.poll() is None and (not journal.exists() or journal.stat().st_size <= before):
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.02))
    was_at_work = child.poll() is None
    child.kill()
    child.wait()
    return was_at_work


def without_reports(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in tree(folder).items() if name not in REPORTS}


def test_an_error_that_nobody_thought_of_stops_one_file_only(
    scans: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    write = pages.write_still

    def odd(still, *arguments):
        if still.name.endswith("gray.png"):
            raise ZeroDivisionError("three pixels")
        return write(still, *arguments)

    monkeypatch.setattr(pages, "write_still", odd)
    assert run(scans, "-o", tmp_path / "out", "-q", model=tiny_model) == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (line,) = [line for line in report["files"] if line["name"] == "album/gray.png"]
    assert line["reason"] == "unexpected ZeroDivisionError: three pixels"
    assert (tmp_path / "out" / "album" / "gray.jpg").exists()


@pytest.mark.parametrize("is_folder", [False, True])
def test_every_page_of_a_scan_is_colored(is_folder: bool, tmp_path: Path, tiny_model: Path):
    (tmp_path / "in").mkdir()
    pages = [Image.fromarray(scene()), Image.fromarray(255 - scene())]
    pages[0].save(tmp_path / "in" / "a.tif", save_all=True, append_images=pages[1:])
    source, target = (Path("in"), Path("out")) if is_folder else (Path("in/a.tif"), Path("out.tif"))
    assert run(tmp_path / source, "-o", tmp_path / target, "-q", model=tiny_model) == 0
    with Image.open(tmp_path / (target / "a.tif" if is_folder else target)) as found:
        assert found.n_frames == 2
        for number in range(2):
            found.seek(number)
            assert np.ptp(np.asarray(found).astype(int), axis=2).mean() > 5


def film(path: Path, *, is_colored: bool) -> Path:
    """A second of something that moves, with colors or without."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=12, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        bars = np.random.default_rng(5).integers(0, 256, (4, 6, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
        for shift in range(12):
            rgb = np.roll(bars, 2 * shift, 1) if is_colored else np.repeat(scene()[..., None], 3, 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("form", ["folder", "zip", "tar"])
def test_films_that_have_colors_are_kept_unless_asked(form: str, tmp_path: Path, tiny_model: Path):
    folder, suffix = tmp_path / "in", "" if form == "folder" else f".{form}"
    folder.mkdir()
    colored = film(folder / "colored.mp4", is_colored=True).read_bytes()
    gray = film(folder / "gray.mp4", is_colored=False).read_bytes()
    source = Path(shutil.make_archive(str(folder), form, folder)) if suffix else folder
    for options, is_kept in (([], True), (["--recolor"], False)):
        target = tmp_path / f"out{len(options)}{suffix}"
        assert run(source, "-o", target, "-q", *options, model=tiny_model) == 0
        opened = tmp_path / f"opened{len(options)}"
        if suffix:
            shutil.unpack_archive(target, opened, filter=None if form == "zip" else "data")
        found = tree(opened if suffix else target)
        assert (found["colored.mp4"] == colored) is is_kept
        assert found["gray.mp4"] != gray
    assert not list(tmp_path.glob("**/.vidcolor-*.partial"))


def test_a_finished_archive_is_refused_and_leaves_nothing_beside_it(
    scans: Path, tmp_path: Path, tiny_model: Path, capfd
):
    (scans / "torn.jpg").unlink()
    out = tmp_path / "out" / "scans.zip"
    out.parent.mkdir()
    assert run(scans, "-o", out, "-q", model=tiny_model) == 0
    there = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    assert run(scans, "-o", out, "-q", model=tiny_model) == 1
    assert "exists. Give --overwrite" in capfd.readouterr().err
    assert {path.name: path.read_bytes() for path in out.parent.iterdir()} == there


@pytest.mark.parametrize("options", [["--start", "1"], ["--end", "0:02"], ["--start", "1", "--dry-run"]])
def test_a_part_of_every_film_in_a_folder_is_refused(
    options: list[str], scans: Path, tmp_path: Path, tiny_model: Path, capsys
):
    assert run(scans, "-o", tmp_path / "out", *options, model=tiny_model) == 2
    assert "--start and --end choose a part of one film" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", ["out.tar.gz", "out", "out.zip"])
def test_a_photo_in_color_is_kept_in_a_packed_tar(output: str, scans: Path, tmp_path: Path, tiny_model: Path):
    """Its content has gone by when the photo turns out to be in color, and such a file cannot be read again."""
    box = tmp_path / "box.tar.gz"
    with tarfile.open(box, "w:gz") as archive:
        for name in ("color.png", "album/gray.png"):
            archive.add(scans / name, name)
    assert run(box, "-o", tmp_path / output, "-q", model=tiny_model) == 0
    with open_source([tmp_path / output]) as source:
        found = {entry.name: entry.read() for entry in source if entry.kind == "photo"}
    assert found["color.png"] == (scans / "color.png").read_bytes()
    assert found["album/gray.png"] != (scans / "album/gray.png").read_bytes()
