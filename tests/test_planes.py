"""Tables give the same whatever reads them."""

import numpy as np
import pytest

from vidcolor import planes
from vidcolor.planes import look_up


@pytest.mark.parametrize("has_lut_16", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32])
def test_both_ways_index_the_table(has_lut_16: bool, kind: type, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(planes, "_HAS_LUT_16", has_lut_16 and planes._HAS_LUT_16)
    random = np.random.default_rng(0)
    for dtype in (np.uint8, np.uint16):
        table = random.integers(0, 200, 1 << 8 * np.dtype(dtype).itemsize).astype(kind)
        codes = random.integers(0, len(table), (20, 30)).astype(dtype)
        found = look_up(codes, table)
        assert found.dtype == table.dtype
        assert np.array_equal(found, table[codes])


def test_codes_beyond_the_table_take_its_last_entry():
    found = look_up(np.array([[0, 1023, 1024, 65535]], np.uint16), np.arange(1024, dtype=np.float32))
    assert found.tolist() == [[0, 1023, 1023, 1023]]
