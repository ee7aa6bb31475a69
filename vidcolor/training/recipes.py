"""Recipes: frozen, named settings that decide how a generator is trained.

Each follows a published colorizer of the pix2pix family as closely as its description allows; `default` is ours.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vidcolor.choices import describe_unknown
from vidcolor.errors import UsageError
from vidcolor.training.aging import Aging

# Fields that may change when a run is resumed.
FREE_TO_CHANGE = {"epochs", "minutes", "steps", "keep_epochs", "gan_keep_steps", "collapse_steps"}
# Options of `vidcolor train` that set a field, where both differ in name.
OPTIONS = {"batch": "--batch-size", "hold_back": "--hold-back", "favor": "--favor", "seed": "--seed"}
# Fields of earlier releases that have been renamed.
EARLIER_NAMES = {
    "ageing": "aging", "favour": "favor", "twins": "consistency", "twins_weight": "consistency_weight",
    "game": "gan_loss", "game_weight": "gan_weight", "game_start": "gan_start", "game_keep_steps": "gan_keep_steps",
    "stock": "sensitivity",
}  # fmt: skip
# Content losses that train one part of a network, by name: how it listens to known colors, how it compares pictures.
PARTS = {"guided": "guidance", "likeness": "likeness"}
NO_AGING = Aging(
    sensitivity=0, tone=0, grain=0, blur=0, softness=0, halation=0, contrast=0, scratches=0, flicker=0, borders=0,
    compression=0,
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Part of a run: crop side in pixels, share of the budget, frozen encoder blocks."""

    crop: int
    share: float = 1.0
    frozen_blocks: int = 0


@dataclass(frozen=True)
class Recipe:
    """How a generator is trained."""

    name: str
    follows: str  # paper or project
    generator: str
    generator_config: dict[str, Any] = field(default_factory=dict)
    # Content terms: the prediction compared with the truth.
    content: str = (
        # l1, mse, rmse on a*b*; lab-l1, lab-mse on L*a*b*; bins; features-l1, features-mse, features-rmse;
        # guided, likeness: see PARTS
        "l1"
    )
    content_weight: float = 100.0
    features: str = "lite0"  # network of the feature losses: vgg19, or an EfficientNet-Lite
    perceptual_weight: float = 0.0  # of the mean squared distance of the coarsest features
    perceptual_finer: float = 0.0  # of the mean distance of the finer ones, each relative to the truth's mean square
    perceptual_start: float = 0.0  # share of the budget after which both perceptual terms begin
    readout_weight: float = 0.0  # of the mean squared difference of a*b*, beside `bins`
    decibel_weight: float = 0.0  # of its logarithm, picture by picture: what PSNR measures
    de94_weight: float = 0.0  # of the mean CIE94 difference of a*b*
    chroma_gap_weight: float = 0.0  # of the difference in colorfulness of each picture
    neutral_weight: float = 0.0  # of the chroma given to what is gray in truth
    consistency: float = 0.0  # share of a batch, 0 to 0.5, that are second views of its other pictures
    consistency_weight: float = 0.05  # of the mean |difference| in a*b* between the two views
    # The adversarial loss.
    gan_loss: str = "none"  # none, bce, hinge, wasserstein
    gan_weight: float = 1.0
    gan_start: float = 0.0  # share of the budget after which the adversarial loss begins
    discriminator: str = "patch"
    discriminator_config: dict[str, Any] = field(default_factory=dict)
    critic_steps: int = 1  # discriminator steps for each generator step
    gradient_penalty: float = 0.0
    collapse_steps: int = 1000  # the run stops after so many steps with loss_D near 0; 0: never
    # Optimization.
    optimizer: str = "adam"  # adam, adamw, muon
    learning_rate: float = 2e-4
    encoder_learning_rate: float | None = None
    discriminator_learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    schedule: str = "constant"  # constant, cosine
    warmup: float = 0.0  # share of the budget
    drop_path: float = 0.0  # share of pictures that skip the encoder's last residual block; fewer skip earlier ones
    average_decay: float = 0.0  # decay of the weight average, per step; 0: no average
    precision: str = "fp32"  # fp32; bf16 or fp16 for mixed precision, where the device computes in it natively
    accumulate: int = 1  # parts of a batch whose gradients are accumulated, to save memory
    # Data.
    stages: tuple[Stage, ...] = (Stage(256),)
    batch: int = 16  # photos in each step and process
    epochs: float | None = 20.0
    minutes: float | None = None
    steps: int | None = None
    validation_share: float = 0.0
    favor: tuple[tuple[str, float], ...] = ()
    hold_back: tuple[str, int] | None = None
    aging: Aging = NO_AGING
    zoom: float = 1.0  # how much closer than the whole short side crops may come; 1: one fixed scale for each photo
    cutmix: float = 0.0  # share of crops into which a box of another photo is pasted
    cards: float = 0.0  # share of crops replaced by drawn leaders and titles, which have no color
    uniform_share: float = 0.8  # of the bins' class weights, 1 / ((1 - u) prior + u uniform)
    seed: int = 1
    keep_epochs: int = 0  # a model file is kept every so many epochs; 0: only the last
    gan_keep_steps: int = 0  # a model file is kept every so many steps of the adversarial phase
    # The model file. None: as in the model given by --init.
    temperature: float | None = None
    saturation: float | None = None
    shrinkage: float | None = None
    agreement: float | None = None
    size: int | None = None

    @property
    def uses_features(self) -> bool:
        """Whether a term or the discriminator needs a frozen network's features."""
        perceives = bool(self.perceptual_weight or self.perceptual_finer)
        return perceives or self.content.startswith("features-") or self.discriminates_features

    @property
    def part(self) -> str | None:
        """The part of the network that alone is trained, where all else stays as it is; None: all of it is trained."""
        return PARTS.get(self.content)

    @property
    def discriminates_features(self) -> bool:
        """Whether the discriminator's input is a frozen network's features instead of pictures."""
        return self.gan_loss != "none" and self.discriminator == "features"


