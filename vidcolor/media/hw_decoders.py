"""Decoding on a graphics chip, for codecs whose standard fixes every sample: the luma equals that of software."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame

from vidcolor.choices import HW_DECODERS, HWACCELS, check_choice
from vidcolor.media.input_file import demux
from vidcolor.media.opening import open_container
from vidcolor.media.pixels import Layout, layout_of, luma_of
from vidcolor.media.probe import ProbeResult
from vidcolor.media.pyav import close_input, open_input
from vidcolor.media.streams import choose_video

# MPEG-2 and MPEG-4 part 2 leave the inverse transform's rounding to the decoder.
EXACT_CODECS = ("h264", "hevc", "vp8", "vp9", "av1")
COMPARED_FRAMES = 24  # with software, before a device is trusted; a film may begin with black


class HardwareError(Exception):
    """The device cannot decode the film, or not as the software does. The message is a clause, for a warning."""


def choose_device(path: Path, examined: ProbeResult, wanted: str) -> str:
    """Choose the kind of device that decodes the film. wanted: one of HW_DECODERS, or auto for the first that works.

    Raises HardwareError where none works, UsageError for an unknown kind.
    """
    check_choice("hwaccel", wanted, HWACCELS)
    if examined.info.codec not in EXACT_CODECS:
        raise HardwareError(f"{examined.info.codec} is not decoded alike by every device")
    built_in = [device for device in HW_DECODERS if device in hwdevices_available()]
    tried = built_in if wanted == "auto" else [wanted]
    reasons = []
    for device in tried:
        try:
            _verify(path, examined, device)
        except HardwareError as failure:
            reasons.append(f"{device} ({failure})")
        else:
            return device
    raise HardwareError(", ".join(reasons) or "this FFmpeg knows none")


def open_on_device(path: Path, device: str) -> InputContainer:
    """Open the film for decoding on a device, which gives frames as NV12, P010 or similar. Raises HardwareError."""
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


def has_layout(frame: VideoFrame, layout: Layout) -> bool:
    """Whether a frame from a device has the bit depth and chroma subsampling of the film."""
    found = layout_of(frame.format.name)
    return found.readable and (found.bits, found.chroma_shift) == (layout.bits, layout.chroma_shift)


def _verify(path: Path, examined: ProbeResult, device: str) -> None:
    """Compare the first frames with frames decoded in software. Raises HardwareError."""
    with ExitStack() as stack:
        fast = open_on_device(path, device)
        stack.callback(close_input, fast)
        plain = open_container(path)
        stack.callback(close_input, plain)
        pairs = zip_longest(*(_decode(film, path) for film in (fast, plain)))
        try:
            for number, (theirs, ours) in enumerate(islice(pairs, COMPARED_FRAMES)):
                if theirs is None or ours is None:
                    raise HardwareError("it gives another number of frames")
                if not has_layout(theirs, examined.layout):
                    raise HardwareError(f"it gives {theirs.format.name} for {ours.format.name}")
                one, other = (luma_of(frame, layout_of(frame.format.name)) for frame in (theirs, ours))
                if not np.array_equal(one, other):
                    raise HardwareError(f"its frame {number} is not the software's")
        except (FFmpegError, OSError, RuntimeError, ValueError) as error:
            raise HardwareError(_reason(error)) from error


def _decode(film: InputContainer, path: Path) -> Iterator[VideoFrame]:
    """All frames. Raises ReadError, which is no device's fault, and errors of decoding."""
    for packet in demux(film, choose_video(film, path)[0]):
        yield from packet.decode()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
