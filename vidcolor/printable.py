"""Escaping of text from outside for terminals: file names, tags, models' names, messages of libraries.

Terminals obey control characters. All output passes through here in cli/text.py, cli/console.py and cli/log.py, so that
no caller can forget it.
"""

import unicodedata

# Letters and marks that are drawn as nothing, so that one name looks like another or like the end of a line.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def printable(text: str) -> str:
    r"""Escape everything in a text that terminals obey or do not show; the result is one line.

    Control characters, line ends, changes of writing direction, invisible format characters, and bytes that are no text
    become Python escapes: `\x1b`, `\n`, `\u202e`, `\udcff`. Spaces of any width and printable characters stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_visible(character) else _escape(character) for character in text)


def printable_lines(text: str) -> str:
    r"""`printable` for text of several lines: its `\n` stay."""
    return "\n".join(map(printable, text.split("\n")))


def _is_visible(character: str) -> bool:
    if character.isprintable():
        return character not in _BLANK
    return unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
