"""No sound is lost in silence: copied where the container can hold it, converted without loss, or refused in a line."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import color_film, make_film, packets, times

from vidcolor import cli
from vidcolor.cli.scans import are_scans
from vidcolor.errors import SinkError, UsageError
from vidcolor.media import matroska
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.plan import plan_output
from vidcolor.media.probe import probe
from vidcolor.media.pyav import open_input

SOUND = {"sound": [{"language": "deu"}], "pts": range(50)}


def samples_of(path: Path) -> np.ndarray:
    """Every sample that is heard, -1..1, (channels, N)."""
    with open_input(path) as film:
        parts = []
        for frame in film.decode(audio=0):
            values, kind = frame.to_ndarray().astype(np.float64), frame.format.name.rstrip("p")
            values = values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T
            zero, scale = {"u8": (128, 128), "s16": (0, 1 << 15), "s32": (0, 1 << 31)}.get(kind, (0, 1))
            parts.append((values - zero) / scale)
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize(
    ("container", "codec", "sound"),
    [
        ("asf", "wmv2", "wmav2"),
        ("asf", "wmv2", "wmav1"),
        ("avi", "mpeg4", "adpcm_ms"),
        ("avi", "mpeg4", "adpcm_ima_wav"),
        ("avi", "mpeg4", "pcm_alaw"),
        ("mov", "mpeg4", "pcm_mulaw"),
    ],
)
def test_matroska_takes_what_its_muxer_takes(tmp_path: Path, container: str, codec: str, sound: str):
    film = make_film(tmp_path / "in", container=container, codec=codec, sound_codec=sound, **SOUND)
    _, sink = color_film(film, tmp_path / "out.mkv")
    before, after = (packets(path, "audio")[0] for path in (film, tmp_path / "out.mkv"))
    assert [content for _, content in after] == [content for _, content in before]
    shift = before[0][0] - after[0][0]
    assert max(abs(one - other - shift) for (one, _), (other, _) in zip(before, after, strict=True)) < Fraction(2, 1000)
    assert np.array_equal(samples_of(film), samples_of(tmp_path / "out.mkv"))
    if container == "asf":
        assert probe(tmp_path / "out.mkv").streams[0].language == "ger"  # Matroska's word for deu
    assert len(times(tmp_path / "out.mkv")) == len(times(film))
    assert not any("cannot be carried" in warning for warning in sink.warnings)


def test_chapters_stay_beside_such_sound(tmp_path: Path):
    film = make_film(tmp_path / "in.avi", codec="mpeg4", sound_codec="adpcm_ms", **SOUND)
    color_film(film, tmp_path / "first.mkv")
    chapters = [(Fraction(0), Fraction(1), "Eins"), (Fraction(1), Fraction(2), "Zwölf" + "x" * 200)]
    with (tmp_path / "first.mkv").open("r+b") as file:
        assert matroska.write_chapters(file, chapters)
    _, sink = color_film(tmp_path / "first.mkv", tmp_path / "out.mkv")
    assert sink.plan.any_codec
    for path in (tmp_path / "first.mkv", tmp_path / "out.mkv"):
        with open_input(path) as container:
            found = [
                (entry["start"] * entry["time_base"], entry["end"] * entry["time_base"], entry["metadata"]["title"])
                for entry in container.chapters()
            ]
        assert found == chapters
        assert len(times(path)) == 50
    assert packets(tmp_path / "first.mkv", "audio") == packets(tmp_path / "out.mkv", "audio")
    assert not any("chapter" in warning for warning in sink.warnings)


@pytest.mark.parametrize(
    ("container", "codec", "sound", "suffix", "becomes"),
    [
        ("mov", "mpeg4", "pcm_s16be", ".avi", "pcm_s16le"),
        ("mov", "mpeg4", "pcm_s24be", ".avi", "pcm_s24le"),
        ("mov", "mpeg4", "pcm_f32be", ".mkv", "pcm_f32le"),
        ("matroska", "libx264", "flac", ".mov", "alac"),
        ("matroska", "libx264", "pcm_s16le", ".mp4", "alac"),
        ("avi", "mpeg4", "pcm_mulaw", ".mp4", "alac"),
        ("matroska", "libx264", "alac", ".avi", "pcm_s24le"),
    ],
)
def test_sound_is_converted_without_loss(
    tmp_path: Path, container: str, codec: str, sound: str, suffix: str, becomes: str
):
    film = make_film(tmp_path / "in", container=container, codec=codec, sound_codec=sound, **SOUND)
    _, sink = color_film(film, tmp_path / f"out{suffix}")
    with open_input(tmp_path / f"out{suffix}") as container:
        assert container.streams.audio[0].codec_context.name == becomes
    assert np.array_equal(samples_of(film), samples_of(tmp_path / f"out{suffix}"))
    assert any(f"converted to {becomes}" in warning for warning in sink.warnings)


@pytest.mark.parametrize(("sound", "suffix"), [("alac", ".mp4"), ("flac", ".mp4"), ("aac", ".mp4"), ("alac", ".mov")])
def test_the_last_packet_is_heard_to_its_end(tmp_path: Path, sound: str, suffix: str):
    """Matroska need not say how long it lasts; MP4 cuts off what lasts for nothing."""
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound_codec=sound, **SOUND)
    color_film(film, tmp_path / f"out{suffix}")
    found, wanted = (samples_of(path).shape[1] for path in (tmp_path / f"out{suffix}", film))
    assert abs(found - wanted) < 48  # Matroska's times, from which MP4's are made, are whole milliseconds


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_silent_film_is_no_success(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]):
    film = make_film(tmp_path / "in.wmv", container="asf", codec="wmv2", sound_codec="wmav2", **SOUND)
    output = tmp_path / f"out{suffix}"
    assert cli.run([str(film), "-o", str(output)]) == 1
    told = capsys.readouterr().err.strip()
    assert "cannot be carried" in told
    assert all(way in told for way in ("wmav2", ".mkv", "--convert-audio aac", "--drop-audio"))
    assert "\n" not in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wmv"]


@pytest.mark.parametrize(("suffix", "codec", "name"), [(".mp4", "aac", "aac"), (".webm", "opus", "opus")])
def test_sound_is_converted_with_loss_where_asked(tmp_path: Path, suffix: str, codec: str, name: str):
    film = make_film(tmp_path / "in.wmv", container="asf", codec="wmv2", sound_codec="wmav2", **SOUND)
    _, sink = color_film(film, tmp_path / f"out{suffix}", convert_audio=codec)
    with open_input(tmp_path / f"out{suffix}") as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.codec.canonical_name == name
    heard = samples_of(tmp_path / f"out{suffix}").shape[1] / 48000
    assert heard == pytest.approx(samples_of(film).shape[1] / 48000, abs=0.08)
    assert any(f"converted to {name}" in warning for warning in sink.warnings)


def test_what_can_be_kept_is_not_converted(tmp_path: Path):
    film = make_film(tmp_path / "in.mkv", codec="libx264", **SOUND)
    color_film(film, tmp_path / "out.mp4", convert_audio="aac")
    assert packets(film, "audio")[0][5][1] == packets(tmp_path / "out.mp4", "audio")[0][5][1]


def test_sound_is_left_out_where_asked(tmp_path: Path):
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=[{}, {}], pts=range(12))
    _, sink = color_film(film, tmp_path / "out.webm", drop_audio=True, codec="av1")
    assert not probe(tmp_path / "out.webm").streams
    assert not any("audio" in warning for warning in sink.warnings)
    decided = plan_output(probe(film), tmp_path / "other.mkv", OutputSettings(drop_audio=True))
    assert [entry.describe() for entry in decided.streams] == ["left out, as asked"] * 2


def test_an_unknown_way_to_convert_is_refused(tmp_path: Path):
    film = make_film(tmp_path / "in.mkv")
    with pytest.raises(UsageError, match="choose one of aac, opus"):
        plan_output(probe(film), tmp_path / "out.mkv", OutputSettings(convert_audio="mp3"))


def boxes(data: bytes, start: int, end: int):
    """ISO/IEC 14496-12, 4.2: type, start and end of every box."""
    while start < end:
        size, kind = struct.unpack(">I4s", data[start : start + 8])
        yield kind, start, start + size
        start += size


def with_edit_list(path: Path, output: Path, edits: list[tuple[int, int]], timescale: int) -> Path:
    """Give the sound of an MP4, whose moov stands last, an edit list: (duration, media time) in its own time scales."""
    data = path.read_bytes()
    moov = next(entry for entry in boxes(data, 0, len(data)) if entry[0] == b"moov")
    assert moov[2] == len(data)
    parts = []
    for kind, start, end in boxes(data, moov[1] + 8, moov[2]):
        content = data[start:end]
        if kind == b"trak" and b"soun" in content:
            kept = [data[first:last] for name, first, last in boxes(data, start + 8, end) if name != b"edts"]
            entries = b"".join(struct.pack(">IiHH", duration, media, 1, 0) for duration, media in edits)
            elst = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
            kept.insert(1, struct.pack(">I4s", 8 + len(elst), b"edts") + elst)
            body = b"".join(kept)
            content = struct.pack(">I4s", 8 + len(body), b"trak") + body
        parts.append(content)
    body = b"".join(parts)
    output.write_bytes(data[: moov[1]] + struct.pack(">I4s", 8 + len(body), b"moov") + body)
    assert timescale
    return output


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_sound_that_an_edit_list_cut_away_is_not_heard(tmp_path: Path, suffix: str):
    clock = {"movie_timescale": "1000"}
    plain = make_film(tmp_path / "plain.mp4", codec="libx264", sound=[{}], pts=range(50), container_options=clock)
    with open_input(plain) as container:
        scale = container.streams.audio[0].time_base.denominator
    # Half a second from the start, then half a second from 1.4 s on.
    film = with_edit_list(plain, tmp_path / "in.mp4", [(500, 1024), (500, round(1.4 * scale))], scale)
    heard = samples_of(film).shape[1] / scale
    assert heard == pytest.approx(1.0, abs=0.05), "a film to fail at"
    with open_input(film) as container:
        assert sum(packet.is_discard for packet in container.demux(audio=0)) > 10
    color_film(film, tmp_path / f"out{suffix}")
    primer = 1024 / scale  # of the decoder, before zero, where the container has no way to say that it is not heard
    assert samples_of(tmp_path / f"out{suffix}").shape[1] / scale == pytest.approx(heard, abs=primer + 0.03)


def test_webvtt_of_matroska_is_kept_as_words(tmp_path: Path):
    """As mkvmerge writes it (S_TEXT/WEBVTT), which FFmpeg knows no codec for."""
    film = make_film(
        tmp_path / "in.mkv", codec="libx264", subtitle_codec="webvtt", pts=range(50),
        subtitles=[(0, 400, b"first {\\i1}words{\\i0}"), (600, 900, b"second")],
    )  # fmt: skip
    ours = b"D_WEBVTT/SUBTITLES"
    assert film.read_bytes().count(ours) == 1
    film.write_bytes(film.read_bytes().replace(ours, b"S_TEXT/WEBVTT".ljust(len(ours), b"\0")))
    assert probe(film).streams[0].codec == "webvtt"
    for suffix, codec in ((".mkv", "subrip"), (".mp4", "mov_text"), (".webm", "webvtt")):
        _, sink = color_film(film, tmp_path / f"out{suffix}", codec="av1" if suffix == ".webm" else None)
        (words,) = packets(tmp_path / f"out{suffix}", "subtitle")
        said = [(time, content) for time, content in words if b"first" in content or b"second" in content]
        assert [float(time) for time, _ in said] == [0.0, 0.6]
        assert b"<i>words</i>" in said[0][1] or suffix == ".mp4"
        assert any(f"converted to {codec}" in warning for warning in sink.warnings)


def test_a_stream_without_a_decoder_is_named(tmp_path: Path):
    film = make_film(tmp_path / "in.mkv", codec="libx264", subtitle_codec="webvtt", subtitles=[(0, 400, b"words")])
    film.write_bytes(film.read_bytes().replace(b"D_WEBVTT/SUBTITLES", b"S_FUTURE".ljust(18, b"\0")))
    _, sink = color_film(film, tmp_path / "out.mkv")
    assert any("cannot be carried: a stream of unknown make" in warning for warning in sink.warnings)


def test_sound_without_a_decoder_ends_before_the_work(tmp_path: Path):
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=[{}])
    film.write_bytes(film.read_bytes().replace(b"A_AAC", b"A_NEW"))
    with pytest.raises(SinkError, match="--drop-audio"):
        color_film(film, tmp_path / "out.mkv")
    color_film(film, tmp_path / "out.mkv", drop_audio=True)
    assert len(times(tmp_path / "out.mkv")) == 12


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_an_animation_becomes_a_film_and_photos_no_folder(tmp_path: Path, suffix: str):
    film = make_film(
        tmp_path / "in.gif", codec="gif", pix_fmt="rgb8", pts=range(0, 100, 10), time_base=Fraction(1, 100)
    )
    assert not are_scans((film,), tmp_path / f"out{suffix}")
    assert are_scans((film,), tmp_path / "out.gif")
    color_film(film, tmp_path / f"out{suffix}")
    assert len(times(tmp_path / f"out{suffix}")) == 10
    with pytest.raises(UsageError, match="is a photo"):
        are_scans((tmp_path / "one.jpg",), tmp_path / f"out{suffix}")
    (tmp_path / "folder.mkv").mkdir()
    assert are_scans((tmp_path / "one.jpg",), tmp_path / "folder.mkv")


def test_a_film_and_its_copy_are_both_open_after_writing(tmp_path: Path):
    """The muxer that takes all closes its file; ours is still needed."""
    film = make_film(
        tmp_path / "in.avi", codec="mpeg4", sound_codec="adpcm_ms", size=(90, 72), sar=Fraction(16, 15), **SOUND
    )
    color_film(film, tmp_path / "out.mkv", codec="ffv1")
    assert probe(tmp_path / "out.mkv").sample_aspect_ratio == Fraction(16, 15)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.metadata["COMMENT"] == "Color by test"


@pytest.mark.parametrize(
    ("container", "codec", "sound"),
    [
        ("matroska", "libx264", "flac"),
        ("matroska", "libx264", "ac3"),
        ("matroska", "libx264", "mp2"),
        ("matroska", "libx264", "aac"),
        ("avi", "mpeg4", "ac3"),
        ("avi", "mpeg4", "mp2"),
        ("avi", "mpeg4", "adpcm_ms"),
        ("avi", "mpeg4", "adpcm_ima_wav"),
        ("avi", "mpeg4", "pcm_alaw"),
    ],
)
def test_avi_plays_its_sound_as_long_as_it_lasts(tmp_path: Path, container: str, codec: str, sound: str):
    """It has no times; FFmpeg's muxer counts bytes or packets, of some sounds too few."""
    film = make_film(tmp_path / "in", container=container, codec=codec, sound_codec=sound, sound=[{}], pts=range(75))
    color_film(film, tmp_path / "out.avi")
    (before,), (after,) = packets(film, "audio"), packets(tmp_path / "out.avi", "audio")
    assert float(after[-1][0]) == pytest.approx(float(before[-1][0]), abs=0.12)
    heard, wanted = (samples_of(path).shape[1] for path in (tmp_path / "out.avi", film))
    assert abs(heard - wanted) < 3000
    if sound.startswith(("adpcm", "flac", "pcm")):
        assert np.array_equal(samples_of(film), samples_of(tmp_path / "out.avi"))


