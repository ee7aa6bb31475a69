"""Color conversions against scikit-image, published values and their own inverses."""

import numpy as np
import pytest
from skimage import color as reference

from vidcolor import color
from vidcolor.color import LumaCoding
from vidcolor.frames import PictureFormat

RANDOM = np.random.default_rng(7)
RGB = RANDOM.random((3, 4000))
CODINGS = [LumaCoding(matrix) for matrix in color.LUMA_WEIGHTS]


def test_lab_agrees_with_scikit_image():
    ours = np.stack(color.rgb_to_lab(*RGB), axis=-1)
    assert np.abs(ours - reference.rgb2lab(RGB.T)).max() < 0.02


def test_lab_of_the_srgb_primaries_is_as_published():
    # Lindbloom's CIE color calculator, sRGB, D65: red, green, blue.
    published = {
        (1, 0, 0): (53.24, 80.09, 67.20),
        (0, 1, 0): (87.73, -86.18, 83.18),
        (0, 0, 1): (32.30, 79.19, -107.86),
    }
    for rgb, lab in published.items():
        assert np.allclose(color.rgb_to_lab(*map(np.float64, rgb)), lab, atol=0.05)


def test_gray_has_no_color_and_white_is_100():
    lightness, a, b = color.rgb_to_lab(*[np.linspace(0, 1, 256)] * 3)
    assert lightness[-1] == pytest.approx(100, abs=0.01)
    assert max(np.abs(a).max(), np.abs(b).max()) < 0.02
    assert np.allclose(color.gray_to_lightness(np.linspace(0, 1, 256)), lightness, atol=0.01)


def test_lab_there_and_back_changes_nothing():
    assert np.abs(np.stack(color.lab_to_rgb(*color.rgb_to_lab(*RGB))) - RGB).max() < 1e-4


def test_torch_and_numpy_agree():
    torch = pytest.importorskip("torch")
    theirs = color.rgb_to_lab(*torch.from_numpy(RGB))
    for ours, other in zip(color.rgb_to_lab(*RGB), theirs, strict=True):
        assert np.allclose(ours, other.numpy(), atol=1e-9)


def test_ycc_of_the_primaries_is_as_the_standards_say():
    # BT.709 limited range, 8 bit: red is Y 63, Cb 102, Cr 240; BT.601: Y 81, Cb 90, Cr 240.
    for coding, codes in {LumaCoding("bt709"): (63, 102, 240), LumaCoding("bt601"): (81, 90, 240)}.items():
        y, cb, cr = coding.rgb_to_ycc(1.0, 0.0, 0.0)
        assert (round(16 + 219 * y), round(128 + 224 * cb), round(128 + 224 * cr)) == codes


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.matrix)
def test_ycc_there_and_back_changes_nothing(coding: LumaCoding):
    assert np.allclose(np.stack(coding.ycc_to_rgb(*coding.rgb_to_ycc(*RGB))), RGB, atol=1e-12)


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_true_color_comes_back_within_one_code(matrix: str, bits: int):
    """Given a pixel's own Y' and its true a*b*, the chroma found is the chroma it had."""
    coding = LumaCoding(matrix)
    luma, cb, cr = coding.rgb_to_ycc(*RGB)
    _, a, b = color.rgb_to_lab(*RGB)
    found_cb, found_cr = coding.chroma(luma, a, b)
    span = 224 << (bits - 8)
    for found, true in ((found_cb, cb), (found_cr, cr)):
        assert np.abs(found - true).max() * span < 1


@pytest.mark.parametrize("coding", [*CODINGS, LumaCoding("bt2020", "pq"), LumaCoding("bt2020", "hlg")], ids=str)
def test_no_color_means_no_chroma(coding: LumaCoding):
    luma = np.linspace(0, 1, 100)
    for chroma in coding.chroma(luma, np.zeros(100), np.zeros(100)):
        assert np.abs(chroma).max() < 5e-4


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_hdr_transfers_invert(transfer: str):
    to_linear, from_linear = color._TRANSFERS[transfer]
    codes = np.linspace(0, 1, 101)
    assert np.allclose(from_linear(to_linear(codes)), codes, atol=1e-6)


def test_pq_white_is_where_bt2408_puts_it():
    assert color._linear_to_pq(np.float64(1)) == pytest.approx(0.58, abs=0.005)


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.matrix)
def test_gamut_shrinking_keeps_hue_and_luma_and_ends_inside(coding: LumaCoding):
    luma = RANDOM.random((40, 50), dtype=np.float32)
    cb, cr = (RANDOM.random((2, 40, 50), dtype=np.float32) - 0.5).astype(np.float32)
    before = np.arctan2(cr, cb)
    color.shrink_to_gamut(coding, luma, cb, cr)
    rgb = np.stack(coding.ycc_to_rgb(luma, cb, cr))
    assert rgb.min() > -1e-5
    assert rgb.max() < 1 + 1e-5
    is_colored = np.hypot(cb, cr) > 1e-3
    assert np.allclose(np.arctan2(cr, cb)[is_colored], before[is_colored], atol=1e-4)


def test_gamut_shrinking_leaves_possible_colors_alone():
    coding = LumaCoding("bt709")
    luma, cb, cr = (v.astype(np.float32).reshape(40, 100) for v in coding.rgb_to_ycc(*(0.1 + 0.8 * RGB)))
    kept_cb, kept_cr = cb.copy(), cr.copy()
    color.shrink_to_gamut(coding, luma, cb, cr)
    assert np.array_equal(cb, kept_cb)
    assert np.array_equal(cr, kept_cr)


@pytest.mark.parametrize(
    ("bits", "full", "black", "white"), [(8, False, 16, 235), (8, True, 0, 255), (10, False, 64, 940)]
)
def test_code_ranges_are_the_standards(bits: int, full: bool, black: int, white: int):
    table = color.luma_table(bits, full)
    assert table[black] == 0
    assert table[white] == pytest.approx(1)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("full", [False, True])
def test_neutral_chroma_is_the_middle_code(bits: int, full: bool):
    picture = PictureFormat(2, 2, bits, (1, 1), full, "bt709")
    codes = color.chroma_codes(np.zeros((1, 1), np.float32), picture)
    assert codes.dtype == picture.dtype
    assert codes[0, 0] == 1 << (bits - 1)


def test_chroma_gain_rises_with_brightness_and_is_one_at_middle_gray():
    gain = color.chroma_gain_table(8, True, LumaCoding("bt709"))
    assert gain[128] == pytest.approx(1, abs=0.01)
    assert gain[30] < gain[128] < gain[230]
