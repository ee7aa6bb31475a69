"""Decoded photos kept in a mapped file: the same pictures as in memory, made once, anew where their sources changed."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from photo_fixtures import file_of, gray, picture
from PIL import Image

from vidcolor.errors import SinkError, SourceError
from vidcolor.training import photos as photos_module
from vidcolor.training.packed import Pack, key_of, remove_packs
from vidcolor.training.photos import Photos


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.png").write_bytes(file_of(picture(number, 40 + number, 50)))
    (folder / "gray.png").write_bytes(file_of(gray(1)))
    (folder / "cut.png").write_bytes(file_of(picture(1))[:900])
    return folder


def _pictures(photos: Photos) -> dict[str, bytes]:
    return {name: rgb.tobytes() + bytes(rgb.shape) for name, rgb in zip(photos.names, photos.rgb, strict=True)}


def _forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(photos_module, "decode", decode)


@pytest.mark.parametrize("hold_back", [None, ("*", 4), ("?.png", 2)])
def test_a_pack_holds_what_memory_would(scans: Path, tmp_path: Path, hold_back: tuple[str, int] | None):
    settings = {"crop": 32, "hold_back": hold_back, "validation_share": 0.3}
    held = Photos([scans], **settings)
    mapped = Photos([scans], **settings, pack_folder=tmp_path / "cache")
    assert mapped.report == held.report
    assert mapped.names == held.names
    assert mapped.validation_names == held.validation_names
    assert _pictures(mapped) == _pictures(held)
    assert not mapped.rgb[0].flags.writeable
    assert np.array_equal(next(mapped.batches(6, seed=2)), next(held.batches(6, seed=2)))


def test_a_pack_is_made_once_for_all_that_leaves_its_pictures_alone(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cache = tmp_path / "cache"
    before = Photos([scans], crop=32, pack_folder=cache)
    _forbid_decoding(monkeypatch)
    again = Photos([scans], crop=32, pack_folder=cache, seed=9, threads=2, hold_back=("1*", 1), validation_share=0.2)
    assert {*again.names, *again.validation_names} < set(before.names)
    assert again.report.photos == before.report.photos - 1
    assert before.report.skipped == (("cut.png", "unreadable"), ("gray.png", "gray"))
    moved = scans.rename(tmp_path / "moved")
    assert _pictures(Photos([moved], crop=32, pack_folder=cache)) == _pictures(before)


@pytest.mark.parametrize("change", ["photo", "new", "gone", "crop", "zoom", "cut", "list", "names"])
def test_a_pack_is_made_anew_when_something_changed(scans: Path, tmp_path: Path, change: str):
    cache, settings = tmp_path / "cache", {"crop": 32, "zoom": 1.0}
    Photos([scans], **settings, pack_folder=cache)
    (listed,), (samples,) = cache.glob("*.json"), cache.glob("*.u8")
    if change == "photo":
        (scans / "3.png").write_bytes(file_of(picture(99, 43, 50)))
    elif change == "new":
        (scans / "99.png").write_bytes(file_of(picture(99)))
    elif change == "gone":
        (scans / "3.png").unlink()
    elif change == "crop":
        settings["crop"] = 36
    elif change == "zoom":
        settings["zoom"] = 1.7
    elif change == "cut":
        samples.write_bytes(samples.read_bytes()[:-1])
    elif change == "list":
        listed.write_text(listed.read_text()[:-20])
    else:
        listed.write_text(json.dumps(json.loads(listed.read_text()) | {"names": ["one"]}))
    mapped, held = Photos([scans], **settings, pack_folder=cache), Photos([scans], **settings)
    assert mapped.names == held.names
    assert _pictures(mapped) == _pictures(held)


@pytest.mark.parametrize(
    "damage",
    [
        {"facts": None},
        {"facts": {}},
        {"facts": {"luck": 1}},
        {"shapes": [[10**30, 1]] * 4},
        {"names": None},
        {"samples": 3},
        "[" * 100_000,
    ],
)
def test_a_damaged_list_is_read_anew(damage: dict[str, object] | str, scans: Path, tmp_path: Path):
    cache = tmp_path / "cache"
    first = Photos([scans], crop=32, pack_folder=cache)
    (listed,) = cache.glob("photos-*.json")
    listed.write_text(damage if isinstance(damage, str) else json.dumps(json.loads(listed.read_text()) | damage))
    assert _pictures(Photos([scans], crop=32, pack_folder=cache)) == _pictures(first)


def test_equal_names_sizes_and_times_in_two_folders_are_two_sets(tmp_path: Path):
    for number, name in enumerate(("one", "other")):
        (tmp_path / name).mkdir()
        Image.fromarray(picture(number, 40, 40)).save(tmp_path / name / "scan.bmp")
        os.utime(tmp_path / name / "scan.bmp", (0, 0))
    one, other = (Photos([tmp_path / name], crop=32, pack_folder=tmp_path / "cache") for name in ("one", "other"))
    assert _pictures(one) == _pictures(Photos([tmp_path / "one"], crop=32))
    assert _pictures(other) == _pictures(Photos([tmp_path / "other"], crop=32)) != _pictures(one)


def test_a_cache_that_is_a_file_is_named_as_one(scans: Path, tmp_path: Path):
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(SinkError, match=r"cache: is a file, not a folder"):
        Photos([scans], crop=32, pack_folder=tmp_path / "cache")
    assert (tmp_path / "cache").read_text() == "mine"


def test_what_does_not_belong_to_the_set_changes_no_key(scans: Path):
    before = key_of([scans], {})
    (scans / "notes.txt").write_text("westerns")
    assert key_of([scans], {}) == before
    assert key_of([scans], {"crop": 32}) != before


def test_nothing_to_learn_from_is_told_from_a_pack_too(tmp_path: Path):
    (tmp_path / "gray.png").write_bytes(file_of(gray(1)))
    for _ in range(2):  # packed, and read again
        with pytest.raises(SourceError, match=r"no readable photo or film frame to learn from \(1 gray\)"):
            Photos([tmp_path], crop=32, pack_folder=tmp_path / "cache")


def test_other_processes_wait_for_the_one_that_packs(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(photos_module, "_POLL_SECONDS", 0.01)
    found: list[Photos] = []
    waiting = threading.Thread(
        target=lambda: found.append(Photos([scans], crop=32, pack_folder=tmp_path / "cache", packs=False)), daemon=True
    )
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    first = Photos([scans], crop=32, pack_folder=tmp_path / "cache")
    waiting.join(20)
    assert _pictures(found[0]) == _pictures(first)


def test_a_failed_pack_leaves_nothing_and_says_what_to_do(scans: Path, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SinkError, match=r"cannot be written: .*--cache names another folder"):
        Photos([scans], crop=32, pack_folder=tmp_path / "file" / "cache")
    pack = Pack(tmp_path / "cache", "key")

    def fail() -> None:
        raise SourceError("torn")

    with pytest.raises(SourceError, match="torn"):
        pack.write(((name, fail()) for name in "ab"), dict)  # type: ignore[arg-type,return-value]
    assert list((tmp_path / "cache").iterdir()) == []
    assert pack.read() is None


def test_samples_that_killed_runs_left_are_removed(scans: Path, tmp_path: Path):
    cache = tmp_path / "cache"
    cache.mkdir()
    old, new = (cache / f".vidcolor-{name}.partial.u8" for name in ("old", "new"))
    unlisted = cache / "photos-0123456789abcdef-01234567.u8"
    for path in (old, new, unlisted):
        path.write_bytes(b"x")
    for path in (old, unlisted):
        os.utime(path, (time.time() - 7200,) * 2)
    Photos([scans], crop=32, pack_folder=cache)
    assert not old.exists()
    assert not unlisted.exists()
    assert new.exists()  # another run may be writing it
    users = ["of the user.txt", "photos-2020.json", "photos-summer.u8"]
    for name in users:
        (cache / name).write_text("stays")
        os.utime(cache / name, (0, 0))
    Photos([scans], crop=36, pack_folder=cache)
    remove_packs(cache)
    assert sorted(path.name for path in cache.iterdir()) == users
