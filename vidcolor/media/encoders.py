"""Which encoder writes the picture, in which pixel format, with which options."""

import struct
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
from av.codec import Codec
from av.codec.codec import UnknownCodecError

from vidcolor.choices import CODECS, LOSSY_AUDIO, PRESETS, check_choice
from vidcolor.errors import Remark, SinkError, UsageError, closest_name
from vidcolor.frames import PictureFormat
from vidcolor.media import hw_encoders
from vidcolor.media.pixels import Layout, layout_of
from vidcolor.media.probe import ProbeResult

_ENCODERS = {
    "h264": ("libx264",),
    "hevc": ("libx265",),
    "av1": ("libsvtav1", "libaom-av1"),
    "vp9": ("libvpx-vp9",),
    "prores": ("prores_ks",),
    "ffv1": ("ffv1",),
}
_SVTAV1_PRESETS = dict(zip(PRESETS, (12, 11, 10, 9, 8, 7, 5, 4, 3), strict=True))
_VP9_CPU_USED = dict(zip(PRESETS, (5, 5, 5, 4, 4, 3, 2, 1, 0), strict=True))
_STATIC_HDR_ENCODERS = {"libx264", "libx265", "libsvtav1"}
# Closed captions are side data of frames (ATSC A/53, CEA-608 and 708); these encoders write it into their streams.
CAPTION_ENCODERS = {"libx264", "libx265", "h264_nvenc", "hevc_nvenc", "h264_qsv"}
_AVX_512 = 13  # OpenCV's CV_CPU_AVX_512F
_GREATEST_CRF = {"libsvtav1": 63, "libaom-av1": 63, "libvpx-vp9": 63, "av1_nvenc": 63, "av1_amf": 63}  # 51 elsewhere
_INTERLACED_ENCODERS = {"libx264", "prores_ks", "ffv1"}
_WHOLE_CHROMA_ENCODERS = {"libx264", "libx265"}  # their bitstreams crop by whole chroma samples


@dataclass(frozen=True)
class OutputSettings:
    """How the colored film is written."""

    codec: str | None = None  # one of choices.CODECS; None: h264, or what the container takes (WebM)
    crf: int = 18  # constant quality on the encoder's own scale; unused by prores and ffv1
    preset: str = "veryfast"  # by x264's names; translated for other encoders
    pix_fmt: str | None = None  # None: depth and subsampling of the source
    overwrite: bool = False
    encoder: str = "software"  # or one of choices.HW_ENCODERS that works here: see encoder_trial.choose_encoder
    convert_audio: str | None = None  # aac or opus, for audio that the container cannot hold as it is
    drop_audio: bool = False


@dataclass(frozen=True)
class Encoding:
    """The encoder that was chosen for the picture, and its settings."""

    codec: str
    encoder: str
    pixel_format: str
    interlaced: bool
    options: dict[str, str]
    warnings: tuple[str, ...] = field(default=())


def choose_encoding(examined: ProbeResult, settings: OutputSettings, container: str, takes: set[str]) -> Encoding:
    """Choose encoder and pixel format. takes: FFmpeg's names of the codecs that the container holds.

    Raises UsageError for settings that cannot be met, SinkError where this FFmpeg has no encoder for them.
    """
    if settings.convert_audio and settings.drop_audio:
        raise UsageError("--convert-audio and --drop-audio: sound is converted or left out; give one of them.")
    check_choice("convert_audio", settings.convert_audio, LOSSY_AUDIO)
    check_choice("preset", settings.preset, PRESETS)
    check_choice("codec", settings.codec, CODECS)
    if takes.isdisjoint(CODECS):
        raise SinkError(f"this FFmpeg names no codec that {container} holds; choose another suffix (.mkv).")
    if settings.codec is not None and settings.codec not in takes:
        fitting = ", ".join(codec for codec in CODECS if codec in takes)
        raise UsageError(
            f"{container} cannot hold {settings.codec}; choose --codec {fitting}, or another suffix (.mkv)."
        )
    codecs = [settings.codec] if settings.codec else [codec for codec in ("h264", "av1", "vp9") if codec in takes][:2]
    found = [
        (codec, name) for codec in codecs for name in _encoder_names(codec, settings.encoder) if _has_encoder(name)
    ]
    if not found:
        kind = "" if settings.encoder == "software" else f"{settings.encoder} "
        raise SinkError(f"this FFmpeg has no {kind}encoder for {' or '.join(codecs)}; choose another --codec.")
    if not settings.codec and found[0][0] == "h264":
        found = found[:1]
    encodings = [_make_encoding(examined, settings, codec, name) for codec, name in found]
    # Where the container leaves the choice (WebM), the first that needs no compromise, else the first.
    return next((encoding for encoding in encodings if not encoding.warnings), encodings[0])


