"""Hardware decoding gives the software's frames, or the software does. The devices here are fakes, but for the last."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.error import InvalidDataError
from av.video.frame import VideoFrame
from media_fixtures import flat_chroma, make_film, noise_frame

from vidcolor.choices import HW_DECODERS
from vidcolor.errors import UsageError
from vidcolor.frames import ResumePoint, checksum_of
from vidcolor.media import hw_decoders
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.hw_decoders import HardwareError, choose_device, open_on_device
from vidcolor.media.opening import open_container
from vidcolor.media.pixels import layout_of, luma_of
from vidcolor.media.probe import examine
from vidcolor.media.pyav import side_data_of
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource

DOWNLOADED = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le", "yuv422p": "nv16", "yuv444p": "yuv444p"}


class FakePacket:
    """A packet whose frames come as a device gives them."""

    def __init__(self, packet: Any, device: "FakeDevice"):
        self._packet, self._device = packet, device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._packet, name)

    def decode(self) -> list[VideoFrame]:
        return [self._device.downloaded(frame) for frame in self._packet.decode()]


class FakeContainer:
    """A film whose video is decoded by a fake device."""

    def __init__(self, path: Path, device: "FakeDevice"):
        self._film, self._device = open_container(path), device
        device.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._film, name)

    @property
    def flags(self) -> int:
        return self._film.flags

    @flags.setter
    def flags(self, value: int) -> None:
        self._film.flags = value

    def demux(self, stream: Any) -> Iterator[FakePacket]:
        for packet in self._film.demux(stream):
            yield FakePacket(packet, self._device)

    def decode(self, stream: Any) -> Iterator[VideoFrame]:
        for packet in self.demux(stream):
            yield from packet.decode()


class FakeDevice:
    """Gives the software's frames in the formats of devices; from frame `until` on, `trouble` comes instead."""

    def __init__(self, until: int | None = None, trouble: Callable[[VideoFrame], VideoFrame] | None = None):
        self.until, self.trouble, self.count = until, trouble, 0

    def open_on_device(self, path: Path, device: str) -> FakeContainer:
        assert device == "cuda"
        return FakeContainer(path, self)

    def downloaded(self, frame: VideoFrame) -> VideoFrame:
        self.count += 1
        if self.until is not None and self.count > self.until and self.trouble:
            return self.trouble(frame)
        full = 2 if frame.format.name.startswith("yuvj") else 0
        return frame.reformat(format=DOWNLOADED[frame.format.name], src_color_range=full, dst_color_range=full)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeDevice]:
    def use(device: FakeDevice) -> FakeDevice:
        for module in ("hw_decoders", "frame_reader"):
            monkeypatch.setattr(f"vidcolor.media.{module}.open_on_device", device.open_on_device)
        monkeypatch.setattr(hw_decoders, "COMPARED_FRAMES", 4)
        monkeypatch.setattr(hw_decoders, "hwdevices_available", lambda: ["cuda", "drm"])
        return device

    return use


def film_of(folder: Path, pix_fmt: str = "yuv420p", **options: Any) -> Path:
    options = {"options": {"crf": "10", "x264-params": "bframes=3:keyint=8"}, "pts": range(30)} | options
    return make_film(folder / "in.mkv", codec="libx264", pix_fmt=pix_fmt, **options)


def seen(path: Path, after: ResumePoint | None = None, **options: Any) -> tuple[FilmSource, list[tuple[Any, ...]]]:
    """Luma, times and flags of every frame, and those of the native frame that the sink goes by."""
    with FilmSource(path, **options) as film:
        return film, [
            (
                frame.luma.tobytes(), frame.luma.dtype.str, frame.luma.shape, frame.pts,
                frame.native.pts, frame.native.duration, frame.native.time_base, frame.native.interlaced_frame,
                frame.native.color_range, sorted(side_data_of(frame.native)),
            )
            for frame in film.frames(after)
        ]  # fmt: skip


@pytest.mark.parametrize("pix_fmt", DOWNLOADED)
@pytest.mark.parametrize("size", [(64, 48), (70, 50)])
def test_frames_from_a_device_are_the_softwares_bit_for_bit(tmp_path: Path, use: Any, pix_fmt: str, size: Any):
    film = film_of(tmp_path, pix_fmt, size=size)
    _, plain = seen(film)
    device = use(FakeDevice())
    source, fast = seen(film, hwaccel="auto")
    assert fast == plain
    assert device.count == 30
    assert not source.warnings
    assert not source.damage


def test_ten_bits_lie_in_the_low_bits(tmp_path: Path, use: Any):
    film = film_of(tmp_path, "yuv420p10le")
    use(FakeDevice())
    with FilmSource(film, hwaccel="cuda") as source:
        assert max(frame.luma.max() for frame in source.frames()) < 1 << 10


def test_fields_and_pixels_reach_the_output(tmp_path: Path, use: Any):
    film = film_of(tmp_path, fields="tff", options={"flags": "+ildct+ilme"}, pts=range(12))
    found = []
    for name, hwaccel in (("plain.mkv", "off"), ("fast.mkv", "auto")):
        use(FakeDevice())
        with FilmSource(film, hwaccel=hwaccel) as source:
            assert source.info.field_order == "tff"
            with FilmSink(tmp_path / name, source, OutputSettings(codec="ffv1"), comment="") as sink:
                for frame in source.frames():
                    sink.write(flat_chroma(source.info, frame))
        with av.open(str(tmp_path / name)) as made:
            found.append([(frame.pts, frame.interlaced_frame, frame.to_ndarray().tobytes()) for frame in made.decode()])
    assert found[0] == found[1]
    assert found[0][0][1]


