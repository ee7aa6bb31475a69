"""The default generator: a pretrained EfficientNet-Lite encoder, a light U-Net decoder, colors as bins.

It classifies each position over bins of the a*b* plane and decodes the color as an annealed mean (Zhang,
Isola, Efros 2016, section 2.3), so that two likely colors do not average to brown. A few self-attention blocks
at strides 32 and 16 let distant parts of a picture agree. Shapes: B batch, H W pixels, h w positions (H/4, W/4),
K bins, C channels, N tokens.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidcolor.errors import ModelError
from vidcolor.networks.efficientnet import EfficientNetLite
from vidcolor.networks.guidance import Guidance
from vidcolor.networks.likeness import Likeness

DESCRIBED_LEVEL, DESCRIBED_LIGHTNESS = 0.7, 2.0  # what each level, and black to white, weigh in a description


class Attention(nn.Module):
    """Self-attention over all positions, with a depthwise convolution as position encoding."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.merge = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, 2 * channels)
        self.narrow = nn.Linear(2 * channels, channels)
        for last in (self.merge, self.narrow):  # zero: the block starts as the identity
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x_BChw: Tensor) -> Tensor:
        b, c, h, w = x_BChw.shape
        x = x_BChw + self.position(x_BChw)
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm1(tokens)).view(b, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, c)
        tokens = tokens + self.merge(attended)
        tokens = tokens + self.narrow(F.relu(self.widen(self.norm2(tokens))))
        mixed: Tensor = tokens.transpose(1, 2).reshape(b, c, h, w)
        return mixed


def _conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


