"""Synthetic pictures without color: countdown leaders, title cards, intertitles. A model must leave them gray."""

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidcolor.stills.rgb import Rgb

LETTERS = string.ascii_uppercase + string.digits + " .,-&'"


def draw_card(random: np.random.Generator, side: int) -> Rgb:
    """Draw a leader or a card of text, gray, (side, side, 3)."""
    picture = _draw_background(random, side)
    draw = ImageDraw.Draw(picture)
    if random.random() < 0.5:
        _draw_leader(draw, random, side)
    else:
        _draw_text(draw, random, side)
    return np.repeat(np.asarray(picture)[..., None], 3, axis=2)


def _draw_background(random: np.random.Generator, side: int) -> Image.Image:
    """Plain, or falling off toward one side as a lamp's light does."""
    level, slope = random.uniform(0, 255), random.uniform(-80, 80, size=2)
    place = np.linspace(-0.5, 0.5, side)
    shade = level + slope[0] * place[:, None] + slope[1] * place[None]
    return Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8))


def _draw_leader(draw: ImageDraw.ImageDraw, random: np.random.Generator, side: int) -> None:
    """Rings, cross-hairs, a wedge that turns, and a figure."""
    x, y = side * random.uniform(0.3, 0.7, size=2)
    turned = random.uniform(0, 360)
    reach = 1.5 * side
    draw.pieslice((x - reach, y - reach, x + reach, y + reach), -90, -90 + turned, fill=_gray(random))
    line, width = _gray(random), max(1, side // 64)
    draw.line((0, y, side, y), fill=line, width=width)
    draw.line((x, 0, x, side), fill=line, width=width)
    ring = _gray(random)
    for radius in random.uniform(0.2, 0.6) * side * np.array([1.0, 0.85]):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=ring, width=int(random.integers(1, 6)))
    figure = str(random.integers(0, 13))
    font = ImageFont.load_default(size=side * random.uniform(0.3, 0.8))
    draw.text((x, y), figure, fill=_gray(random), font=font, anchor="mm")


def _draw_text(draw: ImageDraw.ImageDraw, random: np.random.Generator, side: int) -> None:
    """Lines of letters, perhaps in a frame."""
    if random.random() < 0.4:
        margin = side * random.uniform(0.02, 0.1)
        draw.rectangle((margin, margin, side - margin, side - margin), outline=_gray(random), width=2)
    ink, size = _gray(random), side * random.uniform(0.06, 0.25)
    font = ImageFont.load_default(size=size)
    for row in range(int(random.integers(1, 6))):
        words = "".join(random.choice(list(LETTERS), size=int(random.integers(4, 20))))
        if random.random() < 0.5:
            words = words.capitalize()
        draw.text((side / 2, size * (1.3 * row + 1)), words, fill=ink, font=font, anchor="mm")


def _gray(random: np.random.Generator) -> int:
    return int(random.integers(0, 256))
