"""PyAV 18 and 19 look the same from outside of vidcolor.media.pyav."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest
from media_fixtures import color_film, make_film
from PIL import Image, ImageCms

from vidcolor.media.probe import probe
from vidcolor.media.pyav import fraction_of, open_input, side_data_of, text_of

LATIN_1 = b"Stra\xdfe".decode("utf-8", "surrogateescape")  # as an old capture program wrote a title


def make_titled(folder: Path) -> Path:
    film = make_film(folder / "in.mkv", codec="libx264", metadata={"title": "Strasse"})
    film.write_bytes(film.read_bytes().replace(b"Strasse", b"Stra\xdfe\x00"))
    return film


def test_a_tag_that_is_not_utf_8_is_kept_byte_for_byte_and_can_be_printed(tmp_path: Path):
    film = make_titled(tmp_path)
    color_film(film, tmp_path / "out.mkv")
    assert b"Stra\xdfe" in (tmp_path / "out.mkv").read_bytes()
    assert probe(film).metadata["title"].startswith("Stra\N{REPLACEMENT CHARACTER}e")
    assert text_of(LATIN_1).encode() == "Stra\N{REPLACEMENT CHARACTER}e".encode()


def test_rates_are_fractions_of_whichever_pyav(tmp_path: Path):
    info = probe(make_film(tmp_path / "in.mp4", codec="libx264", rate=Fraction(24000, 1001), sar=Fraction(16, 15)))
    assert isinstance(info.time_base, Fraction)
    assert isinstance(info.frame_rate, Fraction)
    assert info.sample_aspect_ratio == Fraction(16, 15)
    assert isinstance(info.sample_aspect_ratio, Fraction)
    assert fraction_of(None) is fraction_of(Fraction(0)) is None


@pytest.mark.parametrize("container", ["avi", "matroska", "mov"])
def test_frames_with_exif_are_read(tmp_path: Path, container: str):
    """FFmpeg hands EXIF on as side data of a kind that PyAV 18 does not know."""
    film = make_film(tmp_path / "in", container=container, codec="mjpeg", pix_fmt="yuvj420p")
    exif = (
        bytes.fromhex("ffe1002a")
        + b"Exif\0\0"
        + bytes.fromhex(
            "4d4d002a 00000008 0001 010e 0002 00000008 0000001a 00000000 61726368 69766500".replace(" ", "")
        )
    )
    with open_input(film) as source, av.open(str(tmp_path / "exif"), "w", format=container) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                with_exif = av.Packet(b"\xff\xd8" + exif + bytes(packet)[2:])
                with_exif.pts, with_exif.dts, with_exif.time_base = packet.pts, packet.dts, packet.time_base
                with_exif.is_keyframe, with_exif.stream = True, stream
                out.mux(with_exif)
    with open_input(tmp_path / "exif") as source:
        assert all("UNKNOWN" not in name for frame in source.decode(video=0) for name in side_data_of(frame))
    source, _ = color_film(tmp_path / "exif", tmp_path / "out.mkv")
    assert not source.damage


def test_pictures_with_named_icc_profiles_do_not_end_the_process(tmp_path: Path):
    """PyAV frees the profile's name twice; the process would end when memory is tidied."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for number in range(3):
        picture = Image.new("L", (64, 48), 40 * number)
        picture.save(tmp_path / f"frame_{number:03}.png", icc_profile=profile)
    script = (
        "import gc; from fractions import Fraction; from pathlib import Path;"
        "from vidcolor.media.sequences import sequence_address; from vidcolor.media.source import FilmSource\n"
        f"with FilmSource(sequence_address(Path({str(tmp_path)!r}), Fraction(24))) as film:\n"
        "    assert sum(1 for _ in film.frames()) == 3\n"
        "del film; gc.collect(); print('well')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr
