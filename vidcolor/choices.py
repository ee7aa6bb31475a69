"""What options may be: every list of names that the command line offers and the library checks, once.

Light to import, so that help and completion need nothing else. The order is that in which they are offered.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from vidcolor.errors import UsageError, closest_name
from vidcolor.formats import EXPORTS

# The network
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DEVICE_WORDS = ("auto", "all", "cpu", "cuda:0")  # examples: lists such as cuda:0,cuda:1 are devices, too
EXPORT_FORMS = tuple(EXPORTS)
EXPORT_PRECISIONS = ("fp32", "fp16", "int8")  # of the weights in an exported file

# Published colorizers
KINDS = ("ddcolor", "deoldify", "eccv16", "siggraph17", "lab")
LabInput = Literal["l", "rgb"]  # L*, or the gray picture as R'G'B'
LabOutput = Literal["ab", "rgb"]
LAB_INPUTS: tuple[LabInput, ...] = get_args(LabInput)
LAB_OUTPUTS: tuple[LabOutput, ...] = get_args(LabOutput)

# Colors over time
SteadyMode = Literal["off", "smooth", "flow", "shot"]
AveragingMode = Literal["smooth", "flow"]  # of those that average
STEADY_MODES: tuple[SteadyMode, ...] = get_args(SteadyMode)
TrueStills = Literal["none", "first", "first,last"]  # frames of a color film that it is to follow, in true colors
TRUE_STILLS: tuple[TrueStills, ...] = get_args(TrueStills)
EVALUATED_STEADY_MODES = ("off", "ema", "smooth", "flow", "shot", "auto")  # ema: a baseline; auto: --every auto

# Films
CODECS = ("h264", "hevc", "av1", "vp9", "prores", "ffv1")  # the first is the default
HW_CODECS = ("h264", "hevc", "av1")  # that graphics chips encode
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")  # x264's
HW_ENCODERS = ("nvenc", "qsv", "amf", "videotoolbox")  # NVIDIA, Intel, AMD, Apple; the likeliest first
ENCODERS = ("software", "hardware", *HW_ENCODERS)
# FFmpeg's names of devices, the likeliest first.
HW_DECODERS = ("cuda", "videotoolbox", "d3d12va", "d3d11va", "dxva2", "vaapi", "vdpau", "vulkan")
HWACCELS = ("off", "auto", *HW_DECODERS)
LOSSY_AUDIO = ("aac", "opus")  # FFmpeg's names of what --convert-audio takes

# Photos and archives
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")  # of JPEG
Others = Literal["copy", "skip"]  # what becomes of files that are neither photos nor films
OTHERS: tuple[Others, ...] = get_args(Others)

# Evaluation
LEARNED_METRICS = ("lpips", "fid", "is")  # by networks of others: the extra `metrics`
METRICS = ("wobble", "neutrals", "hints", *LEARNED_METRICS)  # beside those that are always measured
STOCKS = ("panchromatic", "orthochromatic", "faded", "low-contrast", "grainy", "newsreel")  # what photos look like

SHELLS = ("bash", "zsh", "fish")  # that completion is printed for

# What else people call a choice -> its name. They are not accepted, but understood.
OTHER_NAMES = {
    "h265": "hevc", "h.265": "hevc", "x265": "hevc", "libx265": "hevc", "h.264": "h264", "x264": "h264", "avc": "h264",
    "libx264": "h264", "av01": "av1", "libsvtav1": "av1", "libaom-av1": "av1", "libvpx-vp9": "vp9",
    "prores_ks": "prores", "nvidia": "nvenc", "nvdec": "cuda", "cuvid": "cuda", "intel": "qsv", "amd": "amf",
    "apple": "videotoolbox", "gpu": "hardware", "cpu": "software", "float32": "fp32", "float16": "fp16",
    "bfloat16": "bf16", "444": "4:4:4", "422": "4:2:2", "420": "4:2:0", "none": "off",
}  # fmt: skip


def check_choice(name: str, value: str | None, known: Sequence[str]) -> None:
    """Raise UsageError for a value that is not among those known; None is no choice, and fine."""
    if value is not None and value not in known:
        raise UsageError(f"{name} {describe_unknown(value, known)}")


def describe_unknown(value: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, which one was probably meant, and which there are."""
    known = list(known)
    there = f"one of {', '.join(known)}."
    if (meant := OTHER_NAMES.get(value.lower(), value.lower())) in known:
        return f"{value!r} is unknown; say {meant}. Choose {there}"
    if near := closest_name(value, known):
        return f"{value!r} is unknown; did you mean {near}? Choose {there}"
    return f"{value!r} is unknown; choose {there}"


def check_within(name: str, value: float | None, least: float, most: float = float("inf")) -> None:
    """Raise UsageError for a number that is outside of a range, or none; None is not set, and fine."""
    if value is not None and not least <= value <= most:  # NaN neither
        found = f"{least:g} to {most:g}" if most < float("inf") else f"{least:g} or more"
        raise UsageError(f"{name} {value}: needs {found}.")
