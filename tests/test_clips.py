"""VapourSynth clips: luma as it was, chroma as the film's, whatever the order in which frames are asked for."""

import numpy as np
import pytest

import vidcolor

vs = pytest.importorskip("vapoursynth", reason="the extra vapoursynth is for Python 3.12 and newer")

WIDTH, HEIGHT, FRAMES = 96, 64, 80


@pytest.fixture(scope="module")
def colorizer(tiny_model):
    with vidcolor.Colorizer(tiny_model, device="cpu") as opened:
        yield opened


def make_lumas(bits: int) -> list[np.ndarray]:
    """A pan over a smooth texture, in code values."""
    across, down = np.meshgrid(np.arange(WIDTH + FRAMES), np.arange(HEIGHT))
    texture = (110 + 60 * np.sin(across / 9) * np.cos(down / 7)) * (1 << (bits - 8))
    return [texture[:, n : n + WIDTH].astype(np.uint8 if bits == 8 else np.uint16) for n in range(FRAMES)]


def make_clip(lumas: list[np.ndarray], format_: int, **props: int):
    def fill(n, f):
        out = f.copy()
        np.copyto(np.asarray(out[0]), lumas[n])
        return out

    blank = vs.core.std.BlankClip(width=WIDTH, height=HEIGHT, length=FRAMES, format=format_, keep=True)
    clip = blank.std.ModifyFrame(blank, fill)
    return clip.std.SetFrameProps(**props) if props else clip


def planes(frame) -> list[np.ndarray]:
    return [np.array(frame[plane]) for plane in range(3)]


@pytest.mark.filterwarnings("ignore:The _ColorRange:DeprecationWarning")
@pytest.mark.parametrize(
    ("format_", "props", "bits", "shift", "full_range", "matrix"),
    [
        (vs.YUV420P8, {}, 8, (1, 1), False, "bt601"),
        (vs.YUV422P10, {"_Matrix": 1, "_Range": 1}, 10, (1, 0), True, "bt709"),
        (vs.YUV444P16, {"_Matrix": 9, "_ColorRange": 0}, 16, (0, 0), True, "bt2020"),
        (vs.GRAY8, {}, 8, (0, 0), False, "bt601"),
    ],
)
def test_a_clip_gets_the_chroma_of_its_frames_and_keeps_its_luma(
    colorizer, format_, props, bits, shift, full_range, matrix
):
    lumas = make_lumas(bits)
    clip = make_clip(lumas, format_, **props)
    picture = vidcolor.PictureFormat(WIDTH, HEIGHT, bits, shift, full_range, matrix)
    expected = list(colorizer.chroma_planes(lumas, picture))
    found = [planes(frame) for frame in colorizer.color_clip(clip).frames(prefetch=7)]
    assert len(found) == FRAMES
    for luma, chroma, (y, cb, cr) in zip(lumas, expected, found, strict=True):
        assert np.array_equal(y, luma)
        assert np.array_equal(cb, chroma[0])
        assert np.array_equal(cr, chroma[1])
    assert max(np.ptp(cb) for _, cb, _ in found) > 0


def test_frames_asked_for_late_and_twice_are_the_same_and_a_leap_begins_a_film(colorizer):
    lumas = make_lumas(8)
    clip = colorizer.color_clip(make_clip(lumas, vs.YUV420P8))
    picture = vidcolor.PictureFormat(WIDTH, HEIGHT, 8, (1, 1), False, "bt601")
    inorder = list(colorizer.chroma_planes(lumas, picture))
    for number in (3, 1, 3, 0, 9):
        assert np.array_equal(planes(clip.get_frame(number))[1], inorder[number][0])
    anew = next(colorizer.chroma_planes(lumas[75:], picture))
    assert np.array_equal(planes(clip.get_frame(75))[1], anew[0])


def test_one_thread_is_enough(colorizer):
    before = vs.core.num_threads
    vs.core.num_threads = 1
    try:
        clip = colorizer.color_clip(make_clip(make_lumas(8), vs.YUV420P8))
        assert sum(1 for _ in clip.frames(prefetch=4)) == FRAMES
    finally:
        vs.core.num_threads = before


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: vs.core.std.BlankClip(format=vs.RGB24), "RGB24; needed gray or YUV"),
        (lambda: vs.core.std.BlankClip(format=vs.YUV444PS), "YUV444PS; needed gray or YUV"),
        (lambda: vs.core.std.BlankClip(varformat=True), "varies"),
        (lambda: vs.core.std.BlankClip(varsize=True), "varies"),
        (lambda: [1, 2], "no VapourSynth clip"),
    ],
)
def test_a_clip_that_cannot_be_colored_is_refused(colorizer, make, match):
    with pytest.raises(vidcolor.UsageError, match=match):
        colorizer.color_clip(make())


@pytest.mark.parametrize("steady", ["off", "shot"])
def test_what_goes_wrong_in_the_clip_reaches_the_script_at_every_request(colorizer, steady):
    faults = []

    def fail(n, f):
        if n == 5 and len(faults) < 4:
            faults.append(n)
            raise RuntimeError("the source broke")
        return f

    base = make_clip(make_lumas(8), vs.GRAY8)[:9]
    clip = colorizer.color_clip(base.std.ModifyFrame(base, fail), steady=steady)
    for number in (5, 5, 5, 5):
        with pytest.raises(vs.Error, match="the source broke"):
            clip.get_frame(number)
    assert clip.get_frame(5).width == WIDTH
    assert clip.get_frame(8).width == WIDTH


def test_what_goes_wrong_in_coloring_reaches_the_script(tiny_model):
    opened = vidcolor.Colorizer(tiny_model, device="cpu")
    clip = opened.color_clip(make_clip(make_lumas(8), vs.YUV420P8))
    opened.close()
    with pytest.raises(vs.Error, match="Colorizer is closed"):
        clip.get_frame(0)