def _encoder_names(codec: str, encoder: str) -> tuple[str, ...]:
    return _ENCODERS[codec] if encoder == "software" else (f"{codec}_{encoder}",)


def _has_encoder(encoder: str) -> bool:
    try:
        Codec(encoder, "w")
    except UnknownCodecError:
        return False
    return True


def _make_encoding(examined: ProbeResult, settings: OutputSettings, codec: str, encoder: str) -> Encoding:
    greatest = _GREATEST_CRF.get(encoder, 51)
    if not 0 <= settings.crf <= greatest:
        raise UsageError(f"crf {settings.crf} is out of range; {encoder} takes 0 (finest) to {greatest} (smallest).")
    warnings: list[str] = []
    interlaced = examined.info.field_order in ("tff", "bff")
    if interlaced and encoder not in _INTERLACED_ENCODERS:
        warnings.append(f"{codec} is written frame by frame here; the {examined.info.field_order} fields stay woven")
        interlaced = False
    if settings.pix_fmt is None:
        pixel_format = _nearest_format(examined.info.picture, encoder, interlaced, warnings)
    else:
        pixel_format = _requested_format(
            settings.pix_fmt, examined.info.picture, encoder, warnings, interlaced=interlaced
        )
    if (examined.mastering_display or examined.content_light) and encoder not in _STATIC_HDR_ENCODERS:
        keeping = "--encoder software --codec hevc" if hw_encoders.family_of(encoder) else "--codec hevc"
        warnings.append(f"{encoder} does not store the HDR mastering display; choose {keeping} to keep it")
    if examined.has_captions and encoder not in CAPTION_ENCODERS:
        warnings.append(lost_captions_text(encoder))
    options = _options(encoder, settings, layout_of(pixel_format), examined)
    return Encoding(codec, encoder, pixel_format, interlaced, options, tuple(warnings))


def lost_captions_text(encoder: str) -> str:
    """A warning that an encoder does not store closed captions."""
    advice = "in .mkv, .mp4 and .mov h264 and hevc keep them"
    return f"closed captions in the picture (CEA-608/708) cannot be carried by {encoder}; {advice}"


def _pixel_formats(encoder: str) -> dict[str, Layout]:
    """YCbCr formats without alpha that the encoder takes, without yuvj formats: the range flag states the same."""
    if hw_encoders.family_of(encoder):
        return {name: layout_of(name) for name in hw_encoders.formats_of(encoder)}
    names = [known.name for known in Codec(encoder, "w").video_formats or []]
    layouts = {name: layout_of(name) for name in names if name.startswith("yuv") and name[3] not in "ja"}
    return {name: layout for name, layout in layouts.items() if layout.readable and not layout.big_endian}


def _nearest_format(picture: PictureFormat, encoder: str, interlaced: bool, warnings: list[str]) -> str:
    """The source's depth and subsampling, else the nearest format without loss, else the least loss, with a warning."""

    def loss(layout: Layout) -> tuple[int, ...]:
        finer = [have - want for have, want in zip(layout.chroma_shift, picture.chroma_shift, strict=True)]
        lost_bits = max(0, picture.bits - layout.bits)
        lost_chroma = sum(max(0, step) for step in finer)
        return lost_bits, lost_chroma, abs(layout.bits - picture.bits), sum(abs(step) for step in finer)

    fitting = {
        name: layout
        for name, layout in _pixel_formats(encoder).items()
        if _can_hold(picture, layout, encoder, interlaced=interlaced)
    }
    if not fitting:
        raise SinkError(f"{encoder} cannot write {picture.width}x{picture.height}; try --codec ffv1 in an .mkv.")
    best = min(fitting, key=lambda name: loss(fitting[name]))
    if any(loss(fitting[best])):
        text = (
            f"{encoder} cannot write {_format_text(picture.bits, picture.chroma_shift)} at"
            f" {picture.width}x{picture.height}{' interlaced' if interlaced else ''}; written as {best}"
        )
        warnings.append(text if any(loss(fitting[best])[:2]) else Remark(text))
    return best


def _can_hold(picture: PictureFormat, layout: Layout, encoder: str, *, interlaced: bool) -> bool:
    """Whether an encoder takes a picture of this size: some take no part of a sample of chroma."""
    if encoder not in _WHOLE_CHROMA_ENCODERS and hw_encoders.family_of(encoder) is None:
        return True
    across, down = layout.chroma_shift
    return picture.width % (1 << across) == 0 and picture.height % (1 << down << interlaced) == 0


