"""Text from outside as people may see it: file names, tags, models' names, messages of libraries.

A terminal obeys what it is sent. Whatever is shown passes here, and the exits see to it (cli/lines.py, cli/console.py,
cli/log.py), so that no caller can forget it.
"""

import unicodedata

# Letters and marks that are drawn as nothing, by which one name looks like another or like the end of a line.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def printable(text: str) -> str:
    r"""The text on one line, with nothing in it that a terminal obeys or that is not seen.

    Control characters, line ends, what turns the direction of writing, invisible format characters, and bytes that are
    no text become escapes as Python writes them: `\x1b`, `\n`, `\u202e`, `\udcff`. Spaces of any width stay. What is
    printable already comes back as it is.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_visible(character) else _escape(character) for character in text)


def printable_lines(text: str) -> str:
    r"""The same for text of several lines: its `\n` stay."""
    return "\n".join(map(printable, text.split("\n")))


def _is_visible(character: str) -> bool:
    if character.isprintable():
        return character not in _BLANK
    return unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
