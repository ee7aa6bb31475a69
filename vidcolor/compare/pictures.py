"""A picture before and after, small for the gallery and large for the window, within a budget of bytes."""

from vidcolor.page import Pair
from vidcolor.stills.display import encode_jpeg, fit, resize_to
from vidcolor.stills.rgb import Rgb

THUMBNAIL = 560  # pixels, long side of a picture in the gallery
LEAST_BYTES = 150_000  # set aside for each picture; with less it is left out
SMALLEST = 320  # pixels, long side that pictures are shrunk to at most


def make_pair(name: str, before: Rgb, after: Rgb, side: int, budget: int) -> Pair:
    """Encode both pictures at one size, shrunk until they fit into `budget` bytes or are SMALLEST.

    side: pixels, long side at most.
    """
    pictures = resize_to_larger(before, after)
    longest, thumbnail, quality = min(side, max(pictures[0].shape[:2])), THUMBNAIL, 86
    while True:
        large = [encode_jpeg(fit(picture, longest), quality) for picture in pictures]
        small = [encode_jpeg(fit(picture, thumbnail), 80) for picture in pictures]
        pair = Pair(name, small[0], small[1], (large[0], large[1]))
        if byte_count(pair) <= budget or longest <= SMALLEST:
            return pair
        longest, thumbnail, quality = max(SMALLEST, round(longest * 0.8)), round(thumbnail * 0.9), 80


def resize_to_larger(before: Rgb, after: Rgb) -> tuple[Rgb, Rgb]:
    """Resize the smaller picture to the size of the larger."""
    larger = max(before, after, key=lambda picture: picture.shape[0] * picture.shape[1])
    size = larger.shape[1], larger.shape[0]
    return resize_to(before, size), resize_to(after, size)


def byte_count(pair: Pair) -> int:
    """The size of all its files."""
    large = sum(map(len, pair.large or ()))
    return len(pair.before) + len(pair.after) + large + (len(pair.clip.content) if pair.clip else 0)
