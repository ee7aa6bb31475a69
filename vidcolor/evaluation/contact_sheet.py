"""A contact sheet: pictures in gray, by each model and in truth, side by side."""

from collections.abc import Mapping

import cv2
import numpy as np

from vidcolor.errors import SourceError
from vidcolor.stills.rgb import Rgb

CELL = 288, 192  # pixels, the most that a picture of many takes, across and down
LARGE_CELL = 640, 360  # and one that is looked at closely
GAP = 8
LINE_HEIGHT = 18  # height of a line of text
BACKGROUND = 255
FIRST_COLUMN = {"gray": "input (gray)"}


class ContactSheet:
    """Rows of pictures, added in any order."""

    def __init__(self, cell: tuple[int, int] = CELL) -> None:
        """cell: pixels, the most that a picture takes, across and down."""
        self._cell = cell
        self._rows: list[tuple[tuple[int, int], str, dict[str, Rgb]]] = []

    def add(self, place: tuple[int, int], label: str, pictures: Mapping[str, Rgb]) -> None:
        """Add a row: its sort key, its label, and sRGB pictures (H, W, 3) of one size by column."""
        self._rows.append((place, label, {name: _fit(picture, self._cell) for name, picture in pictures.items()}))

    def __len__(self) -> int:
        return len(self._rows)

    def to_png(self) -> bytes:
        """Render the sheet as a PNG file. Raises SourceError when it has no rows."""
        if not self._rows:
            raise SourceError("there is no picture to put on the sheet.")
        rows = sorted(self._rows, key=lambda row: row[0])
        columns = list(rows[0][2])
        width = max(picture.shape[1] for _, _, pictures in rows for picture in pictures.values()) + GAP
        heading = _draw_text_line([FIRST_COLUMN.get(name, name) for name in columns], width)
        page = np.concatenate([heading, *(_draw_row(label, pictures, width) for _, label, pictures in rows)])
        _, content = cv2.imencode(".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR))
        return bytes(content)


def _fit(picture: Rgb, cell: tuple[int, int]) -> Rgb:
    """Scale a picture to fit a cell."""
    scale = min(cell[0] / picture.shape[1], cell[1] / picture.shape[0])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=how), np.uint8)


def _draw_row(label: str, pictures: Mapping[str, Rgb], width: int) -> Rgb:
    height = max(picture.shape[0] for picture in pictures.values())
    strip = np.full((height, GAP + width * len(pictures), 3), BACKGROUND, np.uint8)
    for column, picture in enumerate(pictures.values()):
        left = GAP + column * width
        strip[: picture.shape[0], left : left + picture.shape[1]] = picture
    return np.concatenate([strip, _draw_text_line([label, *[""] * (len(pictures) - 1)], width, whole_row=True)])


def _draw_text_line(texts: list[str], width: int, *, whole_row: bool = False) -> Rgb:
    """Draw text over or under the columns, truncated to their width (or the row's); OpenCV's font has ASCII only."""
    line = np.full((LINE_HEIGHT, GAP + width * len(texts), 3), BACKGROUND, np.uint8)
    room = (width * len(texts) if whole_row else width) - GAP
    for column, text in enumerate(texts):
        words = _truncate(text.encode("ascii", "replace").decode(), room)
        cv2.putText(line, words, (GAP + column * width, 13), _FONT, _SIZE, (0, 0, 0), 1, cv2.LINE_AA)
    return line


_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


def _truncate(text: str, room: int) -> str:
    """Truncate at the start: the end of a name tells more."""
    while len(text) > 4 and cv2.getTextSize(text, _FONT, _SIZE, 1)[0][0] > room:
        text = "..." + text[4:]
    return text
