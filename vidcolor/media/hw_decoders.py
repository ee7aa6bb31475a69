"""Decoding on a graphics chip, for codecs whose every decoded sample the standard fixes: the luma is the software's."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame

from vidcolor.choices import HW_DECODERS, HWACCELS
from vidcolor.errors import UsageError
from vidcolor.media.input_file import packets
from vidcolor.media.pixels import Layout, layout_of, luma_of
from vidcolor.media.probe import Examined, choose_video, open_container
from vidcolor.media.pyav import open_input

# MPEG-2 and MPEG-4 part 2 leave the inverse transform's rounding to the decoder.
EXACT_CODECS = ("h264", "hevc", "vp8", "vp9", "av1")
PROVED_FRAMES = 24  # compared with the software's before a device is trusted; a film may begin with black


class HardwareError(Exception):
    """The device cannot decode the film, or not as the software does. The message is a clause, for a warning."""


def choose_device(path: Path, examined: Examined, wanted: str) -> str:
    """The kind of device that decodes the film; wanted: one of HW_DECODERS, or auto for the first that does.

    Raises HardwareError where none does, UsageError for a kind that is unknown.
    """
    if wanted not in HWACCELS:
        raise UsageError(f"hwaccel {wanted!r} is unknown; choose {', '.join(HWACCELS)}.")
    if examined.info.codec not in EXACT_CODECS:
        raise HardwareError(f"{examined.info.codec} is not decoded alike by every device")
    built_in = [device for device in HW_DECODERS if device in hwdevices_available()]
    tried = built_in if wanted == "auto" else [wanted]
    reasons = []
    for device in tried:
        try:
            _prove(path, examined, device)
        except HardwareError as failure:
            reasons.append(f"{device} ({failure})")
        else:
            return device
    raise HardwareError(", ".join(reasons) or "this FFmpeg knows none")


def open_on(path: Path, device: str) -> InputContainer:
    """The film, its frames decoded on the device and brought back, as NV12, P010 or their like.

    Raises HardwareError.
    """
    if device not in hwdevices_available():
        raise HardwareError("not in this FFmpeg")  # which would take another device for a name that it does not know
    try:
        accelerator = HWAccel(device, allow_software_fallback=False)
        container = open_input(path, hwaccel=accelerator)
    except (FFmpegError, OSError, RuntimeError, ValueError) as error:
        raise HardwareError(_reason(error)) from error
    stream, _ = choose_video(container, path)
    if not stream.codec_context.is_hwaccel:
        container.close()
        raise HardwareError(f"FFmpeg's {stream.codec_context.name} does not decode on it")
    stream.codec_context.thread_count = 1  # threads would each hold surfaces, of which a device has few
    return container


def is_twin(frame: VideoFrame, layout: Layout) -> bool:
    """Whether a frame from a device has its luma in the same depth, and chroma in the same places, as the film's."""
    found = layout_of(frame.format.name)
    return found.readable and (found.bits, found.chroma_shift) == (layout.bits, layout.chroma_shift)


def _prove(path: Path, examined: Examined, device: str) -> None:
    """Compare the first frames with the software's. Raises HardwareError."""
    with closing(open_on(path, device)) as fast, closing(open_container(path)) as plain:
        pairs = zip_longest(*(_frames(film, path) for film in (fast, plain)))
        try:
            for number, (theirs, ours) in enumerate(islice(pairs, PROVED_FRAMES)):
                if theirs is None or ours is None:
                    raise HardwareError("it gives another number of frames")
                if not is_twin(theirs, examined.layout):
                    raise HardwareError(f"it gives {theirs.format.name} for {ours.format.name}")
                one, other = (luma_of(frame, layout_of(frame.format.name)) for frame in (theirs, ours))
                if not np.array_equal(one, other):
                    raise HardwareError(f"its frame {number} is not the software's")
        except (FFmpegError, OSError, RuntimeError, ValueError) as error:
            raise HardwareError(_reason(error)) from error


def _frames(film: InputContainer, path: Path) -> Iterator[VideoFrame]:
    """Raises ReadError, which is no device's fault, and what decoding raises."""
    for packet in packets(film, choose_video(film, path)[0]):
        yield from packet.decode()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
