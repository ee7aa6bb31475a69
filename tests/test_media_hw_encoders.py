"""Encoders on graphics chips: tried before they are used, spoken to in their own terms, software where none serves."""

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.codec import CodecContext
from media_fixtures import color_film, flat_chroma, make_film, noise_frame, packets, times

from vidcolor import cli
from vidcolor.choices import HW_CODECS, HW_DECODERS, HW_ENCODERS, PRESETS
from vidcolor.cli.colorize import command
from vidcolor.errors import UsageError
from vidcolor.films.job import FilmOptions
from vidcolor.frames import FilmInfo
from vidcolor.inference.settings import ModelSettings
from vidcolor.media import encoder_trial, encoders, hw_encoders
from vidcolor.media.encoder_trial import choose_encoder
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.hw_encoders import built_in_families, family_of, formats_of, options_of
from vidcolor.media.pixels import layout_of, luma_of
from vidcolor.media.plan import make_plan
from vidcolor.media.probe import examine
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource


def encoders_here() -> list[str]:
    """Those of every family that this FFmpeg knows."""
    return [name for family in HW_ENCODERS for codec in HW_CODECS if formats_of(name := f"{codec}_{family}")]


def opens(codec: str) -> str | None:
    """The family that really encodes here; None on a machine without a chip."""
    for family in built_in_families():
        context = CodecContext.create(f"{codec}_{family}", "w")
        context.width, context.height, context.time_base, context.framerate = 256, 256, Fraction(1, 25), Fraction(25)
        context.pix_fmt = formats_of(f"{codec}_{family}")[0]
        try:
            context.open()
        except (av.FFmpegError, OSError):
            continue
        return family
    return None


@pytest.mark.parametrize("encoder", encoders_here())
def test_every_option_is_one_that_the_encoder_has(encoder: str):
    known = CodecContext.create(encoder, "w").supported_options
    generic, private = ({option.name: option for option in options} for options in (known.generic, known.private))
    for speed in range(len(PRESETS)):
        for name, value in options_of(encoder, 18, speed).items():
            assert name in generic or name in private, f"{encoder} has no {name}"
            option = private.get(name) or generic[name]
            if option.choices and not value.isdigit():
                assert value.lstrip("+") in {choice.name for choice in option.choices}, (name, value)
            elif name not in ("g", "bf"):
                assert option.min <= float(value) <= option.max, (name, value)


@pytest.mark.parametrize("encoder", ["h264_nvenc", "av1_nvenc", "hevc_qsv", "h264_amf", "av1_amf", "hevc_videotoolbox"])
def test_a_lower_crf_asks_for_a_finer_picture(encoder: str):
    names = {"nvenc": "cq", "qsv": "global_quality", "amf": "qp_i", "videotoolbox": "global_quality"}
    family = family_of(encoder)
    asked = [int(options_of(encoder, crf, 2)[names[family]]) for crf in (1, 12, 18, 30, 51)]
    if family == "videotoolbox":
        asked.reverse()
    assert all(one < other for one, other in pairwise(asked))
    assert options_of(encoder, 18, 2)["bf"] == "0"


def test_lossless_is_refused():
    with pytest.raises(UsageError, match="crf 0 is lossless"):
        options_of("h264_nvenc", 0, 2)


@pytest.mark.parametrize(
    ("pix_fmt", "asked", "written"),
    [
        ("yuv420p", None, {"yuv420p", "nv12"}),
        ("yuv420p10le", None, {"p010le"}),
        ("yuv420p", "yuv420p10le", {"p010le"}),
        ("yuv444p", None, {"yuv444p", "yuv420p", "nv12"}),
    ],
)
def test_depth_stays_where_the_chip_has_it(tmp_path: Path, pix_fmt: str, asked: str | None, written: set[str]):
    film = examine(make_film(tmp_path / "in.mkv", pix_fmt=pix_fmt))
    for family in built_in_families():
        settings = OutputSettings(codec="hevc", encoder=family, pix_fmt=asked)
        encoding = make_plan(film, tmp_path / "out.mkv", settings).encoding
        assert encoding.encoder == f"hevc_{family}"
        assert encoding.pixel_format in written
        assert bool(encoding.warnings) == (pix_fmt == "yuv444p" and encoding.pixel_format != pix_fmt)


