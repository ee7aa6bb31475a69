"""Copies the streams beside the picture, packet by packet, from a demuxer of their own, in step with the video."""

from __future__ import annotations  # Packet[...] is for type checkers only

import math
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.stream import Discard, Stream

from vidcolor.media.audio import AudioConverter
from vidcolor.media.input_file import demux
from vidcolor.media.metadata import kept_tags
from vidcolor.media.plan import StreamPlan
from vidcolor.media.pyav import fraction_of
from vidcolor.media.stream_support import add_copy
from vidcolor.media.subtitles import SubtitleConverter
from vidcolor.media.timeline import Timeline

_LEAD_SECONDS = 10  # packets of one time are at most so far apart in the file; a subtitle lasts less


class StreamCopy:
    """Adds the planned streams to the output and carries their packets over."""

    def __init__(
        self,
        source: InputContainer,
        output: OutputContainer,
        plans: tuple[StreamPlan, ...],
        timeline: Timeline,
        *,
        start_seconds: Fraction | None = None,
        end_seconds: Fraction | None = None,
        starts_at_zero: bool = False,
    ) -> None:
        """Add the streams. start_seconds, end_seconds: of the range, on the source's clock.

        starts_at_zero: the container has no times below zero; packets before are left out. The time of the source that
        is zero in the output is `shift_seconds`.
        """
        self._starts_at_zero = starts_at_zero
        self._source, self._output, self._timeline = source, output, timeline
        self._start, self._end = start_seconds, end_seconds
        self.shift_seconds = start_seconds or Fraction(0)
        self._copies: dict[int, Stream] = {}
        self._converters: dict[int, SubtitleConverter | AudioConverter] = {}
        self._last_dts: dict[int, int] = {}
        self._discarded: dict[int, Packet[Stream]] = {}  # the last packet of each stream that an edit list cuts away
        self._audio_times: dict[int, tuple[int, int]] = {}  # dts and duration of each sound's last packet
        self.nudged_packets = 0
        self.closed_seconds = Fraction(0)  # of gaps in the sound, where the container has no times for it
        self.early_seconds = Fraction(0)  # of sound before zero that is left out
        self.unreadable: Counter[str] = Counter()  # packets to convert that do not decode, by kind of stream
        for entry in plans:
            self._add_stream(source.streams[entry.index], entry)
        for stream in source.streams:
            if stream.index not in self._copies and stream.index not in self._converters:
                stream.discard = Discard.all
        self._packets = self._demux()
        self._pending: Packet[Stream] | None = None

    def _add_stream(self, stream: Stream, entry: StreamPlan) -> None:
        if entry.action == "copy":
            copy = add_copy(self._output, stream)
            if stream.type != "attachment":
                self._copies[stream.index] = copy
            self._copy_tags(copy, stream)
        elif entry.action == "convert":
            kind = AudioConverter if stream.type == "audio" else SubtitleConverter
            converter = kind(stream, self._output, entry.detail)
            self._copy_tags(converter.target, stream)
            self._converters[stream.index] = converter
        elif entry.action == "attach":
            suffix, mimetype = ("jpg", "image/jpeg") if entry.codec == "mjpeg" else ("png", "image/png")
            packet = next((packet for packet in demux(self._source, stream) if packet.size), None)
            if packet is None:
                return
            # Matroska's guidelines name a cover so; readers find it by that name.
            self._output.add_attachment(f"cover.{suffix}", mimetype, bytes(packet))
            self._source.seek(0)

    @staticmethod
    def _copy_tags(target: Stream, stream: Stream) -> None:
        target.metadata.update(kept_tags(stream.metadata))
        target.disposition = stream.disposition

    def _demux(self) -> Iterator[Packet[Stream]]:
        carried = [self._source.streams[index] for index in (*self._copies, *self._converters)]
        if not carried:
            return
        if self._start is not None and self._start > 0 and not self._timeline.jumps:
            self._source.seek(max(0, int((self._start - _LEAD_SECONDS) * av.time_base)))
        packets = self._timeline.straighten(demux(self._source, carried))
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                return  # the picture's own reader counts what is broken in the file
            if packet is None:
                return
            if packet.size or packet.dts is not None:
                yield packet

    def advance(self, until_seconds: Fraction | None) -> None:
        """Write every packet up to this time on the output's clock; None writes the rest."""
        while True:
            packet = self._pending or next(self._packets, None)
            self._pending = None
            if packet is None:
                break
            moment = self._time_of(packet)
            if self._end is not None and moment is not None and moment > self._end + _LEAD_SECONDS:
                break
            if until_seconds is not None and moment is not None and moment - self.shift_seconds > until_seconds:
                self._pending = packet
                return
            if self._is_in_range(packet, moment):
                self._write_heard(packet)
        if until_seconds is None:
            for converter in self._converters.values():
                self._mux(converter.flush())

    @staticmethod
    def _time_of(packet: Packet[Stream]) -> Fraction | None:
        stamp = packet.dts if packet.dts is not None else packet.pts
        return None if stamp is None else stamp * packet.time_base

    def _is_in_range(self, packet: Packet[Stream], moment: Fraction | None) -> bool:
        if moment is None:
            return True
        if self._end is not None and moment >= self._end:
            return False
        if self._start is None or moment >= self._start:
            return True
        # A subtitle that is still on screen when the range begins is kept, cut at the front.
        lasting = packet.stream.type == "subtitle" and packet.duration is not None
        return lasting and moment + (packet.duration or 0) * packet.time_base > self._start

    def _write_heard(self, packet: Packet[Stream]) -> None:
        index = packet.stream_index
        if packet.is_discard:
            # An edit list has cut it away. The last one before the first that is heard primes the decoder (preroll).
            self._discarded[index] = packet
            return
        preroll = self._discarded.pop(index, None)
        if preroll is not None and index not in self._last_dts:
            self._write_preroll(preroll, before=packet)
        self._write(packet)

    def _write_preroll(self, preroll: Packet[Stream], *, before: Packet[Stream]) -> None:
        """Write a packet that is not heard, if it lies before zero and right before the first that is heard."""
        if preroll.dts is None or before.dts is None or not preroll.duration:
            return
        if preroll.dts < round(self.shift_seconds / preroll.time_base) and preroll.dts + preroll.duration == before.dts:
            self._write(preroll)

    def _write(self, packet: Packet[Stream]) -> None:
        index = packet.stream_index
        self._set_duration(packet)
        self._shift(packet)
        if self._starts_at_zero and packet.dts is not None and packet.dts < 0:
            if packet.dts + (packet.duration or 0) <= 0:
                if packet.stream.type == "audio":
                    self.early_seconds = max(self.early_seconds, -packet.dts * packet.time_base)
                return
            packet.pts = packet.dts = 0  # a part of one packet; less than anyone hears
        if index in self._copies:
            packet.stream = self._copies[index]
            self._mux([packet])
        else:
            try:
                converted = self._converters[index].convert(packet)
            except (InvalidDataError, UnicodeDecodeError):
                self.unreadable[str(packet.stream.type)] += 1
                return
            self._mux(converted)

    def _set_duration(self, packet: Packet[Stream]) -> None:
        """Give an audio packet without duration the one of the packet before: MP4 would cut off a last packet without.

        Matroska states no duration where it is the default.
        """
        if packet.stream.type != "audio" or packet.dts is None:
            return
        before = self._audio_times.get(packet.stream_index)
        if before and self._starts_at_zero and before[1]:
            self.closed_seconds += max(0, packet.dts - before[0] - before[1]) * packet.time_base
        lasting = packet.duration or (before[1] or packet.dts - before[0] if before else 0)
        packet.duration = max(0, lasting)
        self._audio_times[packet.stream_index] = (packet.dts, packet.duration)

    def _shift(self, packet: Packet[Stream]) -> None:
        """Put the packet on the output's clock."""
        shift = round(self.shift_seconds / packet.time_base)
        if not shift:
            return
        if packet.pts is not None:
            packet.pts -= shift
        if packet.dts is not None:
            packet.dts -= shift
        if packet.stream.type == "subtitle" and packet.pts is not None and packet.pts < 0:
            packet.duration = max(1, (packet.duration or 0) + packet.pts)
            packet.pts = packet.dts = 0

    def _mux(self, packets: list[Packet[Stream]]) -> None:
        """Write, nudging a timestamp that does not rise: most containers refuse the whole file over one."""
        for packet in packets:
            target = packet.stream
            if packet.dts is not None:
                # Counted in the output's ticks: two times may be one there. They are known once the header is written.
                own, known = fraction_of(packet.time_base), fraction_of(target.time_base)
                ticks = own / known if own and known else Fraction(1)
                last, dts = self._last_dts.get(target.index), _round(packet.dts * ticks)
                if last is not None and dts <= last:
                    self.nudged_packets += 1
                    dts = last + 1
                    pts = dts if packet.pts is None else max(dts, _round(packet.pts * ticks))
                    lasting = _round((packet.duration or 0) * ticks)
                    packet.time_base = known or packet.time_base
                    packet.dts, packet.pts, packet.duration = dts, pts, lasting
                self._last_dts[target.index] = dts
            self._output.mux_one(packet)


def _round(value: Fraction) -> int:
    """Round halves away from zero, as FFmpeg rounds times (AV_ROUND_NEAR_INF)."""
    half = Fraction(1, 2)
    return math.floor(value + half) if value >= 0 else math.ceil(value - half)