def _requested_format(name: str, picture: PictureFormat, encoder: str, warnings: list[str], *, interlaced: bool) -> str:
    formats = _pixel_formats(encoder)
    if hw_encoders.family_of(encoder):  # which may know yuv420p10le as p010le alone
        name = next((known for known, has in formats.items() if name in (known, has.planar)), name)
    if name not in formats:
        near = f" Did you mean {found}?" if (found := closest_name(name, formats)) else ""
        raise UsageError(f"{encoder} cannot write pixel format {name!r}.{near} It can write {', '.join(formats)}.")
    if not _can_hold(picture, formats[name], encoder, interlaced=interlaced):
        fitting = [known for known in formats if _can_hold(picture, formats[known], encoder, interlaced=interlaced)]
        advice = f"it can with {', '.join(fitting)}" if fitting else "try --codec ffv1 in an .mkv"
        raise UsageError(f"{encoder} cannot write {name} at {picture.width}x{picture.height}; {advice}.")
    if formats[name].bits < picture.bits:
        warnings.append(f"{name} as asked for: the film's {picture.bits} bits become {formats[name].bits}")
    return name


def _format_text(bits: int, chroma_shift: tuple[int, int]) -> str:
    return Layout(bits, chroma_shift, True).planar


def _options(encoder: str, settings: OutputSettings, layout: Layout, examined: ProbeResult) -> dict[str, str]:
    crf, preset = str(settings.crf), settings.preset
    if hw_encoders.family_of(encoder):
        return hw_encoders.options_of(encoder, settings.crf, PRESETS.index(preset))
    light = _static_hdr(examined)
    match encoder:
        case "libx264":
            parameters = ":".join(filter(None, (_x264_parameters(), light)))
            return {"crf": crf, "preset": preset} | ({"x264-params": parameters} if parameters else {})
        case "libx265":
            light = light.replace("mastering-display", "master-display").replace("cll", "max-cll")
            # x265 writes to stderr by itself unless told not to.
            parameters = ":".join(filter(None, ("log-level=none", light)))
            return {"crf": crf, "preset": preset, "x265-params": parameters, "a53cc": "1"}
        case "libsvtav1":
            options = {"crf": crf, "preset": str(_SVTAV1_PRESETS[preset])}
            light = _static_hdr(examined, floats=True).replace("cll", "content-light")
            return options | ({"svtav1-params": light} if light else {})
        case "libaom-av1":
            return {"crf": crf, "cpu-used": str(_VP9_CPU_USED[preset] + 1), "row-mt": "1"}
        case "libvpx-vp9":
            return {"crf": crf, "b": "0", "deadline": "good", "cpu-used": str(_VP9_CPU_USED[preset]), "row-mt": "1"}
        case "prores_ks":
            return {"profile": "4444" if layout.chroma_shift == (0, 0) else "hq", "vendor": "apl0"}
    return {"level": "3", "slicecrc": "1"}


def _x264_parameters() -> str:
    """Keep x264 from AVX-512: that code encodes equal frames differently now and then, and AVX2 is as fast."""
    return "asm=avx2" if cv2.checkHardwareSupport(_AVX_512) else ""


def _static_hdr(examined: ProbeResult, *, floats: bool = False) -> str:
    """Mastering display and light level as x264, x265 (integers, 1/50000 and 1/10000) or SVT-AV1 (floats) read them."""
    parts = []
    display = examined.mastering_display
    if display and len(display) >= 88:
        # AVMasteringDisplayMetadata: R, G, B and white as (x, y), then least and greatest luminance, as AVRationals,
        # and whether the first eight and the last two mean anything. 0 is what the standards write for unknown.
        *numbers, has_primaries, has_luminance = struct.unpack("<22i", display[:88])
        values = [Fraction(n, d) if d else Fraction(0) for n, d in zip(numbers[::2], numbers[1::2], strict=True)]
        values = [
            value if (has_primaries if place < 8 else has_luminance) else Fraction(0)
            for place, value in enumerate(values)
        ]

        def pair(name: str, first: Fraction, second: Fraction, scale: int) -> str:
            texts = (f"{float(v):.4f}" if floats else str(round(v * scale)) for v in (first, second))
            return f"{name}({','.join(texts)})"

        colors = [
            pair(name, values[2 * i], values[2 * i + 1], 50000) for name, i in (("G", 1), ("B", 2), ("R", 0), ("WP", 3))
        ]
        is_known = has_primaries and has_luminance if floats else has_primaries or has_luminance
        if is_known:  # AV1 has no number for unknown
            parts.append("mastering-display=" + "".join(colors) + pair("L", values[9], values[8], 10000))
    if examined.content_light and any(examined.content_light):
        parts.append("cll={},{}".format(*examined.content_light))
    return ":".join(parts)
