"""Quantization to 8 bits by NNCF, calibrated on the luma of real pictures.

Shapes: h w the network's pixels.
"""

import hashlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vidcolor import color
from vidcolor.archives.photos import encoded
from vidcolor.color import Floats, LumaCoding
from vidcolor.errors import SourceError, UsageError
from vidcolor.formats import FILMS
from vidcolor.inference import weights
from vidcolor.media.seeking import read_properties, sample_frames
from vidcolor.planes import network_size, shrink
from vidcolor.stills.rgb import Rgb, decode

MAX_PHOTOS = 200  # of the sources; chosen evenly from more
FILM_FRAMES = 40  # of each film, evenly spread

# The first two layers take the full range of luma, and the last decides between similar colors: in 8 bits these
# few layers double the error, and in floating point they cost little.
FIRST_KEPT = 2
_CONVOLUTIONS = {"Convolution", "GroupConvolution", "ConvolutionBackpropData", "Conv", "ConvTranspose"}


def packaged_sources() -> list[Path]:
    """The folder of the packaged calibration pictures."""
    return [weights.models_folder() / "calibration"]


def fingerprint(sources: Sequence[Path]) -> str:
    """Hash of the photos and of this module, which decides how they are used."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name, content in encoded(list(sources)):
        digest.update(name.encode() + (content.read_bytes() if isinstance(content, Path) else content))
    return digest.hexdigest()[:12]


def read_lightness(sources: Sequence[Path], header: weights.ModelHeader) -> list[Floats]:
    """Read photos and films as network inputs: L* 0..100, each (1, 1, h, w), h and w multiples of the header's.

    sources: folders, zip and tar archives, photos, films.  Color is removed; unreadable pictures are skipped.
    Raises SourceError where no picture can be read.
    """
    found = [_to_lightness(rgb, header) for rgb in _read_pictures(list(sources), header.size)]
    if not found:
        raise SourceError(
            f"{', '.join(map(str, sources))}: no photo and no film that can be read; needs real pictures."
        )
    return found


def _read_pictures(sources: list[Path], side: int) -> Iterator[Rgb]:
    films = [film for source in sources for film in _find_films(source)]
    photos = [source for source in sources if source not in films]
    step = -(-sum(1 for _ in encoded(photos)) // MAX_PHOTOS) or 1
    for _, content in islice(encoded(photos), 0, None, step):
        if (picture := decode(content)) is not None:
            yield picture
    for film in films:
        seen = read_properties(film)
        rows, columns = network_size(seen.height, seen.width, side)
        yield from sample_frames(film, seen, FILM_FRAMES, (columns, rows))


def _find_films(source: Path) -> list[Path]:
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    return [file for file in files if file.suffix.lower() in FILMS and file.is_file()]


def _to_lightness(rgb: Rgb, header: weights.ModelHeader) -> Floats:
    height, width = rgb.shape[:2]
    small = shrink(rgb, network_size(height, width, header.size))
    luma = np.rint(small @ np.array(color.REC601_LUMA)).astype(np.uint8)
    lightness_hw = color.lightness_table(8, True, LumaCoding("bt601"))[luma]
    margins = [(0, -side % header.multiple) for side in lightness_hw.shape]
    padded: Floats = np.pad(lightness_hw, margins, mode="edge")[None, None].astype(np.float32)
    return padded


def require_nncf() -> None:
    """Raise UsageError where NNCF is not installed."""
    if not find_spec("nncf"):
        raise UsageError("precision int8 needs NNCF to make the 8-bit network: pip install 'vidcolor[int8]'.")


def quantize(network: Any, pictures: Sequence[Floats]) -> Any:
    """Quantize a network to 8 bits, its ranges measured on the pictures.

    network: an OpenVINO model, or an ONNX model whose input is `lightness`.  pictures: see `read_lightness`.
    Raises UsageError.
    """
    require_nncf()
    is_onnx = hasattr(network, "graph")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # NNCF prints progress bars
        warnings.simplefilter("ignore")
        logging.getLogger("torch.utils.cpp_extension").setLevel(
            logging.ERROR
        )  # imported by NNCF; warns that CUDA is missing
        import nncf

        nncf.set_log_level(logging.ERROR)
        return nncf.quantize(
            network,
            nncf.Dataset([{"lightness": picture} for picture in pictures] if is_onnx else pictures),
            subset_size=len(pictures),
            ignored_scope=nncf.IgnoredScope(names=_unquantized_layers(_layers(network)), validate=False),
        )


def _layers(network: Any) -> list[tuple[str, str]]:
    """Names and kinds of the layers, in the order of execution."""
    if hasattr(network, "graph"):
        return [(node.name, node.op_type) for node in network.graph.node]
    return [(layer.get_friendly_name(), layer.get_type_name()) for layer in network.get_ordered_ops()]


def _unquantized_layers(layers: list[tuple[str, str]]) -> list[str]:
    """Names of the layers kept in floating point: the first convolutions, the last one, and all after it."""
    places = [place for place, (_, kind) in enumerate(layers) if kind in _CONVOLUTIONS]
    first = [layers[place][0] for place in places[:FIRST_KEPT]]
    return first + [name for name, _ in layers[places[-1] :]]
