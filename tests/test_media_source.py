import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import color_film, lumas, make_film, noise_frame, packets, times

from vidcolor.errors import SourceError, UsageError
from vidcolor.media.pixels import layout_of, luma_of
from vidcolor.media.probe import probe
from vidcolor.media.source import FilmSource


def test_a_missing_film_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.mp4: no such file"):
        probe(tmp_path / "gone.mp4")


def test_a_folder_is_not_a_film(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found a folder"):
        probe(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"Dear diary, today nothing.\n" * 20, "found text"),
        (bytes(range(256)) * 40, "found data in no format"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41\0\0\0\x08free\0\0\0\0mdat" + bytes(500), "moov"),
    ],
)
def test_what_is_no_film_is_named_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "in.mp4").write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        probe(tmp_path / "in.mp4")
    assert "\n" not in str(caught.value)


def test_sound_alone_is_not_a_film(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", sound=[{}], cover=False)
    with av.open(str(film)) as source, av.open(str(tmp_path / "sound.mp4"), "w") as out:
        copy = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    with pytest.raises(SourceError, match="found audio but no video stream"):
        probe(tmp_path / "sound.mp4")


def test_an_album_with_a_cover_is_not_a_film(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mp4", codec="libx264", sound=[{}], cover=True)
    with av.open(str(film)) as source, av.open(str(tmp_path / "album.m4a"), "w", format="mp4") as out:
        kept = [stream for stream in source.streams if stream.type == "audio" or stream.disposition & (1 << 10)]
        copies = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in kept}
        for stream in kept:
            copies[stream.index].disposition = stream.disposition
        for packet in source.demux(kept):
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    with pytest.raises(SourceError, match="found audio with cover art but no video stream"):
        probe(tmp_path / "album.m4a")


def test_a_codec_without_decoder_is_named(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.avi", codec="mpeg4")
    film.write_bytes(film.read_bytes().replace(b"FMP4", b"ZZZZ"))
    with pytest.raises(SourceError, match="no decoder"):
        probe(film)


def test_a_film_of_noise_packets_is_not_decodable(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264")
    with av.open(str(film)) as source, av.open(str(tmp_path / "noise.mkv"), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.update(bytes(packet.size))
                packet.stream = copy
                out.mux(packet)
    with pytest.raises(SourceError, match=r"do not decode|no frames"):
        probe(tmp_path / "noise.mkv")


@pytest.mark.parametrize(
    ("pix_fmt", "bits", "chroma_shift"),
    [
        ("yuv420p", 8, (1, 1)),
        ("yuv422p", 8, (1, 0)),
        ("yuv444p", 8, (0, 0)),
        ("yuv411p", 8, (2, 0)),
        ("gray", 8, (1, 1)),
        ("gray10le", 10, (1, 1)),
        ("yuv420p10le", 10, (1, 1)),
        ("yuv422p12le", 12, (1, 0)),
        ("yuv444p16le", 16, (0, 0)),
        ("gray16le", 16, (1, 1)),
        ("yuva420p", 8, (1, 1)),
    ],
)
def test_luma_is_the_decoded_y_plane(tmp_path: Path, pix_fmt: str, bits: int, chroma_shift: tuple[int, int]) -> None:
    film = make_film(tmp_path / "in.mkv", pix_fmt=pix_fmt, size=(70, 50))
    picture = probe(film).picture
    assert (picture.bits, picture.chroma_shift, picture.width, picture.height) == (bits, chroma_shift, 70, 50)
    for index, luma in enumerate(lumas(film)):
        drawn = noise_frame(70, 50, pix_fmt, index)
        assert luma.shape == (50, 70)
        assert luma.dtype == (np.uint8 if bits == 8 else np.uint16)
        plane = np.frombuffer(drawn.planes[0], luma.dtype).reshape(50, -1)[:, :70]
        assert np.array_equal(luma, plane)


@pytest.mark.parametrize("pix_fmt", ["yuyv422", "uyvy422", "nv12", "yuv420p10be", "gray16be", "y210le"])
def test_packed_and_swapped_formats_give_their_luma_losslessly(tmp_path: Path, pix_fmt: str) -> None:
    film = make_film(tmp_path / "in.nut", codec="rawvideo", pix_fmt=pix_fmt, pts=range(2))
    raw = np.frombuffer(_first_packet(film), np.uint8)
    found = lumas(film)[0]
    expected = {
        "yuyv422": lambda: raw.reshape(48, 64, 2)[:, :, 0],
        "uyvy422": lambda: raw.reshape(48, 64, 2)[:, :, 1],
        "nv12": lambda: raw[: 64 * 48].reshape(48, 64),
        "yuv420p10be": lambda: raw.view(">u2")[: 64 * 48].reshape(48, 64),
        "gray16be": lambda: raw.view(">u2").reshape(48, 64),
        "y210le": lambda: raw.view("<u2").reshape(48, 64, 2)[:, :, 0] >> 6,
    }[pix_fmt]()
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("pix_fmt", ["p010le", "p210le", "p012le", "p016le"])
def test_samples_kept_in_the_high_bits_come_down_losslessly(pix_fmt: str) -> None:
    frame, layout = noise_frame(64, 48, pix_fmt, 0), layout_of(pix_fmt)
    stored = np.frombuffer(frame.planes[0], "<u2").reshape(48, -1)[:, :64]
    found = luma_of(frame, layout)
    assert np.array_equal(found << (16 - layout.bits), stored)
    assert found.max() < 1 << layout.bits


def _first_packet(film: Path) -> bytes:
    with av.open(str(film)) as container:
        return bytes(next(container.demux(video=0)))


@pytest.mark.parametrize(("pix_fmt", "bits"), [("bgr0", 8), ("gbrp10le", 10), ("gbrp16le", 16)])
def test_rgb_becomes_luma_once_and_says_so(tmp_path: Path, pix_fmt: str, bits: int) -> None:
    film = make_film(tmp_path / "in.mkv", pix_fmt=pix_fmt)
    info = probe(film)
    assert info.picture.bits == bits
    assert info.picture.chroma_shift == (0, 0)
    assert not info.picture.full_range
    assert any("no luma plane" in warning for warning in info.warnings)
    luma = lumas(film)[0]
    assert luma.min() >= (16 << (bits - 8)) - 1
    assert luma.max() <= (236 << (bits - 8))
    color_film(film, tmp_path / "out.mkv", codec="ffv1")
    assert np.array_equal(lumas(tmp_path / "out.mkv")[0], luma)


def test_rgb_luma_follows_bt601_at_small_heights(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "bgr0"
        frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), (200, 100, 50), np.uint8)).reformat(format="bgr0")
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    # BT.601: Y = 16 + 219/255 (0.299 R + 0.587 G + 0.114 B) = 122.7
    assert abs(int(lumas(tmp_path / "in.mkv")[0][8, 8]) - 123) <= 1


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "color_range", "full"),
    [
        ("libx264", "yuv420p", 0, False),
        ("libx264", "yuv420p", 2, True),
        ("libx264", "gray", 0, False),
        ("libx264", "gray", 2, True),
        ("ffv1", "gray", 0, True),
        ("ffv1", "gray", 1, False),
        ("mjpeg", "yuvj420p", 2, True),
    ],
)
def test_the_range_is_as_flagged_else_as_the_codec_implies(
    tmp_path: Path, codec: str, pix_fmt: str, color_range: int, full: bool
) -> None:
    film = make_film(tmp_path / "in.mkv", codec=codec, pix_fmt=pix_fmt, color={"color_range": color_range})
    assert probe(film).picture.full_range is full


