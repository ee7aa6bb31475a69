"""Weights of torch (.pth, .pt, .ckpt, .safetensors): read without running code, recognized by names and shapes.

The file may be untrusted: nothing but tensors is read, and what they ask for is bounded before a network is built.
"""

import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcolor.errors import ModelError
from vidcolor.inference.published.kinds import KINDS, Kind
from vidcolor.inference.published.lookalikes import DEOLDIFY_ONNX, MAX_PICKLE, describe_file, describe_pickle
from vidcolor.system import forks

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_TENSORS, MAX_NUMBERS = 20_000, 1_000_000_000  # of weights
# What DDColor's weights may ask for: name, axis of its shape, greatest length.
_DDCOLOR_BOUNDS = (
    ("refine_net.0.0.weight_orig", 1, 2048), ("decoder.color_decoder.level_embed.weight", 0, 16),
    ("decoder.last_shuf.conv.0.weight_orig", 0, 1 << 14), ("decoder.last_shuf.conv.0.weight_g", 0, 1 << 14),
    ("decoder.last_shuf.conv.1.weight", 0, 1 << 14),
)  # fmt: skip
_WRAPPINGS = ("params_ema", "params", "state_dict", "model_state_dict", "net", "model")
_PREFIXES = ("module.", "netG.", "net_g.", "generator.")


