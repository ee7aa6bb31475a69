"""Generators by name. A generator maps L* (B, 1, H, W) in 0..100 to a*b* (B, 2, H/stride, W/stride).

It states `stride` and `multiple` (what H and W must be multiples of); its keyword arguments are its config.
"""

import torch
from torch import nn

from vidcolor.errors import ModelError
from vidcolor.networks.binnet import BinNet
from vidcolor.networks.eccv16 import Eccv16
from vidcolor.networks.efficientnet import SCALINGS
from vidcolor.networks.pix2pix import Pix2PixUNet
from vidcolor.networks.resunet import ResUNet

GENERATORS: dict[str, type[nn.Module]] = {
    "binnet": BinNet,
    "eccv16": Eccv16,
    "pix2pix": Pix2PixUNet,
    "resunet": ResUNet,
}


Allowed = tuple[int, int] | tuple[float, float] | list["Allowed"] | frozenset[str]

# What a config may hold: whole numbers or numbers in a range, lists of them, or one of some names. The ranges exceed
# all trained models; they keep an untrusted model file from asking for more layers than memory holds.
_BINS = (1, 4096)
CONFIGS: dict[str, dict[str, Allowed]] = {
    "binnet": {
        "encoder": frozenset(SCALINGS), "bins": _BINS, "widths": [(8, 1024)] * 4, "temperature": (0.01, 100.0),
        "saturation": (0.0, 10.0), "shrinkage": (0.0, 100.0), "agreement": (0.0, 16.0),
        "guidance": (0, 16), "likeness": (0, 512),
    },
    "eccv16": {"width": (1 / 64, 4.0), "bins": _BINS},
    "pix2pix": {"width": (1, 512), "depth": (1, 10), "dropout": (0.0, 1.0), "outputs": (2, 3)},
    "resunet": {"width": (1, 512), "depth": (1, 8)},
}  # fmt: skip


def build(generator: str, config: dict[str, object]) -> nn.Module:
    """Build an untrained generator. Raises ModelError for an unknown name or config."""
    if generator not in GENERATORS:
        known = ", ".join(sorted(GENERATORS))
        raise ModelError(f"generator {generator[:40]!r} is unknown; this version has {known}.")
    if problem := _find_problem(CONFIGS[generator], config):
        raise ModelError(f"generator {generator!r} cannot be built from its config: {problem}.")
    try:
        return GENERATORS[generator](**config)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"generator {generator!r} cannot be built from its config: {error}.") from error


def build_on_meta(generator: str, config: dict[str, object]) -> nn.Module:
    """Build a generator on PyTorch's meta device: weights with shapes but no memory. Raises ModelError."""
    with torch.device("meta"):
        return build(generator, config)


def _find_problem(allowed: dict[str, Allowed], config: dict[str, object]) -> str | None:
    for name, value in config.items():
        if name not in allowed:
            return f"it has no {name[:40]!r}"
        if not _is_allowed(value, allowed[name]):
            return f"{name} {str(value)[:40]} is not {_describe(allowed[name])}"
    return None


def _is_allowed(value: object, allowed: Allowed) -> bool:
    if isinstance(allowed, list):
        is_list = isinstance(value, list | tuple) and len(value) == len(allowed)
        return is_list and all(map(_is_allowed, value, allowed))  # type: ignore[call-overload]  # a list, then
    if isinstance(allowed, frozenset):
        return isinstance(value, str) and value in allowed
    is_number = isinstance(value, int if isinstance(allowed[0], int) else int | float) and not isinstance(value, bool)
    return is_number and allowed[0] <= value <= allowed[1]  # type: ignore[operator]  # NaN is in no range


def _describe(allowed: Allowed) -> str:
    if isinstance(allowed, list):
        return f"{len(allowed)} of {_describe(allowed[0])}"
    if isinstance(allowed, frozenset):
        return " or ".join(sorted(allowed))
    kind = "whole number" if isinstance(allowed[0], int) else "number"
    return f"a {kind} from {allowed[0]:g} to {allowed[1]:g}"
