"""The families of published colorizers: what each is asked, what its answer means, and where that is stated.

Shapes: B batch, h w pixels that the network looks at, C its channels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vidcolor import color
from vidcolor.choices import LAB_INPUTS, LAB_OUTPUTS, LabInput, LabOutput, check_choice
from vidcolor.color import Floats
from vidcolor.errors import UsageError

SIDES = (32, 2048)  # pixels: sides of squares that are believed


@dataclass(frozen=True)
class Kind:
    """A family of networks."""

    name: str
    inputs: tuple[int, ...]  # channels of each input
    outputs: int  # channels of the output
    ask: Callable[[Floats], Floats]  # L* 0..100 (B, 1, h, w) to the inputs, their channels in a row (B, C, h, w)
    answer: Callable[[Floats], Floats]  # the output to a*b* (B, 2, h, w)
    default_side: int  # pixels: short side of what it looks at
    multiple: int  # pixels: sides are multiples of it
    is_square: bool  # whether pictures are squeezed to a square, as in its own program
    license: str  # as its authors state it
    source: str  # who published it, and how it is asked there


@dataclass(frozen=True)
class Scaling:
    """How a network of kind `lab` is asked."""

    input: LabInput = "l"  # L*, or the gray picture as R'G'B'
    low: float = 0.0  # what stands for black
    high: float = 100.0  # what stands for white
    output: LabOutput = "ab"  # a*b*, or R'G'B' from low to high
    scale: float = 1.0  # factor on the output

    def __post_init__(self) -> None:
        """Raise UsageError for a scaling that is none."""
        check_choice("input", self.input, LAB_INPUTS)
        check_choice("output", self.output, LAB_OUTPUTS)
        if not (np.isfinite([self.low, self.high, self.scale]).all() and self.low < self.high and self.scale > 0):
            raise UsageError(
                f"--range {self.low:g}..{self.high:g} --scale {self.scale:g}: the range goes up, the scale is above 0."
            )


def gray_rgb(lightness_B1hw: Floats) -> Floats:
    """L* -> sRGB 0..1 of the gray picture, (B, 3, h, w)."""
    nothing = np.zeros_like(lightness_B1hw)
    return np.concatenate(color.lab_to_rgb(lightness_B1hw, nothing, nothing), axis=1)


def rgb_to_ab(rgb_B3hw: Floats) -> Floats:
    """From sRGB 0..1 to a*b*, (B, 2, h, w)."""
    red, green, blue = np.split(np.clip(rgb_B3hw, 0, 1).astype(np.float32), 3, axis=1)
    return np.concatenate(color.rgb_to_lab(red, green, blue)[1:], axis=1)


def without_hints(lightness_B1hw: Floats) -> Floats:
    """L*, then hints of a*b* and their mask, of which there are none: (B, 4, h, w)."""
    return np.pad(lightness_B1hw, ((0, 0), (0, 3), (0, 0), (0, 0)))


def _unchanged(values: Floats) -> Floats:
    return values


def make_lab(scaling: Scaling) -> Kind:
    """Make the kind of a network whose scaling its user has told."""
    span = np.float32(scaling.high - scaling.low)

    def ask(lightness_B1hw: Floats) -> Floats:
        shades = gray_rgb(lightness_B1hw) if scaling.input == "rgb" else lightness_B1hw / np.float32(100)
        return shades * span + np.float32(scaling.low)

    def answer(output: Floats) -> Floats:
        values = output * np.float32(scaling.scale)
        return rgb_to_ab((values - np.float32(scaling.low)) / span) if scaling.output == "rgb" else values

    inputs, outputs = 1 if scaling.input == "l" else 3, 2 if scaling.output == "ab" else 3
    return replace(KINDS["lab"], inputs=(inputs,), outputs=outputs, ask=ask, answer=answer)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "ddcolor", (3,), 2, gray_rgb, _unchanged, 512, 32, True, "Apache-2.0 (its authors')",
            "Kang et al. 2023, DDColor: the gray picture as R'G'B' 0..1 in, a*b* out, at a square of 512",
        ),
        Kind(
            "deoldify", (3,), 3, lambda lightness: gray_rgb(lightness) * np.float32(255),
            lambda rgb: rgb_to_ab(rgb / np.float32(255)), 256, 16, True, "MIT (its author's)",
            "Antic, DeOldify, as ONNX: gray R'G'B' 0..255 in, R'G'B' 0..255 out, of which the chroma is taken",
        ),
        Kind(
            "eccv16", (1,), 2, _unchanged, _unchanged, 256, 8, False, "BSD-2-Clause (its authors')",
            "Zhang, Isola, Efros 2016, Colorful Image Colorization: L* in, a*b* out",
        ),
        Kind(
            "siggraph17", (1, 2, 1), 2, without_hints, _unchanged, 256, 8, False, "BSD-2-Clause (its authors')",
            "Zhang et al. 2017, Real-Time User-Guided Image Colorization: L*, hinted a*b* and their mask in, a*b* out",
        ),
        Kind(
            "lab", (1,), 2, _unchanged, _unchanged, 256, 32, True, "not known; ask where the file comes from",
            "as its user described it: L* or gray R'G'B' in, a*b* or R'G'B' out",
        ),
    )
}  # fmt: skip