@pytest.mark.parametrize("sound", ["eac3", "libopus"])
def test_avi_refuses_sound_that_it_cannot_time(tmp_path: Path, sound: str):
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound_codec=sound, sound=[{}], pts=range(50))
    with pytest.raises(SinkError, match="does not take"):
        color_film(film, tmp_path / "out.avi")


def test_a_hole_that_avi_closes_is_told(tmp_path: Path):
    plain = make_film(tmp_path / "plain.mkv", codec="libx264", sound_codec="pcm_s16le", sound=[{}], pts=range(100))
    with open_input(plain) as source, av.open(str(tmp_path / "in.mkv"), "w") as out:
        copies = [out.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        for packet in source.demux():
            if packet.size and not (packet.stream.type == "audio" and 1 < packet.dts * packet.time_base < 2):
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    _, sink = color_film(tmp_path / "in.mkv", tmp_path / "out.avi")
    assert any("1.0 s of holes in the sound are closed" in warning for warning in sink.warnings)


def test_surround_of_discs_becomes_opus(tmp_path: Path):
    film = tmp_path / "in.mkv"
    with av.open(str(film), "w") as out:
        picture = out.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("ac3", rate=48000, layout="5.1(side)")
        for number in range(25):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((6, 48000), np.float32), format="fltp", layout="5.1(side)")
        silence.rate, silence.pts = 48000, 0
        out.mux(sound.encode(silence))
        out.mux(sound.encode(None))
    color_film(film, tmp_path / "out.webm", convert_audio="opus", codec="av1")
    with open_input(tmp_path / "out.webm") as container:
        assert container.streams.audio[0].codec_context.layout.nb_channels == 6


def test_what_was_tried_is_not_offered_again(tmp_path: Path):
    film = make_film(tmp_path / "in.mkv", codec="libx264", sound=[{}])
    with pytest.raises(SinkError) as caught:
        color_film(film, tmp_path / "out.webm", convert_audio="aac", codec="av1")
    assert "--convert-audio opus converts it" in str(caught.value)
    with pytest.raises(UsageError, match="give one of them"):
        color_film(film, tmp_path / "out.mkv", convert_audio="aac", drop_audio=True)
