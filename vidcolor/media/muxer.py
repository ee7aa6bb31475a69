"""The container of the colored film: the picture's stream, the streams beside it, tags, chapters and header fields."""

from __future__ import annotations  # Packet[...] is for type checkers only

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO, cast

from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vidcolor.counts import counted
from vidcolor.errors import Remark
from vidcolor.media import matroska, mp4
from vidcolor.media.chapters import chapter_in_seconds, cut_chapters
from vidcolor.media.metadata import MP4_TAGS, kept_tags
from vidcolor.media.output_file import OutputFile
from vidcolor.media.plan import AUDIBLE_SECONDS, OutputPlan
from vidcolor.media.probe import ProbeResult
from vidcolor.media.pyav import open_output
from vidcolor.media.stream_copy import StreamCopy
from vidcolor.media.streams import decoder_of
from vidcolor.media.video_track import VideoTrack

if TYPE_CHECKING:
    from av.container.core import Chapter  # lives in the type stubs alone

_WRITE_BUFFER_BYTES = 1 << 20


class Muxer:
    """Writes packets of the picture into a file, and the packets of all other streams in step with them."""

    def __init__(
        self, file: BinaryIO, source: InputContainer, examined: ProbeResult, plan: OutputPlan, *,
        start_seconds: Fraction | None, end_seconds: Fraction | None,
    ) -> None:  # fmt: skip
        """Open the container. file: seekable; its owner closes it.

        start_seconds, end_seconds: of the range on the source's clock; None: from the start, to the end.
        """
        self._examined, self._plan, self._source = examined, plan, source
        self._start_seconds, self._end_seconds = start_seconds, end_seconds
        self._file, self._checked_file = file, OutputFile(file)
        self._chapters: list[Chapter] = []  # on the output's clock, once that is set
        self.zero_pts = 0  # the time of the source, in its time_base, that is zero in the output
        self._output: OutputContainer = open_output(
            self._checked_file,
            format=plan.container.name,
            container_options=self._container_options(),
            buffer_size=_WRITE_BUFFER_BYTES,
            any_codec=plan.any_codec,
        )

    def add_streams(self, comment: str) -> None:
        """Add the picture and all other streams, and the film's tags, to which `comment` is added."""
        template = cast(VideoStream, self._source.streams[self._examined.video_index])
        self.video = VideoTrack(self._output, template, self._examined, self._plan)
        self._stream_copy = StreamCopy(
            self._source, self._output, self._plan.streams, self._examined.timeline,
            start_seconds=self._start_seconds, end_seconds=self._end_seconds,
            starts_at_zero=not self._plan.container.stores_times,
        )  # fmt: skip
        self._output.metadata.update(_add_comment(dict(self._source.metadata), comment))

    def set_clock(self, first_pts: int) -> list[str]:
        """Decide which time of the source is zero in the output, as `zero_pts`; the header with its chapters needs it.

        first_pts: of the first frame that is written. Gives warnings.
        """
        time_base, zero = self._examined.info.time_base, self._examined.zero_seconds
        first, warnings = first_pts * time_base, list[str]()
        shift = zero if self._start_seconds is None else self._start_seconds
        container = self._plan.container
        if (first < shift and not container.stores_early_frames) or (first != shift and not container.stores_times):
            late = float(first - zero)
            if self._start_seconds is None and abs(late) > AUDIBLE_SECONDS:
                warnings.append(f"the film's first frame is at {late:.3f} s; in {container.name} it is at 0")
            shift = first
        self._stream_copy.shift_seconds = shift
        self._chapters = cut_chapters(self._source.chapters(), self._start_seconds, self._end_seconds, shift)
        if container.chapters and not self._plan.any_codec:
            self._output.set_chapters(self._chapters)
        self.zero_pts = round(shift / time_base)
        return warnings

    def mux(self, packet: Packet[VideoStream]) -> None:
        """Write a packet of the picture, and the other streams up to its time. Raises OSError, FFmpegError."""
        moment = None if packet.dts is None else packet.dts * packet.time_base
        self._output.mux_one(packet)
        self._checked_file.check()
        if moment is not None:
            self._stream_copy.advance(moment)

    def finish(self) -> Iterator[str]:
        """Write what is left and the header's last fields; gives warnings of what could not be stored."""
        self._stream_copy.advance(None)
        self._output.close()
        self._checked_file.check()
        shape, crop = self._examined.info.sample_aspect_ratio or Fraction(1), self._examined.info.crop
        if self.video.needs_display_size and not matroska.write_picture(self._file, shape, crop):
            yield f"the pixel shape {shape} {'and cropping ' if crop else ''}could not be stored"
        if crop and self._plan.container.header == "mp4" and not mp4.write_crop(self._file, crop):
            yield "the cropping could not be stored"
        if self._plan.any_codec and self._chapters:
            named = [chapter_in_seconds(chapter) for chapter in self._chapters]
            if not matroska.write_chapters(self._file, named):
                yield f"{counted(len(named), 'chapter')} could not be stored"

    def close(self) -> None:
        """Close the container without finishing it. Raises FFmpegError, OSError, ValueError."""
        self._output.close()

    def timing_warnings(self) -> Iterator[str]:
        """How the times of sound and subtitles were changed, for people; complete once all is written."""
        copied, container = self._stream_copy, self._plan.container
        if copied.nudged_packets:
            moved = counted(copied.nudged_packets, "piece of sound or words", "pieces of sound or words")
            yield Remark(f"{moved} had the time of the one before; each now begins right after it")
        if copied.closed_seconds > AUDIBLE_SECONDS:
            closed = f"{float(copied.closed_seconds):.1f} s of holes in the sound"
            yield f"{closed} are closed: {container.name} cannot tell when sound is heard; .mkv can"
        if copied.early_seconds > AUDIBLE_SECONDS and self._start_seconds is None:
            early = f"{float(copied.early_seconds):.2f} s of sound before the first frame"
            yield f"{early} left out: {container.name} begins with its picture; .mkv keeps it"

    def unreadable_warnings(self) -> Iterator[str]:
        """How many packets of each kind could not be converted, for people."""
        for kind, count in self._stream_copy.unreadable.items():
            what = ("subtitle", "") if kind == "subtitle" else (f"packet of {kind}", f"packets of {kind}")
            yield f"{counted(count, *what)} could not be read and {'is' if count == 1 else 'are'} left out"

    def _container_options(self) -> dict[str, str]:
        info = self._examined.info
        if self._plan.container.header != "mp4":
            # Sound often begins a little before zero, by its encoder's delay; FFmpeg would move the picture for it.
            # Matroska's muxer gives film and tracks random UIDs, unless it is to be exact.
            return {"avoid_negative_ts": "disabled", "fflags": "+bitexact"}
        # Edit lists count in the movie's time scale; FFmpeg's 1/1000 s would round a late or early start.
        rates = (stream.rate for stream in self._source.streams.audio if decoder_of(stream))
        scale = math.lcm(info.time_base.denominator, *rates)
        fallback = min(info.time_base.denominator, 1_000_000)
        options = {"movie_timescale": str(scale if scale < 2**31 else fallback)}
        tags = {key.lower() for key in kept_tags(info.metadata)}
        if tags - MP4_TAGS and not any(entry.kind == "cover art" for entry in self._plan.streams):
            options["movflags"] = "use_metadata_tags"
        return options


def _add_comment(source_tags: dict[str, str], comment: str) -> dict[str, str]:
    tags = kept_tags(source_tags)
    existing = [key for key in tags if key.lower() == "comment"]
    comments = [tags.pop(key) for key in existing]
    return tags | {"comment": "; ".join([*comments, comment])}
