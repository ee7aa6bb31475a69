"""Single frames from all over a film, read from its keyframes alone."""

from pathlib import Path

import av
import numpy as np
import pytest

from vidcolor.films import tone
from vidcolor.media import seeking
from vidcolor.media.keyframes import decode_keyframe, find_keyframe
from vidcolor.media.seeking import read_properties, sample_keyframes

SIZE = (64, 48)


def make(path: Path, lumas: list[int], *, key_every: int, cb: int = 128, gray: int = 0) -> Path:
    """A film of plain bright frames under a pattern, one for each luma; the first `gray` without color."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"g": str(key_every), "sc_threshold": "0", "bf": "3"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number, luma in enumerate(lumas):
            planes = np.full((SIZE[1] * 3 // 2, SIZE[0]), 128, np.uint8)
            planes[: SIZE[1]] = luma
            planes[: SIZE[1], ::2] //= 2
            if number >= gray:
                planes[SIZE[1] : SIZE[1] * 5 // 4] = cb
                planes[SIZE[1] : SIZE[1] * 5 // 4, : SIZE[0] // 4] = 256 - cb
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def test_a_keyframe_is_decoded_without_the_frames_after_it(tmp_path: Path):
    film = make(tmp_path / "film.mp4", [40] * 30 + [200] * 30, key_every=30)
    with av.open(film) as container:
        stream = container.streams.video[0]
        first = find_keyframe(container, stream)
        assert int(decode_keyframe(stream, first).to_ndarray()[0, 1]) == pytest.approx(40, abs=3)
        container.seek(first.pts, stream=stream)
        packets = container.demux(stream)
        next(packets)
        second = find_keyframe(container, stream)
        assert second.pts == 30 * (1 / 24) / stream.time_base
        container.seek(second.pts, stream=stream)
        assert int(decode_keyframe(stream, second).to_ndarray()[0, 1]) == pytest.approx(200, abs=3)
        container.seek(second.pts, stream=stream)
        find_keyframe(container, stream)
        assert find_keyframe(container, stream) is None


@pytest.mark.parametrize(("key_every", "found"), [(250, 1), (16, 6), (4, 8)])
def test_one_keyframe_of_each_part(tmp_path: Path, key_every: int, found: int):
    film = make(tmp_path / "film.mp4", list(range(60, 156)), key_every=key_every)
    pictures = list(sample_keyframes(film, read_properties(film), 8, SIZE))
    assert len(pictures) == found


def test_a_gray_film_is_told_by_its_keyframes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    film = make(tmp_path / "film.mp4", [100] * 48, key_every=24)
    monkeypatch.setattr(tone, "sample_frames", None)
    assert tone.film_tone(film) == "gray"
    with pytest.raises(TypeError):
        tone.film_tone(make(tmp_path / "color.mp4", [100] * 48, key_every=24, cb=60))


def test_a_title_on_the_only_keyframe_is_not_the_film(tmp_path: Path):
    film = make(tmp_path / "film.mp4", [100] * 60, key_every=250, cb=60, gray=12)
    assert tone.film_tone(film) == "mixed"
    assert tone.film_tone(make(tmp_path / "long.mp4", [100] * 240, key_every=250, cb=60, gray=12)) == "color"


def test_black_keyframes_tell_nothing(tmp_path: Path):
    film = make(tmp_path / "film.mp4", [16] + [120] * 47, key_every=250, cb=60)
    assert tone.film_tone(film) == "color"


def test_a_film_whose_keyframes_do_not_decode_is_read_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    film = make(tmp_path / "film.mp4", [100] * 24, key_every=24, cb=60)
    monkeypatch.setattr(seeking, "decode_keyframe", lambda *_: None)
    assert tone.film_tone(film) == "color"