@pytest.mark.parametrize(("planar", "fed"), [("yuv420p", "nv12"), ("yuv420p10le", "p010le")])
@pytest.mark.parametrize("color_range", [1, 2])
def test_what_a_chip_is_fed_has_the_luma_bit_for_bit(planar: str, fed: str, color_range: int):
    frame = noise_frame(70, 50, planar, 1)
    other = frame.reformat(
        format=fed, src_color_range=color_range, dst_color_range=color_range, interpolation="BICUBIC"
    )
    one, two = (luma_of(picture, layout_of(picture.format.name)) for picture in (frame, other))
    assert np.array_equal(one, two)


def test_software_needs_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoder_trial, "_encode_trial_frame", lambda *_: pytest.fail("tried"))
    settings = OutputSettings()
    settled = choose_encoder(examine(make_film(tmp_path / "in.mkv")), tmp_path / "out.mkv", settings)
    assert (settled.settings, settled.identity, settled.warnings) == (settings, "software", ())


@pytest.mark.parametrize("asked", ["hardware", "nvenc"])
@pytest.mark.skipif(bool(opens("h264")), reason="here one opens")
def test_an_encoder_that_does_not_open_leaves_the_work_to_software(tmp_path: Path, asked: str):
    film = examine(make_film(tmp_path / "in.mkv"))
    settled = choose_encoder(film, tmp_path / "out.mkv", OutputSettings(encoder=asked))
    assert (settled.settings, settled.identity) == (OutputSettings(), "software")
    (warning,) = settled.warnings
    assert "encoded in software" in warning
    assert "\n" not in warning
    assert "h264_nvenc" in warning or "knows none" in warning


@pytest.mark.parametrize(
    "settings", [OutputSettings(codec="ffv1", encoder="hardware"), OutputSettings(crf=0, encoder="nvenc")]
)
def test_what_chips_cannot_do_is_done_in_software(tmp_path: Path, settings: OutputSettings):
    settled = choose_encoder(examine(make_film(tmp_path / "in.mkv")), tmp_path / "out.mkv", settings)
    assert settled.settings.encoder == settled.identity == "software"
    assert len(settled.warnings) == 1


def test_a_family_that_is_unknown_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="choose one of software, hardware, nvenc"):
        choose_encoder(examine(make_film(tmp_path / "in.mkv")), tmp_path / "out.mkv", OutputSettings(encoder="toaster"))


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """libx264 goes by the name of a chip's encoder, and takes NV12 alone."""
    monkeypatch.setattr(encoders, "_encoder_names", lambda codec, _: ("libx264",) if codec == "h264" else ())
    monkeypatch.setattr(hw_encoders, "family_of", lambda encoder: "nvenc" if encoder == "libx264" else None)
    monkeypatch.setattr(hw_encoders, "formats_of", lambda _: ["nv12"])
    monkeypatch.setattr(hw_encoders, "options_of", lambda *_: {"crf": "10", "preset": "ultrafast", "bf": "0"})
    monkeypatch.setattr(encoder_trial, "built_in_families", lambda: ("nvenc",))


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_an_encoder_that_opens_makes_the_film(tmp_path: Path, suffix: str):
    film = make_film(tmp_path / "in.mkv", sound=[{}])
    settled = choose_encoder(examine(film), tmp_path / f"out.{suffix}", OutputSettings(encoder="hardware"))
    assert settled.settings.encoder == "nvenc"
    assert not settled.warnings
    _, sink = color_film(film, tmp_path / f"out.{suffix}", encoder=settled.settings.encoder)
    assert sink.plan.encoding.pixel_format == "nv12"
    assert times(tmp_path / f"out.{suffix}") == times(film)