PIX2PIX = Recipe(
    name="pix2pix",
    follows="Isola, Zhu, Zhou, Efros 2017, Image-to-Image Translation with Conditional Adversarial Networks",
    generator="pix2pix",
    gan_loss="bce",
    batch=4,  # as the paper's colorization, which saw ImageNet six times
    epochs=6.0,
)
CGAN_LAB = Recipe(
    name="cgan-lab",
    follows="conditional GAN from L to ab in Lab: U-Net and convolutional PatchGAN",
    generator="pix2pix",
    gan_loss="bce",
    batch=16,
    epochs=45,
    validation_share=0.2,
)
WGAN_GP = Recipe(
    name="wgan-gp",
    follows="Gulrajani et al. 2017, Improved Training of Wasserstein GANs, on a residual U-Net",
    generator="resunet",
    gan_loss="wasserstein",
    discriminator="image",
    discriminator_config={"norm": "none"},
    critic_steps=5,
    gradient_penalty=10.0,
    betas=(0.5, 0.9),
    keep_epochs=10,
)
ECCV16 = Recipe(
    name="eccv16",
    follows="Zhang, Isola, Efros 2016, Colorful Image Colorization; content loss on VGG19 and an image-level judge",
    generator="eccv16",
    content="features-mse",
    content_weight=1.0,
    features="vgg19",
    gan_loss="bce",
    gan_weight=1e-3,
    discriminator="image",
)
DCGAN = Recipe(
    name="dcgan",
    follows="Nazeri, Ng, Ebrahimi 2018, Image Colorization using Generative Adversarial Networks",
    generator="pix2pix",
    generator_config={"outputs": 3},
    content="lab-l1",
    gan_loss="bce",
)
FCN_L2 = dataclasses.replace(
    DCGAN,
    name="fcn-l2",
    follows=f"{DCGAN.follows}: the baseline",
    content="lab-mse",
    content_weight=1.0,
    gan_loss="none",
)
DEFAULT = Recipe(
    name="default",
    follows="ours: Zhang et al. 2016's bins on a pretrained encoder, then a short adversarial phase (DeOldify's NoGAN)",
    generator="binnet",
    content="bins",
    content_weight=1.0,
    perceptual_weight=1.0,
    perceptual_start=0.6,
    gan_loss="hinge",
    gan_weight=0.05,
    gan_start=0.9,
    discriminator="multiscale",
    discriminator_config={"norm": "spectral", "layers": 2},  # its input has a quarter of a crop's side
    optimizer="adamw",
    learning_rate=1e-3,
    encoder_learning_rate=2e-4,
    betas=(0.9, 0.999),
    weight_decay=0.02,
    schedule="cosine",
    warmup=0.01,
    average_decay=0.999,
    stages=(Stage(96, 0.1, 99), Stage(96, 0.4, 6), Stage(128, 0.35, 6), Stage(192, 0.15, 6)),
    batch=32,
    epochs=None,
    minutes=60.0,
    aging=Aging(),
    cards=0.02,
)
FINE_TUNE = dataclasses.replace(
    DEFAULT,
    name="fine-tune",
    follows="ours: a trained default model learns the colors of other photos or films, gently",
    perceptual_weight=0.5,
    perceptual_finer=3.0,
    perceptual_start=0.0,
    readout_weight=0.01,
    chroma_gap_weight=0.15,
    consistency=0.125,
    consistency_weight=0.03,
    gan_loss="none",
    learning_rate=3e-4,
    encoder_learning_rate=6e-5,
    warmup=0.02,
    average_decay=0.997,
    stages=(Stage(128, 1.0, 6),),
    minutes=30.0,
)
GUIDED = dataclasses.replace(
    DEFAULT,
    name="guided",
    follows="ours: a trained default model learns to listen to known colors, and stays as it is where none are known",
    generator_config={"guidance": 4},
    content="guided",
    perceptual_weight=0.0,
    gan_loss="none",
    learning_rate=3e-3,
    weight_decay=0.0,
    betas=(0.9, 0.99),
    average_decay=0.99,
    stages=(Stage(128, 0.6), Stage(192, 0.4)),
    batch=16,
    minutes=60.0,
    cards=0.0,
)
LIKENESS = dataclasses.replace(
    GUIDED,
    name="likeness",
    follows="ours: a trained default model learns to find again in one picture what it saw in another",
    generator_config={"likeness": 64},
    content="likeness",
    stages=(Stage(192),),
    minutes=15.0,
)
OURS = DEFAULT, FINE_TUNE, GUIDED, LIKENESS
RECIPES = {recipe.name: recipe for recipe in (*OURS, PIX2PIX, CGAN_LAB, WGAN_GP, ECCV16, DCGAN, FCN_L2)}


