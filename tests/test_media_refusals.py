"""An output that cannot be written is refused in one line, and a failure leaves nothing behind."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from media_fixtures import TWO_SOUNDS, color_film, flat_chroma, lumas, make_film

from vidcolor.errors import ShapeError, SinkError, SourceError, UsageError
from vidcolor.frames import ColoredFrame
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.probe import probe
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource


@pytest.mark.parametrize("name", ["out.xyz", "out"])
def test_an_unknown_suffix_is_refused_with_the_list(tmp_path: Path, name: str) -> None:
    film = make_film(tmp_path / "in.mkv")
    with pytest.raises(UsageError, match=r"\.mp4, \.m4v, \.mov, \.mkv, \.webm, \.avi"):
        color_film(film, tmp_path / name)


def test_an_existing_output_is_left_alone(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv")
    (tmp_path / "out.mkv").write_text("precious")
    with pytest.raises(SinkError, match="exists already"):
        color_film(film, tmp_path / "out.mkv")
    assert (tmp_path / "out.mkv").read_text() == "precious"
    color_film(film, tmp_path / "out.mkv", overwrite=True)
    assert probe(tmp_path / "out.mkv").frame_count == 12


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink"])
def test_the_input_is_never_the_output(tmp_path: Path, link: str) -> None:
    film = make_film(tmp_path / "in.mkv")
    other = tmp_path / ("in.mkv" if link == "same" else "other.mkv")
    if link == "symlink":
        other.symlink_to(film)
    elif link == "hardlink":
        other.hardlink_to(film)
    before = film.read_bytes()
    with pytest.raises(UsageError, match="is the input itself"):
        color_film(film, other, overwrite=True)
    assert film.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = make_film(tmp_path / "in.mkv")
    with pytest.raises(SinkError, match="does not exist"):
        color_film(film, tmp_path / "nowhere" / "out.mkv")
    (tmp_path / "closed").mkdir()
    # A privileged user may write anywhere, so the refusal is imitated where the system is asked.
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(SinkError, match="not allowed to write"):
        color_film(film, tmp_path / "closed" / "out.mkv")


class _FullDisk:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file: object, room_bytes: int) -> None:
        self._file, self._room = file, room_bytes

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize("room_bytes", [0, 100_000, 1_200_000])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_full_disk_ends_in_one_line_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_bytes: int, suffix: str
) -> None:
    film = make_film(tmp_path / "in.mkv", size=(256, 192), pts=range(30), pix_fmt="yuv444p")
    really_open = Path.open

    def open_small(self: Path, mode: str = "r", *args: int) -> object:
        file = really_open(self, mode, *args)
        return _FullDisk(file, room_bytes) if "x" in mode else file

    monkeypatch.setattr(Path, "open", open_small)
    with pytest.raises(SinkError, match="the disk is full"):
        color_film(film, tmp_path / f"out{suffix}", codec="h264", crf=0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.mkv"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=TWO_SOUNDS)

    def fail_half_way() -> None:
        with FilmSource(film) as source, FilmSink(tmp_path / "out.mkv", source, OutputSettings(), comment="") as sink:
            for frame in source.frames():
                sink.write(flat_chroma(source.info, frame))
                if sink.frames_written == 5:
                    assert len(list(tmp_path.iterdir())) == 2, "a partial file, under another name"
                    raise RuntimeError("out of paint")

    with pytest.raises(RuntimeError, match="out of paint"):
        fail_half_way()
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.mkv"]


def _sink(source: FilmSource, folder: Path) -> FilmSink:
    return FilmSink(folder / "out.mkv", source, OutputSettings(), comment="")


def test_chroma_of_another_size_is_refused(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv")
    wrong = np.zeros((5, 5), np.uint8)
    with FilmSource(film) as source, pytest.raises(ShapeError, match="needed"), _sink(source, tmp_path) as sink:
        sink.write(ColoredFrame(next(iter(source.frames())), wrong, wrong))


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile holiday.mkv\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nholiday.mkv\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
    ],
    ids=["ffconcat", "hls", "sdp", "dash"],
)
@pytest.mark.parametrize("name", ["film.mkv", "film.ts", "film.m3u8"])
def test_a_playlist_reads_no_other_file(tmp_path: Path, content: str, name: str):
    make_film(tmp_path / "holiday.mkv")
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match="found a playlist, not a film; color the film that it names"):
        probe(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["http:127.0.0.1:8765?.mkv", "Metropolis:1927.mkv", "file:x.mkv", "concat:a|b.mkv", "-i.mkv"]
)
def test_a_name_is_a_name_and_no_address(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    make_film(tmp_path / "plain.mkv", codec="libx264").rename(tmp_path / name)
    assert len(lumas(Path(name))) == 12
    color_film(Path(name), Path(f"out {name}"))
    assert len(lumas(tmp_path / f"out {name}")) == 12
