"""A link in an archive is what it leads to: a link again where the output has such, else a file of its own."""

import io
import json
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from archive_fixtures import member, tree, write_packed
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli


def photo(seed: int = 1, size: int = 48) -> bytes:
    content = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (size // 8, 8)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(values).save(content, "png")
    return content.getvalue()


def linked_tar(path: Path, film: Path | None = None, torn: bytes = b"\xff\xd8\xff") -> Path:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        archive.addfile(member("soft.png", kind=tarfile.SYMTYPE, linkname="album/b.png"))  # before what it leads to
        archive.addfile(member("softer.png", kind=tarfile.SYMTYPE, linkname="soft.png"))
        archive.addfile(member("folder", kind=tarfile.SYMTYPE, linkname="album"))
        archive.addfile(member("ring", kind=tarfile.SYMTYPE, linkname="ring"))
        for name, content in (("album/b.png", photo()), ("notes.txt", b"notes"), ("torn.jpg", torn)):
            archive.addfile(member(name, len(content)), io.BytesIO(content))
        for name, to in (("a.png", "album/b.png"), ("third.png", "a.png"), ("words.txt", "notes.txt")):
            archive.addfile(member(name, kind=tarfile.LNKTYPE, linkname=to))
        archive.addfile(member("twin.jpg", kind=tarfile.LNKTYPE, linkname="torn.jpg"))
        if film is not None:
            archive.addfile(member("film.ts", film.stat().st_size), io.BytesIO(film.read_bytes()))
            archive.addfile(member("other.ts", kind=tarfile.LNKTYPE, linkname="film.ts"))
    return write_packed(path, plain.getvalue())


def run(source: Path, output: Path, model: Path, *options: str) -> int:
    return cli.run([str(source), "-o", str(output), "--model", str(model), *options])


def colored(content: bytes) -> bool:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.mode == "RGB"


@pytest.mark.parametrize("packing", [".tar", ".tar.gz"])
def test_in_a_folder_links_are_files_of_their_own(tmp_path: Path, tiny_model: Path, packing: str, capsys) -> None:
    source, out = linked_tar(tmp_path / f"in{packing}"), tmp_path / "out"
    assert run(source, out, tiny_model, "--json") == 1
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said[-1]["counts"] == {"colored": 5, "copied": 2, "skipped": 2, "failed": 2}
    assert any("torn.jpg, which failed" in " ".join(event.get("notes", ())) for event in said)
    found = tree(out)
    names = ("album/b.png", "a.png", "third.png", "soft.png", "softer.png")
    assert all(found[name] == found["a.png"] and colored(found[name]) for name in names)
    assert found["words.txt"] == b"notes"
    assert not {"folder", "ring", "torn.jpg", "twin.jpg"} & found.keys()
    assert not any((out / name).is_symlink() or (out / name).stat().st_nlink > 1 for name in names)
    assert run(source, out, tiny_model, "--json") == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["counts"], last["done_before"]) == ({"failed": 2}, 9)
    linked_tar(source, torn=photo(2))  # as if it was copied again
    assert run(source, out, tiny_model, "-q") == 0
    found = tree(out)
    assert found["twin.jpg"] == found["torn.jpg"]
    assert colored(found["twin.jpg"])


@pytest.mark.parametrize("suffix", [".tar", ".tar.zst"])
def test_in_a_tar_hard_links_lead_to_the_colored_photo(tmp_path: Path, tiny_model: Path, suffix: str, capsys) -> None:
    source, out = linked_tar(tmp_path / "in.tar"), tmp_path / f"out{suffix}"
    assert run(source, out, tiny_model, "--json") == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["counts"] == {"colored": 3, "copied": 6, "failed": 2}
    if suffix == ".tar":
        with tarfile.open(out) as archive:
            kinds = {info.name: (info.type, info.linkname) for info in archive}
            assert kinds["a.png"] == (tarfile.LNKTYPE, "album/b.png")
            assert kinds["third.png"] == (tarfile.LNKTYPE, "a.png")
            assert kinds["soft.png"] == (tarfile.SYMTYPE, "album/b.png")
            assert "twin.jpg" not in kinds
            content = archive.extractfile("third.png")
            assert content is not None
            assert colored(content.read())
    assert run(out, tmp_path / "again", tiny_model, "-q") == 0
    assert colored(tree(tmp_path / "again")["third.png"])


def test_in_a_zip_hard_links_are_files_and_symbolic_ones_links(tmp_path: Path, tiny_model: Path, capsys) -> None:
    source, out = linked_tar(tmp_path / "in.tar"), tmp_path / "out.zip"
    assert run(source, out, tiny_model, "--json") == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["counts"] == {"colored": 3, "copied": 6, "failed": 2}
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        for name in ("album/b.png", "a.png", "third.png"):
            assert archive.read(name) == archive.read("a.png")
            assert colored(archive.read(name))
        assert archive.read("soft.png") == b"album/b.png"
        assert stat.S_ISLNK(archive.getinfo("soft.png").external_attr >> 16)
        assert archive.read("words.txt") == b"notes"
    assert run(out, tmp_path / "again", tiny_model, "-q") == 0  # and zips are read so
    assert colored(tree(tmp_path / "again")["softer.png"])
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".vidcolor-")]


@pytest.mark.parametrize("output", ["out", "out.zip", "out.tar"])
def test_a_film_in_another_container_has_its_links_named_so(tmp_path: Path, tiny_model: Path, output: str) -> None:
    film = make_film(tmp_path / "film.ts", pts=range(6), codec="libx264")
    source = linked_tar(tmp_path / "in.tar", film)
    assert run(source, tmp_path / output, tiny_model, "-q", "--recolor") == 1
    report = "out/report.json" if output == "out" else f"{output}.report.json"
    lines = {line["name"]: line for line in json.loads((tmp_path / report).read_text())["files"]}
    assert (lines["film.ts"]["output"], lines["other.ts"]["output"]) == ("film.mkv", "other.mkv")
    assert lines["other.ts"]["outcome"] == "colored"
