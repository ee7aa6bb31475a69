"""Feature maps of frozen networks, for perceptual losses and feature discriminators."""

import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from vidcolor.errors import UsageError
from vidcolor.networks.efficientnet import EfficientNetLite, fuse_batch_norms, load_imagenet_checkpoint

VGG19_LAYERS = 18  # of torchvision's `features`: up to the activation of conv3_4
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_feature_network(name: str, vgg19: Path | None, device: torch.device) -> Callable[[Tensor], list[Tensor]]:
    """Load a frozen network: RGB (B, 3, H, W) in 0..1 -> feature maps, finest first; VGG19 has 1, EfficientNet-Lite 4.

    Raises UsageError.
    """
    if name == "vgg19":
        network: nn.Module = _load_vgg19(vgg19)
        mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION
    elif name in ("lite0", "lite2"):
        body = EfficientNetLite(name, inputs=3)
        body.load_imagenet(load_imagenet_checkpoint(name))
        network, mean, deviation = fuse_batch_norms(body.eval()), (127 / 255,) * 3, (128 / 255,) * 3
    else:
        raise UsageError(f"feature network {name!r} is unknown; there is vgg19, lite0, lite2.")
    network = network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    shift, scale = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (mean, deviation))

    def features(rgb_B3HW: Tensor) -> list[Tensor]:
        found = network((rgb_B3HW - shift) / scale)
        return [maps.float() for maps in (found if isinstance(found, list) else [found])]

    return features


def _load_vgg19(file: Path | None) -> nn.Module:
    from torchvision.models import VGG19_Weights, vgg19

    try:
        if file is None:
            layers: nn.Module = vgg19(weights=VGG19_Weights.IMAGENET1K_V1).features[:VGG19_LAYERS]
            return layers
        network = vgg19(weights=None)
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except (RuntimeError, ValueError, KeyError, EOFError, TypeError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UsageError(f"{file or 'the stored download'}: not VGG19's weights, or damaged ({reason}).") from error
    except OSError as error:
        raise UsageError(
            f"VGG19's weights are missing ({error}). Download torchvision's vgg19-dcbb9e9d.pth and pass --vgg19 FILE,"
            " or take the packaged features: --set features=lite0."
        ) from error
    layers = network.features[:VGG19_LAYERS]
    return layers
