"""Every film of a folder of real and awkward media, through the whole command. Set VIDCOLOR_MEDIA to that folder."""

import os
from pathlib import Path

import av
import pytest
from av.error import FFmpegError

from vidcolor import cli
from vidcolor.errors import SourceError
from vidcolor.media.source import FilmSource

FOLDER = os.environ.get("VIDCOLOR_MEDIA")
SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ogv", ".ts", ".webm"}
FILMS = sorted(path for path in Path(FOLDER).rglob("*") if path.suffix in SUFFIXES) if FOLDER else []

if not FOLDER:
    pytest.skip("VIDCOLOR_MEDIA is not set: real media is not tried", allow_module_level=True)


def sound(path: Path) -> list[list[bytes]]:
    """The packets of every audio stream, as far as they can be read."""
    with av.open(str(path)) as container:
        streams = container.streams.audio
        found: dict[int, list[bytes]] = {stream.index: [] for stream in streams}
        try:
            for packet in container.demux(streams) if streams else ():
                if packet.size:
                    found[packet.stream.index].append(bytes(packet))
        except FFmpegError:
            pass  # a cut-off file ends this way; what came before counts
    return list(found.values())


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.name)
def test_a_real_film_comes_out_whole_or_is_refused_in_one_line(
    film: Path, suffix: str, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    out = tmp_path / f"out{suffix}"
    code = cli.run([str(film), "-o", str(out), "--model", str(tiny_model), "-q"])
    told = capfd.readouterr().err
    refusal = ""
    try:
        with FilmSource(film) as source:
            zero = source.examined.zero_seconds  # of clocks that begin anywhere
            before = [frame.pts * source.info.time_base - zero for frame in source.frames()]
    except SourceError as error:
        refusal = str(error)
    if refusal:
        assert code == 1
        assert told.strip() == f"vidcolor: {refusal}"
        assert list(tmp_path.iterdir()) == []
        return
    assert code == 0, told
    with FilmSource(out) as result:
        after = [frame.pts * result.info.time_base for frame in result.frames()]
    assert len(after) == len(before)
    tolerance = 0 if suffix == ".mp4" else 0.0005  # Matroska counts milliseconds
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) <= tolerance
    if "cannot be carried" not in told:
        assert sound(out) == sound(film)