def broken(_: VideoFrame) -> VideoFrame:
    raise InvalidDataError(1094995529, "Invalid data found when processing input")


def deeper(frame: VideoFrame) -> VideoFrame:
    return frame.reformat(format="p010le")


def larger(frame: VideoFrame) -> VideoFrame:
    return frame.reformat(width=frame.width * 2, format="nv12")


@pytest.mark.parametrize("trouble", [broken, deeper, larger])
@pytest.mark.parametrize("until", [4, 5, 17, 29])
def test_a_device_that_fails_costs_and_repeats_no_frame(tmp_path: Path, use: Any, trouble: Any, until: int):
    film = film_of(tmp_path)
    _, plain = seen(film)
    use(FakeDevice(until, trouble))
    source, fast = seen(film, hwaccel="auto")
    assert fast == plain
    assert len(source.warnings) == 1
    assert "from there in software" in source.warnings[0]
    assert not source.damage


@pytest.mark.parametrize("container", ["avi", "mkv"])
def test_a_device_that_fails_on_going_on_or_in_a_range(tmp_path: Path, use: Any, container: str):
    film = make_film(tmp_path / f"in.{container}", codec="libx264", pts=range(40), options={"x264-params": "keyint=8"})
    _, plain = seen(film)
    with FilmSource(film) as source:
        frames = list(source.frames())
        place = ResumePoint(11, frames[10].pts, checksum_of(frames[10].luma))
    for until in (4, 6, 9, 20):
        use(FakeDevice(until, broken))
        assert seen(film, place, hwaccel="auto")[1] == plain[11:]
        assert [entry[0] for entry in seen(film, hwaccel="auto", start=0.4, end=1.2)[1]] == [
            entry[0] for entry in plain[10:30]
        ]


def test_a_damaged_film_is_the_softwares_from_there_on(tmp_path: Path, use: Any):
    film = film_of(tmp_path, pts=range(60), options={"g": "10", "bf": "0"})
    with av.open(str(film)) as source, av.open(str(tmp_path / "hurt.mkv"), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0], opaque=True)
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            if 22 <= index < 26:
                packet.update(b"\0\0\0\x05\xff" * (packet.size // 5) + bytes(packet.size % 5))
            packet.stream = copy
            out.mux(packet)
    plain_source, plain = seen(tmp_path / "hurt.mkv")
    assert plain_source.damage
    use(FakeDevice())
    fast_source, fast = seen(tmp_path / "hurt.mkv", hwaccel="auto")
    assert fast == plain
    assert fast_source.damage == plain_source.damage
    assert "it met" in fast_source.warnings[0]


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (broken, "Invalid data"),
        (deeper, "it gives p010le for yuv420p"),
        (lambda frame: noise_frame(frame.width, frame.height, "nv12", 9), "its frame 2 is not the software's"),
    ],
)
def test_a_device_that_is_not_exact_is_not_used(tmp_path: Path, use: Any, trouble: Any, said: str):
    film = film_of(tmp_path)
    use(FakeDevice(2, trouble))
    with pytest.raises(HardwareError, match=said):
        choose_device(film, examine(film), "auto")
    source, fast = seen(film, hwaccel="auto")
    assert fast == seen(film)[1]
    assert len(source.warnings) == 1
    assert "decoded in software" in source.warnings[0]


def test_codecs_whose_decoders_differ_are_left_to_the_software(tmp_path: Path, use: Any):
    film = make_film(tmp_path / "in.avi", codec="mpeg4")
    use(FakeDevice())
    with FilmSource(film, hwaccel="auto") as source:
        assert "mpeg4 is not decoded alike" in source.warnings[0]


def test_a_kind_that_is_unknown_or_not_built_in_is_said_so(tmp_path: Path):
    film = film_of(tmp_path)
    with pytest.raises(UsageError, match="choose one of off, auto, cuda"):
        choose_device(film, examine(film), "toaster")
    with pytest.raises(HardwareError, match="not in this FFmpeg"):
        open_on_device(film, "toaster")


def has_gpu() -> bool:
    with suppress(HardwareError):
        open_on_device(Path(__file__).parent.parent / "samples" / "clip.mp4", "cuda").close()
        return True
    return False


@pytest.mark.skipif(not has_gpu(), reason="needs a GPU that decodes")
@pytest.mark.parametrize(("codec", "pix_fmt"), [("libx264", "yuv420p"), ("libx265", "yuv420p10le")])
def test_a_real_device_gives_the_same_film(tmp_path: Path, codec: str, pix_fmt: str):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    film = make_film(tmp_path / "in.mkv", codec=codec, pix_fmt=pix_fmt, size=(320, 240), pts=range(60), options=options)
    source, fast = seen(film, hwaccel="cuda")
    assert not source.warnings
    assert fast == seen(film)[1]


def test_without_a_device_the_film_is_decoded_all_the_same(tmp_path: Path):
    film = film_of(tmp_path)
    for kind in ("auto", *HW_DECODERS):
        source, found = seen(film, hwaccel=kind)
        assert found == seen(film)[1]
        assert len(source.warnings) == (0 if has_gpu() and kind in ("auto", "cuda") else 1)


def test_the_fakes_formats_are_the_devices():
    for planar, downloaded in DOWNLOADED.items():
        frame = noise_frame(70, 50, planar, 1)
        full = 2 if planar.startswith("yuvj") else 0
        other = frame.reformat(format=downloaded, src_color_range=full, dst_color_range=full)
        one, two = (luma_of(picture, layout_of(picture.format.name)) for picture in (frame, other))
        assert np.array_equal(one, two), planar