def read(path: Path) -> "dict[str, Tensor]":
    """Read the weights. Raises ModelError, which says what a file seems to be that holds none."""
    if path.suffix.lower() == ".safetensors":
        forks.prepare_torch()
        return _read_safetensors(path)
    if seems := describe_file(path):
        raise ModelError(f"{path}: no colorizer: it seems to be {seems}.")
    forks.prepare_torch()
    import torch

    pickled = _read_pickle(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch did not write; they are refused below
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what reads untrusted bytes raises what it likes
        if seems := describe_pickle(pickled):
            raise ModelError(f"{path}: no weights alone, and is not read: it seems to be {seems}.") from error
        raise ModelError(
            f"{path}: cannot be read as PyTorch weights: cut short, damaged, or something else."
        ) from error
    return _check(_unwrap(found), path)


def _read_pickle(path: Path) -> bytes:
    """The table of contents of a PyTorch file. Raises ModelError for one that would unpack to more than it has."""
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return file.read(MAX_PICKLE)
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ModelError(f"{path}: no weights as PyTorch writes them: it is a packed zip archive.")
            return next((packed.read(entry) for entry in entries if entry.filename.endswith("data.pkl")), b"")
    except ModelError:
        raise
    except Exception as error:  # what reads untrusted bytes raises what it likes
        raise ModelError(f"{path}: cannot be read as PyTorch weights: cut short or damaged.") from error


def _read_safetensors(path: Path) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return _check(load_file(path), path)
    except (SafetensorError, OSError) as error:
        seems = describe_file(path)
        said = f"it seems to be {seems}" if seems else f"cannot be read as safetensors ({_shorten(error)})"
        raise ModelError(f"{path}: no colorizer: {said}.") from error


def _unwrap(found: Any) -> Any:
    """The weights inside what training programs put around them."""
    for _ in range(3):
        inner = next(
            (found[key] for key in _WRAPPINGS if isinstance(found, Mapping) and isinstance(found.get(key), Mapping)),
            None,
        )
        if inner is None:
            break
        found = inner
    if not isinstance(found, Mapping):
        return found
    for prefix in _PREFIXES:
        if found and all(str(name).startswith(prefix) for name in found):
            found = {str(name).removeprefix(prefix): value for name, value in found.items()}
    return found


def _check(found: Any, path: Path) -> "dict[str, Tensor]":
    """Keep the tensors, whose memory is bounded. Raises ModelError."""
    import torch

    if not isinstance(found, Mapping):
        raise ModelError(f"{path}: no colorizer: it holds a {type(found).__name__}, not weights by name.")
    tensors = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    numbers = sum(value.numel() for value in tensors.values())
    if not tensors:
        raise ModelError(f"{path}: no colorizer: it holds no weights.")
    if len(tensors) > MAX_TENSORS or numbers > MAX_NUMBERS:
        raise ModelError(f"{path}: no colorizer: {len(tensors):,} weights of {numbers:,} numbers; none has so many.")
    odd = (name for name, value in tensors.items() if not _is_plain(value))
    if name := next(odd, None):
        raise ModelError(f"{path}: no colorizer that can be read: {name[:60]!r} is no plain tensor.")
    if sum(value.numel() * value.element_size() for value in tensors.values()) > path.stat().st_size:
        raise ModelError(f"{path}: no colorizer that can be read: its weights stand for more than the file has.")
    if bad := next((n for n, v in tensors.items() if v.is_floating_point() and not bool(v.isfinite().all())), None):
        raise ModelError(f"{path}: damaged: its weights {bad[:60]!r} are no finite numbers.")
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def _is_plain(value: "Tensor") -> bool:
    """Whether a tensor lies in memory of its own, each number once."""
    import torch

    is_dense = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    return is_dense and value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def recognize(tensors: "Mapping[str, Tensor]", path: Path) -> Kind:
    """Find the kind by names and shapes. Raises ModelError, which says what the weights seem to be of."""
    if "model_class.0.weight" in tensors and "model_out.0.weight" in tensors:
        return KINDS["siggraph17"]
    if "model1.0.weight" in tensors and "model_out.weight" in tensors:
        return KINDS["eccv16"]
    if {"mean", "std", "refine_net.0.0.weight_orig", "encoder.arch.norm.weight"} <= tensors.keys():
        return KINDS["ddcolor"]
    if any(re.match(r"layers\.\d+\.shuf\.conv", name) for name in tensors):
        raise ModelError(f"{path}: weights of DeOldify, whose network only fastai's code builds: {DEOLDIFY_ONNX}.")
    first = next(iter(tensors))
    seems = _name_architecture(tensors)
    what = f"it seems to be {seems}, a network for another task" if seems else (
        f"{len(tensors)} weights, the first {first[:60]!r} {tuple(tensors[first].shape)}, fit none of ddcolor, eccv16,"
        " siggraph17"
    )  # fmt: skip
    raise ModelError(f"{path}: no colorizer that is known: {what}.")


def _name_architecture(tensors: "Mapping[str, Tensor]") -> str:
    """Name a network for another task, "" for one that spandrel does not know."""
    if not find_spec("spandrel"):
        return ""
    with suppress(Exception), warnings.catch_warnings():  # its detectors raise what they like at names they do not know
        warnings.simplefilter("ignore")
        import spandrel

        for support in spandrel.MAIN_REGISTRY.architectures("detection"):
            if support.architecture.detect(dict(tensors)):
                return str(support.architecture.name)
    return ""


def build(path: Path) -> "nn.Module":
    """Build the network with the file's weights, on the CPU in fp32: the kind's inputs, in a row, to its output.

    Raises ModelError.
    """
    tensors = read(path)
    kind = recognize(tensors, path)
    make = {"ddcolor": _build_ddcolor, "eccv16": _build_eccv16, "siggraph17": _build_siggraph17}[kind.name]
    try:
        return make(tensors, path).eval()
    except (RuntimeError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ModelError(f"{path}: its weights do not fit {kind.name} ({_shorten(error)}).") from error


def _build_eccv16(tensors: "Mapping[str, Tensor]", _: Path) -> "nn.Module":
    from vidcolor.networks.eccv16 import Eccv16, published_name

    network = Eccv16()
    network.load_state_dict({name: tensors[published_name(name)] for name in network.state_dict()})
    return network


def _build_siggraph17(tensors: "Mapping[str, Tensor]", _: Path) -> "nn.Module":
    from vidcolor.networks.siggraph17 import Siggraph17

    network = Siggraph17()
    network.load_state_dict(tensors)
    return network


def _build_ddcolor(tensors: "Mapping[str, Tensor]", path: Path) -> "nn.Module":
    if not (find_spec("spandrel") and find_spec("spandrel_extra_arches")):
        raise ModelError(f"{path}: DDColor's weights need two libraries: pip install 'vidcolor[models]'.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch finds some of the library's other networks old-fashioned
        from spandrel_extra_arches.architectures.DDColor import DDColorArch

    for name, axis, most in _DDCOLOR_BOUNDS:
        shape = tensors[name].shape if name in tensors else ()
        if len(shape) > axis and shape[axis] > most:
            raise ModelError(f"{path}: its weights do not fit ddcolor ({name!r} is {tuple(shape)}).")
    if tensors["refine_net.0.0.weight_orig"].shape[0] != KINDS["ddcolor"].outputs:
        raise ModelError(f"{path}: a DDColor network that gives no a*b*; needed 2 channels.")
    network: nn.Module = DDColorArch().load(dict(tensors)).model
    return network


def _shorten(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
