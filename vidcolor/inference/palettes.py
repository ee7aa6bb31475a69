"""A palette: a film or photo takes the range of colors of another photo, where the network is unsure.

The colors of the photo, as shares of the packaged model's bins, are compared with what that model expects of it in
black and white, and with what photos usually have. What the photo has more of than expected becomes likelier in other
pictures, too, and what it lacks less likely: a factor on each bin's probability, which moves what is undecided and
leaves what is sure. Any model's colors move by as much as the packaged model's do.

Shapes: K bins, h w positions of a*b*.
"""

import hashlib
from pathlib import Path

import numpy as np

from vidcolor.color import Floats, picture_to_lab
from vidcolor.errors import SourceError
from vidcolor.formats import FILMS
from vidcolor.inference.listening import SIDE, STRIDE, Listener
from vidcolor.planes import network_size, shrink

BIN_SPREAD = 6.0  # a*b*: how far a color counts for the bins around it
USUAL_CHROMA = 12.0  # a*b*: over which colors of photos get rarer by e
LEAST_SHARE = 3e-4  # added to every bin's: what is seen in few places says little
NARROWEST = 32  # long sides of a photo, in short ones
MAX_BIAS = 3.0  # natural logarithm of the greatest factor


def digest(path: Path) -> str:
    """Hex sha256 of a palette's photo. Raises SourceError."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}).") from error


def read_bias(path: Path, listener: Listener) -> Floats:
    """How much likelier a photo makes each bin: natural logarithms, (K,). Raises SourceError."""
    from vidcolor.stills.rgb import decode, is_gray, read_size  # loads readers of photos, which few runs need here

    if path.is_dir() or path.suffix.lower() in FILMS:
        what = "a folder; name one photo" if path.is_dir() else "a film; name a photo, or a frame of it as a picture"
        raise SourceError(f"{path}: is {what}.")
    size = read_size(path)
    if size is not None and max(size) > NARROWEST * min(size):
        raise SourceError(f"{path}: {size[0]}x{size[1]} pixels are too narrow for a palette.")
    rgb = decode(path, short_side=SIDE)
    if rgb is None:
        raise SourceError(f"{path}: not a picture that can be read. Save it as PNG or JPEG.")
    if is_gray(rgb):
        raise SourceError(f"{path}: a photo without colors makes no palette.")
    lightness, a, b = (np.asarray(plane, np.float32) for plane in picture_to_lab(rgb))
    size = network_size(lightness.shape[0], lightness.shape[1], SIDE)
    expected, bins_2K = listener.expect(lightness)
    seen = _count(np.stack([shrink(plane, tuple(side // STRIDE for side in size)) for plane in (a, b)]), bins_2K)
    usual = np.exp(-np.hypot(*bins_2K) / USUAL_CHROMA)
    baseline = (expected @ _nearness(bins_2K.T, bins_2K) + usual / usual.sum()) / 2
    return np.asarray(np.log((seen + LEAST_SHARE) / (baseline + LEAST_SHARE)).clip(-MAX_BIAS, MAX_BIAS), np.float32)


def _count(ab_2hw: Floats, bins_2K: Floats) -> Floats:
    """The share that each bin has of a picture: (K,)."""
    return np.asarray(_nearness(ab_2hw.reshape(2, -1).T, bins_2K).mean(axis=0), np.float32)


def _nearness(ab_N2: Floats, bins_2K: Floats) -> Floats:
    """How far each color counts for each bin: (N, K), rows add up to 1."""
    squared = np.square(ab_N2[:, :, None] - bins_2K).sum(axis=1)
    near = np.exp((squared.min(axis=1, keepdims=True) - squared) / (2 * BIN_SPREAD**2))
    return np.asarray(near / near.sum(axis=1, keepdims=True), np.float32)
