"""Where the clock of a recording jumps, and the offsets that make one clock of it.

Broadcast and program streams are cut and joined as bytes, so the clock of picture and sound may start again, or leave
out an hour, in the middle of a file. As in FFmpeg's own transcoder (dts_delta_threshold) one offset is taken at a jump
for all streams together, so that they stay in step.
"""

from __future__ import annotations  # Packet[...] is for type checkers only

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.packet import Packet
from av.stream import Stream

from vidcolor.media.input_file import demux
from vidcolor.media.pyav import fraction_of

BACK_SECONDS = Fraction(1, 10)  # a decoding time that falls back by more has begun again
FORWARD_SECONDS = Fraction(10)  # a decoding time that skips more belongs to another recording
_MOST_JUMPS = 1000  # more of them are no joined recordings
_WINDOW = 512  # packets that may come out of the order of their bytes: the last of a stream waits for the next


@dataclass(frozen=True)
class Timeline:
    """positions: bytes in the file, rising, from which on the seconds of `offsets` are added to every time."""

    positions: tuple[int, ...] = ()
    offsets: tuple[Fraction, ...] = ()
    end_seconds: Fraction | None = None  # of picture and sound, offsets added; None where nothing jumps

    @property
    def jumps(self) -> int:
        """How many jumps there are."""
        return len(self.positions)

    def offset_at(self, position: int) -> Fraction:
        """The seconds to add to the times of a packet at this byte."""
        index = bisect_right(self.positions, position)
        return self.offsets[index - 1] if index else Fraction(0)

    def straighten(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Put the times of packets on one clock, that of the file's beginning; yields every packet."""
        if not self.positions:
            yield from packets
            return
        last: dict[int, int] = {}
        for packet in packets:
            position = last[packet.stream_index] = _position(packet, last)
            if packet.time_base and (offset := self.offset_at(position)):
                ticks = round(offset / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts + ticks
                packet.dts = None if packet.dts is None else packet.dts + ticks
            yield packet


def may_jump(container: InputContainer) -> bool:
    """Whether FFmpeg knows the format for clocks that jump (AVFMT_TS_DISCONT): MPEG-TS, MPEG-PS.

    It says so of Ogg, too, but does not read on behind the end of the first of several chained streams.
    """
    return container.format.name != "ogg" and bool(container.format.flags & cast(int, Flags.ts_discont.value))


def read_timeline(container: InputContainer) -> Timeline:
    """Read all packets of picture and sound, without decoding them. Leaves the container at its end."""
    streams = [stream for stream in container.streams if stream.type in ("video", "audio")]
    search = _JumpSearch()
    for position, packet in _in_file_order(container, streams):
        search.add(position, packet)
        if len(search.positions) > _MOST_JUMPS:
            return Timeline()
    if not search.positions:
        return Timeline()
    return Timeline(
        tuple(search.positions), tuple(search.offsets), max(stream.end for stream in search.streams.values())
    )


def _in_file_order(container: InputContainer, streams: list[Stream]) -> Iterator[tuple[int, Packet[Any]]]:
    """Packets sorted by the byte where each begins, with that byte."""
    window: list[tuple[int, int, Packet[Any]]] = []
    last: dict[int, int] = {}
    packets = demux(container, streams)
    for number in range(1 << 62):
        try:
            packet = next(packets, None)
        except FFmpegError:
            break  # where the file is damaged the picture's own reader stops, too
        if packet is None:
            break
        if not packet.size:
            continue
        position = last[packet.stream_index] = _position(packet, last)
        heapq.heappush(window, (position, number, packet))
        if len(window) > _WINDOW:
            first, _, oldest = heapq.heappop(window)
            yield first, oldest
    while window:
        first, _, oldest = heapq.heappop(window)
        yield first, oldest


def _position(packet: Packet[Any], last: dict[int, int]) -> int:
    """The byte where the packet begins; frames that share a transport packet share its byte."""
    found = packet.pos
    return last.get(packet.stream_index, 0) if found is None or found < 0 else found


@dataclass
class _StreamClock:
    """A stream's decoding time of its last packet, and the end of all its packets, offsets added."""

    time: Fraction
    end: Fraction


@dataclass
class _JumpSearch:
    """Finds jumps, packet by packet."""

    positions: list[int] = field(default_factory=list)
    offsets: list[Fraction] = field(default_factory=list)
    streams: dict[int, _StreamClock] = field(default_factory=dict)
    _crossed: set[int] = field(default_factory=set)  # streams that have come behind the last jump

    def add(self, position: int, packet: Packet[Any]) -> None:
        """Add the next packet in the file."""
        stamp, base = packet.dts if packet.dts is not None else packet.pts, fraction_of(packet.time_base)
        if stamp is None or base is None:
            return
        index, offset = packet.stream_index, self.offsets[-1] if self.offsets else Fraction(0)
        time, shown = stamp * base + offset, (stamp if packet.pts is None else packet.pts) * base + offset
        before, later = self.streams.get(index), Fraction(0)
        if before is not None:
            latest = max(stream.end for stream in self.streams.values())
            if self.positions and index not in self._crossed and shown < before.end - BACK_SECONDS:
                # The sound of the first part outlasts its picture, or the other way: the second waits for both.
                later = before.end - shown
                self._move_last_jump(later)
            elif before.time - time > BACK_SECONDS or time - latest > FORWARD_SECONDS:
                # Of a stream that was silent for a while the end says nothing, nor does its hole make a jump.
                end = before.end if latest - before.end <= FORWARD_SECONDS else latest
                later = end - shown
                self.positions.append(position)
                self.offsets.append(offset + later)
                self._crossed = set()
        self._crossed.add(index)
        end = max(shown + later + (packet.duration or 0) * base, before.end if before else shown + later)
        self.streams[index] = _StreamClock(time + later, end)

    def _move_last_jump(self, later: Fraction) -> None:
        self.offsets[-1] += later
        for index in self._crossed:
            known = self.streams[index]
            self.streams[index] = _StreamClock(known.time + later, known.end + later)
