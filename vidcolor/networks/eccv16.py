"""The ECCV16 network (Zhang, Isola, Efros 2016, table 4): plain and dilated convolutions, 313 color bins.

Shapes: B batch, H W pixels, K bins.
"""

from torch import Tensor, nn

BLOCKS = (  # convolutions, channels, stride of the last, dilation
    (2, 64, 2, 1),
    (2, 128, 2, 1),
    (3, 256, 2, 1),
    (3, 512, 1, 1),
    (3, 512, 1, 2),
    (3, 512, 1, 2),
    (3, 512, 1, 1),
)


def published_name(name: str) -> str:
    """The name of one of our weights in the published file, colorization_release_v2-9b330a0b.pth."""
    if name.startswith("read_out"):
        return name.replace("read_out", "model_out")
    _, number, kind = name.split(".")
    layer = int(number)
    for block, (count, *_) in enumerate(BLOCKS, 1):
        if layer <= 2 * count:
            return f"model{block}.{layer}.{kind}"
        layer -= 2 * count + 1
    return f"model{len(BLOCKS) + 1}.{layer}.{kind}"


class Eccv16(nn.Module):
    """L* -> a*b* at a quarter of the size; a last 1x1 convolution maps bin probabilities to a*b*."""

    stride = 4
    multiple = 8

    def __init__(self, *, width: float = 1.0, bins: int = 313):
        """width: factor on the channels; 1 as in the paper."""
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for count, outputs, stride, dilation in BLOCKS:
            outputs = round(outputs * width)
            for number in range(count):
                step = stride if number == count - 1 else 1
                layers += [nn.Conv2d(channels, outputs, 3, step, dilation, dilation), nn.ReLU()]
                channels = outputs
            layers.append(nn.BatchNorm2d(channels))
        narrow = round(256 * width)
        layers += [nn.ConvTranspose2d(channels, narrow, 4, 2, 1), nn.ReLU()]
        for _ in range(2):
            layers += [nn.Conv2d(narrow, narrow, 3, 1, 1), nn.ReLU()]
        layers.append(nn.Conv2d(narrow, bins, 1))
        self.body = nn.Sequential(*layers)
        self.read_out = nn.Conv2d(bins, 2, 1, bias=False)

    def forward(self, lightness_B1HW: Tensor) -> Tensor:
        """lightness: (B, 1, H, W), L* in 0..100, H and W multiples of 8 -> a*b* (B, 2, H/4, W/4)."""
        probability = self.body((lightness_B1HW - 50) / 100).softmax(dim=1)
        ab: Tensor = self.read_out(probability) * 110
        return ab
