"""Generators by name. A generator maps L* (B, 1, H, W) in 0..100 to a*b* (B, 2, H/stride, W/stride).

It states `stride` and `multiple` (what H and W must be multiples of); its keyword arguments are its config.
"""

from torch import nn

from vidcolor.errors import ModelError
from vidcolor.networks.binnet import BinNet
from vidcolor.networks.eccv16 import Eccv16
from vidcolor.networks.pix2pix import Pix2PixUNet
from vidcolor.networks.resunet import ResUNet

GENERATORS: dict[str, type[nn.Module]] = {
    "binnet": BinNet,
    "eccv16": Eccv16,
    "pix2pix": Pix2PixUNet,
    "resunet": ResUNet,
}


def build(generator: str, config: dict[str, object]) -> nn.Module:
    """A fresh generator. Raises ModelError for a name or config we do not know."""
    if generator not in GENERATORS:
        raise ModelError(f"generator {generator!r} is unknown; this version has {', '.join(sorted(GENERATORS))}.")
    try:
        return GENERATORS[generator](**config)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(f"generator {generator!r} cannot be built from its config: {error}.") from error
