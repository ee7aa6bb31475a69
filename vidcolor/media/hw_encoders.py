"""Encoders on graphics chips: their names, and the options that crf and preset become.

No B-frames: drivers disagree on their times, and segments then meet without overlap. FFmpeg's documentation of the
options: https://ffmpeg.org/ffmpeg-codecs.html, and `ffmpeg -h encoder=h264_nvenc` for those of NVENC and AMF.
"""

from av.codec import Codec
from av.codec.codec import UnknownCodecError

from vidcolor.choices import HW_ENCODERS
from vidcolor.errors import UsageError

# Every chip that takes the depth takes these, and FFmpeg hands them on without loss.
_FORMATS = ("yuv420p", "nv12", "p010le", "yuv444p")
_NVENC_PRESETS = ("p1", "p1", "p2", "p3", "p4", "p4", "p5", "p6", "p7")
_QSV_PRESETS = ("veryfast", "veryfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_AMF_PRESETS = ("speed", "speed", "speed", "speed", "balanced", "balanced", "quality", "quality", "quality")
_QP2LAMBDA = 118  # FFmpeg's FF_QP2LAMBDA: what a unit of -q:v is in global_quality


def family_of(encoder: str) -> str | None:
    """The family of an encoder by FFmpeg's name; None for one in software."""
    family = encoder.rpartition("_")[2]
    return family if family in HW_ENCODERS else None


def built_in_families() -> tuple[str, ...]:
    """Families that this FFmpeg is built with, whatever chip the machine has."""
    return tuple(family for family in HW_ENCODERS if formats_of(f"h264_{family}"))


def formats_of(encoder: str) -> list[str]:
    """Pixel formats that an encoder is given, of the formats that it lists."""
    try:
        listed = {known.name for known in Codec(encoder, "w").video_formats or []}
    except UnknownCodecError:
        return []
    return [name for name in _FORMATS if name in listed]


def options_of(encoder: str, crf: int, speed: int) -> dict[str, str]:
    """FFmpeg's options for constant quality. speed: index of the preset in choices.PRESETS, 0 the fastest.

    Raises UsageError for crf 0.
    """
    if not crf:
        raise UsageError(f"crf 0 is lossless, which {encoder} is not; give 1 or more, or --encoder software.")
    common = {"bf": "0", "g": "250"}  # g: as x264 sets it
    match family_of(encoder):
        case "nvenc":
            # Without a bit rate of 0, cq has a ceiling of 2 Mbit/s.
            return common | {"preset": _NVENC_PRESETS[speed], "rc": "vbr", "cq": str(crf), "b": "0"}
        case "qsv":
            return common | {"preset": _QSV_PRESETS[speed], "global_quality": str(crf)}
        case "amf":
            # The scale of AV1's quantizer has 256 steps.
            step = str(crf * 255 // 63 if encoder == "av1_amf" else crf)
            return common | {"quality": _AMF_PRESETS[speed], "rc": "cqp", "qp_i": step, "qp_p": step}
    # 1 is the smallest file and 100 the finest picture; 18 becomes 65, where Apple's encoders and x264 look alike.
    finest = max(1, round(100 - crf * 100 / 51))
    return common | {"flags": "+qscale", "global_quality": str(finest * _QP2LAMBDA)}
