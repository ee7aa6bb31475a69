"""Decodes a film's frames from any time on, and gives every frame a time later than the one before."""

from __future__ import annotations  # Packet[...] is for type checkers only

import math
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import cast

from av.codec.context import ThreadType
from av.container import Flags, InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.media.damage import Damage
from vidcolor.media.hw_decoders import HardwareError, has_layout, open_on_device
from vidcolor.media.input_file import check_read, demux
from vidcolor.media.opening import open_container
from vidcolor.media.probe import ProbeResult
from vidcolor.media.pyav import close_input
from vidcolor.media.streams import choose_video

_WITHOUT_PTS = {"avi", "h264", "hevc", "m4v", "mpegvideo", "vc1"}
_TIMES_SOME = {"mpeg"}  # program streams need no time for every frame, and FFmpeg's guesses may be a frame off
_SEEK_BACK_SECONDS = (0, 1, 2, 4, 8, 16)  # before a time, until a key frame is met
_LEADING_FRAMES = 32  # H.264 reorders at most 16


class FrameReader:
    """The open file and its decoder. Reading again, from anywhere, ends what was being read."""

    def __init__(self, path: Path, film: ProbeResult) -> None:
        """film: the film as coded, before cropping."""
        self._path, self._film, self._info = path, film, film.info
        self._container: InputContainer | None = None
        self._has_read = False
        self.damage = Damage()  # since reading began
        self.device: str | None = None  # which one of choices.HW_DECODERS decodes; None: software

    def open(self) -> None:
        """Open the file. Raises SourceError, ReadError."""
        self._container = open_container(self._path)

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            close_input(self._container)
            self._container = None

    @property
    def is_open(self) -> bool:
        """Whether there is a file to read."""
        return self._container is not None

    @property
    def can_seek(self) -> bool:
        """Whether seeking leads to the film's own frames.

        FFmpeg looks for a time by halving the file, which needs a clock that only rises. Frames that are timed by their
        order, if only in part, need all that come before: behind a key frame B-frames are lost.
        """
        kind = self._info.container.split(",")[0]
        by_order_alone = kind in _TIMES_SOME or (kind in _WITHOUT_PTS and (kind != "avi" or self._film.has_b_frames))
        return not self._film.timeline.jumps and not by_order_alone

    @property
    def has_stored_times(self) -> bool:
        """Whether the container stores the time of each frame, so that one can be told by it."""
        return self._info.container.split(",")[0] not in _WITHOUT_PTS

    def read_from(self, seek_pts: int | None) -> tuple[Iterator[VideoFrame], VideoStream]:
        """Frames from a key frame at or before a time on; from the start where seeking leads to none. And their stream.

        In formats without an index FFmpeg lands somewhere, and what follows need not decode to the film's own frames.
        Raises HardwareError where a device fails, or meets damage.
        """
        if seek_pts is not None and self.can_seek:
            for seconds in _SEEK_BACK_SECONDS:
                frames, stream = self._open_at(seek_pts - math.ceil(seconds / self._info.time_base))
                first = next(frames, None)
                if first is not None and first.pts is not None and first.pts <= seek_pts and first.key_frame:
                    self.damage = Damage()  # what lies before a key frame does not decode without the one before
                    return chain([first], frames), stream
        return self._open_at(None)

    def duration_of(self, frame: VideoFrame, stream: VideoStream) -> int:
        """How long a frame lasts, in the stream's time_base: as stated, else by the frame rate, else one tick."""
        if frame.duration:
            return frame.duration
        if self._info.frame_rate and stream.time_base:
            return max(1, round(1 / (self._info.frame_rate * stream.time_base)))
        return 1

    def _open_at(self, seek_pts: int | None) -> tuple[Iterator[VideoFrame], VideoStream]:
        container, stream = self._reopen() if self._has_read or self.device else self._prepare_stream()
        self._has_read = True
        self.damage = Damage()
        if seek_pts is not None:
            try:
                container.seek(seek_pts, stream=stream)
            except FFmpegError as error:
                check_read(container, error)
                return iter(()), stream
        decoded = self._decode(container, stream)
        return self._set_times(self._check_device_frames(decoded) if self.device else decoded, stream), stream

    def _reopen(self) -> tuple[InputContainer, VideoStream]:
        assert self._container is not None
        close_input(self._container)
        self._container = open_on_device(self._path, self.device) if self.device else open_container(self._path)
        return self._prepare_stream()

    def _prepare_stream(self) -> tuple[InputContainer, VideoStream]:
        assert self._container is not None
        stream, _ = choose_video(self._container, self._path)
        stream.thread_type = ThreadType.AUTO  # slice threads alone decode at 0.6-0.7 of the speed
        return self._container, stream

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Frames as the decoder gives them; a packet that fails is counted and skipped."""
        by_order = container.format.name in _WITHOUT_PTS
        if by_order:
            # FFmpeg would guess pts, wrongly with B-frames. The k-th frame shown is at the k-th dts. In program streams
            # it guesses rightly: there not every frame need have a time, and none is damage.
            container.flags &= ~cast(int, Flags.gen_pts.value)
        dts_in_order: deque[int] = deque()
        packets = self._film.timeline.straighten(demux(container, stream))
        while True:
            try:
                packet: Packet[VideoStream] | None = next(packets, None)
            except FFmpegError:
                self.damage.corrupt_packets += 1
                return
            if packet is None:
                self.damage.excuse_joins(self._film.timeline.jumps)
                return
            if not packet.size and packet.dts is not None:
                continue  # AVI's "as before"; to the decoder an empty packet would mean the end
            self.damage.corrupt_packets += packet.is_corrupt
            if by_order and packet.dts is not None:
                dts_in_order.append(packet.dts)
            try:
                frames = packet.decode()
            except FFmpegError:
                self.damage.undecodable_packets += 1
                if dts_in_order:
                    dts_in_order.pop()
                continue
            for frame in frames:
                self.damage.corrupt_frames += frame.is_corrupt
                if by_order:
                    frame.pts = dts_in_order.popleft() if dts_in_order else None
                yield frame

    def _check_device_frames(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """A device's frames, up to where software might decode others. Raises HardwareError there."""
        picture = self._info.picture
        for frame in frames:
            self._check_damage()
            if (frame.width, frame.height) != (picture.width, picture.height):
                raise HardwareError("the picture changes its size")
            if not has_layout(frame, self._film.layout):
                raise HardwareError("the picture changes its format")
            yield frame
        self._check_damage()

    def _check_damage(self) -> None:
        """Stop a device at damage: each hides it in its own way, or stops. Raises HardwareError."""
        if self.damage.corrupt_packets or self.damage.undecodable_packets or self.damage.corrupt_frames:
            raise HardwareError(f"it met {self.damage.describe()}")

    def _set_times(self, frames: Iterator[VideoFrame], stream: VideoStream) -> Iterator[VideoFrame]:
        """Give every frame a pts later than the one before: its own, else from dts, else from the frame rate."""
        previous: VideoFrame | None = None
        may_lack = self._info.container.split(",")[0] in _TIMES_SOME
        for frame in self._set_leading_times(frames, stream):
            pts = frame.pts if frame.pts is not None else frame.dts
            if previous is None:
                pts = pts if pts is not None else (stream.start_time or 0)
            else:
                assert previous.pts is not None
                if pts is None or pts <= previous.pts:
                    pts = previous.pts + self.duration_of(previous, stream)
            if pts != frame.pts:
                self.damage.repaired_timestamps += not may_lack
                frame.pts = pts
            frame.time_base = stream.time_base
            yield frame
            previous = frame

    def _set_leading_times(self, frames: Iterator[VideoFrame], stream: VideoStream) -> Iterator[VideoFrame]:
        """Time the frames before the first that has a pts back from it, by the frame rate."""
        leading = []
        for frame in frames:
            leading.append(frame)
            if frame.pts is not None or len(leading) > _LEADING_FRAMES:
                break
        known = leading[-1].pts if leading else None
        for index, frame in enumerate(leading[:-1]):
            if known is not None:
                frame.pts = known - (len(leading) - 1 - index) * self.duration_of(frame, stream)
                self.damage.repaired_timestamps += 1
            yield frame
        yield from leading[-1:]
        yield from frames