@pytest.mark.parametrize(
    ("height", "colorspace", "matrix"),
    [(576, 2, "bt601"), (578, 2, "bt709"), (576, 1, "bt709"), (578, 5, "bt601"), (578, 9, "bt2020"), (64, 7, "bt709")],
)
def test_the_matrix_is_as_tagged_else_by_height(tmp_path: Path, height: int, colorspace: int, matrix: str) -> None:
    film = make_film(
        tmp_path / "in.mkv", codec="libx264", size=(64, height), color={"colorspace": colorspace}, pts=range(2)
    )
    assert probe(film).picture.matrix == matrix


def test_several_pictures_are_said(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", second_picture=True)
    assert any("2 video tracks" in warning for warning in probe(film).warnings)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_frames_come_at_their_true_times(tmp_path: Path, codec: str) -> None:
    options = {"bf": "2"}
    film = make_film(tmp_path / "in.avi", codec=codec, options=options, size=(96, 64), pts=range(20))
    assert times(film) == [Fraction(n, 25) for n in range(20)]


@pytest.mark.parametrize("container", ["h264", "mpegts", "nut"])
def test_every_frame_of_every_container_comes_once(tmp_path: Path, container: str) -> None:
    film = make_film(tmp_path / "in.bin", container=container, codec="libx264", pts=range(20))
    found = times(film)
    assert [b - a for a, b in pairwise(found)] == [Fraction(1, 25)] * 19


def test_a_range_gives_the_frames_players_show_in_it(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", pts=range(250, 325), options={"g": "12"})
    with FilmSource(film, start=1.0, end=2.0) as source:
        assert [frame.pts for frame in source.frames()] == list(range(11000, 12000, 40))
    assert not source.damage


def test_frames_can_be_read_again(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264")
    with FilmSource(film) as source:
        first = [frame.pts for frame in source.frames()]
        assert [frame.pts for frame in source.frames()] == first
    assert len(first) == 12


@pytest.mark.parametrize(("start", "end"), [(2.0, 1.0), (-1.0, None), (1.0, 1.0)])
def test_an_empty_range_is_refused(tmp_path: Path, start: float, end: float | None) -> None:
    film = make_film(tmp_path / "in.mkv")
    with pytest.raises(UsageError, match="range"):
        FilmSource(film, start=start, end=end)


def test_a_range_beyond_the_end_is_said(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv")
    with FilmSource(film, start=60.0) as source, pytest.raises(SourceError, match="no frame decodes in the range"):
        list(source.frames())


def test_a_short_film_cut_off_is_said_too(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", container="matroska", codec="libx264", pts=range(14), size=(128, 96))
    with FilmSource(film) as source:
        assert sum(1 for _ in source.frames()) == 14
        assert not source.damage
    content = film.read_bytes()
    film.write_bytes(content[: len(content) * 6 // 10])
    with FilmSource(film) as source:
        found = sum(1 for _ in source.frames())
        assert 0 < found < 14
        assert source.damage.ends_early_seconds == pytest.approx((14 - found) / 25, abs=0.05)


@pytest.mark.parametrize(("rate", "container"), [(Fraction(2), "nut"), (Fraction(1, 3), "nut"), (Fraction(5), "nut")])
def test_a_slow_film_whose_length_is_guessed_is_whole(tmp_path: Path, rate: Fraction, container: str) -> None:
    film = make_film(
        tmp_path / "in.nut", container=container, codec="libx264", pts=range(5), rate=rate, time_base=1 / rate,
        options={"bf": "3"},
    )  # fmt: skip
    with FilmSource(film) as source:
        assert sum(1 for _ in source.frames()) == 5
        assert not source.damage


def test_a_picture_that_begins_long_after_the_sound_is_whole(tmp_path: Path) -> None:
    film = tmp_path / "in.flv"
    with av.open(str(film), "w") as out:
        picture, sound = out.add_stream("flv1", rate=25), out.add_stream("pcm_s16le", rate=44100, layout="mono")
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), "s16", "mono")
        heard.sample_rate, heard.pts = 44100, 0
        out.mux([*sound.encode(heard), *sound.encode(None)])
        for number in range(75, 100):
            seen = noise_frame(64, 48, "yuv420p", number)
            seen.pts, seen.time_base = number, Fraction(1, 25)
            out.mux(picture.encode(seen))
        out.mux(picture.encode(None))
    with FilmSource(film) as source:
        assert sum(1 for _ in source.frames()) == 25
        assert not source.damage


@pytest.mark.parametrize("container", ["matroska", "mpegts"])
def test_a_film_cut_off_is_read_as_far_as_it_goes(tmp_path: Path, container: str) -> None:
    film = make_film(tmp_path / "in.mkv", container=container, codec="libx264", pts=range(100), size=(128, 96))
    whole = times(film)
    content = film.read_bytes()
    film.write_bytes(content[: len(content) * 6 // 10])
    with FilmSource(film) as source:
        found = [frame.pts * source.info.time_base for frame in source.frames()]
    assert 40 < len(found) < 80
    assert found == whole[: len(found)]
    if container == "matroska":  # a transport stream does not say how long it should be
        assert source.damage.ends_early_seconds == pytest.approx((100 - len(found)) / 25, abs=0.1)
        assert "early" in source.damage.describe()


def test_corrupt_packets_are_counted_and_the_rest_keeps_its_times(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", pts=range(60), options={"g": "10", "bf": "0"})
    with av.open(str(film)) as source, av.open(str(tmp_path / "hurt.mkv"), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0], opaque=True)
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            if 22 <= index < 26:
                packet.update(b"\0\0\0\x05\xff" * (packet.size // 5) + bytes(packet.size % 5))
            packet.stream = copy
            out.mux(packet)
    with FilmSource(tmp_path / "hurt.mkv") as source:
        found = [frame.pts * source.info.time_base for frame in source.frames()]
    assert set(found) <= set(times(film))
    assert 56 <= len(found) <= 60
    assert found[-30:] == times(film)[-30:]
    assert source.damage
    assert source.damage.undecodable_packets + source.damage.corrupt_frames >= 1
    damaged, _ = color_film(tmp_path / "hurt.mkv", tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == found
    assert damaged.damage == source.damage


def test_a_change_of_size_mid_film_is_scaled_and_counted(tmp_path: Path) -> None:
    parts = [
        make_film(tmp_path / f"{n}.ts", codec="mpeg2video", size=size) for n, size in ((0, (64, 48)), (1, (96, 64)))
    ]
    (tmp_path / "in.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with FilmSource(tmp_path / "in.ts") as source:
        shapes = {frame.luma.shape for frame in source.frames()}
    assert shapes == {(48, 64)}
    assert source.damage.resized_frames >= 10


def test_luma_outlives_the_iterator(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", pts=range(40))
    with FilmSource(film) as source:
        held = [frame.luma for frame in source.frames()]
    assert all(np.array_equal(a, b) for a, b in zip(held, lumas(film), strict=True))


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuvj444p", "gray12le", "p210le", "nv21", "monob", "rgb24", "pal8", "gbrp"]
)
def test_every_layout_can_be_painted(name: str) -> None:
    assert layout_of(layout_of(name).planar).readable


def test_nothing_is_printed_by_the_libraries(tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", codec="libx264", size=(128, 96), pts=range(30))
    film.write_bytes(film.read_bytes()[:-2000])
    script = (
        "import sys; from pathlib import Path; from media_fixtures import color_film\n"
        "for codec in ('h264', 'hevc', 'av1', 'vp9'):\n"
        "    color_film(Path(sys.argv[1]), Path(sys.argv[2]) / f'{codec}.mkv', codec=codec)\n"
    )
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
    command = [sys.executable, "-c", script, str(film), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert packets(tmp_path / "av1.mkv", "video")


def test_a_film_is_closed_while_its_decoder_has_something_to_log(tmp_path: Path) -> None:
    """Programs may ask PyAV for FFmpeg's messages (torchvision does), which then wait for Python's lock."""
    film = make_film(tmp_path / "in.mkv", codec="libx264", pts=range(120), options={"g": "60"})
    content = bytearray(film.read_bytes())
    for at in range(2000, len(content) - 2000, 997):
        content[at] ^= 0xFF
    film.write_bytes(content)
    script = """
import sys
from itertools import islice
from pathlib import Path
import av
from vidcolor.media.source import FilmSource

av.logging.set_level(av.logging.ERROR)
for count in range(40):
    with FilmSource(Path(sys.argv[1])) as source:
        list(islice(source.frames(), count % 7))
        for seconds in (3.1, 1.2, 4.0):  # each goes back to another key frame
            source.frame_at(seconds)
"""
    subprocess.run([sys.executable, "-c", script, str(film)], check=True, timeout=120, stderr=subprocess.DEVNULL)