def find_recipe(name: str) -> Recipe:
    """Find a recipe by name. Raises UsageError with the names that exist."""
    if name not in RECIPES:
        raise UsageError(f"recipe {describe_unknown(name, RECIPES)}")
    return RECIPES[name]


def rename_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of any release, and those within them, their current names."""
    return {
        EARLIER_NAMES.get(name, name): rename_fields(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
    }


def override(recipe: Recipe, changes: Mapping[str, str]) -> Recipe:
    """Replace fields of a recipe; values are JSON, or plain text for text fields. Raises UsageError.

    A different generator or discriminator starts with its default config.
    """
    kinds = typing.get_type_hints(Recipe)
    values: dict[str, Any] = {}
    for name, text in rename_fields(changes).items():
        if name not in kinds:
            raise UsageError(f"a recipe's field {describe_unknown(name, kinds)}")
        values[name] = _parse(name, text, kinds[name])
    for player in ("generator", "discriminator"):
        if values.get(player, getattr(recipe, player)) != getattr(recipe, player):
            values.setdefault(f"{player}_config", {})
    return dataclasses.replace(recipe, **values)


def _parse(name: str, text: str, kind: Any) -> Any:
    if kind is str:
        return text
    try:
        return _convert(
            json.loads(text, parse_constant=_parse_finite, parse_float=_parse_finite, parse_int=_parse_whole), kind
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(
            f"{name}={text}: needs a value of type {kind} as JSON, such as 0.5, [1, 2] or null."
        ) from error


def _parse_finite(text: str) -> float:
    """Parse a finite number; `json` alone accepts NaN, Infinity and 1e999."""
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _parse_whole(text: str) -> int:
    """Parse a whole number that fits 64 bits, as torch and NumPy need."""
    if abs(number := int(text)) >= 1 << 63:
        raise ValueError(text)
    return number


def _convert(value: Any, kind: Any) -> Any:
    """Convert a JSON value to the field's type, so that a recipe read back equals the printed one."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        chosen = [part for part in parts if part is not types.NoneType]
        return None if value is None else _convert(value, chosen[0])
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(value)
        hints, value = typing.get_type_hints(kind), rename_fields(value)
        for key in value:
            if key not in hints:
                raise UsageError(f"{getattr(kind, '__name__', '').lower()}'s field {describe_unknown(key, hints)}")
        return kind(**{key: _convert(entry, hints[key]) for key, entry in value.items()})  # type: ignore[operator]
    if origin is tuple:
        each = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
        if len(each) != len(value):
            raise ValueError("wrong length")
        return tuple(_convert(entry, part) for entry, part in zip(value, each, strict=True))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, origin or kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(value)
    return value


def format_recipe(recipe: Recipe) -> str:
    """Format every field as JSON, one on each line; `override` reads each value back."""
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in dataclasses.asdict(recipe).items())
