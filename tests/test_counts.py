"""One is singular, everywhere that a count is told."""

import re
from pathlib import Path

import pytest

from vidcolor import counts

PACKAGE = Path(counts.__file__).parent


@pytest.mark.parametrize(("count", "told"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (1234, "1,234 frames")])
def test_a_count_and_its_noun(count: int, told: str):
    assert counts.counted(count, "frame") == told


def test_a_noun_with_a_plural_of_its_own():
    assert [counts.counted(count, "frame is", "frames are") for count in (1, 3)] == ["1 frame is", "3 frames are"]


def test_no_message_has_both_in_one():
    for path in PACKAGE.rglob("*.py"):
        assert re.search(r"[a-z]\(s\)[^(]*\"", path.read_text(encoding="utf-8")) is None, path