class SeparableBlock(nn.Module):
    """Residual depthwise 5x5 then pointwise convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.pointwise = _conv_norm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.pointwise(F.relu(self.norm(self.depthwise(x)))))


class DecoderStage(nn.Module):
    """Upsample by 2, add the encoder's features of that size, convolve."""

    def __init__(self, below: int, skip: int, channels: int):
        super().__init__()
        self.from_below = nn.Conv2d(below, channels, 1, bias=False)
        self.from_skip = nn.Conv2d(skip, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.mix = nn.Sequential(SeparableBlock(channels), SeparableBlock(channels))

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        # A 1x1 convolution before upsampling costs a quarter of one after it, with the same result.
        enlarged = F.interpolate(self.from_below(below), scale_factor=2, mode="bilinear", align_corners=False)
        mixed: Tensor = self.mix(F.relu(self.norm(enlarged + self.from_skip(skip))))
        return mixed


class Looker(nn.Module):
    """A BinNet that gives `look`, or some of it, in place of colors alone."""

    stride = 4
    multiple = 32

    def __init__(self, network: nn.Module, parts: tuple[int, ...] = (0, 1, 2, 3, 4)):
        """network: a BinNet with guidance and a likeness.  parts: of what `look` gives."""
        super().__init__()
        self.network: Any = network
        self.parts = parts

    def forward(self, lightness_B1HW: Tensor) -> tuple[Tensor, ...]:
        """See BinNet.look."""
        seen = self.network.look(lightness_B1HW)
        return tuple(seen[part] for part in self.parts)


class Tinter(nn.Module):
    """A BinNet that gives `tint`, and its bins."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network: Any = network

    def forward(self, lightness_B1HW: Tensor, bias_BK11: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See BinNet.tint; the third output are the bins, (B, 2, K)."""
        bins_2K: Tensor = self.network.bins_2K
        return *self.network.tint(lightness_B1HW, bias_BK11), bins_2K.expand(lightness_B1HW.shape[0], -1, -1)


class Believer(nn.Module):
    """A BinNet that gives what it believes of each place."""

    stride = 4
    multiple = 32

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network: Any = network

    def forward(self, lightness_B1HW: Tensor) -> tuple[Tensor, Tensor]:
        """The share of each bin at each place, (B, K, H/4, W/4); and the bins, (B, 2, K)."""
        shares: Tensor = self.network.logits(lightness_B1HW).softmax(dim=1)
        bins_2K: Tensor = self.network.bins_2K
        return shares, bins_2K.expand(lightness_B1HW.shape[0], -1, -1)


class BinNet(nn.Module):
    """L* -> a*b* at a quarter of the size, through K color bins; with `guidance` it listens to known colors, too."""

    stride = 4
    multiple = 32

    def __init__(
        self,
        *,
        encoder: str = "lite0",
        bins: int = 313,
        widths: tuple[int, int, int, int] = (256, 192, 128, 96),
        temperature: float = 0.5,
        saturation: float = 1.0,
        shrinkage: float = 0.0,
        agreement: float = 0.0,
        guidance: int = 0,
        likeness: int = 0,
    ):
        """shrinkage: a*b*, the chroma whose half is kept; less is kept of weaker colors, which are mostly doubt about
        what is gray, and more of stronger ones. 0: all of every color is kept.

        agreement: the power of the share |mean color| / mean chroma of the bins that is kept, too: bins that point to
        different hues make gray, not the hue between them (red and blue: purple). 0: no matter how far they agree.

        guidance: ways in which known colors spread; 0: the network does not listen.

        likeness: numbers by which places of different pictures are compared; 0: none.
        """
        super().__init__()
        self.temperature, self.saturation = temperature, saturation
        self.shrinkage, self.agreement = shrinkage, agreement
        self.encoder = EfficientNetLite(encoder)
        c4, c8, c16, c32 = self.encoder.channels
        w32, w16, w8, w4 = widths
        self.bottom = _conv_norm(c32, w32)
        self.context32 = nn.Sequential(Attention(w32, 8), Attention(w32, 8))
        self.up16 = DecoderStage(w32, c16, w16)
        self.context16 = Attention(w16, 6)
        self.up8 = DecoderStage(w16, c8, w8)
        self.up4 = DecoderStage(w8, c4, w4)
        self.classify = nn.Conv2d(w4, bins, 1)
        self.bins_2K: Tensor
        self.register_buffer("bins_2K", torch.zeros(2, bins))
        self.guidance = Guidance(w8, w4, guidance) if guidance else None
        self.likeness = Likeness(1 + c8 + c16 + w16 + w8, likeness) if likeness else None

    def logits(self, lightness_B1HW: Tensor) -> Tensor:
        """lightness: (B, 1, H, W), L* in 0..100, H and W multiples of 32 -> (B, K, H/4, W/4)."""
        f4, _, _, _, x8 = self._levels(lightness_B1HW)
        logits: Tensor = self.classify(self.up4(x8, f4))
        return logits

    def _levels(self, lightness_B1HW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The encoder's features at strides 4, 8 and 16, the decoder's at 16 and 8."""
        gray = (lightness_B1HW * 2.55 - 127.0) / 128.0  # the scaling that the encoder was trained with
        f4, f8, f16, f32 = self.encoder(gray)
        x16 = self.context16(self.up16(self.context32(F.relu(self.bottom(f32))), f16))
        return f4, f8, f16, x16, self.up8(x16, f8)

    def look(self, lightness_B1HW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Look at a picture once for all that is asked of it.

        lightness: as for `forward` -> a*b* (B, 2, H/4, W/4); a description (B, C, H/8, W/8), numbers that are alike
        where the same thing is seen; likeness and detail, see Guidance.look; a likeness (B, K, H/16, W/16), by which
        places of different pictures are compared, see Likeness.
        """
        f4, f8, f16, x16, x8 = self._levels(lightness_B1HW)
        x4 = self.up4(x8, f4)
        ab = self.read_out(self.classify(x4))
        levels = f8, f16, x16, x8
        described = _describe(lightness_B1HW, levels, f8.shape[2:], 8)
        alike = _describe(lightness_B1HW, levels, f16.shape[2:], 16)
        return ab, described, *self._listening().look(x8, x4, lightness_B1HW, ab), self._likening()(alike)

    def liken(self, lightness_B1HW: Tensor) -> Tensor:
        """The likeness of `look` alone, (B, K, H/16, W/16)."""
        _, f8, f16, x16, x8 = self._levels(lightness_B1HW)
        likeness: Tensor = self._likening()(_describe(lightness_B1HW, (f8, f16, x16, x8), f16.shape[2:], 16))
        return likeness

    def tint(self, lightness_B1HW: Tensor, bias_BK11: Tensor) -> tuple[Tensor, Tensor]:
        """How a*b* move, (B, 2, H/4, W/4), where bins become likelier by exp(bias); and each bin's share, (B, K).

        The shares are those of `forward`, without the bias. Bins that disagree move as far as others do: what is kept
        of colors for their agreement changes only where the bias makes bins agree more.
        """
        logits = (self.logits(lightness_B1HW) / self.temperature).permute(0, 2, 3, 1)
        believed, tinted = logits.softmax(dim=-1), (logits + bias_BK11.permute(0, 2, 3, 1)).softmax(dim=-1)
        (before, agreed_before), (after, agreed_after) = (self._read(each) for each in (believed, tinted))
        moved = after - before + F.relu(agreed_after - agreed_before) * before
        return moved.permute(0, 3, 1, 2), believed.mean(dim=(1, 2))

    def guide(self, lightness_B1HW: Tensor, known_B3hw: Tensor) -> Tensor:
        """`forward` that listens to known colors: a*b* and how far they come from known ones, (B, 3, H/4, W/4).

        known: a*b* and how sure they are, 0..1, at a quarter of the size.
        """
        f4, _, _, _, x8 = self._levels(lightness_B1HW)
        x4 = self.up4(x8, f4)
        ab = self.read_out(self.classify(x4))
        guided: Tensor = self._listening()(*self._listening().look(x8, x4, lightness_B1HW, ab), ab, known_B3hw)
        return guided

    def _listening(self) -> Guidance:  # no property: torch's tracer asks for every one, whether or not it is there
        if self.guidance is None:
            raise ModelError("this network has no guidance: it does not listen to known colors.")
        return self.guidance

    def _likening(self) -> Likeness:
        if self.likeness is None:
            raise ModelError("this network has no likeness: it does not compare places of pictures.")
        return self.likeness

    def read_out(self, logits_BKhw: Tensor, temperature: float | None = None) -> Tensor:
        """Annealed mean of the bins.  temperature: 1 is the mean (dull, safe), toward 0 the mode (vivid, patchy)."""
        # Bins last: OpenVINO's softmax over channels would reorder memory twice, at a sixth of the network's time.
        probability_BhwK = (logits_BKhw / (temperature or self.temperature)).permute(0, 2, 3, 1).softmax(dim=-1)
        ab_Bhw2, agreed = self._read(probability_BhwK)
        return (ab_Bhw2 * agreed).permute(0, 3, 1, 2)

    def _read(self, probability_BhwK: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of the bins as a*b* (B, h, w, 2), with saturation and shrinkage; the share that agreement keeps."""
        bins_K2 = (self.bins_2K * self.saturation).T.to(probability_BhwK.dtype)
        ab_Bhw2 = probability_BhwK @ bins_K2
        whole = ab_Bhw2.new_ones(())
        if not self.saturation or not (self.shrinkage or self.agreement):
            return ab_Bhw2, whole
        unit = max(self.shrinkage, 1.0) * self.saturation  # of chroma: its squares fit fp16
        chroma = (ab_Bhw2 / unit).square().sum(dim=-1, keepdim=True).add(1e-6).sqrt()
        shrunk_Bhw2 = ab_Bhw2 * (chroma / (chroma + self.shrinkage * self.saturation / unit))
        if not self.agreement:
            return shrunk_Bhw2, whole
        lengths_K1 = (bins_K2 / unit).norm(dim=1, keepdim=True)
        return shrunk_Bhw2, (chroma / (probability_BhwK @ lengths_K1 + 1e-3)) ** self.agreement

    def forward(self, lightness_B1HW: Tensor) -> Tensor:
        """lightness: (B, 1, H, W), L* in 0..100, H and W multiples of 32 -> a*b* (B, 2, H/4, W/4)."""
        return self.read_out(self.logits(lightness_B1HW))


def wrap(network: Any, part: str) -> nn.Module:
    """What is asked of a BinNet that listens, as a network of its own.

    part: "looker" (see BinNet.look), "likener" (of that colors and likeness alone), "believer", "tinter" or "guidance".
    """
    wrapped: dict[str, Callable[[], nn.Module]] = {
        "looker": lambda: Looker(network), "likener": lambda: Looker(network, (0, 4)),
        "believer": lambda: Believer(network), "tinter": lambda: Tinter(network), "guidance": lambda: network.guidance,
    }  # fmt: skip
    return wrapped[part]()


def _describe(lightness_B1HW: Tensor, levels: tuple[Tensor, ...], size: torch.Size, stride: int) -> Tensor:
    """Describe places by the features of each level without their mean over the picture, and by the lightness.

    size: rows and columns of places, one for each `stride` pixels.
    """
    parts = [F.avg_pool2d(lightness_B1HW, stride) * (DESCRIBED_LIGHTNESS / 100)]
    for level in levels:
        level = F.interpolate(level, size, mode="bilinear", align_corners=False)
        level = level - level.mean((2, 3), keepdim=True)
        parts.append(DESCRIBED_LEVEL * F.normalize(level, dim=1))
    return torch.cat(parts, dim=1)