@pytest.mark.usefixtures("pretend")
def test_the_identity_is_that_of_the_streams_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    film, out = examine(make_film(tmp_path / "in.mkv")), tmp_path / "out.mkv"
    first, again = (choose_encoder(film, out, OutputSettings(encoder="hardware")).identity for _ in range(2))
    assert first == again
    assert first.startswith("libx264 ")
    monkeypatch.setattr(
        hw_encoders, "options_of", lambda *_: {"crf": "10", "preset": "slow"}
    )  # another generation of chip
    assert choose_encoder(film, out, OutputSettings(encoder="hardware")).identity != first


@pytest.mark.skipif(not opens("h264"), reason="needs a chip that encodes")
@pytest.mark.parametrize(("codec", "pix_fmt"), [("h264", "yuv420p"), ("hevc", "yuv420p"), ("hevc", "yuv420p10le")])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_real_chip_makes_segments_that_decode_by_themselves(tmp_path: Path, codec: str, pix_fmt: str, suffix: str):
    if (codec, suffix) == ("hevc", "avi"):
        pytest.skip("AVI takes no HEVC")
    film = make_film(tmp_path / "in.mkv", pix_fmt=pix_fmt, size=(320, 240), pts=range(48), color={"colorspace": 1})
    out = tmp_path / f"out.{suffix}"
    settled = choose_encoder(examine(film), out, OutputSettings(codec=codec, encoder="hardware"))
    assert not settled.warnings
    info = segmented(film, out, settled.settings, every=16)
    with av.open(str(out)) as made:
        frames = list(made.decode(video=0))
    assert [frame.key_frame for frame in frames].count(True) >= 3
    assert [frames[index].key_frame for index in (0, 16, 32)] == [True] * 3
    assert {frame.colorspace for frame in frames} == {1}
    assert times(out) == times(film)
    assert info.picture.bits == layout_of(frames[0].format.name).bits


def segmented(film: Path, out: Path, settings: OutputSettings, every: int) -> FilmInfo:
    """Write a film in segments."""
    with FilmSource(film) as source, FilmSink(out, source, settings, comment="") as sink:
        for number, frame in enumerate(source.frames(), start=1):
            sink.write(flat_chroma(source.info, frame))
            if number % every == 0:
                sink.end_segment({})
        return source.info


def test_the_command_offers_what_there_is() -> None:
    offered: dict[str, Any] = {option.name: option.type for option in command.params}
    assert tuple(offered["encoder"].choices) == ("software", "hardware", *HW_ENCODERS)
    assert tuple(offered["hwaccel"].choices) == ("off", "auto", *HW_DECODERS)


def test_the_encoder_decides_what_a_film_can_go_on_from(tmp_path: Path, tiny_model: Path):
    runs = []
    options = FilmOptions(ModelSettings(str(tiny_model)), encoder="hardware", hwaccel="auto")
    with FilmSource(make_film(tmp_path / "in.mkv")) as source:
        for identity in ("software", "h264_nvenc 0123", "h264_nvenc 4567"):
            runs.append(options.run_identity(source, identity))
    assert "--encoder was software, is h264_nvenc 0123" in runs[1].changes(runs[0])
    assert "--encoder was h264_nvenc 0123, is h264_nvenc 4567" in runs[2].changes(runs[1])
    assert not any("hwaccel" in name for name in runs[0].settings)  # it gives the same film


@pytest.mark.skipif(bool(opens("h264")), reason="here one opens")
def test_the_command_says_once_that_the_software_does_the_work(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
):
    film = make_film(tmp_path / "in.mkv", codec="libx264")
    arguments = [str(film), "--model", str(tiny_model), "--encoder", "hardware", "--hwaccel", "auto", "--json"]
    assert cli.run([*arguments, "-o", str(tmp_path / "out.mkv")]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [event["message"] for event in events if event["event"] == "warning"]
    assert sum("encoded in software" in message for message in told) == 1
    assert sum("decoded in software" in message for message in told) == 1
    assert cli.run([str(film), "--model", str(tiny_model), "-q", "-o", str(tmp_path / "plain.mkv")]) == 0
    assert packets(tmp_path / "out.mkv", "video") == packets(tmp_path / "plain.mkv", "video")
