"""Text from outside, whatever it holds, becomes text that people see and terminals do not obey."""

import sys
import unicodedata

import pytest

from vidcolor.printable import printable, printable_lines


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain.mkv", "plain.mkv"),
        ("Großmutter 写真 …°.jpg", "Großmutter 写真 …°.jpg"),
        ("Métropolis\xa0: le\u202ffilm\u3000", "Métropolis\xa0: le\u202ffilm\u3000"),  # spaces as people type them
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\x9b31mb", r"a\x9b31mb"),  # the same in one character
        ("a\r\n\tb\x7f", r"a\r\n\tb\x7f"),
        ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\x85"),
        ("gpj\u202e.exe\u2066", r"gpj\u202e.exe\u2066"),
        ("a\u200bb\ufeff\xad\U000e0041", r"a\u200bb\ufeff\xad\U000e0041"),
        ("a\u3164b\u2800", r"a\u3164b\u2800"),
        ("caf\udce9", r"caf\udce9"),
        ("\ud83d", r"\ud83d"),
        ("\ue000\U0010ffff", r"\ue000\U0010ffff"),
    ],
)
def test_text_is_seen_and_not_obeyed(text: str, seen: str):
    assert printable(text) == seen
    assert printable(seen) == seen


def test_lines_stay_lines_where_they_are_ours():
    assert printable_lines("one\n\x1btwo\n") == "one\n\\x1btwo\n"


def test_no_character_that_is_a_command_or_invisible_passes():
    for number in range(sys.maxunicode + 1):
        if unicodedata.category(chr(number)) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            assert printable(chr(number)).startswith("\\"), hex(number)
